#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# The scripts of the course on the standard library and on carrick, compared; ci/setup.sh has run.
# usage: ci/course.sh [options of pytest]   PYTHON names an interpreter that has pytest and carrick.
set -euo pipefail
cd "$(dirname "$0")/.."
exec timeout --kill-after=10 600 "${PYTHON:-.venv/bin/python}" -m pytest -c python/pyproject.toml --rootdir . --quiet \
    tests/course "$@"
