#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Compiles every C example of docs/c-api.md and README.md, as C99 and as C++11 where it is a program, and runs the
# programs. An example without a main is the inside of a function, or functions. CARRICK_PROFILE as in ci/c_tests.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
profile=${CARRICK_PROFILE:-release}
target=${CARGO_TARGET_DIR:-target}/$profile
flag=(--profile "$profile")
[ "$profile" != debug ] || flag=()
cargo build --quiet "${flag[@]}" -p carrick-ffi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
warnings=(-Wall -Wextra -Werror -pedantic -Iinclude)
libraries=("$target/libcarrick_c.a" -lpthread -ldl -lm)
count=0
for page in docs/c-api.md README.md; do
    [ -e "$page" ] || continue
    awk -v out="$work/$(basename "$page" .md)" '
        /^```c$/ { inside = 1; name = sprintf("%s-%03d.c", out, ++n); line = NR; next }
        /^```/ { inside = 0; next }
        inside { print > name }' "$page"
done
for example in "$work"/*.c; do
    [ -e "$example" ] || { echo "c_docs_test: no example found" >&2; exit 1; }
    if grep -q '^int main' "$example"; then
        cc -std=c99 "${warnings[@]}" "$example" -o "$work/program" "${libraries[@]}"
        timeout 60 "$work/program" > "$work/output" || { echo "$example ended with $?: "; cat "$work/output"; exit 1; }
        cp "$example" "$work/example.cc"
        c++ -std=c++11 "${warnings[@]}" -fsyntax-only "$work/example.cc"
    else
        { printf '#include <carrick.h>\n#include <string.h>\nvoid example(void);\nvoid example(void)\n{\n'
          cat "$example"; printf '}\n'; } > "$work/inside.c.part"
        # Or functions, which the text around them calls.
        { printf '#include <carrick.h>\n#include <string.h>\n'; cat "$example"; } > "$work/functions.c.part"
        cc -std=c99 "${warnings[@]}" -fsyntax-only -x c "$work/inside.c.part" 2> "$work/errors" ||
            cc -std=c99 "${warnings[@]}" -Wno-unused-function -fsyntax-only -x c "$work/functions.c.part" ||
            { cat "$work/errors"; exit 1; }
    fi
    count=$((count + 1))
done
echo "$count examples of the C pages compile, and their programs run"
[ "$count" -ge 3 ]
