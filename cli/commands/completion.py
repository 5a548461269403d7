"""``banger completion``."""

import click


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    Commands and options are always completed, names of VMs, images and kernels while the services
    are running. Completion does not start them.

    \b
    Examples:
      banger completion bash > ~/.local/share/bash-completion/completions/banger
      banger completion zsh > "${fpath[1]}/_banger"
      banger completion fish > ~/.config/fish/completions/banger.fish
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"there is no completion for {shell}", ctx)
    click.echo(kind(ctx.find_root().command, {}, "banger", "_BANGER_COMPLETE").source())
