#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# CPython's own tests on carrick, on those of 3.11 to 3.15 that this machine has; ci/newer_pythons.sh makes 3.14 and 3.15.
# With arguments: those of tests/conformance/run.py.
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
# A class takes 70 s at the most; most of that it waits.
run --groups connection,process,around,rest --jobs 4 --timeout 150
