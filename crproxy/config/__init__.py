"""The configuration: TOML text and command line options in, one frozen Config out.

Pure: the text of files is handed in. Every error names the key, and its line where there is one.
"""

from .loading import Options, load
from .table import ConfigError, OptionError
from .values import Acme, Cache, Clients, Config, Listen, Page, Timeouts, Upstream

__all__ = [
    "Acme",
    "Cache",
    "Clients",
    "Config",
    "ConfigError",
    "Listen",
    "OptionError",
    "Options",
    "Page",
    "Timeouts",
    "Upstream",
    "load",
]
