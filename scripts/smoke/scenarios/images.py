"""Images: built, captured, carried, registered, tidied away, and one with containers in it."""

import shutil
import tarfile
from pathlib import Path

from scripts.smoke.case import Case
from scripts.smoke.expect import Skipped, contains, equal, holds
from scripts.smoke.own_library import DEV_IMAGE
from scripts.smoke.registry import Group, scenario
from services.images.sources.debian.catalogue import IMAGES as CATALOGUE
from services.images.sources.debian.catalogue import KERNELS
from shared.config import DefaultsConfig

IMAGES = Group("images", own_library=True)

KERNEL = DefaultsConfig().kernel

DOCKERFILE = """\
FROM debian-bookworm
ENV GREETING=hello
WORKDIR /srv/app
COPY tool .
RUN echo "$GREETING" >made
CMD ["sh", "-c", "./tool; cat made; pwd"]
"""

CONFLICT, NOT_FOUND = 4, 3


def _place(case: Case, name: str, **files: str) -> Path:
    """A directory of the scenario's own, with executable files."""
    top = case.directory / "places" / name
    shutil.rmtree(top, ignore_errors=True)
    top.mkdir(parents=True)
    for file, text in files.items():
        (top / file).write_text(text)
        (top / file).chmod(0o755)
    return top


def _tar(top: Path, word: str) -> str:
    """A root filesystem that holds a word: enough for all that boots nothing."""
    (top / "word").write_text(word)
    with tarfile.open(top / "root.tar", "w") as tar:
        tar.add(top / "word", "etc/word")
    return str(top / "root.tar")


def _names(case: Case) -> list[str]:
    listed = case.banger("image", "list", "-o", "json").json
    return [name for image in listed for name in image["names"]]


def _needs_current(case: Case, noun: str, name: str, source: str) -> None:
    """Skip the scenario when the user's library has an older one, or none."""
    done = case.banger(noun, "show", name, "-o", "json", status=None)
    if done.status != 0 or done.json["source"] != source:
        raise Skipped(f"banger {noun} pull {name} makes what it needs, in some minutes")


def _needs_tools(case: Case) -> None:
    """A work seed is unpacked by the kernel's tools, which kernels of before do not have."""
    _needs_current(case, "kernel", KERNEL, KERNELS[KERNEL].source)


@scenario(IMAGES)
def image_of_a_dockerfile(case: Case) -> None:
    """``build -f Dockerfile``: steps run, ``run`` does its CMD, the next build takes no time."""
    top = _place(case, "docker", Dockerfile=DOCKERFILE, tool="#!/bin/sh\necho copied\n")
    build = ("image", "build", "-f", str(top / "Dockerfile"), "--name", "app:1", str(top), "-q")
    built = case.banger(*build).out
    ran = case.banger("vm", "run", "--rm", "--image", "app:1")
    equal("stdout", ran.out, "copied\nhello\n/srv/app\n")
    equal("the same again", case.banger(*build).out, built)
    layers = case.banger("image", "show", "app:1", "-o", "json").json["layers"]
    equal("layers", len(layers), 2)
    (top / "Dockerfile").write_text(DOCKERFILE + "HEALTHCHECK NONE\n")
    refused = case.banger(*build, status=2)
    contains("the refusal", refused.err, "7")
    equal("VMs", case.names(), [])


@scenario(IMAGES)
def image_of_a_vm(case: Case) -> None:
    """``vm commit`` of a stopped VM: a new VM has its changes, and its /root with --work-seed."""
    _needs_tools(case)
    case.run_vm("worked")
    case.inside("worked", "echo kept >/etc/kept; rm /etc/issue; echo mine >/root/mine; sync")
    case.banger("vm", "commit", "worked", "work", status=CONFLICT)
    # A VM whose VMM had to be killed cannot be captured.
    case.banger("vm", "stop", "--timeout", "240", "worked")
    case.banger("vm", "commit", "worked", "work", "--work-seed")
    script = "cat /etc/kept /root/mine; ls /etc/issue 2>&1 | grep -c 'No such'"
    ran = case.banger("vm", "run", "--rm", "--image", "work", "--", "sh", "-c", script)
    equal("stdout", ran.out, "kept\nmine\n1\n")


@scenario(IMAGES)
def image_carried(case: Case) -> None:
    """Export, delete and import give the same image; tags are names; damage leaves nothing."""
    top = _place(case, "carried")
    case.banger("image", "register", "small", "--rootfs", _tar(top, "small"))
    shown = case.banger("image", "show", "small", "-o", "json").json
    case.banger("image", "tag", "small", "small:2")
    archive = top / "small.tar.zst"
    case.banger("image", "export", "small", str(archive))
    case.banger("image", "delete", "small")
    holds("no name of it is left", not {"small", "small:2"} & set(_names(case)))
    case.banger("image", "import", str(archive), "--name", "back")
    back = case.banger("image", "show", "back", "-o", "json").json
    equal("digest", back["digest"], shown["digest"])
    content = archive.read_bytes()
    before = _names(case)
    damaged = case.banger("image", "import", "-", "--name", "cut", stdin=content[:-40], status=None)
    holds("a damaged archive is refused", damaged.status)
    equal("images", _names(case), before)


@scenario(IMAGES)
def image_registered(case: Case) -> None:
    """A squashfs of one's own boots with its work seed, and stays while a VM uses it."""
    _needs_tools(case)
    base = case.banger("image", "show", "debian-bookworm", "-o", "json").json
    top = _place(case, "registered")
    seed = _place(case, "seed", hello="#!/bin/sh\necho seeded\n")
    shutil.copyfile(Path(base["path"]) / base["rootfs"], top / "own.squashfs")
    case.banger("image", "register", "own", "--rootfs", str(top / "own.squashfs"),
                "--work-seed", str(seed))  # fmt: skip
    case.banger("image", "promote", "own")
    (top / "own.squashfs").unlink()
    case.run_vm("user", "--image", "own")
    equal("of the work seed", case.inside("user", "/root/hello"), "seeded")
    contains("the refusal", case.banger("image", "delete", "own", status=CONFLICT).err, "user")
    case.banger("vm", "delete", "user")
    case.banger("image", "delete", "own")
    case.banger("image", "show", "own", status=NOT_FOUND)


@scenario(IMAGES)
def storage_told_and_pruned(case: Case) -> None:
    """``system df`` and ``image prune`` agree on what nothing needs, and then it is gone."""
    top = _place(case, "pruned")
    for word in ("one", "two"):  # the first is left without a name
        case.banger("image", "register", "turned", "--rootfs", _tar(top, word), "--force")
    names = _names(case)
    dry = case.banger("image", "prune", "--dry-run", "-o", "json").json
    holds("an image would go", "image" in {item["kind"] for item in dry["pruned"]})
    equal("reclaimable", _reclaimable(case), dry["real_bytes"])
    case.banger("image", "prune", status=2)  # nobody there to ask
    gone = case.banger("image", "prune", "-f", "-o", "json").json
    equal("what has gone", gone, dry)
    equal("reclaimable afterwards", _reclaimable(case), 0)
    equal("names", _names(case), names)


def _reclaimable(case: Case) -> int:
    told = case.banger("system", "df", "-o", "json").json
    return sum(int(kind["reclaimable"]) for kind in told["used"])


CONTAINER = """
set -e
mkdir -p tree/bin; cp /run/banger/busybox tree/bin/
for name in sh cat ip; do ln -s busybox tree/bin/$name; done
tar -C tree -cf - . | podman import -q - tiny >/dev/null
printf 'FROM tiny\\nRUN echo built >/made\\nCMD ["/bin/cat", "/made"]\\n' >Dockerfile
podman build -q -t made . >/dev/null
podman run --rm made
podman run --rm made ip -o -4 addr show eth0 | grep -c inet
"""


@scenario(IMAGES)
def container_in_a_vm(case: Case) -> None:
    """podman in debian-bookworm-dev builds a container and runs it, with a network of its own."""
    _needs_current(case, "image", DEV_IMAGE, CATALOGUE[DEV_IMAGE].source)
    case.run_vm("containers", "--image", DEV_IMAGE, "--memory", "1G")
    done = case.banger("vm", "exec", "containers", "--", "sh", "-c", CONTAINER, seconds=CONTAINERS)
    equal("stdout", done.out, "built\n1\n")
    equal("stderr", done.err, "")


CONTAINERS = 300.0
"""Seconds, scaled: containers take a while where no KVM is."""
