# SPDX-License-Identifier: MIT OR Apache-2.0
"""Writes a C program that calls every function of include/carrick.h with NULL and 0 for everything.

A function that returns a status must refuse (or, where nothing is a pointer, answer); one that returns
nothing must do nothing. The list is made from the header, so a new function is tested the day it appears.
"""

import re
import sys
from pathlib import Path

PROTOTYPE = re.compile(r"^(?P<type>[\w\s\*]+?)(?P<name>carrick_\w+)\((?P<args>[^;]*)\);", re.M)


def main() -> None:
    header = Path(sys.argv[1]).read_text()
    code = re.sub(r"/\*.*?\*/", "", header, flags=re.S)
    calls = []
    for match in PROTOTYPE.finditer(code):
        kind, name, args = match["type"].strip(), match["name"], match["args"].strip()
        if kind.startswith("typedef"):
            continue
        count = 0 if args in ("", "void") else args.count(",") + 1
        calls.append((kind, name, ", ".join("0" for _ in range(count)), "*" in args or "_fn " in args))
    if len(calls) < 60:
        sys.exit(f"only {len(calls)} functions found in {sys.argv[1]}: the pattern no longer fits the header")
    print('#include "carrick.h"\n#include <stdio.h>\n\nint main(void)\n{\n    int failed = 0;')
    for kind, name, args, has_pointer in calls:
        if kind == "carrick_status" and has_pointer:
            print(f'    if ({name}({args}) >= 0) {{ printf("not ok {name}\\n"); failed++; }}')
        elif kind == "void":
            print(f"    {name}({args});")
        else:
            print(f"    (void){name}({args});")
    print(
        f'    printf("%d passed, %d failed\\n", {len(calls)} - failed, failed);\n    return failed != 0;\n}}'
    )


if __name__ == "__main__":
    main()
