// SPDX-License-Identifier: MIT OR Apache-2.0
//! Gives the shared library its SONAME, whose number is the ABI's.

fn main() {
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libcarrick.so.0");
    println!("cargo:rerun-if-changed=build.rs");
}
