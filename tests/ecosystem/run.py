#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Runs other projects' suites and programs on the standard library and on carrick, and compares test by test.

Exit code 1 if a test that passes on stock does not pass on carrick and expected.toml does not list it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import tomllib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import packages
from execution import Outcomes, leave_nothing_in_shared_memory, run
from suites import SUITES, WAYS, Suite

HERE = Path(__file__).resolve().parent
FINE = ("pass", "skip")


def expected() -> list[dict[str, object]]:
    """Read expected.toml, strictly."""
    document = tomllib.loads((HERE / "expected.toml").read_text())
    entries = document.pop("difference", [])
    names = {suite.name for suite in SUITES}
    for entry in entries:
        fields = set(entry) - {"sometimes"}
        if fields != {"suite", "test", "ways", "reason"} or not all(entry[name] for name in fields):
            raise SystemExit(
                f"expected.toml: {entry}: fields are suite, test, ways, reason and, if so, sometimes"
            )
        if entry["suite"] not in names or not set(entry["ways"]) <= set(WAYS[1:]):
            raise SystemExit(f"expected.toml: {entry}: no such suite or way")
    if document:
        raise SystemExit(f"expected.toml: unknown tables {sorted(document)}")
    return list(entries)


def lost(stock: Outcomes, ours: Outcomes) -> list[str]:
    """The tests that pass on stock and not on carrick."""
    return [
        test
        for test, row in stock.items()
        if row[0] == "pass" and ours.get(test, ("missing", ""))[0] != "pass"
    ]


def second_chance(suite: Suite, way: str, results: dict[str, Outcomes]) -> list[str]:
    """Run again what is lost, on carrick and, if it is lost again, on stock; return what was merely unsteady."""
    missing = lost(results["stock"], results[way])
    tests = [test for test in missing if "<" not in test]
    if not tests:
        return []
    again = run(suite, way, tests)
    still = lost(dict.fromkeys(tests, ("pass", "")), again)
    if still:
        stock = run(suite, "stock", still)
        results["stock"].update({test: stock.get(test, ("missing", "")) for test in still})
    results[way].update({test: row for test, row in again.items() if "<" not in test})
    return [test for test in tests if test not in lost(results["stock"], results[way])]


def counts(outcomes: Outcomes | None) -> str:
    """How many passed, and how many did not and were not skipped."""
    if outcomes is None:
        return "-"
    kinds = Counter(outcome for outcome, _ in outcomes.values())
    return f"{kinds['pass']} / {sum(kinds.values()) - kinds['pass'] - kinds['skip']}"


def main() -> int:
    """Fetch, run, compare, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="suites whose name contains this")
    parser.add_argument("--ways", default=",".join(WAYS), help="of stock, module, patch")
    parser.add_argument("--tests", default="", help="tests of them, as pytest's -k")
    parser.add_argument("--whole", action="store_true", help="also the tests that take long, see suites.py")
    parser.add_argument("--jobs", type=int, default=3, help="runs at a time")
    parser.add_argument("--json", type=Path, help="write all outcomes here")
    parser.add_argument("--verbose", action="store_true", help="say why tests failed on stock, too")
    options = parser.parse_args()
    known = expected()
    started = time.monotonic()
    packages.fetch()
    print(f"ecosystem: packages are there after {time.monotonic() - started:.0f} s", flush=True)

    suites = [suite for suite in SUITES if options.only in suite.name]
    asked = options.ways.split(",")
    plan = [(suite, way) for suite in suites for way in suite.ways if way in asked]

    def one(job: tuple[Suite, str]) -> Outcomes:
        suite, way = job
        began = time.monotonic()
        outcomes = run(suite, way, [], options.tests or ("" if options.whole else suite.deselected))
        print(
            f"ecosystem: {suite.name}, {way}: {counts(outcomes)}, {time.monotonic() - began:.0f} s",
            flush=True,
        )
        return outcomes

    with leave_nothing_in_shared_memory(), ThreadPoolExecutor(options.jobs) as pool:
        found: dict[str, dict[str, Outcomes]] = {suite.name: {} for suite in suites}
        for (suite, way), outcomes in zip(plan, pool.map(one, plan)):
            found[suite.name][way] = outcomes
        unsteady = {
            (suite.name, way): second_chance(suite, way, found[suite.name])
            for suite in suites
            for way in suite.ways[1:]
            if way in found[suite.name] and "stock" in found[suite.name]
        }
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))

    faults, rows, complaints = 0, [], []
    for suite in suites:
        results = found[suite.name]
        gone = 0
        for way in suite.ways:
            if way not in results:
                continue
            if not any(outcome == "pass" for outcome, _ in results[way].values()):
                complaints.append(f"NO TEST PASSED: {suite.name}, {way}")
                faults += 1
            if way == "stock" or options.verbose:
                for test, (outcome, why) in results[way].items():
                    if outcome not in FINE:
                        complaints.append(f"not passed: {suite.name}, {way}: {test}: {outcome}\n{why}")
            if way == "stock" or "stock" not in results:
                continue
            entries = {
                str(entry["test"]): entry
                for entry in known
                if entry["suite"] == suite.name and way in entry["ways"]
            }  # type: ignore[operator]
            missing = lost(results["stock"], results[way])
            for test in missing:
                if test in entries:
                    complaints.append(f"known: {suite.name}, {way}: {test}: {entries[test]['reason']}")
                    continue
                gone += 1
                outcome, why = results[way].get(test, ("missing", ""))
                complaints.append(f"LOST: {suite.name}, {way}: {test}: {outcome}\n{why}")
            for test in unsteady.get((suite.name, way), []):
                complaints.append(f"unsteady: {suite.name}, {way}: {test}")
            for test, entry in entries.items():
                if test not in missing and test in results[way] and not entry.get("sometimes"):
                    complaints.append(
                        f"PASSES AGAIN, take it out of expected.toml: {suite.name}, {way}: {test}"
                    )
                    faults += 1
        faults += gone
        rows.append((suite.name, *(counts(results.get(way)) for way in WAYS), str(gone)))
    print("\n".join(complaints))
    print(f"\n{'passed / failed':40} {'stock':>12} {'-m carrick':>12} {'patch()':>12} {'lost':>5}")
    for name, stock, module, patch, gone_ in rows:
        print(f"{name:40} {stock:>12} {module:>12} {patch:>12} {gone_:>5}")
    print(f"ecosystem: {time.monotonic() - started:.0f} s, {faults} faults")
    return min(faults, 1)


if __name__ == "__main__":
    sys.exit(main())
