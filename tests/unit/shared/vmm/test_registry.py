"""VMMs are known by their names, and by nothing else outside their folders."""

import ast
import re
from pathlib import Path

import pytest

from shared.errors import BangerError, Code
from shared.vmm.info import DriverInfo
from shared.vmm.registry import VMMS, check_wanted, choices, driver_info, explain_auto

ROOT = Path(__file__).parents[4]
NAME = re.compile("|".join(info.name for info in VMMS), re.IGNORECASE)
OTHER_THINGS = re.compile(r"qemu-guest-agent|qemu-ga|org\.qemu\.guest_agent|qemu-(?:img|utils)")
"""Programs and ports of guests that carry QEMU's name and serve every VMM."""
FOLDERS = tuple(
    f"{folder}/{info.name}"
    for folder in ("shared/vmm", "services/vm_supervisor/drivers")
    for info in VMMS
)
REGISTRIES = {
    "shared/vmm/registry.py": "where they are registered",
    "services/vm_supervisor/drivers/registry.py": "where they are registered",
    "shared/config.py": "keys of the configuration, which people write",
}


@pytest.mark.parametrize("info", VMMS, ids=lambda info: info.name)
def test_every_vmm_is_found_by_its_name(info: DriverInfo) -> None:
    assert driver_info(info.name) is info
    check_wanted(info.name)


def test_another_name_is_refused_with_those_that_there_are() -> None:
    check_wanted("auto")
    with pytest.raises(BangerError) as caught:
        check_wanted("vmware")
    assert caught.value.code is Code.INVALID
    assert all(name in caught.value.hint for name in choices())


def test_names_and_their_order_are_told() -> None:
    assert choices() == ["auto", "firecracker", "qemu"]
    assert explain_auto() == "Firecracker where it can, else QEMU"


def test_the_last_one_runs_every_vm() -> None:
    assert VMMS[-1].networks == {"user", "bridge"}
    assert not VMMS[-1].needs_kvm


def named_in(path: Path) -> set[str]:
    """Words of the code that name a VMM: identifiers, imports and strings, no docstrings."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Name | ast.Attribute | ast.alias | ast.ImportFrom):
            words = (getattr(node, field, "") for field in ("id", "attr", "name", "module"))
            found.update(str(word) for word in words if word)
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Constant) and not isinstance(node, ast.Expr):
                found.add(str(child.value))
    return {word for word in found if NAME.search(OTHER_THINGS.sub("", word))}


def test_nothing_but_its_folders_knows_a_vmm_by_name() -> None:
    named = {}
    for top in ("cli", "services", "shared"):
        for path in sorted(ROOT.glob(f"{top}/**/*.py")):
            place = str(path.relative_to(ROOT))
            if place not in REGISTRIES and not place.startswith(FOLDERS):
                named[place] = named_in(path)
    assert {place: words for place, words in named.items() if words} == {}
