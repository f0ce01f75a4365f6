"""The shape of the house, read from the import statements of its source.

The rules are in docs/decisions/0002-layers.md. Each is a function from modules to what it complains of, so
that it can be shown to complain: the first half of the tests runs the rules on sources made up to break them,
the second half on the tree.
"""

import ast
import graphlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

LAYERS = (
    "oci",
    "policy",
    "signatures",
    "config",
    "transports",
    "sharing",
    "limits",
    "upstream",
    "store",
    "objects",
    "flights",
    "pullthrough",
    "login",
    "web",
    "peers",
    "fleet",
    "acme",
    "tls",
    "forward",
    "admin",
    "metrics",
    "service",
    "workers",
    "tap",
)
"""Each may import those before it."""

PURE = frozenset({"oci", "policy", "config"})

PURE_IMPORTS = frozenset(
    {
        "__future__",
        "abc",
        "base64",
        "binascii",
        "bisect",
        "collections",
        "contextlib",
        "copy",
        "cryptography",
        "dataclasses",
        "datetime",
        "difflib",
        "email.utils",
        "enum",
        "errno",
        "fnmatch",
        "functools",
        "hashlib",
        "heapq",
        "hmac",
        "idna",
        "ipaddress",
        "itertools",
        "json",
        "math",
        "operator",
        "publicsuffixlist",
        "re",
        "string",
        "textwrap",
        "tomlkit",
        "tomllib",
        "types",
        "typing",
        "unicodedata",
        "urllib.parse",
        "yaml",
    }
)
"""What a pure module may import beside pure layers: nothing that acts, waits, or asks what time it is."""

IMPURE_CALLS = frozenset({"open", "print", "input", "datetime.now", "datetime.utcnow", "datetime.today", "date.today"})

MAXIMUM_LINES = 400


@dataclass(frozen=True)
class Import:
    """One imported name, written out: `from crproxy.oci import names` imports crproxy.oci.names."""

    target: str
    line: int
    at_module_level: bool

    @property
    def layer(self) -> str | None:
        """The layer of crproxy it reaches into; None outside of crproxy, and for crproxy.__version__."""
        top, _, rest = self.target.partition(".")
        name = rest.partition(".")[0]
        return name if top == "crproxy" and name and not name.startswith("__") else None


@dataclass(frozen=True)
class Module:
    """A source file and the name it is imported by."""

    name: str
    source: str
    is_package: bool = False

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.source, self.name)

    @property
    def layer(self) -> str | None:
        return Import(self.name, 0, True).layer

    @cached_property
    def imports(self) -> tuple[Import, ...]:
        at_module_level = set(map(id, statements_run_by_importing(self.tree)))
        return tuple(
            Import(target, node.lineno, id(node) in at_module_level)
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for target in self._targets(node)
        )

    def _targets(self, statement: ast.Import | ast.ImportFrom) -> Iterator[str]:
        if isinstance(statement, ast.Import):
            yield from (alias.name for alias in statement.names)
        else:
            origin = self._ancestor(statement.level, statement.module)
            yield from (f"{origin}.{alias.name}" for alias in statement.names)

    def _ancestor(self, level: int, module: str | None) -> str:
        """What `from ..module` is relative to."""
        if level == 0:
            return module or ""
        parts = self.name.split(".")
        kept = parts[: len(parts) - level + self.is_package]
        return ".".join([*kept, module] if module else kept)


def statements_run_by_importing(tree: ast.Module) -> Iterator[ast.stmt]:
    """All statements but those inside of a function."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.stmt):
            yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            waiting.extend(ast.iter_child_nodes(node))


Rule = Callable[[list[Module]], list[str]]


def imports_of_later_layers(modules: list[Module]) -> list[str]:
    """A module imports earlier layers and its own, no later one."""
    return [
        f"{module.name}:{found.line} imports {found.target}, of a later layer"
        for module in modules
        for found in module.imports
        if module.layer in LAYERS and found.layer in LAYERS
        if LAYERS.index(found.layer) > LAYERS.index(module.layer)
    ]


def modules_without_a_layer(modules: list[Module]) -> list[str]:
    """Whoever adds a module to the house says where it stands."""
    return [
        f"{module.name} is in no layer"
        for module in modules
        if module.name.startswith("crproxy.") and module.layer not in LAYERS
    ]


def plugins_that_import_crproxy(modules: list[Module]) -> list[str]:
    """twistd reads every plugin whatever it is to start, so ours names crproxy.tap and does not import it."""
    return [
        f"{module.name}:{found.line} imports {found.target}"
        for module in modules
        if module.name.startswith("twisted.plugins")
        for found in module.imports
        if found.target.partition(".")[0] == "crproxy"
    ]


def impurities(modules: list[Module]) -> list[str]:
    """A pure layer takes everything as an argument, the time included."""
    return [complaint for module in modules if module.layer in PURE for complaint in impurities_of_module(module)]


def impurities_of_module(module: Module) -> Iterator[str]:
    """The imports and the calls that act or look at the world."""
    for found in module.imports:
        if found.target.partition(".")[0] != "crproxy" and not may_be_imported_by_pure(found.target):
            yield f"{module.name}:{found.line} is pure and imports {found.target}"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and last_two_names(node.func) in IMPURE_CALLS:
            yield f"{module.name}:{node.lineno} is pure and calls {ast.unparse(node.func)}"


def may_be_imported_by_pure(target: str) -> bool:
    """Whether a target is a listed module, or something in one."""
    return any(target == allowed or target.startswith(f"{allowed}.") for allowed in PURE_IMPORTS)


def last_two_names(function: ast.expr) -> str:
    """`datetime.now` of `datetime.datetime.now(...)`."""
    return ".".join(ast.unparse(function).split(".")[-2:])


def imports_of_the_global_reactor(modules: list[Module]) -> list[str]:
    """The reactor is handed in; only tap and a process of its own, begun with nothing else, take the global one."""
    return [
        f"{module.name}:{found.line} imports the global reactor"
        for module in modules
        if module.name not in {"crproxy.tap", "crproxy.workers.process"}
        for found in module.imports
        if f"{found.target}.".startswith("twisted.internet.reactor.")
    ]


def import_cycles(modules: list[Module]) -> list[str]:
    """No module imports itself by way of others."""
    names = {module.name for module in modules}
    graph = {
        module.name: {
            known
            for found in module.imports
            if found.at_module_level and (known := longest_known(found.target, names)) not in {None, module.name}
        }
        for module in modules
    }
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return [" <- ".join(error.args[1])]
    return []


def longest_known(target: str, names: set[str]) -> str | None:
    """The module that a target is, or is a name in."""
    while target and target not in names:
        target = target.rpartition(".")[0]
    return target or None


def modules_that_open_without_a_docstring(modules: list[Module]) -> list[str]:
    """A file opens by saying what lives here."""
    return [f"{module.name} has no docstring" for module in modules if not ast.get_docstring(module.tree)]


def modules_that_are_too_long(modules: list[Module]) -> list[str]:
    """What does not fit is two things."""
    return [
        f"{module.name} has {length} lines, over {MAXIMUM_LINES}"
        for module in modules
        if (length := len(module.source.splitlines())) > MAXIMUM_LINES
    ]


RULES: tuple[Rule, ...] = (
    imports_of_later_layers,
    modules_without_a_layer,
    plugins_that_import_crproxy,
    impurities,
    imports_of_the_global_reactor,
    import_cycles,
    modules_that_open_without_a_docstring,
    modules_that_are_too_long,
)


def made_up(**sources: str) -> list[Module]:
    """Modules by name, with `_` for the dots; a name that ends in `__init__` is a package."""
    return [
        Module(
            name.replace("___init__", "").replace("_", "."),
            '"""Made up."""\n' + source,
            name.endswith("__init__"),
        )
        for name, source in sources.items()
    ]


BROKEN = [
    (imports_of_later_layers, {"crproxy_policy_access": "import crproxy.web.site"}),
    (imports_of_later_layers, {"crproxy_policy_access": "from crproxy import config"}),
    (imports_of_later_layers, {"crproxy_policy_access": "from ..web import site"}),
    (imports_of_later_layers, {"crproxy_policy___init__": "from ..web import site"}),
    (imports_of_later_layers, {"crproxy_policy_access": "def late():\n    import crproxy.tap"}),
    (imports_of_later_layers, {"crproxy_admin_command": "from crproxy.tap import Options"}),
    (modules_without_a_layer, {"crproxy_utils": ""}),
    (plugins_that_import_crproxy, {"twisted_plugins_ours": "from crproxy.tap import makeService"}),
    (plugins_that_import_crproxy, {"twisted_plugins_ours": "import crproxy"}),
    (impurities, {"crproxy_oci_names": "import os"}),
    (impurities, {"crproxy_oci_names": "import os.path as path"}),
    (impurities, {"crproxy_config": "from pathlib import Path"}),
    (impurities, {"crproxy_config": "from urllib import request"}),
    (impurities, {"crproxy_policy_freshness": "def late():\n    from time import time"}),
    (impurities, {"crproxy_policy_freshness": "from twisted.internet import defer"}),
    (impurities, {"crproxy_config": "text = open('crproxy.toml').read()"}),
    (impurities, {"crproxy_policy_freshness": "now = datetime.datetime.now()"}),
    (imports_of_the_global_reactor, {"crproxy_service": "from twisted.internet import reactor"}),
    (imports_of_the_global_reactor, {"crproxy_admin_command": "import twisted.internet.reactor"}),
    (imports_of_the_global_reactor, {"crproxy_workers_worker": "from twisted.internet import reactor"}),
    (imports_of_the_global_reactor, {"crproxy_service": "from twisted.internet.reactor import callLater"}),
    (
        import_cycles,
        {"crproxy_oci_names": "from . import routes", "crproxy_oci_routes": "from .names import x"},
    ),
    (
        import_cycles,
        {"crproxy_oci___init__": "from .names import X", "crproxy_oci_names": "from crproxy.oci import Y"},
    ),
    (modules_that_are_too_long, {"crproxy_oci_names": "\n" * MAXIMUM_LINES}),
]

KEPT = [
    (
        imports_of_later_layers,
        {"crproxy_web_site": "from crproxy.policy import access\nfrom . import replies"},
    ),
    (imports_of_later_layers, {"crproxy_oci_names": "from crproxy import __version__"}),
    (imports_of_later_layers, {"crproxy___init__": "from crproxy.tap import Options"}),
    (modules_without_a_layer, {"crproxy___init__": "", "crproxy_store_blobs": "", "crproxy_flights": ""}),
    (plugins_that_import_crproxy, {"twisted_plugins_ours": "tap = 'crproxy.tap'"}),
    (
        impurities,
        {"crproxy_oci_names": "import re\nfrom urllib.parse import quote\nfrom collections.abc import Set"},
    ),
    (impurities, {"crproxy_policy_access": "from crproxy.oci.names import Registry"}),
    (impurities, {"crproxy_service": "import os\nprint(datetime.now())"}),
    (impurities, {"crproxy_policy_freshness": "def age(then, now): return now - then"}),
    (imports_of_the_global_reactor, {"crproxy_tap": "from twisted.internet import reactor"}),
    (imports_of_the_global_reactor, {"crproxy_workers_process": "from twisted.internet import reactor"}),
    (imports_of_the_global_reactor, {"crproxy_service": "from twisted.internet import defer, interfaces"}),
    (
        import_cycles,
        {
            "crproxy_oci_names": "def late():\n    from . import routes",
            "crproxy_oci_routes": "from . import names",
        },
    ),
    (modules_that_are_too_long, {"crproxy_oci_names": "\n" * (MAXIMUM_LINES - 1)}),
]


@pytest.mark.parametrize(("rule", "sources"), BROKEN)
def test_a_rule_complains(rule: Rule, sources: dict[str, str]) -> None:
    assert len(rule(made_up(**sources))) == 1


@pytest.mark.parametrize(("rule", "sources"), KEPT)
def test_a_rule_accepts(rule: Rule, sources: dict[str, str]) -> None:
    assert rule(made_up(**sources)) == []


def test_a_missing_docstring_is_seen() -> None:
    assert modules_that_open_without_a_docstring([Module("crproxy.oci.names", "import re\n")]) != []


def test_a_complaint_names_the_place() -> None:
    complaint = "crproxy.oci.names:3 is pure and imports os"
    assert impurities(made_up(crproxy_oci_names="import re\nimport os")) == [complaint]


@cache
def house() -> list[Module]:
    """Every module that is installed, read from the tree."""
    return [
        Module(import_name(path), path.read_text("utf-8"), path.name == "__init__.py")
        for top in ("crproxy", "twisted")
        for path in sorted((ROOT / top).rglob("*.py"))
    ]


def import_name(path: Path) -> str:
    """The dotted name of a source file below the root."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("rule", RULES)
def test_the_house_keeps_the_rule(rule: Rule) -> None:
    assert rule(house()) == []


def test_the_house_was_found() -> None:
    assert {"crproxy", "crproxy.oci.names", "twisted.plugins.crproxy_plugin"} <= {module.name for module in house()}
