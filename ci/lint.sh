#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Formats, warnings and generated files; ci/setup.sh has run.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo fmt --all --check
cargo clippy --quiet --workspace --all-targets -- -D warnings
RUSTDOCFLAGS="-D warnings" cargo doc --quiet --no-deps -p carrick
bash ci/header.sh
bash ci/python_lint.sh
