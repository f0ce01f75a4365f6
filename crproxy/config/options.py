"""The options of ``twistd crproxy``: one table of them, and what was said by them.

Each stands for a key of the file, and can be given by an environment variable (``variables.py``) as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["OPTIONS", "Option", "Options"]


@dataclass(frozen=True, slots=True)
class Option:
    """One option.

    Arguments:
        name: as it is written behind the dashes.
        key: the key of the file that it is said in place of, with its table in front; empty where there is none.
        meaning: what ``--help`` says of it.
        default: the same.
        short: its short form; empty where it has none.
        repeated: it may be given more than once.
        empty: an empty value says something, such as "nowhere"; that of an environment variable does so, too.
        words: values that a shell may offer; others may be right as well.
        is_file, is_directory: it is one, which a shell may offer.
    """

    name: str
    key: str
    meaning: str
    default: str
    short: str = ""
    repeated: bool = False
    empty: bool = False
    words: tuple[str, ...] = ()
    is_file: bool = False
    is_directory: bool = False

    @property
    def field(self) -> str:
        """What it is called in `Options`."""
        return f"{self.name}es" if self.name == "alias" else self.name.replace("-", "_")

    @property
    def help(self) -> str:
        """What ``--help`` says."""
        return f"{self.meaning} [default: {self.default}]"


OPTIONS = (
    Option(
        "config",
        "",
        "TOML file; options given here win over it",
        "/etc/crproxy/crproxy.toml if it is there",
        short="c",
        is_file=True,
    ),
    Option(
        "domain",
        "domain",
        "base domain, such as cr.example.com",
        "none, any Host is answered",
        short="d",
        empty=True,
    ),
    Option(
        "alias",
        "aliases",
        "LABEL=REGISTRY: the subdomain LABEL stands for that registry; LABEL= takes one away. Repeatable.",
        "docker, gcr, ghcr, k8s, quay and nine more",
        repeated=True,
    ),
    Option(
        "default-registry",
        "default_registry",
        'registry of names that have none; "" turns it off',
        "docker.io",
        empty=True,
    ),
    Option(
        "data-dir",
        "data_dir",
        "directory of the cache",
        "$STATE_DIRECTORY, else the user's data directory",
        is_directory=True,
    ),
    Option("cache-size", "cache.size", "upper bound of the cache on disk, such as 50G", "20G"),
    Option(
        "workers",
        "workers",
        "processes that serve clients, or auto: one for each core",
        "1",
        short="w",
        words=("auto",),
    ),
    Option(
        "http",
        "listen.http",
        "Listen here for plain HTTP: a Twisted endpoint string. Repeatable.",
        "tcp:5000:interface=127.0.0.1, with a domain tcp:80",
        repeated=True,
        empty=True,
    ),
    Option(
        "https",
        "listen.https",
        'Listen here for TLS; "" listens nowhere. Repeatable.',
        "tcp:443 with a domain",
        repeated=True,
        empty=True,
    ),
    Option(
        "proxy",
        "proxy.listen",
        'Be an HTTP proxy for clients here, such as tcp:3128; "" is nowhere. Repeatable.',
        "nowhere",
        repeated=True,
        empty=True,
    ),
    Option(
        "certs",
        "certs",
        "directory of NAME.pem files, key and chain, used in place of ACME for the names they have",
        "none",
        empty=True,
        is_directory=True,
    ),
    Option(
        "acme-directory",
        "acme.directory",
        "the CA: letsencrypt, letsencrypt-staging, a URL, or none",
        "letsencrypt",
        words=("letsencrypt", "letsencrypt-staging", "none"),
    ),
    Option("acme-email", "acme.email", "address that the CA writes to about the account", "none", empty=True),
    Option(
        "fleet-advertise",
        "fleet.advertise",
        "where other nodes reach this one, such as https://10.0.0.5:5443",
        "[fleet] advertise",
    ),
    Option(
        "log-level",
        "log.level",
        "what the log has: debug, info, warning or error, and what is worse",
        "info",
        words=("debug", "info", "warning", "error"),
    ),
    Option("log-format", "log.format", "of the log's lines: text, or json", "text", words=("text", "json")),
)


@dataclass(frozen=True, slots=True)
class Options:
    """What was said beside the file; None or empty where nothing was. It wins over the file.

    Arguments:
        sources: how an option was said, where not by itself: an environment variable, by the option's name.
    """

    domain: str | None = None
    aliases: tuple[str, ...] = ()
    default_registry: str | None = None
    http: tuple[str, ...] = ()
    https: tuple[str, ...] = ()
    certs: str | None = None
    acme_directory: str | None = None
    acme_email: str | None = None
    data_dir: str | None = None
    cache_size: str | None = None
    workers: str | None = None
    fleet_advertise: str | None = None
    proxy: tuple[str, ...] = ()
    log_level: str | None = None
    log_format: str | None = None
    sources: Mapping[str, str] = field(default_factory=dict, compare=False)

    def called(self, name: str) -> str:
        """Return how the option ``name`` was said, for messages about its value."""
        return self.sources.get(name, f"--{name}")

    def said(self) -> Iterator[tuple[Option, str | tuple[str, ...]]]:
        """Yield the options that say something, and what."""
        for option in OPTIONS:
            value = getattr(self, option.field, None)
            if value is not None and value != ():
                yield option, value

    @classmethod
    def of(cls, words: Iterable[str]) -> Options:
        """Return what `words` has made words of; those of other versions' options say nothing."""
        given = [word.removeprefix("--").partition("=")[::2] for word in words]
        values: dict[str, Any] = {}
        for option in OPTIONS:
            found = tuple(value for name, value in given if name == option.name)
            if found and option.key:
                values[option.field] = found if option.repeated else found[-1]
        return cls(**values)

    def words(self) -> tuple[str, ...]:
        """Return the words of a command line that says the same, such as ``--domain=cr.example.com``."""
        return tuple(
            f"--{option.name}={each}"
            for option, value in self.said()
            for each in ((value,) if isinstance(value, str) else value)
        )
