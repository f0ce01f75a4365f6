from __future__ import annotations

import pytest

from crproxy.config import Config, Options, load
from crproxy.oci.errors import RegistryError
from crproxy.oci.names import Registry
from tests.configs import loaded, mistake
from tests.outcomes import outcome

FILE = """
# what the team uses
quay.io/org/*
docker.io/nginx      # the front
"""


def with_file(text: str, content: str) -> Config:
    return load(text, Options(), read_file={"/list": content}.__getitem__)


def served(config: Config, name: str, client: str | None = None) -> bool:
    registry, _, path = name.partition("/")
    repository = Registry.parse(registry).repository(path)
    return not isinstance(outcome(RegistryError, config.access.check, repository, client), RegistryError)


def test_lists_are_read() -> None:
    config = loaded('[access]\nallow = ["quay.io/*"]\ndeny = ["quay.io/secret/*"]')
    assert served(config, "quay.io/org/app")
    assert not served(config, "quay.io/secret/app")
    assert not served(config, "ghcr.io/org/app")


def test_a_file_adds_to_the_list() -> None:
    config = with_file('[access]\nallow = ["ghcr.io"]\nallow_file = "/list"', FILE)
    assert all(served(config, name) for name in ("quay.io/org/app", "docker.io/nginx", "ghcr.io/a/b"))
    assert not served(config, "docker.io/httpd")


def test_a_file_may_deny() -> None:
    config = with_file('[access]\ndeny_file = "/list"', FILE)
    assert not served(config, "quay.io/org/app")
    assert served(config, "quay.io/other/app")


def test_clients_may_be_privileged() -> None:
    config = loaded(
        '[access]\ndeny = ["*"]\n[clients]\nprivileged = ["192.0.2.0/24", "::1"]\nprivileged_images = ["ghcr.io"]'
    )
    assert served(config, "quay.io/a/b", "192.0.2.1")
    assert served(config, "quay.io/a/b", "::1")
    assert not served(config, "quay.io/a/b", "192.0.3.1")
    assert served(config, "ghcr.io/a/b", "192.0.3.1")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('[access]\nallow = ["a b"]', "line 2: access.allow: number 1: 'a b' is no pattern"),
        ("[access]\nallow = 1", "line 2: access.allow: this is a list"),
        ('[access]\ndeny = ["quay.io", "*/x"]', "line 2: access.deny: number 2: '*/x' is no pattern"),
        ('[clients]\nprivileged = ["x"]', "line 2: clients.privileged: 'x' is no network"),
        ('[clients]\nprivileged = ["10.0.0.1/8"]', "line 2: clients.privileged: '10.0.0.1/8' is no network"),
        ("[clients]\nprivileges = []", "line 2: clients.privileges: there is no such key; did you mean privileged?"),
    ],
)
def test_a_mistake_is_told_with_its_line(text: str, what: str) -> None:
    assert mistake(text).startswith(what)


def test_a_mistake_in_a_file_is_told_with_the_files_line() -> None:
    with pytest.raises(Exception, match=r"^line 2: access.allow_file: number 3: 'quay.io/\*/x' is no pattern"):
        with_file('[access]\nallow_file = "/list"', "quay.io\n\nquay.io/*/x\n")


def test_an_empty_file_would_allow_everything_and_is_a_mistake() -> None:
    with pytest.raises(Exception, match=r"^line 2: access.allow_file: there is no pattern in it"):
        with_file('[access]\nallow_file = "/list"', "# nothing\n")


def test_lists_of_tags_may_be_left_empty() -> None:
    assert loaded("").access.tags
    assert not loaded("[access]\ntags = false").access.tags
