"""What the workers of images are asked with. ``images`` is the root of the library."""

import msgspec

from services.images.library.manifest import ImageManifest
from services.images.oci.reference import DEFAULT_REGISTRY


class ExportJob(msgspec.Struct, kw_only=True):
    """Write an image and those below it into the file ``output``."""

    images: str
    id: str
    output: str


class ImportJob(msgspec.Struct, kw_only=True):
    """Publish what an archive holds; ``name`` instead of the name that is in it."""

    images: str
    file: str
    name: str = ""


class RegisterJob(msgspec.Struct, kw_only=True):
    """Publish an image of a root filesystem of the user's."""

    images: str
    name: str
    rootfs: str
    kernel: str = ""
    work_seed: str = ""
    force: bool = False
    """Take the name away from another image."""


class PromoteJob(msgspec.Struct, kw_only=True):
    """Copy the root filesystem of a registered image into the library."""

    images: str
    id: str


class PullJob(msgspec.Struct, kw_only=True):
    """Publish what an OCI reference leads to. ``blobs``: the root of the cache of downloads; the
    others as of ``ImagePull``."""

    images: str
    blobs: str
    source: str
    name: str = ""
    default_registry: str = DEFAULT_REGISTRY
    auth_file: str = ""
    insecure: bool = False
    force: bool = False


class CaptureJob(msgspec.Struct, kw_only=True):
    """Write the layer of a stopped VM into the directory ``output``, and its work seed if that is
    wanted. ``vm_state``: the VM's state directory."""

    vm_state: str
    output: str
    work_seed: bool = False


class PublishedImage(msgspec.Struct, kw_only=True):
    """What a job has published, and how that differs from where it came from."""

    image: ImageManifest
    notices: list[str] = []


class Written(msgspec.Struct, kw_only=True):
    """The size of a file that a job has written."""

    size: int
