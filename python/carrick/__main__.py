# SPDX-License-Identifier: MIT OR Apache-2.0
"""``python -m carrick --version``."""

import argparse

from carrick import __version__


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m carrick", description="carrick's Python package.")
    parser.add_argument("--version", action="version", version=f"carrick {__version__}")
    parser.parse_args()
    parser.print_help()


if __name__ == "__main__":
    main()
