"""Images of a real registry boot, and run what they were made to run."""

import shutil
import subprocess
from collections.abc import Iterator

import pytest

from shared.host.busybox import find_busybox
from shared.paths import Paths
from tests.home import BOOT_SECONDS, Home
from tests.oci.container_images import Layout
from tests.oci.layers import END, directory, file, symlink, whiteout
from tests.oci.registry import RealRegistry, missing, registry

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(bool(missing()), reason="needs docker-registry, skopeo, openssl"),
    pytest.mark.timeout(2 * BOOT_SECONDS),
]

ENTRYPOINT = b"""#!/bin/sh
echo "$(id -u):$(id -g) $PWD $GREETING $*"
"""
# As Alpine has it, where no container has openrc.
INITTAB = b"""::sysinit:/sbin/openrc sysinit
::wait:/sbin/openrc default
::ctrlaltdel:/sbin/reboot
::shutdown:/sbin/openrc shutdown
"""
PASSWD = b"root:x:0:0:root:/root:/sbin/nologin\nweb:x:100:101::/srv:/sbin/nologin\n"
GROUP = b"root:x:0:\nweb:x:101:\n"
CONFIG = {
    "Entrypoint": ["/entrypoint.sh", "first"],
    "Cmd": ["of the image"],
    "Env": ["PATH=/usr/local/bin:/bin", "GREETING=hello world"],
    "WorkingDir": "/srv/data",
    "User": "web",
}
SCRATCH = {"Entrypoint": ["/busybox", "id"], "Cmd": ["-u"], "User": "4711"}
# What is in a VM and in no container, and what is only large.
LEFT_OUT = (
    *("usr/sbin/sshd", "usr/sbin/qemu-ga", "etc/ssh"),
    *("*/ssh.service", "*/sshd.service", "*/qemu-guest-agent.service"),
    *("usr/share/vim", "usr/share/perl", "usr/lib/git-core"),
)
# ssh lets a command in before systemd runs.
ASK_SYSTEMD = """until [ -S /run/systemd/private ]; do sleep 0.1; done
cat /proc/1/comm; systemctl show -P Id sysinit.target; echo $LANG; stat -c %a /usr/bin/passwd"""
SYSTEMD = {"Cmd": ["/sbin/init"], "Env": ["LANG=C.UTF-8"]}
LAYERS = 127
"""As many as Docker's overlay2 takes."""


class Run:
    """Runs images of the registry, and knows which."""

    def __init__(self, home: Home, hub: RealRegistry) -> None:
        self.home = home
        self.hub = hub
        self.images: list[str] = []

    def __call__(self, tag: str, *words: str, stdin: bytes = b"") -> str:
        """``vm run``: options and the command. Returns its output."""
        self.images.append(f"{self.hub.host}/team/app:{tag}")
        run = ("vm", "run", "--image", self.images[-1], *words)
        return self.home.banger(*run, stdin=stdin).stdout


@pytest.fixture(scope="module", name="hub")
def _hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRegistry]:
    layout = Layout(tmp_path_factory.mktemp("layout"))
    tool = find_busybox().read_bytes()
    small = _layer(*_of_busybox(tool))
    alone = _layer(file(b"busybox", tool, mode=0o755))
    layout.tag(layout.add_image([alone], config=SCRATCH), "one")
    more = [_layer(*_change(number)) for number in range(1, LAYERS)]
    both = [layout.add_image([_layer()], architecture="arm64")]
    both.append(layout.add_image([small, *more], config=CONFIG))
    layout.tag(layout.add_index(both), "many")
    place = tmp_path_factory.mktemp("registry")
    with registry(place) as found:
        for tag in ("one", "many"):
            found.push(f"oci:{layout.directory}:{tag}", f"team/app:{tag}")
        yield found
    _forget_downloads(layout)
    shutil.rmtree(place)  # 100 MB, which pytest would keep


@pytest.fixture(scope="module", name="debian")
def _debian(
    images: None, hub: RealRegistry, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The tag of an image of the default image's files."""
    place = tmp_path_factory.mktemp("debian")
    rootfs = Paths.from_environment().images / "by-name/debian-bookworm/rootfs.squashfs"
    unpack = ["unsquashfs", "-q", "-n", "-d", str(place / "tree"), str(rootfs)]
    subprocess.run(unpack, check=True)
    left_out = [f"--exclude={name}" for name in LEFT_OUT]
    pack = ["tar", "-C", str(place / "tree"), "--xattrs", "--xattrs-include=*", *left_out]
    archive = subprocess.run([*pack, "-c", "."], check=True, stdout=subprocess.PIPE).stdout
    shutil.rmtree(place / "tree")
    layout = Layout(place / "layout")
    layout.tag(layout.add_image([archive], how="zstd", config=SYSTEMD), "debian")
    hub.push(f"oci:{layout.directory}:debian", "team/app:debian")
    yield "debian"
    _forget_downloads(layout)
    shutil.rmtree(place)


def _forget_downloads(layout: Layout) -> None:
    """The cache is that of the user who runs the tests."""
    for blob in (layout.directory / "blobs/sha256").iterdir():
        (Paths.from_environment().blobs / "sha256" / blob.name).unlink(missing_ok=True)


def _layer(*members: bytes) -> bytes:
    return b"".join(members) + END


def _of_busybox(busybox: bytes) -> list[bytes]:
    """A tree as Alpine's: every program is busybox, init too. Root has no home and no shell."""
    directories = [directory(name) for name in (b"bin", b"sbin", b"etc", b"srv", b"layers")]
    return [
        *directories,
        directory(b"srv/data", mode=0o750, uid=100, gid=101),
        file(b"bin/busybox", busybox, mode=0o755),
        *(symlink(b"bin/" + name, b"/bin/busybox") for name in (b"sh", b"ash", b"id", b"ls")),
        symlink(b"sbin/init", b"/bin/busybox"),
        symlink(b"sbin/nologin", b"/bin/busybox"),
        symlink(b"root", b"var/roothome"),
        file(b"etc/inittab", INITTAB),
        file(b"etc/passwd", PASSWD),
        file(b"etc/group", GROUP),
        file(b"entrypoint.sh", ENTRYPOINT, mode=0o755),
    ]


def _change(number: int) -> Iterator[bytes]:
    """Each layer takes away what the one below has added."""
    yield file(b"layers/%d" % number, b"%d\n" % number)
    if number > 1:
        yield whiteout(b"layers/%d" % (number - 1))


@pytest.fixture(name="run")
def _run(home: Home, hub: RealRegistry) -> Iterator[Run]:
    """The images that it has pulled are removed at the end."""
    run = Run(home, hub)
    yield run
    for image in run.images:
        home.banger("image", "delete", image, check=False)


def test_one_static_binary_runs_its_own_command_as_a_user_of_no_file(run: Run) -> None:
    assert run("one", "--rm") == "4711\n"


def test_127_layers_of_an_index_run_the_command_that_is_given(home: Home, run: Run) -> None:
    try:
        given = run("many", "--name", "many", "-e", "GREETING=hi", "--", "mine")
        assert given == "100:101 /srv/data hi first mine\n"
        ask = "id -un; pwd; echo $GREETING; ls /layers"
        asked = home.banger("vm", "exec", "many", "--", "sh", "-c", ask).stdout.splitlines()
        assert asked == ["web", "/srv/data", "hello world", str(LAYERS - 1)]
        home.banger("vm", "stop", "many")
    finally:
        home.banger("vm", "delete", "many", check=False)


def test_a_debian_of_a_registry_boots_its_systemd(run: Run, debian: str) -> None:
    asked = run(debian, "--rm", stdin=ASK_SYSTEMD.encode()).splitlines()
    assert asked == ["systemd", "sysinit.target", "C.UTF-8", "4755"]


def test_a_registry_that_is_not_there_is_given_up(home: Home) -> None:
    done = home.banger("image", "pull", "127.0.0.1:1/nowhere", check=False)
    assert done.returncode == 6
    assert done.stderr.splitlines()[-2].startswith("error: cannot download from 127.0.0.1:1: ")
    assert done.stderr.splitlines()[-1].startswith("hint: ")
    assert "trying again in" in done.stderr
