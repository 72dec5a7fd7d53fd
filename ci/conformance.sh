#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# CPython's own tests on carrick, on those of 3.11, 3.12 and 3.13 that this machine has: all of _test_multiprocessing on
# 3.11 and 3.13, and what is about connections and processes on 3.12. With arguments: those of tests/conformance/run.py.
set -euo pipefail
cd "$(dirname "$0")/.."
run() {
    .venv/bin/python tests/conformance/run.py --carrick-path build/site \
        --json build/conformance.json "$@"
}
if [ $# -gt 0 ]; then
    run "$@"
    exit
fi
# A class takes 70 s at the most.
run --versions 3.12
run --versions 3.11,3.13 --groups connection,process,around,rest --jobs 4 --timeout 150
