#!/usr/bin/env bash
# Prose in Markdown pages is wrapped: a line outside tables and code has at most 120 characters, so that a
# change shows what it changed. RESULTS.md is written by a program.
set -euo pipefail

root=$1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

long_lines() {
  find "$1" \( -name 'build*' -o -name '.*' ! -name . \) -prune -o -name '*.md' ! -name RESULTS.md -print0 |
    xargs -0 awk '
      FNR == 1 { code = 0 }
      /^ *```/ { code = !code }
      !code && !/^    / && !/^ *\|/ && length($0) > 120 { print FILENAME ":" FNR ": " length($0) " characters" }'
}

long=$(printf 'x%.0s' {1..130})
printf '%s\n' 'Short.' "| $long |" '```' "$long" '```' "    $long" "$long" > "$scratch/page.md"
[[ $(long_lines "$scratch") == "$scratch/page.md:7: 130 characters" ]] || { echo "expected line 7 to be found"; exit 1; }

found=$(long_lines "$root")
[[ -z $found ]] || { echo "expected lines of at most 120 characters, found"; echo "$found"; exit 1; }
