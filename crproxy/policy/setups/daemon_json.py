"""Keys put into a ``daemon.json`` that is there: by a function, and by a command for machines that have no crproxy.

Both do the same, which a test compares. Every other key stays, in its place, and the indentation; a text that is no
JSON object is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

__all__ = ["DAEMON_JSON", "NotMerged", "merge_command", "merged"]

DAEMON_JSON = "/etc/docker/daemon.json"

_INDENTED = re.compile(r'^[ \t]+(?=")', re.MULTILINE)
# Python: Debian, Ubuntu, Fedora and their like have it, jq they have not. The file is replaced all at once, with its
# mode.
_COMMAND = """\
python3 - <<'END'
import json, os, re, shutil
path = os.path.realpath("{path}")
ours = {ours}
try:
    text = open(path, encoding="utf-8").read() if os.path.exists(path) else ""
    there = json.loads(text.strip() or "{{}}")
    for key, values in ours.items():
        before = there.get(key) or []
        if not isinstance(before, list):
            raise ValueError(key + " is no list in it")
        there[key] = values + [one for one in before if one not in values]
    indent = re.search(r'^[ \\t]+(?=")', text, re.M)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".new", "w", encoding="utf-8") as file:
        if os.path.exists(path):
            shutil.copymode(path, path + ".new")
        json.dump(there, file, indent=indent.group() if indent else 2, ensure_ascii=False)
        file.write("\\n")
    os.replace(path + ".new", path)
except (OSError, ValueError, AttributeError, RecursionError) as error:
    raise SystemExit(path + " is left as it is: " + str(error))
END
"""


class NotMerged(Exception):
    """A text is not what Docker reads; the text of this says why."""


def merged(text: str, settings: Mapping[str, Sequence[str]]) -> str:
    """Return ``text``, that of a ``daemon.json``, with ``settings`` in it: of each key its values first.

    Raises:
        NotMerged: it is no JSON object, or has something else than a list at one of these keys.
    """
    try:
        there = json.loads(text.strip() or "{}")
    except ValueError as error:
        raise NotMerged(f"it is not JSON: {error}") from None
    except RecursionError:
        raise NotMerged("it is not JSON that Docker reads: it is nested too deeply") from None
    if not isinstance(there, dict):
        raise NotMerged("it is no JSON object: what Docker reads begins with {")
    for key, values in settings.items():
        before = there.get(key) or []
        if not isinstance(before, list):
            raise NotMerged(f"{key} is no list in it")
        there[key] = [*values, *(one for one in before if one not in values)]
    found = _INDENTED.search(text)
    return json.dumps(there, indent=found.group() if found else 2, ensure_ascii=False) + "\n"


def merge_command(settings: Mapping[str, Sequence[str]], path: str = DAEMON_JSON) -> str:
    """Return a shell's command, for root, that does the same with the file at ``path``, which need not be there."""
    return _COMMAND.format(path=path, ours=json.dumps(settings))
