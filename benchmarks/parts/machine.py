"""What was measured on: numbers of one machine say little about another."""

import os
from pathlib import Path

__all__ = ["machine"]


def machine() -> str:
    """Return the number of its cores, and what their maker calls them (proc_cpuinfo(5))."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = sorted({line.partition(":")[2].strip() for line in lines if line.startswith("model name")})
    return f"{os.cpu_count()} cores{''.join(f' ({model})' for model in models)}"
