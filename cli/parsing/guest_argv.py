"""Commands that take the guest's command after ``--``."""

import click

_KEY = "cli.parsing.guest_argv"
_WHERE = "Put the guest command after --"


class TrailingCommand(click.Command):
    """Removes all words after the first ``--`` before click parses; ``trailing`` returns them."""

    allow_extra_args = True  # they are refused below, with a better message

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own, rest = args, []
        if "--" in args:
            at = args.index("--")
            own, rest = args[:at], args[at + 1 :]
        ctx.meta[_KEY] = tuple(rest)
        try:
            super().parse_args(ctx, own)
        except click.NoSuchOption as error:
            if error.possibilities or "--" in args:
                raise
            raise click.UsageError(f"{error.format_message()} {_WHERE}", ctx) from None
        if ctx.args and not ctx.resilient_parsing:
            where = "" if "--" in args else f". {_WHERE}"
            raise click.UsageError(f"Unexpected argument {' '.join(ctx.args)!r}{where}", ctx)
        return ctx.args

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "[-- CMD...]"]


def trailing(ctx: click.Context) -> tuple[str, ...]:
    """The guest's command, empty without one."""
    command: tuple[str, ...] = ctx.meta[_KEY]
    return command
