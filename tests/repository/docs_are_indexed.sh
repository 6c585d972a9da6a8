#!/usr/bin/env bash
# docs/README.md is the index of docs/: it links every page there.
set -euo pipefail

root=$1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Pages under a folder that its README.md does not link.
unlisted() {
  local page
  while IFS= read -r page; do
    grep -qE "\]\($page(#[^)]*)?\)" "$1/README.md" || echo "$page"
  done < <(cd "$1" && find . -name '*.md' ! -path ./README.md -printf '%P\n' | sort)
}

mkdir "$scratch/notes"
echo '[one](one.md), [part of two](notes/two.md#part); notes/three.md' > "$scratch/README.md"
touch "$scratch/one.md" "$scratch/notes/two.md" "$scratch/notes/three.md"
[[ $(unlisted "$scratch") == notes/three.md ]] || { echo "expected a page without a link to be found"; exit 1; }

found=$(unlisted "$root/docs")
[[ -z $found ]] || { echo "expected docs/README.md to link every page, found no link to"; echo "$found"; exit 1; }
