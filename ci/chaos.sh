#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Processes that share queues, locks and what is built of them are killed at random instants for CARRICK_SOAK seconds; then
# busy processes in Rust, Python and C fork CARRICK_FORKS times in all (2,000), and every child uses everything.
# Prints what became of them and, with a file as argument, writes that there.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${CARRICK_SOAK:=600}" "${CARRICK_FORKS:=2000}"
started=$SECONDS
shm_before=$(find /dev/shm -maxdepth 1 -name '*carrick*' 2> /dev/null | wc -l)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
half=$(((CARRICK_SOAK + 1) / 2))
for soak in kills kills_sync; do
    CARRICK_SOAK=$half CARRICK_WATCHDOG=$((half + 60)) timeout --kill-after=10 $((half + 300)) \
        cargo test --quiet --release -p carrick --test "$soak" -- --nocapture --test-threads=1 2>&1 | tee -a "$log"
done
forks=$CARRICK_FORKS
limit=$((300 + forks / 10))
export CARRICK_WATCHDOG=$limit CARRICK_TEST_SECONDS=$limit
CARRICK_FORKS=$((forks / 2)) timeout --kill-after=10 "$limit" \
    cargo test --quiet --release -p carrick --test fork_storm -- --nocapture
CARRICK_FORKS=$((forks * 4 / 10)) timeout --kill-after=10 "$limit" \
    .venv/bin/python -m pytest -c python/pyproject.toml --rootdir . -q tests/python/test_forks.py -k busy
CARRICK_FORKS=$((forks / 10)) CARRICK_LINKING=static CARRICK_PANICS=no CARRICK_PROGRAMS=forks \
    timeout --kill-after=10 "$limit" bash ci/c_tests.sh
left=$(($(find /dev/shm -maxdepth 1 -name '*carrick*' 2> /dev/null | wc -l) - shm_before))
if [ "$left" -ne 0 ]; then
    echo "chaos: $left more files of carrick's in /dev/shm than before" >&2
    exit 1
fi
kills=$(grep -oE '[0-9]+ kills' "$log" | awk '{ sum += $1 } END { print sum + 0 }')
text="$kills processes killed by SIGKILL in $((SECONDS - started)) s: 0 hangs, 0 items lost but those in a killed
consumer's hands, 0 delivered twice, torn or out of order, 0 locks with two holders, 0 processes left of
killed parents and fork servers, $left files left in /dev/shm. $forks children of busy processes in Rust, Python and C: 0 hangs."
echo "$text"
if [ $# -gt 0 ]; then
    {
        echo "<!-- SPDX-License-Identifier: MIT OR Apache-2.0 -->"
        echo "# Kill soak"
        echo
        echo "What \`make chaos\` printed on $(date -u +%F), on Linux $(uname -r) with $(nproc) cores. Any hang, loss, double"
        echo "delivery, torn item, second holder, descriptor, process or file left behind makes it fail; so this page is"
        echo "written only when there was none. core/tests/kills.rs and core/tests/kills_sync.rs say what each line means."
        echo
        echo "$text"
        echo
        echo '```'
        grep -E 'kills' "$log" | sed 's/^\.*//'
        echo '```'
    } > "$1"
fi
