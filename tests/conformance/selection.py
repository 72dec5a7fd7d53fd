# SPDX-License-Identifier: MIT OR Apache-2.0
"""Which of CPython's test classes are run, and which module each suite is about."""

from __future__ import annotations

import re
from dataclasses import dataclass

VERSIONS = ("3.11", "3.12", "3.13", "3.14", "3.15")
START_METHODS = ("fork", "spawn", "forkserver")
ALL_CLASSES = frozenset({"*"})

# Where run.py says which file has the tests of 3.13's queue.
NEWER_QUEUE = "CARRICK_TEST_QUEUE"

# The classes of _test_multiprocessing about multiprocessing.connection, less With{Processes,Threads}.
CONNECTION = frozenset(
    {
        "ChallengeResponseTest",
        "OtherTest",
        "TestConnection",
        "TestIgnoreEINTR",
        "TestInvalidFamily",
        "TestInvalidHandle",
        "TestListener",
        "TestListenerClient",
        "TestPicklingConnections",
        "TestPoll",
        "TestPollEintr",
        "TestTimeouts",
        "TestWait",
    }
)

# Those about processes: how they start and end, fork servers, the resource tracker.
PROCESS = frozenset(
    {
        "TestAtExit",
        "TestCloseFds",
        "TestFlags",
        "TestForkAwareThreadLock",
        "TestInitializers",
        "TestLogging",
        "TestNoForkBomb",
        "TestProcess",
        "TestResourceTracker",
        "TestStartMethod",
        "TestStdinBadfiledescriptor",
        "TestSubclassingProcess",
    }
)

# Classes about something else that stands on Connection, or that watches the package's surface.
AROUND = frozenset(
    {
        "MiscTestCase",
        "TestImportStar",
        "TestManagerExceptions",
        "TestManagerRestart",
        "TestMyManager",
        "TestQueue",
        "TestRemoteManager",
        "TestSimpleQueue",
    }
)

# Classes that a version does not have yet.
SINCE = {"ChallengeResponseTest": (3, 12), "TestManagerExceptions": (3, 13), "TestAtExit": (3, 13)}

# They bind one fixed abstract address, so two of them cannot run at once on a machine.
ALONE = frozenset({"TestListener"})

_FLAVOUR = re.compile("^With(Processes|Threads|Manager)")


@dataclass(frozen=True)
class Suite:
    """A module with tests, the module it tests, its classes by group, the share of passes to keep."""

    name: str
    module: str
    subject: str
    groups: tuple[tuple[str, frozenset[str]], ...]
    share: float
    # A variable with the file of a newer version's tests, for the versions before that one. Stock does not pass
    # them; carrick passes all.
    borrowed: str = ""
    before: tuple[int, int] = (99, 0)

    def selects(self, group: str, test_class: str) -> bool:
        """Whether a class belongs to the group."""
        wanted = dict(self.groups).get(group, frozenset())
        if wanted == ALL_CLASSES:
            named = frozenset().union(*(classes for _, classes in self.groups))
            return source_class(test_class) not in named
        return source_class(test_class) in wanted

    def absent(self, group: str, version: tuple[int, int, int], found: set[str]) -> set[str]:
        """The classes of the group that this version should have and has not."""
        wanted = dict(self.groups).get(group, frozenset()) - ALL_CLASSES
        there = {source_class(name) for name in found}
        return {name for name in wanted - there if version >= SINCE.get(name, (3, 0))}


def source_class(test_class: str) -> str:
    """The class as the source names it: WithProcessesTestPoll is TestPoll (`_TestPoll` there)."""
    return _FLAVOUR.sub("", test_class).removeprefix("_")


def suites() -> dict[str, Suite]:
    """Every suite by name."""
    whole = (("connection", ALL_CLASSES),)
    found = [
        Suite("test_socketserver", "test.test_socketserver", "socketserver", whole, 1.0),
        Suite("test_hmac", "test.test_hmac", "hmac", whole, 1.0),
        Suite("test_queue", "thread_queue_own", "queue", whole, 1.0),
        Suite(
            "newer_test_queue",
            "thread_queue_newer",
            "queue",
            whole,
            1.0,
            borrowed=NEWER_QUEUE,
            before=(3, 13),
        ),
    ]
    groups = (("connection", CONNECTION), ("process", PROCESS), ("around", AROUND), ("rest", ALL_CLASSES))
    found += [
        Suite(f"mp_{method}", f"mp_{method}", "multiprocessing.connection", groups, 0.98)
        for method in START_METHODS
    ]
    return {suite.name: suite for suite in found}
