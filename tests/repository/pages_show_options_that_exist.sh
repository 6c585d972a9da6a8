#!/usr/bin/env bash
# A command line of `troupe` in a page has a subcommand and options that the program's --help explains.
# Command lines are the indented lines of README.md, cli/README.md, chaos/README.md and docs/ that begin with
# troupe or a path to it; what stands in brackets there is an option as well.
#
#     pages_show_options_that_exist.sh SOURCE TROUPE
set -euo pipefail

root=$1 program=$2
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Lines "PAGE: COMMAND": continued lines are joined, prompts and comments are cut off.
command_lines() {
  awk '
    FNR == 1              { open = 0 }
    /^    +([a-z0-9]+\$ )?(build\/[a-z]+\/bin\/)?troupe [a-z]/ {
      sub(/^ *([a-z0-9]+\$ )?(build\/[a-z]+\/bin\/)?/, ""); sub(/ #.*/, "")
      print FILENAME ": " $0; command = $2; open = 1; next }
    open && /^        +\[?--/ { print FILENAME ": troupe " command " " $0; next }
    { open = 0 }' "$@"
}
# Those whose subcommand or option the program does not know.
unknown() {
  local page line words subcommand option
  while IFS= read -r line; do
    page=${line%%: *}
    read -ra words <<< "${line#*: troupe }"
    subcommand=${words[0]}
    [[ -e $scratch/$subcommand.help ]] || "$program" "$subcommand" --help > "$scratch/$subcommand.help" 2>&1 || true
    grep -qE "^Usage: troupe $subcommand( |$)" "$scratch/$subcommand.help" || { echo "$page: troupe $subcommand"; continue; }
    for option in $(grep -oE -- '--[a-z][a-z-]*' <<< "${words[*]:1}"); do
      grep -qE -- "(^|[ ,])$option([ ,{]|\$)" "$scratch/$subcommand.help" || echo "$page: troupe $subcommand $option"
    done
  done < <(command_lines "$@")
}

cat > "$scratch/page.md" << 'END'
Text of troupe train --nonsense.

    troupe train JOB --set a=b [--replicas R] --colour red   # --comment
                 [--events FILE] [--volume 11]
    box1$ build/release/bin/troupe juggle --balls 3
END
[[ $(unknown "$scratch/page.md") == "$scratch/page.md: troupe train --colour
$scratch/page.md: troupe train --volume
$scratch/page.md: troupe juggle" ]] || { echo "expected three unknown words, found"; unknown "$scratch/page.md"; exit 1; }

mapfile -d '' pages < <(find "$root/README.md" "$root/cli/README.md" "$root/chaos/README.md" "$root/tests/chaos/README.md" \
  "$root/docs" -name '*.md' -print0)
(( $(command_lines "${pages[@]}" | wc -l) > 40 )) || { echo "expected command lines in the pages"; exit 1; }
found=$(unknown "${pages[@]}")
[[ -z $found ]] || { echo "expected options that troupe --help explains, found"; echo "$found"; exit 1; }
