"""A repository as large as those of big projects, made by git-fast-import(1).

It is the same to the bit on every machine (names, contents, dates), so figures of two days are of
one thing. It stays in the user's cache, since making it takes minutes.
"""

import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

BRANCH = "main"
ASSET_BYTES = 100_000
"""Of an asset: a file that all older commits write anew, with bytes that do not compress."""
LATEST, EDITS = 20, 50
"""Of the newest commits each edits so many text files and no asset."""
PER_FOLDER, PARTS = 100, 10
TEXT_BYTES = 1500
"""Of a text file, on average."""
FIRST_DATE = 1_600_000_000
VERSION = 1
"""Of what is made here: a change makes the repositories of before old."""


class RepositorySize(NamedTuple):
    files: int
    """Text files at HEAD."""
    assets: int = 0
    history: int = 0
    """Bytes that older commits hold and HEAD does not."""


LARGE = RepositorySize(100_000, 40, 2_000_000_000)
SMALL = RepositorySize(100)
TINY = RepositorySize(20, 1, 500_000)


def cached_repository(size: RepositorySize) -> Path:
    """A work tree with nothing to commit; made when it is not there. It takes ``size.history`` of
    disk, twice 600 bytes a file in git's own files, and the files."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    place = cache / "banger" / "bench" / "-".join(map(str, ("repository", VERSION, *size)))
    if place.exists():
        git(place, "reset", "-q", "--hard", BRANCH)  # a benchmark that was killed left an edit
        git(place, "clean", "-q", "-d", "-f")
        return place
    half_made = place.with_name(f"{place.name}.{os.getpid()}")
    try:
        make_repository(half_made, size)
        half_made.rename(place)
    finally:
        shutil.rmtree(half_made, ignore_errors=True)
    return place


def make_repository(place: Path, size: RepositorySize) -> None:
    """``place`` is not there yet."""
    place.mkdir(parents=True)
    git(place, "init", "-q", "-b", BRANCH)
    git(place, "config", "user.name", "Ada")
    git(place, "config", "user.email", "ada@site.example")
    quick = ("-c", "core.compression=1", "fast-import", "--quiet", "--depth=0")
    with subprocess.Popen(["git", "-C", place, *quick], stdin=subprocess.PIPE) as importer:
        assert importer.stdin
        _write_history(importer.stdin, size)
        importer.stdin.close()
    assert importer.returncode == 0, "git fast-import failed"
    git(place, "reset", "-q", "--hard")


def git(place: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", place, *words], check=True, stdout=subprocess.PIPE)
    return done.stdout.decode()


def text_path(number: int) -> str:
    """Where the text file of this number is."""
    folder = number // PER_FOLDER
    return f"src/module-{folder // PARTS:03}/part-{folder % PARTS}/file-{number % PER_FOLDER:02}.c"


def _write_history(to: IO[bytes], size: RepositorySize) -> None:
    source = random.Random(size.files)
    corpus = _corpus(source)

    def text() -> bytes:
        length = min(int(source.lognormvariate(0, 0.8) * TEXT_BYTES / 1.4) + 40, 40_000)
        begin = source.randrange(len(corpus) - length)
        return corpus[begin : begin + length]

    older = max(1, size.history // max(1, size.assets * ASSET_BYTES))
    for number in range(older + LATEST):
        _write_commit(to, number)
        if number == 0:
            for each in range(size.files):
                _write_file(to, text_path(each), text())
        if number < older:
            for each in range(size.assets):
                _write_file(to, f"assets/image-{each:02}.bin", source.randbytes(ASSET_BYTES))
        else:
            for each in source.sample(range(size.files), min(EDITS, size.files)):
                _write_file(to, text_path(each), text())


def _write_commit(to: IO[bytes], number: int) -> None:
    who = f"Ada <ada@site.example> {FIRST_DATE + 3600 * number} +0000"
    message = f"Change {number}\n".encode()
    to.write(f"commit refs/heads/{BRANCH}\ncommitter {who}\ndata {len(message)}\n".encode())
    to.write(message)


def _write_file(to: IO[bytes], path: str, content: bytes) -> None:
    to.write(f"M 100644 inline {path}\ndata {len(content)}\n".encode())
    to.write(content)
    to.write(b"\n")


def _corpus(source: random.Random) -> bytes:
    """A megabyte that compresses as source code does, by four."""
    letters = "etaoinshrdlucmfwypvbgkjqxz"
    vocabulary = ["".join(source.choices(letters, k=source.randint(2, 11))) for _ in range(900)]

    def lines() -> Iterator[str]:
        for _ in range(24_000):
            words = source.choices(vocabulary, k=source.randint(2, 8))
            yield "    " * source.randint(0, 3) + " ".join(words) + ";\n"

    return "".join(lines()).encode()
