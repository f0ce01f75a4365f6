"""Chinese, as an editor reads it, as far as a test can: punctuation, and how the reader is spoken to.

All of it is looked at: the README, and every text in the code.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = ROOT / "README.zh-CN.md"

HAN = "[\u3400-\u4dbf\u4e00-\u9fff]"
# Of full width, so no space belongs beside it.
FULL = "[，。、；：？！（）“”《》]"

FAULTS = {
    "half-width punctuation": re.compile(
        rf"(?<={HAN})[ ]?[,;:?!](?![A-Za-z0-9])|{HAN}\.(?![A-Za-z0-9])|{HAN}[(\"']|[)\"']{HAN}|[(]{HAN}"
    ),
    "a space beside full-width punctuation": re.compile(
        rf"\S [，。、；：？！）”》]|[，。、；：？！（“《] \S|{HAN} {FULL}"
    ),
    "你: the reader is 您": re.compile("你"),
    "no space between Chinese and Latin letters": re.compile(rf"{HAN}[A-Za-z0-9]|[A-Za-z0-9]{HAN}"),
    "a space between Chinese characters": re.compile(rf"{HAN} +{HAN}"),
    "a line that ends inside of a paragraph, which is a space": re.compile(rf"(?:{HAN}|{FULL})\n(?:{HAN}|{FULL})"),
    "dots in place of ……": re.compile(rf"{HAN}\.\.|…(?!…)(?<!……)"),
}
FENCED = re.compile(r"^```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def faults(text: str) -> list[str]:
    """What an editor would strike out, each with the place."""
    return [
        f"{name}: {text[max(0, found.start() - 10) : found.end() + 10]!r}"
        for name, pattern in FAULTS.items()
        for found in pattern.finditer(text)
    ]


def readable(markdown: str) -> str:
    """The prose of a page: without its blocks, without where links lead; code is read as a Latin word."""
    text = re.sub(r"`[^`\n]*`", "x", FENCED.sub("", markdown))
    text = re.sub(r"\]\([^)\s]+\)", "]", text)
    return re.sub(r"!?\[([^\]]*)\]", r"\1", text).replace("**", "")


def texts_in(source: str) -> Iterator[str]:
    """The strings of a module that are Chinese, as they are shown: without markup, a word in each place."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.search(HAN, node.value):
            yield re.sub(r"</?[^>]*>", "", re.sub(r"\{\w*\}", "x", node.value))


SOURCES = [
    path for path in sorted((ROOT / "crproxy").rglob("*.py")) if any(True for _ in texts_in(path.read_text("utf-8")))
]


def test_the_prose_of_the_readme() -> None:
    assert faults(readable(README.read_text("utf-8"))) == []


def test_the_comments_in_its_blocks() -> None:
    blocks = FENCED.findall(README.read_text("utf-8"))
    comments = [line.partition("#")[2] for block in blocks for line in block.splitlines() if re.search(HAN, line)]
    assert comments
    assert [fault for comment in comments for fault in faults(comment)] == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_texts_of_the_code(path: Path) -> None:
    assert [fault for text in texts_in(path.read_text("utf-8")) for fault in faults(text)] == []


def test_the_page_is_among_them() -> None:
    assert ROOT / "crproxy" / "web" / "page" / "texts.py" in SOURCES


@pytest.mark.parametrize(
    "text",
    [
        "镜像,仓库",
        "镜像, 仓库",
        "见下文:",
        "结束.",
        "镜像(仓库)",
        "镜像 ，仓库",
        "镜像， 仓库",
        "让你的机器",
        "用Docker拉取",
        "镜像 仓库",
        "镜像\n仓库",
        "镜像，\n仓库",
        "等等...",
        "等等…",
    ],
)
def test_a_fault_is_found(text: str) -> None:
    assert faults(text)


@pytest.mark.parametrize(
    "text",
    ["镜像，仓库", "用 Docker 拉取（见下文）。", "说“不存在”时", "- 镜像\n- 仓库", "为 sha256: 加 64 位", "等等……"],
)
def test_what_is_right_is_none(text: str) -> None:
    assert faults(text) == []
