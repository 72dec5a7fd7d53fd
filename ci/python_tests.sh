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

# usage: suite INTERPRETER PYTHONPATH
suite() {
    PYTHONPATH=$2 timeout --kill-after=10 1500 "$1" -m pytest "${options[@]}" < /dev/null
}
if [ "${CARRICK_PYTHONS:-all}" != all ]; then
    echo "== $("$python" --version)"
    suite "$python" "${CARRICK_SITE:-}"
    exit
fi

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
# Three at a time: a suite waits more than it computes. The output of each comes whole.
logs=()
run() {
    while [ "$(jobs -rp | wc -l)" -ge 3 ]; do
        wait -n || true
    done
    local log=build/pytest/log.${#logs[@]}
    rm -f "$log.code"
    {
        code=0
        echo "== $("$1" --version), $3" > "$log"
        suite "$1" "$2" >> "$log" 2>&1 || code=$?
        echo "$code" > "$log.code"
    } &
    logs+=("$log")
}
run "$python" "${CARRICK_SITE:-}" "with all tests"
while read -r other; do
    run "$other" "$site:build/pytest" stock
done < build/pythons.txt
wait
failed=0
for log in "${logs[@]}"; do
    cat "$log"
    [ "$(cat "$log.code")" = 0 ] || failed=1
done
exit $failed
