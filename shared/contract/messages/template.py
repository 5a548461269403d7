"""Bodies of the verbs about templates.

A template is a saved machine of a guest that nobody has used. The services make it, and new VMs
begin as copies of it. It is known by its key, and has no name.
"""

import msgspec

from shared.contract.messages.page import Paged


class Template(msgspec.Struct, kw_only=True):
    """Sizes of memory are in MiB, others in bytes; times are RFC 3339."""

    key: str
    image_id: str = ""
    image_name: str = ""
    kernel_id: str = ""
    vmm: str = ""
    vmm_version: str = ""
    accel: str = ""
    cpu: str = ""
    vcpu: int = 0
    memory_mib: int = 0
    disk_bytes: int = 0
    overlay_bytes: int = 0
    made_at: str = ""
    used_at: str
    uses: int = 0
    """VMs that were made of it."""
    real_bytes: int
    """What it occupies on the disk."""
    pool: int = 0
    """VMs of it that wait for a user."""
    problems: list[str] = []
    """Sentences: why no VM will be made of it. ``template.show`` reads its files to find damage."""


class TemplateList(Paged, kw_only=True):
    """By their keys."""

    templates: list[Template]


class TemplateRef(msgspec.Struct, kw_only=True):
    """A key, or so much of its beginning that no other template has."""

    ref: str


class TemplatePrune(msgspec.Struct, kw_only=True):
    """``template.prune``: delete templates that are of no use, or ``all``. ``dry_run``: delete
    nothing, and say what would be."""

    all: bool = False
    dry_run: bool = False
