# SPDX-License-Identifier: MIT OR Apache-2.0
"""The matrix of shared memory: every language as creator, producer, consumer and holder of a lock.

Each combination is run twice: what the creator makes is handed on by descriptors, and by names.

Arguments: the actors, each as NAME=COMMAND with its words apart by U+001F. The commands of an actor:

create P C H    makes two queues, a lock and an event and starts three actors, by their commands, in the roles
                produce, consume and hold, each with eight numbers: two descriptors of the queue of items and of the
                queue of the report, descriptor and slot of the lock and of the event. Prints the report; the
                holder must have been killed, the others have ended with 0.
name P C H      the same, but gives the queues, the lock and the event names, whose beginning is the one word that the
                actors get; then follow "-items", "-report", "-lock" and "-held". Removes them.
hold            takes the lock, sets the event and kills itself by SIGKILL.
produce         waits for the event and takes the lock, puts "died" or "free", whatever it was told, then 500 items.
consume         takes them, compares every byte, and reports what was first and how many there were.

Exit code 1 if a cell is red.
"""

import itertools
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

EXPECTED = "died, then 500 items\n"
SECONDS = 60


def cell(role: str, commands: "tuple[str, ...]") -> str:
    """The fault of one combination."""
    creator, *others = commands
    try:
        ended = subprocess.run(
            [*creator.split("\x1f"), role, *others], capture_output=True, text=True, timeout=SECONDS
        )
    except subprocess.TimeoutExpired as error:
        return f"not ended within {SECONDS} s: {error.stderr!r}"
    if (ended.returncode, ended.stdout, ended.stderr) == (0, EXPECTED, ""):
        return ""
    return f"{ended.returncode}, {ended.stdout!r}\n{ended.stderr}"


def main() -> None:
    """Run all combinations, two at a time."""
    actors = dict(argument.split("=", 1) for argument in sys.argv[1:])
    cells = list(itertools.product(("create", "name"), *[actors] * 4))
    with ThreadPoolExecutor(2) as executor:
        faults = list(executor.map(lambda names: cell(names[0], tuple(map(actors.get, names[1:]))), cells))
    for names, fault in zip(cells, faults):
        if fault:
            print("{}: creator {}, producer {}, consumer {}, holder {}: {}".format(*names, fault))
    left = [file for file in os.listdir("/dev/shm") if ".actor-" in file]
    if left:
        print(f"names that are left: {left}")
    red = sum(map(bool, faults)) + len(left)
    print(
        f"shared memory, {' x '.join(actors)} as creator, producer, consumer, holder, by descriptor and by name:"
        f" {len(cells)} cells, {red} red"
    )
    sys.exit(1 if red or len(cells) < 2 * 3**4 else 0)


if __name__ == "__main__":
    main()
