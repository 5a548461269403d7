"""Which VMs a listing shows: ``--filter`` of ``vm list``. Pure."""

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import get_args

from shared.contract.messages.vm import State, Vm
from shared.errors import BangerError, Code

Test = Callable[[Vm], bool]


def matcher(filters: Iterable[str]) -> Test:
    """Whether a VM passes all ``filters``: ``state=STATE``, ``image=GLOB``, ``name=GLOB``,
    ``origin=GLOB``, ``label=KEY`` or ``label=KEY=VALUE``. An origin is matched by what it names, as
    it was called then: a VM, or VM/SNAPSHOT. Globs are those of fnmatch, matched with case.

    Raises:
        BangerError: ``invalid`` for another filter, and for a state that there is not.
    """
    tests = [_parsed(each) for each in filters]
    return lambda vm: all(test(vm) for test in tests)


def _parsed(text: str) -> Test:
    field, _, wanted = text.partition("=")
    match field:
        case _ if not wanted:
            pass
        case "state" if wanted in get_args(State):
            return lambda vm: vm.state == wanted
        case "state":
            raise BangerError(
                Code.INVALID,
                f"{wanted!r} is not a state of a VM",
                hint=f"use one of: {', '.join(get_args(State))}",
            )
        case "image":
            return lambda vm: fnmatchcase(vm.image_name, wanted)
        case "name":
            return lambda vm: fnmatchcase(vm.name, wanted)
        case "origin":
            return lambda vm: bool(vm.origin) and fnmatchcase(vm.origin.split()[-1], wanted)
        case "label":
            key, separator, value = wanted.partition("=")
            return lambda vm: key in vm.labels and (not separator or vm.labels[key] == value)
    raise BangerError(
        Code.INVALID,
        f"{text!r} is not a filter",
        hint="use state=STATE, image=GLOB, name=GLOB, origin=GLOB, label=KEY or label=KEY=VALUE",
    )
