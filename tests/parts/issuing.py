"""A daemon with a domain, whose certificates a CA issues."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import trustme

from crproxy.policy.aliases import BUILT_IN

from .admin_socket import tell
from .daemon import Daemon, Upstream, configuration
from .pebble import Pebble
from .ports import reserve_port
from .s_client import Handshake, SClient

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

__all__ = ["DOMAIN", "HTTP_01", "TLS_ALPN_01", "IssuingDaemon"]

DOMAIN = "cr.test"
HTTP_01 = "http-01"
TLS_ALPN_01 = "tls-alpn-01"
_LOCAL = "interface=127.0.0.1"


class IssuingDaemon(Daemon):
    """A running crproxy for DOMAIN; leaving the ``with`` block stops it.

    Arguments:
        directory: its working directory, as any daemon's.
        ca: where certificates come from: a pebble, or the URL of a directory, whose root is not known yet.
        aliases: labels, or whole names, and registries; None has the built-in ones, and those alone.
        challenge: which one it answers. For TLS_ALPN_01 it has no plain port at all.
        acme: more lines of this table.
        upstreams: what is behind it.
        ports: its plain and its TLS port, in place of those that a pebble looks at.
        data_dir: its data, which outlives it.
        environment: more variables.
        more: further lines of its configuration.
    """

    def __init__(
        self,
        directory: Path,
        ca: Pebble | str,
        *,
        aliases: Mapping[str, str] | None = None,
        challenge: str = HTTP_01,
        acme: Mapping[str, str] | None = None,
        upstreams: Mapping[str, Upstream] | None = None,
        ports: tuple[int, int] | None = None,
        data_dir: Path | None = None,
        environment: Mapping[str, str] | None = None,
        more: Sequence[str] = (),
    ) -> None:
        self._more = more
        self._upstreams = upstreams or {}
        self._acme = {"challenge": challenge, "email": "ops@example.com", **(acme or {})}
        self.root = directory / "root.pem"
        if isinstance(ca, Pebble):
            authority = directory / "ca.pem"
            authority.write_bytes(ca.ca_bundle)
            self._acme["ca_file"] = str(authority)
            self.root.write_bytes(ca.root())
        else:
            trustme.CA().cert_pem.write_to_path(str(self.root))
        looked_at = (ca.http_port, ca.tls_port) if isinstance(ca, Pebble) else (reserve_port(), reserve_port())
        plain, secure = ports or looked_at
        self.names = _names(BUILT_IN if aliases is None else aliases)
        listen = ["--http", f"tcp:{plain}:{_LOCAL}" if challenge == HTTP_01 else ""]
        listen += ["--https", f"tcp:{secure}:{_LOCAL}"]
        listen += ["--acme-directory", ca.directory_url if isinstance(ca, Pebble) else ca]
        super().__init__(directory, self._configuration(aliases), data_dir, listen=listen, environment=environment)

    def read_again(self, aliases: Mapping[str, str], more: str = "") -> str:
        """Give it other aliases by its configuration file; return what it says once it has read that.

        Arguments:
            more: further lines.
        """
        before = len(self.log)
        self.reload(self._configuration(aliases) + more)
        return self.wait_for_log(r"the configuration was (not )?read again.*", after=before)[0]

    def tell(self, method: str, target: str, body: str = "") -> Any:
        """Ask at the operator's door; return what it answers with 200."""
        # It is the last to be listened on.
        self.wait_for_log("listens on admin://")
        answer = tell(self.data_dir / "admin.sock", method, target, body)
        assert answer.status == 200, answer
        return answer.json()

    def states(self) -> dict[str, dict[str, Any]]:
        """How it stands with each name, as it tells its operator."""
        return {state["name"]: state for state in self.tell("GET", "/certificates")}

    def wait_until_certified(self, names: Iterable[str], seconds: float = 60, *, after: int = 0) -> None:
        """Wait until each name has got a certificate since character ``after`` of the log."""
        for name in names:
            self.wait_for_log(rf"\] {re.escape(name)} has a certificate until", seconds, after=after)

    def look(self, name: str | None) -> Handshake:
        """Return what OpenSSL is shown for ``name``; for none, that is to be the domain's."""
        return SClient(self.root.parent, self.tls_port, self.root).look(name, name or DOMAIN)

    def certified(self, after: int = 0) -> list[str]:
        """The names that have got a certificate since character ``after`` of the log, in that order."""
        return re.findall(r"\] (\S+) has a certificate until", self.log[after:])

    def _configuration(self, aliases: Mapping[str, str] | None) -> str:
        tables = {"acme": self._acme}
        if aliases is not None:
            tables["aliases"] = {**{label: "" for label in BUILT_IN if label not in aliases}, **aliases}
        lines = [configuration(self._upstreams, domain=DOMAIN)]
        for table, values in tables.items():
            lines += [f"[{table}]", *(f"{json.dumps(key)} = {json.dumps(value)}" for key, value in values.items())]
        return "\n".join([*lines, *self._more, ""])


def _names(labels: Iterable[str]) -> Sequence[str]:
    """Every name that it answers for, in the order in which certificates are asked for."""
    return [DOMAIN, *sorted(label if "." in label else f"{label}.{DOMAIN}" for label in labels)]
