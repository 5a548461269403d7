"""What is done in L1: shell lines that prepare it, and the commands that play the suite."""

from scripts.smoke_kvm.parcel import CHECKOUT, DATA, VENV

USER = "smoke"
RESULTS = "/var/tmp/smoke"
USERS_SCENARIOS = "bare-run,run-gives-the-exit-status,user"
"""What an ordinary user's run adds is rights and user mode; every VM costs a minute in L1."""

USER_CONFIG = "/var/tmp/smoke-user.toml"
"""An ordinary user has user-mode networking, so QEMU, whose KVM probe is too hasty for L1."""

_JOURNAL = " ".join(
    f"systemd-journald{unit}"
    for unit in (".socket", "-dev-log.socket", "-audit.socket", ".service")
)
"""Its agent logs every file that L1's supervisor looks at: a sixth of an emulated processor."""

PREPARE = f"""
modprobe kvm-amd
modprobe tun
systemctl is-system-running --wait || true
systemctl --quiet stop {_JOURNAL} || true
id {USER} 2>/dev/null || useradd --create-home --groups kvm --shell /bin/bash {USER}
chgrp kvm /dev/kvm
chmod 0660 /dev/kvm
chmod 0666 /dev/net/tun
mkdir -p {RESULTS}/root {RESULTS}/{USER}
echo 'accel = "kvm"' >{USER_CONFIG}
chown {USER}: {RESULTS}/{USER}
/{VENV}/bin/python3 -m compileall -q -j 2 /{CHECKOUT} || true
"""
"""udev sets the modes when it runs already; L1 may still be at its start. Bytecode is made once, by
root: an ordinary user could not keep it, and would compile at every start of every process."""

CHECK = """
left=0
for name in firecracker jailer qemu-system-x86; do
    if pgrep -l "$name"; then left=1; fi
done
ip -o link | grep -v ': lo:' | grep -v ': eth' && left=1
nft list ruleset | grep . && left=1
ls -d /srv/jailer /sys/fs/cgroup/banger* 2>/dev/null && left=1
exit $left
"""
"""Fails, and shows it, when anything of a VM is left in L1 after the suite."""


def suite(user: str, words: list[str], scale: float) -> list[str]:
    """The command that plays the smoke suite as ``user``; ``words`` are its options."""
    environment = [
        f"XDG_DATA_HOME=/{DATA.parent}",
        f"BANGER_SMOKE_SCALE={scale}",
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        f"BANGER_START_SECONDS={30 * scale:.0f}",
        "PYTHONUNBUFFERED=1",
    ]
    if user != "root":
        environment.append(f"BANGER_SMOKE_CONFIG={USER_CONFIG}")
    played = [f"/{VENV}/bin/python3", "-m", "scripts.smoke", "--coverage"]
    return [
        *("env", "-C", f"/{CHECKOUT}"),
        *(("runuser", "-u", user, "--", "env") if user != "root" else ()),
        *environment,
        *(f"HOME={home(user)}", f"USER={user}"),
        *played,
        *("--results", f"{RESULTS}/{user}"),
        *words,
    ]


def module(name: str) -> list[str]:
    """The command that runs a module of the checkout, as root."""
    data = f"XDG_DATA_HOME=/{DATA.parent}"
    return ["env", "-C", f"/{CHECKOUT}", data, f"/{VENV}/bin/python3", "-m", name]


def home(user: str) -> str:
    return "/root" if user == "root" else f"/home/{user}"
