#!/usr/bin/env bash
# A *_test.cpp on disk that no executable names, or in a folder that the build does not know, must be a
# configure error: a test that is not built proves nothing.
set -euo pipefail

root=$1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# A project whose tests/here has one test, configured with the rule of cmake/troupe_targets.cmake.
mkdir -p "$scratch/tests/here"
cat > "$scratch/CMakeLists.txt" << 'END'
cmake_minimum_required(VERSION 3.25)
project(left_out LANGUAGES NONE)
include(${RULES})
function(add_executable)
endfunction()
function(target_link_libraries)
endfunction()
function(troupe_compile_options)
endfunction()
function(catch_discover_tests)
endfunction()
add_subdirectory(tests/here)
END
echo 'troupe_add_test_folder(here SOURCES named_test.cpp)' > "$scratch/tests/here/CMakeLists.txt"
touch "$scratch/tests/here/named_test.cpp"

configure() {
  cmake -S "$scratch" -B "$scratch/build" -DRULES="$root/cmake/troupe_targets.cmake" 2>&1
}
configure > "$scratch/log" || { cat "$scratch/log"; exit 1; }

touch "$scratch/tests/here/forgotten_test.cpp"
if configure > "$scratch/log"; then echo "expected a configure error for forgotten_test.cpp"; exit 1; fi
grep -q 'forgotten_test.cpp is on disk' "$scratch/log" || { cat "$scratch/log"; exit 1; }

# The same for a whole folder, with the rule of tests/CMakeLists.txt. No compiler is needed for it.
mkdir "$scratch/folder" "$scratch/folder/elsewhere"
touch "$scratch/folder/elsewhere/lost_test.cpp"
{
  echo 'cmake_minimum_required(VERSION 3.25)'
  echo 'project(left_out LANGUAGES NONE)'
  sed -n '/^set(test_folders/,/^endforeach/p' "$root/tests/CMakeLists.txt"
} > "$scratch/folder/CMakeLists.txt"
if cmake -S "$scratch/folder" -B "$scratch/folder/build" > "$scratch/log" 2>&1; then
  echo "expected a configure error for elsewhere/lost_test.cpp"
  exit 1
fi
grep -q 'elsewhere/lost_test.cpp is on disk' "$scratch/log" || { cat "$scratch/log"; exit 1; }
