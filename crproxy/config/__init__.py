"""The configuration: TOML text and command line options in, one frozen Config out.

Pure: the text of files and the environment are handed in. Every error names the key, and its line where there is one.
"""

from .client_values import Clients
from .fleet_values import Fleet, Storage, ValkeyAddress
from .forward_values import Forward
from .limits import Limits
from .loading import load
from .operation_values import Admin, Audit, Log, Metrics, Page
from .options import Options
from .table import ConfigError, OptionError
from .values import (
    Acme,
    Cache,
    Config,
    Listen,
    Timeouts,
    Upstream,
)

__all__ = [
    "Acme",
    "Admin",
    "Audit",
    "Cache",
    "Clients",
    "Config",
    "ConfigError",
    "Fleet",
    "Forward",
    "Limits",
    "Listen",
    "Log",
    "Metrics",
    "OptionError",
    "Options",
    "Page",
    "Storage",
    "Timeouts",
    "Upstream",
    "ValkeyAddress",
    "load",
]
