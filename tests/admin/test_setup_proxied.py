"""``crproxy setup CLIENT --proxy``: which proxy, and which CA."""

from __future__ import annotations

import json
import ssl
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from cryptography import x509

from crproxy.admin.command import main
from crproxy.admin.paths import SOCKET_VARIABLE
from crproxy.forward.authority import Authority
from tests.admin.test_client import answer, daemon
from tests.parts.registry import write_htpasswd

NOW = 1_800_000_000.0

HOST = ("--host", "http://cr.example.com:3128")


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.new({"ghcr.io", "docker.io"}, NOW)


@pytest.fixture
def ca(tmp_path: Path, authority: Authority) -> Path:
    file = tmp_path / "ca.pem"
    file.write_bytes(authority.shown())
    return file


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "crproxy.toml"


def run(*words: str, stdin: str = "", **environment: str) -> Result:
    return CliRunner().invoke(main, ["setup", *words], input=stdin, env=environment)


def printed(*words: str, **more: str) -> dict[str, Any]:
    result = run(*words, "--proxy", "--json", **more)
    assert result.exit_code == 0, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def url(document: dict[str, Any]) -> str:
    line = next(line for line in document["files"][0]["text"].splitlines() if "HTTPS_PROXY" in line)
    return str(line).partition("HTTPS_PROXY=")[2].rstrip('"')


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[proxy]\nlisten = ["tcp:3128"]', "http://127.0.0.1:3128"),
        ('[proxy]\nlisten = ["tcp:3128:interface=192.0.2.7"]', "http://192.0.2.7:3128"),
        ('domain = "cr.test"\n[proxy]\nlisten = ["tcp:3128"]', "http://cr.test:3128"),
        ('domain = "cr.test"\n[proxy]\nlisten = ["tcp:3128:interface=127.0.0.1"]', "http://127.0.0.1:3128"),
        ('domain = "cr.test"\n[proxy]\nlisten_tls = ["tcp:3129"]', "https://cr.test:3129"),
        ('domain = "cr.test"\n[proxy]\nlisten_tls = ["tcp:3129:interface=127.0.0.1"]', "https://cr.test:3129"),
        ('domain = "cr.test"\n[proxy]\nlisten = ["tcp:3128"]\nlisten_tls = ["tcp:3129"]', "https://cr.test:3129"),
        (
            r"""[proxy]
listen = ['tcp6:3128:interface=2001\:db8\:\:1']""",
            "http://[2001:db8::1]:3128",
        ),
    ],
)
def test_the_proxy_is_the_one_that_is_configured(config: Path, ca: Path, text: str, expected: str) -> None:
    config.write_text(text)
    assert url(printed("docker", "--config", str(config), "--ca", str(ca))) == expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("http://cr.example.com:3128", "http://cr.example.com:3128"),
        ("https://CR.example.com:3129/", "https://cr.example.com:3129"),
        ("http://[2001:db8::1]:3128", "http://[2001:db8::1]:3128"),
    ],
)
def test_or_the_one_that_is_named(ca: Path, host: str, expected: str) -> None:
    assert url(printed("docker", "--host", host, "--ca", str(ca))) == expected


@pytest.mark.parametrize(
    "host",
    [
        "cr.example.com:3128",
        "cr.example.com",
        "ftp://a:1",
        "http://a/b",
        "http://u:p@a:1",
        "http://a:1/?b",
        "http://a:1?b",
        "http://a:1#b",
        "",
    ],
)
def test_what_is_no_proxy_is_refused(ca: Path, host: str) -> None:
    result = run("docker", "--proxy", "--host", host, "--ca", str(ca))
    assert result.exit_code == 2, result.output
    assert "is no proxy: write its scheme and port" in " ".join(result.output.split())


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        ("", 1, "set listen under [proxy], or name it by --host, http://cr.example.com:3128"),
        ('[proxy]\nlisten = ["unix:/run/proxy.sock"]', 1, "does not tell how clients reach the proxy: such as --host"),
        ("[proxy]\nlistn = []", 2, "Correct it, or name the proxy by --host"),
    ],
)
def test_a_configuration_that_tells_of_none_says_what_to_do(
    config: Path, ca: Path, text: str, status: int, said: str
) -> None:
    config.write_text(text)
    result = run("docker", "--proxy", "--config", str(config), "--ca", str(ca))
    assert result.exit_code == status
    assert said in " ".join(result.output.split())


def test_a_login_is_in_the_url(ca: Path) -> None:
    said = ("--login", "alice", "--password-stdin")
    assert url(printed("docker", *HOST, "--ca", str(ca), *said, stdin="a b%\n")) == (
        "http://alice:a%%20b%%25@cr.example.com:3128"
    )


# Which CA


def test_the_running_daemon_is_asked(tmp_path: Path, authority: Authority) -> None:
    path = tmp_path / "admin.sock"
    other = Authority.new({"quay.io"}, NOW)
    found = {"authorities": [{"certificate": one.shown().decode()} for one in (authority, other)]}
    with daemon(path, answer(200, found)) as asked:
        document = printed("docker", *HOST, **{SOCKET_VARIABLE: str(path)})
    assert asked[0].startswith(b"GET /ca HTTP/1.1\r\n")
    texts = [file["text"].encode() for file in document["files"][1:]]
    assert texts == [authority.shown(), other.shown()]
    assert sum(authority.fingerprint in line or other.fingerprint in line for line in document["then"]) == 2


def test_it_may_be_another_one_than_the_usual(tmp_path: Path, authority: Authority) -> None:
    path = tmp_path / "admin.sock"
    with daemon(path, answer(200, {"authorities": [{"certificate": authority.shown().decode()}]})):
        document = printed("docker", *HOST, "--socket", str(path), **{SOCKET_VARIABLE: str(tmp_path / "none")})
    assert document["files"][1]["text"].encode() == authority.shown()


@pytest.mark.parametrize(("words", "said"), [((), True), (("--login", "alice"), False)])
def test_who_has_to_log_in_is_told_to_say_as_whom(
    config: Path, ca: Path, tmp_path: Path, words: tuple[str, ...], said: bool
) -> None:
    users = tmp_path / "htpasswd"
    write_htpasswd(users)
    config.write_text(f'[proxy]\nlisten = ["tcp:3128"]\n[clients]\nhtpasswd = "{users}"')
    result = run("docker", "--proxy", "--config", str(config), "--ca", str(ca), *words)
    assert result.exit_code == 0, result.output
    assert ("This proxy asks for a login: add --login USER." in result.stderr) is said


def test_where_there_is_none_a_file_may_be_given(tmp_path: Path) -> None:
    result = run("docker", "--proxy", *HOST, **{SOCKET_VARIABLE: str(tmp_path / "none")})
    assert result.exit_code == 3
    assert "Or give --ca FILE" in " ".join(result.output.split())


def test_a_daemon_that_is_no_proxy_says_so(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    with daemon(path, answer(409, {"error": "this daemon is no HTTP proxy"})):
        result = run("docker", "--proxy", *HOST, **{SOCKET_VARIABLE: str(path)})
    assert (result.exit_code, "this daemon is no HTTP proxy" in result.output) == (1, True)


def test_a_key_is_never_printed(tmp_path: Path, authority: Authority) -> None:
    """The daemon's own file has it beside the certificate."""
    file = tmp_path / "own.pem"
    file.write_bytes(authority.to_pem())
    for client in ("docker", "podman", "buildkit", "kubernetes", "helm"):
        result = run(client, "--proxy", *HOST, "--ca", str(file))
        assert result.exit_code == 0, result.output
        assert "PRIVATE KEY" not in result.output
        assert "BEGIN CERTIFICATE" in result.output


def test_what_is_printed_is_the_ca(ca: Path, authority: Authority) -> None:
    text = printed("docker", *HOST, "--ca", str(ca))["files"][1]["text"]
    assert x509.load_pem_x509_certificate(text.encode()) == authority.certificate
    ssl.create_default_context(cadata=text)


def test_a_ca_for_every_name_is_none_of_ours(tmp_path: Path) -> None:
    import trustme

    file = tmp_path / "any.pem"
    trustme.CA().cert_pem.write_to_path(file)
    result = run("docker", "--proxy", *HOST, "--ca", str(file))
    assert result.exit_code == 1
    assert "may sign for any name, which nobody should trust" in " ".join(result.output.split())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "there is no certificate in it: give what crproxy ca export prints"),
        (b"-----BEGIN CERTIFICATE-----\nxx\n-----END CERTIFICATE-----\n", "there is no certificate in it"),
        ("é".encode(), "cannot be read"),
        (None, "cannot be read"),
    ],
)
def test_a_file_that_holds_none_says_so(tmp_path: Path, content: bytes | None, said: str) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    result = run("docker", "--proxy", *HOST, "--ca", str(file))
    assert result.exit_code == 1
    assert said in " ".join(result.output.split())


# The command line


def test_people_are_told_where_it_goes_and_what_then(ca: Path) -> None:
    lines = run("docker", "--proxy", *HOST, "--ca", str(ca)).stdout.splitlines()
    assert "--- /etc/systemd/system/docker.service.d/crproxy.conf" in lines
    assert lines[-1].startswith("# to go back: ")


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["k3s", "--proxy"], 1, "with --proxy there are docker, containerd, podman, buildkit, kubernetes, helm"),
        (["docker", "--proxy", "--bare"], 2, "these are 2 files: leave --bare, or take --json"),
        (["docker", "--proxy", "--registry", "quay.io"], 2, "says which registries: leave --registry"),
        (["docker"], 2, "--ca goes with --proxy"),
    ],
)
def test_a_command_line_that_is_wrong_says_so(ca: Path, words: list[str], status: int, said: str) -> None:
    result = run(*words, *HOST, "--ca", str(ca))
    assert result.exit_code == status
    assert said in " ".join(result.output.split())


def test_its_flag_is_no_option_of_the_daemons(ca: Path) -> None:
    """Which has one of that name, with a value; a set-up has its other options."""
    result = run("docker", "--proxy", "tcp:3128", *HOST, "--ca", str(ca))
    assert result.exit_code == 2
    (command,) = [main.commands["setup"]]
    named = [option for option in command.params if "--proxy" in option.opts]
    assert [(option.name, getattr(option, "is_flag", False)) for option in named] == [("as_proxy", True)]
