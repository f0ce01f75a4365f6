"""The admin socket tells which file the daemon runs with, and what is different in it now, whoever answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from crproxy.admin.client import AdminClient
from crproxy.admin.loaded import Loaded
from tests.parts.daemon import Daemon, Upstream, configuration

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

BEFORE, AFTER = "the one before", "the one after"


def text(password: str) -> str:
    return configuration({"quay.io": Upstream("https://quay.io", "me", password)})


@pytest.mark.security("S26")
@pytest.mark.parametrize("workers", [1, 2], ids=["one-worker", "two-workers"])
def test_what_is_different_in_the_file_is_told_until_it_counts(tmp_path: Path, workers: int) -> None:
    with Daemon(tmp_path, text(BEFORE), workers=workers) as daemon:
        # Its socket is the last to be listened on.
        daemon.wait_for_log("listens on admin://")
        client = AdminClient(daemon.data_dir / "admin.sock")

        def loaded() -> Loaded:
            return Loaded.of(client.ask("GET", "/configuration"))

        first = loaded()
        assert (first.file, first.changed, first.late, first.trouble) == (str(daemon.file), (), (), "")
        assert first.options is not None
        assert f"--data-dir={daemon.data_dir}" in first.options
        daemon.file.write_text(f'{text(AFTER)}\n[cache]\ntag_ttl = "61s"\n')
        differs = loaded()
        assert differs.changed == ("[upstreams]: quay.io changed (password)",)
        assert differs.late == ("cache",)
        assert differs.read_at == first.read_at
        assert BEFORE not in str(differs)
        assert AFTER not in str(differs)
        daemon.file.write_text("upstreams = [")
        assert "this is not TOML" in loaded().trouble
        seen = len(daemon.log)
        daemon.reload(text(AFTER))
        daemon.wait_for_log("the configuration was read again", after=seen)
        after = loaded()
        assert (after.changed, after.late, after.trouble) == ((), (), "")
        assert after.read_at > first.read_at
