#!/usr/bin/env bash
# The table of messages in actors/README.md names every message of wire_messages.hpp and every struct that
# messages have as a field, and the messages in its first column are all of that list.
set -euo pipefail

root=$1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Identifiers of scheduler/ are fields of nearly every message and have no row.
listed() { sed -nE 's/^ *row\((actors|transport), ([a-z_]+).*/\2/p' "$1" | sort -u; }
section() { sed -n '/^## Messages/,/^##/p' "$1" | grep '^|'; }
# Names in code marks, in the first column or anywhere in the table.
first_column() { section "$1" | cut -d'|' -f2 | grep -oE '`[a-z_]+`' | tr -d '`' | sort -u; }
anywhere() { section "$1" | grep -oE '`[a-z_]+`' | tr -d '`' | sort -u; }
wrong() {
  comm -23 <(listed "$1") <(anywhere "$2") | sed 's/$/: no row/'
  comm -13 <(listed "$1") <(first_column "$2") | sed 's/$/: not listed/'
}

printf '  row(actors, push, sent_again);  \\\n  row(transport, pushed, sent_once)\n  row(actors, lost);\n  row(scheduler, id)\n' \
  > "$scratch/messages.hpp"
printf '## Messages\n\n| message | from, to | answer |\n|---|---|---|\n| `push` | | `pushed`, `some_error` |\n| `gone` | | |\n## Other\n| `lost` |\n' \
  > "$scratch/README.md"
[[ $(wrong "$scratch/messages.hpp" "$scratch/README.md") == $'lost: no row\ngone: not listed' ]] ||
  { echo "expected a message without a row and a row without a message to be found"; exit 1; }

source=$root/actors/include/troupe/actors/wire_messages.hpp
(( $(listed "$source" | wc -l) > 20 )) || { echo "expected messages to be listed in $source"; exit 1; }
found=$(wrong "$source" "$root/actors/README.md")
[[ -z $found ]] || { echo "expected the table of actors/README.md to be that of $source, found"; echo "$found"; exit 1; }
