#!/usr/bin/env bash
# docs/reference/job_file.md has a row for every key of a job that the code knows, and for no other.
set -euo pipefail

root=$1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# The names in the list `known_keys` of a source file.
known() { sed -n '/known_keys = {/,/^}/p' "$1" | grep -oE '"[a-z_.]+"' | tr -d '"' | sort; }
# The keys of a page: the first column of its tables, below headings that name their section, and the
# sections themselves. (The table of consistency modes has quoted values there, and is not taken.)
documented() {
  awk '
    /^#+ /        { section = match($0, /`\[[a-z]+\]`/) ? substr($0, RSTART + 2, RLENGTH - 4) "." : "" }
    /^\| `[a-z]/  { split($0, column, "|")
                    while (match(column[2], /`[a-z_.]+`/)) {
                      key = section substr(column[2], RSTART + 1, RLENGTH - 2)
                      column[2] = substr(column[2], RSTART + RLENGTH)
                      print key
                      while (sub(/\.[a-z_]+$/, "", key)) print key
                    } }' "$1" | sort -u
}

cat > "$scratch/job.cpp" << 'END'
constexpr std::array known_keys = {
    "name", "train", "train.epochs", "train.optimizer", "train.optimizer.name", "train.forgotten",
};
const auto other = "train.other";
END
cat > "$scratch/page.md" << 'END'
| key | default |
|---|---|
| `name` | the file's |
### `[train]`
| `epochs`, `optimizer.name` | 1 |
| `made_up` | 1 |
| `"bsp"` | all |
END
[[ $(diff <(known "$scratch/job.cpp") <(documented "$scratch/page.md") | grep '^[<>]') == $'< train.forgotten\n> train.made_up' ]] ||
  { echo "expected a forgotten and an invented key to be found"; exit 1; }

source=$(grep -rlE 'known_keys = \{' "$root" --include='*.cpp' --include='*.hpp' --exclude-dir=tests --exclude-dir='build*')
[[ -n $source && $source != *$'\n'* ]] || { echo "expected one list known_keys in the sources, found: $source"; exit 1; }
(( $(known "$source" | wc -l) > 40 )) || { echo "expected the keys of a job in $source"; exit 1; }
found=$(diff <(known "$source") <(documented "$root/docs/reference/job_file.md") || true)
[[ -z $found ]] || { echo "expected job_file.md (>) to have the keys of $source (<):"; echo "$found"; exit 1; }
