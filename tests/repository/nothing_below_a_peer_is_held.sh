#!/usr/bin/env bash
# What a peer is made of stays inside transport/: the rest of the project holds peers.
set -euo pipefail

root=$1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

holders() {
  (cd "$1" && grep -rnE --exclude-dir=build --include='*.hpp' --include='*.cpp' \
    '#include "troupe/transport/(outbound_queue|owed_credit)\.hpp"|(^|[^_[:alnum:]])(outbound_queue|owed_credit)([^_[:alnum:]]|$)' . |
    grep -vE '^\./(tests/)?transport/')
}

mkdir -p "$scratch/actors" "$scratch/transport" "$scratch/tests/transport"
echo 'transport::outbound_queue out;' > "$scratch/actors/worker.cpp"
holders "$scratch" > /dev/null || { echo "expected a queue in actors/ to be found"; exit 1; }
mv "$scratch/actors/worker.cpp" "$scratch/transport/peer.hpp"
echo 'owed_credit owed;' > "$scratch/tests/transport/peer_test.cpp"
if holders "$scratch"; then echo "expected transport/ and its tests to be allowed"; exit 1; fi

if holders "$root"; then
  echo "expected peers and nothing below them, found the lines above"
  exit 1
fi
