#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Builds the Rust and the C peer and runs both scenario matrices, of shared memory (tests/cross/shared.py) and of
# connections (tests/cross/README.md); prints them.
# usage: ci/matrix.sh [options of tests/cross/matrix.py]
# CARRICK_SITE is a folder with the installed Python package; without it build/site of ci/setup.sh.
# CARRICK_PROFILE is the profile of cargo (release).
set -euo pipefail
cd "$(dirname "$0")/.."
profile=${CARRICK_PROFILE:-release}
out=${CARGO_TARGET_DIR:-target}/$profile
flag=(--profile "$profile")
[ "$profile" != debug ] || flag=()
site=${CARRICK_SITE:-build/site}
if [ ! -d "$site/carrick" ]; then
    echo "matrix: $site has no package carrick: run ci/setup.sh, or set CARRICK_SITE" >&2
    exit 1
fi
cargo build --quiet "${flag[@]}" -p carrick-ffi
cargo build --quiet "${flag[@]}" -p carrick --example peer --example actor
mkdir -p build/cross
cc -std=c99 -O2 -Wall -Wextra -Werror -pedantic -Iinclude tests/cross/peer.c -o build/cross/peer \
    "$out/libcarrick_c.a" -lpthread -ldl -lm
cc -std=c99 -O2 -Wall -Wextra -Werror -pedantic -Iinclude tests/cross/actor.c -o build/cross/actor \
    "$out/libcarrick_c.a" -lpthread -ldl -lm
python=$PWD/.venv/bin/python
PYTHONPATH=$(cd "$site" && pwd) "$python" tests/cross/shared.py "Rust=$PWD/$out/examples/actor" "C=$PWD/build/cross/actor" \
    "Python=$python"$'\x1f'"$PWD/tests/cross/actor.py"
CARRICK_PEER_RUST=$PWD/$out/examples/peer CARRICK_PEER_C=$PWD/build/cross/peer \
    .venv/bin/python tests/cross/matrix.py --carrick-path "$(cd "$site" && pwd)" --require stock,carrick,rust,c "$@"
