"""Which program in the guest wants it to stay awake.

logind(8) keeps a file for each lock of systemd-inhibit(1), with lines such as ``WHAT=sleep``. For
guests without it there is ``/run/banger/keep-awake``: the guest stays awake while the file is
locked by flock(1), or is not empty. The guest is not trusted: what it says of itself decides about
itself alone, is cut in the guest and made printable here.
"""

from collections.abc import Iterator

from services.vm_supervisor.guest.agent import SHELL, Agent
from shared.plain_text import printable

LOCKS, KEEP_AWAKE = "/run/systemd/inhibit", "/run/banger/keep-awake"
LONGEST_INHIBITOR = 200
"""Characters of what is said of a program."""
SCRIPT = """
number=0
for file in "$1"/*; do
    [ -f "$file" ] || continue
    number=$((number + 1))
    [ "$number" -le 64 ] || break
    echo LOCK
    head -c 1024 "$file"
    echo
done
[ -f "$2" ] || exit 0
if [ -s "$2" ]; then
    echo KEEP
    head -c 256 "$2" | head -n 1
else
    inode=$("$3" stat -c %i "$2")
    grep -q "FLOCK .*:$inode " /proc/locks && echo KEEP
fi
exit 0
"""
"""Run by a shell with the directory of locks, the file and busybox as arguments."""
_BUSYBOX = "/run/initramfs/bin/busybox"


async def inhibitor(agent: Agent, deadline: float) -> str:
    """The first program that wants the guest awake, with how it says so; "" for none. Raises as
    ``Agent.execute``."""
    argv = [SHELL, "-c", SCRIPT, "sh", LOCKS, KEEP_AWAKE, _BUSYBOX]
    said = await agent.execute(argv, deadline)
    return parse_inhibitors(said.stdout.decode(errors="replace"))


def parse_inhibitors(output: str) -> str:
    """As ``inhibitor``, from what the script prints. Pure."""
    return next(_who(output), "")


def _who(output: str) -> Iterator[str]:
    locks, _, kept = f"\n{output}".partition("\nKEEP\n")
    for lock in locks.split("\nLOCK\n")[1:]:
        fields = dict(line.split("=", 1) for line in lock.splitlines() if "=" in line)
        holds = {"sleep", "idle"} & set(fields.get("WHAT", "").split(":"))
        if holds and fields.get("MODE") == "block":
            yield _shown(fields.get("WHO", ""), "systemd-inhibit")
    if kept or f"\n{output}".endswith("\nKEEP\n"):
        yield _shown(kept.strip(), KEEP_AWAKE)


def _shown(who: str, how: str) -> str:
    return f"{printable(who, LONGEST_INHIBITOR) or 'a program'} ({how})"
