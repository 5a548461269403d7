"""The program is what its listing says, and refuses what it should. Nothing here can move a clock
of the host: the message asks for no move, or whoever sends it may not."""

import errno
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from services.vm_supervisor.guest import adjust

SEED = bytes(range(adjust.SEED_BYTES))


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "adjust"
    path.write_bytes(adjust.program())
    path.chmod(0o755)
    return path


def status(
    *argv: "str | Path", message: bytes = adjust.message(0, SEED), user: int | None = None
) -> int:
    return subprocess.run(argv, input=message, user=user, timeout=30, check=False).returncode


def test_a_message_has_a_difference_of_time_and_a_seed_with_its_credit() -> None:
    assert adjust.message(-250_000, SEED) == (
        (-1).to_bytes(8, "little", signed=True)
        + (750_000).to_bytes(8, "little")  # a struct timex has no negative microseconds
        + (512).to_bytes(4, "little") + (64).to_bytes(4, "little") + SEED + bytes(32)
    )  # fmt: skip
    with pytest.raises(ValueError, match="64 bytes, not 3"):
        adjust.message(0, b"abc")


def test_a_message_has_the_addresses_of_two_devices() -> None:
    macs = ("02:00:00:00:00:01", "02:00:00:00:00:fe")
    first, second = (b"\1\0\2\0\0\0\0%c" % last + bytes(8) for last in (1, 254))
    assert adjust.message(0, SEED, macs)[88:] == first + second
    assert adjust.message(0, SEED, macs[:1])[88:] == first + bytes(16)
    with pytest.raises(ValueError, match="at most 2 addresses, not 3"):
        adjust.message(0, SEED, (*macs, "02:00:00:00:00:03"))


def test_a_file_that_is_no_random_device_is_refused_by_the_ioctl(program: Path) -> None:
    assert status(program, __file__) == errno.ENOTTY


def test_a_missing_device_a_missing_name_and_a_short_message_have_their_own_errors(
    program: Path,
) -> None:
    assert status(program, "/no/such/device") == errno.ENOENT
    assert status(program) == errno.EFAULT
    assert status(program, "/dev/random", message=adjust.message(0, SEED)[:-1]) == errno.EINVAL
    assert status(program, "/dev/random", message=b"") == errno.EINVAL


def test_only_root_may_credit_a_seed(tmp_path: Path) -> None:
    public = Path("/tmp") / f"banger-{tmp_path.name}-{os.getpid()}"
    public.write_bytes(adjust.program())
    public.chmod(0o755)
    user = 65534 if os.geteuid() == 0 else None
    try:
        assert status(public, "/dev/random", user=user) == errno.EPERM
    finally:
        public.unlink()


def test_a_message_may_come_in_pieces(program: Path) -> None:
    message = adjust.message(0, SEED)
    running = subprocess.Popen([program, __file__], stdin=subprocess.PIPE)
    assert running.stdin
    for piece in (message[:1], message[1:50], message[50:]):
        running.stdin.write(piece)
        running.stdin.flush()
    # It has all it wants: it does not wait for the end.
    assert running.wait(timeout=30) == errno.ENOTTY
    running.stdin.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="a network namespace takes root")
def test_devices_get_their_addresses_and_stay_up_with_their_routes(program: Path) -> None:
    macs = ("02:00:00:00:00:01", "02:00:00:00:00:02")
    script = f"""
        set -e
        ip link add dev name-of-15-char type veth peer name end
        ip link set dev name-of-15-char up
        ip link set dev end up
        ip address add 192.0.2.1/24 dev name-of-15-char
        ip route add 198.51.100.0/24 via 192.0.2.7
        {program} /dev/random name-of-15-char end
        ip -o link show dev name-of-15-char
        ip -o link show dev end
        ip route show 198.51.100.0/24
    """
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", script],
        input=adjust.message(0, SEED, macs), capture_output=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    first, second, route = done.stdout.decode().splitlines()
    assert f"link/ether {macs[0]} " in first
    assert f"link/ether {macs[1]} " in second
    assert route.startswith("198.51.100.0/24 via 192.0.2.7")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may credit a seed")
def test_a_device_that_is_not_there_has_its_own_error(program: Path) -> None:
    message = adjust.message(0, SEED, ("02:00:00:00:00:01",))
    assert status(program, "/dev/random", "no-such-device", message=message) == errno.ENODEV


@pytest.mark.skipif(not shutil.which("as"), reason="no assembler")
def test_the_bytes_are_those_of_the_instructions_beside_them(tmp_path: Path) -> None:
    lines = [line.partition("|")[0].partition("#")[0] for line in adjust.LISTING.splitlines()]
    source, made, text = (tmp_path / name for name in ("a.s", "a.o", "a.bin"))
    source.write_text(".intel_syntax noprefix\n" + "\n".join(lines) + "\n")
    subprocess.run(["as", "--64", "-o", made, source], check=True, timeout=30)
    subprocess.run(["objcopy", "-O", "binary", "-j", ".text", made, text], check=True, timeout=30)
    assert text.read_bytes() == adjust.machine_code(adjust.LISTING)
