"""The entry of the command: what it may import from."""

import subprocess
import sys
from pathlib import Path

import banger
from banger import ROOT, own_entries
from tests.home import REPOSITORY

PACKAGES = "/venv/lib/python3.11/site-packages"


def test_the_code_is_beside_the_package_in_a_checkout() -> None:
    assert Path(ROOT) == REPOSITORY


def test_neither_the_first_entry_nor_pythonpath_nor_the_users_packages_stay() -> None:
    path = ["/cwd", "/evil", "/usr/lib/python3.11", "/home/u/.local/site", PACKAGES]
    kept = ["/usr/lib/python3.11", PACKAGES]
    assert own_entries(path, "/evil:/more/../evil", "/home/u/.local/site") == kept


def test_the_users_packages_stay_where_banger_is_installed_in_them() -> None:
    there = str(Path(banger.__file__).parent.parent)
    assert own_entries(["", "/lib", there], "", there) == ["/lib", there]


def test_a_module_is_wanted() -> None:
    argv = [sys.executable, "-I", "-m", "banger"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=20)
    assert done.returncode == 1
    assert done.stderr == "usage: python -I -m banger MODULE [WORD...]\n"
