"""What is installed: the distributions, and that they work where there is no source tree.

The tree is copied before it is built, and the wheel is built from the source distribution, so nothing that merely
lies around here gets in and nothing that is missing from either goes unnoticed.
"""

import email
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import venv
import zipfile
from dataclasses import dataclass
from email.message import Message
from pathlib import Path

import pytest
from twisted.application.service import IServiceCollection, loadApplication

from crproxy import __version__, tap

from .parts.layouts import Layout
from .parts.process import Process, clean_environment
from .parts.program import Program
from .parts.raw_http import ask
from .parts.registry import DockerRegistry
from .parts.requirements import need
from .parts.skopeo import Skopeo

ROOT = Path(__file__).parent.parent

PAGE = {
    f"crproxy/web/page/{name}"
    for name in (
        "static/mark.svg",
        "static/operator.css",
        "static/operator.js",
        "static/page.css",
        "static/page.js",
        "templates/operator.html",
        "templates/operator_certificates.html",
        "templates/operator_errors.html",
        "templates/operator_now.html",
        "templates/operator_numbers.html",
        "templates/operator_parts.html",
        "templates/operator_result.html",
        "templates/operator_tags.html",
        "templates/operator_upstreams.html",
        "templates/operator_users.html",
        "templates/page.html",
        "templates/parts.html",
    )
}
"""What the page is made of beside its code."""

DATA = {
    "share/bash-completion/completions/crproxy": "share/bash-completion/completions/crproxy",
    "share/crproxy/crproxy.tac": "crproxy.tac",
    "share/crproxy/grafana-dashboard.json": "docs/grafana-dashboard.json",
    "share/crproxy/prometheus/crproxy.rules.yaml": "deploy/prometheus/crproxy.rules.yaml",
    "share/crproxy/systemd/crproxy.service": "systemd/crproxy.service",
    "share/crproxy/systemd/crproxy.socket": "systemd/crproxy.socket",
    "share/fish/vendor_completions.d/crproxy.fish": "share/fish/vendor_completions.d/crproxy.fish",
    "share/man/man1/crproxy.1": "share/man/man1/crproxy.1",
    "share/man/man5/crproxy.toml.5": "share/man/man5/crproxy.toml.5",
    "share/zsh/site-functions/_crproxy": "share/zsh/site-functions/_crproxy",
}
"""What goes elsewhere below the prefix, and where it is in the tree."""

NOT_SOURCE = shutil.ignore_patterns(
    ".git", ".venv*", "build", "dist", "*.egg-info", "*_cache", "__pycache__", ".hypothesis"
)


@dataclass(frozen=True)
class Distributions:
    """What `make wheel` makes."""

    sdist: Path
    wheel: Path

    def files_of_sdist(self) -> set[str]:
        with tarfile.open(self.sdist) as archive:
            return {member.name.partition("/")[2] for member in archive if member.isfile()}

    def files_of_wheel(self) -> set[str]:
        with zipfile.ZipFile(self.wheel) as archive:
            return set(archive.namelist())

    def metadata(self) -> Message:
        with zipfile.ZipFile(self.wheel) as archive:
            return email.message_from_bytes(archive.read(f"crproxy-{__version__}.dist-info/METADATA"))


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    directory = tmp_path_factory.mktemp("build")
    source = shutil.copytree(ROOT, directory / "source", ignore=NOT_SOURCE)
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(directory), str(source), cwd=directory)
    (sdist,) = directory.glob("*.tar.gz")
    (wheel,) = directory.glob("*.whl")
    return Distributions(sdist, wheel)


@dataclass(frozen=True)
class Installation:
    """A virtual environment with a distribution and what it requires, and nothing else."""

    directory: Path

    def run(self, program: str, *arguments: str) -> str:
        """Run a program of it in an empty directory; return what it printed."""
        elsewhere = self.directory / "elsewhere"
        elsewhere.mkdir(exist_ok=True)
        return run(str(self.directory / "bin" / program), *arguments, cwd=elsewhere)


@pytest.fixture(scope="module", params=["wheel", "sdist"])
def installation(
    request: pytest.FixtureRequest, distributions: Distributions, tmp_path_factory: pytest.TempPathFactory
) -> Installation:
    """Of each kind, moved away from where it was built: nothing of the tree is in reach."""
    directory = tmp_path_factory.mktemp("installation")
    distribution = shutil.copy(getattr(distributions, request.param), directory)
    venv.create(directory, with_pip=True)
    installed = Installation(directory)
    # What is not looked at need not be compiled.
    installed.run("pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check", str(distribution))
    return installed


def run(*command: str, cwd: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    result = subprocess.run(
        command, cwd=cwd, env=environment, text=True, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert result.returncode == 0, f"{command}:\n{result.stdout}"
    return result.stdout


def sources(top: str) -> set[str]:
    """The Python files of the tree below `top`."""
    return {str(path.relative_to(ROOT)) for path in (ROOT / top).rglob("*.py")}


@pytest.mark.integration
class TestDistributions:
    def test_the_wheel_has_every_module_and_nothing_else(self, distributions: Distributions) -> None:
        files = {name for name in distributions.files_of_wheel() if ".dist-info/" not in name}
        data = {f"crproxy-{__version__}.data/data/{name}" for name in DATA}
        assert files == sources("crproxy") | sources("twisted") | PAGE | data | {"crproxy/py.typed"}

    def test_the_wheel_leaves_twisted_its_packages(self, distributions: Distributions) -> None:
        files = distributions.files_of_wheel()
        assert "twisted/plugins/crproxy_plugin.py" in files
        assert not {"twisted/__init__.py", "twisted/plugins/__init__.py"} & files

    def test_the_source_distribution_can_be_developed_in(self, distributions: Distributions) -> None:
        needed = {
            ".ci/run",
            ".dockerignore",
            ".github/workflows/release.yml",
            "CHANGELOG.md",
            "CONTRIBUTING.md",
            "Dockerfile",
            "LICENSE",
            "Makefile",
            "README.md",
            "README.zh-CN.md",
            "SECURITY.md",
            "benchmarks/cache.py",
            "compose.yaml",
            "crproxy.tac",
            "deploy/compose-fleet/compose.yaml",
            "deploy/helm/crproxy/Chart.yaml",
            "deploy/helm/crproxy/templates/_helpers.tpl",
            "deploy/kubernetes/fleet/statefulset.yaml",
            "deploy/kubernetes/statefulset.yaml",
            "docs/architecture.md",
            "pyproject.toml",
            "setup.cfg",
            "systemd/crproxy.service",
            "systemd/crproxy.socket",
        }
        assert (
            needed | sources("tests") | sources("crproxy") | PAGE | set(DATA.values()) <= distributions.files_of_sdist()
        )

    def test_metadata(self, distributions: Distributions) -> None:
        metadata = distributions.metadata()
        assert metadata["Name"] == "crproxy"
        assert metadata["Version"] == __version__
        assert metadata["License"] == "MIT"
        assert metadata["License-File"] == "LICENSE"
        assert metadata["Requires-Python"] == ">=3.11"
        assert metadata["Description-Content-Type"] == "text/markdown"
        assert metadata.get_payload(decode=True) == (ROOT / "README.md").read_bytes()

    def test_only_the_extras_are_for_developers(self, distributions: Distributions) -> None:
        required = distributions.metadata().get_all("Requires-Dist", [])
        always = {requirement.partition(">")[0].lower() for requirement in required if "extra ==" not in requirement}
        assert {"twisted", "treq"} <= always
        assert not {"pytest", "ruff", "mypy"} & always


@pytest.mark.integration
class TestInstallation:
    def test_twistd_knows_the_plugin(self, installation: Installation) -> None:
        assert "crproxy" in installation.run("twistd", "--help")

    def test_twistd_prints_the_options(self, installation: Installation) -> None:
        assert "--default-registry" in installation.run("twistd", "crproxy", "--help")

    def test_the_command_prints_its_version(self, installation: Installation) -> None:
        assert installation.run("crproxy", "--version") == f"crproxy {__version__}\n"

    def test_the_command_lists_what_it_can_do(self, installation: Installation) -> None:
        assert "serve" in installation.run("crproxy", "--help")

    def test_serve_takes_the_options_of_twistd(self, installation: Installation) -> None:
        assert "--default-registry" in installation.run("crproxy", "serve", "--help")

    def test_it_has_what_the_page_is_made_of(self, installation: Installation) -> None:
        program = "from crproxy.web.page.assets import Assets; from crproxy.web.page import rendering; print("
        program += "*Assets()._names, *rendering._templates().list_templates())"
        printed = installation.run("python", "-c", program).split()
        assert sorted(printed) == sorted(Path(name).name for name in PAGE)

    @pytest.mark.parametrize(("name", "origin"), DATA.items())
    def test_it_has_what_a_system_takes(self, installation: Installation, name: str, origin: str) -> None:
        assert (installation.directory / name).read_bytes() == (ROOT / origin).read_bytes()

    def test_the_manual_page_is_found_where_the_command_is(self, installation: Installation) -> None:
        """man-db looks for share/man beside the directories of PATH."""
        path = f"{installation.directory / 'bin'}:{os.environ['PATH']}"
        man = Program([need("man")], installation.directory, PATH=path, MANPAGER="cat")
        assert b"a private mirror proxy for every container registry" in man.run("crproxy")

    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_it_lets_a_shell_complete_it(self, installation: Installation, shell: str) -> None:
        assert "crproxy" in installation.run("crproxy", "completion", shell)

    @pytest.mark.parametrize("words", [["twistd", "--nodaemon", "--pidfile=", "crproxy"], ["crproxy", "serve"]])
    def test_it_serves_a_pull(self, installation: Installation, tmp_path: Path, words: list[str]) -> None:
        skopeo, layout = Skopeo(tmp_path), Layout(tmp_path / "layout")
        image = layout.image()
        config = tmp_path / "crproxy.toml"
        environment = clean_environment(tmp_path, STATE_DIRECTORY=str(tmp_path / "data"))
        program = str(installation.directory / "bin" / words[0])
        command = [program, *words[1:], "--config", str(config), "--http", "tcp:0:interface=127.0.0.1"]
        with DockerRegistry(tmp_path) as registry:
            skopeo.push(layout.source(image), registry.authority, "org/app:v1")
            config.write_text(f'[upstreams."registry.example.org"]\nendpoint = "{registry.url}"\n')
            with Process(command, tmp_path, environment=environment) as daemon:
                port = daemon.wait_for(r"listens on http://127\.0\.0\.1:(\d+)", 60)[1]
                pulled = skopeo.pull(f"127.0.0.1:{port}/registry.example.org/org/app:v1")
                assert pulled == image.digests
                assert "Traceback" not in daemon.log

    def test_what_it_requires_agrees(self, installation: Installation) -> None:
        assert "No broken requirements found." in installation.run("pip", "check")


def test_the_tac_is_an_application() -> None:
    application = loadApplication(str(ROOT / "crproxy.tac"), "python")
    assert len(list(IServiceCollection(application))) == 1


def test_the_tac_takes_what_the_configuration_file_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "crproxy.toml"
    file.write_text("x = 1")
    monkeypatch.setattr(tap, "SYSTEM_CONFIG", file)
    with pytest.raises(SystemExit, match="2"):
        loadApplication(str(ROOT / "crproxy.tac"), "python")


@pytest.mark.integration
def test_twistd_runs_the_tac(tmp_path: Path) -> None:
    """From a copy with another endpoint, as its own words tell to change it."""
    text = (ROOT / "crproxy.tac").read_text()
    tac = tmp_path / "crproxy.tac"
    tac.write_text(text.replace("parseOptions([])", 'parseOptions(["--http", "tcp:0:interface=127.0.0.1"])'))
    twistd = str(Path(sys.executable).with_name("twistd"))
    environment = clean_environment(tmp_path, STATE_DIRECTORY=str(tmp_path / "data"))
    with Process([twistd, "--pidfile=", "-ny", str(tac)], tmp_path, environment=environment) as process:
        port = int(process.wait_for(r"listens on http://127\.0\.0\.1:(\d+)")[1])
        assert ask(("127.0.0.1", port), "GET", "/v2/").status == 200
        assert process.stop() in (0, -signal.SIGTERM)
        assert "Traceback" not in process.log


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """A directory of the units, with a twistd that exists: systemd-analyze looks."""
    for name in ("crproxy.service", "crproxy.socket"):
        text = (ROOT / "systemd" / name).read_text()
        installed = text.replace("/opt/crproxy/bin/twistd", str(Path(sys.executable).with_name("twistd")))
        (tmp_path / name).write_text(installed)
    return tmp_path


@pytest.mark.integration
class TestUnits:
    @pytest.mark.parametrize("name", ["crproxy.service", "crproxy.socket"])
    def test_systemd_understands_it(self, units: Path, name: str) -> None:
        assert run(need("systemd-analyze"), "verify", "--man=no", str(units / name), cwd=units) == ""

    def test_systemd_finds_little_exposed(self, units: Path) -> None:
        # From 0, nothing, to 100, everything; measured 16.
        service = str(units / "crproxy.service")
        run(need("systemd-analyze"), "security", "--offline=true", "--threshold=20", service, cwd=units)

    def test_without_the_right_to_bind_ports_it_is_less_still(self, units: Path) -> None:
        """As docs/operations.md has it for the socket."""
        service = units / "crproxy.service"
        rights = re.compile(r"^(AmbientCapabilities|CapabilityBoundingSet)=.*$", re.MULTILINE)
        service.write_text(rights.sub(r"\1=", service.read_text()))
        run(need("systemd-analyze"), "security", "--offline=true", "--threshold=15", str(service), cwd=units)


def test_where_there_is_no_python_the_way_to_it_is_told(tmp_path: Path) -> None:
    """To whoever is not root; for root it is installed, on a Debian (tests/strangers_hour)."""
    for name in ("bash", "dirname"):
        program = shutil.which(name)
        assert program is not None
        (tmp_path / name).symlink_to(program)
    (tmp_path / "id").write_text("#!/bin/sh\necho 1000\n")
    (tmp_path / "id").chmod(0o755)
    done = subprocess.run(
        [ROOT / ".ci" / "virtualenv", "python3", "unmade"],
        env={"PATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "apt-get install --yes --no-install-recommends python3-venv" in done.stderr
    assert "If another is: make ... PYTHON=/path/to/python3.11" in done.stderr
    assert not (tmp_path / "unmade").exists()
