"""``crproxy rewrite``: whole files, by a command."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from crproxy.admin.command import main

COMPOSE = b"services:\r\n  a: {image: nginx} # \xc3\xa9\r\n  b: {image: quay.io/org/app:v1}"
REWRITTEN = b"services:\r\n  a: {image: cr.test/docker.io/nginx} # \xc3\xa9\r\n  b: {image: cr.test/quay.io/org/app:v1}"


def run(*words: str | Path, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(main, ["rewrite", *map(str, words)], input=stdin)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "crproxy.toml"
    file.write_text('domain = "cr.test"\n')
    return file


@pytest.fixture
def compose(tmp_path: Path) -> Path:
    file = tmp_path / "compose.yaml"
    file.write_bytes(COMPOSE)
    return file


def test_a_file_is_printed_byte_for_byte_but_for_its_names(config: Path, compose: Path) -> None:
    result = run("--config", config, compose)
    assert (result.exit_code, result.stdout_bytes, result.stderr) == (0, REWRITTEN, "")
    assert compose.read_bytes() == COMPOSE


def test_standard_input_is_one(config: Path) -> None:
    assert run("--config", config, "-", stdin=COMPOSE).stdout_bytes == REWRITTEN
    assert run("--config", config, "-", stdin=REWRITTEN).stdout_bytes == REWRITTEN


@pytest.mark.parametrize(
    ("host", "form", "name"),
    [
        ("cr.example.com", "prefix", "cr.example.com/docker.io/nginx"),
        ("cr.example.com", "alias", "docker.cr.example.com/nginx"),
        ("https://cr.example.com:8443", "alias", "docker.cr.example.com:8443/nginx"),
        ("localhost:5000", "prefix", "localhost:5000/docker.io/nginx"),
        ("localhost:5000", "alias", "localhost:5000/docker.io/nginx"),
        ("http://10.1.2.3:5000", "prefix", "10.1.2.3:5000/docker.io/nginx"),
    ],
)
def test_the_proxy_may_be_named(host: str, form: str, name: str) -> None:
    result = run("--host", host, "--form", form, "-", stdin=b"FROM nginx")
    assert result.stdout == f"FROM {name}"


def test_a_name_says_the_language(config: Path) -> None:
    text = b"kubectl run x \\\n --image=nginx\n"
    assert b"cr.test" in run("--config", config, "--as", "x.sh", "-", stdin=text).stdout_bytes
    assert run("--config", config, "--as", "Dockerfile", "-", stdin=text).stdout_bytes == text


def test_in_place_it_stays_the_same_file_for_everybody(config: Path, compose: Path, tmp_path: Path) -> None:
    compose.chmod(0o640)
    link = tmp_path / "link.yaml"
    link.symlink_to(compose)
    other = tmp_path / "Dockerfile"
    other.write_text("FROM scratch\n")
    before = other.stat().st_ino
    result = run("--config", config, "--in-place", link, other)
    assert (result.exit_code, result.stdout) == (0, "")
    assert (link.is_symlink(), compose.read_bytes()) == (True, REWRITTEN)
    assert compose.stat().st_mode & 0o777 == 0o640
    assert {path.name for path in tmp_path.iterdir()} == {"crproxy.toml", "compose.yaml", "link.yaml", "Dockerfile"}
    assert other.stat().st_ino == before


def test_a_check_has_a_status(config: Path, compose: Path) -> None:
    assert (run("--config", config, "--check", compose).exit_code, compose.read_bytes()) == (1, COMPOSE)
    compose.write_bytes(REWRITTEN)
    result = run("--config", config, "--check", compose)
    assert (result.exit_code, result.stdout) == (0, "")


def test_differences_are_those_of_diff(config: Path, compose: Path) -> None:
    result = run("--config", config, "--diff", compose)
    assert result.exit_code == 0
    lines = result.stdout_bytes.decode().splitlines()
    assert "-  a: {image: nginx} # é" in lines
    assert "+  a: {image: cr.test/docker.io/nginx} # é" in lines
    assert "\\ No newline at end of file" in lines


def test_differences_and_a_check_go_together(config: Path, compose: Path) -> None:
    result = run("--config", config, "--diff", "--check", compose)
    assert (result.exit_code, "+  a:" in result.stdout) == (1, True)


def test_what_stays_is_told_beside_it(config: Path) -> None:
    result = run("--config", config, "-", stdin=b"a: 1\nimage: ${X}\n")
    assert result.stderr == "-:2: ${X} stays as it is: a variable without a default decides\n"


def test_what_is_no_yaml_is_told(config: Path) -> None:
    result = run("--config", config, "--as", "a.yaml", "-", stdin=b"a: b: c\nimage: nginx\n")
    assert "-:1: this is no YAML from here on" in result.stderr
    assert "cr.test/docker.io/nginx" in result.stdout


def test_what_the_proxy_does_not_serve_stays(config: Path) -> None:
    config.write_text('domain = "cr.test"\n[access]\nregistries = ["quay.io"]\n')
    result = run("--config", config, "-", stdin=COMPOSE)
    assert b"{image: nginx}" in result.stdout_bytes
    assert "nginx stays as it is: this proxy does not serve it" in result.stderr


def test_a_private_registry_that_is_configured_is_served(config: Path) -> None:
    config.write_text('domain = "cr.test"\n[upstreams."registry.corp"]\nendpoint = "http://10.0.0.1:5000"\n')
    assert run("--config", config, "-", stdin=b"image: registry.corp/x").stdout == "image: cr.test/registry.corp/x"


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["--in-place", "--diff", "x"], 2, "take one of them"),
        (["--in-place", "-"], 2, "standard input cannot be written"),
        (["x", "y"], 2, "several files"),
        (["--host", "a b", "x"], 2, "is no host"),
        (["--host", "cr.test", "/nowhere/x"], 1, "cannot be read: No such file"),
        (["--config", "/nowhere/x", "x"], 2, "/nowhere/x: cannot be read: No such file or directory"),
        (["--config", "/nowhere/x", "x"], 2, "Correct it, or name the proxy by --host"),
        (["--cache-size", "x", "x"], 2, "Error: --cache-size: 'x' is not a size"),
    ],
)
def test_what_cannot_be_done_is_said(words: list[str], status: int, said: str) -> None:
    result = run(*words)
    assert (result.exit_code, said in " ".join(result.output.split())) == (status, True), result.output


def test_what_is_no_text_is_refused_in_words(config: Path) -> None:
    result = run("--config", config, "-", stdin=b"image: caf\xe9")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "this is not UTF-8, at byte 11" in result.stderr


def test_a_directory_is_no_file(config: Path, tmp_path: Path) -> None:
    result = run("--config", config, "--in-place", tmp_path)
    assert (result.exit_code, "cannot be read" in result.output) == (1, True)


def test_its_options_are_completed() -> None:
    environment = {"_CRPROXY_COMPLETE": "bash_complete", "COMP_WORDS": "crproxy rewrite --", "COMP_CWORD": "2"}
    result = CliRunner().invoke(main, [], prog_name="crproxy", env=environment)
    words = {line.partition(",")[2] for line in result.output.splitlines()}
    assert {"--form", "--in-place", "--check", "--diff"} <= words
