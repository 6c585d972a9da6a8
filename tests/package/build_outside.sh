#!/usr/bin/env bash
# Installs a build tree into an empty folder, builds the samples against it as somebody else's project
# does, runs them, and checks that nothing but the installed tree was used: no header and no path of the
# repository or its build, and no library that is needed only to build Troupe itself. Each public header must
# compile by itself, and a header that is not public must not be found.
#
#     build_outside.sh SOURCE BUILD COMPILER [LAUNCHER]
set -euo pipefail

source=$1 build=$2 compiler=$3 launcher=${4-}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
fail() { echo "$1"; exit 1; }

cmake --install "$build" --prefix "$scratch/installed" > "$scratch/install.log"
"$scratch/installed/bin/troupe" --version

mkdir -p "$scratch/outside/headers" "$scratch/outside/private_headers"
cp "$source/tests/package/CMakeLists.txt" "$source/samples/"*.cpp "$source/samples/chaos/own_actor.cpp" \
  "$scratch/outside"

# Exactly the public headers are installed.
diff <(cd "$source/include" && find troupe -name '*.hpp' | sort) \
  <(cd "$scratch/installed/include" && find . -type f | sed 's|^\./||' | sort) ||
  fail "expected the headers of include/ (<) to be installed, found these (>)"
while read -r header; do
  echo "#include \"$header\"" > "$scratch/outside/headers/$(tr / _ <<< "${header%.hpp}").cpp"
done < <(cd "$scratch/installed/include" && find troupe -name '*.hpp')
# One private header of every room.
for room in "$source"/*/include/troupe/*/; do
  header=$(find "$room" -name '*.hpp' | sort | head -n 1)
  [[ -z $header ]] || echo "#include \"troupe/${header##*/include/troupe/}\"" \
    > "$scratch/outside/private_headers/$(basename "$room").cpp"
done
# What an installed Troupe must not ask for.
private=()
for package in Eigen3 cereal toml11 CLI11 Catch2; do
  private+=("-DCMAKE_DISABLE_FIND_PACKAGE_$package=ON")
done
cmake --no-warn-unused-cli -S "$scratch/outside" -B "$scratch/outside/build" -G Ninja \
  -DCMAKE_BUILD_TYPE=Release \
  "-DCMAKE_CXX_COMPILER=$compiler" "-DCMAKE_CXX_COMPILER_LAUNCHER=$launcher" \
  "-DCMAKE_PREFIX_PATH=$scratch/installed" -DCMAKE_FIND_PACKAGE_NO_PACKAGE_REGISTRY=ON "${private[@]}"
cmake --build "$scratch/outside/build" -- -k 0

for file in "$scratch/outside/private_headers/"*.cpp; do
  room=$(basename "$file" .cpp)
  if cmake --build "$scratch/outside/build" --target "private_$room" > "$scratch/log" 2>&1; then
    fail "expected $(cat "$file") not to compile in an outside project"
  fi
  grep -q 'No such file or directory' "$scratch/log" || { cat "$scratch/log"; fail "expected a header that is not found"; }
done

ninja -C "$scratch/outside/build" -t deps > "$scratch/headers"
grep -qF "$scratch/installed/include/troupe/runtime.hpp" "$scratch/headers" ||
  fail "expected the installed headers to be compiled, found none of them in the dependencies"
for foreign in "$source/" "$build/" /eigen3/ /cereal/ /toml.hpp /CLI/ /catch2/; do
  if grep -F "$foreign" "$scratch/headers"; then fail "expected no header of $foreign, found these"; fi
done
if grep -rF -e "$source" -e "$build" "$scratch/installed/lib" --include='*.cmake'; then
  fail "expected installed CMake files without paths of the build, found these"
fi

ctest --test-dir "$scratch/outside/build" --output-on-failure
