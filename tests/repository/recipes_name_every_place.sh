#!/usr/bin/env bash
# The recipes of the README files ("Adding a layer") name every file that has to change. Each has an example
# that was added in this way: every source file in which the example stands is named in the recipe, but for
# those that use it for a purpose of their own.
set -euo pipefail

root=$1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Source files, below the root, with the pattern of an example.
places() {
  (cd "$1" && find . \( -name 'build*' -o -name '.*' ! -name . \) -prune -o \( -name '*.cpp' -o -name '*.hpp' \) -print0 |
    xargs -0 grep -lwE -- "$2" | sed 's|^\./||' | sort)
}
# unnamed ROOT PAGE HEADING PATTERN [FILE...]: places whose name, without its ending, the recipe lacks and that
# are none of the files.
unnamed() {
  local recipe place name
  recipe=$(sed -n "/^## $3\$/,/^## /p" "$1/$2")
  [[ -n $recipe ]] || { echo "$2: no recipe '$3'"; return; }
  for place in $(places "$1" "$4"); do
    name=$(basename -- "$place")
    grep -qw -- "${name%.*}" <<< "$recipe" || [[ " ${*:5} " == *" $name "* ]] || echo "$2, $3: $place"
  done
}

mkdir "$scratch/src"
echo 'case tanh:' | tee "$scratch/src/layers.cpp" "$scratch/src/names.cpp" "$scratch/src/sample.cpp" > /dev/null
echo 'tanhs' > "$scratch/src/other.cpp"
printf '## Adding a layer\n\n1. `layers.cpp`: a case.\n\n## Else\n\n`names.cpp`\n' > "$scratch/README.md"
[[ $(unnamed "$scratch" README.md 'Adding a layer' tanh sample.cpp) == 'README.md, Adding a layer: src/names.cpp' ]] ||
  { echo "expected the place that the recipe lacks to be found"; exit 1; }
[[ $(unnamed "$scratch" README.md 'Adding a loss' tanh) == "README.md: no recipe 'Adding a loss'" ]] ||
  { echo "expected a recipe that is not there to be found"; exit 1; }

found=$(
  # A test that trains with it.
  unnamed "$root" tensor/README.md 'Adding a layer' tanh training_test.cpp
  # The actors and programs that send or take it.
  unnamed "$root" actors/README.md 'Adding a message' drain_accepted runtime.cpp scheduler.hpp \
    scheduler_members.cpp silent_peers.hpp node_stage.hpp scale_leases.cpp
  # The file of the check itself.
  unnamed "$root" history/README.md 'Adding a rule' all_sent check_sent.cpp checker_sent_test.cpp
  unnamed "$root" chaos/README.md 'Adding a fault' clock_jump cluster_test.cpp process_test.cpp fault_test.cpp \
    process_faults_test.cpp
  # Samples, and tests of other things in one mode or another.
  unnamed "$root" scheduler/README.md 'Adding a consistency mode' 'mode::ssp|consistency::ssp|"ssp"' \
    own_model.cpp train_in_process.cpp $(places "$root/tests" 'mode::ssp|consistency::ssp|"ssp"' | xargs -n1 basename)
)
[[ -z $found ]] || { echo "expected each recipe to name every place of its example, found unnamed"; echo "$found"; exit 1; }
