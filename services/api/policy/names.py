"""Names of VMs: what a reference means, and a readable one when none is given."""

from collections.abc import Iterable

from shared.contract.messages.vm import Vm
from shared.errors import BangerError, Code

ADJECTIVES = (
    "amber bold brave brisk calm clear clever coral crisp eager early fair fast fleet fresh "
    "gentle glad golden grand green happy honest jolly keen kind lively lucky mellow merry "
    "mild neat noble plain proud quick quiet rapid ready rosy royal sharp shiny silent "
    "silver smart snug solid spry steady still sunny swift tidy true vivid warm wise witty "
    "young zesty"
).split()
NOUNS = (
    "ant badger bear beaver bee bison crab crane crow deer dove duck eagle elk falcon finch "
    "fox frog gecko goat goose hare hawk heron ibex jay koala lark lemur lion lynx mole "
    "moose moth mouse newt orca otter owl panda puffin quail rabbit raven robin seal shrew "
    "sloth snail sparrow stoat stork swan tiger toad trout turtle vole wasp whale wolf wren "
    "yak zebra"
).split()


def random_name(taken: Iterable[str], number: int) -> str:
    """A free name of two words; ``number`` is random and picks it."""
    used = set(taken)
    combinations = len(ADJECTIVES) * len(NOUNS)
    for offset in range(combinations):
        adjective, noun = divmod((number + offset) % combinations, len(NOUNS))
        name = f"{ADJECTIVES[adjective]}-{NOUNS[noun]}"
        if name not in used:
            return name
    return f"vm-{number:x}"


def find(ref: str, vms: Iterable[Vm]) -> Vm:
    """The VM meant by ``ref``: an exact id or name, else the one that it is a prefix of.

    Raises:
        BangerError: ``not_found``; ``ambiguous`` with the candidates.
    """
    listing = list(vms)
    for vm in listing:
        if ref in (vm.id, vm.name):
            return vm
    if not ref:
        raise BangerError(Code.INVALID, "an empty reference to a VM")
    matches = [vm for vm in listing if vm.name.startswith(ref) or vm.id.startswith(ref)]
    if not matches:
        raise BangerError(
            Code.NOT_FOUND, f"there is no VM {ref!r}", hint="banger vm list shows those there are"
        )
    if len(matches) > 1:
        names = ", ".join(sorted(vm.name for vm in matches))
        raise BangerError(
            Code.AMBIGUOUS,
            f"{ref!r} may be any of: {names}",
            details={"candidates": sorted(vm.name for vm in matches)},
        )
    return matches[0]
