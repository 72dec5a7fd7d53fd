#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Processes that share queues are killed at random instants for CARRICK_SOAK seconds; prints what became of the items.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${CARRICK_SOAK:=600}"
export CARRICK_SOAK CARRICK_WATCHDOG=$((CARRICK_SOAK + 60))
exec timeout --kill-after=10 $((CARRICK_SOAK + 300)) \
    cargo test --quiet --release -p carrick --test kills -- --nocapture --test-threads=1
