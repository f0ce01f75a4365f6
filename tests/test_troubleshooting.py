"""docs/troubleshooting.md: what it quotes is what the code says, and what the code says is on it."""

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "troubleshooting.md"

GAP = "…"
# What clients say, and what the page says of headers, is nobody's text here.
NOT_OURS = ("From the client itself",)
# A text of which next to nothing is fixed, such as "{path}: {error}", carries another one.
FIXED = 8


def texts_of(tree: ast.AST) -> Iterator[str]:
    """Every text in a source file, with a gap for what is put into it."""
    for node in ast.walk(tree):
        found = text_of(node)
        if found:
            yield found


def text_of(node: ast.AST) -> str | None:
    """A text, an f-string, or a log message: with a gap for each thing that is put in."""
    match node:
        case ast.Constant(value=str(text)):
            return re.sub(r"\{[\w.!:]*\}", GAP, text)
        case ast.JoinedStr(values=values):
            return "".join(GAP if isinstance(part, ast.FormattedValue) else text_of(part) or "" for part in values)
        case _:
            return None


@functools.cache
def sources() -> list[ast.Module]:
    return [ast.parse(path.read_text("utf-8")) for path in sorted((ROOT / "crproxy").rglob("*.py"))]


def errors_of(tree: ast.AST) -> Iterator[str]:
    """The texts that somebody is shown: those of errors that carry an answer, and of the log from warnings up."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func).rpartition(".")
        shown = called[2] in {"RegistryError", "CannotStart", "ListenError", "StartFault", "BodyBroke"}
        logged = called[0].endswith("_log") and called[2] in {"warn", "error", "failure"}
        if shown or logged:
            yield from filter(None, map(text_of, node.args))


def quoted() -> list[str]:
    """The messages that begin a row of the page's tables."""
    found = []
    for section in re.split(r"^## ", PAGE.read_text("utf-8"), flags=re.MULTILINE)[1:]:
        if section.startswith(NOT_OURS):
            continue
        for row in re.findall(r"^\| (`.*?`)(?:,[^|`]*)? \|", section, re.MULTILINE):
            found += re.findall(r"`([^`]+)`", row)
    return found


def fragments(text: str) -> list[str]:
    """What is fixed in a text."""
    return [fragment for fragment in (part.strip() for part in text.split(GAP)) if fragment]


def says(text: str, message: str) -> bool:
    """Whether all that is fixed in ``message`` is in ``text``, in this order."""
    pieces = fragments(message)
    return bool(pieces) and re.search(".*?".join(map(re.escape, pieces)), text, re.DOTALL) is not None


@functools.cache
def every_text() -> list[str]:
    return [text for tree in sources() for text in texts_of(tree)]


@pytest.mark.parametrize("message", quoted())
def test_a_quoted_message_is_one_of_the_code(message: str) -> None:
    """Each piece of it, since some are put together from several texts."""
    missing = [piece for piece in fragments(message) if not any(piece in text for text in every_text())]
    assert missing == []


def test_every_error_is_on_the_page() -> None:
    """Whoever adds one says on the page what to do about it."""
    messages = re.findall(r"`([^`\n]+)`", PAGE.read_text("utf-8"))
    shown = {text for tree in sources() for text in errors_of(tree)}
    worded = {text for text in shown if len("".join(fragments(text))) >= FIXED}
    assert worded
    assert {
        text for text in worded if not any(says(text, message) or says(message, text) for message in messages)
    } == set()


def test_the_page_was_read() -> None:
    assert len(quoted()) > 50


@pytest.mark.parametrize(
    ("text", "message", "expected"),
    [
        ("… is not there: …", "… is not there: … answered …", False),
        ("… is not there: …", "… is not there: …", True),
        ("a and b", "b … a", False),
    ],
)
def test_what_matches(text: str, message: str, expected: bool) -> None:
    assert says(text, message) is expected
