#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# The header: it is what the sources say, C99 and C++11 without a warning, and each item of it has the contract's words.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo run --quiet -p carrick-header -- --check
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf '#include "carrick.h"\nint main(void) { return (int)carrick_abi_version(); }\n' > "$work/header.c"
cp "$work/header.c" "$work/header.cc"
warnings=(-Wall -Wextra -Werror -pedantic -fsyntax-only -Iinclude)
for standard in c99 c11; do cc "-std=$standard" "${warnings[@]}" "$work/header.c"; done
for standard in c++11 c++17; do c++ "-std=$standard" "${warnings[@]}" "$work/header.cc"; done
.venv/bin/python tests/c/header_words.py include/carrick.h
