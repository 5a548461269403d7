"""Images out of Debian's docker-registry: with a login, with TLS, broken, and gone on with."""

import dataclasses
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.images.oci.blobs import BlobCache
from services.images.oci.image_config import Pulled
from services.images.oci.pulling import AlreadyHere, PullOptions, pulled
from services.images.oci.reference import parse_any
from shared.errors import BangerError, Code
from tests.oci.container_images import Layout, digest_of, layer
from tests.oci.registry import RealRegistry, missing, registry

pytestmark = pytest.mark.skipif(bool(missing()), reason="needs docker-registry, skopeo, openssl")

LAYERS = [layer({f"file-{number}": bytes([number]) * 70_000}) for number in range(9)]
RUN = {
    "Entrypoint": ["/bin/server"],
    "Cmd": ["--port", "80"],
    "Env": ["PATH=/bin", "EMPTY=", "WITH=a=b"],
    "WorkingDir": "/srv",
    "User": "10:20",
    "ExposedPorts": {"80/tcp": {}},
    "Volumes": {"/data": {}},
    "Labels": {"k": "v"},
    "StopSignal": "SIGQUIT",
}


class Puller:
    """Pulls into one cache, and keeps what was reported."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.cache = BlobCache(directory / "blobs")
        self.reports: list[tuple[str, int, int]] = []
        self.space: list[int] = []
        self.known: set[str] = set()

    def pull(self, reference: str, **options: Any) -> Pulled:
        chosen = PullOptions(cache=self.cache, directory=self.directory)
        with pulled(
            parse_any(reference),
            dataclasses.replace(chosen, **options),
            lambda *report: self.reports.append(report),
            self.known.__contains__,
            self.space.append,
        ) as image:
            return image


@pytest.fixture(name="puller")
def _puller(tmp_path: Path) -> Puller:
    return Puller(tmp_path)


@pytest.fixture(scope="module", name="layout")
def _layout(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    layout = Layout(tmp_path_factory.mktemp("layout") / "images")
    layout.tag(layout.add_image(LAYERS, config=RUN), "gzip")
    layout.tag(layout.add_image(LAYERS[:2], how="zstd"), "zstd")
    layout.tag(layout.add_image(LAYERS[:2], how=""), "plain")
    arm = layout.add_image(LAYERS[:1], architecture="arm64")
    layout.tag(arm, "arm")
    both = [arm, layout.add_image(LAYERS[1:3])]
    layout.tag(layout.add_index(both), "index")
    layout.tag(layout.add_image([layer({"big": bytes(range(256)) * 40_000})], how=""), "big")
    return layout


@pytest.fixture(scope="module", name="plain")
def _plain(layout: Layout, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRegistry]:
    with registry(tmp_path_factory.mktemp("plain")) as found:
        for tag in ("gzip", "zstd", "plain", "arm", "index", "big"):
            found.push(f"oci:{layout.directory}:{tag}", f"team/app:{tag}")
        yield found


@pytest.fixture(scope="module", name="guarded")
def _guarded(layout: Layout, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRegistry]:
    with registry(tmp_path_factory.mktemp("guarded"), auth=True, tls=True) as found:
        found.push(f"oci:{layout.directory}:gzip", "team/app:gzip")
        yield found


def test_config_and_layers_come_as_they_were_pushed(plain: RealRegistry, puller: Puller) -> None:
    image = puller.pull(f"{plain.host}/team/app:gzip")
    assert [each.diff_id for each in image.layers] == [digest_of(each) for each in LAYERS]
    assert [digest_of(each.path.read_bytes()) for each in image.layers] == [
        each.digest for each in image.layers
    ]
    config = image.config
    assert (config.entrypoint, config.cmd) == (["/bin/server"], ["--port", "80"])
    assert config.env == {"PATH": "/bin", "EMPTY": "", "WITH": "a=b"}
    assert (config.workdir, config.user, config.stop_signal) == ("/srv", "10:20", "SIGQUIT")
    assert (config.exposed, config.volumes, config.labels) == (["80/tcp"], ["/data"], {"k": "v"})
    total = sum(each.size for each in image.layers)
    assert max(done for _, done, _ in puller.reports) == total
    assert puller.space == [3 * total]


@pytest.mark.parametrize("tag", ["zstd", "plain"])
def test_layers_of_every_compression_come(plain: RealRegistry, puller: Puller, tag: str) -> None:
    image = puller.pull(f"{plain.host}/team/app:{tag}")
    assert [each.diff_id for each in image.layers] == [digest_of(each) for each in LAYERS[:2]]


def test_an_index_leads_to_the_image_of_this_platform(plain: RealRegistry, puller: Puller) -> None:
    image = puller.pull(f"{plain.host}/team/app:index")
    assert [each.diff_id for each in image.layers] == [digest_of(each) for each in LAYERS[1:3]]


def test_an_image_of_another_platform_is_refused(plain: RealRegistry, puller: Puller) -> None:
    with pytest.raises(BangerError, match="for linux/arm64, not for linux/amd64") as caught:
        puller.pull(f"{plain.host}/team/app:arm")
    assert caught.value.code is Code.INCOMPATIBLE


def test_a_digest_means_that_manifest(plain: RealRegistry, puller: Puller) -> None:
    digest = puller.pull(f"{plain.host}/team/app:gzip").digest
    assert puller.pull(f"{plain.host}/team/app@{digest}").digest == digest
    with pytest.raises(BangerError, match="there is no") as caught:
        puller.pull(f"{plain.host}/team/app@sha256:{'0' * 64}")
    assert caught.value.code is Code.NOT_FOUND


def test_what_is_in_the_cache_is_not_asked_for_again(plain: RealRegistry, puller: Puller) -> None:
    image = puller.pull(f"{plain.host}/team/app:gzip")
    before = len(plain.requests())
    again = puller.pull(f"{plain.host}/team/app:gzip")
    assert again == image
    new = plain.requests()[before:]
    assert not any(each.digest in line for each in image.layers for line in new)
    puller.known.add(image.digest)
    with pytest.raises(AlreadyHere):
        puller.pull(f"{plain.host}/team/app:gzip")


def test_a_download_goes_on_where_another_has_ended(plain: RealRegistry, puller: Puller) -> None:
    image = puller.pull(f"{plain.host}/team/app:big")
    path = image.layers[0].path
    whole = path.read_bytes()
    part = path.with_suffix(".part")
    path.rename(part)
    part.write_bytes(whole[:3_000_001])
    puller.reports.clear()
    assert puller.pull(f"{plain.host}/team/app:big").layers[0].path.read_bytes() == whole
    assert puller.reports[0][1] == 3_000_001, "it began with what was there"
    assert not part.exists()


def test_a_part_that_is_not_of_this_blob_is_found_out(plain: RealRegistry, puller: Puller) -> None:
    image = puller.pull(f"{plain.host}/team/app:big")
    path = image.layers[0].path
    path.rename(path.with_suffix(".part"))
    path.with_suffix(".part").write_bytes(b"x" * 1_000_000)
    with pytest.raises(BangerError, match="is another"):
        puller.pull(f"{plain.host}/team/app:big")
    assert list(path.parent.glob(f"{path.name}*")) == []
    assert puller.pull(f"{plain.host}/team/app:big") == image


def test_a_registry_whose_disk_has_gone_bad_is_found_out(
    layout: Layout, tmp_path: Path, puller: Puller
) -> None:
    (tmp_path / "registry").mkdir()
    with registry(tmp_path / "registry") as broken:
        broken.push(f"oci:{layout.directory}:plain", "app:1")
        victim = broken.blob(digest_of(LAYERS[0]))
        victim.write_bytes(victim.read_bytes().replace(b"file-0", b"file-X"))
        with pytest.raises(BangerError, match="is another"):
            puller.pull(f"{broken.host}/app:1")
    assert [each.digest for each in puller.cache.entries() if each.is_partial] == []


def test_two_pulls_at_once_share_the_work(plain: RealRegistry, tmp_path: Path) -> None:
    pullers = [Puller(tmp_path) for _ in range(2)]
    reference = f"{plain.host}/team/app:gzip"
    images: list[Pulled] = []
    before = len(plain.requests())
    threads = [
        threading.Thread(target=lambda each=each: images.append(each.pull(reference)))
        for each in pullers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(images) == 2
    assert images[0] == images[1]
    asked = plain.requests()[before:]
    for each in images[0].layers:
        assert sum(each.digest in line for line in asked) <= 1


def test_a_login_and_tls_of_an_authority_that_is_trusted(
    guarded: RealRegistry, puller: Puller, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert guarded.authority
    monkeypatch.setenv("SSL_CERT_FILE", str(guarded.authority))
    image = puller.pull(f"{guarded.host}/team/app:gzip", auth_file=str(guarded.auth_file))
    assert len(image.layers) == len(LAYERS)


def test_authority_beside_the_configuration_of_containers(
    guarded: RealRegistry, puller: Puller, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert guarded.authority
    place = tmp_path / ".config/containers/certs.d" / guarded.host
    place.mkdir(parents=True)
    (place / "ca.crt").write_bytes(guarded.authority.read_bytes())
    monkeypatch.setenv("HOME", str(tmp_path))
    image = puller.pull(f"{guarded.host}/team/app:gzip", auth_file=str(guarded.auth_file))
    assert len(image.layers) == len(LAYERS)


def test_a_certificate_of_nobody_is_refused_unless_told_otherwise(
    guarded: RealRegistry, puller: Puller
) -> None:
    reference, login = f"{guarded.host}/team/app:gzip", str(guarded.auth_file)
    with pytest.raises(BangerError, match="cannot be trusted") as caught:
        puller.pull(reference, auth_file=login)
    assert caught.value.code is Code.DENIED
    assert "--insecure" in caught.value.hint
    assert len(puller.pull(reference, auth_file=login, insecure=True).layers) == len(LAYERS)


@pytest.mark.parametrize("login", ["nobody", "wrong"])
def test_without_the_right_login_it_is_denied(
    guarded: RealRegistry, puller: Puller, tmp_path: Path, login: str
) -> None:
    auth_file = tmp_path / "auth.json"
    wrong = (
        guarded.auth_file.read_text().replace('"auth": "', '"auth": "d2hvOm5v')
        if login == "wrong"
        else "{}"
    )
    auth_file.write_text(wrong)
    with pytest.raises(BangerError) as caught:
        puller.pull(f"{guarded.host}/team/app:gzip", auth_file=str(auth_file), insecure=True)
    assert caught.value.code is Code.DENIED
    assert "docker login" in caught.value.hint


def test_what_is_not_there_is_not_found(plain: RealRegistry, puller: Puller) -> None:
    for name in ("team/app:none", "team/nothing:1"):
        with pytest.raises(BangerError) as caught:
            puller.pull(f"{plain.host}/{name}")
        assert caught.value.code is Code.NOT_FOUND
