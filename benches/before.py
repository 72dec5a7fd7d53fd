# SPDX-License-Identifier: MIT OR Apache-2.0
"""Compares this build with an earlier one, row by row: has anything become slower?

``ci/bench.sh`` has run in both clones. Both take turns with each row of the table, in the contenders that are carrick;
the peers are the same in both and do not run. A ratio above 1 is a gain. The interval lies between the ranks that hold
the median of such ratios in 95 of 100 repetitions (for 15 rounds the 4th and the 12th).

    .venv/bin/python benches/before.py ../clone-of-the-commit-before [--only ROW] [--rounds N] [--part P] [--json FILE]
"""

import argparse
import json
import math
import pathlib
import statistics
import subprocess
import sys
from dataclasses import dataclass

import contender
from contender import FULL, PATIENCE, BenchError
from row import ROWS

ROUNDS = 15
LOWEST = 0.97
"""An interval that ends below this is reported as slower."""

# Runs in either clone, so it may use only what both have.
_ONE = """
import sys
sys.path.insert(0, "benches")
import contender, row
name, who, part = sys.argv[1:]
scale = contender.Scale(max(0.2, contender.FULL.seconds * float(part)), float(part), contender.FULL.connections)
one = next(c for r in row.ROWS if r.name == name for c in r.contenders if c.name == who)
print(one.measure(scale))
"""


_ROWS = """
import sys
sys.path.insert(0, "benches")
import row
print(*(f"{r.name}|{c.name}" for r in row.ROWS for c in r.contenders), sep="\\n")
"""


@dataclass(frozen=True)
class Verdict:
    """The ratio of one contender of one row between the two builds."""

    row: str
    contender: str
    ratio: float
    low: float
    high: float

    def is_slower(self) -> bool:
        """Whether the whole interval lies below the limit."""
        return self.high < LOWEST


def _known(clone: pathlib.Path) -> set[str]:
    """The rows and contenders that the earlier commit has."""
    done = subprocess.run(
        [str(clone / ".venv/bin/python"), "-c", _ROWS],
        cwd=clone,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return set(done.stdout.splitlines())


def _measure(clone: pathlib.Path, row: str, who: str, part: float) -> float:
    command = [str(clone / ".venv/bin/python"), "-c", _ONE, row, who, str(part)]
    try:
        done = subprocess.run(
            command, cwd=clone, stdout=subprocess.PIPE, text=True, timeout=PATIENCE, check=True
        )
        return float(done.stdout.split()[-1])
    except (subprocess.SubprocessError, ValueError, IndexError) as error:
        raise BenchError(f"{row}, {who}, in {clone}: {error}") from error


def _ratio(one: float, other: float) -> float:
    # What is idle may take no time at all, before and after.
    if one == other:
        return 1.0
    return one / other if other else math.inf


def interval(ratios: list[float]) -> tuple[float, float]:
    """The ranks around the median that hold it in at least 95 of 100 repetitions (binomial); all of few rounds."""
    ordered, count = sorted(ratios), len(ratios)
    outside, rank = 0.0, 0
    while rank < count // 2:
        outside += 2 * math.comb(count, rank) / 2**count
        if outside > 0.05:
            break
        rank += 1
    first = max(rank - 1, 0)
    return ordered[first], ordered[count - 1 - first]


def main() -> int:
    """Run what the arguments ask for; 1 where a row has become slower."""
    parser = argparse.ArgumentParser(description="this build against an earlier one")
    parser.add_argument(
        "before", type=pathlib.Path, help="a clone of the earlier commit, with its benchmarks built"
    )
    parser.add_argument("--only", metavar="ROW", action="append", choices=[row.name for row in ROWS])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument(
        "--part", type=float, default=FULL.part, help="how much of the work of a full run each does"
    )
    parser.add_argument("--json", type=pathlib.Path, help="a file for the ratios of all rounds")
    options = parser.parse_args()
    before, after = options.before.resolve(), contender.ROOT
    verdicts, ratios, failed = [], {}, []
    known = _known(before)
    for row in ROWS:
        if options.only and row.name not in options.only:
            continue
        for one in row.contenders:
            if not one.name.startswith("carrick") or not one.is_there():
                continue
            if f"{row.name}|{one.name}" not in known:
                print(f"{row.name:24} {one.name:26} is new", flush=True)
                continue
            try:
                found = []
                for _ in range(options.rounds):
                    then = _measure(before, row.name, one.name, options.part)
                    now = _measure(after, row.name, one.name, options.part)
                    found.append(_ratio(then, now) if row.less_is_better else _ratio(now, then))
            except BenchError as error:
                print(f"  FAILED: {error}", flush=True)
                failed.append(row.name)
                continue
            ratios[f"{row.name}, {one.name}"] = found
            verdict = Verdict(row.name, one.name, statistics.median(found), *interval(found))
            verdicts.append(verdict)
            mark = "  SLOWER" if verdict.is_slower() else ""
            print(
                f"{row.name:24} {one.name:26} {verdict.ratio:5.2f}  ({verdict.low:.2f} to {verdict.high:.2f}){mark}",
                flush=True,
            )
            if options.json is not None:
                options.json.write_text(json.dumps(ratios, indent=1) + "\n", encoding="utf-8")
    slower = [f"{one.row} ({one.contender})" for one in verdicts if one.is_slower()]
    print(f"{len(verdicts)} compared, {len(slower)} slower{': ' if slower else ''}{', '.join(slower)}")
    return 1 if slower or failed else 0


if __name__ == "__main__":
    sys.exit(main())
