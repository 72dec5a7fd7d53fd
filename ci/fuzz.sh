#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Builds the fuzz targets with stable Rust and runs each for a share of the time.
# usage: ci/fuzz.sh [SECONDS] [TARGET...]   30 s and all targets unless told otherwise
set -euo pipefail
cd "$(dirname "$0")/../fuzz"
seconds=${1:-30}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(frame_decoder challenge answer address shared_memory c_calls)
share=$((seconds / ${#targets[@]}))
[ "$share" -gt 0 ] || share=1
# The compiler flags for libFuzzer; these passes are in stable LLVM, only their names are not in rustc's.
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1"
# With --target the flags are kept from build scripts, which could not be linked with them.
host=$(rustc -vV | sed -n 's/^host: //p')
unset CARGO_TARGET_DIR
cargo build -q --release --locked --target "$host"
failed=0
for target in "${targets[@]}"; do
    mkdir -p "corpus/$target" "artifacts/$target"
    echo "== fuzz: $target, $share s"
    log=artifacts/$target.log
    # The seeds come after the corpus: libFuzzer writes what it finds to the first directory only.
    if timeout --kill-after=10 $((share + 120)) "target/$host/release/$target" \
        -max_total_time="$share" -timeout=25 -rss_limit_mb=2048 -max_len=4096 -len_control=0 -print_final_stats=1 \
        -artifact_prefix="artifacts/$target/" "corpus/$target" "seeds/$target" > "$log" 2>&1; then
        grep -E 'stat::number_of_executed_units' "$log" | sed 's/stat::number_of_executed_units: */   runs: /'
    else
        failed=1
        tail -n 40 "$log" >&2
        echo "$target failed; the input is in fuzz/artifacts/$target/ (see fuzz/README.md)" >&2
    fi
done
exit "$failed"
