#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Installs into a folder of its own and uses what is there, outside the repository: pkg-config and CMake, shared and
# static, C and C++, and a Rust program with a path dependency. CARRICK_PROFILE as in ci/install.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
limit=(timeout 120)
warnings=(-Wall -Wextra -Werror -pedantic)

ci/install.sh "$work/prefix"
DESTDIR=$work/stage ci/install.sh /opt/carrick
diff -r --no-dereference "$work/prefix" "$work/stage/opt/carrick" -x carrick.pc
if grep -q "$work" "$work/stage/opt/carrick/lib/pkgconfig/carrick.pc"; then
    echo "install test: DESTDIR is in the pkg-config file" >&2
    exit 1
fi

lib=$work/prefix/lib
for library in "$lib/libcarrick.so:-D" "$lib/libcarrick.a:"; do
    # The second half is an option for nm, or nothing.
    # shellcheck disable=SC2086
    others=$(nm -g --defined-only ${library#*:} "${library%:*}" | awk 'NF == 3 && $3 !~ /^carrick_/ {print $3}')
    if [ -n "$others" ]; then
        echo "install test: ${library%:*} shows names that are not carrick's: $others" >&2
        exit 1
    fi
done
objdump -p "$lib/libcarrick.so" | grep -q 'SONAME *libcarrick.so.0'

mkdir "$work/elsewhere"
cp tests/install/* "$work/elsewhere"
cd "$work/elsewhere"
cp program.c program.cc
if command -v pkg-config > /dev/null; then
    export PKG_CONFIG_PATH=$lib/pkgconfig
    read -r -a cflags <<< "$(pkg-config --cflags carrick)"
    read -r -a libs <<< "$(pkg-config --libs carrick)"
    read -r -a static_libs <<< "$(pkg-config --static --libs carrick)"
    cc -std=c99 "${warnings[@]}" "${cflags[@]}" program.c -o shared "${libs[@]}" "-Wl,-rpath,$lib"
    c++ -std=c++11 "${warnings[@]}" "${cflags[@]}" program.cc -o plusplus "${libs[@]}" "-Wl,-rpath,$lib"
    cc -std=c99 "${warnings[@]}" "${cflags[@]}" program.c -o static -Wl,-Bstatic "${libs[@]}" -Wl,-Bdynamic "${static_libs[@]:2}"
    for program in shared plusplus static; do
        echo "== pkg-config, $program"
        "${limit[@]}" "./$program"
    done
    objdump -p shared | grep -q 'NEEDED *libcarrick.so.0'
    if objdump -p static | grep -q 'NEEDED *libcarrick'; then
        echo "install test: the static program needs the shared library" >&2
        exit 1
    fi
else
    echo "install test: pkg-config is missing, its part is left out: install it with: apt-get install pkg-config"
fi
if command -v cmake > /dev/null; then
    cmake -S . -B cmake -DCMAKE_PREFIX_PATH="$work/prefix" -DCMAKE_C_STANDARD=99 > cmake.log || { cat cmake.log; exit 1; }
    cmake --build cmake > cmake.log || { cat cmake.log; exit 1; }
    for program in shared plusplus static; do
        echo "== CMake, $program"
        "${limit[@]}" "cmake/$program"
    done
else
    echo "install test: cmake is missing, its part is left out: install it with: apt-get install cmake"
fi

echo "== Rust, path dependency"
mkdir -p rust/src
cp program.rs rust/src/main.rs
cp "$root/Cargo.lock" rust/Cargo.lock
cat > rust/Cargo.toml << TOML
[package]
name = "carrick-install-test"
version = "0.0.0"
edition = "2024"

[dependencies]
carrick = { path = "$root/core" }
TOML
target=${CARGO_TARGET_DIR:-$root/target}/install-test
CARGO_TARGET_DIR=$target cargo build --quiet --manifest-path rust/Cargo.toml
"${limit[@]}" "$target/debug/carrick-install-test"
echo "install test: all is well"
