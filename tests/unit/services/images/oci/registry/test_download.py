"""Downloads from a registry that misbehaves."""

import hashlib
import json
from pathlib import Path

import pytest

from services.images.oci.blobs import BlobCache
from services.images.oci.documents import OCI_MANIFEST, Descriptor, ManifestDocument, digest_of
from services.images.oci.reference import parse
from services.images.oci.registry.download import RegistryDownload
from services.images.oci.registry.session import RegistrySession
from shared.errors import BangerError, Code
from tests.oci.scripted_registry import Asked, Said, Script, ScriptedRegistry

BLOB = hashlib.shake_128(b"seed").digest(3_000_000)
DIGEST = digest_of(BLOB)
LAYER = Descriptor("application/vnd.oci.image.layer.v1.tar", DIGEST, len(BLOB))
CONFIG = json.dumps({"rootfs": {"diff_ids": [DIGEST]}}).encode()
MANIFEST = ManifestDocument(
    config=Descriptor("application/vnd.oci.image.config.v1+json", digest_of(CONFIG), len(CONFIG)),
    layers=[LAYER],
)


class Blob:
    """Answers with the blob; ``cuts`` are where the next connections break."""

    def __init__(self, *cuts: int, ranges: bool = True) -> None:
        self.cuts = list(cuts)
        self.ranges = ranges
        self.starts: list[int] = []

    def __call__(self, asked: Asked) -> Said:
        if DIGEST not in asked.path:
            return Said(body=CONFIG)
        self.starts.append(asked.start)
        cut = self.cuts.pop(0) if self.cuts else None
        if not asked.start or not self.ranges:
            return Said(body=BLOB, cut=cut)
        last = len(BLOB) - 1
        told = {"Content-Range": f"bytes {asked.start}-{last}/{len(BLOB)}"}
        return Said(206, BLOB[asked.start :], told, cut)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.images.oci.registry.session._FIRST_PAUSE", 0.0)


def answer(body: bytes, headers: dict[str, str]) -> Script:
    return lambda _: Said(body=body, headers=headers)


def fetched(registry: ScriptedRegistry, tmp_path: Path, reports: list[int] | None = None) -> bytes:
    cache = BlobCache(tmp_path)

    def note(here: int, _total: int) -> None:
        if reports is not None:
            reports.append(here)

    download = RegistryDownload(parse(f"{registry.host}/app:1"), cache, note)
    try:
        return download.fetch(MANIFEST, DIGEST).layers[0].path.read_bytes()
    finally:
        download.close()


def test_what_breaks_goes_on_where_it_broke(registry: ScriptedRegistry, tmp_path: Path) -> None:
    script = registry.script = Blob(1_200_000, 500_000)
    reports: list[int] = []
    assert fetched(registry, tmp_path, reports) == BLOB
    assert script.starts[0] == 0
    assert script.starts == sorted(script.starts)
    assert len(set(script.starts)) == 3
    assert reports == sorted(reports)
    assert reports[-1] == len(BLOB)


def test_a_registry_without_ranges_sends_it_all_again(
    registry: ScriptedRegistry, tmp_path: Path
) -> None:
    registry.script = Blob(2_000_000, ranges=False)
    reports: list[int] = []
    assert fetched(registry, tmp_path, reports) == BLOB
    assert reports[-1] == len(BLOB)


@pytest.mark.parametrize(
    "told", ["bytes 0-2999999/3000000", "bytes 5-9/3000000", "", "bytes 1200000-2999999/9000000"]
)
def test_a_range_that_was_not_asked_for_is_not_appended(
    registry: ScriptedRegistry, tmp_path: Path, told: str
) -> None:
    whole = Blob(1_200_000)

    def script(asked: Asked) -> Said:
        if asked.start:
            return Said(206, b"x" * 1000, {"Content-Range": told})
        return whole(asked)

    registry.script = script
    assert fetched(registry, tmp_path) == BLOB


def test_a_range_that_cannot_be_satisfied_begins_anew(
    registry: ScriptedRegistry, tmp_path: Path
) -> None:
    whole = Blob(1_200_000)
    registry.script = lambda asked: Said(416) if asked.start else whole(asked)
    assert fetched(registry, tmp_path) == BLOB


def test_a_registry_that_never_gets_further_is_given_up(
    registry: ScriptedRegistry, tmp_path: Path
) -> None:
    registry.script = Blob(*([10] * 100))
    with pytest.raises(BangerError) as caught:
        fetched(registry, tmp_path)
    assert caught.value.code is Code.UNREACHABLE
    assert len(registry.asked) < 20
    assert [each.is_partial for each in BlobCache(tmp_path).entries()] in ([True], [])


@pytest.mark.parametrize("body", [BLOB[:-1], BLOB + b"x", BLOB[:-1] + b"x", b""])
def test_a_blob_that_is_another_is_refused(
    registry: ScriptedRegistry, tmp_path: Path, body: bytes
) -> None:
    registry.script = lambda asked: Said(body=body if DIGEST in asked.path else CONFIG)
    with pytest.raises(BangerError):
        fetched(registry, tmp_path)
    assert BlobCache(tmp_path).find(DIGEST, len(BLOB)) is None


def test_a_manifest_is_checked_by_what_names_it(registry: ScriptedRegistry, tmp_path: Path) -> None:
    content = json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST}).encode()
    for name, headers in (
        (f"app@sha256:{'0' * 64}", {}),
        ("app:1", {"Docker-Content-Digest": f"sha256:{'0' * 64}"}),
    ):
        registry.script = answer(content, headers)
        reference = parse(f"{registry.host}/{name}")
        download = RegistryDownload(reference, BlobCache(tmp_path), lambda *_: None)
        with pytest.raises(BangerError, match="is another"):
            download.manifest()
        download.close()
        accepted = registry.asked[-1].headers["accept"]
        assert "application/vnd.oci.image.index.v1+json" in accepted


def test_one_failure_ends_the_other_downloads(registry: ScriptedRegistry, tmp_path: Path) -> None:
    others = [Descriptor(LAYER.media_type, f"sha256:{n:064}", 10) for n in range(20)]
    registry.script = lambda asked: Said(body=CONFIG) if "config" in asked.path else Said(404)
    download = RegistryDownload(
        parse(f"{registry.host}/app:1"), BlobCache(tmp_path), lambda *_: None
    )
    with pytest.raises(BangerError) as caught:
        download._fetch_all({each.digest: each for each in others})
    assert caught.value.code is Code.NOT_FOUND
    assert isinstance(download._session, RegistrySession)
    download.close()
