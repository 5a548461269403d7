"""``banger daemon``: the services behind the commands."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

import click

from cli.terminal.output import Columns, ListEntry, format_options, note, print_json, show_many
from shared.bus.record import Record, fields_of
from shared.contract.verbs.daemon import SERVICES, START, STATUS

if TYPE_CHECKING:
    from shared.contract.messages.operation import ServiceStatus

COLUMNS: "Columns[ServiceStatus]" = {
    "NAME": lambda service: service.name,
    "STATE": lambda service: service.state,
    "PID": lambda service: str(service.pid or "-"),
    "RESTARTS": lambda service: str(service.restarts),
    "REASON": lambda service: service.reason or "-",
}

LOGGED = ("broker", "launcher", "store", "api", "images", "workspaces", "nat", "dns", "cli")

NOT_RUNNING = 6
"""Exit status of ``status`` when services are down: that of ``unavailable``."""


@click.group()
def daemon() -> None:
    """Manage the services in the background. Commands start them when they need them.

    \b
    Examples:
      banger daemon status
      banger daemon restart
      banger daemon logs api -f
    """


@daemon.command()
def start() -> None:
    """Start the services. A service that has failed too often is started again, too.

    \b
    Example:
      banger daemon start
    """
    from cli.client.connection import connect

    with connect() as client:
        client.ask(START())
    note("The services are running.")


@daemon.command()
def stop() -> None:
    """Stop the services. VMs keep running.

    \b
    Example:
      banger daemon stop
    """
    from cli.client.launcher_process import stop_launcher
    from shared.paths import Paths

    stopped = stop_launcher(Paths.from_environment())
    note("The services are stopped." if stopped else "The services were not running.")


@daemon.command()
def restart() -> None:
    """Restart the services with the installed version, and with config.toml as it is now. VMs keep
    running.

    \b
    Example:
      banger daemon restart
    """
    from cli.client.connection import connect
    from cli.client.launcher_process import stop_launcher
    from shared.config import load_config
    from shared.paths import Paths

    paths = Paths.from_environment()
    load_config(paths.config_file)  # what is wrong with it must not end services that run
    stop_launcher(paths)
    with connect():
        note("The services are running.")


@daemon.command()
@format_options
def status(output: str, quiet: bool) -> int:
    """Show the state of the services.

    Exits with 0 if all services are running, else with 6. Starts no service.

    \b
    Examples:
      banger daemon status
      banger daemon status -o json
    """
    services = _services()
    if output == "json":
        running = bool(services)
        print_json({"running": running, "services": services})
    elif services:
        listing = [ListEntry(each.name, each.name, fields_of(each), each) for each in services]
        show_many(listing, COLUMNS, output, quiet=quiet)
    else:
        note("The services are not running. The next command that needs them starts them.")
    well = bool(services) and all(service.state == "running" for service in services)
    return 0 if well else NOT_RUNNING


def _services() -> "list[ServiceStatus]":
    """The launcher and its services; without a launcher, what the broker knows. None when they are
    down."""
    from cli.client.connection import connect_if_running, running
    from cli.client.launcher_process import launcher_pid
    from shared.paths import Paths

    paths = Paths.from_environment()
    if not running(paths.run, paths.state):
        return []
    with connect_if_running(paths) as client:
        if launcher_pid(paths) is None:
            broker = _running("broker", int(client.ping("broker")["pid"]))
            registered = client.ask(SERVICES()).services
            return [broker, *(_running(each.name, each.pid) for each in registered)]
        answer = client.ask(STATUS())
    return [_running("launcher", answer.pid), *answer.services]


def _running(name: str, pid: int) -> "ServiceStatus":
    """A service of which only this is known."""
    status = Record(name=name, state="running", pid=pid, restarts=0, reason="", log="")
    return cast("ServiceStatus", status)


@daemon.command()
@click.argument("service", required=False, type=click.Choice(LOGGED))
@click.option("-f", "--follow", is_flag=True, help="Print new lines as they appear, until Ctrl-C.")
@click.option(
    "--request",
    metavar="ID",
    help="Print the lines of all services about a request. A prefix of its id is enough.",
)
@click.option("--json", "raw", is_flag=True, help="Print the lines unchanged, as JSON.")
@click.pass_context
def logs(
    ctx: click.Context, service: str | None, follow: bool, request: str | None, raw: bool
) -> None:
    """Print the log of a service, or the lines of all services about a request.

    \b
    Examples:
      banger daemon logs api -f
      banger daemon logs --request 3f2a
    """
    from cli.terminal.log_lines import log_files, of_request, show
    from cli.terminal.tail import lines
    from shared.errors import BangerError, Code
    from shared.paths import Paths
    from shared.plain_text import printable

    paths = Paths.from_environment()
    if bool(service) == bool(request) or (request and follow):
        raise click.UsageError(
            "give either a service or --request, which cannot be combined with -f", ctx
        )
    found: Iterable[bytes] = []
    if request:
        found = of_request(log_files(paths), request)
        if not found:
            raise BangerError(Code.NOT_FOUND, f"no log mentions the request {request!r}")
    elif service:
        found = lines(paths.log_file(service), follow=follow)
    for line in found:
        click.echo(printable(line.decode(errors="replace")) if raw else show(line))
