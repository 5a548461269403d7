"""``banger`` and ``python -m cli``: run the command, and print an error as two lines."""

import gc

# By default all objects are looked through after each 700 new ones, which finds no garbage in what
# imports make and takes 2 ms of every command. In a command that goes on it is only done later.
gc.set_threshold(50_000)

import errno
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

import click

from cli.app import banger
from cli.terminal.interrupted import Interrupted
from cli.terminal.output import Settings, report
from cli.terminal.standard_streams import open_missing
from shared.errors import BangerError, Code

INTERRUPTED = 130
"""128 + SIGINT, as in shells."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of writing to a full disk, which reading never gives."""


def main() -> NoReturn:
    open_missing()
    status = run(sys.argv[1:])
    with suppress(OSError):
        sys.stderr.flush()
    # Nothing is left to do but to free memory, which takes the interpreter 10 ms of the 80 that
    # a person waits for a listing.
    os._exit(status)


def run(args: Sequence[str]) -> int:
    """Run one command line and return the exit status; nothing is raised."""
    settings = Settings.guess(args)
    try:
        status = banger.main(list(args), "banger", standalone_mode=False, obj=settings)
        sys.stdout.flush()
    except BangerError as error:
        return report(error, settings)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return error.exit_code
    except click.ClickException as error:
        return report(_usage(error), settings)
    except Interrupted as error:
        return error.exit_status
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        return _reader_gone()
    except Exception as error:
        return report(_unexpected(error), settings)
    return status if isinstance(status, int) else 0


def _usage(error: click.ClickException) -> BangerError:
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "banger"
    message = " ".join(error.format_message().split())
    return BangerError(Code.USAGE, message, hint=f"see: {command} --help")


def _reader_gone() -> int:
    """``banger vm list | head`` closed the pipe; the interpreter must not flush into it again."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1


def _unexpected(error: Exception) -> BangerError:
    if isinstance(error, OSError) and error.errno in FULL and not error.filename:
        return BangerError(Code.NO_SPACE, f"cannot write the output: {error.strerror}")
    if isinstance(error, OSError) and error.errno == errno.EBADF and not error.filename:
        return BangerError(Code.DENIED, "cannot write the output: stdout is closed")
    from cli.terminal.crash_report import record

    path = record(error)
    where = "this is a bug, please report it" + (f"; its traceback is in {path}" if path else "")
    return BangerError(Code.INTERNAL, f"{type(error).__name__}: {error}", hint=where)


if __name__ == "__main__":
    main()
