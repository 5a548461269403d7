"""What is asked of the database, on a real SQLite file."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from sqlalchemy import Engine, create_engine, insert, update

from services.store.database import open_database
from services.store.queries import Store
from services.store.tables.mapping import LONGEST_TEXT, spec_column
from services.store.tables.models import VmRow
from shared.bus.envelope import MAX_MESSAGE
from shared.contract.messages.rows import (
    PoolClaim,
    VmClaim,
    VmReserve,
    VmTouch,
    VmTransition,
    VmUpdate,
    VmWorkspace,
)
from shared.contract.messages.vm import LONGEST_REASON, Publication
from shared.contract.messages.workspace import Workspace
from shared.contract.reference import by_id
from shared.contract.workspaces import MOST_WORKSPACES
from shared.errors import BangerError, Code
from tests.unit.services.store.requests import reservation


def address(store: Store, name: str, **changes: object) -> str:
    return store.reserve(reservation(name, **changes))[0].address


def reserve_fails(store: Store, request: VmReserve) -> BangerError:
    with pytest.raises(BangerError) as caught:
        store.reserve(request)
    return caught.value


def names(store: Store) -> list[str]:
    return sorted(vm.name for vm in store.rows().vms)


# -- reserve --------------------------------------------------------------------------------


def test_reserved_vm_is_what_was_asked_and_is_listed(store: Store) -> None:
    vm, seq = store.reserve(reservation("beta", nat=True, vcpu=3))
    assert (vm.id, vm.name, vm.state, vm.nat, vm.vcpu) == ("id-beta", "beta", "created", True, 3)
    assert vm.disk_bytes == 8 * 1024**3
    rows = store.rows()
    assert (rows.vms, rows.seq) == ([vm], seq)


def test_clash_that_is_not_of_names_is_not_called_one(store: Store) -> None:
    store.reserve(reservation("beta"))
    error = reserve_fails(store, reservation("other", id="id-beta"))
    assert error.code is Code.BUSY
    assert "already exists" not in error.message


def test_addresses_are_handed_out_from_below(store: Store) -> None:
    assert [address(store, name) for name in "abc"] == ["127.77.0.2", "127.77.0.3", "127.77.0.4"]


def test_lowest_address_that_became_free_is_taken_again(store: Store) -> None:
    for name in "abcd":
        address(store, name)
    store.remove("id-c")
    store.remove("id-b")
    assert address(store, "e") == "127.77.0.3"
    assert address(store, "f") == "127.77.0.4"
    assert address(store, "g") == "127.77.0.6"


def test_networks_have_addresses_of_their_own(store: Store) -> None:
    address(store, "a")
    assert address(store, "b", network="bridge", subnet="10.77.0.0/24") == "10.77.0.2"


def test_tiny_subnet_is_used_up_and_says_so(store: Store) -> None:
    tiny = "10.0.0.0/29"  # 8 addresses: network, gateway and broadcast are not for VMs
    for name in "abcde":
        address(store, name, subnet=tiny)
    error = reserve_fails(store, reservation("f", subnet=tiny))
    assert error.code is Code.CONFLICT
    assert tiny in error.message
    assert names(store) == ["a", "b", "c", "d", "e"]
    store.remove("id-b")
    assert address(store, "f", subnet=tiny) == "10.0.0.3"


@pytest.mark.parametrize("subnet", ["10.0.0.0/31", "10.0.0.0/32"])
def test_subnet_without_room_gives_no_address(store: Store, subnet: str) -> None:
    assert reserve_fails(store, reservation("a", subnet=subnet)).code is Code.CONFLICT


def test_same_request_again_returns_the_same_vm_and_changes_nothing(store: Store) -> None:
    first = store.reserve(reservation("beta"))
    store.update(VmUpdate(id="id-beta", state="running"))
    again, seq = store.reserve(reservation("beta", id="another-id"))
    assert (again.id, again.address, again.state) == (first[0].id, first[0].address, "running")
    assert seq == 2
    assert names(store) == ["beta"]


def test_taken_name_is_a_conflict_and_leaves_no_trace(store: Store) -> None:
    store.reserve(reservation("beta"))
    request = reservation("beta", id="other", request_id="other")
    error = reserve_fails(store, request)
    assert error.code is Code.CONFLICT
    assert "'beta'" in error.message
    assert store.rows().seq == 1
    store.remove("id-beta")
    vm, _ = store.reserve(request)
    assert vm.id == "other"


def test_first_candidate_that_is_free_becomes_the_name(store: Store) -> None:
    store.reserve(reservation("calm-cat"))
    vm, _ = store.reserve(reservation("other", names=["calm-cat", "bold-bee", "vm-1"]))
    assert vm.name == "bold-bee"
    error = reserve_fails(store, reservation("third", names=["calm-cat", "bold-bee"]))
    assert error.code is Code.CONFLICT


def test_state_and_time_of_use_may_be_reserved_with_the_vm(store: Store) -> None:
    vm, _ = store.reserve(reservation("beta", state="starting", touched_at="2026-11-28T00:00:00Z"))
    assert (vm.state, vm.touched_at) == ("starting", "2026-11-28T00:00:00Z")


def test_names_are_taken_exactly_not_by_prefix(store: Store) -> None:
    for name in ("beta", "beta-2", "bet"):
        store.reserve(reservation(name))
    assert names(store) == ["bet", "beta", "beta-2"]


# -- references ------------------------------------------------------------------------------


@pytest.mark.parametrize("reference", ["id-beta", "beta", "be", "id-be"])
def test_vm_is_found_by_id_name_or_a_prefix_of_either(store: Store, reference: str) -> None:
    vm, _ = store.reserve(reservation("beta"))
    store.reserve(reservation("gamma"))
    assert store.get(reference) == vm


@pytest.mark.parametrize(
    ("reference", "code"),
    [
        ("", Code.INVALID),
        ("delta", Code.NOT_FOUND),
        ("BET", Code.NOT_FOUND),
        ("b%", Code.NOT_FOUND),
        ("id-", Code.AMBIGUOUS),
    ],
)
def test_reference_that_means_no_vm_or_several_is_refused(
    store: Store, reference: str, code: Code
) -> None:
    for name in ("beta", "gamma"):
        store.reserve(reservation(name))
    with pytest.raises(BangerError) as refused:
        store.get(reference)
    assert refused.value.code is code


def test_references_are_resolved_in_their_order_and_each_vm_once(store: Store) -> None:
    for name in ("beta", "gamma"):
        store.reserve(reservation(name))
    resolved = store.resolve(["gamma", "nobody", "beta", "id-gamma", "nobody", "be"]).resolved
    assert [(each.ref, each.id, each.name) for each in resolved] == [
        ("gamma", "id-gamma", "gamma"),
        ("nobody", "", ""),
        ("beta", "id-beta", "beta"),
    ]
    assert [each.error and each.error["code"] for each in resolved] == [None, "not_found", None]


# -- ports of the host ---------------------------------------------------------------------


def port(number: int, address: str = "127.0.0.1") -> Publication:
    return Publication(host_port=number, guest_port=80, host_address=address)


def conflict(question: Callable[[], object]) -> BangerError:
    with pytest.raises(BangerError) as caught:
        question()
    assert caught.value.code is Code.CONFLICT
    return caught.value


def test_port_that_another_vm_publishes_is_refused_and_that_vm_is_named(store: Store) -> None:
    store.reserve(reservation("web", publish=[port(8080, "0.0.0.0")]))
    error = reserve_fails(store, reservation("other", publish=[port(8081), port(8080)]))
    assert error.code is Code.CONFLICT
    assert error.details == {"vm": "web"}
    assert "is already published by web" in error.message
    assert "banger vm unpublish web" in error.hint
    assert names(store) == ["web"]
    vm, _ = store.reserve(reservation("other"))
    wanted = replace(vm, publish=[port(8080)])
    conflict(lambda: store.update(VmUpdate(id=vm.id, spec=wanted)))
    assert store.get("other").publish == []


def test_vm_may_keep_the_ports_that_it_publishes(store: Store) -> None:
    vm, _ = store.reserve(reservation("web", publish=[port(8080)]))
    wanted = replace(vm, publish=[port(8080), port(8081)])
    assert store.update(VmUpdate(id=vm.id, spec=wanted))[0].publish == wanted.publish


def test_check_refuses_what_a_reservation_would(store: Store) -> None:
    vm, _ = store.reserve(reservation("web", publish=[port(8080)]))
    conflict(lambda: store.check(VmClaim(name="web")))
    conflict(lambda: store.check(VmClaim(publish=[port(8080)])))
    for own in ({"id": vm.id}, {"request_id": "request-web"}):
        store.check(VmClaim(name="web", publish=[port(8080)], **own))
    store.check(VmClaim(name="other", publish=[port(8081)]))


# -- changes of state -----------------------------------------------------------------------


def test_transition_is_made_from_an_expected_state_and_says_what_was_before(store: Store) -> None:
    store.reserve(reservation("beta"))
    store.update(VmUpdate(id="id-beta", state="running", reason="a reason"))
    request = VmTransition(ref="bet", state="stopping", expected=["running", "paused"])
    done, seq = store.transition(request)
    assert (done.vm.state, done.vm.reason, done.before, seq) == ("stopping", "", "running", 3)
    assert store.get("beta") == done.vm


def test_transition_from_another_state_changes_nothing(store: Store) -> None:
    vm, _ = store.reserve(reservation("beta"))
    request = VmTransition(ref="beta", state="stopping", expected=["running"])
    done, seq = store.transition(request)
    assert (done.vm, done.before, seq) == (vm, "created", None)
    assert store.rows().seq == 1


def test_touch_is_no_change_that_anybody_hears_of(store: Store) -> None:
    store.reserve(reservation("beta"))
    store.touch(VmTouch(id="id-beta", at="2026-11-28T00:00:00Z"))
    store.touch(VmTouch(id="nobody", at="2026-11-28T00:00:00Z"))
    assert store.get("beta").touched_at == "2026-11-28T00:00:00Z"
    assert store.rows().seq == 1


# -- workspaces -----------------------------------------------------------------------------


def place(store: Store, guest_path: str, **fields: str) -> list[Workspace]:
    workspace = Workspace(host_path="/src", guest_path=guest_path, **fields)
    return store.place(VmWorkspace(id="id-beta", workspace=workspace)).workspaces


def test_a_workspace_is_added_or_replaced_and_no_projection_hears_of_it(store: Store) -> None:
    store.reserve(reservation("beta"))
    place(store, "/root/one")
    place(store, "/root/two")
    there = place(store, "/root/one", commit="c")
    assert [(each.guest_path, each.commit) for each in there] == [
        ("/root/two", ""),
        ("/root/one", "c"),
    ]
    assert store.get("beta").workspaces == there
    assert store.rows().seq == 1


def test_a_specification_that_was_read_before_loses_no_workspace(store: Store) -> None:
    before, _ = store.reserve(reservation("beta"))
    there = place(store, "/root/repo")
    after, _ = store.update(VmUpdate(id="id-beta", spec=replace(before, vcpu=7)))
    assert (after.vcpu, after.workspaces) == (7, there)


def test_a_vm_has_no_more_workspaces_than_it_may(store: Store) -> None:
    store.reserve(reservation("beta"))
    for number in range(MOST_WORKSPACES):
        place(store, f"/root/{number}")
    with pytest.raises(BangerError) as raised:
        place(store, "/root/more")
    assert raised.value.code is Code.CONFLICT
    assert len(place(store, "/root/0")) == MOST_WORKSPACES


def test_no_workspace_is_stored_for_a_vm_that_is_not_there(store: Store) -> None:
    with pytest.raises(BangerError) as raised:
        place(store, "/root/repo")
    assert raised.value.code is Code.NOT_FOUND


# -- update and remove ----------------------------------------------------------------------


def test_update_changes_what_is_given_and_nothing_else(store: Store) -> None:
    before, _ = store.reserve(reservation("beta"))
    after, _ = store.update(VmUpdate(id=before.id, state="failed", reason="kernel panic"))
    assert (after.state, after.reason) == ("failed", "kernel panic")
    after, _ = store.update(VmUpdate(id=before.id, state="stopped"))
    assert (after.state, after.reason) == ("stopped", "kernel panic")
    after, _ = store.update(VmUpdate(id=before.id, reason=""))
    assert (after.state, after.reason) == ("stopped", "")
    after.state = before.state
    assert after == before


def test_update_from_an_unexpected_state_is_refused(store: Store) -> None:
    store.reserve(reservation("beta"))
    with pytest.raises(BangerError) as caught:
        store.update(VmUpdate(id="id-beta", state="stopped", expected=["running", "paused"]))
    assert caught.value.code is Code.CONFLICT
    assert "beta is created" in caught.value.message
    assert store.rows().seq == 1
    assert store.rows().vms[0].state == "created"


def test_update_from_an_expected_state_is_made(store: Store) -> None:
    store.reserve(reservation("beta"))
    update = VmUpdate(id="id-beta", state="starting", expected=["created", "stopped"])
    assert store.update(update)[0].state == "starting"


def test_specification_is_replaced_whole_and_the_rest_stays(store: Store) -> None:
    before, _ = store.reserve(reservation("beta"))
    wanted = replace(before, vcpu=3, nat=True, allow=["db.vm"], name="ignored", state="failed")
    after, _ = store.update(VmUpdate(id=before.id, spec=wanted))
    assert after == replace(wanted, name="beta", state="created")
    assert store.get("beta") == after


def test_vm_gets_a_new_name_unless_another_one_has_it(store: Store) -> None:
    for name in ("beta", "gamma"):
        store.reserve(reservation(name))
    error = conflict(lambda: store.update(VmUpdate(id="id-beta", name="gamma")))
    assert "'gamma' already exists" in error.message
    assert "choose another name" in error.hint
    assert store.update(VmUpdate(id="id-beta", name="beta"))[0].name == "beta"
    assert store.update(VmUpdate(id="id-beta", name="delta"))[0].name == "delta"
    assert names(store) == ["delta", "gamma"]


def test_update_of_nobody_is_not_found(store: Store) -> None:
    with pytest.raises(BangerError) as caught:
        store.update(VmUpdate(id="nobody", state="stopped"))
    assert caught.value.code is Code.NOT_FOUND


def test_remove_forgets_the_vm_and_the_request_that_made_it(store: Store) -> None:
    store.reserve(reservation("beta"))
    assert store.remove("id-beta") == 2
    assert names(store) == []
    vm, _ = store.reserve(reservation("beta", id="new"))
    assert vm.id == "new"


def test_removing_again_is_success_without_a_change(store: Store) -> None:
    store.reserve(reservation("beta"))
    store.remove("id-beta")
    assert store.remove("id-beta") is None
    assert store.rows().seq == 2


# -- the number of the last change ----------------------------------------------------------


def test_every_change_is_numbered_one_after_the_other(store: Store) -> None:
    numbers = [
        store.reserve(reservation("a"))[1],
        store.reserve(reservation("b"))[1],
        store.update(VmUpdate(id="id-a", state="running"))[1],
        store.remove("id-b"),
        store.reserve(reservation("c"))[1],
    ]
    assert numbers == [1, 2, 3, 4, 5]


def test_numbers_and_rows_go_on_after_reopening(store: Store, engine: Engine) -> None:
    kept, _ = store.reserve(reservation("a"))
    path = Path(str(engine.url.database))
    engine.dispose()
    again = open_database("", path)
    rows = Store(again).rows()
    assert (rows.vms, rows.seq) == ([kept], 1)
    assert Store(again).reserve(reservation("b"))[1] == 2
    again.dispose()


# -- a database in trouble ------------------------------------------------------------------


def test_full_disk_is_no_space_and_nothing_is_changed(store: Store, engine: Engine) -> None:
    store.reserve(reservation("a"))
    with engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    error = reserve_fails(store, reservation("b", labels={"k": "x" * 100_000}))
    assert error.code is Code.NO_SPACE
    assert names(store) == ["a"]
    assert store.rows().seq == 1
    assert store.reserve(reservation("c"))[1] == 2


def test_database_locked_by_another_program_is_busy(store: Store, engine: Engine) -> None:
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout=1")
    path = str(engine.url.database)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert reserve_fails(store, reservation("a")).code is Code.BUSY
    other.execute("ROLLBACK")
    other.close()
    assert store.reserve(reservation("a"))[1] == 1


def test_database_that_cannot_be_used_is_unavailable(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/no/such/directory.db")
    with pytest.raises(BangerError) as caught:
        Store(engine).rows()
    assert caught.value.code is Code.UNAVAILABLE
    engine.dispose()


def test_damaged_database_is_unavailable_not_a_bug_of_ours(tmp_path: Path) -> None:
    (tmp_path / "banger.db").write_bytes(b"not a database" * 500)
    engine = create_engine(f"sqlite:///{tmp_path}/banger.db")
    with pytest.raises(BangerError) as caught:
        Store(engine).rows()
    assert caught.value.code is Code.UNAVAILABLE
    engine.dispose()


# -- a name that is another VM's id ---------------------------------------------------------


def test_a_name_wins_over_an_id_and_ids_are_reached_by_themselves(store: Store) -> None:
    """As a database of an earlier version may have it."""
    store.reserve(reservation("web", id="ecb491a0f3d2"))
    store.reserve(reservation("ecb491a0f3d2", id="0f3344aabbcc"))
    assert store.get("ecb491a0f3d2").id == "0f3344aabbcc"
    assert store.get(by_id("ecb491a0f3d2")).name == "web"
    assert store.get("web").id == "ecb491a0f3d2"
    refs = ["ecb491a0f3d2", by_id("0f3344aabbcc"), by_id("ecb491a0f3d2"), by_id("web")]
    found = [(each.ref, each.id) for each in store.resolve(refs).resolved]
    assert found == [(refs[0], "0f3344aabbcc"), (refs[2], "ecb491a0f3d2"), (refs[3], "")]


# -- large rows, and many -------------------------------------------------------------------


def test_what_is_stored_is_cut_and_what_cannot_be_is_refused(store: Store) -> None:
    vm, _ = store.reserve(reservation("beta", image_name="\x1b]52;c;x\a" + "i" * 1000))
    assert (len(vm.image_name), vm.image_name.isprintable()) == (LONGEST_TEXT, True)
    vm, _ = store.update(VmUpdate(id=vm.id, state="failed", reason="panic\n\x1b[2J" * 5000))
    assert (len(vm.reason), vm.reason.isprintable()) == (LONGEST_REASON, True)
    error = reserve_fails(store, reservation("huge", allow=["x" * 250] * 1000))
    assert error.code is Code.TOO_LARGE
    assert names(store) == ["beta"]


def test_a_reason_that_an_earlier_version_stored_is_cut_when_it_is_read(
    store: Store, engine: Engine
) -> None:
    store.reserve(reservation("beta"))
    with engine.begin() as connection:
        connection.execute(update(VmRow).values(reason="\x1b" * 48_000))
    assert len(store.get("beta").reason) == LONGEST_REASON


def test_ten_thousand_of_the_largest_rows_fit_into_messages(store: Store, engine: Engine) -> None:
    """Each has the largest reason, every five-hundredth the largest specification."""
    largest = spec_column(reservation("x", allow=[f"{n:0250}" for n in range(500)]))
    small = spec_column(reservation("x"))
    with engine.begin() as connection:
        connection.execute(
            insert(VmRow),
            [
                {
                    "id": f"{number:012x}",
                    "name": f"vm-{number}",
                    "state": "failed",
                    "reason": "\N{SNOWMAN}" * LONGEST_REASON,
                    "network": "user",
                    "address": f"a-{number}",
                    "created_at": f"2026-11-28T00:{number // 3000:02}:00Z",
                    "touched_at": "",
                    "spec": small if number % 500 else largest,
                }
                for number in reversed(range(10_000))
            ],
        )
    found: list[str] = []
    after = ""
    while True:
        page = store.rows(after)
        assert len(msgspec.msgpack.encode(page)) < MAX_MESSAGE / 8
        found += [vm.id for vm in page.vms]
        if not (after := page.next):
            break
    assert found == [f"{number:012x}" for number in range(10_000)]


# -- claim ----------------------------------------------------------------------------------


def kept(store: Store, name: str, key: str = "key", **changes: object) -> None:
    """A VM that waits in the pool."""
    keeper = {"keeper": "pool", "template": key, "state": "paused"}
    store.reserve(reservation(name, **(keeper | changes)))


def claim(name: str, key: str = "key", **changes: object) -> PoolClaim:
    fields = msgspec.to_builtins(reservation(name, template=key, **changes))
    return msgspec.convert(fields, PoolClaim)


def claimed(store: Store, request: PoolClaim) -> str:
    """The id of the VM that was taken, or the code of the error."""
    try:
        return store.claim(request)[0].id
    except BangerError as error:
        return error.code


def test_claim_makes_the_vm_of_the_pool_the_one_that_is_wanted(store: Store) -> None:
    kept(store, "waits")
    before = store.get("id-waits")
    publish = [Publication(host_port=8080, guest_port=80)]
    vm, seq = store.claim(claim("web", nat=True, publish=publish, touched_at="now"))
    assert (vm.id, vm.address, vm.name) == (before.id, before.address, "web")
    assert (vm.state, vm.keeper, vm.template, vm.from_pool) == ("running", "", "key", True)
    assert (vm.nat, vm.publish, vm.touched_at) == (True, publish, "now")
    assert (store.get("web"), store.rows().seq) == (vm, seq)


def test_who_is_about_to_end_a_vm_of_the_pool_or_gets_it_is_one_of_both(store: Store) -> None:
    kept(store, "waits")
    kept(store, "other")
    give_back = VmUpdate(id="id-waits", state="stopping", keeper="pool")
    store.update(give_back)
    assert claimed(store, claim("web")) == "id-other"
    with pytest.raises(BangerError) as caught:
        store.update(replace(give_back, id="id-other"))
    assert caught.value.code is Code.CONFLICT
    assert store.get("web").state == "running"


def test_claim_takes_none_that_does_not_fit(store: Store) -> None:
    kept(store, "older", "other-key")
    kept(store, "made", state="starting")
    kept(store, "elsewhere", network="bridge", subnet="10.77.0.0/24")
    kept(store, "model", keeper="template")
    kept(store, "users", keeper="")
    seq = store.rows().seq
    assert claimed(store, claim("web")) == Code.NOT_FOUND
    assert store.rows().seq == seq


def test_claim_of_a_name_or_a_port_that_is_taken_leaves_the_pool_as_it_is(store: Store) -> None:
    publish = [Publication(host_port=8080, guest_port=80)]
    store.reserve(reservation("web", publish=publish))
    kept(store, "waits")
    rows = store.rows()
    assert claimed(store, claim("web", request_id="one")) == Code.CONFLICT
    assert claimed(store, claim("other", publish=publish)) == Code.CONFLICT
    assert store.rows() == rows
    assert claimed(store, claim("other")) == "id-waits"


def test_vm_that_was_claimed_is_made_again_by_the_same_request_once_it_is_gone(
    store: Store,
) -> None:
    kept(store, "waits")
    assert claimed(store, claim("web")) == "id-waits"
    assert store.reserve(reservation("web", id="new"))[0].id == "id-waits"
    store.remove("id-waits")
    assert store.reserve(reservation("web", id="new"))[0].id == "new"


@given(
    pool=st.lists(st.sampled_from(["a", "b"]), max_size=6),
    wanted=st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["a", "b"])), max_size=20),
)
@settings(max_examples=30, deadline=None)
def test_claims_give_each_vm_once_and_the_oldest_first(
    pool: list[str], wanted: list[tuple[int, str]]
) -> None:
    """Numbers are requests: the same number is the same request, sent again."""
    with TemporaryDirectory() as directory:
        engine = open_database("", Path(directory) / "banger.db")
        store = Store(engine)
        for number, key in enumerate(pool):
            kept(store, f"vm{number}", key)
        left = {key: [f"id-vm{i}" for i, has in enumerate(pool) if has == key] for key in "ab"}
        given_to: dict[int, str] = {}
        for number, key in wanted:
            got = claimed(store, claim(f"web{number}", key))
            if number not in given_to:
                expected = left[key].pop(0) if left[key] else Code.NOT_FOUND
                assert got == expected
                if got != Code.NOT_FOUND:
                    given_to[number] = got
            assert got == given_to.get(number, Code.NOT_FOUND)
        engine.dispose()
