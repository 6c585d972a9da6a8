#!/usr/bin/env bash
# Installs what is missing, then configures and builds a preset of CMakePresets.json, with ccache where
# there is one. What quickstart.sh and tests/run.sh have in common.
#
#     cmake/build_preset.sh PRESET [--no-install] [--target NAME]... [-DNAME=VALUE]...
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
preset=$1
shift
install=()
targets=()
settings=()
while (( $# > 0 )); do
  case $1 in
    --no-install) install=(--no-install) ;;
    --target) targets+=(--target "$2"); shift ;;
    -D*) settings+=("$1") ;;
    *) echo "build_preset.sh: unknown argument $1" >&2; exit 2 ;;
  esac
  shift
done

"$root/cmake/install_packages.sh" "${install[@]}"

# An empty launcher also takes back one that an earlier build recorded.
launcher=$(command -v ccache || true)
echo "== configuring build/$preset${launcher:+ (with ccache)}"
cmake -S "$root" --preset "$preset" \
  "-DCMAKE_CXX_COMPILER_LAUNCHER=$launcher" "${settings[@]}" > /dev/null
echo "== building build/$preset"
cmake --build "$root/build/$preset" --parallel "$(nproc)" "${targets[@]}"
echo "== built in $SECONDS s"
