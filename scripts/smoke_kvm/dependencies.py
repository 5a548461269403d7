"""The Python packages that L1 needs, as wheels for its interpreter whatever this host's is."""

import hashlib
import re
import shutil
import sys
import tempfile
from pathlib import Path

from scripts.smoke_kvm.step import Runner

LOCK = Path(__file__).parents[1] / "requirements.lock"

LEFT_OUT = frozenset(
    "ast-serialize hypothesis mypy mypy-extensions librt ruff "
    "asyncssh paramiko bcrypt cffi cryptography invoke pycparser pynacl".split()
)
"""Checkers and ssh clients: most of the bytes, and nothing runs them in there."""

PYTHON = "3.11"
"""Of Debian 12, which L1 is."""

PLATFORMS = ("manylinux2014_x86_64", "manylinux_2_17_x86_64", "manylinux_2_28_x86_64")
"""Up to the glibc of Debian 12 (2.36)."""

INSTALL_SECONDS = 600.0


def needed(lock: str) -> str:
    """``lock`` (requirements with hashes) without what is in ``LEFT_OUT``. Pure."""
    entries = re.split(r"^(?=[A-Za-z0-9])", lock, flags=re.MULTILINE)
    return "".join(entry for entry in entries if _name(entry) not in LEFT_OUT)


def site_packages(cache: Path, runner: Runner) -> Path:
    """A directory with all of them, below ``cache``, named by the hash of what is wanted.

    Made by pip when it is not there, which takes a minute and the network.
    """
    wanted = needed(LOCK.read_text())
    key = hashlib.sha256(f"{PYTHON} {PLATFORMS} {wanted}".encode()).hexdigest()[:16]
    target = cache / f"site-packages-{key}"
    if not target.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".new-", dir=cache) as work:
            _install(wanted, Path(work), runner)
            Path(work, "packages").rename(target)
        _forget_others(cache, target)
    return target


def _install(wanted: str, work: Path, runner: Runner) -> None:
    requirements = work / "requirements.txt"
    requirements.write_text(wanted)
    argv = [
        *(sys.executable, "-m", "pip", "install", "--quiet"),
        *("--disable-pip-version-check", "--no-deps", "--only-binary=:all:", "--no-compile"),
        *("--target", str(work / "packages"), "--python-version", PYTHON),
        *("--implementation", "cp", "--abi", "cp311", "--abi", "abi3", "--abi", "none"),
        *(word for platform in PLATFORMS for word in ("--platform", platform)),
        *("--require-hashes", "-r", str(requirements)),
    ]
    runner.must(argv, INSTALL_SECONDS)


def _forget_others(cache: Path, target: Path) -> None:
    for other in cache.glob("site-packages-*"):
        if other != target:
            shutil.rmtree(other)


def _name(entry: str) -> str:
    return entry.partition("==")[0].strip()
