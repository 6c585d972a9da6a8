#!/usr/bin/env bash
# bench/report.py on the small figures beside this file: the report must be expected.txt, every plot a
# well-formed picture with a bar for each figure, and what is no figures must be refused in one line.
set -euo pipefail

root=$1
figures=$root/tests/bench/figures
python=/usr/bin/python3
[[ -x $python ]] || { echo "skipped: no $python"; exit 77; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
fail() { echo "$1"; exit 1; }
report() { "$python" "$root/bench/report.py" --folder "$scratch" --commit 1a2b3c4 --date 2026-01-31 "$@" 2> "$scratch/err"; }

report --quick "$figures"/{wire,train,unheard_of,failed}.json || fail "$(cat "$scratch/err")"
diff "$figures/expected.txt" "$scratch/RESULTS.md" || fail "expected the report above"
[[ $(ls "$scratch/plots") == $'train.svg\nwire.svg' ]] || fail "expected two plots, found $(ls "$scratch/plots")"

"$python" - "$scratch" << 'END' || fail "expected plots and results as above"
import json, sys, xml.etree.ElementTree as xml
folder = sys.argv[1]
svg = "{http://www.w3.org/2000/svg}"
def bars(file):
    picture = xml.parse(f"{folder}/plots/{file}").getroot()  # raises where it is not well-formed
    texts = [t.text for t in picture.iter(svg + "text")]
    widths = [float(r.get("width")) for r in picture.iter(svg + "rect") if r.get("fill") != "white"]
    return texts, widths
texts, widths = bars("train.svg")
assert "784-64-10, PyTorch, DDP <2 processes>" in texts and "90,000" in texts, texts
assert len(widths) == 2 and abs(widths[0] / widths[1] - 90000 / 40000) < 0.01, widths
texts, widths = bars("wire.svg")
assert "shared memory, both" in texts and "1.80" in texts, texts
assert len(widths) == 2 and abs(widths[0] / widths[1] - 0.4 / 1.8) < 0.01, widths
results = json.load(open(f"{folder}/results.json"))
assert results["commit"] == "1a2b3c4" and results["date"] == "2026-01-31" and results["quick"] is True
assert [b["benchmark"] for b in results["benchmarks"]] == ["wire", "train", "unheard_of", "hogwild"]
assert "/somewhere" not in json.dumps(results), "where a file lay for a moment is no result"
END

# The same again is the same again, and without --quick it says so.
cp "$scratch/plots/train.svg" "$scratch/before.svg"
report "$figures/train.json"
cmp "$scratch/before.svg" "$scratch/plots/train.svg" || fail "expected the same plot of the same figures"
! grep -q -- --quick "$scratch/RESULTS.md" || fail "expected a report that is not of the quick form"

refused() {
  local code=0
  report "${@:2}" || code=$?
  (( code == $1 )) || fail "expected exit code $1 of ${*:2}, found $code: $(cat "$scratch/err")"
}
echo '{"benchmark": "wire", "rows": [' > "$scratch/torn.json"
echo '[1, 2]' > "$scratch/list.json"
for file in torn list missing; do
  refused 1 "$scratch/$file.json"
  (( $(wc -l < "$scratch/err") == 1 )) && grep -q "$file.json" "$scratch/err" || fail "expected one line that names $file.json"
done
refused 2 # no file
refused 2 --colour "$figures/wire.json"
