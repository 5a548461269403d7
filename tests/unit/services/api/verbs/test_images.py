"""An image or a kernel is not deleted under a VM."""

import asyncio
from typing import Any

import pytest

from services.api.policy.holds import BootHolds
from services.api.verbs.images import ImageVerbs
from shared.contract.messages.image import Deleted, Image, Kernel, Ref
from shared.contract.messages.vm import VmRows
from shared.contract.verb import Request
from shared.contract.verbs import images, store
from shared.errors import BangerError, Code
from tests.example import example_vm

IMAGE = Image(id="f" * 16, name="debian", arch="", created="", source="", size=1, path="/i")
KERNEL = Kernel(
    id="e" * 16, name="cloud", version="6", arch="", created="", source="", size=1, path="/k"
)
CALL: Any = None


class Others:
    """Store and images; say what was deleted."""

    def __init__(self, *vms: Any) -> None:
        self.vms = list(vms)
        self.gone: list[str] = []

    async def ask(self, request: Request[Any]) -> Any:
        if request.verb is store.VM_LIST:
            return VmRows(vms=self.vms)
        if request.verb is images.IMAGE_SHOW:
            return IMAGE
        if request.verb is images.KERNEL_SHOW:
            return KERNEL
        assert request.verb in (images.IMAGE_REMOVE, images.KERNEL_REMOVE)
        self.gone.append(request.body["ref"])
        return None


def deleted(others: Others, kind: str, held_by: str = "") -> Deleted:
    async def scene() -> Deleted:
        holds = {"image": BootHolds("image"), "kernel": BootHolds("kernel")}
        verbs = ImageVerbs(others.ask, holds["image"], holds["kernel"])
        delete = verbs.delete_image if kind == "image" else verbs.delete_kernel
        if not held_by:
            return await delete(Ref(ref="deb"), CALL)

        async def resolve() -> Any:
            return IMAGE if kind == "image" else KERNEL

        async with holds[kind].held(held_by, resolve):
            return await delete(Ref(ref="deb"), CALL)

    return asyncio.run(scene())


@pytest.mark.parametrize("kind", ["image", "kernel"])
def test_what_a_vm_boots_from_stays_and_the_vms_are_named(kind: str) -> None:
    used = {"image_id": IMAGE.id, "kernel_id": KERNEL.id}
    others = Others(example_vm(name="web", **used), example_vm(name="db", **used))
    with pytest.raises(BangerError) as refused:
        deleted(others, kind)
    assert refused.value.code is Code.CONFLICT
    assert refused.value.details == {"vms": ["web", "db"]}
    assert refused.value.hint == "delete what uses it: banger vm delete web db"
    assert others.gone == []


@pytest.mark.parametrize("kind", ["image", "kernel"])
def test_what_a_creation_under_way_has_resolved_stays(kind: str) -> None:
    others = Others()
    with pytest.raises(BangerError) as refused:
        deleted(others, kind, held_by="web")
    assert refused.value.details == {"vms": ["web"]}
    assert others.gone == []


@pytest.mark.parametrize(("kind", "identity"), [("image", IMAGE.id), ("kernel", KERNEL.id)])
def test_what_no_vm_uses_is_deleted_by_its_id(kind: str, identity: str) -> None:
    others = Others(example_vm(image_id="other", kernel_id="other"))
    assert deleted(others, kind).id == identity
    assert others.gone == [identity]
