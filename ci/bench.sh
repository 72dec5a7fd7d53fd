#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Builds and runs the benchmarks, prints the table of targets and results, and writes docs/benchmarks.md, docs/curves.md,
# the plots docs/bench-*.svg and build/bench.json. No time is asserted: only a benchmark that does not work fails.
#
#   ci/bench.sh [--quick] [--only ROW] [--rounds N] [--plot]
#
# --quick takes some seconds, shows only that everything works, and leaves docs/ alone.
set -euo pipefail
cd "$(dirname "$0")/.."

ci/setup.sh

quick=
for argument in "$@"; do
    [ "$argument" = --quick ] && quick=yes
done
if [ -z "$quick" ] && ! .venv/bin/python -c 'import matplotlib' 2> /dev/null; then
    .venv/bin/python -m pip install --quiet --disable-pip-version-check 'matplotlib>=3.8,<4'
fi

if ! .venv/bin/python -c 'import faster_fifo' 2> /dev/null; then
    .venv/bin/python -m pip install --quiet --disable-pip-version-check 'faster-fifo==1.5.2' \
        || echo "bench: LEFT OUT: faster-fifo, which could not be installed" >&2
fi

for peers in rust channels; do
    cargo build --quiet --release --locked --manifest-path "benches/peers/$peers/Cargo.toml" --target-dir target/peers
done

peer() { # header, program, package
    if echo "#include <$1>" | cc -E -x c - > /dev/null 2>&1; then
        programs+=("$2")
    else
        rm -f "build/bench/$2"
        echo "bench: LEFT OUT: $2, for want of <$1>: install it with: apt-get install $3" >&2
    fi
}
programs=()
peer uv.h uv_server libuv1-dev
peer nng/nng.h nng_peer libnng-dev
peer zmq.h zmq_peer libzmq3-dev
make --silent -C benches/peers/c OUT="$PWD/build/bench" CARGO_TARGET="$PWD/target/release" \
    all "${programs[@]/#/$PWD/build/bench/}"

exec .venv/bin/python benches/bench.py "$@"
