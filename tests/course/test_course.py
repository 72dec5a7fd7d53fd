# SPDX-License-Identifier: MIT OR Apache-2.0
"""The scripts of the course's network chapter give on carrick what they give on the standard library.

Each runs as a program of its own: on the standard library, on carrick by its import lines, and unchanged after
`carrick.patch`. A server prints its port, its client gets it as an argument. The output of the pair is compared.
"""

from __future__ import annotations

import ast
import itertools
import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest
import rule

WATCHDOG = 60.0
"""Seconds until a script is killed; none takes one."""

SCRIPTS = {path.stem: path for path in sorted(rule.SCRIPTS.glob("*.py"))}
PAIRS = sorted(name[: -len("_server")] for name in SCRIPTS if name.endswith("_server"))
# Those about processes are in test_processes.py.
SINGLES = sorted(
    name for name in SCRIPTS if not name.endswith(("_server", "_client")) and not name.startswith("process_")
)
TYPED = {"check_advanced": "half hitch\n\nclove hitch\nq\n"}
ARGUMENTS = {"check_advanced": ["1"]}
NEEDS_DIGEST = sorted(name for name in SCRIPTS if "hmac.new(" in SCRIPTS[name].read_text("utf-8"))

PATCHED = """
import runpy, sys
import carrick
carrick.patch(hmac_default="sha256")
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@dataclass(frozen=True)
class Outcome:
    """The output of a script, and how it ended."""

    output: str
    errors: str
    code: int


class Library:
    """One way to run the scripts."""

    def __init__(self, folder: Path, name: str) -> None:
        # In development mode a socket that is left open is a warning, and so a difference.
        self.prefix = [sys.executable, "-X", "utf8", "-X", "dev"]
        self.folder = folder / name
        self.folder.mkdir()
        for script in SCRIPTS.values():
            source = script.read_text("utf-8")
            if name == "carrick":
                source = rule.on_carrick(source)
            elif name == "standard":
                source = rule.with_digest_named(source)
            (self.folder / script.name).write_text(source, "utf-8")
        if name == "patched":
            self.prefix += ["-c", PATCHED]

    def start(self, script: str, *arguments: str) -> subprocess.Popen[str]:
        """Start a script as a program."""
        return subprocess.Popen(
            [*self.prefix, str(self.folder / f"{script}.py"), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def single(self, script: str) -> Outcome:
        """Run a script that needs no other."""
        return finish(self.start(script), "")


def finish(process: subprocess.Popen[str], typed: str) -> Outcome:
    """Wait for the end of a program; one that does not end is killed, and its code shows it."""
    try:
        output, errors = process.communicate(typed, timeout=WATCHDOG)
    except subprocess.TimeoutExpired:
        process.kill()
        output, errors = process.communicate()
    return Outcome(output, errors, process.returncode)


def pair(name: str, serving: Library, asking: Library) -> tuple[Outcome, Outcome]:
    """Run a server and its client, which may be on different libraries."""
    server = serving.start(f"{name}_server", *ARGUMENTS.get(name, []))
    watchdog = threading.Timer(WATCHDOG, server.kill)
    watchdog.start()
    try:
        assert server.stdout is not None
        word, _, port = server.stdout.readline().partition(" ")
        if word != "port":
            pytest.fail(f"{name}_server gave no port: {finish(server, '')}")
        client = finish(asking.start(f"{name}_client", port.strip()), TYPED.get(name, ""))
        return finish(server, ""), client
    finally:
        watchdog.cancel()
        if server.poll() is None:
            server.kill()
            server.communicate()


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Library]:
    """The three ways to run the scripts."""
    folder = tmp_path_factory.mktemp("course")
    return {name: Library(folder, name) for name in ("standard", "carrick", "patched")}


@pytest.fixture(scope="module")
def standard_pairs(libraries: dict[str, Library]) -> dict[str, tuple[Outcome, Outcome]]:
    """The outcome of each pair on the standard library."""
    standard = libraries["standard"]
    return {name: pair(name, standard, standard) for name in PAIRS}


def went_well(outcome: Outcome) -> bool:
    """Whether a script ended by itself and said nothing that it should not."""
    return outcome.code == 0 and not outcome.errors and outcome.output != ""


@pytest.mark.parametrize(
    ("server", "client"),
    [
        ("standard", "standard"),
        ("carrick", "carrick"),
        ("patched", "patched"),
        ("carrick", "standard"),
        ("standard", "carrick"),
    ],
)
@pytest.mark.parametrize("name", PAIRS)
def test_a_pair_gives_what_it_gives_on_the_standard_library(
    name: str,
    server: str,
    client: str,
    libraries: dict[str, Library],
    standard_pairs: dict[str, tuple[Outcome, Outcome]],
) -> None:
    standard = standard_pairs[name]
    assert went_well(standard[1])
    assert (standard[0].code, standard[0].errors) == (0, "")
    if (server, client) != ("standard", "standard"):
        assert pair(name, libraries[server], libraries[client]) == standard


@pytest.mark.parametrize("library", ["carrick", "patched"])
@pytest.mark.parametrize("name", SINGLES)
def test_a_script_gives_what_it_gives_on_the_standard_library(
    name: str, library: str, libraries: dict[str, Library]
) -> None:
    standard = libraries["standard"].single(name)
    assert went_well(standard)
    assert libraries[library].single(name) == standard


def test_the_two_arguments_of_the_course_are_a_type_error_on_the_standard_library() -> None:
    outcome = finish(
        subprocess.Popen(
            [sys.executable, str(SCRIPTS["hmac_digest"])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ),
        "",
    )
    assert outcome.code == 1
    assert "TypeError" in outcome.errors
    assert "digestmod" in outcome.errors


def test_a_client_with_another_key_is_refused_by_the_advanced_check(libraries: dict[str, Library]) -> None:
    ours = libraries["carrick"]
    source = (ours.folder / "check_advanced_client.py").read_text("utf-8")
    wrong = ours.folder / "wrong_client.py"
    wrong.write_text(source.replace("b'sheet bend double'", "b'sheet bend single'"), "utf-8")
    server = ours.start("check_advanced_server", "2")
    watchdog = threading.Timer(WATCHDOG, server.kill)
    watchdog.start()
    try:
        assert server.stdout is not None
        port = server.stdout.readline().split()[1]
        refused = finish(ours.start("wrong_client", port), "half hitch\nq\n")
        served = finish(ours.start("check_advanced_client", port), "half hitch\nq\n")
        ended = finish(server, "")
    finally:
        watchdog.cancel()
        if server.poll() is None:
            server.kill()
            server.communicate()
    assert "HALF HITCH" not in refused.output
    assert "HALF HITCH" in served.output
    assert served.code == 0
    checking = ["new connection from 127.0.0.1", "checking a new connection"]
    assert ended.output.splitlines() == [*checking, "refused, closing", *checking, "accepted, talking"]


def test_only_import_lines_change() -> None:
    for name, path in SCRIPTS.items():
        before = path.read_text("utf-8").splitlines()
        after = rule.on_carrick(path.read_text("utf-8")).splitlines()
        assert len(before) == len(after)
        changed = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
        assert changed, f"{name} uses nothing of carrick's"
        assert all(a.startswith(("import ", "from ")) and "carrick." in b for a, b in changed)


def test_no_module_of_carrick_is_left_on_the_standard_library() -> None:
    for path in SCRIPTS.values():
        for node in ast.walk(ast.parse(rule.on_carrick(path.read_text("utf-8")))):
            if isinstance(node, ast.Import):
                assert not {alias.name for alias in node.names} & set(rule.MODULES)
            elif isinstance(node, ast.ImportFrom):
                assert node.module not in rule.MODULES


def test_scripts_with_two_arguments_say_so_in_their_head() -> None:
    assert NEEDS_DIGEST
    for name in NEEDS_DIGEST:
        lines = SCRIPTS[name].read_text("utf-8").splitlines()
        head = list(itertools.takewhile(lambda line: line.startswith("#"), lines))
        assert any("digestmod='sha256'" in line for line in head)


def test_the_examples_are_the_scripts_on_carrick() -> None:
    examples = {path.stem: path.read_text("utf-8") for path in rule.EXAMPLES.glob("*.py")}
    assert examples == {name: rule.on_carrick(path.read_text("utf-8")) for name, path in SCRIPTS.items()}, (
        f"run {os.path.relpath(rule.__file__)} to make them again"
    )
