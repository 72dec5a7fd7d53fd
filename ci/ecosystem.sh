#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Programs and test suites of other projects on the standard library and on carrick, side by side (docs/ecosystem.md).
# They come from PyPI, pinned in tests/ecosystem/*.txt, into build/ecosystem. Arguments: those of tests/ecosystem/run.py.
set -euo pipefail
cd "$(dirname "$0")/.."
exec .venv/bin/python tests/ecosystem/run.py "$@"
