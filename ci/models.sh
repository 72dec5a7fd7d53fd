#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Models of locks, semaphores, conditions, events, barriers and the queue's commit: loom tries every interleaving.
set -euo pipefail
cd "$(dirname "$0")/.."
RUSTFLAGS="--cfg loom" exec timeout --kill-after=10 900 \
    cargo test --quiet --release -p carrick --lib --target-dir "${CARGO_TARGET_DIR:-target}/loom" models
