# SPDX-License-Identifier: MIT OR Apache-2.0
"""The examples are as they are described."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
HELLO = ROOT / "examples" / "hello"
SUFFIXES = {"python": ".py", "rust": ".rs", "c": ".c"}


def squeezed(text: str) -> str:
    """The text without blanks, so that a formatter may break lines as it likes."""
    return re.sub(r"\s+", "", text)


def test_the_programs_of_the_readme_are_the_hello_examples() -> None:
    section = (ROOT / "README.md").read_text("utf-8").split("## Three programs")[1].split("\n## ")[0]
    shown = dict(re.findall(r"^```(\w+)\n(.*?)^```$", section, re.DOTALL | re.MULTILINE))
    assert set(shown) == set(SUFFIXES)
    for language, code in shown.items():
        source = (HELLO / f"hello{SUFFIXES[language]}").read_text("utf-8")
        assert squeezed(code) in squeezed(source), (
            f"README.md has another {language} program than examples/hello"
        )


def test_every_scenario_has_an_expectation_and_a_line_in_the_list() -> None:
    listed = set(
        re.findall(r"^\| `(\w+)` \|", (ROOT / "examples" / "README.md").read_text("utf-8"), re.MULTILINE)
    )
    sources = [
        path for folder in ("hello", "python", "c", "rust") for path in (ROOT / "examples" / folder).iterdir()
    ]
    scenarios = {path.stem for path in sources if path.suffix in SUFFIXES.values()} - {"clients"}
    # One whose parts are in several languages has a folder of its own.
    scenarios.add("shared_queue")
    assert scenarios == listed
    models = {"blocking", "nonblocking", "multiplexed", "event_driven", "asynchronous"}
    expected = {path.stem for path in (ROOT / "examples" / "expected").iterdir()}
    assert expected == scenarios - models | {"models"}
