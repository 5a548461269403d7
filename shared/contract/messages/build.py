"""Bodies of the verbs by which the api has an image built: a plan, and its steps one by one."""

from typing import Annotated, Literal

import msgspec

from shared.contract.messages.image import Image, ImageConfig
from shared.contract.messages.image_work import ImageFileBuild
from shared.contract.messages.workspace import HostPath, Target

BuildKey = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 of a step and of all before it, with what they copy."""
MOST_STEPS = 500

StepKind = Literal["run", "copy", "directory", "packages", "user"]


class BuildStep(msgspec.Struct, kw_only=True, frozen=True):
    """What is done in the guest. ``line`` is that of the file, ``text`` what a person is shown.

    ``run``: the command ``argv``. ``copy``: what ``sources`` match in the context goes to
    ``destination``. ``directory``: make ``destination``. ``packages``: install ``argv`` by the
    image's package manager. ``user``: make the account ``user``.
    """

    kind: StepKind
    line: int
    text: str
    argv: list[str] = []
    sources: list[str] = []
    destination: str = ""
    """An absolute path. With a slash at the end a copy goes into that directory."""
    owner: str = ""
    """``USER[:GROUP]`` of what is copied; empty: root."""
    mode: str = ""
    """Octal mode of what is copied; empty: that of the file."""
    env: dict[str, str] = {}
    workdir: str = ""
    user: str = ""
    """Who runs it, ``USER[:GROUP]``; empty: root."""


class BuildBase(msgspec.Struct, kw_only=True):
    """``build.base``: the image that a file begins with, and the name that it gives its own."""

    reference: str
    name: str = ""


class BuildQuestion(ImageFileBuild, kw_only=True):
    """``build.plan``: the file, and its base, which is here by now."""

    base: Image


class BuildPlan(msgspec.Struct, kw_only=True):
    """``keys`` has one per step: the state of the disks after it. ``cached``: how many of the first
    steps need not be run, because the disks after them are kept. ``key`` is that of the image, and
    ``made`` the image if it is here."""

    steps: list[BuildStep]
    keys: list[BuildKey]
    key: BuildKey
    cached: int = 0
    made: Image | None = None
    config: ImageConfig


class BuildRun(msgspec.Struct, kw_only=True):
    """``build.run``: do one step in the guest of a build."""

    target: Target
    step: BuildStep
    context: HostPath


class BuildKeep(msgspec.Struct, kw_only=True):
    """``build.keep``: keep the disks of a paused VM as they are after the step ``key``.
    ``build.disks``: give them to a VM that has not run yet."""

    vm_id: str
    key: BuildKey


class DisksPlaced(msgspec.Struct, kw_only=True):
    """``found`` is False when they are not kept any more."""

    found: bool
