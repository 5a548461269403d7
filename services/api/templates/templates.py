"""What there is to make new VMs of, and what there should be."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from services.api.templates.host_facts import HostQuestions, files_in
from services.api.templates.key import TemplateFacts, key_of
from services.api.templates.library import TemplateLibrary
from services.api.templates.wanted import WantedTemplates
from shared.config import Config
from shared.contract.messages.vm import VmSpec
from shared.errors import BangerError
from shared.logs import Log
from shared.paths import Paths
from shared.vmm.registry import driver_info

STRUCK_SECONDS = 3600.0
"""How long a template is not tried again that did not become a VM, or could not be made."""
SIZES = ("vcpu", "memory_mib", "disk_bytes", "overlay_bytes")


class TemplateKey(NamedTuple):
    """``facts``: what the key is of."""

    key: str
    facts: TemplateFacts


class Templates:
    """The library, what is wanted of it, and who is busy with it."""

    def __init__(self, paths: Paths, config: Config, log: Log) -> None:
        self._paths = paths
        self._network = config.network_mode
        self._log = log
        limit, max_age = config.templates.limit_bytes, config.templates.max_age
        self.library = TemplateLibrary(paths.templates, limit, max_age, log)
        self.wanted = WantedTemplates(paths.templates / "wanted.json")
        self.asked = asyncio.Event()
        """Set when a template has been asked for."""
        self.in_the_way = asyncio.Event()
        """Set while users' VMs are being made."""
        self.last_creation = time.monotonic()
        self._creations = 0
        self._host = HostQuestions(config, paths.run)
        self._struck: dict[str, float] = {}
        self._asking = asyncio.Lock()

    # -- keys -------------------------------------------------------------------------------

    async def key_for(self, spec: dict[str, Any], vmm: str) -> TemplateKey | None:
        """The key of a VM with these fields of ``VmSpec`` that ``vmm`` would run; None when there
        can be no template of it. May run the VMM, once."""
        if not self.library.limit or not driver_info(vmm).snapshots:
            return None
        async with self._asking:
            try:
                facts = await asyncio.to_thread(self._facts, spec, vmm)
            except (BangerError, OSError) as error:
                self._log.info("no key of a template", reason=str(error))
                return None
        return TemplateKey(key_of(facts), facts)

    def _facts(self, spec: dict[str, Any], vmm: str) -> TemplateFacts:
        kernel = self._paths.kernels / spec["kernel_id"]
        host = self._host.of(vmm, kernel)
        return TemplateFacts(
            guest=self._host.guest(),
            vmm=vmm,
            vmm_version=host.version,
            accel=host.accel,
            cpu=host.cpu,
            network=self._network,
            image_id=spec["image_id"],
            kernel_id=spec["kernel_id"],
            files=files_in(kernel),
            **{name: spec[name] for name in SIZES},
        )

    # -- use --------------------------------------------------------------------------------

    async def is_there(self, key: str) -> bool:
        """Whether a VM can be made of this template now."""
        if self.is_struck(key):
            return False
        return await asyncio.to_thread(self.library.find, key) is not None

    def place(self, key: str) -> Path:
        return self.library.place(key)

    def strike(self, key: str) -> None:
        """Leave it alone for an hour."""
        self._struck[key] = time.monotonic() + STRUCK_SECONDS

    def is_struck(self, key: str) -> bool:
        return self._struck.get(key, 0.0) > time.monotonic()

    def want(self, wanted: TemplateKey, spec: VmSpec) -> None:
        """A VM was booted that could have been made of such a template. ``spec``: the VM's."""
        self.wanted.note(wanted.key, wanted.facts, bare_spec(wanted, spec))
        self.asked.set()

    @contextmanager
    def creation(self) -> Iterator[None]:
        """Inside, a user's VM is being made: no template is made meanwhile."""
        self._creations += 1
        self.in_the_way.set()
        try:
            yield
        finally:
            self._creations -= 1
            self.last_creation = time.monotonic()
            if not self._creations:
                self.in_the_way.clear()


def bare_spec(key: TemplateKey, spec: VmSpec) -> VmSpec:
    """Of a VM that has nothing but what its guest depends on. Pure."""
    own = {name: getattr(spec, name) for name in (*SIZES, "image_id", "image_name", "kernel_id")}
    return VmSpec(**own, vmm=key.facts.vmm)
