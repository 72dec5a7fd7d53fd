#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# The tests of the Python face, on the interpreter of .venv and on each of 3.11 to 3.15 that this machine has;
# ci/newer_pythons.sh makes 3.14 and 3.15. ci/setup.sh has run: the package is in .venv and in build/site.
# usage: ci/python_tests.sh [options of pytest]
# CARRICK_PYTHON names the interpreter to use in place of .venv's; CARRICK_SITE a folder with the package, in place
# of what that interpreter has; CARRICK_PYTHONS=first leaves the other interpreters out.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${CARRICK_PYTHON:-.venv/bin/python}
site=${CARRICK_SITE:-build/site}
options=(-c python/pyproject.toml --rootdir . --quiet tests/python "$@")

echo "== $("$python" --version), with all tests"
if [ -n "${CARRICK_SITE:-}" ]; then
    PYTHONPATH=$site timeout --kill-after=10 1500 "$python" -m pytest "${options[@]}"
else
    timeout --kill-after=10 1500 "$python" -m pytest "${options[@]}"
fi
[ "${CARRICK_PYTHONS:-all}" = all ] || exit 0

# A stock interpreter has no pytest of its own; this one is for all of them, being Python only.
if [ ! -d build/pytest/pytest ]; then
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --target build/pytest "pytest>=8"
fi
tested=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
.venv/bin/python - "$tested" > build/pythons.txt << 'EOF'
import sys
sys.path.insert(0, "tests/cross")
import interpreters
for minor, one in interpreters.one_per_minor(interpreters.discover()).items():
    if one.version >= (3, 11) and minor != sys.argv[1]:
        print(one.executable)
EOF
# Two at a time: a suite waits more than it computes. What each prints comes whole.
others=()
while read -r other; do
    while [ "$(jobs -rp | wc -l)" -ge 2 ]; do
        wait -n || true
    done
    log=build/pytest/log.${#others[@]}
    rm -f "$log.code"
    {
        code=0
        PYTHONPATH=$site:build/pytest timeout --kill-after=10 1500 "$other" -m pytest "${options[@]}" \
            > "$log" 2>&1 < /dev/null || code=$?
        echo "$code" > "$log.code"
    } &
    others+=("$log $other")
done < build/pythons.txt
wait
failed=0
for one in ${others[@]+"${others[@]}"}; do
    read -r log other <<< "$one"
    echo "== $("$other" --version), stock"
    cat "$log"
    [ "$(cat "$log.code")" = 0 ] || failed=1
done
exit $failed
