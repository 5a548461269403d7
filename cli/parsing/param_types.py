"""Types of options and arguments. Wrong values are refused before a service is asked."""

import os
import re
from typing import TYPE_CHECKING, Any, NoReturn, cast

import click

from shared.contract.sizes import MIB, parse_bytes
from shared.errors import BangerError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from shared.contract.egress import Egress
    from shared.contract.messages.vm import Publication

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
LONGEST_SECONDS = 86400
LONGEST_IDLE = 366 * 86400
USUAL_SIGNALS = ("KILL", "TERM", "INT", "QUIT", "HUP", "USR1", "USR2", "STOP", "CONT")


class Size(click.ParamType[int]):
    """Bytes, written 512M, 2G or 8GiB. The unit is required, since 8 could mean anything."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        if value.strip().isdigit():
            self.fail(f"{value!r} has no unit: write 8G or 512M, for example", param, ctx)
        return _positive(self, value, param, ctx)


class MemoryMib(click.ParamType[int]):
    """MiB, written 512M, 2G or, without a unit, 2048."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        text = f"{value}M" if value.strip().isdigit() else value
        size = _positive(self, text, param, ctx)
        if size % MIB:
            self.fail(f"{value!r} is not a whole number of MiB", param, ctx)
        return size // MIB


class IdleLimit(click.ParamType["float | str"]):
    """Seconds, written 30m or 2h; 0 for never; or "default"."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> "float | str":
        if value == "default" or not isinstance(value, str):
            return cast("float | str", value)
        from shared.contract.durations import parse_duration

        try:
            seconds = 0.0 if value == "never" else parse_duration(value)
        except BangerError as error:
            self.fail(f"{error.message}: {error.hint}, never or default", param, ctx)
        if seconds > LONGEST_IDLE:
            self.fail(f"{value!r} is more than a year: never means no limit", param, ctx)
        return seconds


def _positive(
    kind: click.ParamType[int],
    value: str,
    param: click.Parameter | None,
    ctx: click.Context | None,
) -> int:
    try:
        size = parse_bytes(value)
    except BangerError as error:
        _fail(kind, error, param, ctx)
    if size <= 0:
        kind.fail(f"{value!r} must be greater than zero", param, ctx)
    return size


class VmName(click.ParamType[str]):
    """1-63 of a-z 0-9 -, no dash at either end; never rewritten."""

    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        if not NAME.fullmatch(text):
            self.fail(
                f"{text!r} is not a valid name: use 1 to 63 characters of a-z, 0-9 and -, "
                "with no dash at either end",
                param,
                ctx,
            )
        return text


class Seconds(click.FloatRange):
    """A duration: finite, and at most a day by default."""

    name = "seconds"

    def __init__(self, *, most: int = LONGEST_SECONDS, min_open: bool = False) -> None:
        super().__init__(min=0, max=most, min_open=min_open)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        seconds: float = super().convert(value, param, ctx)
        if seconds != seconds:  # "nan" is below no limit and above none
            self.fail(f"{value!r} is not a number of seconds", param, ctx)
        return seconds


class Words(click.ParamType[str]):
    """Text that is not empty: a shell variable that is not set must not mean the default."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not value:
            self.fail("must not be empty", param, ctx)
        return str(value)


class EnvironmentVariable(click.ParamType[tuple[str, "str | None"]]):
    """NAME=VALUE for the guest's environment, or NAME alone."""

    name = "name[=value]"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str | None]:
        if isinstance(value, tuple):
            return value
        name, separator, content = str(value).partition("=")
        if not VARIABLE.fullmatch(name):
            self.fail(f"{value!r} is not NAME=VALUE or NAME", param, ctx)
        return name, content if separator else None


class BuildArgument(click.ParamType[tuple[str, str]]):
    """NAME=VALUE, or NAME alone for the value that the variable has here."""

    name = "name[=value]"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        name, separator, content = str(value).partition("=")
        if not VARIABLE.fullmatch(name):
            self.fail(f"{value!r} is not NAME=VALUE or NAME", param, ctx)
        if not separator and name not in os.environ:
            self.fail(f"the variable {name} is not set here", param, ctx)
        return name, content if separator else os.environ[name]


class SignalName(click.ParamType[str]):
    """A signal of signal(7), written TERM, SIGTERM or 15; the value is "TERM"."""

    name = "signal"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        import signal

        text = str(value).upper()
        name = text if text.startswith("SIG") else f"SIG{text}"
        try:
            found = signal.Signals(int(text)) if text.isdecimal() else signal.Signals[name]
        except (KeyError, ValueError):
            usual = ", ".join(USUAL_SIGNALS)
            self.fail(f"unknown signal {value!r}: use {usual}, for example", param, ctx)
        return found.name.removeprefix("SIG")

    def shell_complete(
        self, _ctx: click.Context, _param: click.Parameter, incomplete: str
    ) -> list["CompletionItem"]:
        from click.shell_completion import CompletionItem

        begun = [name for name in USUAL_SIGNALS if name.startswith(incomplete.upper())]
        return [CompletionItem(name) for name in begun]


class EgressPolicy(click.ParamType["Egress"]):
    """none, nat or allow=ENTRY,ENTRY, as ``shared.contract.egress`` reads it."""

    name = "policy"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> "Egress":
        from shared.contract.egress import Egress, parse_egress

        if isinstance(value, Egress):
            return value
        try:
            return parse_egress(str(value))
        except BangerError as error:
            return _fail(self, error, param, ctx)

    def shell_complete(
        self, _ctx: click.Context, _param: click.Parameter, incomplete: str
    ) -> list["CompletionItem"]:
        from click.shell_completion import CompletionItem

        policies = ("none", "nat", "allow=")
        return [CompletionItem(each) for each in policies if each.startswith(incomplete)]


class PublishedPort(click.ParamType["Publication"]):
    """[HOSTADDR:]HOST:GUEST[/udp]."""

    name = "[addr:]host:guest[/udp]"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> "Publication":
        from shared.contract.publication import parse_publication

        if not isinstance(value, str):
            publication: Publication = value
            return publication
        try:
            return parse_publication(value)
        except BangerError as error:
            return _fail(self, error, param, ctx)


def _fail(
    kind: click.ParamType[Any],
    error: BangerError,
    param: click.Parameter | None,
    ctx: click.Context | None,
) -> NoReturn:
    kind.fail(error.to_line(), param, ctx)
