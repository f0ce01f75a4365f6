from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.oci.names import OLLAMA
from crproxy.policy.aliases import BUILT_IN
from crproxy.policy.external_address import ExternalAddress, external_address
from crproxy.policy.ollama_names import ollama_name, says_hugging_face
from crproxy.policy.pasted_text import Mistake, NotAnImage, read_pasted
from crproxy.policy.pull_commands import pull_command, pull_names
from crproxy.policy.routing import Names, route
from crproxy.policy.serving import Serves
from crproxy.web.page.converting import convert

ALIASES = {f"{label}.cr.example.com": registry for label, registry in BUILT_IN.items()}
DOMAIN = external_address(Names("cr.example.com", ALIASES), "cr.example.com", secure=True)
LAN = external_address(Names(None, {"models.lan": OLLAMA}), "models.lan:5000", secure=False)
LOCAL = external_address(Names(), "localhost:5000", secure=False)


def read_by_ollama(name: str) -> tuple[str, str, str, str]:
    """What Ollama makes of a name, by its grammar: the host, the namespace, the model and the tag."""
    tag = "latest"
    if name.rfind(":") > name.rfind("/"):
        name, _, tag = name.rpartition(":")
    host, _, rest = name.rpartition("/")
    host, namespace, model = (*host.rpartition("/")[::2], rest)
    assert "/" not in host, name
    return host or "registry.ollama.ai", namespace or "library", model, tag


def typed(text: str, address: ExternalAddress) -> list[str]:
    pasted = read_pasted(text, address)
    lines = (pull_command(pasted.form, name, address) for name in pull_names(pasted.image, address))
    return [line.text for line in lines if line is not None]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("ollama pull llama3", "library/llama3"),
        ("ollama run llama3:8b", "library/llama3:8b"),
        ("$ ollama run llama3.2:1b-instruct-q4_K_M --verbose", "library/llama3.2:1b-instruct-q4_K_M"),
        ("ollama show library/llama3", "library/llama3"),
        ("ollama pull user/model", "user/model"),
        ("ollama pull user/model:v1", "user/model:v1"),
        ("ollama pull registry.ollama.ai/library/llama3", "library/llama3"),
        ("ollama pull ollama.ai/llama3", "library/llama3"),
        ("ollama pull ollama.cr.example.com/library/llama3:8b", "library/llama3:8b"),
        ("ollama pull ollama.cr.example.com/llama3", "library/llama3"),
        ("sudo ollama pull a.b/model", "a.b/model"),
    ],
)
def test_models_are_pulled_by_the_alias_of_their_registry(text: str, name: str) -> None:
    assert typed(text, DOMAIN) == [f"ollama pull ollama.cr.example.com/{name}"]
    host, namespace, model, tag = read_by_ollama(f"ollama.cr.example.com/{name}")
    assert host == "ollama.cr.example.com"
    # What Ollama asks that host for is what was meant.
    assert route(DOMAIN.names, host, f"{namespace}/{model}").repository.registry == OLLAMA
    assert tag == name.partition(":")[2] or tag == "latest"


@pytest.mark.parametrize(
    ("text", "image"),
    [
        ("ollama.ai/llama3", "registry.ollama.ai/library/llama3"),
        ("ollama.com/user/model:v1", "registry.ollama.ai/user/model:v1"),
        ("registry.ollama.ai/llama3", "registry.ollama.ai/library/llama3"),
        ("https://ollama.com/library/llama3:8b", "registry.ollama.ai/library/llama3:8b"),
        ("https://ollama.com/library/llama3/tags", "registry.ollama.ai/library/llama3"),
        ("https://ollama.com/user/model", "registry.ollama.ai/user/model"),
        ("https://ollama.ai/library/llama3", "registry.ollama.ai/library/llama3"),
        # Without a word of Ollama, it is what Docker means.
        ("llama3", "llama3"),
    ],
)
def test_its_sites_lead_to_its_registry(text: str, image: str) -> None:
    assert str(read_pasted(text, DOMAIN).image) == image


def test_by_plain_http_it_has_to_be_told() -> None:
    assert typed("ollama pull llama3", LAN) == ["ollama pull --insecure models.lan:5000/library/llama3"]


def test_without_an_alias_there_is_no_name() -> None:
    found = convert("ollama pull llama3", LOCAL, Serves(lambda _: None, lambda _: None, lambda _: True))
    assert (found.lines, found.mistake) == ((), "mistake_no_host")


@pytest.mark.parametrize(
    "text",
    [
        "ollama run hf.co/bartowski/Llama-3.2-1B-Instruct-GGUF:Q4_K_M",
        "https://huggingface.co/bartowski/Llama-3.2-1B-Instruct-GGUF",
        "huggingface.co/a/b",
    ],
)
def test_hugging_faces_are_pulled_from_there(text: str) -> None:
    with pytest.raises(NotAnImage) as raised:
        read_pasted(text, DOMAIN)
    assert raised.value.mistake is Mistake.HUGGING_FACE


def test_a_name_that_only_looks_like_it_is_no_hugging_faces() -> None:
    assert not says_hugging_face("hf.co.example/a/b")
    assert says_hugging_face("HF.co/a/b")


PART = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,7}", fullmatch=True)


@given(st.lists(PART, min_size=1, max_size=2), st.none() | PART)
def test_what_ollama_reads_is_what_is_meant(parts: list[str], tag: str | None) -> None:
    name = "/".join(parts) + (f":{tag}" if tag else "")
    if parts[0] not in ("ollama.ai", "ollama.com"):
        host, namespace, model, _ = read_by_ollama(name)
        meant = ollama_name(name).removesuffix(f":{tag}")
        assert meant in (f"{host}/{namespace}/{model}", f"{host}/{model}")
