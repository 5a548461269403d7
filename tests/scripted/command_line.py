"""QEMU's command line as the driver writes it, read back. What is missing or unknown is refused:
the stand-in is as strict as QEMU, so that a wrong line does not pass."""

from pathlib import Path

_FLAGS = ("-nodefaults", "-no-user-config", "-no-reboot", "-S")
_NEEDED = ("-nodefaults", "-no-user-config", "-no-reboot", "-qmp", "-chardev", "-netdev", "-drive")
_BOOT = ("-kernel", "-initrd", "-append")
_LOAD = ("-incoming", "-S")


def _options(argv: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    words = iter(argv)
    for word in words:
        found.setdefault(word, []).append("" if word in _FLAGS else next(words))
    needed = (*_NEEDED, *(_LOAD if "-incoming" in found else _BOOT))
    missing = [option for option in needed if option not in found]
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
        self.incoming = "-incoming" in options
        self.boot = [Path(options[name][0]) for name in _BOOT[:2] if name in options]
        self.drives = [Path(fields(drive)["file"]) for drive in options["-drive"]]
        objects = [fields(each) for each in options.get("-object", [])]
        backends = [each for each in objects if each[""] == "memory-backend-file"]
        self.memory = backends[0] if backends else {}
        named = fields(options["-M"][0]).get("memory-backend", "")
        if self.memory.get("id", "") != named:
            raise SystemExit(f"scripted qemu: -M wants the memory {named or 'of its own'}")

    @property
    def hostname(self) -> str:
        """As the guest reads it: from /banger/identity of the initrd; "" for one that is loaded."""
        if self.incoming:
            return ""
        _, found, tail = self.boot[-1].read_bytes().rpartition(b"hostname=")
        return tail.partition(b"\n")[0].decode().strip("'") if found else ""
