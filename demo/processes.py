# SPDX-License-Identifier: MIT OR Apache-2.0
"""The course's chapter on processes: its scripts on the standard library and on carrick, side by side."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "course"))

import processes
from processes import LIBRARIES, METHODS, SCRIPTS, Script

WIDTH = 20


def cells(script: Script, folder: Path) -> list[str]:
    """For each start method and library what came of it: 'as stock', with the milliseconds, or 'WRONG'."""
    found = []
    for method in METHODS:
        if method not in script.methods:
            found += ["-"] * len(LIBRARIES)
            continue
        stock = None
        for library in LIBRARIES:
            started = time.perf_counter()
            outcome = processes.run(script, library, method, folder)
            took = (time.perf_counter() - started) * 1e3
            stock = stock or outcome
            good = outcome == stock and (outcome.errors, outcome.code) == ("", 0)
            found.append(f"{took:.0f} ms" if good else "WRONG")
    return found


def main() -> int:
    """Run all of them."""
    print(
        "Processes: each script of the chapter as it is, with its import lines changed, and after carrick.patch()"
    )
    print(f"  {'':{WIDTH}}" + "".join(f"{method:^30}" for method in METHODS).rstrip())
    print(
        f"  {'':{WIDTH}}"
        + "".join(f"{name:>10}" for _ in METHODS for name in ("stock", "carrick", "patched"))
    )
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        for script in SCRIPTS.values():
            name = script.name.removeprefix("process_").replace("_", " ")
            row = cells(script, Path(folder))
            wrong += row.count("WRONG")
            print(
                f"  {name:{WIDTH}}" + "".join(f"{cell:>10}" for cell in row),
                flush=True,
            )
    print(
        f"  {len(SCRIPTS)} scripts; {'all print' if not wrong else f'{wrong} do not print'} what they print on stock"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
