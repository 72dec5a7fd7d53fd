# SPDX-License-Identifier: MIT OR Apache-2.0
"""The scripts of the course's chapter on processes give on carrick what they give on the standard library.

Each runs as a program of its own: on the standard library, on carrick by its import lines, and unchanged after
`carrick.patch`; its children by fork, and by spawn where the script can be imported by them.
"""

from __future__ import annotations

from pathlib import Path

import processes
import pytest
from processes import SCRIPTS, Outcome, Script

WAYS = [(name, method) for name, script in SCRIPTS.items() for method in script.methods]


@pytest.fixture(scope="module")
def standard(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Outcome]:
    """The outcome of each script on the standard library."""
    folder = tmp_path_factory.mktemp("standard")
    return {(name, method): processes.run(SCRIPTS[name], "standard", method, folder) for name, method in WAYS}


@pytest.mark.parametrize("library", ["carrick", "patched"])
@pytest.mark.parametrize(("name", "method"), WAYS)
def test_a_script_gives_what_it_gives_on_the_standard_library(
    name: str, method: str, library: str, standard: dict[tuple[str, str], Outcome], tmp_path: Path
) -> None:
    expected = standard[name, method]
    assert (expected.errors, expected.code) == ("", 0) and expected.lines
    assert processes.run(SCRIPTS[name], library, method, tmp_path) == expected


def test_how_the_children_are_made_makes_no_difference(standard: dict[tuple[str, str], Outcome]) -> None:
    for name, script in SCRIPTS.items():
        assert len({standard[name, method] for method in script.methods}) == 1, name


def test_the_scripts_are_those_of_the_chapter() -> None:
    told = {name.removeprefix("process_") for name in SCRIPTS}
    ways = {"start_join", "many", "daemon", "daemon_children", "terminate", "class"}
    shared = {"tickets", "isolation", "queue", "pipe", "nowait", "producers", "crawler", "joinable"}
    assert told == ways | shared


def test_every_script_says_how_it_may_be_run() -> None:
    for script in SCRIPTS.values():
        assert script.methods and set(script.methods) <= set(processes.METHODS)
        is_guarded = "__name__ == '__main__'" in script.source
        assert is_guarded == ("spawn" in script.methods), script.name


def test_a_difference_is_seen(tmp_path: Path) -> None:
    """The comparison can fail: lines, their order where it counts, complaints and codes are told apart."""
    one = SCRIPTS["process_start_join"]
    other = Script(one.name, one.source.replace("child ends", "child ended"))
    assert processes.run(one, "carrick", "fork", tmp_path) != processes.run(
        other, "carrick", "fork", tmp_path
    )
    bad = Script(one.name, one.source.replace("p.join()", "p.join(); raise SystemExit(3)"))
    assert processes.run(bad, "carrick", "fork", tmp_path).code == 3
