# SPDX-License-Identifier: MIT OR Apache-2.0
"""Fetches what is pinned, once: a virtual environment, and unpacked source archives, below build/ecosystem."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CACHE = ROOT / "build" / "ecosystem"
PIP = ("-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input")
FETCHING = 900
"""Seconds for one call of pip."""

START = 'import os, site; site.addsitedir(os.environ["ECOSYSTEM_SITE"]) if "ECOSYSTEM_SITE" in os.environ else None\n'
"""A .pth file: the environment has carrick, with its own carrick.pth, where the run asks for it, and else has not."""


def _run(*command: str | Path) -> None:
    subprocess.run([str(part) for part in command], check=True, stdin=subprocess.DEVNULL, timeout=FETCHING)


def _environment(folder: Path, stamp: str) -> None:
    if (folder / "stamp").exists() and (folder / "stamp").read_text() == stamp:
        return
    shutil.rmtree(folder, ignore_errors=True)
    _run(sys.executable, "-m", "venv", folder)
    pins = HERE / "requirements.txt"
    _run(folder / "bin/python", *PIP, "install", "--no-deps", "--only-binary", ":all:", "-r", pins)
    (site,) = folder.glob("lib/python3*/site-packages")
    (site / "carrick_ecosystem.pth").write_text(START)
    (folder / "stamp").write_text(stamp)


def _sources(folder: Path, stamp: str) -> None:
    if (folder / "stamp").exists() and (folder / "stamp").read_text() == stamp:
        return
    shutil.rmtree(folder, ignore_errors=True)
    archives = folder / "archives"
    archives.mkdir(parents=True)
    for line in (HERE / "sources.txt").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        name = line.split("==")[0]
        _run(sys.executable, *PIP, "download", "--no-deps", "--no-binary", name, "-d", archives / name, line)
        (archive,) = (archives / name).glob("*.tar.gz")
        with tarfile.open(archive) as packed:
            packed.extractall(folder, filter="data")
        archive.unlink()
        (folder / archive.name.removesuffix(".tar.gz")).rename(folder / name)
    shutil.rmtree(archives)
    (folder / "stamp").write_text(stamp)


def fetch() -> None:
    """Bring what is not there yet, or is pinned otherwise by now."""
    CACHE.mkdir(parents=True, exist_ok=True)
    stamps = []
    for name, more in (("requirements.txt", START), ("sources.txt", "")):
        pinned = (HERE / name).read_text() + more + sys.version
        stamps.append(hashlib.sha256(pinned.encode()).hexdigest())
    with ThreadPoolExecutor() as both:
        for waiting in (
            both.submit(_environment, CACHE / "venv", stamps[0]),
            both.submit(_sources, CACHE / "sources", stamps[1]),
        ):
            waiting.result()
