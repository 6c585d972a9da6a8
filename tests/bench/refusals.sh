#!/usr/bin/env bash
# Wrong arguments of bench_train: exit code 2, the mistake named, and nothing run.
set -euo pipefail

train=$1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# refused WORD COMMAND...: WORD must be in what is said
refused() {
  local code=0
  "${@:2}" > "$scratch/out" 2> "$scratch/err" || code=$?
  (( code == 2 )) || { echo "expected exit code 2 of ${*:2}, found $code"; cat "$scratch/err"; exit 1; }
  grep -qF -- "$1" "$scratch/err" || { echo "expected '$1' of ${*:2}, found"; cat "$scratch/err"; exit 1; }
  [[ ! -s $scratch/out ]] || { echo "expected ${*:2} to do nothing"; cat "$scratch/out"; exit 1; }
}

refused --colour "$train" --colour red
refused --rounds "$train" --rounds
refused "Value 0 not in range 1 to 1000" "$train" --rounds 0
refused "Value 3x not in range 1 to 1000" "$train" --epochs 3x
refused "bulk not in {async" "$train" --modes async,bulk
refused "mars" "$train" --places mars
refused "Value 3 not in range 1 to 2" "$train" --workers 3
refused "from 784 to 10" "$train" --models 784-64
refused "something to run" "$train" --replicas 2 --places one
