"""The cache of downloads."""

import hashlib
from pathlib import Path

import pytest

from services.images.oci.blobs import BlobCache
from shared.errors import BangerError, Code

CONTENT = b"content of a layer" * 1000
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
SIZE = len(CONTENT)


class GaveUp(Exception):
    pass


def give_up() -> None:
    raise GaveUp


@pytest.fixture(name="cache")
def _cache(tmp_path: Path) -> BlobCache:
    return BlobCache(tmp_path / "blobs")


def store(cache: BlobCache) -> Path:
    with cache.draft(DIGEST, SIZE, give_up) as draft:
        draft.write(CONTENT)
        return draft.finish()


def names(cache: BlobCache) -> list[str]:
    return [each.path.name for each in cache.entries()]


def test_a_blob_is_found_when_it_is_whole(cache: BlobCache) -> None:
    assert cache.find(DIGEST, SIZE) is None
    path = store(cache)
    assert cache.find(DIGEST, SIZE) == path
    assert path.read_bytes() == CONTENT
    assert path.stat().st_mode & 0o777 == 0o600
    assert cache.find(DIGEST, SIZE + 1) is None
    assert names(cache) == [path.name]


def test_what_was_written_is_gone_on_with(cache: BlobCache) -> None:
    with cache.draft(DIGEST, SIZE, give_up) as draft:
        draft.write(CONTENT[:100])
    assert cache.find(DIGEST, SIZE) is None
    assert [each.is_partial for each in cache.entries()] == [True]
    with cache.draft(DIGEST, SIZE, give_up) as draft:
        assert draft.offset == 100
        draft.write(CONTENT[100:])
        assert draft.finish().read_bytes() == CONTENT


def test_an_empty_draft_leaves_nothing(cache: BlobCache) -> None:
    with cache.draft(DIGEST, SIZE, give_up):
        pass
    assert names(cache) == []


@pytest.mark.parametrize("content", [CONTENT[:-1], b"x" + CONTENT[1:]])
def test_a_blob_that_is_another_is_not_kept(cache: BlobCache, content: bytes) -> None:
    with cache.draft(DIGEST, SIZE, give_up) as draft:
        draft.write(content)
        with pytest.raises(BangerError) as caught:
            draft.finish()
    assert caught.value.code is Code.INVALID
    assert names(cache) == []


def test_more_than_was_told_is_refused_at_once(cache: BlobCache) -> None:
    with cache.draft(DIGEST, SIZE, give_up) as draft:
        draft.write(CONTENT)
        with pytest.raises(BangerError, match="is longer than"):
            draft.write(b"x")
    assert names(cache) == []


def test_a_part_that_is_too_long_is_forgotten(cache: BlobCache) -> None:
    part = store(cache).with_suffix(".part")
    part.write_bytes(CONTENT + b"x")
    with cache.draft(DIGEST, SIZE, give_up) as draft:
        assert draft.offset == 0


def test_one_writes_and_the_others_wait(cache: BlobCache) -> None:
    with cache.draft(DIGEST, SIZE, give_up) as draft:
        with pytest.raises(GaveUp), cache.draft(DIGEST, SIZE, give_up):
            pass
        draft.write(CONTENT)
        draft.finish()
    with cache.draft(DIGEST, SIZE, give_up) as later:
        assert later.offset == 0
        assert cache.find(DIGEST, SIZE)


def test_a_link_in_place_of_a_part_is_not_followed(cache: BlobCache, tmp_path: Path) -> None:
    path = store(cache)
    (tmp_path / "victim").write_text("mine")
    path.with_suffix(".part").symlink_to(tmp_path / "victim")
    with pytest.raises(BangerError), cache.draft(DIGEST, SIZE, give_up):
        pass
    assert (tmp_path / "victim").read_text() == "mine"


@pytest.mark.parametrize("digest", ["sha256:../../x", "x", DIGEST + "/../y"])
def test_a_digest_is_no_path(cache: BlobCache, digest: str) -> None:
    with pytest.raises(BangerError):
        cache.find(digest, 1)
    with pytest.raises(BangerError):
        cache.drop(digest)


def test_prune_takes_all_of_it_but_not_during_a_pull(cache: BlobCache) -> None:
    assert cache.prune() == []
    store(cache)
    with cache.in_use():
        with pytest.raises(BangerError) as caught:
            cache.prune()
        assert caught.value.code is Code.BUSY
        assert len(cache.prune(dry_run=True)) == 1
    gone = cache.prune()
    assert [(each.digest, each.real_bytes > 0) for each in gone] == [(DIGEST, True)]
    assert names(cache) == []


def test_a_dropped_blob_is_gone(cache: BlobCache) -> None:
    store(cache)
    cache.drop(DIGEST)
    cache.drop(DIGEST)
    assert cache.find(DIGEST, SIZE) is None


def test_no_descriptor_stays_open(cache: BlobCache) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    store(cache)
    with (
        pytest.raises(GaveUp),
        cache.draft(DIGEST, SIZE, give_up),
        cache.draft(DIGEST, SIZE, give_up),
    ):
        pass
    assert len(list(Path("/proc/self/fd").iterdir())) == before
