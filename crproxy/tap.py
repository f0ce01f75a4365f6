"""What twistd calls: the command line, and the one place that knows the global reactor."""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from pathlib import Path
from typing import Any

from twisted.application.service import IService
from twisted.internet.endpoints import serverFromString
from twisted.python import usage

from . import __version__
from .admin.configuration_file import SYSTEM_CONFIG, config_file, parse_config, read_config
from .config import Config, ConfigError, OptionError
from .config import Options as ConfigOptions

__all__ = ["Options", "makeService"]


class Options(usage.Options):
    """Options of ``twistd crproxy``."""

    synopsis = "[options]"
    longdesc = (
        "A mirror proxy for every container registry. Without any option it answers plain HTTP on "
        "127.0.0.1:5000, and any public image is pulled by putting that in front of its name: "
        "docker pull localhost:5000/quay.io/ORG/NAME:TAG"
    )

    optParameters = (
        (
            "config",
            "c",
            None,
            f"TOML file; options given here win over it [default: {SYSTEM_CONFIG} if it is there]",
        ),
        ("domain", "d", None, "base domain, such as cr.example.com [default: none, any Host is answered]"),
        (
            "certs",
            None,
            None,
            "directory of NAME.pem files, key and chain, used in place of ACME for the names they have [default: none]",
        ),
        (
            "acme-directory",
            None,
            None,
            "the CA: letsencrypt, letsencrypt-staging, a URL, or none [default: letsencrypt]",
        ),
        ("acme-email", None, None, "address that the CA writes to about the account [default: none]"),
        ("data-dir", None, None, "directory of the cache [default: $STATE_DIRECTORY, else the user's data directory]"),
        ("cache-size", None, None, "upper bound of the cache on disk, such as 50G [default: 20G]"),
        (
            "workers",
            "w",
            None,
            "processes that serve clients, or auto: one for each core [default: 1]",
        ),
        (
            "fleet-advertise",
            None,
            None,
            "where other nodes reach this one, such as https://10.0.0.5:5443 [default: [fleet] advertise]",
        ),
        (
            "default-registry",
            None,
            None,
            'registry of names that have none; "" turns it off [default: docker.io]',
        ),
    )

    examples = (
        "twistd -n crproxy",
        "twistd -n crproxy --domain cr.example.com --acme-email ops@example.com",
        "twistd -n crproxy --http tcp:5000 --cache-size 50G --default-registry quay.io",
    )

    compData = usage.Completions(optActions={"config": usage.CompleteFiles("*.toml")})

    def __init__(self) -> None:
        super().__init__()
        self["http"] = []
        self["https"] = []
        self["proxy"] = []
        self["alias"] = []

    def getUsage(self, width: int | None = None) -> str:
        """Return what --help prints, examples included."""
        # Docstrings have line ends in them.
        self.docs = {name: " ".join(text.split()) for name, text in self.docs.items()}
        examples = "".join(f"  {line}\n" for line in self.examples)
        return f"{super().getUsage(width)}\nExamples:\n{examples}"

    def opt_http(self, endpoint: str) -> None:
        """Listen here for plain HTTP: a Twisted endpoint string. Repeatable. [default:
        tcp:5000:interface=127.0.0.1, with a domain tcp:80]"""
        self["http"].append(endpoint)

    def opt_https(self, endpoint: str) -> None:
        """Listen here for TLS; "" listens nowhere. Repeatable. [default: tcp:443 with a domain]"""
        self["https"].append(endpoint)

    def opt_proxy(self, endpoint: str) -> None:
        """Be an HTTP proxy for clients here, such as tcp:3128; "" is nowhere. Repeatable. [default: nowhere]"""
        self["proxy"].append(endpoint)

    def opt_alias(self, alias: str) -> None:
        """LABEL=REGISTRY: the subdomain LABEL stands for that registry; LABEL= takes one away. Repeatable. [default:
        docker, gcr, ghcr, k8s, quay and nine more]"""
        self["alias"].append(alias)

    def opt_version(self) -> None:
        """Print the version and exit."""
        print(f"crproxy {__version__}")
        sys.exit(0)

    def postOptions(self) -> None:
        """Read the configuration, so that a mistake in it is told before anything starts."""
        try:
            self["loaded"] = self.load()
        except OptionError as error:
            raise usage.UsageError(str(error)) from error
        except ConfigError as error:
            raise usage.UsageError(f"{self['config'] or SYSTEM_CONFIG}: {error}") from error
        if self["loaded"].storage is not None:
            _check_extra("[storage]", "obstore")
        endpoints = (one for one, _ in self["loaded"].client_endpoints)
        _check_endpoints((*endpoints, *filter(None, [self["loaded"].listen.admin])))

    def load(self) -> Config:
        """Return the configuration as it is now. Raises ConfigError."""
        return read_config(self["config"], self._spoken(), system=SYSTEM_CONFIG)

    @property
    def file(self) -> Path | None:
        """The file that it is read from; None where there is none."""
        file = config_file(self["config"], SYSTEM_CONFIG)
        return None if file is None else Path(file).absolute()

    def parse(self, text: str) -> Config:
        """Return what ``text``, in place of the file's, and the command line say together. Raises ConfigError."""
        return parse_config(text, self._spoken())

    def _spoken(self) -> ConfigOptions:
        return ConfigOptions(
            domain=self["domain"],
            aliases=tuple(self["alias"]),
            default_registry=self["default-registry"],
            http=tuple(self["http"]),
            https=tuple(self["https"]),
            proxy=tuple(self["proxy"]),
            certs=self["certs"],
            acme_directory=self["acme-directory"],
            acme_email=self["acme-email"],
            data_dir=self["data-dir"],
            cache_size=self["cache-size"],
            workers=self["workers"],
            fleet_advertise=self["fleet-advertise"],
        )


def _check_extra(table: str, module: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise usage.UsageError(f"{table} needs what is not installed: pip install 'crproxy[fleet]'")


def _check_endpoints(descriptions: tuple[str, ...]) -> None:
    from twisted.internet import reactor

    for description in descriptions:
        try:
            serverFromString(reactor, description)
        except (ValueError, TypeError, LookupError, OSError) as error:
            raise usage.UsageError(_no_endpoint(description, error)) from error


def _no_endpoint(description: str, error: Exception) -> str:
    if "systemd:" in description and isinstance(error, LookupError):
        return f"{description!r}: systemd has handed over no such socket: start crproxy.socket before the service"
    return f"{description!r} is not an endpoint ({error}): write one such as tcp:5000:interface=127.0.0.1"


def makeService(options: Options) -> IService:
    """Return the daemon for ``options`` (twistd calls it by this name)."""
    from twisted.internet import reactor

    # Not before: whoever asks for --help, or has made a mistake, need not wait for all of it.
    from .admin.alias_file import Source
    from .service.event_loop import set_up
    from .service.supervisor import Supervisor

    set_up(reactor)
    config = options["loaded"]
    supervisor = Supervisor.from_environment(os.environ)
    source = Source(options.file, options.parse)
    workers = _number_of(config.workers)
    if workers > 1:
        from .workers import make_first

        logs_here = _logs_to_stdout(options.parent)
        return make_first(config, workers, reactor, options.load, source, supervisor, logs_here=logs_here)
    from .service.assembly import make_service

    return make_service(config, reactor, options.load, source, supervisor, now=time.time)


def _number_of(workers: int | None) -> int:
    """Return how many; one for each core that we may use where it is None."""
    return len(os.sched_getaffinity(0)) if workers is None else workers


def _logs_to_stdout(twistd: Any) -> bool:
    """Tell whether the log of ``twistd``, by its options, is where standard output goes."""
    if not twistd:
        return False
    elsewhere = twistd.get("syslog") or twistd.get("logger")
    named = twistd.get("logfile")
    return not elsewhere and (named == "-" or (not named and bool(twistd.get("nodaemon"))))
