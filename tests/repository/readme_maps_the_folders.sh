#!/usr/bin/env bash
# The map of README.md ("Where things are") names every folder at the top of the repository, and no other.
set -euo pipefail

root=$1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Folders of a checkout, without hidden ones and those that .gitignore names: NAME/ on a line each.
folders() {
  local folder
  for folder in "$1"/*/; do
    folder=$(basename -- "$folder")
    grep -qxF "/$folder/" "$1/.gitignore" || echo "$folder/"
  done | sort
}
# Folders in the first column of the map.
mapped() {
  sed -n '/^## Where things are/,/^## /p' "$1" | grep -oE '^\| \[?`[^`]+/`' | grep -oE '[^`]+/' | sort
}
difference() { diff <(folders "$1") <(mapped "$1/README.md") || true; }

mkdir -p "$scratch/here" "$scratch/there" "$scratch/build"
echo '/build/' > "$scratch/.gitignore"
printf '# T\n| `outside/` | |\n## Where things are\n| [`here/`](here/README.md) | a |\n| `gone/` | b |\n' \
  > "$scratch/README.md"
found=$(difference "$scratch")
[[ $found == *'> gone/'* ]] || { echo "expected a folder that is gone to be found"; exit 1; }
[[ $found == *'< there/'* ]] || { echo "expected a folder without a row to be found"; exit 1; }
(( $(grep -c '^[<>]' <<< "$found") == 2 )) || { echo "expected no more: $found"; exit 1; }
sed -i 's/gone/there/' "$scratch/README.md"
[[ -z $(difference "$scratch") ]] || { echo "expected no difference any more"; exit 1; }

found=$(difference "$root")
[[ -z $found ]] || { echo "expected the map of README.md (>) to name the folders that are there (<):"; echo "$found"; exit 1; }
