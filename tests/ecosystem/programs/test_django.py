# SPDX-License-Identifier: MIT OR Apache-2.0
"""Django's development server with its autoreloader."""

from __future__ import annotations

from pathlib import Path

import pytest

MANAGE = """
import os, sys
def main():
    os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
    from django.core.management import execute_from_command_line
    execute_from_command_line(sys.argv)
if __name__ == "__main__":
    main()
"""
SETTINGS = """
SECRET_KEY = "x"
DEBUG = True
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "urls"
INSTALLED_APPS = []
DATABASES = {}
"""
URLS = """
from django.http import HttpResponse
from django.urls import path
from states import state
urlpatterns = [path("", lambda request: HttpResponse(state("one")))]
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    for name, text in (("manage.py", MANAGE), ("settings.py", SETTINGS), ("urls.py", URLS)):
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize("more", [[], ["--nothreading"]], ids=["threading", "nothreading"])
def test_runserver_restarts_itself_and_ends_by_ctrl_c(start, site: Path, more: list[str]) -> None:
    program = start("manage.py", "runserver", "127.0.0.1:0", "--skip-checks", *more)
    program.listens(r"http://127\.0\.0\.1:([1-9]\d*)/")
    first = program.state()
    assert first["text"] == "one"
    assert Path(first["argv"][0]).name == "manage.py"
    program.change(site / "urls.py", URLS.replace('state("one")', 'state("two")'), "changed, reloading")
    program.listens(r"http://127\.0\.0\.1:([1-9]\d*)/", 2)
    second = program.until(lambda found: found["text"] == "two")
    assert second["pid"] != first["pid"]
    assert second["argv"] == first["argv"]
    program.interrupt()
    program.ends(0, -2, 1, 130)


def test_runserver_without_reload(start, site: Path) -> None:
    program = start("manage.py", "runserver", "127.0.0.1:0", "--noreload", "--skip-checks")
    program.listens(r"http://127\.0\.0\.1:([1-9]\d*)/")
    for _ in range(20):
        program.state()
    program.interrupt()
    program.ends(0, -2, 1, 130)
