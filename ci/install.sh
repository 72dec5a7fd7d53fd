#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Installs the C face: header, shared and static library, pkg-config file, CMake package.
# usage: ci/install.sh PREFIX
# DESTDIR is put before PREFIX while copying, for makers of packages; LIBDIR is the folder of the libraries
# below PREFIX (lib). CARRICK_PROFILE is the profile of cargo (release).
set -euo pipefail
cd "$(dirname "$0")/.."
if [ $# -ne 1 ] || [ -z "$1" ]; then
    echo "usage: ci/install.sh PREFIX (with make: make install PREFIX=/usr/local)" >&2
    exit 2
fi
prefix=$1
case $prefix in
    *[[:space:]]*) echo "install: a prefix with white space is not possible: pkg-config files cannot say it" >&2; exit 2 ;;
    /*) ;;
    *) prefix=$PWD/$prefix ;;
esac
libdir=${LIBDIR:-lib}
profile=${CARRICK_PROFILE:-release}
out=${CARGO_TARGET_DIR:-target}/$profile
flag=(--profile "$profile")
[ "$profile" != debug ] || flag=()
cargo build --quiet "${flag[@]}" -p carrick-ffi

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
[ -n "$version" ] || { echo "install: no version in Cargo.toml" >&2; exit 1; }
abi=$(sed -n 's/.*libcarrick\.so\.\([0-9]*\).*/\1/p' ffi/build.rs | head -1)
root=${DESTDIR:-}$prefix
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The static library as cargo makes it shows every name of Rust's standard library, which clash when a program
# links a second Rust library. One object with only carrick's names global does not.
exports=$(nm -g --defined-only "$out/libcarrick_c.so" -D | awk '{print $3}')
keep=()
for name in $exports; do keep+=(-u "$name"); done
ld -r --gc-sections "${keep[@]}" "$out/libcarrick_c.a" -o "$work/carrick.o"
# The standard library's bitcode goes too: no linker needs it, and other versions of LLVM's plugins choke on it.
objcopy --wildcard --keep-global-symbol='carrick_*' --remove-section=.llvmbc --remove-section=.llvmcmd \
    "$work/carrick.o"
(cd "$work" && ar rcsD libcarrick.a carrick.o)

mkdir -p "$root/include" "$root/$libdir/pkgconfig" "$root/$libdir/cmake/carrick"
install -m 644 include/carrick.h "$root/include/carrick.h"
install -m 755 "$out/libcarrick_c.so" "$root/$libdir/libcarrick.so.$version"
ln -sfn "libcarrick.so.$version" "$root/$libdir/libcarrick.so.$abi"
ln -sfn "libcarrick.so.$abi" "$root/$libdir/libcarrick.so"
install -m 644 "$work/libcarrick.a" "$root/$libdir/libcarrick.a"
fill() {
    sed -e "s|@PREFIX@|$prefix|g" -e "s|@LIBDIR@|$libdir|g" -e "s|@VERSION@|$version|g" -e "s|@ABI@|$abi|g" \
        "ci/install/$1" > "$work/filled"
    install -m 644 "$work/filled" "$root/$libdir/$2"
}
fill carrick.pc.in pkgconfig/carrick.pc
fill carrickConfig.cmake.in cmake/carrick/carrickConfig.cmake
fill carrickConfigVersion.cmake.in cmake/carrick/carrickConfigVersion.cmake
echo "carrick $version (ABI $abi) is installed under $root"
[ -n "${DESTDIR:-}" ] || echo "so that programs find it: run ldconfig as root, or link them with -Wl,-rpath,$prefix/$libdir"
