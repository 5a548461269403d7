"""Facts of a template for tests to vary."""

from typing import Any

from msgspec.structs import replace

from services.api.templates.key import FileFact, TemplateFacts

FACTS = TemplateFacts(
    guest="g" * 32,
    vmm="qemu",
    vmm_version="7.2",
    accel="tcg",
    cpu="QEMU's default",
    network="user",
    image_id="i" * 16,
    kernel_id="k" * 16,
    files=[FileFact(name="vmlinux", bytes=1, modified_ns=2)],
    vcpu=1,
    memory_mib=512,
    disk_bytes=8 << 30,
    overlay_bytes=8 << 30,
)


def facts(**changes: Any) -> TemplateFacts:
    return replace(FACTS, **changes)
