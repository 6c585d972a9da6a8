#!/usr/bin/env bash
# CLUSTER-2: what is simulated is production code, which includes nothing of chaos/, links nothing of it
# and never names it. Only the programs stand above both.
set -euo pipefail

root=$1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

knowers() {
  local folder
  for folder in "$1"/include "$1"/*/include; do
    [[ $folder == "$1/include" ]] || folder=${folder%/include}
    case ${folder##*/} in chaos | cli) continue ;; esac
    [[ -d $folder ]] || continue
    grep -rnE --include='*.cpp' --include='*.hpp' --include='CMakeLists.txt' \
      'troupe/chaos/|troupe::chaos|(^|[^_[:alnum:]])chaos::' "$folder" || true
  done
}

mkdir -p "$scratch/actors/include/troupe" "$scratch/actors/src" "$scratch/chaos/include/troupe"
planted=('#include "troupe/chaos/simulation.hpp"' '  PUBLIC troupe::chaos' 'if (chaos::simulated())')
for line in "${planted[@]}"; do
  echo "$line" > "$scratch/actors/src/node.cpp"
  [[ -n $(knowers "$scratch") ]] || { echo "expected this to be found: $line"; exit 1; }
done
echo '// a campaign of chaos runs' > "$scratch/actors/src/node.cpp"
echo '#include "troupe/chaos/simulation.hpp"' > "$scratch/chaos/include/troupe/cluster.hpp"
[[ -z $(knowers "$scratch") ]] || { echo "expected the word, and chaos/ itself, to be allowed"; exit 1; }

# The public headers of the simulator are its own.
found=$(knowers "$root" | grep -vE '/include/troupe/(simulation|values/link_properties)\.hpp:' || true)
if [[ -n $found ]]; then
  echo "$found"
  echo "expected no production code to know the simulator, found the lines above"
  exit 1
fi
