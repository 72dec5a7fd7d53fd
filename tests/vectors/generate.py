# SPDX-License-Identifier: MIT OR Apache-2.0
"""Write the vector files from stock CPython, or with --check hold the committed ones against it.

Every line that stock CPython has an opinion on is that interpreter's own answer (oracle.py): `legacy`
lines come from 3.11 or older, `modern` lines from 3.12 or newer, the rest from all. --check asks every
interpreter on this machine.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import cases

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "cross"))

import interpreters  # noqa: E402

HEADS = {
    "frames": """frame NAME FORMAT BODY ENCODED        writers make ENCODED of BODY, readers BODY of ENCODED
decode NAME FORMAT BODY ENCODED       only for readers: no writer makes this form
sticky NAME FORMAT ENCODED BODY...    several frames that arrive as one piece
header NAME FORMAT LENGTH HEADER      LENGTH is decimal; the body is left out
unencodable NAME FORMAT LENGTH        a writer must refuse a body of LENGTH bytes
bad NAME FORMAT CAP ENCODED OUTCOME   then end of stream; CAP is decimal
OUTCOME is negative, over-cap, eof, eof-inside-header or eof-inside-body""",
    "macs": "mac NAME ALGORITHM KEY MESSAGE TAG",
    "challenges": """answer NAME DIALECT KEY CHALLENGE OUTCOME RESPONSE   OUTCOME is ok, refused or too-long
verify NAME DIALECT KEY CHALLENGE RESPONSE OUTCOME   OUTCOME is welcome, refused or too-long
DIALECT is legacy (CPython 3.11 and older) or modern (3.12 and newer, and carrick)""",
    "course_auth": """course NAME ALGORITHM KEY NONCE DIGEST           DIGEST is accepted
course-refused NAME ALGORITHM KEY NONCE DIGEST   DIGEST is refused""",
}

# Tags printed in RFC 2202 and RFC 4231, so that one authority is not a CPython.
PUBLISHED = {
    ("rfc2202-1", "md5"): "9294727a3638bb1c13f48ef8158bfc9d",
    ("rfc4231-2", "md5"): "750c783e6ab0b503eaa86e310a5db738",
    ("rfc2202-3", "md5"): "56be34521d144c88dbb8c733f0e8b3f6",
    ("rfc4231-1", "sha1"): "b617318655057264e28bc0b6fb378c8ef146be00",
    ("rfc4231-2", "sha1"): "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
    ("rfc2202-6", "sha1"): "aa4ae5e15272d00e95705637ce8a3b55ed402112",
    ("rfc4231-1", "sha256"): "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
    ("rfc4231-2", "sha256"): "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    ("rfc4231-6", "sha256"): "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
    ("rfc4231-1", "sha384"): "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59c"
    "faea9ea9076ede7f4af152e8b2fa9cb6",
    ("rfc4231-1", "sha512"): "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde"
    "daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854",
}


def dialect(interpreter: interpreters.Interpreter) -> str:
    """Which of the two handshake dialects an interpreter speaks."""
    return cases.MODERN if interpreter.version >= (3, 12) else cases.LEGACY


def lines_of(interpreter: interpreters.Interpreter, every: list[cases.Case]) -> dict[int, str]:
    """The lines that an interpreter vouches for, by the place of their case."""
    asked = [i for i, case in enumerate(every) if case.question and dialect(interpreter) in case.dialects]
    questions = json.dumps([every[i].question for i in asked])
    run = subprocess.run(
        [interpreter.executable, "-I", str(HERE / "oracle.py")],
        input=questions,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if run.returncode:
        raise RuntimeError(f"{interpreter.executable} could not answer:\n{run.stderr}")
    return {i: every[i].line(answer) for i, answer in zip(asked, json.loads(run.stdout), strict=True)}


def text_of(file: str, lines: list[str]) -> str:
    """A vector file."""
    head = [
        "SPDX-License-Identifier: MIT OR Apache-2.0",
        "Written by generate.py; README.md has the rules.",
        "",
    ]
    comments = [f"# {line}".rstrip() for line in [*head, *HEADS[file].splitlines()]]
    return "\n".join([*comments, "", *lines]) + "\n"


def faults_in(lines: list[str]) -> list[str]:
    """The faults in lines, whoever vouched for them."""
    faults = [f"stock CPython disagrees with the case: {line}" for line in lines if "stock-says" in line]
    tags = {(row[1], row[2]): row[5] for row in map(str.split, lines) if row[0] == "mac"}
    faults += [f"{case} is not the published tag" for case, tag in PUBLISHED.items() if tags.get(case) != tag]
    seen: set[tuple[str, ...]] = set()
    for row in map(str.split, lines):
        name = (row[0], row[1], "" if row[0].startswith("course") else row[2])
        if name in seen:
            faults.append(f"two vectors have the name {' '.join(name)}")
        seen.add(name)
    return faults


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 on any difference")
    return parser.parse_args()


def main() -> int:
    """Generate or check."""
    args = arguments()
    every = cases.every()
    lines: dict[int, str] = {i: case.line(None) for i, case in enumerate(every) if not case.question}
    faults: list[str] = []
    found = interpreters.discover()
    for interpreter in found:
        own = lines_of(interpreter, every)
        for i, line in own.items():
            if lines.setdefault(i, line) != line:
                faults.append(f"{interpreter.full} says\n  {line}\nnot\n  {lines[i]}")
        print(f"{interpreter.full:8} {dialect(interpreter)}: {len(own)} lines  {interpreter.executable}")
    spoken = {dialect(interpreter) for interpreter in found}
    faults += faults_in(list(lines.values()))
    for file in HEADS:
        path = HERE / f"{file}.txt"
        of_file = [i for i, case in enumerate(every) if case.file == file]
        complete = all(i in lines for i in of_file)
        if not args.check and not faults and complete:
            path.write_text(text_of(file, [lines[i] for i in of_file]), encoding="ascii")
        committed = path.read_text(encoding="ascii") if path.exists() else ""
        if complete:
            if committed != text_of(file, [lines[i] for i in of_file]):
                faults.append(f"{path.name} is not what is generated")
        else:
            have = set(committed.splitlines())
            faults += [
                f"{path.name} lacks {lines[i]}" for i in of_file if i in lines and lines[i] not in have
            ]
            print(f"{path.name}: only the lines of {', '.join(sorted(spoken)) or 'no dialect'} were checked")
        print(f"{path.name}: {len(of_file)} vectors")
    for fault in faults:
        print(f"FAULT: {fault}")
    if not spoken:
        print("FAULT: no stock interpreter found")
    return 1 if faults or not spoken else 0


if __name__ == "__main__":
    sys.exit(main())
