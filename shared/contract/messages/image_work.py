"""Bodies of the verbs that make images and kernels, or take them out.

Paths are of this host and absolute: the command makes them so. What it has as an open file is
``/proc/PID/fd/N`` of its own.
"""

from typing import Annotated, Literal

import msgspec

from shared.contract.messages.image import ImageConfig, ImageOrigin
from shared.contract.messages.workspace import HostPath

Source = Annotated[str, msgspec.Meta(max_length=4096)]


class ImagePull(msgspec.Struct, kw_only=True):
    """``image.pull``: ``source`` is a name of the catalogue, a reference as docker writes it,
    ``oci:DIR[:TAG]`` or ``docker-archive:FILE[:REF]``."""

    source: Source
    name: str = ""
    """What it is called here; empty: as its source calls it."""
    force: bool = False
    """Look at the source again although there is an image of this name."""
    insecure: bool = False
    """Plain HTTP, and certificates that nobody vouches for, from this registry."""
    auth_file: str = ""
    """The caller's $REGISTRY_AUTH_FILE: the environment of the services is another."""


class ImageImport(msgspec.Struct, kw_only=True):
    """``image.import``: what ``image.export`` or docker save wrote; ``file`` may be a pipe.

    ``name`` is what it is called here; empty: as the archive calls it.
    """

    file: HostPath
    name: str = ""


class ImageExport(msgspec.Struct, kw_only=True):
    """``image.export``: write it and the images below into ``output``, which the caller has
    made."""

    ref: str
    output: HostPath


class ImageExported(msgspec.Struct, kw_only=True):
    """``size`` is that of the file."""

    id: str
    name: str
    size: int


class ImageRegister(msgspec.Struct, kw_only=True):
    """``image.register``: an image of a root filesystem (tar, tar.zst, ext4, squashfs or qcow2, by
    its content). ``kernel`` is the name of the one it wants; ``work_seed`` a directory whose
    content a new work disk gets."""

    name: str
    rootfs: HostPath
    kernel: str = ""
    work_seed: str = ""
    force: bool = False
    """Give the name to this image although another one has it."""


class ImageTag(msgspec.Struct, kw_only=True):
    """``image.tag``: one more name. ``force``: take it from the image that has it."""

    ref: str
    name: str
    force: bool = False


class KernelImport(msgspec.Struct, kw_only=True):
    """``kernel.import``: a directory that holds ``vmlinuz`` and ``modules/VERSION``, or a directory
    of ``kernels`` that another banger has published."""

    directory: HostPath
    name: str = ""


class Prune(msgspec.Struct, kw_only=True):
    """``image.prune``: remove downloads, cached steps of builds, and images that nothing needs: no
    name, no VM, no image above. ``dry_run``: only say what would go."""

    dry_run: bool = False


class PruneUnused(Prune, kw_only=True):
    """The images service's ``image.prune``; ``used``: ids of the images that VMs use, or are about
    to."""

    used: list[str] = []


class PrunedItem(msgspec.Struct, kw_only=True):
    """``name`` is the digest of a download or of a cached step, the id of an image, the key of a
    template."""

    kind: Literal["image", "download", "build", "template"]
    name: str
    real_bytes: int


class Pruned(msgspec.Struct, kw_only=True):
    """What has gone or would go: the largest ``PRUNED_NAMED``, and how many ``more`` there are.
    ``real_bytes`` is the sum of all."""

    pruned: list[PrunedItem]
    more: int = 0
    real_bytes: int = 0


PRUNED_NAMED = 1000


class ImageFileBuild(msgspec.Struct, kw_only=True):
    """The api's ``image.build``: build what a file describes, in a VM.

    ``context`` is the directory that its copies come from. ``as_name`` comes before the name that
    the file gives. ``arguments`` are a Dockerfile's ARGs.
    """

    file: HostPath
    syntax: Literal["toml", "dockerfile"] = "toml"
    context: HostPath
    as_name: str = ""
    arguments: dict[str, str] = {}
    force: bool = False
    """Run every step again, although its outcome is cached."""
    work_seed: bool = False
    """Keep what the steps leave in /root as the image's work seed."""
    nat: bool | None = None
    """Whether the steps reach the outside, and ``allow`` what of it, as of ``VmChoice``."""
    allow: list[str] | None = None


class VmCommit(msgspec.Struct, kw_only=True):
    """``vm.commit``: an image of what a stopped VM has changed. Its /root is a disk of its own:
    ``work_seed`` keeps that too."""

    ref: str
    name: str
    work_seed: bool = False


class ImageCapture(msgspec.Struct, kw_only=True):
    """The images service's ``image.capture``: publish what the stopped VM has changed as a layer
    above the image ``base`` (an id), which it was made of."""

    vm_id: str
    base: str
    name: str
    origin: ImageOrigin
    config: ImageConfig | None = None
    """None: that of the image below."""
    work_seed: bool = False
    """Take /root out too; otherwise the work seed is that of the image below."""
    key: str = ""
    """Of a build, under which it finds the image again."""


class SpaceUsed(msgspec.Struct, kw_only=True):
    """One kind of what is stored: how many there are, what they occupy, and what of that
    ``image prune`` or a delete would give back without anything being missed."""

    kind: Literal["images", "kernels", "downloads", "builds", "vms", "templates", "pool"]
    count: int
    real_bytes: int
    reclaimable: int = 0


class StorageUsage(msgspec.Struct, kw_only=True):
    """``images.usage`` and ``system.usage``; the second one has the VMs' disks too, and
    what templates and the VMs that wait for a user occupy. ``free_bytes``
    are those that a user may still fill on the disk of ``path``."""

    used: list[SpaceUsed]
    path: str
    free_bytes: int


class UsageQuestion(msgspec.Struct, kw_only=True):
    """``images.usage``. ``used``: as of ``PruneUnused``."""

    used: list[str] = []
