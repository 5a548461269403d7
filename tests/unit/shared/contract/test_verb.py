"""Requests made from the catalogue, and the structs behind it."""

import subprocess
import sys

import msgspec
import pytest

from shared.contract.catalogue import all_verbs
from shared.contract.messages.page import After
from shared.contract.messages.vm import VmId, VmView
from shared.contract.verb import Verb
from shared.contract.verbs import api, store, supervisor


def test_a_verb_that_is_called_gives_a_request_for_its_service() -> None:
    request = store.VM_REMOVE(id="abc")
    assert (request.service, request.verb, request.body) == (
        "store",
        store.VM_REMOVE,
        {"id": "abc"},
    )


def test_a_request_can_be_addressed_to_the_supervisor_of_one_vm() -> None:
    request = supervisor.STOP(timeout=5.0)
    assert request.at("abc").service == "vm:abc"
    assert request.at("abc").body == request.body


def test_a_body_that_is_at_hand_can_be_sent_as_it_is() -> None:
    body = VmId(id="abc")
    assert store.VM_REMOVE.of(body).body is body


@pytest.mark.parametrize(("timeout", "more"), [(None, 0.0), (5.0, 5.0)])
def test_the_time_limit_grows_by_the_timeout_that_the_request_asks_for(
    timeout: float | None, more: float
) -> None:
    fields = {} if timeout is None else {"timeout": timeout}
    assert api.VM_STOP(ref="web", **fields).seconds == api.VM_STOP.seconds + more


def test_structs_are_those_that_the_catalogue_names() -> None:
    assert api.VM_SHOW.result is VmView
    assert store.VM_REMOVE.request is VmId
    assert store.VM_REMOVE.result is type(None)


@pytest.mark.parametrize("verb", all_verbs(), ids=repr)
def test_every_verb_has_structs_and_a_name_of_noun_and_verb(verb: Verb) -> None:  # type: ignore[type-arg]
    assert issubclass(verb.request, msgspec.Struct)
    assert verb.result is type(None) or issubclass(verb.result, msgspec.Struct)
    noun, _, rest = verb.name.partition(".")
    assert noun.isidentifier()
    assert rest.isidentifier()
    assert verb.seconds > 0


def test_no_verb_is_there_twice() -> None:
    names = [(verb.service, verb.name) for verb in all_verbs()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    "used",
    [
        "verbs.api as api; api.VM_STOP(ref='web')",
        "lifecycle as lifecycle; lifecycle.check('web', 'running', lifecycle.Action.SESSION)",
        "egress as egress; egress.show_egress(True, [])",
        "publication",
        "ssh_access",
    ],
)
def test_a_command_uses_the_contract_without_msgspec_and_the_structs(used: str) -> None:
    code = (
        f"import sys; import shared.contract.{used};"
        "sys.exit(any(name == 'msgspec' or 'messages' in name for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_verb_without_arguments_has_an_empty_body() -> None:
    assert store.VM_LIST.request is After
    assert store.VM_LIST().body == {}
