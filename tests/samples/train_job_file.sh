#!/usr/bin/env bash
# Trains a job file and checks how it ended: train_job_file.sh PROGRAM JOB.toml ACCURACY
# Exits with 77, which ctest shows as skipped, where the job's data are not on this machine.
set -euo pipefail

program=$1 job=$2 accuracy=$3
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
fail() { echo "$1"; exit 1; }

folder=$(dirname -- "$job")
while IFS= read -r data; do
  [[ -e $folder/$data ]] || { echo "skipped: $folder/$data is not here"; exit 77; }
done < <(sed -nE 's/^(images|labels|file) *= *"([^"]*)".*/\2/p' "$job")

cd "$scratch" # paths in a job file are relative to the file, not to where it is run
"$program" train "$job" --run run --events events.jsonl
[[ -s run/model.troupe ]] || fail "expected a model in the run folder"
last=$(tail -n 1 events.jsonl)
[[ $last == '{"event":"finished",'* ]] || fail "expected the last event to be finished, found: $last"
reached=$(sed -nE 's/.*"held_out_accuracy":([0-9.]+).*/\1/p' <<< "$last")
awk -v reached="$reached" -v accuracy="$accuracy" 'BEGIN { exit !(reached != "" && reached >= accuracy) }' ||
  fail "expected a held-out accuracy of at least $accuracy, found '$reached'"
