"""Verbs of the images service: images and kernels."""

from typing import TYPE_CHECKING

from shared.contract.verb import Structs, Verb

if TYPE_CHECKING:
    from shared.contract.messages import build, image, image_work, page
else:
    build = Structs("shared.contract.messages.build")
    image = Structs("shared.contract.messages.image")
    image_work = Structs("shared.contract.messages.image_work")
    page = Structs("shared.contract.messages.page")

BUILD_SECONDS = 3600.0
"""Packages have to be downloaded and unpacked, on a slow machine and line."""

IMAGE_LIST = Verb("images", "image.list", page.After, image.ImageList)
IMAGE_SHOW = Verb("images", "image.show", image.Ref, image.Image)
IMAGE_RESOLVE = Verb(
    "images",
    "image.resolve",
    image.Resolve,
    image.Image,
    operation=True,
    partials=True,
    seconds=BUILD_SECONDS,
)
IMAGE_BUILD = Verb(
    "images",
    "image.build",
    image.ImageBuild,
    image.Image,
    operation=True,
    partials=True,
    seconds=BUILD_SECONDS,
    notes="`name` of the catalogue, `force`; `as_name` with `include` (Debian packages) for an "
    "image of its own; `conflict` when the name was made from something else",
)
IMAGE_PULL = Verb(
    "images",
    "image.pull",
    image_work.ImagePull,
    image.Image,
    operation=True,
    partials=True,
    seconds=BUILD_SECONDS,
    notes="the catalogue's name, or a reference to an OCI image; two pulls of one thing are one",
)
IMAGE_IMPORT = Verb(
    "images",
    "image.import",
    image_work.ImageImport,
    image.Image,
    idempotent=False,
    operation=True,
    partials=True,
    seconds=BUILD_SECONDS,
    notes="`invalid` for a damaged or foreign archive, of which nothing stays",
)
IMAGE_EXPORT = Verb(
    "images",
    "image.export",
    image_work.ImageExport,
    image_work.ImageExported,
    idempotent=False,
    operation=True,
    partials=True,
    seconds=BUILD_SECONDS,
)
IMAGE_REGISTER = Verb(
    "images",
    "image.register",
    image_work.ImageRegister,
    image.Image,
    operation=True,
    partials=True,
    seconds=BUILD_SECONDS,
)
IMAGE_PROMOTE = Verb(
    "images",
    "image.promote",
    image.Ref,
    image.Image,
    operation=True,
    partials=True,
    seconds=BUILD_SECONDS,
    notes="copies what `image.register` left where it was",
)
IMAGE_TAG = Verb(
    "images",
    "image.tag",
    image_work.ImageTag,
    image.Image,
    notes="`conflict` when another image has the name",
)
BUILD_BASE = Verb(
    "images",
    "build.base",
    image_work.ImageFileBuild,
    build.BuildBase,
    seconds=60.0,
    notes="asked by the api, which builds; `invalid` names the line",
)
BUILD_PLAN = Verb(
    "images", "build.plan", build.BuildQuestion, build.BuildPlan, partials=True, seconds=600.0
)
BUILD_RUN = Verb(
    "images",
    "build.run",
    build.BuildRun,
    type(None),
    idempotent=False,
    partials=True,
    seconds=BUILD_SECONDS,
    notes="`guest_failed` with the last lines of a command that failed",
)
BUILD_KEEP = Verb(
    "images",
    "build.keep",
    build.BuildKeep,
    type(None),
    seconds=600.0,
    notes="the VM is paused meanwhile",
)
BUILD_DISKS = Verb("images", "build.disks", build.BuildKeep, build.DisksPlaced, seconds=600.0)
IMAGE_CAPTURE = Verb(
    "images",
    "image.capture",
    image_work.ImageCapture,
    image.Image,
    operation=True,
    partials=True,
    seconds=BUILD_SECONDS,
    notes="asked by the api, which builds and commits",
)
IMAGE_PRUNE = Verb(
    "images",
    "image.prune",
    image_work.PruneUnused,
    image_work.Pruned,
    seconds=120.0,
    notes="asked by the api, which knows what VMs use",
)
USAGE = Verb(
    "images", "images.usage", image_work.UsageQuestion, image_work.StorageUsage, seconds=60.0
)
IMAGE_REMOVE = Verb(
    "images",
    "image.remove",
    image.Ref,
    type(None),
    notes="asked by the api, which knows whether a VM uses it",
)

KERNEL_LIST = Verb("images", "kernel.list", page.After, image.KernelList)
KERNEL_SHOW = Verb("images", "kernel.show", image.Ref, image.Kernel)
KERNEL_RESOLVE = Verb(
    "images",
    "kernel.resolve",
    image.Resolve,
    image.Kernel,
    operation=True,
    partials=True,
    seconds=BUILD_SECONDS,
)
KERNEL_PULL = Verb(
    "images",
    "kernel.pull",
    image.KernelPull,
    image.Kernel,
    operation=True,
    partials=True,
    seconds=BUILD_SECONDS,
)
KERNEL_IMPORT = Verb(
    "images",
    "kernel.import",
    image_work.KernelImport,
    image.Kernel,
    operation=True,
    partials=True,
    seconds=BUILD_SECONDS,
)
KERNEL_REMOVE = Verb(
    "images",
    "kernel.remove",
    image.Ref,
    type(None),
    notes="asked by the api, which knows whether a VM uses it",
)
