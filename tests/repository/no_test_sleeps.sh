#!/usr/bin/env bash
# A test that sleeps is slow where the machine is fast and red where it is slow: tests move the actor
# clock or wait for what they want to see.
set -euo pipefail

root=$1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

sleepers() {
  grep -rnE --include='*.cpp' --include='*.hpp' --include='*.sh' --exclude=no_test_sleeps.sh \
    'sleep_(for|until)|(^|[^_[:alnum:]])(u|nano|clock_nano)?sleep($|[[:space:]]+[0-9$"]|[[:space:]]*\()' "$1"
}

planted=('std::this_thread::sleep_for(10ms);' '  usleep(10);' 'nanosleep (&t, nullptr);' '  ::sleep(1);')
for line in "${planted[@]}"; do
  echo "$line" > "$scratch/planted_test.cpp"
  sleepers "$scratch" > /dev/null || { echo "expected this to be found: $line"; exit 1; }
done
echo 'sleep 1' > "$scratch/planted.sh"
sleepers "$scratch" | grep -q planted.sh || { echo "expected sleep in a script to be found"; exit 1; }
echo 'TEST_CASE("a node that sleeps is lost") { sleeper s; }' > "$scratch/planted_test.cpp"
rm "$scratch/planted.sh"
if sleepers "$scratch"; then echo "expected the word alone to be allowed"; exit 1; fi

if sleepers "$root/tests"; then
  echo "expected no test to sleep, found the lines above"
  exit 1
fi
