#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# The Python code: style and formats by ruff, types by mypy and, where it runs, pyright; the stubs against what
# is really there by stubtest. ci/setup.sh has run.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=.venv/bin
folders=()
for folder in python tests benches examples demo; do
    [ ! -d "$folder" ] || folders+=("$folder")
done
"$tools/ruff" check --quiet "${folders[@]}"
"$tools/ruff" format --check --quiet "${folders[@]}" || {
    echo "python_lint: not formatted: run $tools/ruff format ${folders[*]}" >&2
    exit 1
}
cd python
tools=../$tools
"$tools/mypy"
# pyright needs node, which PyPI has not; its absence is no fault.
if [ -x "$tools/pyright" ] && "$tools/pyright" --version > /dev/null 2>&1; then
    "$tools/pyright" -p . --pythonpath "$tools/python" --warnings
fi
# stubtest imports the package that ci/setup.sh installed, and reads the stubs here.
PYTHONPATH=../build/site MYPYPATH=. "$tools/stubtest" carrick --mypy-config-file pyproject.toml --allowlist stubtest_allowlist.txt
