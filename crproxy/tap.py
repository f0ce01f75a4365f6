"""What twistd calls: the command line, and the one place that knows the global reactor."""

from __future__ import annotations

import difflib
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.application.service import IService
from twisted.python import usage

from . import __version__
from .admin.configuration_file import SYSTEM_CONFIG, config_file, parse_config, read_config
from .admin.surroundings import lacks
from .config import Config, ConfigError, OptionError
from .config import Options as ConfigOptions
from .config.options import OPTIONS
from .config.variables import with_variables
from .service.starting import CONFIGURATION, StartFault, Starting, end_by, fault_of, say_faults_in_a_line

__all__ = ["Options", "makeService"]


class Options(usage.Options):
    """Options of ``twistd crproxy``."""

    synopsis = "[options]"
    longdesc = (
        "A mirror proxy for every container registry. Without any option it answers plain HTTP on "
        "127.0.0.1:5000, and any public image is pulled by putting that in front of its name: "
        "docker pull localhost:5000/quay.io/ORG/NAME:TAG"
    )

    optParameters = tuple(
        (option.name, option.short or None, None, option.help) for option in OPTIONS if not option.repeated
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

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Read the command line. A mistake ends the process, with a line and status 2."""
        try:
            super().parseOptions(options)
        except usage.UsageError as error:
            end_by(StartFault(_explained(str(error), self.longOpt), CONFIGURATION))

    def parseArgs(self, *words: str) -> None:
        """Take no words but options."""
        if words:
            raise usage.UsageError(f"{words[0]!r} is no option, and there are only those")

    def postOptions(self) -> None:
        """Read the configuration, so that a mistake in it is told before anything starts: it ends the process."""
        from twisted.internet import reactor

        try:
            self["loaded"] = config = self.load()
            for lacking in lacks(config, reactor, options=with_variables(self._spoken(), os.environ)):
                raise lacking
        except OptionError as error:
            end_by(StartFault(str(error), CONFIGURATION))
        except ConfigError as error:
            end_by(StartFault(f"{self._place()}{error}", CONFIGURATION))

    def load(self) -> Config:
        """Return the configuration as it is now. Raises ConfigError."""
        return read_config(self["config"], self._spoken(), system=SYSTEM_CONFIG)

    @property
    def file(self) -> Path | None:
        """The file that it is read from; None where there is none."""
        file = config_file(self["config"], SYSTEM_CONFIG)
        return None if file is None else Path(file).absolute()

    def _place(self) -> str:
        """Return what a mistake has in front that may be in the file; nothing where nobody may know whether it is."""
        try:
            return "" if self.file is None else f"{self.file}: "
        except ConfigError:
            return ""

    def parse(self, text: str) -> Config:
        """Return what ``text``, in place of the file's, and the command line say together. Raises ConfigError."""
        return parse_config(text, self._spoken())

    @property
    def words(self) -> tuple[str, ...]:
        """What the command line and the environment say, as words of a command line."""
        return with_variables(self._spoken(), os.environ).words()

    def _spoken(self) -> ConfigOptions:
        said: dict[str, Any] = {}
        for option in OPTIONS:
            if option.key:
                said[option.field] = tuple(self[option.name]) if option.repeated else self[option.name]
        return ConfigOptions(**said)


def _explained(said: str, known: Sequence[str]) -> str:
    """Return what usage, and getopt below it, say of the command line, with what to do."""
    written = said.split()[1] if said.startswith("option ") else ""
    near = difflib.get_close_matches(written.lstrip("-"), [option.rstrip("=") for option in known], 1)
    if said.endswith("not recognized"):
        meant = f"; did you mean --{near[0]}?" if near else ""
        return f"{written}: there is no such option{meant} ({_HELP})"
    return f"{said} ({_HELP})"


_HELP = "crproxy serve --help lists all"


def makeService(options: Options) -> IService:
    """Return the daemon for ``options`` (twistd calls it by this name). What keeps it from that ends the process."""
    say_faults_in_a_line()
    try:
        return _made(options)
    except Exception as error:
        fault = fault_of(error)
        if fault is None:
            raise
        end_by(fault)


def _made(options: Options) -> IService:
    from twisted.internet import reactor

    # Not before: whoever asks for --help, or has made a mistake, need not wait for all of it.
    from .admin.alias_file import Source
    from .service.daemon_log import DaemonLog, LoggedServices, twistd_of_this_process
    from .service.event_loop import set_up
    from .service.supervisor import Supervisor

    set_up(reactor)
    config = options["loaded"]
    supervisor = Supervisor.from_environment(os.environ)
    source = Source(options.file, options.parse, options.words)
    log = DaemonLog(config.log)
    daemon = LoggedServices(log, twistd_of_this_process() if options.parent is None else options.parent)
    workers = _number_of(config.workers)
    if workers > 1:
        from .workers import make_first

        logs_here = _logs_to_stdout(options.parent)
        service = make_first(
            config, workers, reactor, options.load, source, supervisor, log, logs_here=logs_here, now=time.time
        )
    else:
        from .service.assembly import make_service

        service = make_service(config, reactor, options.load, source, supervisor, log, now=time.time)
    starting = Starting(background=_goes_to_background(options.parent))
    service.setServiceParent(starting)
    # The outermost is the application's, which has the log's observer by it.
    starting.setServiceParent(daemon)
    return daemon


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


def _goes_to_background(twistd: Any) -> bool:
    """Tell whether ``twistd``, by its options, leaves its terminal."""
    return bool(twistd) and not twistd.get("nodaemon") and not twistd.get("debug")
