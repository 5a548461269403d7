"""What goes into L1, as one tar stream: this checkout, its packages, images, kernels, Firecracker.

The checkout is the git-tracked files as they are in the work tree. A virtualenv is laid around the
packages, so that L1's python3 finds them and coverage's own start-up file is read.
"""

import io
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from shared.paths import Paths

ROOT = Path(__file__).parents[2]
CHECKOUT = Path("opt/banger")
DATA = Path("opt/data/banger")
VENV = CHECKOUT / ".venv"
SITE = VENV / "lib" / "python3.11" / "site-packages"
BIN = Path("usr/local/bin")

_COMMAND = f"""\
#!/{VENV}/bin/python3
from banger import main
main()
"""


def write(stream: IO[bytes], paths: Paths, packages: Path, firecracker: Path) -> None:
    """Write the parcel. ``paths``: where the images and kernels are; all owners become root."""
    with tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for source, target in _files(paths, packages, firecracker):
            archive.add(source, str(target), recursive=source.is_dir(), filter=_root_owned)
        _write_venv(archive)


def _files(paths: Paths, packages: Path, firecracker: Path) -> Iterator[tuple[Path, Path]]:
    for name in _tracked():
        yield ROOT / name, CHECKOUT / name
    yield packages, SITE
    for program in ("firecracker", "jailer"):
        yield firecracker / program, BIN / program
    for library in (paths.images, paths.kernels):
        link = library / "by-name" / "debian-bookworm"
        yield link, DATA / library.name / "by-name" / link.name
        yield link.resolve(), DATA / library.name / link.resolve().name


def _tracked() -> list[str]:
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z", "--cached"],
        capture_output=True,
        check=True,
    )
    names = sorted(listed.stdout.decode().rstrip("\0").split("\0"))
    return [name for name in names if (ROOT / name).is_file()]


def _write_venv(archive: tarfile.TarFile) -> None:
    _add_text(archive, VENV / "pyvenv.cfg", "home = /usr/bin\n", 0o644)
    _add_text(archive, SITE / "banger.pth", f"/{CHECKOUT}\n", 0o644)
    _add_text(archive, VENV / "bin" / "banger", _COMMAND, 0o755)
    for name in ("python3", "python"):
        link = tarfile.TarInfo(str(VENV / "bin" / name))
        link.type, link.linkname = tarfile.SYMTYPE, "/usr/bin/python3"
        archive.addfile(link)


def _add_text(archive: tarfile.TarFile, path: Path, text: str, mode: int) -> None:
    entry = tarfile.TarInfo(str(path))
    entry.size, entry.mode = len(text.encode()), mode
    archive.addfile(entry, io.BytesIO(text.encode()))


def _root_owned(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    entry.mode |= 0o444 | (0o111 if entry.isdir() else 0)
    return entry
