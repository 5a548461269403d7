"""What the pool is to have, and what it has."""

import pytest

from services.api.templates import warm_pool as under_test
from services.api.templates.key import TemplateFacts
from services.api.templates.templates import TemplateKey
from services.api.templates.warm_pool import WarmPool
from tests.example import example_vm


def key(name: str) -> TemplateKey:
    facts = TemplateFacts(
        guest="g", vmm="qemu", vmm_version="7.2", accel="tcg", cpu="c", network="user",
        image_id="i", kernel_id="k", files=[], vcpu=1, memory_mib=512, disk_bytes=1,
        overlay_bytes=1,
    )  # fmt: skip
    return TemplateKey(name, facts)


def test_what_was_asked_for_last_is_wanted_bare() -> None:
    pool = WarmPool(2)
    for name in ("a", "b"):
        pool.ask(key(name), example_vm(lease="0" * 16, labels={"a": "b"}))
    assert pool.kind
    assert (pool.kind.key.key, pool.kind.spec.lease, pool.kind.spec.labels) == ("b", "", {})
    assert pool.missing
    assert pool.asked.is_set()


def test_a_pool_of_none_wants_nothing() -> None:
    pool = WarmPool(0)
    pool.ask(key("a"), example_vm())
    assert (pool.missing, pool.asked.is_set()) == (False, False)


def test_as_many_wait_as_are_wanted() -> None:
    pool = WarmPool(2)
    pool.ask(key("a"), example_vm())
    pool.add("one", "a")
    assert (pool.missing, pool.has("a"), pool.has("b")) == (True, True, False)
    pool.add("two", "a")
    assert (pool.missing, list(pool.waiting)) == (False, ["one", "two"])
    pool.discard("one")
    pool.discard("unknown")
    assert pool.missing
    pool.add("three", "b")
    pool.clear("a")
    assert pool.waiting == {"three": "b"}


def test_nothing_is_wanted_when_nobody_is_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = WarmPool(1)
    pool.ask(key("a"), example_vm())
    pool.forget_if_unasked()
    assert pool.kind
    monkeypatch.setattr(under_test, "AT_WORK_SECONDS", -1.0)
    pool.forget_if_unasked()
    assert pool.kind is None
