#!/usr/bin/env bash
# The commands of README.md: --help explains, a mistake is refused in one line, and --no-install names what
# is missing and installs nothing.
set -euo pipefail

root=$1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

fail() { echo "$1"; cat "$scratch/out" "$scratch/err"; exit 1; }
# expect CODE COMMAND...
expect() {
  local code=0
  "${@:2}" > "$scratch/out" 2> "$scratch/err" || code=$?
  (( code == $1 )) || fail "expected exit code $1 of ${*:2}, found $code"
}

cd "$scratch"
for script in samples/quickstart.sh tests/run.sh bench/run.sh; do
  expect 0 bash "$root/$script" --help
  grep -q -- --no-install "$scratch/out" || fail "expected the help of $script to explain --no-install"
done
for mistake in --colour '--sanitize memory' '--repeat 0' --repeat; do
  # shellcheck disable=SC2086 # two words on purpose
  expect 2 bash "$root/tests/run.sh" $mistake
  (( $(wc -l < "$scratch/err") == 1 )) || fail "expected one line"
done

for mistake in --colour '--only speed' --only '--folder nowhere'; do
  # shellcheck disable=SC2086 # two words on purpose
  expect 2 bash "$root/bench/run.sh" $mistake
  (( $(wc -l < "$scratch/err") == 1 )) || fail "expected one line"
done

# A system that lacks all packages and has an apt-get that must not be called.
mkdir bin
printf '#!/bin/sh\nexit 1\n' > bin/dpkg-query
printf '#!/bin/sh\ntouch "%s/installed"\n' "$scratch" > bin/apt-get
cp bin/apt-get bin/sudo
chmod +x bin/*
for script in cmake/install_packages.sh samples/quickstart.sh tests/run.sh bench/run.sh; do
  expect 1 env "PATH=$scratch/bin:$PATH" bash "$root/$script" --no-install
  grep -q libcaf-dev "$scratch/err" || fail "expected $script to name libcaf-dev"
done
[[ ! -e $scratch/installed ]] || fail "expected nothing to be installed"
expect 0 env "PATH=$scratch/bin:$PATH" bash "$root/cmake/install_packages.sh"
[[ -e $scratch/installed ]] || fail "expected the missing packages to be installed"
grep -q libcaf-dev "$scratch/out" || fail "expected to be told what is installed"

printf '#!/bin/sh\nprintf installed\n' > bin/dpkg-query
expect 0 env "PATH=$scratch/bin:$PATH" bash "$root/cmake/install_packages.sh" --no-install
