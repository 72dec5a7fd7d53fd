#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# The scripts of the course on the standard library and on carrick, compared; ci/setup.sh has run. On .venv's interpreter
# and, side by side with it, on those of 3.14 and 3.15 that ci/newer_pythons.sh has made, whose default is the fork server.
# usage: ci/course.sh [options of pytest]   PYTHON names an interpreter that has pytest and carrick, the only one then.
set -euo pipefail
cd "$(dirname "$0")/.."
options=(-c python/pyproject.toml --rootdir . --quiet tests/course "$@")
if [ -n "${PYTHON:-}" ]; then
    exec timeout --kill-after=10 600 "$PYTHON" -m pytest "${options[@]}"
fi
others=()
for other in "${CARRICK_NEWER_PYTHONS:-/var/cache/carrick-pythons}"/bin/python3.*; do
    # ci/python_tests.sh makes build/pytest, a pytest for all interpreters.
    [ -x "$other" ] && [ -d build/pytest/pytest ] || continue
    log=build/pytest/course.${#others[@]}
    PYTHONPATH=build/site:build/pytest timeout --kill-after=10 600 "$other" -m pytest "${options[@]}" > "$log" 2>&1 < /dev/null &
    others+=("$! $log $other")
done
failed=0
timeout --kill-after=10 600 .venv/bin/python -m pytest "${options[@]}" || failed=1
for one in ${others[@]+"${others[@]}"}; do
    read -r pid log other <<< "$one"
    wait "$pid" || failed=1
    echo "== $other"
    cat "$log"
done
exit $failed
