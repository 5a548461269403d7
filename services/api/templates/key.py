"""Which template a new VM can be made of: the key that both have.

A key is a digest of everything that the guest of a fresh VM depends on, before it has a name. What
is not in the guest, such as published ports or the egress policy, is no part of it.
"""

import hashlib

import msgspec

VERSION = 1
"""Of what is kept in templates, and of how they are made."""
KEY_DIGITS = 16


class FileFact(msgspec.Struct, frozen=True, kw_only=True):
    """A file, as far as its directory tells."""

    name: str
    bytes: int
    modified_ns: int


class TemplateFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the guest of a fresh VM depends on. Sizes of memory are in MiB."""

    version: int = VERSION
    guest: str
    """A digest of banger's own files in a guest, and of what makes its initrd."""
    vmm: str
    vmm_version: str
    accel: str
    cpu: str
    network: str
    image_id: str
    kernel_id: str
    files: list[FileFact]
    """Of the kernel: also what was added to it since, such as its tools."""
    vcpu: int
    memory_mib: int
    disk_bytes: int
    overlay_bytes: int


def key_of(facts: TemplateFacts) -> str:
    """16 hexadecimal digits: the same for the same facts on every host. Pure."""
    canonical = msgspec.json.encode(facts, order="sorted")
    return hashlib.sha256(canonical).hexdigest()[:KEY_DIGITS]
