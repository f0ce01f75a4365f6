"""runc for machines that have not every capability: what is not there, not even privileged containers are given.

Where nothing is lacking, it changes nothing. Docker asks for all of them by name, and runc refuses those that it lacks.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from .requirements import need

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["write_runtime"]

_SCRIPT = """\
#!{python}
import json, os, sys
from pathlib import Path

ALL = {names}
(line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapEff:"))
effective = int(line.split()[1], 16)
there = [name for number, name in enumerate(ALL) if effective >> number & 1]
for option, below in (("--bundle", "config.json"), ("--process", "")):
    if option in sys.argv:
        file = Path(sys.argv[sys.argv.index(option) + 1], below)
        document = json.loads(file.read_text())
        asked = document.get("process", document).get("capabilities", {{}})
        for kind, names in asked.items():
            asked[kind] = [name for name in names if name in there]
        file.write_text(json.dumps(document))
os.execv({runc!r}, ["runc", *sys.argv[1:]])
"""


def write_runtime(directory: Path) -> dict[str, object]:
    """Write it; return what of Docker's settings has it run containers."""
    listed = subprocess.run([need("setpriv"), "--list-caps"], capture_output=True, text=True, check=True).stdout.split()
    names = [f"CAP_{name.upper()}" for name in listed]
    file = directory / "runtime"
    file.write_text(_SCRIPT.format(python=sys.executable, names=names, runc=need("runc")))
    file.chmod(0o755)
    return {"runtimes": {"here": {"path": str(file)}}, "default-runtime": "here"}
