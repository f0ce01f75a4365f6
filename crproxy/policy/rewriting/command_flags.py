"""Which words of a command are options, and which of these take the next word for their value."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from .shell_words import Word

__all__ = ["SWITCHES", "positional"]

# Letters of options that take no value: of docker, podman, nerdctl and ctr alike. "-a" does in "docker run".
_LETTERS = frozenset("dihktPq")

SWITCHES = frozenset(
    {
        "--all",
        "--all-platforms",
        "--all-tags",
        "--debug",
        "--detach",
        "--disable-content-trust",
        "--env-host",
        "--help",
        "--http-dump",
        "--init",
        "--insecure",
        "--insecure-registry",
        "--insecure-policy",
        "--interactive",
        "--local",
        "--multi-arch-all",
        "--net-host",
        "--no-healthcheck",
        "--no-hosts",
        "--no-trunc",
        "--oom-kill-disable",
        "--plain-http",
        "--preserve-digests",
        "--privileged",
        "--publish-all",
        "--pull-always",
        "--quiet",
        "--raw",
        "--read-only",
        "--remote",
        "--remove-signatures",
        "--replace",
        "--rm",
        "--rmi",
        "--sig-proxy",
        "--skip-verify",
        "--tls",
        "--tls-verify",
        "--tlsverify",
        "--tty",
        "--unpack",
        "--use-api-socket",
        "--verbose",
    }
)
"""Options of these tools that take no value in the next word."""


def positional(text: str, words: list[Word], switches: Collection[str]) -> Iterator[Word]:
    """Give the words that are neither options nor their values.

    Arguments:
        switches: options that have no value.
    """
    rest = iter(words)
    ended = False
    for word in rest:
        said = text[word.start : word.end]
        if ended or not said.startswith("-") or said == "-":
            yield word
        elif said == "--":
            ended = True
        elif _takes_next(said, switches):
            next(rest, None)


def _takes_next(said: str, switches: Collection[str]) -> bool:
    if said.startswith("--"):
        return "=" not in said and said not in switches
    # Letters may stand together; the first that takes a value has what follows it, or else the next word.
    for number, letter in enumerate(said[1:], 2):
        if letter not in _LETTERS:
            return number == len(said)
    return False
