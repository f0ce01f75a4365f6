"""``crproxy completion``, and how words are completed in each shell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
    get_completion_class,
)

__all__ = ["completion"]

# What click writes for fish would end each description at its first comma.
_COMMAS = ('string split "," $completion', 'string split --max 1 "," $completion')
_SHELLS = ("bash", "zsh", "fish")

if TYPE_CHECKING:
    _Base = ShellComplete
else:
    _Base = object


class _Joined(_Base):
    """Completes a value behind ``--option=``, too: zsh and fish see it as one word, which click would put away."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        """Return what the word may become (ShellComplete)."""
        name, joined, begun = incomplete.partition("=")
        if not joined or not name.startswith("--"):
            return super().get_completions(args, incomplete)
        items = super().get_completions([*args, name], begun)
        for item in items:
            if item.type == "plain":
                item.value = f"{name}={item.value}"
        return items


class _Bash(_Joined, BashComplete):
    """In bash, to which ``--option=value`` is three words."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        """Return what the word may become (ShellComplete)."""
        return super().get_completions([word for word in args if word != "="], incomplete)


class _Zsh(_Joined, ZshComplete):
    """In zsh."""


class _Fish(_Joined, FishComplete):
    """In fish."""


for _made in (_Bash, _Zsh, _Fish):
    add_completion_class(_made)


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
