from __future__ import annotations

import string
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crproxy.config import ConfigError, editing
from crproxy.config.editing import alias_lines, with_alias_line
from crproxy.policy.aliases import BUILT_IN
from tests.configs import loaded

TEXT = """\
# What our cluster pulls through.
domain = "cr.test"   # wildcard

[aliases]
# ours
team = "registry.team.example"   # for the team

"Hub.example.net" = 'docker.io'

# As small as may be.
[cache]
size = "1G"
"""


def edited(text: str, label: str, registry: str) -> str:
    return with_alias_line(text, label, registry, "cr.test")


def test_a_line_comes_behind_the_others_and_before_the_next_tables_comment() -> None:
    before, after = TEXT.split("\n# As small")
    assert (
        edited(TEXT, "corp", "registry.corp.example") == f'{before}corp = "registry.corp.example"\n\n# As small{after}'
    )


def test_a_line_is_changed_where_it_is() -> None:
    wanted = TEXT.replace('"registry.team.example"', '"quay.io"')
    assert edited(TEXT, "team", "quay.io") == wanted
    # However the host is spelt.
    assert edited(TEXT, "team.cr.test", "quay.io") == wanted
    assert edited(TEXT, "hub.example.net", "quay.io") == TEXT.replace("'docker.io'", '"quay.io"')


def test_in_a_file_without_a_domain_it_is_a_whole_name() -> None:
    text = '[cache]\nsize = "1G"\n'
    written = edited(text, "corp", "registry.corp.example")
    assert written == f'{text}\n[aliases]\n"corp.cr.test" = "registry.corp.example"\n'
    # Which is read without the command line's domain, and with it.
    assert "corp.cr.test" in loaded(written).names.aliases
    assert loaded(edited(written, "corp", "")) == loaded(text)


def test_a_line_is_taken_out() -> None:
    assert edited(TEXT, "team", "") == TEXT.replace('team = "registry.team.example"   # for the team\n', "")


def test_a_built_in_one_is_taken_away_by_a_line() -> None:
    assert edited('domain = "cr.test"\n', "quay", "") == 'domain = "cr.test"\n\n[aliases]\nquay = ""\n'
    assert edited('[aliases]\nquay = "ghcr.io"\n', "quay", "") == '[aliases]\nquay = ""\n'


@pytest.mark.parametrize(("label", "registry"), [("team", "registry.team.example"), ("nobody", "")])
def test_what_is_so_already_changes_nothing(label: str, registry: str) -> None:
    assert edited(TEXT, label, registry) is TEXT


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("", '[aliases]\n"corp.cr.test" = "c.example"\n'),
        ("[aliases]", '[aliases]\n"corp.cr.test" = "c.example"\n'),
        ("[aliases]\n[cache]\n", '[aliases]\n"corp.cr.test" = "c.example"\n[cache]\n'),
        ('[aliases]\na = "b"', '[aliases]\na = "b"\ncorp = "c.example"\n'),
        ('aliases = {a = "b"}\n', 'aliases = {a = "b",corp = "c.example"}\n'),
        ('aliases.a = "b"\n[cache]\n', 'aliases.a = "b"\naliases.corp = "c.example"\n[cache]\n'),
        ('[aliases]\r\na = "b"\r\n', '[aliases]\r\na = "b"\r\ncorp = "c.example"\r\n'),
        ('[aliases]\n  a = "b"  # c\n\n  # end\n', '[aliases]\n  a = "b"  # c\ncorp = "c.example"\n\n  # end\n'),
    ],
)
def test_whatever_the_layout_is(text: str, changed: str) -> None:
    # A comma inside of braces may have a space or not.
    assert edited(text, "corp", "c.example").replace(", corp", ",corp") == changed


@pytest.mark.parametrize(
    ("text", "label", "what"),
    [
        ("domain = \n", "corp", "this is not TOML"),
        ("aliases = 3\n", "corp", "is no table"),
        ("[[aliases]]\n", "corp", "is no table"),
        ("", "a b", "this is not a name"),
    ],
)
def test_what_cannot_be_done_is_told(text: str, label: str, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        edited(text, label, "quay.io")


@pytest.mark.parametrize("made", ['domain = "cr.test"\n', "domain = \n", '[aliases]\ncorp = "other.io"\n'])
def test_what_came_out_otherwise_is_not_believed(monkeypatch: pytest.MonkeyPatch, made: str) -> None:
    monkeypatch.setattr(editing, "_change", lambda text, key, value: made)
    with pytest.raises(ConfigError):
        edited("", "corp", "quay.io")


def test_the_last_of_dotted_keys_goes_with_its_table() -> None:
    assert tomllib.loads(edited('aliases.a = "b"\n[cache]\nsize = "1G"\n', "a", "")) == {"cache": {"size": "1G"}}


def test_what_to_write_by_hand() -> None:
    assert alias_lines("corp", "quay.io") == '[aliases]\ncorp = "quay.io"'
    assert alias_lines("hub.example.net", "") == '[aliases]\n"hub.example.net" = ""'


_labels = st.one_of(
    st.sampled_from(sorted(BUILT_IN)), st.text(string.ascii_lowercase, min_size=1, max_size=4), st.just("a.example.net")
)
_registries = st.sampled_from(["quay.io", "ghcr.io", "registry.example.com:5000"])
_blanks = st.sampled_from(["", "\n", "# a comment\n", "  # another = 3\n"])
_lines = st.dictionaries(_labels, st.tuples(_registries, st.sampled_from(["", "  # why"]), _blanks), max_size=4)


@given(_lines, _blanks, _labels, st.one_of(st.just(""), _registries))
def test_what_counts_is_what_was_asked_for_and_all_else_stays(
    lines: dict[str, tuple[str, str, str]], tail: str, label: str, registry: str
) -> None:
    body = "".join(f'{blank}"{key}" = "{name}"{why}\n' for key, (name, why, blank) in lines.items())
    text = f'domain = "cr.test"\n[aliases]\n{body}{tail}[cache] # theirs\nsize = "1G"\n'
    changed = edited(text, label, registry)
    before, after = (dict(loaded(one).names.aliases) for one in (text, changed))
    host = label if "." in label else f"{label}.cr.test"
    was, now = before.pop(host, None), after.pop(host, None)
    assert before == after
    assert (None if now is None else now.name) == (registry or None)
    kept = [line for line in text.splitlines() if not line.startswith(f'"{label}"')]
    assert [line for line in changed.splitlines() if line in kept] == kept or was is not None
    assert edited(changed, label, registry) == changed
