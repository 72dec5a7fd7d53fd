# SPDX-License-Identifier: MIT OR Apache-2.0
"""Holds the tests that pass on carrick against those that pass on the same interpreter without it."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from execution import CLEAN, EXECUTED, GOOD

FINE = GOOD | {"skip"}
Outcomes = dict[str, tuple[str, str]]


class BadExpectation(ValueError):
    """An entry of expected.toml that does not say what it must."""


@dataclass(frozen=True)
class Difference:
    """One reasoned entry of expected.toml."""

    versions: tuple[str, ...]
    suites: tuple[str, ...]
    test: str
    reason: str
    sometimes: bool

    def covers(self, version: str, suite: str, test: str) -> bool:
        """Whether a lost test is this one."""
        return version in self.versions and suite in self.suites and test == self.test


@dataclass
class Verdict:
    """The result of the comparison of one suite on one version."""

    executed: int = 0
    baseline_executed: int = 0
    kept: int = 0
    baseline_passes: int = 0
    lost: dict[str, tuple[str, str]] = field(default_factory=dict)
    listed: dict[str, Difference] = field(default_factory=dict)
    stale: list[Difference] = field(default_factory=list)

    @property
    def share(self) -> float:
        """The share of the baseline's passes that is kept."""
        return self.kept / self.baseline_passes if self.baseline_passes else 0.0


def load(path: Path) -> list[Difference]:
    """Read expected.toml, strictly."""
    with path.open("rb") as file:
        document = tomllib.load(file)
    found = []
    for entry in document.pop("difference", []):
        sometimes = entry.pop("sometimes", False)
        try:
            versions, suites = tuple(entry.pop("versions")), tuple(entry.pop("suites"))
            test, reason = entry.pop("test"), entry.pop("reason").strip()
        except KeyError as error:
            raise BadExpectation(f"{path.name}: an entry lacks {error}") from None
        if entry or not (versions and suites and test and reason):
            raise BadExpectation(f"{path.name}: {test}: empty or unknown fields {sorted(entry)}")
        found.append(Difference(versions, suites, test, reason, sometimes))
    if document:
        raise BadExpectation(f"{path.name}: unknown tables {sorted(document)}")
    return found


def count(outcomes: Outcomes, kinds: frozenset[str]) -> int:
    """How many tests have one of the outcomes."""
    return sum(outcome in kinds for test, (outcome, _) in outcomes.items() if not test.endswith(CLEAN))


def compare(version: str, suite: str, baseline: Outcomes, ours: Outcomes, known: list[Difference]) -> Verdict:
    """Compare test by test; both maps have keys `Class.test`."""
    verdict = Verdict(
        executed=count(ours, EXECUTED),
        baseline_executed=count(baseline, EXECUTED),
        baseline_passes=count(baseline, GOOD),
    )
    unwell = {
        test.split(".")[0] for test, row in ours.items() if not test.endswith(CLEAN) and row[0] not in FINE
    }
    applying = [one for one in known if version in one.versions and suite in one.suites]
    for test, (outcome, _) in baseline.items():
        if outcome not in GOOD:
            continue
        now = ours.get(test, ("missing", ""))
        if test.endswith(CLEAN) and test.split(".")[0] in unwell:
            # A failed test is reported as such; what it left behind is its doing.
            continue
        if now[0] in GOOD:
            verdict.kept += not test.endswith(CLEAN)
            continue
        entry = next((one for one in applying if one.covers(version, suite, test)), None)
        if entry is None:
            verdict.lost[test] = now
        else:
            verdict.listed[test] = entry
    ran = {one.test for one in applying if one.test in ours}
    excused = {one.test for one in verdict.listed.values()}
    verdict.stale = [one for one in applying if one.test in ran - excused and not one.sometimes]
    return verdict
