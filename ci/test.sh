#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# All tests, each step under a watchdog; ci/setup.sh has run. A step that fails does not keep the others from
# running; their names are printed at the end.
set -uo pipefail
cd "$(dirname "$0")/.."

failed=()
passed=0
run() { # NAME SECONDS COMMAND...
    local name=$1 seconds=$2 started=$SECONDS code=0
    shift 2
    printf '\n=== %s\n' "$name"
    timeout --kill-after=10 "$seconds" "$@" || code=$?
    printf '=== %s: %d s\n' "$name" $((SECONDS - started))
    return $code
}
count() { # NAME CODE
    if [ "$2" = 0 ]; then
        passed=$((passed + 1))
    else
        failed+=("$1")
    fi
}
step() {
    run "$@"
    count "$1" $?
}

step "Rust: units, vectors, properties, hostile peers, doc examples" 900 bash ci/rust_tests.sh
step "C: both libraries, and a panic in every call" 600 bash ci/c_tests.sh
step "C: the examples of the documentation" 300 bash ci/c_docs_test.sh
step "Python: the package on every version found" 3000 bash ci/python_tests.sh
# CPython's tests take longer than the four steps beside them. Their output comes whole, at the end.
conformance="CPython's own tests on carrick"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
run "$conformance" 2700 bash ci/conformance.sh > "$log" 2>&1 < /dev/null &
beside=$!
step "Examples in Python, C and Rust" 600 bash ci/examples.sh
step "The course on the standard library and on carrick" 660 bash ci/course.sh
step "Installation: pkg-config, CMake, a path dependency" 600 bash ci/install_test.sh
step "The scenario matrix" 900 bash ci/matrix.sh
wait "$beside"
code=$?
cat "$log"
count "$conformance" $code

printf '\n'
for name in ${failed[@]+"${failed[@]}"}; do
    printf 'FAILED: %s\n' "$name"
done
printf '%d passed, %d failed\n' "$passed" "${#failed[@]}"
[ "${#failed[@]}" -eq 0 ]
