# SPDX-License-Identifier: MIT OR Apache-2.0
"""Runs CPython's own tests on a stock interpreter and on the same one with carrick in place, and compares.

Exit code 1 on a lost test that expected.toml does not list, on a count of executed tests of zero or below
the stock interpreter's, on a prelude that fails or changes nothing, and on an entry of expected.toml that is
out of date.

What the stock interpreter does is taken from stock/, where there is a record for exactly its version, these tests and
this harness; a record has what is not a pass. A test that carrick loses against a record is run on stock, too.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "cross"))

import comparison  # noqa: E402
import execution  # noqa: E402
import interpreters  # noqa: E402
import selection  # noqa: E402
from comparison import Outcomes  # noqa: E402

PRELUDE = "import carrick; carrick.patch()"
SLOW = 30.0
RECORDS = HERE / "stock"


class Session:
    """One run of the harness: its options, and what it has found wrong so far."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        known = selection.suites()
        self.suites = [known[name] for name in args.suites.split(",")]
        self.known = comparison.load(Path(args.expected))
        self.faults: list[str] = []
        self.recorded = False
        self.report: dict[str, dict[str, dict[str, Outcomes]]] = {}

    def fault(self, text: str) -> None:
        """Write down a reason to fail."""
        self.faults.append(text)
        print(f"  FAULT: {text}", flush=True)

    def plan(self, side: execution.Side, suite: selection.Suite) -> dict[str, list[str]]:
        """The classes to run, with their tests."""
        listed = execution.classes(side, suite)
        groups = self.args.groups.split(",")
        for group in groups:
            for name in sorted(suite.absent(group, side.interpreter.version, set(listed))):
                self.fault(f"{suite.name} on {side.interpreter.full} has no class {name} any more")
        return {
            name: tests
            for name, tests in listed.items()
            if self.args.only in name and any(suite.selects(group, name) for group in groups)
        }

    def run(self, side: execution.Side, suite: selection.Suite, plan: dict[str, list[str]]) -> Outcomes:
        """Run the classes, several at a time."""
        with ThreadPoolExecutor(self.args.jobs) as executor:
            runs = executor.map(
                lambda item: execution.run_class(side, suite, item[0], item[1], self.args.timeout),
                plan.items(),
            )
            outcomes: Outcomes = {}
            for name, run in zip(plan, runs, strict=True):
                outcomes.update({f"{name}.{test}": outcome for test, outcome in run.outcomes.items()})
                if run.seconds > SLOW:
                    print(f"    {suite.name} {name}: {run.seconds:.0f} s", flush=True)
        return outcomes

    def baseline(self, side: execution.Side, suite: selection.Suite, plan: dict[str, list[str]]) -> Outcomes:
        """The stock outcomes: recorded ones if there are some for exactly this, else those of a run."""
        path = record_of(side, suite, plan)
        if self.args.live or self.args.record:
            outcomes = self.run(side, suite, plan)
        elif path.exists():
            exceptions = json.loads(path.read_text())
            every = [f"{name}.{test}" for name, tests in plan.items() for test in [*tests, execution.CLEAN]]
            self.recorded = True
            return {test: (exceptions.get(test, "pass"), "recorded") for test in every}
        else:
            outcomes = self.run(side, suite, plan)
        self.recorded = False
        if self.args.record:
            bad = {test for test, row in outcomes.items() if row[0] not in execution.GOOD | {"skip"}}
            self.again(side, suite, plan, bad, outcomes)
            exceptions = {test: row[0] for test, row in outcomes.items() if row[0] != "pass"}
            path.parent.mkdir(exist_ok=True)
            for old in path.parent.glob(f"{path.stem.rpartition('-')[0]}-*.json"):
                old.unlink()
            path.write_text(json.dumps(exceptions, indent=1, sort_keys=True) + "\n")
        return outcomes

    def again(
        self,
        side: execution.Side,
        suite: selection.Suite,
        plan: dict[str, list[str]],
        bad: Iterable[str],
        outcomes: Outcomes,
    ) -> None:
        """Run the classes of bad tests once more; what passes then was lost to chance, and is said so."""
        names = {test.split(".")[0] for test in bad}
        second = self.run(side, suite, {name: plan[name] for name in plan if name in names})
        for test, row in second.items():
            if test in bad and row[0] in execution.GOOD:
                print(f"    unsteady: {test} was {outcomes[test][0]}, then passed", flush=True)
                outcomes[test] = row

    def check_records(
        self,
        stock: execution.Side,
        suite: selection.Suite,
        plan: dict[str, list[str]],
        lost: Iterable[str],
        before: Outcomes,
    ) -> None:
        """Where a record says that stock passes what was lost: whether it does on this machine, too."""
        names = {test.split(".")[0] for test in lost}
        live = self.run(stock, suite, {name: plan[name] for name in plan if name in names})
        for test in lost:
            if live[test][0] not in execution.GOOD:
                print(f"    on stock: recorded as passed, here {live[test][0]}: {test}", flush=True)
            before[test] = live[test]

    def suite(self, stock: execution.Side, ours: execution.Side | None, suite: selection.Suite) -> None:
        """Baseline, carrick, comparison and report for one suite on one interpreter."""
        started = time.monotonic()
        version = stock.interpreter.minor
        plan = self.plan(stock, suite)
        if not plan and (self.args.only or not dict(suite.groups).keys() & set(self.args.groups.split(","))):
            return
        if suite.borrowed:
            self.newer(version, ours, suite, plan)
            return
        before = self.baseline(stock, suite, plan)
        kept = self.report.setdefault(version, {}).setdefault(suite.name, {})
        kept["stock"] = before
        took = "recorded" if self.recorded else f"{time.monotonic() - started:.0f} s"
        print(f"  {suite.name:18} stock: {self.summary(before)}, {took}", flush=True)
        for test, (outcome, why) in sorted(before.items()):
            if outcome not in execution.GOOD | {"skip"}:
                print(f"    on stock: {outcome} {test}: {last_line(why)}")
        if not comparison.count(before, execution.EXECUTED):
            self.fault(f"{suite.name} on {version} executed no test")
        if ours is None:
            return
        started = time.monotonic()
        after = self.run(ours, suite, plan)
        verdict = comparison.compare(version, suite.name, before, after, self.known)
        for _ in range(self.args.retries):
            if verdict.lost:
                self.again(ours, suite, plan, verdict.lost, after)
                verdict = comparison.compare(version, suite.name, before, after, self.known)
        if verdict.lost and self.recorded:
            self.check_records(stock, suite, plan, verdict.lost, before)
            verdict = comparison.compare(version, suite.name, before, after, self.known)
        kept["carrick"] = after
        self.judge(version, suite, verdict, self.summary(after), time.monotonic() - started)

    def newer(
        self,
        version: str,
        ours: execution.Side | None,
        suite: selection.Suite,
        plan: dict[str, list[str]],
    ) -> None:
        """The tests of a newer version, which the stock interpreter does not pass: all must pass on carrick."""
        if ours is None:
            return
        started = time.monotonic()
        after = self.run(ours, suite, plan)
        self.report.setdefault(version, {}).setdefault(suite.name, {})["carrick"] = after
        head = f"  {suite.name:18} carrick: {self.summary(after)}, {time.monotonic() - started:.0f} s"
        print(head, flush=True)
        for test, (outcome, why) in sorted(after.items()):
            if outcome not in execution.GOOD:
                self.fault(f"on {version}: {suite.name} {test}: {outcome}: {last_line(why)}")
        if not comparison.count(after, execution.EXECUTED):
            self.fault(f"{suite.name} on {version} executed no test")

    def judge(
        self, version: str, suite: selection.Suite, verdict: comparison.Verdict, summary: str, seconds: float
    ) -> None:
        """Print the comparison of a suite, and write down what is wrong with it."""
        kept = f"keeps {verdict.kept} of {verdict.baseline_passes} ({verdict.share:.1%})"
        losses = f"{len(verdict.lost)} lost, {len(verdict.listed)} expected"
        print(f"  {'':18} carrick: {summary}, {seconds:.0f} s; {kept}, {losses}", flush=True)
        for test, (outcome, why) in sorted(verdict.lost.items()):
            self.fault(f"lost on {version}: {suite.name} {test}: {outcome}: {last_line(why)}")
        for one in verdict.stale:
            self.fault(f"expected.toml is out of date: {one.test} passes on {version} in {suite.name}")
        if verdict.executed < verdict.baseline_executed:
            counts = f"{verdict.executed} tests executed, stock {verdict.baseline_executed}"
            self.fault(f"{suite.name} on {version}: {counts}")
        if verdict.share < suite.share and not self.args.only:
            self.fault(f"{suite.name} on {version}: {verdict.share:.1%} kept, {suite.share:.0%} wanted")

    @staticmethod
    def summary(outcomes: Outcomes) -> str:
        """Counts in words."""
        executed = comparison.count(outcomes, execution.EXECUTED)
        passed = comparison.count(outcomes, execution.GOOD)
        skipped = comparison.count(outcomes, frozenset({"skip"}))
        bad = sum(outcome not in execution.GOOD | {"skip"} for outcome, _ in outcomes.values())
        return f"{executed} executed, {passed} passed, {bad} bad, {skipped} skipped"

    def interpreter(self, one: interpreters.Interpreter) -> None:
        """Every suite on one interpreter."""
        print(f"{one.full}  {one.executable}", flush=True)
        stock = execution.Side(one)
        ours = None
        if not self.args.baseline_only:
            ours = execution.Side(one, self.args.prelude, self.args.carrick_path)
            subjects = sorted({suite.subject for suite in self.suites})
            try:
                theirs, replaced = execution.witness(stock, subjects), execution.witness(ours, subjects)
            except RuntimeError as error:
                self.fault(str(error))
                return
            unchanged = [name for name in subjects if theirs[""][name] == replaced[""][name]]
            if unchanged and not self.args.allow_unchanged:
                self.fault(f"the prelude leaves {', '.join(unchanged)} as it is on {one.full}")
                return
            for method in selection.START_METHODS:
                if replaced.get(method) != replaced[""]:
                    self.fault(
                        f"a child by {method} on {one.full} does not have what the prelude put in place"
                    )
        for suite in self.suites:
            if one.version[:2] >= suite.before:
                continue
            if suite.borrowed and suite.borrowed not in os.environ:
                print(f"  {suite.name:18} passed over: the version that has its tests is absent")
                continue
            try:
                self.suite(stock, ours, suite)
            except RuntimeError as error:
                self.fault(str(error))


def record_of(side: execution.Side, suite: selection.Suite, plan: dict[str, list[str]]) -> Path:
    """The file for the stock outcomes of these tests of this version, run by this harness; maybe there is none."""
    what = [sys.platform, suite.name, suite.module, plan]
    digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode())
    for file in ("child.py", "execution.py"):
        digest.update((HERE / file).read_bytes())
    return RECORDS / f"{suite.name}-{side.interpreter.full}-{digest.hexdigest()[:16]}.json"


def file_of(executable: str, module: str) -> str:
    """The file of a module of an interpreter's library."""
    code = f"import importlib.util; print(importlib.util.find_spec({module!r}).origin)"
    return subprocess.check_output([executable, "-c", code], text=True, timeout=60).strip()


def last_line(text: str) -> str:
    """The last line that says something, shortened."""
    return next((line.strip()[:160] for line in reversed(text.splitlines()) if line.strip()), "")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--versions", default=",".join(selection.VERSIONS))
    parser.add_argument("--suites", default=",".join(selection.suites()))
    parser.add_argument(
        "--groups", default="connection,process", help="connection, process, around, with commas"
    )
    parser.add_argument("--only", default="", help="only classes whose name contains this")
    parser.add_argument(
        "--carrick-path", type=os.path.abspath, help="folder with an installed carrick package"
    )
    parser.add_argument("--prelude", default=PRELUDE, help="code that puts carrick in place")
    parser.add_argument("--allow-unchanged", action="store_true", help="the prelude may change nothing")
    parser.add_argument("--baseline-only", action="store_true", help="the stock interpreters only")
    parser.add_argument(
        "--live", action="store_true", help="run the stock interpreter although there are records"
    )
    parser.add_argument("--record", action="store_true", help="run it, and record what is not a pass")
    parser.add_argument("--expected", default=str(HERE / "expected.toml"))
    parser.add_argument("--retries", type=int, default=1, help="runs more for a class that lost a test")
    parser.add_argument("--timeout", type=float, default=240.0, help="watchdog of one class, in seconds")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="classes at a time")
    parser.add_argument("--require", default="", help="versions that must be there")
    parser.add_argument("--json", default="", help="file for every outcome")
    return parser.parse_args()


def main() -> int:
    """Run what the command line asks for."""
    started = time.monotonic()
    args = arguments()
    try:
        session = Session(args)
    except (comparison.BadExpectation, KeyError) as error:
        print(f"FAULT: {error}")
        return 1
    found = interpreters.discover()
    chosen = interpreters.one_per_minor(found, with_suite=True)
    if "3.13" in chosen:
        os.environ[selection.NEWER_QUEUE] = file_of(chosen["3.13"].executable, "test.test_queue")
    for one in found:
        if one.suite_problem and one.minor in args.versions.split(","):
            print(f"passed over: {one.full} {one.executable} has no test package ({one.suite_problem})")
    for version in args.versions.split(","):
        if version in chosen:
            session.interpreter(chosen[version])
        elif version in args.require.split(","):
            session.fault(f"no Python {version} with its test package, and it is required")
        else:
            print(f"absent: no Python {version} with its test package")
    if not session.report:
        session.fault("nothing was run")
    if args.json:
        Path(args.json).write_text(json.dumps(session.report, indent=1, sort_keys=True))
    total = [
        outcomes
        for suites in session.report.values()
        for sides in suites.values()
        for outcomes in sides.values()
    ]
    executed = sum(comparison.count(outcomes, execution.EXECUTED) for outcomes in total)
    print(f"{executed} tests executed in {time.monotonic() - started:.0f} s, {len(session.faults)} faults")
    return 1 if session.faults else 0


if __name__ == "__main__":
    sys.exit(main())
