"""Who has to make room for whom."""

from services.dns.shares import item_to_evict


def test_owner_of_most_loses_the_oldest_item() -> None:
    owners = {1: "honest", 2: "flood", 3: "flood", 4: "flood", 5: "other"}
    assert item_to_evict(owners, "honest") == 2
    assert item_to_evict(owners, "nobody yet") == 2


def test_newcomer_with_as_many_as_the_others_gets_no_room() -> None:
    assert item_to_evict({1: "a", 2: "b"}, "a") is None
    assert item_to_evict({1: "a", 2: "b"}, "c") is None
    assert item_to_evict({1: "a", 2: "a", 3: "b"}, "b") is None
    assert item_to_evict({}, "a") is None


def test_every_newcomer_gets_a_share_whatever_the_number_of_floods() -> None:
    room = 64
    owners: dict[int, str] = {}
    for number in range(1000):
        newcomer = f"flood {number % 8}"
        if len(owners) >= room:
            victim = item_to_evict(owners, newcomer)
            if victim is None:
                continue
            del owners[victim]
        owners[number] = newcomer
    assert len(owners) == room
    for number in range(4):
        victim = item_to_evict(owners, "honest")
        assert victim is not None
        del owners[victim]
        owners[2000 + number] = "honest"
