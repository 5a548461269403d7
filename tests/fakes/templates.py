"""An api that makes templates, with a VMM that only says which it is."""

from typing import Any

from services.api.templates.wanted import WantedTemplate
from services.api.unasked.template_making import TemplateMaker
from shared.config import Config
from shared.contract.messages.vm import Vm
from shared.contract.verbs import api
from shared.paths import Paths
from tests.fakes.images import IMAGE, KERNEL
from tests.fakes.scene import SMALL, Scene
from tests.fakes.supervisor import FakeSupervisor


def scene_with_templates(paths: Paths, *vms: Vm, limit: str = "1G") -> Scene:
    """Its guests settle as they are told to."""
    paths.config.mkdir(parents=True)
    program = paths.config / "qemu"
    program.write_text("#!/bin/sh\necho 'QEMU emulator version 7.2.9'\n")
    program.chmod(0o755)
    for place in (paths.images / IMAGE.id, paths.kernels / KERNEL.id):
        place.mkdir(parents=True)
    (paths.kernels / KERNEL.id / "vmlinux").touch()
    config = Config(qemu_bin=str(program), accel="tcg")
    scene = Scene(paths, *vms, config=config, templates=limit)
    scene.spare.setup = settles
    return scene


def settles(supervisor: FakeSupervisor) -> None:
    supervisor.exec_status = 0


async def created(scene: Scene, name: str = "beta", **more: Any) -> Vm:
    return (await scene.bus.ask(api.VM_CREATE(name=name, **SMALL, **more))).vm


async def make_template(scene: Scene) -> WantedTemplate:
    """Of the VM that was booted last."""
    wanted = scene.context.templates.wanted.still()[0]
    await TemplateMaker(scene.context).make(wanted)
    return wanted
