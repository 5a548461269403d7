"""Room that all clients share, so that none is kept out by others who take all of it. Pure."""

from collections import Counter
from collections.abc import Hashable, Mapping
from typing import TypeVar

K = TypeVar("K", bound=Hashable)


def item_to_evict(owners: Mapping[K, str], newcomer: str) -> K | None:
    """What has to go when there is no room for one more item of ``newcomer``: the oldest item of
    the owner who has most. ``owners`` has the owner of each item, the oldest item first.

    None when nobody has more than the newcomer would have: then the newcomer gets no room.
    """
    numbers = Counter(owners.values())
    if not numbers:
        return None
    busiest, most = numbers.most_common(1)[0]
    if most <= numbers[newcomer] + 1:
        return None
    return next(item for item, owner in owners.items() if owner == busiest)
