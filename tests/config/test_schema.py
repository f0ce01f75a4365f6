"""The schema takes what is documented, and refuses what reading refuses."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from crproxy.config.keys import KEYS
from crproxy.config.schema import schema
from tests.configs import mistake

ROOT = Path(__file__).parent.parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
BLOCKS = [
    pytest.param(block, id=f"{page.name}-{number}")
    for page in PAGES
    for number, block in enumerate(re.findall(r"^```toml\n(.*?)^```$", page.read_text("utf-8"), re.M | re.S))
    # containerd's and buildkit's, those of registries.conf, and of a runner of GitLab's
    if not re.search(r"^\[+(host|registry|plugins|proxy_plugins|runners)\b", block, re.M) and "server = " not in block
]


@pytest.fixture(scope="module")
def validator() -> Draft7Validator:
    made = schema()
    Draft7Validator.check_schema(made)
    return Draft7Validator(made)


def complaints(validator: Draft7Validator, document: dict[str, Any]) -> list[str]:
    return [error.message for error in validator.iter_errors(document)]


@pytest.mark.parametrize("block", BLOCKS)
def test_every_example_of_the_documentation_is_valid(validator: Draft7Validator, block: str) -> None:
    assert complaints(validator, tomllib.loads(block)) == []


def test_examples_were_found() -> None:
    assert len(BLOCKS) > 8


def test_each_key_is_in_an_example_or_has_a_default(validator: Draft7Validator) -> None:
    """A default that can be written down is valid, as is every key without one that the examples have."""
    for key in KEYS:
        if key.literal_default is not None:
            document: Any = key.literal_default
            for name in reversed(key.path):
                # Each table of a list, and any name.
                document = [document] if name == "[]" else {name if name != "*" else "quay.io": document}
            assert complaints(validator, document) == [], key.row


WRONG = [
    "domian = 'x'",
    "domain = 1",
    "workers = 'many'",
    "workers = 0",
    "listen = 1",
    "[listen]\nhttp = 'tcp:80'",
    "[listen]\nhttp = [80]",
    "[listen]\nplain_http = 'perhaps'",
    "[timeouts]\nidle = 60",
    "[timeouts]\nidle = '60'",
    "[cache]\nsize = 50",
    "[cache]\nsize = 'big'",
    "[cache]\nverify_every = 'never'",
    "[limits]\ntotal = '20M'",
    "[limits]\nrequests_per_client = '5/day'",
    "[limits]\nconnections_per_client = -1",
    "[acme]\nchallenge = 'dns-01'",
    "[page]\nstate = 'yes'",
    "[audit]\nfile = '/x'\nformat = 'xml'",
    "[aliases]\nquay = 1",
    "[upstreams.'quay.io']\nretires = 1",
    "[upstreams.'quay.io']\nconnections = 17",
    "[upstreams.'quay.io']\nendpoint = []",
    "[upstreams.'quay.io']\nendpoint = [{ trust_tags = true }]",
    "[upstreams.'quay.io']\nendpoint = [{ url = 'https://quay.io', retries = 1 }]",
]


@pytest.mark.parametrize("text", WRONG)
def test_what_reading_refuses_is_not(validator: Draft7Validator, text: str) -> None:
    assert mistake(text)
    assert complaints(validator, tomllib.loads(text))


@pytest.mark.parametrize("text", ["1ms", "1.5h", " 30d ", "0", "off"])
def test_durations(validator: Draft7Validator, text: str) -> None:
    assert complaints(validator, {"cache": {"verify_every": text}}) == []


@pytest.mark.parametrize("text", ["50G", "1.5t", "500MiB", "1000", "3b"])
def test_sizes(validator: Draft7Validator, text: str) -> None:
    assert complaints(validator, {"cache": {"size": text}, "limits": {"total": f"{text}/s"}}) == []
