"""Images from a real registry, a layout and archives of skopeo, up to the published squashfs."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.images.jobs import import_archive, pull
from services.images.jobs.requests import ImportJob, PublishedImage, PullJob
from services.images.library.library import Library
from services.images.library.manifest import ImageManifest
from shared.errors import BangerError, Code
from shared.workers.job import JobContext
from tests.oci.container_images import Layout, layer
from tests.oci.registry import RealRegistry, missing, registry

pytestmark = pytest.mark.skipif(bool(missing()), reason="needs docker-registry, skopeo, openssl")

FILES = [{"etc/name": b"one", "gone": b"x"}, {"etc/name": b"two", ".wh.gone": b"", "new": b"n"}]
EXPECTED = {"etc/name": b"two", "new": b"n"}
LAYERS = [layer(each) for each in FILES]


class Machine:
    """A library and a cache of downloads."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.library = Library(directory / "images", ImageManifest, "image")
        self.said: list[tuple[str, str]] = []
        self._jobs = 0

    def context(self) -> JobContext:
        self._jobs += 1
        work = self.directory / f"job-{self._jobs}"
        work.mkdir()
        return JobContext(work, lambda *said: self.said.append(said))

    def pull(self, source: str, name: str = "", *, force: bool = False) -> PublishedImage:
        request = PullJob(
            images=str(self.library.root),
            blobs=str(self.directory / "blobs"),
            source=source,
            name=name,
            force=force,
        )
        return pull.run(request, self.context())

    def bring(self, file: Path, name: str = "") -> PublishedImage:
        request = ImportJob(images=str(self.library.root), file=str(file), name=name)
        return import_archive.run(request, self.context())

    def content(self, image: ImageManifest) -> dict[str, bytes]:
        target = self.directory / f"tree-{image.name.replace('/', '-')}"
        rootfs = self.library.path_of(image) / image.rootfs.file
        command = ["unsquashfs", "-q", "-n", "-d", str(target), str(rootfs)]
        subprocess.run(command, check=True, capture_output=True)
        return {
            str(path.relative_to(target)): path.read_bytes()
            for path in target.rglob("*")
            if path.is_file()
        }

    def blobs(self) -> list[str]:
        return sorted(path.name for path in self.directory.glob("blobs/sha256/*"))


@pytest.fixture(name="machine")
def _machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture(scope="module", name="layout")
def _layout(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    layout = Layout(tmp_path_factory.mktemp("layout") / "app")
    layout.tag(layout.add_image(LAYERS, config={"Cmd": ["run"], "Env": ["A=1"]}), "1")
    layout.tag(layout.add_image(LAYERS[:1], how="zstd"), "2")
    return layout


@pytest.fixture(scope="module", name="hub")
def _hub(layout: Layout, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRegistry]:
    with registry(tmp_path_factory.mktemp("registry")) as found:
        for tag in ("1", "2"):
            found.push(f"oci:{layout.directory}:{tag}", f"team/app:{tag}")
        yield found


def test_an_image_of_a_registry_is_published_with_its_config(
    hub: RealRegistry, machine: Machine
) -> None:
    image = machine.pull(f"{hub.host}/team/app:1").image
    assert machine.content(image) == EXPECTED
    assert image.name == f"{hub.host}/team/app:1"
    assert image.config
    assert (image.config.cmd, image.config.env) == (["run"], {"A": "1"})
    assert image.origin
    assert image.origin.reference == f"{hub.host}/team/app:1"
    assert sorted(each.removeprefix("sha256:") for each in image.blobs) == machine.blobs()
    assert machine.library.find(image.name) == image
    assert {"download", "index", "verify"} <= {stage for stage, _ in machine.said}


def test_the_same_manifest_again_is_only_named(hub: RealRegistry, machine: Machine) -> None:
    image = machine.pull(f"{hub.host}/team/app:1").image
    before = len(hub.requests())
    assert machine.pull(f"{hub.host}/team/app:1", "web:1").image.id == image.id
    assert not any("/blobs/" in line for line in hub.requests()[before:])
    assert machine.library.names() == {image.name: image.id, "web:1": image.id}


def test_a_tag_moves_with_its_source_and_the_older_image_stays(
    layout: Layout, hub: RealRegistry, machine: Machine
) -> None:
    hub.push(f"oci:{layout.directory}:1", "moving:latest")
    first = machine.pull(f"{hub.host}/moving").image
    hub.push(f"oci:{layout.directory}:2", "moving:latest")
    second = machine.pull(f"{hub.host}/moving").image
    assert machine.content(second) == FILES[0]
    assert machine.library.names() == {f"{hub.host}/moving:latest": second.id}
    assert machine.library.find(first.id) == first


def test_a_name_of_a_user_is_not_taken_from_another_image(
    hub: RealRegistry, machine: Machine
) -> None:
    first = machine.pull(f"{hub.host}/team/app:1", "web").image
    with pytest.raises(BangerError, match=r"another image .* has the name web") as caught:
        machine.pull(f"{hub.host}/team/app:2", "web")
    assert caught.value.code is Code.CONFLICT
    assert machine.library.names() == {"web": first.id}
    second = machine.pull(f"{hub.host}/team/app:2", "web", force=True).image
    assert machine.library.names() == {"web": second.id}


def test_a_layout_is_called_by_its_directory(layout: Layout, machine: Machine) -> None:
    image = machine.pull(f"oci:{layout.directory}:1").image
    assert image.name == "app:1"
    assert machine.content(image) == EXPECTED
    assert machine.blobs() == [], "what is on this disk is not copied into the cache"
    with pytest.raises(BangerError, match="several images"):
        machine.pull(f"oci:{layout.directory}")


@pytest.mark.parametrize("kind", ["docker-archive", "oci-archive"])
@pytest.mark.parametrize("packed", [False, True])
def test_archives_of_other_tools_are_imported(
    layout: Layout, machine: Machine, tmp_path: Path, kind: str, packed: bool
) -> None:
    file = tmp_path / "image.tar"
    source, target = f"oci:{layout.directory}:1", f"{kind}:{file}:docker.io/library/app:3"
    subprocess.run(["skopeo", "copy", "-q", source, target], check=True)
    if packed:
        subprocess.run(["gzip", str(file)], check=True)
        file = tmp_path / "image.tar.gz"
    image = machine.bring(file).image
    assert image.name == "app:3"
    assert image.source.startswith("archive:")
    assert image.source.endswith("app:3")
    assert machine.content(image) == EXPECTED
    assert machine.bring(file, "mine").image.name == "mine"
    assert machine.content(machine.pull(f"docker-archive:{file}", "again").image) == EXPECTED


def test_a_wrong_layer_in_the_cache_is_dropped_and_fetched_again(
    hub: RealRegistry, machine: Machine
) -> None:
    source = f"{hub.host}/team/app:2"
    image = machine.pull(source).image
    blob = machine.directory / "blobs/sha256" / machine.blobs()[0]
    blob.write_bytes(bytes(len(blob.read_bytes())))
    machine.library.remove(image.id)
    with pytest.raises(BangerError, match="damaged"):
        machine.pull(source)
    assert machine.blobs() == []
    assert [path.name for path in machine.library.root.iterdir()] == ["by-name"]
    assert machine.content(machine.pull(source).image) == FILES[0]
