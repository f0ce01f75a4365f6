from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from crproxy.admin.command import main


def run(*words: str, stdin: str = "") -> Result:
    return CliRunner().invoke(main, ["setup", *words], input=stdin)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "crproxy.toml"


@pytest.mark.parametrize(
    ("config", "mirror"),
    [
        ("", "http://localhost:5000"),
        ('domain = "cr.test"', "https://docker.cr.test"),
        ('domain = "cr.test"\n[aliases]\ndocker = ""\nhub = "docker.io"', "https://hub.cr.test"),
        ('domain = "cr.test"\n[listen]\nhttps = ["tcp:8443"]', "https://docker.cr.test:8443"),
        ('domain = "cr.test"\n[listen]\nhttps = []\nhttp = ["tcp:5000"]', "https://docker.cr.test"),
        ('[listen]\nhttp = ["tcp:5001:interface=192.0.2.7"]', "http://192.0.2.7:5001"),
        (
            r"""[listen]
http = ['tcp6:5001:interface=2001\:db8\:\:1']""",
            "http://[2001:db8::1]:5001",
        ),
    ],
)
def test_the_proxy_is_the_one_that_is_configured(file: Path, config: str, mirror: str) -> None:
    file.write_text(config)
    result = run("docker", "--config", str(file), "--bare")
    assert json.loads(result.stdout)["registry-mirrors"] == [mirror], result.output


@pytest.mark.parametrize(
    ("host", "mirror"),
    [
        ("cr.example.com", "https://docker.cr.example.com"),
        ("CR.example.com:8443", "https://docker.cr.example.com:8443"),
        ("https://cr.example.com/", "https://docker.cr.example.com"),
        ("localhost:5000", "http://localhost:5000"),
        ("127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("https://localhost:5000", "https://localhost:5000"),
        ("http://10.1.2.3:5000", "http://10.1.2.3:5000"),
        ("10.1.2.3:5000", "https://10.1.2.3:5000"),
    ],
)
def test_or_the_one_that_is_named(host: str, mirror: str) -> None:
    assert json.loads(run("docker", "--host", host, "--bare").stdout)["registry-mirrors"] == [mirror]


@pytest.mark.parametrize("host", ["a/b", "https://a/b", "ftp://a", "a b", "user@host", ""])
def test_what_is_no_host_is_refused(host: str) -> None:
    result = run("docker", "--host", host)
    assert (result.exit_code, "is no host" in result.output) == (2, True), result.output


def test_people_are_told_where_it_goes_and_what_then() -> None:
    lines = run("podman", "--host", "cr.example.com", "--registry", "quay.io", "--login", "alice").stdout.splitlines()
    assert "--- /etc/containers/registries.conf.d/crproxy.conf" in lines
    assert lines[-2:] == ["podman login --username alice cr.example.com", "podman pull quay.io/ORG/NAME:TAG"]


def test_a_bare_file_is_one_file() -> None:
    two = run("containerd", "--host", "cr.example.com", "--bare", "--registry", "quay.io", "--registry", "ghcr.io")
    assert two.exit_code == 2
    assert "these are 2 files" in two.output
    none = run("docker", "--host", "cr.example.com", "--bare", "--login", "alice")
    assert none.exit_code == 1
    assert none.stdout == ""


def test_a_password_is_read_from_standard_input() -> None:
    result = run("k3s", "--host", "cr.example.com", "--bare", "--login", "alice", "--password-stdin", stdin="p w\n")
    assert '      password: "p w"' in result.stdout.splitlines()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--password-stdin"], "goes with --login"),
        (["--login", "a:b"], "has no colon"),
        (["--login", "alice", "--password-stdin"], "there is no password"),
        (["--registry", "QUAY_/"], "is not a registry's name"),
    ],
)
def test_a_command_line_that_is_wrong_says_so(words: list[str], said: str) -> None:
    result = run("k3s", "--host", "cr.example.com", *words)
    assert result.exit_code == 2
    assert said in " ".join(result.output.split())


def test_there_is_no_option_for_a_password() -> None:
    assert run("k3s", "--password", "x").exit_code == 2


def test_a_client_that_cannot_be_set_up_so_is_told() -> None:
    result = run("docker", "--host", "cr.example.com", "--registry", "quay.io")
    assert result.exit_code == 1
    assert "cr.example.com/quay.io/ORG/NAME" in result.output


def test_a_proxy_that_asks_for_a_login_reminds_of_it(file: Path, tmp_path: Path) -> None:
    (tmp_path / "htpasswd").write_text(f"alice:$2y$05${'e' * 53}\n")
    file.write_text(f'domain = "cr.test"\n[clients]\nhtpasswd = "{tmp_path / "htpasswd"}"')
    result = run("k3s", "--config", str(file), "--bare")
    assert "add --login USER" in result.stderr
    assert "add --login USER" not in result.stdout


def test_a_configuration_that_cannot_be_used_says_so(file: Path) -> None:
    file.write_text("domian = 1")
    result = run("k3s", "--config", str(file))
    assert result.exit_code == 2
    assert "did you mean domain" in result.output


def test_dockers_file_is_printed_with_what_is_there(tmp_path: Path) -> None:
    there = tmp_path / "daemon.json"
    there.write_text('{\n    "debug": true,\n    "registry-mirrors": ["https://other"]\n}\n')
    options = ("docker", "--host", "cr.example.com", "--merge", str(there))
    assert run(*options, "--bare").stdout == (
        '{\n    "debug": true,\n    "registry-mirrors": [\n        "https://docker.cr.example.com",\n'
        '        "https://other"\n    ]\n}\n'
    )
    told = run(*options).stdout
    assert "added to what is there" not in told
    assert "systemctl reload docker" in told
    there.write_text("{")
    broken = run(*options)
    assert (broken.exit_code, "cannot be merged: it is not JSON: " in broken.output) == (1, True)
    there.write_bytes(b"\xff")
    assert run(*options).exit_code == 1
    there.unlink()
    assert run(*options, "--bare").stdout == run(*options[:3], "--bare").stdout


@pytest.mark.parametrize("client", ["containerd", "podman", "k3s"])
def test_others_have_a_file_of_their_own(client: str) -> None:
    result = run(client, "--host", "cr.example.com", "--merge")
    assert (result.exit_code, "--merge is for docker" in result.output) == (2, True)
