"""Images that have nothing of what banger needs: no sshd, no agent, no init, no accounts."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from services.images.library.describe import describe_image
from services.images.library.manifest import ImageManifest
from services.images.library.publish import publish
from services.images.library.scratch import remove_tree, scratch
from shared.host.busybox import find_busybox
from shared.paths import Paths
from tests.home import BOOT_SECONDS, Home

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(2 * BOOT_SECONDS)]

Publish = Callable[..., ImageManifest]


@pytest.fixture
def publish_tree(home: Home) -> Iterator[Publish]:
    """Publish a directory as an image; removed at the end of the test."""
    published: list[Path] = []
    images = Paths.from_environment().images

    def published_tree(
        name: str, tree: Path, base: ImageManifest | None = None, seed: Path | None = None
    ) -> ImageManifest:
        with scratch(images) as work:
            squash = ("-comp", "lz4", "-all-root", "-noappend", "-quiet", "-no-progress")
            rootfs = str(work.path / "rootfs.squashfs")
            subprocess.run(["mksquashfs", str(tree), rootfs, *squash], check=True)
            if seed:
                shutil.copyfile(seed, work.path / "seed.tar.zst")
            manifest = describe_image(work.path, name, "test", base=base)
            published.append(publish(work, manifest))
        return manifest

    yield published_tree
    for path in published:
        name = json.loads((path / "manifest.json").read_text())["name"]
        (images / "by-name" / name).unlink(missing_ok=True)
        remove_tree(path)


def test_one_static_binary_boots_and_takes_all_that_a_vm_takes(
    home: Home, publish_tree: Publish, tmp_path: Path
) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    shutil.copy(find_busybox(), tree / "busybox")
    publish_tree(f"scratch-{os.getpid()}", tree)
    home.banger("vm", "run", "-d", "--name", "bare", "--image", f"scratch-{os.getpid()}")
    try:
        assert home.banger("vm", "exec", "bare", "--", "/busybox", "echo", "hi").stdout == "hi\n"
        assert home.banger("vm", "exec", "bare", "--", "ls", "/busybox").stdout == "/busybox\n"
        (tmp_path / "file").write_text("in\n")
        home.banger("vm", "cp", str(tmp_path / "file"), "bare:/etc/in")
        home.banger("vm", "cp", "bare:/etc/in", str(tmp_path / "out"))
        assert (tmp_path / "out").read_text() == "in\n"
        checks = json.loads(home.banger("vm", "health", "bare", "-o", "json").stdout)
        assert "unhealthy" not in json.dumps(checks)
        # An orphan is reaped by process 1.
        orphan = "(sleep 0.1 &) ; sleep 1; grep -l '^State:.Z' /proc/[0-9]*/status"
        assert home.banger("vm", "exec", "bare", "--", "sh", "-c", orphan, check=False).stdout == ""
        home.banger("vm", "stop", "bare")
        home.banger("vm", "start", "bare")
        assert home.banger("vm", "exec", "bare", "--", "cat", "/etc/in").stdout == "in\n"
    finally:
        home.banger("vm", "delete", "bare")


def test_a_stack_of_images_of_busybox_begins_with_its_home(
    home: Home, publish_tree: Publish, tmp_path: Path
) -> None:
    lowest, top, work = tmp_path / "lowest", tmp_path / "top", tmp_path / "work"
    for directory in (lowest / "bin", lowest / "root", lowest / "etc", top / "bin", work / ".cfg"):
        directory.mkdir(parents=True)
    shutil.copy(find_busybox(), lowest / "bin" / "busybox")
    for applet in ("sh", "cat", "ls", "vi"):
        (lowest / "bin" / applet).symlink_to("busybox")
    (lowest / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\nbob:x:7:7::/:/bin/sh\n")
    (lowest / "root" / "kept").write_text("of the image\n")
    os.mknod(top / "bin" / "vi", 0o020000, os.makedev(0, 0))
    (work / ".cfg" / "seed").write_text("of the seed\n")
    pack = 'tar -C "$0" -cf - . | zstd -q -o "$1"'
    subprocess.run(["sh", "-c", pack, work, tmp_path / "seed.zst"], check=True)
    base = publish_tree(f"lowest-{os.getpid()}", lowest)
    publish_tree(f"top-{os.getpid()}", top, base, tmp_path / "seed.zst")
    home.banger("vm", "run", "-d", "--name", "stack", "--image", f"top-{os.getpid()}")
    try:
        asked = "cat /root/kept /root/.cfg/seed; ls /bin; ls -d /root/.banger* /dev/stdout"
        done = home.banger("vm", "exec", "stack", "--", "sh", "-c", asked, check=False)
        assert done.stdout.split("\n") == [
            "of the image", "of the seed", "busybox", "cat", "ls", "sh", "/dev/stdout", "",
        ]  # fmt: skip
        who = home.banger("vm", "exec", "-u", "bob", "stack", "--", "sh", "-c", "echo $USER")
        assert who.stdout == "bob\n"
    finally:
        home.banger("vm", "delete", "stack")
