"""The ``crproxy`` command: what it can do is in modules of their own."""

from __future__ import annotations

import click

from .. import __version__
from .alias import alias
from .authority import ca
from .cache import cache
from .completion import completion
from .config import config
from .doctor.command import doctor
from .fleet import fleet
from .rewrite import rewrite
from .rules import rules
from .serve import serve
from .setup import setup
from .tag import tag
from .user import user
from .warm import warm

__all__ = ["main"]


@click.group(
    short_help="Run a mirror proxy for every registry, and look after it.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, message="crproxy %(version)s")
def main() -> None:
    """Run a mirror proxy for every container registry, and look after one that runs.

    What changes or shows a running daemon asks it through its admin socket. Exits with 0 where all went well, 1 where
    something did not, 2 for a command line that is wrong, and 3 where no daemon answers.

    \b
    Examples:
      crproxy serve --domain cr.example.com --acme-email ops@example.com
      crproxy doctor
      crproxy setup docker --host cr.example.com
      crproxy warm nginx:1.27
    """


main.add_command(doctor)
main.add_command(setup)
main.add_command(serve)
for command in (alias, ca, cache, completion, config, fleet, rewrite, rules, tag, user, warm):
    main.add_command(command)
