# SPDX-License-Identifier: MIT OR Apache-2.0
"""Runs the benchmarks: ``ci/bench.sh`` builds what they need and calls this.

The contenders of a row take turns (A B A B ...), so that whatever else the machine does meets them all alike. A ratio
is that of the medians; its spread is that of the ratios of the single rounds.
"""

import argparse
import datetime
import json
import statistics
import sys

import contender
import report
from contender import FULL, QUICK, BenchError
from row import ROWS, Row

ROUNDS = 7


def _measure(row: Row, scale: contender.Scale, rounds: int) -> dict[str, list[float]]:
    small = scale is QUICK
    taking_part = [one for one in row.contenders + row.floors if one.is_there() and not (small and one.large)]
    for one in row.contenders:
        if not one.is_there():
            print(f"  LEFT OUT: {one.name}: its library was not there when ci/bench.sh built", flush=True)
    values: dict[str, list[float]] = {one.name: [] for one in taking_part}
    for _ in range(rounds):
        for one in taking_part:
            values[one.name].append(one.measure(scale))
    for name, measured in values.items():
        low, high = min(measured), max(measured)
        print(
            f"  {name:34} {statistics.median(measured):14,.2f} {row.unit}  ({low:,.2f} to {high:,.2f})",
            flush=True,
        )
    return values


def main() -> int:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(prog="ci/bench.sh", description="carrick's benchmarks")
    parser.add_argument(
        "--quick", action="store_true", help="only show that every benchmark works; writes no docs"
    )
    parser.add_argument("--only", metavar="ROW", action="append", choices=[row.name for row in ROWS])
    parser.add_argument("--rounds", type=int, help=f"how often each contender has its turn ({ROUNDS})")
    parser.add_argument("--plot", action="store_true", help="only write the page and the plots anew")
    options = parser.parse_args()
    record = contender.ROOT / "build" / "bench.json"
    results = {} if options.quick or not record.exists() else json.loads(record.read_text(encoding="utf-8"))
    rounds = options.rounds or (1 if options.quick else ROUNDS)
    failed = []
    for row in ROWS:
        if options.plot or (options.only and row.name not in options.only):
            continue
        print(f"{row.name}: {row.title}", flush=True)
        try:
            values = _measure(row, QUICK if options.quick else FULL, rounds)
        except (BenchError, OSError) as error:
            print(f"  FAILED: {error}", flush=True)
            failed.append(row.name)
            continue
        today = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
        results[row.name] = {"unit": row.unit, "rounds": rounds, "when": today, "values": values}
        # Written after each row: a run that is cut short keeps what it has.
        if not options.quick:
            record.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print()
    print(report.table(results))
    if not options.quick and not failed:
        report.write(results)
    if failed:
        print(f"bench: failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
