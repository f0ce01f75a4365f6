"""Somebody tries passwords as fast as they are checked; somebody else logs in all the same (S23)."""

from __future__ import annotations

import base64
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import bcrypt
import pytest

from tests.parts.caller import Caller
from tests.parts.daemon import Daemon, configuration

if TYPE_CHECKING:
    from pathlib import Path

    from tests.parts.certificates import Authority

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("workers")]

DOMAIN, PASSWORD = "cr.test", "of everybody"
ATTACKER, CLIENT = "127.0.0.3", "127.0.0.4"
USERS = [f"user{number}" for number in range(12)]


def basic(user: str, password: str) -> tuple[str, str]:
    return ("Authorization", "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode())


def test_s23_first_logins_are_right_while_another_client_tries_passwords(tmp_path: Path, authority: Authority) -> None:
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(8)).decode()
    (tmp_path / "htpasswd").write_text("".join(f"{user}:{hashed}\n" for user in USERS))
    config = configuration({}, domain=DOMAIN) + '[clients]\nhtpasswd = "htpasswd"\n'
    with Daemon(tmp_path, config, certificate=authority.issue(DOMAIN)) as daemon:
        over = threading.Event()
        statuses: list[int] = []

        def attack(number: int) -> None:
            tried = 0
            with suppress(OSError), Caller(daemon.tls_port, ATTACKER, root=authority.file) as caller:
                while not over.is_set():
                    tried += 1
                    statuses.append(caller.get("/v2/", basic(USERS[0], f"{number}-{tried}")).status)

        attackers = [threading.Thread(target=attack, args=(number,)) for number in range(64)]
        for attacker in attackers:
            attacker.start()
        try:
            while 429 not in statuses:
                assert any(attacker.is_alive() for attacker in attackers)
                over.wait(0.01)
            with Caller(daemon.tls_port, CLIENT, root=authority.file) as caller:
                answered = [caller.get("/v2/", basic(user, PASSWORD)).status for user in USERS]
                wrong = caller.get("/v2/", basic(USERS[0], "wrong")).status
        finally:
            over.set()
            for attacker in attackers:
                attacker.join()
        assert (answered, wrong) == ([200] * len(USERS), 401)
        assert set(statuses) == {401, 429}
