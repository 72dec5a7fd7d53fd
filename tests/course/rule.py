# SPDX-License-Identifier: MIT OR Apache-2.0
"""The rule by which a script of the course moves to carrick, and back: only import lines change.

In a line that begins with `import` or `from`, a module that carrick has is replaced like this::

    import socket                 ->  import carrick.socket as socket
    import hmac,os                ->  import carrick.hmac as hmac,os
    from socket import *          ->  from carrick.socket import *

The scripts in scripts/ are the standard library's version. Those in examples/course/ are made from them by
this rule, by `python3 tests/course/rule.py`; a test holds the two equal.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

MODULES = ("hmac", "multiprocessing", "queue", "socket", "socketserver")
SCRIPTS = Path(__file__).parent / "scripts"
EXAMPLES = Path(__file__).parents[2] / "examples" / "course"

_NAME = "|".join(MODULES)
_IMPORT_LINE = re.compile(r"^import\b.*$", re.MULTILINE)
_MODULE = re.compile(rf"(?<=[ ,])({_NAME})(?=\s*(?:,|$))")
_FROM = re.compile(rf"^from ({_NAME}) import\b", re.MULTILINE)
_TWO_ARGUMENTS = re.compile(r"\bhmac\.new\((\w+), (\w+)\)")


def on_carrick(source: str) -> str:
    """The script with its import lines changed."""
    source = _IMPORT_LINE.sub(lambda line: _MODULE.sub(r"carrick.\1 as \1", line[0]), source)
    return _FROM.sub(r"from carrick.\1 import", source)


def with_digest_named(source: str) -> str:
    """The script as the standard library of Python 3.8 and later can run it: with a digest for `hmac.new`."""
    return _TWO_ARGUMENTS.sub(r"hmac.new(\1, \2, digestmod='sha256')", source)


def main() -> int:
    """Write examples/course/."""
    EXAMPLES.mkdir(parents=True, exist_ok=True)
    for old in EXAMPLES.glob("*.py"):
        old.unlink()
    for script in sorted(SCRIPTS.glob("*.py")):
        (EXAMPLES / script.name).write_text(on_carrick(script.read_text("utf-8")), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
