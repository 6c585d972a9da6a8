#!/usr/bin/env bash
# The table of messages in actors/README.md names every message type that is registered, and the messages
# in its first column are all registered.
set -euo pipefail

root=$1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

registered() { grep -oE 'add_message_type<[a-z_]+>' "$1" | grep -oE '<[a-z_]+' | tr -d '<' | sort -u; }
section() { sed -n '/^## Messages/,/^##/p' "$1" | grep '^|'; }
# Names in code marks, in the first column or anywhere in the table.
first_column() { section "$1" | cut -d'|' -f2 | grep -oE '`[a-z_]+`' | tr -d '`' | sort -u; }
anywhere() { section "$1" | grep -oE '`[a-z_]+`' | tr -d '`' | sort -u; }
wrong() {
  comm -23 <(registered "$1") <(anywhere "$2") | sed 's/$/: no row/'
  comm -13 <(registered "$1") <(first_column "$2") | sed 's/$/: not registered/'
}

printf 'c.add_message_type<push>("push");\nc.add_message_type<pushed>("p");\nc.add_message_type<lost>("l");\n' \
  > "$scratch/messages.cpp"
printf '## Messages\n\n| message | from, to | answer |\n|---|---|---|\n| `push` | | `pushed`, `some_error` |\n| `gone` | | |\n## Other\n| `lost` |\n' \
  > "$scratch/README.md"
[[ $(wrong "$scratch/messages.cpp" "$scratch/README.md") == $'lost: no row\ngone: not registered' ]] ||
  { echo "expected a message without a row and a row without a message to be found"; exit 1; }

source=$root/actors/src/messages.cpp
(( $(registered "$source" | wc -l) > 20 )) || { echo "expected messages to be registered in $source"; exit 1; }
found=$(wrong "$source" "$root/actors/README.md")
[[ -z $found ]] || { echo "expected the table of actors/README.md to be that of $source, found"; echo "$found"; exit 1; }
