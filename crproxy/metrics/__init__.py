"""What monitoring is told, in Prometheus' words: counted as it happens, or read where it is when somebody asks.

Counting knows no reactor and no socket; what is read comes in as functions.
"""

from .common_readings import CommonReadings, FleetNumbers, StorageNumbers
from .health import Health, make_health
from .lag import Lag
from .meters import Meters
from .readings import CertificateEnds, Disk, Readings, Stock
from .stalls import Stalls

__all__ = [
    "CertificateEnds",
    "CommonReadings",
    "Disk",
    "FleetNumbers",
    "Health",
    "Lag",
    "Meters",
    "Readings",
    "Stalls",
    "Stock",
    "StorageNumbers",
    "make_health",
]
