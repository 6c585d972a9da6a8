#!/usr/bin/env bash
set -euo pipefail

usage='bench/run.sh [--quick] [--only NAME]... [--folder DIR] [--no-install]

Builds and runs the benchmarks and writes results.json, RESULTS.md and plots/*.svg into bench/. Takes about
an hour; quote no figure of a machine that did something else meanwhile.

  --quick        few and short rounds: done in 10 minutes, once everything is built
  --only NAME    only this benchmark; may be given again: wire compute bf16 train hogwild replication
                 recording scale
  --folder DIR   write there instead
  --no-install   refuse, naming them, when Debian packages are missing, instead of installing them
  --help         this text

What PyTorch is compared with says SKIPPED where python3-torch is not installed. A benchmark that fails is
named in RESULTS.md, the others go on, and the exit code is 1.'

refuse() {
  echo "bench/run.sh: $1; see bench/run.sh --help" >&2
  exit 2
}

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
declare -A full=(
  [wire]='wire --seconds 1'
  [compute]='compute --seconds 0.2 --rounds 7'
  [bf16]='compute --precision bf16 --seconds 0.2 --rounds 7'
  [train]='train'
  [hogwild]='hogwild --rounds 7'
  [replication]='replication --seconds 0.5 --rounds 7 --jobs 7'
  [recording]='recording --pairs 9'
  [scale]='scale'
)
declare -A quick=(
  [wire]='wire --seconds 0.3'
  [compute]='compute --seconds 0.05 --rounds 3'
  [bf16]='compute --precision bf16 --seconds 0.05 --rounds 3 --batch 256'
  [train]='train --rounds 2 --epochs 6 --models 784-512-512-10 --modes async,ssp,hogwild --replicas 1 --places one,shared --plain-peer'
  [hogwild]='hogwild --rounds 3 --seconds 0.3'
  [replication]='replication --seconds 0.2 --rounds 3 --jobs 1'
  [recording]='recording --pairs 3'
  [scale]='scale --rounds 1 --workers 10,100,1000 --batches 2000 --leases 50000 --nodes none'
)
all=(wire compute bf16 train hogwild replication recording scale)

only=()
form=full
how=()
install=()
folder=$root/bench
while (( $# > 0 )); do
  case $1 in
    --help | -h) echo "$usage"; exit 0 ;;
    --quick) form=quick; how=(--quick) ;;
    --no-install) install=(--no-install) ;;
    --only)
      [[ -n ${2-} && -n ${full[$2]-} ]] || refuse "--only: expected one of ${all[*]}, found '${2-}'"
      only+=("$2")
      shift ;;
    --folder)
      [[ -d ${2-} ]] || refuse "--folder: expected a folder, found '${2-}'"
      folder=$(cd -- "$2" && pwd)
      shift ;;
    *) refuse "unknown argument $1" ;;
  esac
  shift
done
(( ${#only[@]} > 0 )) || only=("${all[@]}")

targets=()
for name in "${only[@]}"; do
  words=${full[$name]}
  targets+=(--target "bench_${words%% *}")
done
"$root/cmake/build_preset.sh" release "${install[@]}" "${targets[@]}"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
commit=$(git -C "$root" rev-parse --short HEAD 2> /dev/null || echo unknown)
[[ -z $(git -C "$root" status --porcelain --untracked-files=no 2> /dev/null) ]] || commit+=' with changes'
date=$(date --utc +%Y-%m-%d)

cd "$root"
failed=0
files=()
for name in "${only[@]}"; do
  [[ $name != bf16 ]] || grep -qE 'avx512_bf16|amx_bf16' /proc/cpuinfo || {
    echo "== SKIPPED: bf16 (this processor has no AVX512-BF16 or AMX)"
    continue
  }
  declare -n chosen=$form
  read -ra words <<< "${chosen[$name]}"
  file=$scratch/$name.json
  echo "== build/release/bin/bench_${words[*]}"
  begun=$SECONDS
  "build/release/bin/bench_${words[0]}" "${words[@]:1}" --json "$file" || {
    echo "{\"benchmark\": \"$name\", \"failed\": \"exit code $? of bench_${words[*]}\"}" > "$file"
    failed=1
  }
  echo "== $name: $((SECONDS - begun)) s"
  files+=("$file")
done
(( ${#files[@]} > 0 )) || exit 0
/usr/bin/python3 bench/report.py --folder "$folder" --commit "$commit" --date "$date" "${how[@]}" "${files[@]}"
echo "== $folder/RESULTS.md"
exit "$failed"
