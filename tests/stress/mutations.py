"""Decisions changed for the worse, one at a time, in a copy of the tree: the tests of each must turn red.

``python -m tests.stress.mutations`` prints a line for each, and fails where one goes unseen. What is changed is in the
table below; text that is no longer there is a mistake of the table, and told as one.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Mutation:
    """A change to a module of crproxy/policy: its name, what is there, and what is put in its place."""

    module: str
    before: str
    after: str


MUTATIONS = (
    # which registry is meant
    Mutation("routing", "if names.domain is None or name == names.domain:", "if True:"),
    Mutation("routing", "if alias is not None and alias != registry:", "if False:"),
    Mutation("routing", "if rest and _meant_by(first) == registry:", "if rest and looks_like_registry(first):"),
    Mutation("routing", "if ns is not None:", "if ns is not None and alias is None:"),
    Mutation(
        "routing",
        "    if looks_like_registry(first):\n        if not rest:",
        "    if '.' in first:\n        if not rest:",
    ),
    Mutation("routing", "if names.default_registry is None:", "if False:"),
    Mutation("routing", '.lower().removesuffix(".")', ".lower()"),
    # may it be asked
    Mutation("access", "            if pattern in self.deny:\n                return False\n", ""),
    Mutation("access", "return not self.allow", "return True"),
    Mutation("access", "    name = str(repository)\n    yield name\n", "    name = str(repository)\n"),
    Mutation("access", "and repository.registry not in self.registries:", "and not self.registries:"),
    Mutation("access", "if is_in(client, self.privileged) or any(", "if any("),
    Mutation("access", 'name = name.rpartition("/")[0]\n        yield', 'name = name.partition("/")[0]\n        yield'),
    Mutation("access", '        yield f"{name}/*"\n    yield _EVERYTHING', '        yield f"{name}/*"'),
    # does it still count
    Mutation("freshness", "0 <= now - checked < lifetimes.tag_ttl", "now - checked < lifetimes.tag_ttl"),
    Mutation("freshness", "now - checked < lifetimes.tag_ttl", "now - checked <= lifetimes.tag_ttl"),
    Mutation("freshness", "0 <= now - confirmed <", "now - confirmed <"),
    Mutation("freshness", "now - confirmed < lifetimes.permission_ttl", "now - confirmed < lifetimes.tag_ttl"),
    Mutation("freshness", "if age > lifetimes.stale_if_error:", "if False:"),
    Mutation("freshness", "(ErrorCode.UNAVAILABLE, ErrorCode.TOOMANYREQUESTS)", "(ErrorCode.UNAVAILABLE,)"),
    Mutation("freshness", "error.code is ErrorCode.DENIED and anonymous", "error.code is ErrorCode.DENIED"),
    # which part of a blob
    Mutation("ranges", "min(self.last + 1, size)", "min(self.last, size)"),
    Mutation("ranges", "max(0, size - suffix)", "size - suffix"),
    Mutation("ranges", "if start >= stop:", "if start > stop:"),
    Mutation("ranges", "if len(texts) > _MOST:", "if False:"),
    Mutation("ranges", "return found if len(found) == len(texts) else ()", "return found"),
    Mutation("ranges", 'if_range.strip(" \\t") == etag', 'if_range.strip(" \\t").removeprefix("W/") == etag'),
    Mutation("ranges", "first is not None and last is not None and last < first", "False"),
    Mutation("ranges", "first <= last < size <= LARGEST", "first <= last <= size <= LARGEST"),
    Mutation("ranges", "first <= last < size <= LARGEST", "first <= last < size"),
    Mutation("ranges", "max(len(match[1]), len(match[2])) > _DIGITS", "len(match[1]) > _DIGITS"),
    Mutation("ranges", "unwanted > _NEAR and unwanted > rate", "unwanted > rate"),
    Mutation("ranges", "rate * _PATIENCE * requests", "rate * _PATIENCE"),
    Mutation("ranges", 'unit == "bytes *"', 'unit.startswith("bytes")'),
    # which of several
    Mutation("parts", "chosen.length > size", "chosen.length >= size"),
    Mutation("parts", "chosen.length > size or turns", "turns"),
    Mutation("parts", "turns > _MOST_TURNS", "turns >= _MOST_TURNS"),
    Mutation("parts", " or turns > _MOST_TURNS", ""),
    Mutation("parts", "after.start < before.stop for", "after.start < before.start for"),
    Mutation("parts", "if wanted and not parts:", "if False:"),
    Mutation("parts", "2 * chosen.length >= ", "chosen.length >= "),
    Mutation("parts", "len(runs_of(chosen.parts)) == 1 and ", ""),
    Mutation("parts", "if gap < 0 or", "if gap <= 0 or"),
    Mutation("parts", "gap > apart", "gap >= apart"),
    Mutation("parts", "part.stop - max(part.start, filled)", "part.stop - part.start"),
    Mutation("parts", "return max(0, run[-1].stop - filled - wanted)", "return run[-1].stop - filled - wanted"),
    Mutation("multipart", '"\\r\\n".join(("", *lines, "", ""))', '"\\r\\n".join((*lines, "", ""))'),
    Mutation("multipart", " + len(self.tail)", ""),
    # who may see our credentials
    Mutation("challenges", "parameters.setdefault(name[0].lower(), text)", "parameters[name[0].lower()] = text"),
    Mutation("challenges", "yield Challenge(scheme[1].lower(), parameters)", "yield Challenge(scheme[1], parameters)"),
    Mutation("challenges", "        if left < 0:\n            return\n", ""),
    Mutation("challenges", '(allow_http or origin.scheme == "https")', "True"),
    Mutation("challenges", ' and "#" not in realm', ""),
    Mutation("challenges", ' or (ours.scheme == "https" and theirs.scheme != "https")', ""),
    Mutation("challenges", "    if is_address(theirs.host) or is_address(ours.host):\n        return False\n", ""),
    Mutation("challenges", "return domain is not None and domain ==", "return domain =="),
    Mutation("challenges", "== ours.host or theirs.host in listed", "== ours.host"),
    Mutation("challenges", '.get("scope") or default_scope', '.get("scope", "")'),
)


def copy_tree(directory: Path) -> Path:
    """Copy what the tests of policy need, and return where it is."""
    for part in ("crproxy", "tests"):
        shutil.copytree(ROOT / part, directory / part, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("setup.cfg", "pyproject.toml"):
        shutil.copy(ROOT / file, directory)
    return directory


def failing(tree: Path, module: str) -> list[str]:
    """Return the tests of ``module`` that fail in ``tree``, up to the first five."""
    command = [sys.executable, "-m", "pytest", "-q", "--maxfail=5", "-p", "no:cacheprovider", "--no-header"]
    command.append(f"tests/policy/test_{module}.py")
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        command, cwd=tree, env=environment, capture_output=True, text=True, timeout=_SECONDS, check=False
    )
    if done.returncode not in (0, 1):
        raise RuntimeError(done.stdout + done.stderr)
    lines = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return [line.split("::", 1)[-1].split(" - ")[0] for line in lines]


def try_out(tree: Path, mutation: Mutation) -> list[str]:
    """Return the tests that see ``mutation``."""
    file = tree / "crproxy" / "policy" / f"{mutation.module}.py"
    text = file.read_text("utf-8")
    if mutation.before not in text:
        raise RuntimeError(f"{mutation.module}.py has no {mutation.before!r}: mend the table")
    file.write_text(text.replace(mutation.before, mutation.after, 1), "utf-8")
    try:
        return failing(tree, mutation.module)
    finally:
        file.write_text(text, "utf-8")


def main() -> int:
    """Try all of them, or those of the modules that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="of crproxy/policy: those in the table by default")
    chosen = parser.parse_args().modules or list(dict.fromkeys(one.module for one in MUTATIONS))
    unseen = 0
    with tempfile.TemporaryDirectory() as directory:
        tree = copy_tree(Path(directory))
        for module in chosen:
            if failing(tree, module):
                raise RuntimeError(f"the tests of {module} fail as it is")
        for mutation in (one for one in MUTATIONS if one.module in chosen):
            seen = try_out(tree, mutation)
            unseen += not seen
            what = f"{mutation.before.strip()!r} -> {mutation.after.strip()!r}"
            print(f"{'seen  ' if seen else 'UNSEEN'} {mutation.module}: {what}", *seen[:1], sep="\n       ", flush=True)
    print(f"{unseen} of {sum(one.module in chosen for one in MUTATIONS)} went unseen")
    return 1 if unseen else 0


if __name__ == "__main__":
    sys.exit(main())
