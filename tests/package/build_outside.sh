#!/usr/bin/env bash
# Installs a build tree into an empty folder, builds the samples against it as somebody else's project
# does, runs them, and checks that nothing but the installed tree was used: no header and no path of the
# repository or its build, and no library that is needed only to build Troupe itself.
#
#     build_outside.sh SOURCE BUILD COMPILER [LAUNCHER]
set -euo pipefail

source=$1 build=$2 compiler=$3 launcher=${4-}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
fail() { echo "$1"; exit 1; }

cmake --install "$build" --prefix "$scratch/installed" > "$scratch/install.log"
"$scratch/installed/bin/troupe" --version

mkdir "$scratch/outside"
cp "$source/tests/package/CMakeLists.txt" "$source/samples/"*.cpp "$scratch/outside"
(cd "$scratch/installed/include" && find troupe -name '*.hpp' | sort | sed 's/.*/#include "&"/') \
  > "$scratch/outside/every_header.cpp"
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

ninja -C "$scratch/outside/build" -t deps > "$scratch/headers"
grep -qF "$scratch/installed/include/troupe/actors/runtime.hpp" "$scratch/headers" ||
  fail "expected the installed headers to be compiled, found none of them in the dependencies"
for foreign in "$source/" "$build/" /eigen3/ /cereal/ /toml.hpp /CLI/ /catch2/; do
  if grep -F "$foreign" "$scratch/headers"; then fail "expected no header of $foreign, found these"; fi
done
if grep -rF -e "$source" -e "$build" "$scratch/installed/lib" --include='*.cmake'; then
  fail "expected installed CMake files without paths of the build, found these"
fi

ctest --test-dir "$scratch/outside/build" --output-on-failure
