"""Files that git takes for unmodified although their bytes are not those of the blob.

git converts between the two: line ends, ``$Id$``, encodings, filters such as Git LFS
(gitattributes(5)). A guest gets the bytes of the work tree, so these files are sent as they are.
A conversion of line ends changes the size, whatever the attributes are by now; the other
conversions are found by their attributes, and then by comparing hashes. No filter runs here.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence

from services.workspaces.repository.git_process import GitProcess, GitResult, git_error
from services.workspaces.repository.work_tree import WorkTree

_UNCONVERTED = "attr:!ident !filter !working-tree-encoding"
_CHUNK = 1 << 20
_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n(?:ext-[^\n]*\n)*"
    rb"oid sha256:([0-9a-f]{64})\nsize ([0-9]{1,18})\n"
)
MOST_POINTER = 1024
"""Bytes of a Git LFS pointer: anything larger is content (git-lfs.com/spec/v1)."""


def with_conversion(git: GitProcess) -> set[bytes]:
    """Tracked files whose attributes name a conversion that may keep the size."""
    return set(git.run("ls-files", "-z", "--", f":(exclude,{_UNCONVERTED})").split(b"\0")[:-1])


def blob_sizes(git: GitProcess, oids: Sequence[str]) -> list[int]:
    """In the order of ``oids``. Raises ``invalid`` when one is missing."""
    if not oids:
        return []
    asked = "\n".join(oids).encode() + b"\n"
    answer = git.run("cat-file", "--batch-check=%(objectsize)", stdin=asked)
    try:
        return [int(line) for line in answer.splitlines()]
    except ValueError:
        missing = next(line for line in answer.splitlines() if not line.isdigit())
        raise git_error(GitResult(128, b"", missing), "cat-file", git.cwd) from None


def has_bytes_of(files: WorkTree, path: bytes, oid: str, size: int, algorithm: str) -> bool:
    """Whether a file is, byte for byte, the blob."""
    digest = hashlib.new(algorithm, b"blob %d\0" % size)
    return _hash_of(files, path, digest) == oid


def unmodified_pointers(
    git: GitProcess, files: WorkTree, candidates: Iterable[tuple[bytes, str]]
) -> set[bytes]:
    """Files whose blob is a Git LFS pointer to just the bytes that they have.

    git knows that by running a filter, which does not happen here, so it lists a file as modified
    that was only touched. ``candidates``: path and blob.
    """
    asked = list(candidates)
    if not asked:
        return set()
    sizes = blob_sizes(git, [oid for _, oid in asked])
    small = [one for one, size in zip(asked, sizes, strict=True) if size <= MOST_POINTER]
    return {
        path
        for (path, _), blob in zip(small, _blobs(git, [oid for _, oid in small]), strict=True)
        if (pointer := _POINTER.fullmatch(blob))
        and _is_content(files, path, pointer[1].decode(), int(pointer[2]))
    }


def _is_content(files: WorkTree, path: bytes, digest: str, size: int) -> bool:
    found = files.lstat(path)
    return (
        found is not None
        and found.st_size == size
        and _hash_of(files, path, hashlib.sha256()) == digest
    )


def _hash_of(files: WorkTree, path: bytes, digest: "hashlib._Hash") -> str:
    with open(files.open(path), "rb", buffering=0) as opened:
        while chunk := opened.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _blobs(git: GitProcess, oids: Sequence[str]) -> list[bytes]:
    """The content of small blobs, in order (git-cat-file(1), "BATCH OUTPUT")."""
    if not oids:
        return []
    answer = git.run("cat-file", "--batch", stdin="\n".join(oids).encode() + b"\n")
    found, position = [], 0
    while position < len(answer):
        line_end = answer.index(b"\n", position)
        size = int(answer[position:line_end].split(b" ")[2])
        found.append(answer[line_end + 1 : line_end + 1 + size])
        position = line_end + size + 2
    return found
