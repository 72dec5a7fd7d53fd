# SPDX-License-Identifier: MIT OR Apache-2.0
"""Checks that every item of include/carrick.h has a comment, and that the comments use the contract's words.

A function that returns a status says its codes and, like every function, since when it is there and its thread word; an
output handle says OWNED or BORROWED; a callback answers the five questions; an opaque type has its thread word.
"""

import re
import sys
from pathlib import Path

COMMENT = r"/\*\*(?P<comment>(?:(?!\*/).)*)\*/\s*"
FUNCTION = re.compile(
    COMMENT + r"(?P<type>(?:const )?\w[\w\s]*[\s\*]+)(?P<name>carrick_\w+)\((?P<args>[^;{}]*)\);", re.S
)
CALLBACK = re.compile(COMMENT + r"typedef \w+ \(\*(?P<name>carrick_\w+_fn)\)", re.S)
OPAQUE = re.compile(COMMENT + r"typedef struct (?P<name>carrick_\w+) \1?(?P=name);".replace(r"\1?", ""), re.S)
CONSTANT = re.compile(r"(?P<comment>/\*\*(?:(?!\*/).)*\*/\s*)?#define (?P<name>CARRICK_\w+)[ (]", re.S)
FIELD = re.compile(r"(?P<comment>\*/\s*)?^ {4}(?:const )?(?:struct )?\w+ \*?(?P<name>\w+);", re.M)


def faults(text):
    """The missing parts, one line each."""
    functions = list(FUNCTION.finditer(text))
    bare = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    declared = re.findall(r"^(?!typedef)\w[\w\s\*]*?(carrick_\w+)\(", bare, re.M)
    for name in sorted(set(declared) - {match["name"] for match in functions}):
        yield f"{name}: no comment"
    for match in functions:
        comment, name = " ".join(match["comment"].replace("*", " ").split()), match["name"]
        if "Since 0." not in comment:
            yield f"{name}: does not say since when"
        if match["type"].strip() == "carrick_status" and "Codes:" not in comment:
            yield f"{name}: does not say its codes"
        thread = (
            re.search(r"\b(ANY|ONE|HOME)\b", comment) or "Nobody else" in comment or name.endswith("_free")
        )
        if not thread:
            yield f"{name}: no thread word"
        if re.search(r"carrick_\w+ \*\*out_", match["args"]) and not re.search(r"OWNED|BORROWED", comment):
            yield f"{name}: does not say who owns what it gives"
        if match["args"] != "void" and match["type"].strip() == "carrick_status":
            if "*" in match["args"] and "E_NULL" not in comment and "as carrick_" not in comment:
                yield f"{name}: takes pointers and does not list E_NULL"
    for match in CALLBACK.finditer(text):
        if match["name"] == "carrick_drop_fn":
            continue
        for word in ("Which thread:", "Concurrent:", "May it block:", "Forbidden:", "Lifetime:"):
            if word not in " ".join(match["comment"].replace("*", " ").split()):
                yield f"{match['name']}: does not answer '{word}'"
    for match in OPAQUE.finditer(text):
        if "Thread word:" not in match["comment"]:
            yield f"{match['name']}: no thread word"
    for match in CONSTANT.finditer(text):
        if match["comment"] is None and match["name"] != "CARRICK_H":
            yield f"{match['name']}: no comment"
    for match in FIELD.finditer(text):
        if match["comment"] is None:
            yield f"field {match['name']}: no comment"
    if len(functions) < 60 or len(list(CALLBACK.finditer(text))) < 3 or len(list(OPAQUE.finditer(text))) < 8:
        yield "too few items found: the patterns no longer fit the header"


def main():
    """Print the faults; exit 1 if there are any."""
    found = list(faults(Path(sys.argv[1]).read_text()))
    for line in found:
        print(f"{sys.argv[1]}: {line}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
