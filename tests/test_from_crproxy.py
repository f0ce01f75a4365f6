"""docs/from-crproxy.md: every flag of the original has a row, and what a row names is there."""

import re
from pathlib import Path

from crproxy.tap import Options

from .test_documentation import known_keys

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "from-crproxy.md"

FLAGS = [
    "address",
    "behind",
    "acme-hosts",
    "acme-cache-dir",
    "cert-file",
    "private-key-file",
    "user",
    "disable-keep-alives",
    "retry",
    "retry-interval",
    "default-registry",
    "override-default-registry",
    "allow-host-list",
    "allow-image-list-from-file",
    "block-image-list",
    "block-message",
    "privileged-ip-list",
    "privileged-image-list-from-file",
    "privileged-no-auth",
    "simple-auth",
    "simple-auth-user",
    "token-url",
    "token-auth-force-tls",
    "blobs-speed-limit",
    "ips-speed-limit",
    "total-blobs-speed-limit",
    "limit-delay",
    "storage-driver",
    "storage-parameters",
    "link-expires",
    "redirect-links",
    "manifest-cache-duration",
    "redirect-origin-blob-links",
    "disable-tags-list",
    "allow-head-method",
    "enable-pprof",
    "readme-url",
    "enable-internal-api",
]
"""Of the original's command line."""

SCRIPTS = {"start.sh", "setup-alias.sh", "update-tls.sh", "reload.sh"}


TODAY = [
    "storage-url",
    "big-storage-url",
    "big-storage-size",
    "manifest-storage-url",
    "sign-link",
    "blob-no-redirect-size",
    "blob-no-redirect-max-size-per-second",
    "blob-cache-duration",
    "recache-max-wait-duration",
    "concurrency",
    "queue-url",
    "queue-token",
    "registry-alias",
    "token-public-key-file",
    "token-private-key-file",
    "simple-auth-userpass",
    "allow-anonymous",
    "blobs-url",
    "webhook-url",
    "db-url",
    "admin-token",
    "allow-anonymous-read",
    "lease",
    "duration",
    "resume-size",
    "list",
    "platform",
    "deep",
    "quick",
    "max-warn",
    "exclude-tags-regexp",
]
"""Of the subcommands' command lines, but for those that are above."""

COMMANDS = ["gateway", "agent", "cluster auth", "cluster queue", "cluster runner", "sync", "cluster"]


def section(heading: str) -> str:
    """A part of the page, up to the next heading of the same level."""
    _, found, text = PAGE.read_text("utf-8").partition(f"\n{heading}\n")
    assert found
    return re.split(rf"^{heading.partition(' ')[0]} ", text, maxsplit=1, flags=re.MULTILINE)[0]


def rows() -> dict[str, str]:
    """What is said of each flag."""
    return dict(re.findall(r"^\| `--([a-z-]+)`[^|]*\| (.*) \|$", section("## Every flag"), re.MULTILINE))


def rows_of_today() -> dict[str, str]:
    """What is said of each flag of today's, but for what it is for."""
    table = section("### Flags of the several")
    return dict(re.findall(r"^\| `--([a-z-]+)`[^|]*\| [^|]+ \| [^|]+ \| ([^|]+) \|$", table, re.MULTILINE))


def code(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def test_every_flag_has_a_row() -> None:
    assert list(rows()) == FLAGS


def test_every_script_has_a_row() -> None:
    assert {script for script in SCRIPTS if f"| `{script}" in PAGE.read_text("utf-8")} == SCRIPTS


def test_a_row_names_an_option_or_a_key_or_says_that_there_is_none() -> None:
    nothing = {
        flag
        for flag, said in rows().items()
        if not said.startswith("none")
        and not any(word.startswith(("--", "[")) or word in known_keys("") for word in code(said))
        and "the same" not in said
        and "that file" not in said
    }
    assert nothing == set()


def test_every_command_of_today_has_a_row() -> None:
    commands = re.findall(r"^\| `([a-z ]+)`[^|]*\| [^|]+ \| [^|]+ \|$", section("## Today's original"), re.MULTILINE)
    assert commands == COMMANDS


def test_every_flag_of_today_has_a_row_that_names_something_or_says_that_there_is_nothing() -> None:
    assert list(rows_of_today()) == TODAY
    silent = {flag for flag, said in rows_of_today().items() if not re.search(r"`|nothing|always|the same", said)}
    assert silent == set()


def test_the_keys_that_it_names_exist() -> None:
    said_of_all = [*rows().values(), *rows_of_today().values(), section("## Today's original")]
    named = {word for said in said_of_all for word in code(said) if word.startswith("[") and word != "[]"}
    known = set()
    tables = ("listen", "access", "clients", "limits", "cache", "acme", "upstreams", "page", "storage", "fleet")
    for table in tables:
        known.add(f"[{table}]")
        header = '[upstreams."quay.io"]' if table == "upstreams" else f"[{table}]"
        known |= {f"[{table}] {key}" for key in known_keys(header)}
    assert named - known - {"[aliases]"} == set()


def test_the_options_that_it_names_exist() -> None:
    named = {word.removeprefix("--") for said in rows().values() for word in code(said) if word.startswith("--")}
    assert named
    assert named <= {option.rstrip("=") for option in Options().longOpt}
