"""Where the time goes: flame graphs of one server at work, by py-spy, as SVG files that open in a browser."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .servers import Server, environment

__all__ = ["Profiler"]

# Samples in a second: no divisor of what else happens in one.
_RATE = 997
# Seconds that one is taken for, at least.
_SECONDS = 3.0
_STOP_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Profiler:
    """Draws them.

    Arguments:
        directory: of the files; it is made.
        seconds: that each is taken for, at least.
    """

    directory: Path
    seconds: float = _SECONDS

    def record(self, server: Server, name: str, work: Callable[[Server], object]) -> Path:
        """Let `server` do `work` over and over meanwhile; return the file. What is drawn is not measured."""
        self.directory.mkdir(parents=True, exist_ok=True)
        file = self.directory / f"{name}.svg"
        command = [str(Path(sys.executable).with_name("py-spy")), "record", "--format", "flamegraph", "--threads"]
        command += [
            "--rate",
            str(_RATE),
            "--output",
            str(file),
            "--pid",
            str(server.meter.pid),
            "--duration",
            "unlimited",
        ]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment()
        ) as drawing:
            end = time.monotonic() + self.seconds
            while time.monotonic() < end and drawing.poll() is None:
                work(server)
            drawing.send_signal(signal.SIGINT)
            said, _ = drawing.communicate(timeout=_STOP_SECONDS)
        if not file.exists():
            raise RuntimeError(f"py-spy has drawn nothing, which takes the right to trace processes:\n{said}")
        return file
