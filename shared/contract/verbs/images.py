"""Verbs of the images service: images and kernels."""

from typing import TYPE_CHECKING

from shared.contract.verb import Structs, Verb

if TYPE_CHECKING:
    from shared.contract.messages import image, page
else:
    image = Structs("shared.contract.messages.image")
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
KERNEL_REMOVE = Verb(
    "images",
    "kernel.remove",
    image.Ref,
    type(None),
    notes="asked by the api, which knows whether a VM uses it",
)
