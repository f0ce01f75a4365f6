"""What the first process starts: ``python -m crproxy.workers SLOT``. Of no use to anybody else."""

from __future__ import annotations

from .process import main

if __name__ == "__main__":
    main()
