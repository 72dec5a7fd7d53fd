#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Runs the tests of the core and of the C face: unit, integration and doc tests, under a watchdog.
# usage: ci/rust_tests.sh [ARGUMENTS OF cargo test...]   CARRICK_TEST_LIMIT=SECONDS changes the limit.
set -euo pipefail
cd "$(dirname "$0")/.."
limit=${CARRICK_TEST_LIMIT:-900}
# Building is not what the watchdog is for.
cargo test -q -p carrick -p carrick-ffi --no-run "$@"
status=0
timeout --kill-after=10 "$limit" cargo test -q -p carrick -p carrick-ffi "$@" || status=$?
if [ "$status" = 124 ] || [ "$status" = 137 ]; then
    echo "the Rust tests did not end within $limit s" >&2
fi
exit "$status"
