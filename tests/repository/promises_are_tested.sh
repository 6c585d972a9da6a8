#!/usr/bin/env bash
# A promise has a number (SHARD-1) and stands in one header, at the beginning of a line. Each is cited by a
# test. Those that no test cites yet are in untested_promises.txt, which only gets shorter: a promise that is
# cited, or gone, has no place there. What a page, a comment or a test cites is promised somewhere, and a page
# that says "SHARD-1 to SHARD-9" means all of them.
set -euo pipefail

root=$1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

files() { find "$1" \( -name 'build*' -o -name '.*' ! -name . \) -prune -o -type f "${@:2}" -print0; }
# Promises in headers outside tests/: a number and the file, a line each.
promised() {
  files "$1" -name '*.hpp' ! -path "$1/tests/*" | xargs -0 grep -HoE '^ */// [A-Z]{2,}-[0-9]+(:|  | [A-Z`])' /dev/null |
    sed -E 's|^(.*):( */// )([A-Z]+-[0-9]+).*$|\3 \1|' | sort -u
}
numbers() { cut -d' ' -f1 | sort -u; }
twice() { promised "$1" | cut -d' ' -f1 | uniq -d; }
cited() { files "$1/tests" \( -name '*.cpp' -o -name '*.hpp' -o -name '*.sh' \) | xargs -0 grep -hoE '\b[A-Z]{2,}-[0-9]+\b' | sort -u; }
untested() { comm -23 <(promised "$1" | numbers) <(cited "$1"); }
# Citations, anywhere, of a number that its family does not have; families that nobody promises are words
# of another kind (UTF-8).
unpromised() {
  local families
  families=$(promised "$1" | numbers | sed 's/-.*//' | sort -u | paste -sd'|')
  files "$1" \( -name '*.cpp' -o -name '*.hpp' -o -name '*.md' \) | xargs -0 grep -hoE "\b($families)-[0-9]+\b" |
    sort -u | comm -23 - <(promised "$1" | numbers)
}
# Ranges of pages that begin with the first promise of a family and do not end with its last.
short_ranges() {
  local page range family last
  while IFS=: read -r page range; do
    family=${range%%-*} last=${range##*-}
    promised "$1" | numbers | grep -qx "$family-$((last + 1))" && echo "$page: $range" || true
  done < <(files "$1" -name '*.md' | xargs -0 grep -HoE '\b([A-Z]+)-1`?,? to `?\1-[0-9]+' /dev/null | tr -d '`')
}

mkdir -p "$scratch/scheduler" "$scratch/tests"
printf '/// AWAKE-1  One.\n/// AWAKE-2  Two, as in UTF-8.\n///\n  /// BLOCK-1: three. AWAKE-4 is not.\n' > "$scratch/scheduler/a.hpp"
printf '/// BLOCK-1  Another.\n' > "$scratch/scheduler/b.hpp"
printf 'TEST_CASE("AWAKE-2: two") {}\n' > "$scratch/tests/a_test.cpp"
printf '`AWAKE-1` to `AWAKE-2`, `BLOCK-1`, AVX-512\n' > "$scratch/page.md"
expect() { [[ $2 == "$3" ]] || { echo "expected of $1: $2, found: $3"; exit 1; }; }
expect untested $'AWAKE-1\nBLOCK-1' "$(untested "$scratch")"
expect twice BLOCK-1 "$(twice "$scratch")"
expect unpromised AWAKE-4 "$(unpromised "$scratch")"
expect short_ranges '' "$(short_ranges "$scratch")"
printf '/// AWAKE-3  More.\n' >> "$scratch/scheduler/b.hpp"
expect short_ranges "$scratch/page.md: AWAKE-1 to AWAKE-2" "$(short_ranges "$scratch")"

complain() { [[ -z $2 ]] || { echo "$1"; echo "$2"; exit 1; }; }
(( $(promised "$root" | wc -l) > 200 )) || { echo "expected promises in the headers"; exit 1; }
complain "expected each promise in one header, found twice" "$(twice "$root")"
complain "expected citations of promises that some header makes, found" "$(unpromised "$root")"
complain "expected ranges to end with the last promise, found" "$(short_ranges "$root")"
list=$root/tests/repository/untested_promises.txt
complain "expected a test to cite each promise, found none for" \
  "$(untested "$root" | comm -23 - <(grep -v '^#' "$list" | sort))"
complain "expected untested_promises.txt to name what no test cites, found there as well (take it out)" \
  "$(untested "$root" | comm -13 - <(grep -v '^#' "$list" | sort))"
