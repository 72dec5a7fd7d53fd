#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# CPython's own tests on carrick, on those of 3.11, 3.12 and 3.13 that this machine has.
set -euo pipefail
cd "$(dirname "$0")/.."
exec .venv/bin/python tests/conformance/run.py --carrick-path build/site --cache build/conformance \
    --json build/conformance.json "$@"
