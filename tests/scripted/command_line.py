"""QEMU's command line as the driver writes it, read back. What is missing or unknown is refused:
the stand-in is as strict as QEMU, so that a wrong line does not pass."""

from pathlib import Path

_FLAGS = ("-nodefaults", "-no-user-config", "-no-reboot")
_NEEDED = ("-qmp", "-chardev", "-netdev", "-kernel", "-initrd", "-append", "-drive")


def _options(argv: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    words = iter(argv)
    for word in words:
        found.setdefault(word, []).append("" if word in _FLAGS else next(words))
    missing = [option for option in (*_FLAGS, *_NEEDED) if option not in found]
    if missing:
        raise SystemExit(f"scripted qemu: the command line lacks {' '.join(missing)}")
    return found


def fields(value: str) -> dict[str, str]:
    """``socket,id=a,path=/x,,y`` is {"": "socket", "id": "a", "path": "/x,y"}; the last of each
    name counts, but for ``hostfwd``, whose values are joined by spaces."""
    result: dict[str, str] = {}
    for part in value.replace(",,", "\0").split(","):
        name, equals, text = part.replace("\0", ",").partition("=")
        key, text = (name, text) if equals else ("", name)
        result[key] = f"{result[key]} {text}" if key == "hostfwd" and key in result else text
    return result


class CommandLine:
    """``qmp``, ``agent`` and ``console`` are sockets; ``hostfwd`` are rules tcp:ADDR:PORT-:PORT."""

    def __init__(self, argv: list[str]) -> None:
        options = _options(argv)
        channels = {each["id"]: each for each in map(fields, options["-chardev"])}
        self.qmp = Path(fields(options["-qmp"][0])[""].removeprefix("unix:"))
        self.agent = Path(channels["agent"]["path"])
        self.console = Path(channels["console"]["path"])
        self.console_log = Path(channels["console"]["logfile"])
        networks = [fields(each) for each in options["-netdev"]]
        self.networks = {each["id"]: each for each in networks}
        self.hostfwd = networks[0].get("hostfwd", "").split()
        self.kernel = Path(options["-kernel"][0])
        self.initrd = Path(options["-initrd"][0])
        self.drives = [Path(fields(drive)["file"]) for drive in options["-drive"]]

    @property
    def hostname(self) -> str:
        """As the guest reads it: from /banger/identity of the initrd."""
        _, found, tail = self.initrd.read_bytes().rpartition(b"hostname=")
        return tail.partition(b"\n")[0].decode().strip("'") if found else ""
