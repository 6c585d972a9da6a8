#!/usr/bin/env bash
# The rules of the history checker are its enumeration `rule`. The table of docs/reference/history.md lists
# each with its number and name, the invariants of docs/reference/scenario.md are these names in this order,
# and history/README.md says of each in which file it is checked.
set -euo pipefail

root=$1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# "CHECK-1 exactly_once", a line for each enumerator.
rules() {
  sed -n '/^enum class rule/,/^}/p' "$1" | grep -oE '^  [a-z_]+' |
    awk '{ printf "CHECK-%d %s\n", NR, $1 }'
}
table() { grep -oE '^\| `?CHECK-[0-9]+`? \| `[a-z_]+`' "$1" | tr -d '|`' | awk '{ print $1, $2 }'; }
invariants() {
  grep -E '^\| `exactly_once`' "$1" | cut -d'|' -f2 | grep -oE '`[a-z_]+`' | tr -d '`' |
    awk '{ printf "CHECK-%d %s\n", NR, $1 }'
}
files() { grep -E '^\| `[a-z_]+\.cpp`' "$1" | grep -oE 'CHECK-[0-9]+(`? to `?CHECK-[0-9]+)?' | tr -d '`'; }
# Rules that a page's list of files leaves out.
unplaced() {
  local numbers
  numbers=$(files "$2" | sed -E 's/CHECK-//g; s/ to / /' | while read -r first last; do seq "$first" "${last:-$first}"; done)
  rules "$1" | while read -r number _; do grep -qx "${number#CHECK-}" <<< "$numbers" || echo "$number"; done
}

cat > "$scratch/checker.hpp" << 'END'
enum class rule : std::uint8_t {
  exactly_once = 1,
  clocks,
  asked
};
END
printf '| `CHECK-1` | `exactly_once` | a |\n| `CHECK-2` | `asked` | b |\n' > "$scratch/history.md"
printf '| `exactly_once`, `asked`, `clocks` | rules |\n' > "$scratch/scenario.md"
printf '| `a.cpp` | one (`CHECK-1`) |\n| `b.cpp` | `CHECK-3` |\n' > "$scratch/README.md"
for wrong in "$(table "$scratch/history.md")" "$(invariants "$scratch/scenario.md")"; do
  [[ $wrong != "$(rules "$scratch/checker.hpp")" && -n $wrong ]] || { echo "expected a difference"; exit 1; }
done
[[ $(unplaced "$scratch/checker.hpp" "$scratch/README.md") == CHECK-2 ]] || { echo "expected CHECK-2 to be missing"; exit 1; }
printf '| `a.cpp` | `CHECK-1` to `CHECK-3` |\n' > "$scratch/README.md"
[[ -z $(unplaced "$scratch/checker.hpp" "$scratch/README.md") ]] || { echo "expected a range to be read"; exit 1; }

header=$root/include/troupe/checker.hpp
(( $(rules "$header" | wc -l) > 10 )) || { echo "expected the rules in $header"; exit 1; }
same() {
  diff <(rules "$header") <("$1" "$root/$2") || { echo "expected $2 (>) to list the rules of $header (<)"; exit 1; }
}
same table docs/reference/history.md
same invariants docs/reference/scenario.md
found=$(unplaced "$header" "$root/history/README.md")
[[ -z $found ]] || { echo "expected history/README.md to say where each rule is checked, found no place of"; echo "$found"; exit 1; }
