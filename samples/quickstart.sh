#!/usr/bin/env bash
set -euo pipefail

usage='samples/quickstart.sh [--no-install] [ARGUMENT OF troupe train]...

Builds Troupe and trains a network on generated digits (samples/digits.toml) with a scheduler, two
parameter shards and two workers, each in a process of its own. The run folder, runs/digits-N, is made
in the current folder.

  --no-install   refuse, naming them, when Debian packages are missing, instead of installing them
  --help         this text

Everything else goes to troupe train, for example --set train.consistency=bsp --set cluster.workers=4.'

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
install=()
arguments=()
for argument in "$@"; do
  case $argument in
    --help | -h) echo "$usage"; exit 0 ;;
    --no-install) install=(--no-install) ;;
    *) arguments+=("$argument") ;;
  esac
done

"$root/cmake/build_preset.sh" release --target troupe "${install[@]}"
echo "== build/release/bin/troupe train samples/digits.toml ${arguments[*]}"
exec "$root/build/release/bin/troupe" train "$root/samples/digits.toml" "${arguments[@]}"
