"""Source trees of other people's projects, from the archives that apt and pip use here."""

import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

APT_CONFIGURATION = Path("/etc/apt")
FETCH_SECONDS = 600.0


@dataclass(frozen=True)
class Project:
    """A project, and what proves in a guest that its tree is whole."""

    name: str
    archive: Literal["debian", "pypi"]
    check: str
    """A shell script, run at the top of the tree: its own tests, or its build."""
    version: str = ""
    """Of a project of PyPI; Debian's is that of the machine's release."""


class FetchFailed(Exception):
    """An archive did not give a source tree; the message is the program's own."""


class Fetcher:
    """Fetches into ``directory``, which the caller removes."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._apt: list[str] = []

    def fetch(self, project: Project) -> Path:
        """The unpacked tree of a project.

        Raises:
            FetchFailed: the archive has no such source, or cannot be reached.
        """
        into = Path(tempfile.mkdtemp(dir=self._directory))
        if project.archive == "debian":
            return self._from_debian(project, into)
        return _from_pypi(project, into)

    def _from_debian(self, project: Project, into: Path) -> Path:
        """apt-get(8) unpacks with dpkg-source(1), so Debian's patches are in it."""
        if not self._apt:
            self._apt = self._apt_for_sources()
        _run([*self._apt, "-qq", "source", project.name], into)
        return _only_folder(into)

    def _apt_for_sources(self) -> list[str]:
        """An apt with directories of its own, whose archives are the machine's, but for sources."""
        place = self._directory / "apt"
        for name in ("parts", "lists/partial", "cache/archives/partial"):
            (place / name).mkdir(parents=True)
        _write_sources(place / "parts")
        options = {
            "Dir::Etc::sourcelist": "/dev/null",
            "Dir::Etc::sourceparts": place / "parts",
            "Dir::State::lists": place / "lists",
            "Dir::Cache": place / "cache",
            "APT::Sandbox::User": "root",  # the directories are this user's only
        }
        apt = ["apt-get", *(word for key in options for word in ("-o", f"{key}={options[key]}"))]
        _run([*apt, "-qq", "update"], place)
        return apt


def _write_sources(into: Path) -> None:
    """Every archive of binary packages that apt knows, as one of sources: sources.list(5)."""
    for file in (APT_CONFIGURATION / "sources.list.d").glob("*.sources"):
        old = file.read_text().splitlines()
        lines = ["Types: deb-src" if line.startswith("Types:") else line for line in old]
        (into / file.name).write_text("\n".join(lines) + "\n")
    lists = [APT_CONFIGURATION / "sources.list"]
    for file in [*lists, *(APT_CONFIGURATION / "sources.list.d").glob("*.list")]:
        if file.exists():
            lines = [line for line in file.read_text().splitlines() if line.startswith("deb ")]
            new = "".join(f"deb-src {line[4:]}\n" for line in lines)
            (into / file.name).write_text(new)


def _from_pypi(project: Project, into: Path) -> Path:
    wanted = f"{project.name}=={project.version}" if project.version else project.name
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    _run([*pip, "download", "--no-deps", "--no-binary", ":all:", "--dest", ".", wanted], into)
    archives = list(into.glob("*.tar.gz"))
    if len(archives) != 1:
        raise FetchFailed(f"{wanted}: pip brought {[path.name for path in into.iterdir()]}")
    with tarfile.open(archives[0]) as archive:
        archive.extractall(into, filter="data")
    return _only_folder(into)


def _only_folder(into: Path) -> Path:
    folders = [path for path in into.iterdir() if path.is_dir()]
    if len(folders) != 1:
        raise FetchFailed(f"{[path.name for path in folders]} instead of one folder")
    return folders[0]


def _run(argv: list[str], cwd: Path) -> None:
    done = subprocess.run(
        argv, cwd=cwd, capture_output=True, text=True, timeout=FETCH_SECONDS, check=False
    )
    if done.returncode != 0:
        raise FetchFailed(f"{' '.join(argv[-3:])}: {done.stderr.strip()[-2000:]}")
