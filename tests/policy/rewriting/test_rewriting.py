"""Any text at all: nothing is raised, nothing but names is changed, and what was rewritten stays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.config import Config
from crproxy.oci.names import Registry
from crproxy.policy.access import Access
from crproxy.policy.rewriting import Change, TooMany, rewrite
from crproxy.policy.rewriting.places import Reason
from crproxy.policy.routing import Names
from tests.policy.rewriting.files import FILES
from tests.policy.rewriting.proxies import NAMES, renaming

RENAMING = renaming()
NAMED_FILES = st.sampled_from(["", "Dockerfile", "a.yaml", "a.json", "a.sh", "a.txt"])

# What files are made of, so that something is found in them.
PIECES = st.sampled_from(
    [
        *("image: ", "image:", "- ", "{", "}", "[", "]", ", ", "\n", "\n  ", "\r\n", ": ", "'", '"', "#", " # "),
        *("|\n", ">-\n", "FROM ", "ARG A=", "COPY --from=", "RUN --mount=from=", "ONBUILD ", " AS ", "a", "<<EOF\n"),
        *("\\\n", "# syntax=", "docker pull ", "docker run -it ", "skopeo copy docker://", "sudo ", "&& ", "$(", ")"),
        *("`", "docker tag ", "nginx", "nginx:1", "quay.io/org/app", "localhost:5000/x", "cr.example.com/quay.io/x"),
        *("docker.cr.example.com/x", "${A", "${A:-", "$A", "{{ ", " }}", "repository: ", "registry: ", "tag: 1"),
        *("services:\n", "images:\n", "name: ", "newTag: 1", "&a ", "*a", "!b ", "---\n", "\t", "\ufeff", "\u2028"),
        *("\x85", "é", "😀", "https://hub.docker.com/_/x", "script:\n", "run: ", "x_IMAGE: ", "--image="),
        *("docker-image://", "@sha256:0", "build: .\n", "\x0c", "\x00"),
    ]
)
TEXTS = st.lists(PIECES, max_size=25).map("".join)


@given(st.text(), NAMED_FILES)
def test_any_text_comes_back(text: str, name: str) -> None:
    found = rewrite(text, RENAMING, name)
    assert (found.text == text) == (not found.changes)


@given(TEXTS, NAMED_FILES)
def test_what_is_no_name_is_unchanged(text: str, name: str) -> None:
    """With each change undone, in its order, it is the text that it was."""
    found = rewrite(text, RENAMING, name)
    undone, position = [], 0
    for change in found.changes:
        at = found.text.index(change.after, position)
        undone += [found.text[position:at], change.before]
        position = at + len(change.after)
    undone.append(found.text[position:])
    if "newName: " not in found.text:
        assert "".join(undone) == text


@given(TEXTS, NAMED_FILES)
def test_what_was_rewritten_stays(text: str, name: str) -> None:
    once = rewrite(text, RENAMING, name)
    again = rewrite(once.text, RENAMING, name)
    assert again.text == once.text, again.changes


@given(st.sampled_from(["compose", "Deployment and CronJob", "Dockerfile", "script"]), st.integers(0, 2000))
def test_half_a_file_is_a_file(kind: str, cut: int) -> None:
    name, marked = FILES[kind]
    once = rewrite(marked.replace("«", "").replace("»", "")[:cut], RENAMING, name)
    assert rewrite(once.text, RENAMING, name).text == once.text


@pytest.mark.parametrize(
    ("text", "name", "reason"),
    [
        ("image: 10.0.0.1/x", "10.0.0.1/x", Reason.INSIDE),
        ("image: localhost/x", "localhost/x", Reason.INSIDE),
        ("image: localhost:5000/x", "localhost:5000/x", Reason.INSIDE),
        ("image: registry.corp/x", "registry.corp/x", Reason.INSIDE),
        ("image: registry.example.com:5000/x", "registry.example.com:5000/x", Reason.NO_WAY),
        ("image: ${X}", "${X}", Reason.VARIABLE),
        ("image: ${X:-}", "${X:-}", Reason.VARIABLE),
        ("image: ${X}/y", "${X}/y", Reason.VARIABLE),
        ("image: '{{ x }}'", "{{ x }}", Reason.TEMPLATE),
        ("image: Not A Name", "Not A Name", Reason.NOT_A_NAME),
        ('image: "a\\u0062c"', '"a\\u0062c"', Reason.WRITTEN_OTHERWISE),
        ("build: .\nimage: org/x", "org/x", Reason.BUILT),
        ("services: [postgres]", "postgres", Reason.SERVICE),
        ("FROM scratch", "scratch", Reason.SCRATCH),
        ("FROM $X", "$X", Reason.VARIABLE),
        ("ARG X\nFROM $X", "$X", Reason.VARIABLE),
        ("FROM ngi\\\nnx", "ngi\\\nnx", Reason.WRITTEN_OTHERWISE),
        ("docker pull $X", "$X", Reason.VARIABLE),
        ("docker pull ngi\\nx", "ngi\\nx", Reason.WRITTEN_OTHERWISE),
    ],
)
def test_what_stays_is_told(text: str, name: str, reason: Reason) -> None:
    found = rewrite(text, RENAMING)
    assert found.text == text
    assert [(kept.name, kept.reason) for kept in found.kept] == [(name, reason)]


@pytest.mark.parametrize(
    "text", ["FROM golang AS b\nFROM b", "image: cr.example.com/quay.io/x", "image: quay.cr.example.com/x"]
)
def test_what_needs_nothing_is_not(text: str) -> None:
    assert rewrite(text, RENAMING).kept == ()


def test_it_is_told_where_what_was_changed() -> None:
    found = rewrite("a: 1\nb:\n  image: nginx\n", RENAMING)
    assert found.changes == (Change(3, "nginx", "cr.example.com/docker.io/nginx"),)


def test_what_is_no_yaml_is_rewritten_by_lines_and_that_is_told() -> None:
    found = rewrite("a: b: c\nimage: nginx:1\n", RENAMING, "a.yaml")
    assert (found.text, found.unread_from) == ("a: b: c\nimage: cr.example.com/docker.io/nginx:1\n", 1)


def test_nothing_is_nested_too_deeply_to_come_back() -> None:
    text = "[" * 50_000
    assert rewrite(text, RENAMING, "a.json").text == text


def test_only_so_many_names_are_looked_at() -> None:
    assert len(rewrite("nginx\n" * 5, RENAMING, most=5).changes) == 5
    with pytest.raises(TooMany):
        rewrite("nginx\n" * 6, RENAMING, most=5)


def test_an_alias_is_not_expanded() -> None:
    """Nine levels of nine: a billion of them, if they were."""
    levels = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    text = "\n".join([*levels, "image: nginx"])
    assert rewrite(text, RENAMING).text == text.replace("nginx", "cr.example.com/docker.io/nginx")


class TestWhatIsServed:
    def test_s1_what_is_not_served_stays(self) -> None:
        config = Config(NAMES, access=Access(frozenset({Registry("quay.io")})))
        found = rewrite("a: {image: nginx}\nb: {image: quay.io/x/y}\n", renaming(config=config))
        assert found.text == "a: {image: nginx}\nb: {image: cr.example.com/quay.io/x/y}\n"
        assert [kept.reason for kept in found.kept] == [Reason.REFUSED]

    def test_a_registry_with_a_port_has_an_alias(self) -> None:
        names = Names("cr.example.com", {"corp.cr.example.com": Registry("registry.example.com:5000")})
        found = rewrite("image: registry.example.com:5000/x", renaming(config=Config(names)))
        assert found.text == "image: corp.cr.example.com/x"

    def test_in_local_mode_the_host_stands_in_front(self) -> None:
        local = renaming(config=Config(Names()), host="localhost:5000")
        once = rewrite("image: nginx", local).text
        assert once == "image: localhost:5000/docker.io/nginx"
        assert rewrite(once, local).text == once
