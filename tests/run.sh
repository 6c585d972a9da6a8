#!/usr/bin/env bash
set -euo pipefail

usage='tests/run.sh [--no-install] [--sanitize address|thread] [--repeat N] [--werror] [-- ARGUMENT OF ctest...]

Builds Troupe and runs its tests.

  --no-install         refuse, naming them, when Debian packages are missing, instead of installing them
  --sanitize address   build with AddressSanitizer and UBSan, in build/asan
  --sanitize thread    build with ThreadSanitizer, in build/tsan: only the concurrent classes that know no
                       CAF, because it does not understand the CAF libraries of Debian
  --repeat N           run every test N times; the first failure of one fails it
  --werror             make compiler warnings errors
  --help               this text

What follows -- goes to ctest, for example -- -R scheduler.'

refuse() {
  echo "tests/run.sh: $1; see tests/run.sh --help" >&2
  exit 2
}

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
preset=release
install=()
repeat=()
werror=OFF
while (( $# > 0 )); do
  case $1 in
    --help | -h) echo "$usage"; exit 0 ;;
    --no-install) install=(--no-install) ;;
    --sanitize)
      case ${2-} in
        address) preset=asan ;;
        thread) preset=tsan ;;
        *) refuse "--sanitize: expected address or thread, found '${2-}'" ;;
      esac
      shift ;;
    --repeat)
      [[ ${2-} =~ ^[1-9][0-9]*$ ]] || refuse "--repeat: expected a number from 1, found '${2-}'"
      repeat=(--repeat "until-fail:$2")
      shift ;;
    --werror) werror=ON ;;
    --) shift; break ;;
    *) refuse "unknown argument $1" ;;
  esac
  shift
done

"$root/cmake/build_preset.sh" "$preset" "${install[@]}" "-DTROUPE_WERROR=$werror"

export UBSAN_OPTIONS=${UBSAN_OPTIONS-print_stacktrace=1}
export LSAN_OPTIONS=${LSAN_OPTIONS-suppressions=$root/tests/leaks_of_caf.txt:print_suppressions=0}
echo "== testing build/$preset"
ctest --test-dir "$root/build/$preset" --output-on-failure --no-tests=error \
  --parallel "$(nproc)" "${repeat[@]}" "$@"
