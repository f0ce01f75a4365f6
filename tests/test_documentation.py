"""What the documentation says and the code decides: options, keys, commands, files, links."""

import json
import operator
import re
from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from crproxy.admin.command import main
from crproxy.config import ConfigError, load
from crproxy.config import Options as ConfigOptions
from crproxy.config.options import OPTIONS
from crproxy.config.variables import variable_of
from crproxy.oci.names import Registry
from crproxy.policy.aliases import BUILT_IN
from crproxy.policy.setups import SETUPS
from crproxy.tap import Options
from tests import security_table
from tests.parts.command_lines import read

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
CHINESE = ROOT / "README.zh-CN.md"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")

# Where packages come from is a matter of whoever installs them, and so is where a tree lies.
PRIVATE = re.compile(
    r"\b(?:pypi|pythonhosted|npmjs|debian)\.(?:org|com)\b|(?<![\w.])/(?:root|home|Users)/\w", re.IGNORECASE
)


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a page in one language."""
    return [text for found, text in FENCED.findall(page.read_text("utf-8")) if found == language]


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return FENCED.sub("", page.read_text("utf-8"))


def without_comments(block: str) -> str:
    """A block as every language has it."""
    return re.sub(r"[ \t]+#.*$", "", block, flags=re.MULTILINE)


def options_in_table(page: Path) -> set[str]:
    """The options that begin a row of a table."""
    return set(re.findall(r"^\| `--([a-z-]+)", page.read_text("utf-8"), re.MULTILINE))


def options_of_twistd() -> set[str]:
    """The options of `twistd crproxy`, but for those that every command has."""
    return {option.rstrip("=") for option in Options().longOpt} - {"help", "version"}


def anchors(page: Path) -> set[str]:
    """What a link into a page may name, by GitHub's rule."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [README, CHINESE], ids=lambda page: page.name)
class TestReadme:
    def test_its_options_are_those_of_the_command(self, page: Path) -> None:
        assert options_in_table(page) == options_of_twistd()

    def test_its_make_targets_exist(self, page: Path) -> None:
        makefile = (ROOT / "Makefile").read_text()
        targets = set(re.findall(r"\bmake ([a-z-]+)", page.read_text("utf-8")))
        assert targets
        assert targets <= set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))


class TestTranslation:
    def test_it_has_the_same_blocks(self) -> None:
        english, chinese = (
            [(language, without_comments(text)) for language, text in FENCED.findall(page.read_text("utf-8"))]
            for page in (README, CHINESE)
        )
        assert english == chinese

    def test_it_names_the_same_code(self) -> None:
        english, chinese = (Counter(CODE.findall(prose(page))) for page in (README, CHINESE))
        assert english == chinese

    def test_it_has_the_same_sections(self) -> None:
        english, chinese = (re.findall(r"^#+ ", prose(page), re.MULTILINE) for page in (README, CHINESE))
        assert english == chinese

    def test_it_links_to_the_same_pages(self) -> None:
        # The picture of each shows the page in its language.
        english, chinese = (
            Counter(link.replace("-zh.png", "-en.png") for link in LINK.findall(prose(page)))
            for page in (README, CHINESE)
        )
        assert english - Counter([CHINESE.name]) == chinese - Counter([README.name])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
class TestEveryPage:
    def test_its_links_lead_somewhere(self, page: Path) -> None:
        for link in LINK.findall(prose(page)):
            path, _, anchor = link.partition("#")
            if "://" in link:
                continue
            target = page.parent / path if path else page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link

    def test_the_files_it_names_exist(self, page: Path) -> None:
        named = re.compile(r"(?:crproxy|tests|docs|benchmarks|systemd|twisted|changes|\.ci)/[\w./-]*")
        for code in CODE.findall(prose(page)):
            assert not named.fullmatch(code) or (ROOT / code).exists(), code


CALL = re.compile(r"(?:^|(?<=/bin/)|(?<=\| )|(?<= -- )|(?<=sudo )|(?<=\$\())(?:crproxy|twistd) (?:-|[a-z]).*")
FORMS = {
    # What stands for something else in a form.
    "COMMAND": "cache",
    "CLIENT": "docker",
}
SENTENCES = {"crproxy itself failed; its log says why"}


def calls(page: Path) -> Iterator[str]:
    """The lines of a page, in blocks and in its text, that call crproxy."""
    lines = (line.partition(" # ")[0] for block in blocks(page, "sh") for line in block.splitlines())
    codes = (code for code in CODE.findall(prose(page)) if re.match(r"(?:\S*/)?(?:crproxy|twistd) [-a-z]", code))
    for line in (*lines, *codes):
        if CALL.search(line) and line not in SENTENCES:
            yield re.sub(r"\b[A-Z]+\b", lambda word: FORMS.get(word[0], word[0]), line)


def all_calls() -> list[str]:
    return sorted({line for page in PAGES for line in calls(page)})


@pytest.mark.parametrize("line", all_calls())
def test_a_call_has_commands_and_options_that_there_are(line: str) -> None:
    read(line[CALL.search(line).start() :].rstrip(')"'))  # type: ignore[union-attr]


def test_there_are_calls() -> None:
    assert len(all_calls()) > 40


# Pages with configurations.
CONFIGURED = (README, CHINESE, *(ROOT / "docs" / f"{name}.md" for name in ("configuration", "operations", "policy")))
PUBLIC_KEY = (
    ec.generate_private_key(ec.SECP256R1())
    .public_key()
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    .decode()
)


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(block, id=f"{page.name}-{number}")
        for page in CONFIGURED
        for number, block in enumerate(blocks(page, "toml"))
        if not block.startswith("[host.")  # containerd's
    ],
)
def test_a_configuration_can_be_used(block: str) -> None:
    files = {"htpasswd": f"alice:$2y$05${'e' * 53}\n", "fleet.secret": "s" * 32, "cosign.pub": PUBLIC_KEY}
    load(block, ConfigOptions(), read_file=lambda path: files.get(Path(path).name, "secret\n"))


CONFIGURATION = ROOT / "docs" / "configuration.md"

TABLES = {
    "## At the top": "",
    "## `[listen]`": "[listen]",
    "## `[access]`": "[access]",
    "## `[[rules]]`": "[[rules]]",
    "## `[clients]`": "[clients]",
    "## `[limits]`": "[limits]",
    "## `[acme]`": "[acme]",
    "## `[page]`": "[page]",
    "## `[admin]`": "[admin]",
    '## `[upstreams."NAME"]`': '[upstreams."quay.io"]',
    "## `[cache]`": "[cache]",
    "## `[storage]`": '[storage]\nurl = "s3://bucket"',
    "## `[audit]`": "[audit]",
    "## `[log]`": "[log]",
    "## `[metrics]`": "[metrics]",
    "## `[fleet]`": "[fleet]",
    "## `[proxy]`": "[proxy]",
    "## `[timeouts]`": "[timeouts]",
}
"""Where the keys of each table are documented."""

SECTIONS = {
    "access",
    "acme",
    "admin",
    "aliases",
    "audit",
    "cache",
    "clients",
    "fleet",
    "limits",
    "listen",
    "log",
    "metrics",
    "page",
    "pins",
    "proxy",
    "rules",
    "storage",
    "upstreams",
    "timeouts",
}
"""The tables themselves, each a section of its own."""


@pytest.mark.parametrize("heading", TABLES)
def test_the_keys_of_a_table_are_those_that_are_read(heading: str) -> None:
    section = CONFIGURATION.read_text("utf-8").partition(f"\n{heading}\n")[2].partition("\n## ")[0]
    documented = set(re.findall(r"^\| `([a-z_]+)`", section, re.MULTILINE))
    assert documented == known_keys(TABLES[heading]) - (set() if TABLES[heading] else SECTIONS)


def test_the_keys_of_an_endpoint_are_those_that_are_read() -> None:
    section = CONFIGURATION.read_text("utf-8").partition("\n## Several endpoints for one registry\n")[2]
    keys = [cell for cell in re.findall(r"^\| (.*?) \|", section.partition("\n## ")[0], re.MULTILINE) if "`" in cell]
    read = known_keys('[upstreams."quay.io"]\n[[upstreams."quay.io".endpoint]]\nurl = "https://quay.io"')
    assert set(re.findall(r"`([a-z_]+)`", " ".join(keys))) == read


def documented_defaults() -> list[tuple[str, str, str]]:
    """The table, the key, and the default of each row that has one that can be written down."""
    found = []
    for heading, table in TABLES.items():
        section = CONFIGURATION.read_text("utf-8").partition(f"\n{heading}\n")[2].partition("\n## ")[0]
        rows = re.findall(r"^\| `([a-z_]+)` \| .* \| `([^`]+)` \|$", section, re.MULTILINE)
        found += [(table, key, value) for key, value in rows]
    return found


@pytest.mark.parametrize(("table", "key", "value"), documented_defaults())
def test_a_documented_default_is_what_counts_without_the_key(table: str, key: str, value: str) -> None:
    """Written down, it changes nothing. So the page needs no generator."""
    without, written = (load(f"{table}\n{line}", ConfigOptions(), read_file=str) for line in ("", f"{key} = {value}"))
    assert written == without


def test_defaults_are_documented() -> None:
    assert len(documented_defaults()) > 15


def test_every_option_has_its_variable_in_the_table() -> None:
    section = CONFIGURATION.read_text("utf-8").partition("\n## Options and environment variables\n")[2]
    rows = re.findall(r"^\| `--([a-z-]+)` \| `(\w+)` \| (.+) \|$", section.partition("\n## ")[0], re.MULTILINE)
    expected = [
        (option.name, variable_of(option), f"`{option.key}`" if option.key else "which file") for option in OPTIONS
    ]
    assert rows == expected
    assert {option.name for option in OPTIONS} == options_of_twistd()


def test_the_built_in_aliases_are_those_that_are_documented() -> None:
    section = CONFIGURATION.read_text("utf-8").partition("\n## Aliases\n")[2].partition("\n## ")[0]
    rows = re.findall(r"`([a-z0-9-]+)` \| ([a-z0-9.]+) \|", section)
    assert {label: Registry.parse(name) for label, name in rows} == BUILT_IN


def known_keys(table: str) -> set[str]:
    """The keys that a table may have, by what is said of one that it may not have."""
    with pytest.raises(ConfigError) as caught:
        load(f"{table}\nqqqqqqqq = 1\n", ConfigOptions(), read_file=str)
    return set(str(caught.value).partition("known here: ")[2].split(", "))


def text_files() -> list[Path]:
    """Every file of the project, but for what git ignores."""
    ignored = [".git", *(line.rstrip("/") for line in (ROOT / ".gitignore").read_text().splitlines())]
    return [
        path
        for path in sorted(ROOT.rglob("*"))
        if path.is_file()
        if not any(fnmatch(part, pattern) for part in path.relative_to(ROOT).parts for pattern in ignored)
    ]


def test_nothing_private_is_written_down() -> None:
    found = {
        str(path.relative_to(ROOT)): match.group()
        for path in text_files()
        if (match := PRIVATE.search(path.read_text("utf-8", errors="replace")))
    }
    assert found == {}


@pytest.mark.parametrize(
    "text", ["https://files.pythonhosted." + "org/x", "see /home" + "/me/crproxy", "PyPI." + "org"]
)
def test_what_is_private_is_recognised(text: str) -> None:
    assert PRIVATE.search(text)


class TestSecurity:
    def test_every_row_is_there(self) -> None:
        assert security_table.rows_of(security_table.PAGE.read_text("utf-8")) == [
            f"S{number}" for number in range(1, 41)
        ]

    def test_the_page_has_the_tests_of_the_suite(self) -> None:
        page = security_table.PAGE.read_text("utf-8")
        right = security_table.written(page, security_table.all_shown())
        assert page == right, "run: make security-table"

    def test_every_row_is_shown_by_a_test(self) -> None:
        shown = {found.row for found in security_table.all_shown()}
        rows = security_table.rows_of(security_table.PAGE.read_text("utf-8"))
        assert [row for row in rows if row not in shown] == []

    def test_who_may_have_what_is_one_table(self) -> None:
        """On the page and in the decision that explains it."""
        pages = (security_table.PAGE, ROOT / "docs/decisions/0004-private-content.md")
        tables = [
            [
                line
                for line in page.read_text("utf-8").splitlines()
                if line.startswith(("| who asks", "| anybody", "| a client"))
            ]
            for page in pages
        ]
        assert tables[0] == tables[1]
        assert len(tables[0]) == 8

    def test_every_marker_names_a_row(self) -> None:
        rows = security_table.rows_of(security_table.PAGE.read_text("utf-8"))
        assert [found for found in security_table.all_shown() if found.row not in rows] == []

    def test_a_test_shows_what_its_name_and_its_markers_say(self) -> None:
        source = (
            'import pytest\n@pytest.mark.security("S6", "S7")\nasync def test_s5_a(): ...\n'
            "class TestB:\n    def test_s12_c4_b(self): ...\n    def s13_no_test(self): ...\ndef test_c(): ...\n"
        )
        shown = sorted((found.test, found.row) for found in security_table.shown_by(source, "x.py"))
        assert shown == [("test_s12_c4_b", "S12"), ("test_s5_a", "S5"), ("test_s5_a", "S6"), ("test_s5_a", "S7")]

    @pytest.mark.parametrize("arguments", ["", '"5"', '"S0"', "5", "ROW", 'row="S5"'])
    def test_a_marker_that_names_no_row_is_a_mistake(self, arguments: str) -> None:
        source = f"@pytest.mark.security({arguments})\ndef test_a(): ...\n"
        with pytest.raises(ValueError, match=r"x\.py:1: "):
            list(security_table.shown_by(source, "x.py"))

    def test_a_row_without_a_test_has_an_empty_cell(self) -> None:
        page = "| S1 | a | b | old |\n| S2 | a | b | old |\n"
        shown = [security_table.Shown("tests/x.py", "test_a", "S1"), security_table.Shown("tests/x.py", "test_b", "S1")]
        right = "| S1 | a | b | [tests/x.py](../tests/x.py): `test_a`, `test_b` |\n| S2 | a | b |  |\n"
        assert security_table.written(page, shown) == right
        assert security_table.written(right, shown) == right


CLIENTS = ROOT / "docs" / "clients.md"


def sections_of_clients() -> dict[str, str]:
    """The sections of the page of clients that begin with a command, by that."""
    sections = re.split(r"^## .+$", CLIENTS.read_text("utf-8"), flags=re.MULTILINE)[1:]
    found = ((re.match(r"\n+`(crproxy setup .+)`\n", section), section) for section in sections)
    return {command[1]: section for command, section in found if command is not None}


def test_every_client_has_its_section() -> None:
    assert [command.split()[2] for command in sections_of_clients()] == list(SETUPS)


@pytest.mark.parametrize("command", sections_of_clients())
def test_a_clients_file_is_what_is_printed(command: str) -> None:
    result = CliRunner().invoke(main, [*command.split()[1:], "--json"])
    assert result.exit_code == 0, result.output
    printed = json.loads(result.stdout)
    section = sections_of_clients()[command]
    files = [*printed["files"], *printed["added"]]
    written = [text for _, text in FENCED.findall(section)]
    merge = [printed["merge"]] if printed["merge"] else []
    assert written == [*(file["text"] for file in files), *merge, "\n".join([*printed["then"], ""])]
    assert re.findall(r"^`(\S+)`(?:, added to what is there)?:$", section, re.MULTILINE) == [
        file["path"] for file in files
    ]
    assert " ".join(printed["about"].split()) in " ".join(section.split())


NAME = operator.attrgetter("name")
UNITS = re.compile(r"\d\s?[kKMGT]B(?:/s)?\b")


@pytest.mark.parametrize("page", [*sorted((ROOT / "docs").glob("*.md")), *sorted(ROOT.glob("README*.md"))], ids=NAME)
def test_sizes_have_the_units_that_are_shown_everywhere(page: Path) -> None:
    """KiB, MiB and GiB; what may be written into the configuration is code."""
    prose = re.sub(
        r"`[^`\n]+`", "", re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    )
    assert UNITS.findall(prose) == []
