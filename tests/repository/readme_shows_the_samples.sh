#!/usr/bin/env bash
# Code in README.md and in the pages of docs/ is taken from files that are built and run. A block after a line
#
#     <!-- from FILE -->
#
# must be what stands in FILE between "README: begin" and "README: end", or, where FILE has no such marks,
# consecutive lines of it. The packages that README.md explains must be those of cmake/packages.txt.
set -euo pipefail

root=$1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Compares every such block of a README with the files under a folder; says how many there were.
compare() {
  local readme=$1 folder=$2 count=0 line file block shown
  while IFS= read -r line; do
    [[ $line =~ ^'<!-- from '([^ ]+)' -->'$ ]] || continue
    file=${BASH_REMATCH[1]}
    IFS= read -r line
    [[ $line == '```'* ]] || { echo "$readme: expected a code block after the mark of $file"; return 1; }
    block=
    while IFS= read -r line && [[ $line != '```' ]]; do block+=$line$'\n'; done
    if grep -q 'README: begin' "$folder/$file"; then
      shown=$(sed '1,/README: begin/d;/README: end/,$d' "$folder/$file")$'\n'
      [[ $block == "$shown" ]] || {
        echo "$readme: the block of $file is not what stands between its marks:"
        diff <(printf %s "$block") <(printf %s "$shown")
        return 1
      }
    else
      shown=$(cat "$folder/$file")$'\n'
      [[ -n $block && $'\n'$shown == *$'\n'"$block"* ]] || {
        echo "$readme: these are not consecutive lines of $file:"
        echo "$block"
        return 1
      }
    fi
    count=$((count + 1))
  done < "$readme"
  echo "$count"
}

printf 'int a;\n// README: begin\nint b;\n\nint c;\n// README: end\nint d;\n' > "$scratch/sample.cpp"
printf 'a = 1\nb = 2\nc = 3\n' > "$scratch/job.toml"
readme() { printf '# T\n<!-- from %s -->\n```cpp\n%b```\n' "$1" "$2" > "$scratch/README.md"; }
expect() {
  local found
  found=$(compare "$scratch/README.md" "$scratch") || found=different
  [[ ${found##*$'\n'} == "$1" ]] || { echo "expected $1, found $found"; exit 1; }
}
readme sample.cpp 'int b;\n\nint c;\n' && expect 1
readme sample.cpp 'int b;\n\nint C;\n' && expect different
readme sample.cpp 'int b;\n' && expect different
readme job.toml 'b = 2\nc = 3\n' && expect 1
readme job.toml 'a = 1\nc = 3\n' && expect different
readme job.toml '= 2\nc = 3\n' && expect different

found=$(compare "$root/README.md" "$root") || { echo "$found"; exit 1; }
(( found >= 2 )) || { echo "expected README.md to show a sample and a job file, found $found"; exit 1; }
while IFS= read -r -d '' page; do
  found=$(compare "$page" "$root") || { echo "$found"; exit 1; }
done < <(find "$root/docs" -name '*.md' -print0)

while read -r package _; do
  [[ -z $package || $package == \#* ]] || grep -qF "\`$package\`" "$root/README.md" || {
    echo "expected README.md to say what $package of cmake/packages.txt is for"
    exit 1
  }
done < "$root/cmake/packages.txt"
