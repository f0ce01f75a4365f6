"""What the documentation claims in words and numbers, and the code decides.

Options, keys, metrics, commands, statuses and messages have tests of their own; here is the rest of what can be read.
"""

from __future__ import annotations

import configparser
import re
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from crproxy.admin.command import main
from crproxy.admin.doctor.findings import Area
from crproxy.config import Config
from crproxy.fleet import claims, leases, nodes, tags
from crproxy.objects import object_store
from crproxy.policy import endpoint_order, parallel, renewal, shared_certificates
from crproxy.policy.aliases import BUILT_IN
from crproxy.policy.audit import CacheState, Ending
from crproxy.policy.descriptors import Descriptors
from crproxy.policy.setups import SETUPS
from crproxy.service import current_configuration
from crproxy.store.janitor import LINK_AGE, PARTIAL_AGE
from crproxy.tap import Options
from crproxy.tls import common_certificates, ordering
from crproxy.upstream import parallelism, segments
from crproxy.workers import worker
from tests.parts.command_lines import all_commands
from tests.stress.mutations import MUTATIONS

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
README = ROOT / "README.md"
OPERATIONS = DOCS / "operations.md"
CONFIGURATION = DOCS / "configuration.md"
FLEET = DOCS / "fleet.md"
NUMBERS = {4: "four", 8: "eight", 9: "nine", 14: "fourteen"}
MIB = 1024 * 1024
PARTS = parallel.Bounds()
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


def words(page: Path) -> str:
    """A page as one line."""
    return " ".join(page.read_text("utf-8").split())


def section(page: Path, heading: str) -> str:
    """What stands under a heading, up to the next one of the same level or a higher one."""
    level = heading.partition(" ")[0]
    text = page.read_text("utf-8").partition(f"\n{heading}\n")[2]
    return re.split(rf"^#{{1,{len(level)}}} ", text, maxsplit=1, flags=re.MULTILINE)[0]


def first_cells(text: str) -> list[str]:
    """The first cell of each row of the tables in a text, without their heads."""
    return [cell for cell in re.findall(r"^\| (.*?) \|", text, re.MULTILINE) if "`" in cell]


USUAL = Config()

CLAIMS: list[tuple[Path, str, Any, Any]] = [
    # page, what it says, what the code has, what that says
    (README, "prints such files for {} clients", NUMBERS.get(len(SETUPS)), "nine"),
    (README, "| [{}](docs/configuration.md#aliases) |", NUMBERS.get(len(BUILT_IN)), "fourteen"),
    (README, "A tag is asked about again after a minute", USUAL.cache.lifetimes.tag_ttl, MINUTE),
    (README, "after two seconds at the most", USUAL.cache.lifetimes.patience, 2.0),
    (README, "everything is read again within a month", USUAL.cache.verify_every, 30 * DAY),
    (
        OPERATIONS,
        "good for the repositories that they pull at that host and for five minutes",
        USUAL.clients.token_ttl,
        300,
    ),
    (OPERATIONS, "a client has {} connections", str(USUAL.limits.connections_per_client), "512"),
    (OPERATIONS, "begins {} fills at the most", str(USUAL.limits.fills_per_client), "128"),
    (OPERATIONS, "A certificate is renewed at the last third of its life", renewal.renew_at(0.0, 90.0), 60.0),
    (
        OPERATIONS,
        "after 2 minutes, then 10, 30, 60 and so on up to 6 hours for that name",
        [renewal.wait_after(number) for number in (1, 2, 3, 4, 99)],
        [2 * MINUTE, 10 * MINUTE, 30 * MINUTE, HOUR, 6 * HOUR],
    ),
    (
        OPERATIONS,
        "after 30 seconds up to an hour for all of them",
        (renewal.wait_for_ca(1), renewal.wait_for_ca(99)),
        (30.0, HOUR),
    ),
    (OPERATIONS, "nobody asked for in a week", LINK_AGE, 7 * DAY),
    (OPERATIONS, "partial files that nobody has filled for a day", PARTIAL_AGE, DAY),
    (OPERATIONS, "One that does not answer for ten seconds is killed", worker._PATIENCE, 10.0),
    (DOCS / "testing.md", "All {} are seen", str(len(MUTATIONS)), "58"),
    (CONFIGURATION, "A blob of more than 64 MiB", PARTS.large, 64 * MIB),
    (CONFIGURATION, "(below 48 MiB/s, with at least 32 MiB", (PARTS.fast, PARTS.left), (48 * MIB, 32 * MIB)),
    (CONFIGURATION, "four seconds to go", parallel._WORTH, 4.0),
    (CONFIGURATION, "in parts of 1 to 16 MiB", (PARTS.least, PARTS.most), (MIB, 16 * MIB)),
    (CONFIGURATION, "is asked over one connection for ten minutes", parallelism._ONE_SECONDS, 10 * MINUTE),
    (CONFIGURATION, "at most 48 MiB of one blob", PARTS.held, 48 * MIB),
    (CONFIGURATION, "and 64 MiB of all that a worker fetches", segments._MOST, 64 * MIB),
    (CONFIGURATION, "has not begun to answer within 3 s", endpoint_order.SLOW_SECONDS, 3.0),
    (CONFIGURATION, "is asked last for 30 s", endpoint_order.REST_SECONDS, 30.0),
    (CONFIGURATION, "not asked for them again for an hour", endpoint_order.BLAME_SECONDS, HOUR),
    (FLEET, "a lease: 3 s, renewed each second", (leases.LEASE_SECONDS, leases._RENEW_SECONDS), (3.0, 1.0)),
    (FLEET, "a claim: 5 s at the most", claims._CLAIM_SECONDS, 5.0),
    (FLEET, "told for 10 minutes", tags._KEPT_SECONDS, 10 * MINUTE),
    (FLEET, "after 5 s each node counts its own", nodes.LIFE_SECONDS, 5.0),
    (FLEET, "A node orders four seconds after it has found Valkey", ordering._SETTLED_SECONDS, 4.0),
    (FLEET, "0.3 s after it has told the others of the answer", ordering._TOLD_SECONDS, 0.3),
    (FLEET, "Nodes that have been alone for more than an hour", shared_certificates.ALONE_AFTER, HOUR),
    (FLEET, "sealed in the same way | 400 days |", common_certificates._ACCOUNT_LASTS, 400 * DAY),
    (FLEET, "Content of more than 8 MiB goes up in parts", object_store._PART, 8 * MIB),
]


@pytest.mark.parametrize(("page", "said", "found", "meant"), CLAIMS, ids=lambda value: str(value)[:40])
def test_a_number_in_the_text_is_that_of_the_code(page: Path, said: str, found: Any, meant: Any) -> None:
    assert found == meant
    assert said.format(found) in words(page)


def test_the_python_that_is_needed_is_what_is_asked_for() -> None:
    setup = configparser.ConfigParser(interpolation=None)
    setup.read(ROOT / "setup.cfg")
    needed = setup["options"]["python_requires"].removeprefix(">=")
    assert f"You need Python {needed} or newer." in words(README)
    assert f"Programming Language :: Python :: {needed}" in setup["metadata"]["classifiers"]
    assert f"sys.version_info < ({needed.replace('.', ', ')})" in (ROOT / ".ci" / "virtualenv").read_text()


def test_the_help_counts_the_aliases() -> None:
    said = Options().docs["alias"]
    found = re.search(r"default: (.+) and (\w+) more", " ".join(said.split()))
    assert found is not None
    named = found[1].split(", ")
    assert set(named) <= BUILT_IN.keys()
    assert found[2] == NUMBERS.get(len(BUILT_IN) - len(named))


@pytest.mark.parametrize(
    ("option", "usual"),
    [
        ("cache-size", f"{USUAL.cache.size // 1024**3}G"),
        ("workers", str(USUAL.workers)),
        ("default-registry", str(USUAL.names.default_registry)),
        ("http", USUAL.listen.http[0]),
    ],
)
def test_what_an_option_is_without_a_word_is_said_everywhere(option: str, usual: str) -> None:
    assert f"default: {usual}" in " ".join(Options().docs[option].split())
    for page in (README, ROOT / "README.zh-CN.md"):
        (row,) = [line for line in page.read_text("utf-8").splitlines() if line.startswith(f"| `--{option} ")]
        assert f"`{usual}`" in row


def test_every_command_is_in_the_table_of_operations() -> None:
    cells = first_cells(section(OPERATIONS, "## The operator's command").partition("It exits")[0])
    said: set[str] = set()
    for cell in cells:
        command, *more = re.findall(r"`(?:crproxy )?([a-z]+)", cell)
        is_group = isinstance(main.commands[command], click.Group)
        first = re.match(r"`crproxy \w+ ([a-z]+)", cell)
        subcommands = [*([first[1]] if first else []), *more]
        said |= {f"{command} {word}" for word in subcommands} if is_group else {command}
    ends = {" ".join(path) for path in all_commands() if path and not isinstance(_command(path), click.Group)}
    assert said == ends


def _command(path: tuple[str, ...]) -> click.Command:
    found: click.Command = main
    for name in path:
        assert isinstance(found, click.Group)
        found = found.commands[name]
    return found


def test_the_requests_of_the_admin_socket_are_those_that_there_are() -> None:
    table = section(OPERATIONS, "### The admin socket")
    said = set(re.findall(r"`(?:GET|PUT|POST|DELETE) /(\w+)", table))
    names = ("admin/site", "service/admin_api", "service/assembly", "service/monitoring")
    source = "\n".join((ROOT / "crproxy" / f"{name}.py").read_text("utf-8") for name in names)
    put = set(re.findall(r'putChild\(b"(\w+)"|"(\w+)": \w*(?:Resource|Exposition)\(', source))
    # The operator's page is where clients are.
    assert said == {one or other for one, other in put} - {"admin"} | {"healthz", "readyz"}


def test_what_takes_a_restart_is_said() -> None:
    said = re.search(r"^(`\[listen\]`, .+?) take a restart", OPERATIONS.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert said is not None
    keys = set(re.findall(r"`\[?(\w+)\]?(?: listen)?`", said[1]))
    assert keys == {*current_configuration._AT_START, "proxy"}


class TestAudit:
    table = section(OPERATIONS, "### Who asked for what")

    def row(self, field: str) -> str:
        """What is said of a field."""
        rows = [line.split(" | ") for line in self.table.splitlines() if line.startswith("| `")]
        (meaning,) = [cells[1] for cells in rows if f"`{field}`" in cells[0]]
        return meaning

    def test_the_states_of_the_cache_are_all_explained(self) -> None:
        assert set(re.findall(r"`(\w+)`(?=[:;])", self.row("cache"))) == {state.value for state in CacheState}

    def test_the_endings_are_all_explained(self) -> None:
        assert set(re.findall(r"`(\w+)`", self.row("ending"))) == {ending.value for ending in Ending}

    def test_the_sites_are_those_that_there_are(self) -> None:
        sources = "\n".join(path.read_text("utf-8") for path in (ROOT / "crproxy").rglob("*.py"))
        # Workers among each other are observed by nobody.
        made = set(re.findall(r'PlainSite\.make\([\w()]+, "(\w+)"', sources)) - {"peers"}
        assert set(re.findall(r"`(\w+)`", self.row("site"))) == made


def test_the_doctors_areas_are_those_of_its_table() -> None:
    table = section(OPERATIONS, "## When it is wrong")
    assert sorted(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == sorted(area.value for area in Area)


@pytest.mark.parametrize(("least", "fleet"), [(256, False), (512, True)])
def test_file_descriptors_are_divided_as_the_tables_say(least: int, fleet: bool) -> None:
    line = f"| of {least} | of 1024 | of 65536 | |"
    table = OPERATIONS.read_text("utf-8").partition(f"{line}\n|---|---|---|---|\n")[2].partition("\n\n")[0]
    limits = [int(number) for number in re.findall(r"of (\d+)", line)]
    divided = [Descriptors.of(limit, fleet=fleet) for limit in limits]
    names = (
        ("clients", "upstreams", "from_nodes", "to_nodes")
        if fleet
        else (
            "clients",
            "of_client",
            "upstreams",
            "for_client",
            "idle",
        )
    )
    rows = [[int(cell) for cell in re.findall(r"(?<=\| )\d+(?= )", row)] for row in table.splitlines()]
    assert rows == [[getattr(found, name) for found in divided] for name in names]


def test_the_unit_has_the_descriptors_that_are_named() -> None:
    unit = (ROOT / "systemd" / "crproxy.service").read_text()
    assert "LimitNOFILE=65536" in unit
    assert "The unit allows 65536 (`LimitNOFILE=`)" in words(OPERATIONS)


def test_modules_that_the_vocabulary_names_are_there() -> None:
    table = section(DOCS / "architecture.md", "## Vocabulary")
    for row in table.splitlines():
        for name in re.findall(r"`([\w/]+(?:\.py|/))`", row.rpartition(" | ")[2]):
            assert (ROOT / "crproxy" / name).exists(), name


def test_what_a_standard_says_is_named_where_the_page_says_it_is() -> None:
    """The number of an RFC, in one of the files of its row at least."""
    missing = []
    for line in (DOCS / "standards.md").read_text("utf-8").splitlines():
        specification, *_ = cells = re.split(r" *\| *", line.strip("| "))
        paths = [ROOT / path for path in re.findall(r"`((?:crproxy|tests)/[\w/.]+)`", " ".join(cells))]
        files = [file for path in paths for file in ([path] if path.is_file() else path.rglob("*.py"))]
        text = "".join(file.read_text("utf-8") for file in files)
        if "RFC" in specification:
            missing += [f"RFC {number}" for number in re.findall(r"\d{4}", specification) if number not in text]
    assert missing == []


def test_values_of_the_chart_that_are_named_are_there() -> None:
    values = yaml.safe_load((ROOT / "deploy" / "helm" / "crproxy" / "values.yaml").read_text("utf-8"))
    text = (DOCS / "kubernetes.md").read_text("utf-8")
    named = set(re.findall(r"`([a-z]\w*(?:\.(?!yaml|md|toml)[a-zA-Z]+)+)(?:[:=][^`]*)?`", text))
    named |= set(re.findall(r"`([a-z][a-zA-Z]+): [^`]*`", text)) - {"additionalOutputFormats"}
    assert {name for name in named if not _is_in(values, name.split("."))} == {"s3.env"}
    assert len(named) > 8


def _is_in(values: Any, path: list[str]) -> bool:
    return not path or (isinstance(values, dict) and path[0] in values and _is_in(values[path[0]], path[1:]))


def test_the_kubernetes_that_is_needed_is_what_the_chart_asks_for() -> None:
    chart = yaml.safe_load((ROOT / "deploy" / "helm" / "crproxy" / "Chart.yaml").read_text("utf-8"))
    version = re.fullmatch(r">=(\d+\.\d+)\.0-0", chart["kubeVersion"])
    assert version is not None
    assert f"Kubernetes {version[1]} or newer" in words(DOCS / "kubernetes.md")


def test_decisions_are_numbered_without_a_gap() -> None:
    numbers = [int(path.name[:4]) for path in sorted((DOCS / "decisions").glob("*.md"))]
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("page", sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")]), ids=lambda page: page.name)
def test_the_targets_of_make_that_are_named_are_there(page: Path) -> None:
    text = page.read_text("utf-8")
    fenced = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    code = "\n".join([*fenced, *re.findall(r"`([^`\n]+)`", text)])
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z][a-z-]*)", code)) <= targets


def test_make_alone_lists_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    assert set(re.findall(r"^\.PHONY: (\S+)$", makefile, re.MULTILINE)) == set(
        re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE)
    )
