"""Each client's files and commands for crproxy as its HTTP proxy, read by a parser of their language."""

from __future__ import annotations

import csv
import re
import shlex
import tomllib
from dataclasses import replace
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from crproxy.policy.setups import PROXIED, SETUPS, Anchor, HttpProxy, Login, Setup

PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
ANCHORS = (Anchor(PEM, "AB:CD:EF:01", ("ghcr.io", "docker.io")), Anchor(PEM, "12:34:56:78", ("ghcr.io",)))
PROXY = HttpProxy("cr.example.com:3128", True, ANCHORS)
PASSWORD = "a b'\"$%,é\\"
LOGGED_IN = replace(PROXY, login=Login("alice", PASSWORD))

PASSWORDS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1)


def text(made: Setup, ending: str) -> str:
    (found,) = (file.text for file in made.files if file.path.endswith(ending))
    return found


def commands(made: Setup) -> list[str]:
    return [line for line in made.then if not line.startswith("#")]


def of_service(made: Setup) -> dict[str, str]:
    """What systemd gives a service: one assignment in quotes, in which backslashes and "%" are special."""
    found = {}
    for line in text(made, ".conf").splitlines()[1:]:
        assignment = re.fullmatch(r'Environment="(\w+)=([^"\\]*)"', line)
        assert assignment is not None, line
        assert "%" not in assignment[2].replace("%%", "")
        found[assignment[1]] = assignment[2].replace("%%", "%")
    return found


def of_shell(made: Setup) -> dict[str, str]:
    lines = shlex.split(text(made, ".sh"), comments=True)
    return dict(word.split("=", 1) for word in lines if word != "export")


def of_engine(made: Setup) -> dict[str, str]:
    return dict(entry.split("=", 1) for entry in tomllib.loads(text(made, ".conf"))["engine"]["env"])


def of_builder(made: Setup) -> dict[str, str]:
    words = shlex.split(commands(made)[0] if "chmod" not in commands(made)[0] else commands(made)[1])
    options = [words[at + 1] for at, word in enumerate(words) if word == "--driver-opt"]
    fields = [field for option in options for field in next(csv.reader([option]))]
    return dict(field.removeprefix("env.").split("=", 1) for field in fields if field.startswith("env."))


def of_talos(made: Setup) -> dict[str, str]:
    _, config = yaml.safe_load_all(text(made, "talos.yaml"))
    return {name.upper(): value for name, value in config["machine"]["env"].items()}


READ: dict[str, list[Any]] = {
    "docker": [of_service],
    "containerd": [of_service],
    "kubernetes": [of_service, of_talos],
    "podman": [of_engine],
    "helm": [of_shell],
    "buildkit": [of_builder],
    "ollama": [of_service],
}


def test_they_are_clients_that_are_set_up_without_it_as_well() -> None:
    assert set(PROXIED) <= set(SETUPS)
    assert set(PROXIED) == set(READ)


@given(st.sampled_from(sorted(PROXIED)), PASSWORDS)
def test_a_client_reads_what_was_meant(client: str, password: str) -> None:
    proxy = replace(PROXY, login=Login("alice", password))
    for read in READ[client]:
        assert read(PROXIED[client](proxy)) == dict(proxy.variables)


@pytest.mark.parametrize("client", PROXIED)
def test_everybody_is_told_what_to_do_and_how_to_go_back(client: str) -> None:
    made = PROXIED[client](LOGGED_IN)
    assert made.about.endswith(".")
    assert all("\n" not in line for line in made.then)
    assert PASSWORD not in "".join(made.then)
    assert sum("has the SHA-256" in line for line in made.then) == len(ANCHORS)
    (back,) = (line for line in made.then if line.startswith("# to go back: "))
    assert made.then[-1] == back


@pytest.mark.parametrize("client", PROXIED)
def test_the_way_back_takes_away_every_file(client: str) -> None:
    made = PROXIED[client](LOGGED_IN)
    removed = [word.replace("*", ".*") for word in made.then[-1].split()]
    for file in made.files:
        if not file.path.endswith("talos.yaml"):  # which is given to talosctl, and stays nowhere
            assert any(re.fullmatch(word, file.path) for word in removed), file.path


@pytest.mark.parametrize(
    ("client", "unit"), [("docker", "docker"), ("containerd", "containerd"), ("kubernetes", "containerd")]
)
def test_a_service_is_restarted_after_both(client: str, unit: str) -> None:
    made = PROXIED[client](PROXY)
    assert made.files[0].path == f"/etc/systemd/system/{unit}.service.d/crproxy.conf"
    assert commands(made)[:3] == ["update-ca-certificates", "systemctl daemon-reload", f"systemctl restart {unit}"]
    _, tidy, *back = made.then[-1].split(" && ")
    assert tidy == "update-ca-certificates --fresh"
    assert back == commands(made)[1:3]


@pytest.mark.parametrize("client", ["docker", "containerd", "kubernetes", "podman", "helm"])
def test_a_password_is_for_root_alone(client: str) -> None:
    made = PROXIED[client](LOGGED_IN)
    assert f"chmod 600 {made.files[0].path}" in commands(made)
    assert not [line for line in PROXIED[client](PROXY).then if line.startswith("chmod")]


def test_of_a_service_it_can_be_seen_all_the_same() -> None:
    assert any("systemctl show docker" in line for line in PROXIED["docker"](LOGGED_IN).then)


@pytest.mark.parametrize("client", PROXIED)
def test_a_password_that_is_not_known_is_for_people_to_put_there(client: str) -> None:
    made = PROXIED[client](replace(PROXY, login=Login("alice")))
    assert made.then[0].startswith("# put the password in the place of PASSWORD, percent-encoded")
    assert ("each % is written twice" in made.then[0]) is (of_service in READ[client])


def test_containers_are_given_no_proxy() -> None:
    assert tomllib.loads(text(PROXIED["podman"](PROXY), ".conf"))["containers"] == {"http_proxy": False}


def test_nobody_sets_it_for_every_shell() -> None:
    for client in PROXIED:
        assert not [file for file in PROXIED[client](PROXY).files if "profile" in file.path]


# BuildKit


def test_a_builder_trusts_the_ca_for_each_name() -> None:
    """It runs in a container, which has nobody's trust store but its own."""
    made = PROXIED["buildkit"](PROXY)
    config, trusted = made.files
    assert trusted.text == PEM * 2
    assert tomllib.loads(config.text)["registry"] == {name: {"ca": [trusted.path]} for name in ("docker.io", "ghcr.io")}
    create = shlex.split(commands(made)[0])
    assert create[create.index("--buildkitd-config") + 1] == config.path


@pytest.mark.parametrize(("host", "shared"), [("127.0.0.1:3128", True), ("cr.example.com:3128", False)])
def test_a_builder_is_in_the_machines_network_where_the_proxy_is_on_it(host: str, shared: bool) -> None:
    create = commands(PROXIED["buildkit"](replace(PROXY, host=host)))[0]
    assert ("--driver-opt network=host" in create) is shared


# Kubernetes


def test_talos_has_a_patch() -> None:
    made = PROXIED["kubernetes"](PROXY)
    trusted, _ = yaml.safe_load_all(text(made, "talos.yaml"))
    assert trusted == {
        "apiVersion": "v1alpha1",
        "kind": "TrustedRootsConfig",
        "name": "crproxy",
        "certificates": (PEM * 2).rstrip("\n"),
    }
    assert any("talosctl patch machineconfig --patch @crproxy-talos.yaml" in line for line in made.then)


def test_other_runtimes_are_named() -> None:
    told = "\n".join(PROXIED["kubernetes"](PROXY).then)
    assert "CRI-O" in told
    assert "CONTAINERD_HTTPS_PROXY" in told
