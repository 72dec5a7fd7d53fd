# SPDX-License-Identifier: MIT OR Apache-2.0
"""Rows whose contenders are both sides at several sizes: how cost grows with their number."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import contender as c
from contender import Contender, Scale

SIDES = {"stock": "standard library", "carrick": "carrick"}
WAITERS = (1, 4, 16, 64, 256, 1000)
# A measurement of these takes long: those who leave checks to others have to find their pace first.
IDLE_WAITERS = (1, 16, 200, 1000)
TIMEOUTS = (1, 100, 1000, 10_000)
CONNECTS = (100, 1000, 3000, 10_000)
CHILDREN = (1, 30, 100, 300)


@dataclass(frozen=True)
class Curve:
    """The measurement of a row of sizes."""

    name: str
    title: str
    unit: str
    sizes: tuple[int, ...]
    program: Callable[[str, int, Scale], c.Command]
    limit: tuple[int, float] | None = None
    """The most that carrick may take at a size; without it, no more than the standard library at any size."""

    def contenders(self) -> tuple[Contender, ...]:
        """Both sides at each size."""
        return tuple(
            Contender(point(name, size), self._measure(side, size), large=size != self.sizes[0])
            for size in self.sizes
            for side, name in SIDES.items()
        )

    def _measure(self, side: str, size: int) -> Callable[[Scale], float]:
        return lambda scale: c.number(self.program(side, size, scale))


def point(name: str, size: int) -> str:
    """The name of a contender."""
    return f"{name}, {size:,}"


def _waiting(what: str, kind: str, full: int) -> Callable[[str, int, Scale], c.Command]:
    def program(side: str, size: int, scale: Scale) -> c.Command:
        # Tenths of a second, or so many waits.
        count = max(1, int(full * scale.part))
        return c.python("waiting", side, what, kind, size, count)

    return program


def _curves() -> Iterator[Curve]:
    for kind in ("Lock", "Semaphore", "Condition", "Event", "Queue"):
        title = f"one more wait, of no time, while so many processes wait for the same {kind}"
        yield Curve(f"wait-{kind.lower()}", title, "us", WAITERS, _waiting("one", kind, 300))
    for kind in ("Lock", "Semaphore", "Condition", "Event", "Queue"):
        title = f"a wait for a {kind} that ends by a timeout of so many microseconds"
        yield Curve(f"timeout-{kind.lower()}", title, "us", TIMEOUTS, _waiting("timeout", kind, 200))
    for kind in ("Lock", "RLock", "Semaphore", "Condition", "Event", "Barrier", "Queue"):
        title = f"processor time of so many processes that wait for one {kind}"
        program = _waiting("idle", kind, 20)
        yield Curve(f"idle-{kind.lower()}", title, "ms/s", IDLE_WAITERS, program, (200, 5.0))

    def connects(side: str, size: int, _scale: Scale) -> c.Command:
        return c.python("connects", side, size)

    def children(side: str, size: int, scale: Scale) -> c.Command:
        return c.python("living_children", side, size, scale.count(200))

    title = "so many connects at once: ThreadingTCPServer and MessageServer, until each has its answer"
    yield Curve("connects", title, "us", CONNECTS, connects)
    title = "starting and joining a process by fork while so many other children live"
    yield Curve("children", title, "us", CHILDREN, children)


CURVES = tuple(_curves())
