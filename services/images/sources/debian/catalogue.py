"""The images and kernels that can be made from Debian's packages.

They are data: the files ``services/images/catalogue/*.toml``, checked when they are read. No mirror
is named there: mmdebstrap has defaults, and the configuration may name another.
"""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import msgspec

from shared.contract.names import check_name
from shared.errors import BangerError

DEBIAN_ARCH = "amd64"

FILES = Path(__file__).parents[2] / "catalogue"

PACKAGE = r"[a-z0-9][a-z0-9.+-]*[a-z0-9+]"
"""Debian Policy 5.6.1, without names that end in ``-``: for apt that means "remove"."""

_Package = Annotated[str, msgspec.Meta(pattern=rf"^{PACKAGE}\Z", max_length=100)]
_Suite = Annotated[str, msgspec.Meta(pattern=r"^[a-z]+\Z", max_length=32)]
_Revision = Annotated[int, msgspec.Meta(ge=1)]
_Line = Annotated[str, msgspec.Meta(pattern=r"^[ -~]+\Z", max_length=100)]
_Path = Annotated[str, msgspec.Meta(pattern=r"^(/[a-z0-9][a-z0-9._-]*)+\Z", max_length=200)]


@dataclass(frozen=True)
class DebianImage:
    """A Debian root filesystem: minbase, ``packages`` and their dependencies."""

    name: str
    suite: str
    packages: tuple[str, ...]
    description: str
    variant: str = ""
    """What tells it from other images of the suite."""
    included: tuple[str, ...] = ()
    """Those of ``packages`` that a user has added, sorted (extension.py)."""
    revision: int = 1
    unpacked_mib: int = 1200
    """What the tree takes with its packages while it is built, and a margin."""
    files: tuple[tuple[str, str], ...] = ()
    """Configuration that is added to the packages': absolute path and content."""

    @property
    def source(self) -> str:
        """``debian:bookworm-dev.2``, ``debian:bookworm.2+nftables,python3``."""
        variant = f"-{self.variant}" if self.variant else ""
        further = f"+{','.join(self.included)}" if self.included else ""
        return f"debian:{self.suite}{variant}{_suffix(self.revision)}{further}"


@dataclass(frozen=True)
class DebianKernel:
    """The kernel that the Debian package ``package`` of ``suite`` currently depends on."""

    name: str
    suite: str
    package: str
    description: str
    revision: int = 1

    @property
    def source(self) -> str:
        return f"debian:{self.suite}/{self.package}{_suffix(self.revision)}"


def _suffix(revision: int) -> str:
    return f".{revision}" if revision > 1 else ""


class _ImageFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``NAME.image.toml``. ``packages`` has groups, whose names are for the reader; those of the
    image that it ``extends`` come first. ``files`` has the content of each by its path."""

    source: Literal["debian"]
    name: str
    suite: _Suite
    revision: _Revision
    description: _Line
    packages: dict[str, tuple[_Package, ...]]
    unpacked_mib: Annotated[int, msgspec.Meta(ge=1, le=1 << 20)]
    """What the tree takes with its packages while it is built, and a margin."""
    files: dict[_Path, Annotated[str, msgspec.Meta(max_length=4096)]] = {}
    variant: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9]+\Z", max_length=16)] | None = None
    extends: str | None = None


class _KernelFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``NAME.kernel.toml``."""

    source: Literal["debian"]
    name: str
    suite: _Suite
    package: _Package
    description: _Line
    revision: _Revision = 1


class CatalogueError(ValueError):
    """A file of the catalogue that is not as it has to be."""


def load_images(directory: Path = FILES) -> dict[str, DebianImage]:
    """The images by name. Raises CatalogueError, which names the file."""
    files = _read(directory, "image", _ImageFile)
    return {name: _image(name, files) for name in files}


def load_kernels(directory: Path = FILES) -> dict[str, DebianKernel]:
    """The kernels by name. Raises CatalogueError, which names the file."""
    return {
        name: DebianKernel(name, file.suite, file.package, file.description, file.revision)
        for name, file in _read(directory, "kernel", _KernelFile).items()
    }


def _image(name: str, files: dict[str, _ImageFile]) -> DebianImage:
    file = files[name]
    packages = [package for group in file.packages.values() for package in group]
    content = file.files
    if file.extends is not None:
        base = files.get(file.extends)
        if base is None or base.extends is not None or base.suite != file.suite:
            raise CatalogueError(
                f"{name}.image.toml: extends {file.extends!r}, which is no image of the suite "
                f"{file.suite} that extends nothing"
            )
        packages = [*(each for group in base.packages.values() for each in group), *packages]
        content = base.files | content
    if twice := sorted({each for each in packages if packages.count(each) > 1}):
        raise CatalogueError(f"{name}.image.toml: listed twice: {', '.join(twice)}")
    return DebianImage(
        name=name,
        suite=file.suite,
        packages=tuple(packages),
        description=file.description,
        variant=file.variant or "",
        revision=file.revision,
        unpacked_mib=file.unpacked_mib,
        files=tuple(content.items()),
    )


F = TypeVar("F", _ImageFile, _KernelFile)


def _read(directory: Path, noun: Literal["image", "kernel"], kind: type[F]) -> dict[str, F]:
    found: dict[str, F] = {}
    suffix = f".{noun}.toml"
    names = sorted(path.name.removesuffix(suffix) for path in directory.glob(f"*{suffix}"))
    for path in (directory / f"{name}{suffix}" for name in names):
        try:
            file = msgspec.convert(tomllib.loads(path.read_text()), kind)
            check_name(file.name, "an image" if noun == "image" else "a kernel")
        except (OSError, ValueError, msgspec.MsgspecError, BangerError) as error:
            raise CatalogueError(f"{path.name}: {error}") from error
        if path.name != f"{file.name}{suffix}":
            raise CatalogueError(f"{path.name}: holds {file.name!r}")
        found[file.name] = file
    return found


def is_package(word: str) -> bool:
    """Whether ``word`` can be the name of a Debian package."""
    return re.fullmatch(PACKAGE, word) is not None


IMAGES: dict[str, DebianImage] = load_images()
KERNELS: dict[str, DebianKernel] = load_kernels()
