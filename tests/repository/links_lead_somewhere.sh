#!/usr/bin/env bash
# Every relative link of a Markdown page must name something that is there, and every folder with a build
# file must have a page.
set -euo pipefail

root=$1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Prints the links of the pages under a folder that lead nowhere.
dead_links() {
  local page target
  while IFS= read -r -d '' page; do
    while IFS= read -r target; do
      target=${target%%#*}
      [[ -z $target || -e $(dirname -- "$page")/$target ]] || echo "$page: $target"
    done < <(grep -oE '\]\([^) ]+\)' "$page" | sed -E 's/^\]\((.*)\)$/\1/' | grep -vE '^[a-z]+://' || true)
  done < <(find "$1" -path "$1/build*" -prune -o -path "$1/.git" -prune -o -name '*.md' -print0)
}

echo 'See [here](there.md), [there](https://example.org) and [this](#below).' > "$scratch/page.md"
[[ $(dead_links "$scratch") == "$scratch/page.md: there.md" ]] || { echo "expected a dead link to be found"; exit 1; }
touch "$scratch/there.md"
[[ -z $(dead_links "$scratch") ]] || { echo "expected no dead link any more"; exit 1; }

dead=$(dead_links "$root")
[[ -z $dead ]] || { echo "expected links to files that are there, found"; echo "$dead"; exit 1; }

for build_file in "$root"/*/CMakeLists.txt; do
  folder=$(dirname -- "$build_file")
  [[ $folder == "$root/tests" || -s $folder/README.md ]] || { echo "expected a README.md in $folder"; exit 1; }
done
