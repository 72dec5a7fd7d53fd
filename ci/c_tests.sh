#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Builds the C tests against the header, with the static and the shared library, and runs them.
# CARRICK_CFLAGS are more flags for the compiler, CARRICK_RUN is a command to put before each program, CARRICK_LINKING
# names the kinds of library (static shared), CARRICK_PROGRAMS the programs (all), CARRICK_PANICS=no leaves the injected panics out, CARRICK_PROFILE the profile of cargo (release).
set -euo pipefail
cd "$(dirname "$0")/.."
profile=${CARRICK_PROFILE:-release}
target=${CARGO_TARGET_DIR:-target}/$profile
[ "$profile" = debug ] && flag=() || flag=(--profile "$profile")
cargo build -q -p carrick-ffi "${flag[@]}"
build=${CARRICK_BUILD:-build/c}
mkdir -p "$build"
cp "$target/libcarrick_c.so" "$build/libcarrick.so.0"
ln -sf libcarrick.so.0 "$build/libcarrick.so"
cp "$target/libcarrick_c.a" "$build/libcarrick.a"
export CARRICK_VECTORS=$PWD/tests/vectors
warnings=(-Wall -Wextra -Werror -pedantic)
.venv/bin/python tests/c/calls.py null include/carrick.h > "$build/null_alone.c"
.venv/bin/python tests/c/calls.py panic include/carrick.h > "$build/panics.c"
.venv/bin/python tests/c/null_calls.py include/carrick.h > "$build/null_calls.c"

# usage: run PROGRAM LINKING LIBRARIES...
run() {
    local program=$1 linking=$2 source=tests/c/$1.c
    shift 2
    [ -e "$source" ] || source=$build/$program.c
    # shellcheck disable=SC2086
    ${CARRICK_CC:-cc} -std=c99 -g -O1 "${warnings[@]}" ${CARRICK_CFLAGS:-} -Iinclude -Itests/c "$source" \
        tests/c/harness.c tests/c/subjects.c -o "$build/$program-$linking" "$@"
    echo "== C tests: $program, $linking library"
    # shellcheck disable=SC2086
    ${CARRICK_RUN:-} "$build/$program-$linking"
}
programs=(sockets messages gate queue sync forks name signals process contract vectors hostile null_calls null_alone)
[ -n "${CARRICK_PROGRAMS:-}" ] && read -ra programs <<< "$CARRICK_PROGRAMS"
# CARRICK_WITHOUT names a program that the tool at hand cannot run.
kept=()
for program in "${programs[@]}"; do
    [ "$program" = "${CARRICK_WITHOUT:-}" ] || kept+=("$program")
done
programs=("${kept[@]}")
for linking in ${CARRICK_LINKING:-static shared}; do
    libraries=("$build/libcarrick.a" -lpthread -ldl -lm)
    [ "$linking" = shared ] && libraries=(-L"$build" -lcarrick -lpthread "-Wl,-rpath,$(cd "$build" && pwd)")
    for program in "${programs[@]}"; do
        run "$program" "$linking" "${libraries[@]}"
    done
done
# The same library with a switch that makes the next call panic; its name keeps it apart from what is shipped.
if [ "${CARRICK_PANICS:-yes}" = yes ]; then
    cargo build -q -p carrick-ffi "${flag[@]}" --features panic-test --example carrick_panic_test
    run panics panic-test "$target/examples/libcarrick_panic_test.a" -lpthread -ldl -lm
fi

printf '#include "carrick.h"\n' > "$build/header.cc"
c++ -std=c++11 "${warnings[@]}" -Iinclude -fsyntax-only "$build/header.cc"
.venv/bin/python tests/c/calls.py names include/carrick.h > "$build/header.names"
nm -D --defined-only "$build/libcarrick.so.0" | awk '{print $3}' | LC_ALL=C sort > "$build/library.names"
if ! diff "$build/header.names" "$build/library.names" >&2; then
    echo "the header (<) and the shared library (>) have different names" >&2
    exit 1
fi
