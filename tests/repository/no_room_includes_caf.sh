#!/usr/bin/env bash
# The rooms below actors/ know no CAF: none of their files includes one of its headers, neither directly nor
# through other headers of the project. The public headers know none either, but for supervision and simulation.
set -euo pipefail

root=$1
rooms=(probes tensor scheduler history transport jobs storage include)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Prints "FILE: HEADER" for every header of CAF that a file of these folders reaches.
includes_of_caf() {
  local base=$1
  shift
  (cd "$base" && grep -rHoE --include='*.hpp' --include='*.cpp' '^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"][^>"]+[>"]' . || true) |
    sed -E 's/^\.\///; s/:[^:]*include[[:space:]]*[<"]/ /; s/[>"]$//' |
    awk -v rooms="$*" '
      function leaf(p) { return p ~ /\/include\/troupe\// ? substr(p, index(p, "include/") + 8) : (p ~ /^include\//) ? substr(p, 9) : p }
      { includes[leaf($1)] = includes[leaf($1)] " " $2; file[leaf($1)] = $1 }
      function reach(header, from,   list, n, i) {
        if (header ~ /^caf\//) { print from ": " header; return }
        if (header in seen) return
        seen[header] = 1
        n = split(includes[header], list, " ")
        for (i = 1; i <= n; ++i) reach(list[i], from)
      }
      END {
        n = split(rooms, room, " ")
        for (f in file)
          for (r = 1; r <= n; ++r)
            if (index(file[f], room[r] "/") == 1) { delete seen; reach(f, file[f]) }
      }'
}

mkdir -p "$scratch/low/include/troupe/low" "$scratch/high/include/troupe/high"
echo '#include "troupe/high/actor.hpp"' > "$scratch/low/include/troupe/low/plain.hpp"
echo '#include <caf/all.hpp>' > "$scratch/high/include/troupe/high/actor.hpp"
[[ $(includes_of_caf "$scratch" low) == "low/include/troupe/low/plain.hpp: caf/all.hpp" ]] || {
  echo "expected a header of CAF to be found through another header"
  exit 1
}
echo '#include <vector>' > "$scratch/low/include/troupe/low/plain.hpp"
[[ -z $(includes_of_caf "$scratch" low) ]] || { echo "expected no header of CAF any more"; exit 1; }

found=$(includes_of_caf "$root" "${rooms[@]}" |
  grep -vE '^include/troupe/(supervisor|simulation)\.hpp: ' || true)
[[ -z $found ]] || { echo "expected no CAF in ${rooms[*]}, found"; echo "$found"; exit 1; }
