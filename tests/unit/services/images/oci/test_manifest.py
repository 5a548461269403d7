"""Manifests of images: chosen, and refused."""

import json
from typing import Any

import pytest

from services.images.oci.documents import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    LONGEST_DOCUMENT,
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
    digest_of,
)
from services.images.oci.manifest import DEEPEST_INDEX, choose, kind_of
from shared.errors import BangerError, Code

SUM = "sha256:" + "a" * 64
CONFIG = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": SUM, "size": 2}
LAYER = {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": SUM, "size": 3}
AMD64 = {"os": "linux", "architecture": "amd64"}


class Store:
    """Documents by their digests."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}

    def add(self, document: object, media_type: str, **more: Any) -> dict[str, Any]:
        content = json.dumps(document).encode()
        self.contents[digest_of(content)] = content
        known = {"mediaType": media_type, "digest": digest_of(content), "size": len(content)}
        return known | more

    def fetch(self, descriptor: Descriptor) -> bytes:
        return self.contents[descriptor.digest]

    def chosen(self, document: object, media_type: str = "") -> str:
        """The digest of the manifest that is found."""
        return choose(json.dumps(document).encode(), media_type, self.fetch)[1]


def manifest(**changes: Any) -> dict[str, Any]:
    return {"schemaVersion": 2, "config": CONFIG, "layers": [LAYER]} | changes


def index(*manifests: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"schemaVersion": 2, "manifests": list(manifests)} | changes


def test_a_manifest_is_taken_as_it_is() -> None:
    content = json.dumps(manifest()).encode()
    found, digest = choose(content, OCI_MANIFEST, Store().fetch)
    assert digest == digest_of(content)
    assert [each.digest for each in found.layers] == [SUM]


@pytest.mark.parametrize(
    ("kind", "inner"), [(OCI_INDEX, OCI_MANIFEST), (DOCKER_LIST, DOCKER_MANIFEST)]
)
def test_an_index_leads_to_linux_on_amd64(kind: str, inner: str) -> None:
    store = Store()
    others = [
        store.add(manifest(layers=[]), inner, platform={"os": os, "architecture": arch})
        for os, arch in (("windows", "amd64"), ("linux", "arm64"), ("unknown", "unknown"))
    ]
    wanted = store.add(manifest(), inner, platform=AMD64)
    assert store.chosen(index(*others, wanted), kind) == wanted["digest"]


def test_an_index_in_an_index_is_followed_to_a_limit() -> None:
    store = Store()
    found = store.add(manifest(), OCI_MANIFEST, platform=AMD64)
    document = index(found)
    for _ in range(DEEPEST_INDEX - 1):
        document = index(store.add(document, OCI_INDEX, platform=AMD64))
    assert store.chosen(document) == found["digest"]
    with pytest.raises(BangerError, match="indexes stand one in another"):
        store.chosen(index(store.add(document, OCI_INDEX, platform=AMD64)))


def test_the_only_manifest_without_a_platform_will_do() -> None:
    store = Store()
    found = store.add(manifest(), OCI_MANIFEST)
    assert store.chosen(index(found)) == found["digest"]
    with pytest.raises(BangerError, match="not for linux/amd64"):
        store.chosen(index(found, found))


def test_an_index_for_other_platforms_says_which() -> None:
    store = Store()
    arm = {"os": "linux", "architecture": "arm64", "variant": "v8"}
    with pytest.raises(BangerError) as caught:
        store.chosen(index(store.add(manifest(), OCI_MANIFEST, platform=arm)))
    assert caught.value.code is Code.INCOMPATIBLE
    assert caught.value.hint == "it is for: linux/arm64/v8"


@pytest.mark.parametrize(
    ("document", "media_type"),
    [
        ({"schemaVersion": 1, "fsLayers": []}, ""),
        (manifest(), "application/vnd.docker.distribution.manifest.v1+prettyjws"),
        (index() | manifest(), ""),
        (manifest(), OCI_INDEX),
        (manifest(mediaType=OCI_INDEX), ""),
        (index(), OCI_MANIFEST),
        (manifest(mediaType="application/vnd.example"), OCI_MANIFEST),
        ({}, ""),
        ([], ""),
        ("text", OCI_MANIFEST),
        (manifest(layers="x"), OCI_MANIFEST),
        (manifest(config=None), OCI_MANIFEST),
        (manifest(config=CONFIG | {"mediaType": "application/vnd.oci.empty.v1+json"}), ""),
        (manifest(layers=[LAYER | {"mediaType": "text/plain"}]), ""),
        (manifest(layers=[LAYER | {"digest": "sha256:../../etc/passwd"}]), ""),
        (manifest(layers=[LAYER | {"digest": "sha512:" + "a" * 128}]), ""),
        (manifest(layers=[LAYER | {"size": -1}]), ""),
        (manifest(layers=[LAYER | {"size": 2**63}]), ""),
        (manifest(layers=[LAYER | {"size": 1.5}]), ""),
        (manifest(layers=[LAYER] * 1001), ""),
    ],
)
def test_what_is_no_image_is_refused(document: object, media_type: str) -> None:
    with pytest.raises(BangerError) as caught:
        Store().chosen(document, media_type)
    assert caught.value.code is Code.INVALID


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff", b"[" * 100_000, b" " * (LONGEST_DOCUMENT + 1)]
)
def test_what_is_no_json_is_refused(content: bytes) -> None:
    with pytest.raises(BangerError) as caught:
        choose(content, OCI_MANIFEST, Store().fetch)
    assert caught.value.code is Code.INVALID


def test_the_type_of_a_document_is_its_own_word_first() -> None:
    docker = json.dumps(manifest(mediaType=DOCKER_MANIFEST)).encode()
    assert kind_of(docker, OCI_MANIFEST) == DOCKER_MANIFEST
    bare = json.dumps(manifest()).encode()
    assert kind_of(bare, f"{DOCKER_MANIFEST}; charset=utf-8") == DOCKER_MANIFEST
    assert kind_of(bare) == kind_of(bare, "text/plain") == OCI_MANIFEST
