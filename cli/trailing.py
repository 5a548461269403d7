"""Commands whose own command comes after ``--``: everything there belongs to the guest."""

import click

_KEY = "cli.trailing"


class TrailingCommand(click.Command):
    """Takes what follows the first ``--`` out before click parses; ``trailing`` gives it back."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own, rest = args, []
        if "--" in args:
            at = args.index("--")
            own, rest = args[:at], args[at + 1 :]
        ctx.meta[_KEY] = tuple(rest)
        return super().parse_args(ctx, own)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "[-- CMD...]"]


def trailing(ctx: click.Context) -> tuple[str, ...]:
    """The guest's command, empty when there was none."""
    command: tuple[str, ...] = ctx.meta[_KEY]
    return command
