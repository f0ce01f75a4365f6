"""The configuration read for ``crproxy config``: what is wrong with it, and what it says."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..config import Config, ConfigError, OptionError, Options
from ..config.checking import check
from ..config.showing import Setting, settings
from ..config.table import line_of, parse_toml
from ..config.variables import misspelled, with_variables
from .configuration_file import config_file, read_config_text, read_text
from .endpoint import admin_endpoint
from .options import options_of
from .paths import SYSTEM_CONFIG, usual_data_dir
from .surroundings import doubts, lacks

__all__ = ["Reading", "read"]


@dataclass(frozen=True, slots=True)
class Reading:
    """What came of it.

    Arguments:
        name: of the file; that of the system's where there is none.
        has_file: there is one.
        text: of the file.
        options: what was said beside it.
        config: what can be used of all that.
        faults: what cannot.
        warnings: what is perhaps not meant.
    """

    name: str
    has_file: bool
    text: str
    options: Options
    config: Config | None
    faults: tuple[ConfigError, ...]
    warnings: tuple[str, ...]

    def lines(self) -> Iterator[str]:
        """Yield the faults, with their file in front."""
        for fault in self.faults:
            yield str(fault) if isinstance(fault, OptionError) else f"{self.name}: {fault}"

    def document(self) -> dict[str, Any]:
        """Return the faults as JSON has them."""
        faults = [
            {
                "text": str(fault),
                "key": None if isinstance(fault, OptionError) else list(fault.path) or None,
                "line": None if isinstance(fault, OptionError) else line_of(self.text, fault.path),
            }
            for fault in self.faults
        ]
        return {"file": self.name, "faults": faults, "warnings": list(self.warnings)}

    def settings(self) -> Iterator[Setting]:
        """Yield what counts. There are no faults."""
        if self.config is None:
            return
        config = self.config
        computed = {
            "data_dir": config.data_dir,
            "listen.http": list(config.listen.http),
            "listen.https": list(config.listen.https),
            "listen.admin": admin_endpoint(config),
        }
        yield from settings(parse_toml(self.text), self.text, self.options, config, computed, os.environ)


def read(path: str | None, said: dict[str, Any]) -> Reading:
    """Read the configuration.

    Arguments:
        path: the file; None is the one that the daemon reads.
        said: the daemon's options, as a command has them.
    """
    options = with_variables(options_of(said), os.environ)
    warnings = tuple(f"{name} means nothing; did you mean {near}?" for name, near in misspelled(os.environ))
    name = path or str(SYSTEM_CONFIG)
    try:
        file = config_file(path, SYSTEM_CONFIG)
        name = file or name
        text = read_config_text(file)
    except ConfigError as error:
        return Reading(name, True, "", options, None, (error,), warnings)
    usual = usual_data_dir(os.environ)
    found = check(text, options, read_file=read_text, usual_data_dir=usual, environment=os.environ)
    # Nothing is listened on, so that no reactor is needed.
    lacking = () if found.config is None else tuple(lacks(found.config, None, by_systemd=False, options=options))
    if found.config is not None:
        warnings += tuple(doubts(found.config, time.time()))
    return Reading(name, file is not None, text, options, found.config, (*found.faults, *lacking), warnings)
