#!/usr/bin/env bash
# docs/reference/job_file.md has a row for every key of a job that the code knows, and for no other. The second
# argument is the program that prints the keys.
set -euo pipefail

root=$1
program=$2
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

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

printf '%s\n' name train train.epochs train.forgotten train.optimizer train.optimizer.name > "$scratch/keys"
cat > "$scratch/page.md" << 'END'
| key | default |
|---|---|
| `name` | the file's |
### `[train]`
| `epochs`, `optimizer.name` | 1 |
| `made_up` | 1 |
| `"bsp"` | all |
END
[[ $(diff "$scratch/keys" <(documented "$scratch/page.md") | grep '^[<>]') == $'< train.forgotten\n> train.made_up' ]] ||
  { echo "expected a forgotten and an invented key to be found"; exit 1; }

"$program" | sort > "$scratch/known"
(( $(wc -l < "$scratch/known") > 40 )) || { echo "expected the keys of a job from $program"; exit 1; }
found=$(diff "$scratch/known" <(documented "$root/docs/reference/job_file.md") || true)
[[ -z $found ]] || { echo "expected job_file.md (>) to have the keys of a job (<):"; echo "$found"; exit 1; }
