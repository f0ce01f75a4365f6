"""Squid as the HTTP proxy between the daemon and its upstreams."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Self

from .ports import reserve_port, wait_until_listening
from .process import Process
from .registry import write_htpasswd
from .requirements import need, need_root

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Squid"]

# Section 11 at level 2 is every request and answer as it comes; a tunnel's line in the access log waits for its end.
_CONFIG = """\
http_port 127.0.0.1:{port}
pid_filename none
cache_log /dev/null
access_log none
debug_options ALL,1 11,2
hosts_file {hosts}
cache deny all
pinger_enable off
netdb_filename none
max_filedescriptors 1024
{access}
"""
_WITH_PASSWORD = """\
auth_param basic program {helper} {htpasswd}
auth_param basic children 1 startup=1
acl known proxy_auth REQUIRED
http_access allow known
http_access deny all"""
_REQUEST = re.compile(r"HTTP Client REQUEST:\n-+\n([A-Z]+ \S+) HTTP/1\.1\n")


class Squid:
    """A running squid; leaving the ``with`` block stops it.

    Arguments:
        names: what it alone can resolve; all of it is loopback's.
        password: whether it lets in only the user ``puller`` with the registry's PASSWORD.
    """

    def __init__(self, names: Iterable[str], *, password: bool = False) -> None:
        need_root("squid with a configuration of its own")
        # Squid and its helper give root up, so they cannot read below pytest's directories.
        self._directory = tempfile.TemporaryDirectory(prefix="squid-")
        directory = Path(self._directory.name)
        directory.chmod(0o755)
        hosts = directory / "hosts"
        hosts.write_text("".join(f"127.0.0.1 {name}\n" for name in names))
        access = _password_access(directory) if password else "http_access allow all"
        port = reserve_port()
        self.address = ("127.0.0.1", port)
        self.authority = f"127.0.0.1:{port}"
        file = directory / "squid.conf"
        file.write_text(_CONFIG.format(port=port, hosts=hosts, access=access))
        self._process = Process([need("squid"), "-N", "-d", "2", "-f", str(file)], directory)
        try:
            self._process.wait_for("Accepting HTTP Socket connections")
            # Squid says so a little too early.
            wait_until_listening(port, self._process)
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"http://{self.authority}"

    @property
    def requests(self) -> list[str]:
        """The method and the target of each request that came so far, as they stood in it."""
        return _REQUEST.findall(self._process.log)

    def stop(self) -> None:
        self._process.kill()  # asked to end, it takes its time, and it has nothing to tidy up
        self._directory.cleanup()


def _password_access(directory: Path) -> str:
    htpasswd = directory / "htpasswd"
    write_htpasswd(htpasswd)
    shutil.chown(htpasswd, "proxy")
    return _WITH_PASSWORD.format(helper=need("basic_ncsa_auth"), htpasswd=htpasswd)
