"""``crproxy completion``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

__all__ = ["completion"]

# What click writes for fish would end each description at its first comma.
_COMMAS = ('string split "," $completion', 'string split --max 1 "," $completion')
_SHELLS = ("bash", "zsh", "fish")


@click.command(short_help="Print what lets a shell complete this command.")
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print what lets SHELL complete this command.

    \b
    Examples:
      crproxy completion bash > /etc/bash_completion.d/crproxy
      crproxy completion zsh > "${fpath[1]}/_crproxy"
      crproxy completion fish > ~/.config/fish/completions/crproxy.fish
    """
    made = get_completion_class(shell)
    if made is None:
        raise click.ClickException(f"nothing is known of {shell}")
    root = ctx.find_root()
    name = root.info_name or "crproxy"
    variable = f"_{name.replace('-', '_').upper()}_COMPLETE"
    click.echo(made(root.command, {}, name, variable).source().replace(*_COMMAS))
