#!/usr/bin/env bash
# The rooms below actors/ and the public headers know no CAF: no file of these folders includes one of its headers, neither
# itself nor through other headers of the project. A folder that is not there is passed over.
set -euo pipefail

root=$1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
rooms=(tensor scheduler history probes jobs transport storage include)

# Prints, for each file of the rooms under a folder from which a CAF header can be reached, the way there.
ways_to_caf() {
  (cd "$1" && find . \( -name 'build*' -o -name '.*' ! -name . \) -prune -o \
    \( -name '*.hpp' -o -name '*.cpp' -o -name '*.hpp.in' \) -print | sed 's|^\./||' | sort |
    xargs grep -HE '^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"]' /dev/null |
    awk -v rooms="${rooms[*]}" '
      { colon = index($0, ":"); file = substr($0, 1, colon - 1); line = substr($0, colon + 1)
        match(line, /[<"][^>"]+[>"]/); header = substr(line, RSTART + 1, RLENGTH - 2)
        if (!(file in count)) { order[++files] = file; where = file
          if (sub(/^.*include\//, "", where)) place[where] = file }
        includes[file, ++count[file]] = header }
      # The way from a file to a CAF header as text, or nothing. A file that is being walked has none.
      function way(file,    i, header, folder, next_file, rest) {
        if (file in known) return known[file]
        known[file] = ""
        folder = file; sub(/[^\/]*$/, "", folder)
        for (i = 1; i <= count[file]; ++i) {
          header = includes[file, i]
          if (header ~ /^caf\//) return known[file] = file " -> " header
          next_file = (folder header) in count ? folder header : (header in place ? place[header] : "")
          if (next_file == "") continue
          rest = way(next_file)
          if (rest != "") return known[file] = file " -> " rest
        }
        return ""
      }
      END {
        split(rooms, name, " ")
        for (r in name) room[name[r]] = 1
        for (f = 1; f <= files; ++f) {
          top = order[f]; sub(/\/.*/, "", top)
          if (top in room && way(order[f]) != "") print way(order[f])
        }
      }')
}

# Directly, through a header beside the source, through a public header of another folder, and not at all.
mkdir -p "$scratch"/{tensor/src,actors/include/troupe/actors,scheduler/include/troupe/scheduler}
echo '#include <caf/all.hpp>' > "$scratch/tensor/src/direct.cpp"
echo '#include "beside.hpp"' > "$scratch/tensor/src/through.cpp"
echo '#include "troupe/actors/block.hpp"' > "$scratch/tensor/src/beside.hpp"
printf '#pragma once\n  # include "caf/serializer.hpp"\n' > "$scratch/actors/include/troupe/actors/block.hpp"
printf '#include <vector>\n#include "troupe/scheduler/b.hpp"\n' > "$scratch/scheduler/include/troupe/scheduler/a.hpp"
printf '#include "troupe/scheduler/a.hpp"\n// #include <caf/all.hpp>\n' > "$scratch/scheduler/include/troupe/scheduler/b.hpp"
expected='tensor/src/beside.hpp -> actors/include/troupe/actors/block.hpp -> caf/serializer.hpp
tensor/src/direct.cpp -> caf/all.hpp
tensor/src/through.cpp -> tensor/src/beside.hpp -> actors/include/troupe/actors/block.hpp -> caf/serializer.hpp'
[[ $(ways_to_caf "$scratch") == "$expected" ]] || { echo "expected three ways to CAF, found"; ways_to_caf "$scratch"; exit 1; }

# Supervision and simulation are of CAF actors.
found=$(ways_to_caf "$root" | grep -vE '^include/troupe/(supervisor|simulation)\.hpp -> caf/' || true)
[[ -z $found ]] || { echo "expected no way to a CAF header, found"; echo "$found"; exit 1; }
