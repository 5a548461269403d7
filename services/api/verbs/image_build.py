"""Images that are made in a VM: ``image.build`` of a file, and ``vm.commit``."""

from services.api.context import ApiContext
from shared.bus.handlers import Call, handles
from shared.contract.messages.image import Image
from shared.contract.messages.image_work import ImageFileBuild, VmCommit
from shared.contract.verbs import api
from shared.errors import BangerError, Code


class ImageBuildVerbs:
    """Both boot or read a VM, which only the api can."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context

    @handles(api.IMAGE_BUILD)
    async def build(self, _request: ImageFileBuild, _call: Call) -> Image:
        raise BangerError(Code.UNAVAILABLE, f"{api.IMAGE_BUILD.name} is not written yet")

    @handles(api.VM_COMMIT)
    async def commit(self, _request: VmCommit, _call: Call) -> Image:
        raise BangerError(Code.UNAVAILABLE, f"{api.VM_COMMIT.name} is not written yet")
