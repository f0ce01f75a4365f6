from __future__ import annotations

import pytest

from crproxy.admin.doctor.access import check_access
from crproxy.config import Options, load
from tests.admin.doctor.conftest import told

OUT = '[listen]\nhttp = ["tcp:5000"]\n'
HTPASSWD = f"alice:$2y$05${'e' * 53}\n"


def outcomes(text: str) -> dict[str, str]:
    return told(check_access(load(text, Options(), read_file=lambda _: HTPASSWD)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {"clients": "ok"}),
        (OUT, {"tcp:5000": "warning"}),
        ('domain = "cr.example.com"', {"tcp:80, tcp:443": "warning"}),
        (OUT + '[clients]\nhtpasswd = "htpasswd"', {"clients": "ok"}),
        (OUT + '[access]\nregistries = ["quay.io"]', {"clients": "ok"}),
        (OUT + '[access]\nallow = ["quay.io/org/*"]', {"clients": "ok"}),
        (OUT + '[access]\ndeny = ["quay.io/org/*"]', {"tcp:5000": "warning"}),
        (OUT + '[access]\nregistries = ["*"]', {"tcp:5000": "warning"}),
    ],
)
def test_who_may_pull(text: str, expected: dict[str, str]) -> None:
    assert outcomes(text) == expected


def test_an_open_proxy_lends_its_passwords() -> None:
    text = OUT + '[upstreams."quay.io"]\nusername = "me"\npassword = "secret"'
    (found,) = check_access(load(text, Options(), read_file=str))
    assert "the passwords configured for quay.io" in found.text


def test_so_does_one_whose_mirror_has_a_password() -> None:
    mirror = '{ url = "http://mirror.corp.example:5000", username = "me", password = "secret" }'
    text = OUT + f'[upstreams."quay.io"]\nendpoint = ["https://quay.io", {mirror}]'
    opened, clear = check_access(load(text, Options(), read_file=str))
    assert "the passwords configured for quay.io" in opened.text
    assert (clear.subject, clear.outcome.value) == ("http://mirror.corp.example:5000", "warning")


@pytest.mark.parametrize(
    ("endpoint", "warned"),
    [
        ("http://registry.corp.example:5000", True),
        ("http://10.1.2.3:5000", True),
        ("https://registry.corp.example", False),
        ("http://127.0.0.1:5000", False),
        ("http://localhost:5000", False),
    ],
)
def test_a_password_in_the_clear_is_told(endpoint: str, warned: bool) -> None:
    table = f'[upstreams."corp.example"]\nendpoint = "{endpoint}"\n'
    assert (endpoint in outcomes(f'{table}username = "me"\npassword = "secret"')) == warned
    assert endpoint not in outcomes(table)
