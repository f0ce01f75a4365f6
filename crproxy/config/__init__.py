"""The configuration: TOML text and command line options in, one frozen Config out.

Pure: the text of files is handed in. Every error names the key, and its line where there is one.
"""

from .limits import Limits
from .loading import Options, load
from .table import ConfigError, OptionError
from .values import Acme, Audit, Cache, Clients, Config, Listen, Metrics, Page, Storage, Timeouts, Upstream

__all__ = [
    "Acme",
    "Audit",
    "Cache",
    "Clients",
    "Config",
    "ConfigError",
    "Limits",
    "Listen",
    "Metrics",
    "OptionError",
    "Options",
    "Page",
    "Storage",
    "Timeouts",
    "Upstream",
    "load",
]
