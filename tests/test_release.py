"""A release: one version, a changelog that has it, and a workflow that may do no more than it needs."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import zipfile
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from crproxy import __version__
from tests import release
from tests.parts.requirements import need
from tests.test_deployment import instructions
from tests.test_packaging import NOT_SOURCE

ROOT = Path(__file__).parent.parent
WORKFLOW = ROOT / ".github" / "workflows" / "release.yml"
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
KINDS = {"feature", "bugfix", "doc", "removal", "misc"}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """What a release changes, as it is here, and nothing in changes/."""
    for file in (release.ORIGIN[0], *release.COPIES, "CHANGELOG.md"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, tmp_path / file)
    (tmp_path / "changes").mkdir()
    shutil.copy(ROOT / "changes" / "README.md", tmp_path / "changes")
    return tmp_path


class TestVersion:
    @pytest.mark.parametrize(("file", "pattern"), [release.ORIGIN, *release.COPIES.items()])
    def test_it_is_the_same_wherever_it_is_repeated(self, file: str, pattern: str) -> None:
        assert release.version_in(ROOT, file, pattern) == __version__

    def test_the_manifests_have_it(self) -> None:
        """make manifests writes them from the chart."""
        for path in (ROOT / "deploy" / "kubernetes").rglob("*.yaml"):
            text = path.read_text("utf-8")
            found = re.findall(r'(?:version: |newTag: )"(.+?)"|image: crproxy:(\S+)', text)
            assert {one or other for one, other in found} <= {__version__}, path

    def test_the_metadata_take_it_from_there(self) -> None:
        assert "version = attr: crproxy.__version__" in (ROOT / "setup.cfg").read_text("utf-8")

    def test_another_is_written_everywhere_and_nothing_else_is(self, tree: Path) -> None:
        before = {file: (tree / file).read_text("utf-8") for file in release.COPIES}
        release.write(tree, "12.0.1")
        for file, pattern in (release.ORIGIN, *release.COPIES.items()):
            assert release.version_in(tree, file, pattern) == "12.0.1"
        for file, text in before.items():
            assert (tree / file).read_text("utf-8").replace("12.0.1", __version__) == text

    @pytest.mark.parametrize("version", ["", "v0.2.0", "0.2", "0.2.0rc1", "0.2.0\n"])
    def test_what_is_no_version_is_refused(self, tree: Path, version: str) -> None:
        with pytest.raises(ValueError, match="is no version"):
            release.write(tree, version)

    def test_a_file_without_it_is_told(self, tree: Path) -> None:
        (tree / "Dockerfile").write_text("FROM scratch\n")
        with pytest.raises(ValueError, match="Dockerfile: a line like"):
            release.write(tree, "0.2.0")


class TestChangelog:
    def test_its_newest_version_is_this_one(self) -> None:
        assert next(iter(release.released(ROOT))) == __version__

    def test_versions_and_dates_go_down(self) -> None:
        found = [(tuple(map(int, version.split("."))), date.fromisoformat(on)) for version, on in _released()]
        assert found == sorted(found, reverse=True)

    def test_the_notes_of_a_version_are_its_section(self, tree: Path) -> None:
        marker = "<!-- towncrier release notes start -->\n"
        text = (tree / "CHANGELOG.md").read_text("utf-8")
        newer = "\n## 9.0.0 (2030-01-01)\n\n### Features\n\n- More.\n"
        (tree / "CHANGELOG.md").write_text(text.replace(marker, marker + newer), "utf-8")
        assert release.notes(tree, "9.0.0") == "### Features\n\n- More.\n"
        assert release.notes(tree, __version__).startswith("### Features\n\n- ")
        with pytest.raises(ValueError, match="has nothing of 8"):
            release.notes(tree, "8.0.0")

    def test_fragments_are_of_a_kind_that_there_is_and_say_something(self) -> None:
        fragments = [path for path in (ROOT / "changes").iterdir() if path.name != "README.md"]
        for path in fragments:
            assert re.fullmatch(rf"\+?[\w-]+\.({'|'.join(KINDS)})\.md", path.name), path.name
            assert path.read_text("utf-8").strip(), path.name


def _released() -> list[tuple[str, str]]:
    return list(release.released(ROOT).items())


class TestCheck:
    def test_what_is_released_may_be(self, tree: Path) -> None:
        assert list(release.check(tree, f"v{__version__}")) == []

    @pytest.mark.parametrize("tag", ["0.1.0", "v0.1", "v1.2.3-rc1", "main", ""])
    def test_what_is_no_tag_of_a_release_is_told(self, tree: Path, tag: str) -> None:
        assert list(release.check(tree, tag)) == [f"{tag!r} is no tag of a release: write one such as v0.2.0"]

    def test_another_version_than_the_tags_is_told_with_what_to_do(self, tree: Path) -> None:
        told = list(release.check(tree, "v9.0.0"))
        assert len(told) == 2 + len(release.COPIES)
        assert told[0] == f"crproxy/__init__.py has {__version__}, the tag 9.0.0: make release VERSION=9.0.0"
        assert told[-1] == f"CHANGELOG.md begins with {__version__}: make release VERSION=9.0.0"

    def test_what_the_changelog_has_not_yet_is_told(self, tree: Path) -> None:
        (tree / "changes" / "+new.feature.md").write_text("New.\n")
        told = list(release.check(tree, f"v{__version__}"))
        assert told == ["changes/ has what is not in CHANGELOG.md: +new.feature.md"]


@pytest.mark.integration
def test_a_release_is_written_by_one_command(tmp_path: Path) -> None:
    """In a copy of the tree, by the lines of the Makefile as they stand there."""
    need("helm")
    copy = shutil.copytree(ROOT, tmp_path / "copy", ignore=NOT_SOURCE)
    (copy / "changes" / "+more.feature.md").write_text("There is more.\n")
    recipe = re.search(r"^release: .*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    assert recipe is not None
    lines = recipe[1].replace("$(BIN)", str(Path(sys.executable).parent)).replace("$(VERSION)", "98.7.6").splitlines()
    for line in lines:
        done = subprocess.run(shlex.split(line), cwd=copy, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    assert [path.name for path in (copy / "changes").iterdir()] == ["README.md"]
    assert "- There is more.\n" in release.notes(copy, "98.7.6")
    assert 'newTag: "98.7.6"' in (copy / "deploy" / "kubernetes" / "kustomization.yaml").read_text("utf-8")
    assert list(release.released(copy))[:2] == ["98.7.6", __version__]
    assert release.released(copy)["98.7.6"] in (copy / "share" / "man" / "man1" / "crproxy.1").read_text("utf-8")


class TestImage:
    def test_its_labels_are_those_of_the_specification(self) -> None:
        """Open Container Initiative, Image Format Specification, "Pre-Defined Annotation Keys"."""
        (label,) = instructions("LABEL")
        labels = dict(re.findall(r'(\S+?)="([^"]*)"', label))
        prefix = "org.opencontainers.image."
        assert {name.removeprefix(prefix) for name in labels} == {
            "title",
            "description",
            "version",
            "licenses",
            "base.name",
        }
        setup = (ROOT / "setup.cfg").read_text("utf-8")
        assert f"description = {labels[prefix + 'description']}\n" in setup
        assert f"license = {labels[prefix + 'licenses']}\n" in setup


class TestWorkflow:
    text = WORKFLOW.read_text("utf-8")
    # YAML 1.1 reads "on" as true.
    document: Any = yaml.safe_load(text)
    jobs = document["jobs"]

    def steps(self) -> list[tuple[str, Any]]:
        return [(name, step) for name, job in self.jobs.items() for step in job["steps"]]

    def test_it_begins_with_the_tag_of_a_version(self) -> None:
        assert self.document[True] == {"push": {"tags": ["v[0-9]+.[0-9]+.[0-9]+"]}}

    def test_nothing_is_allowed_that_a_job_does_not_say(self) -> None:
        assert self.document["permissions"] == {}
        assert {name: job["permissions"] for name, job in self.jobs.items()} == {
            "build": {"contents": "read"},
            "attest": {"id-token": "write", "attestations": "write"},
            "image": {"contents": "read", "packages": "write", "id-token": "write", "attestations": "write"},
            "publish": {"contents": "write"},
        }

    def test_actions_are_named_by_their_commit(self) -> None:
        used = re.findall(r"uses: (\S+)(.*)", self.text)
        assert len(used) == len([step for _, step in self.steps() if "uses" in step])
        for action, comment in used:
            assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action), action
            assert re.fullmatch(r" # v[\d.]+", comment), action

    def test_an_action_is_named_by_one_commit(self) -> None:
        used = {tuple(action.split("@")) for action in re.findall(r"uses: (\S+)", self.text)}
        assert len(used) == len({name for name, _ in used})

    def test_nothing_of_a_run_is_put_into_a_script(self) -> None:
        """An expression in a script is code; scripts have variables."""
        assert [step for _, step in self.steps() if "${{" in step.get("run", "")] == []

    def test_no_secret_is_used_but_the_runs_own_token(self) -> None:
        assert "secrets." not in self.text
        assert set(re.findall(r"\$\{\{ (github\.token) \}\}", self.text)) == {"github.token"}

    def test_credentials_are_not_left_in_the_tree(self) -> None:
        checkouts = [step for _, step in self.steps() if step.get("uses", "").startswith("actions/checkout@")]
        assert len(checkouts) == 2
        assert all(step["with"] == {"persist-credentials": False} for step in checkouts)

    def test_what_may_publish_runs_nothing_of_the_tree(self) -> None:
        for name in ("attest", "publish"):
            used = [step.get("uses", "").partition("@")[0] for step in self.jobs[name]["steps"]]
            assert "actions/checkout" not in used

    def test_what_it_makes_there_is(self) -> None:
        targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
        scripts = [step["run"] for _, step in self.steps() if "run" in step]
        calls = [line for script in scripts for line in script.splitlines() if line.strip().startswith("make ")]
        words = {word for call in calls for word in re.findall(r" ([a-z][a-z-]*)(?= |$)", call)}
        assert words == {"release-check", "lint", "unit", "wheel", "release-notes"}
        assert words <= targets

    def test_nothing_is_published_before_all_is_attested_and_signed(self) -> None:
        assert self.jobs["attest"]["needs"] == self.jobs["image"]["needs"] == "build"
        assert set(self.jobs["publish"]["needs"]) == {"attest", "image"}
        (sign,) = [step for _, step in self.steps() if "cosign sign" in step.get("run", "")]
        assert sign["env"]["IMAGE"].endswith("@${{ steps.push.outputs.digest }}")

    def test_the_image_gets_the_labels_that_only_a_release_knows(self) -> None:
        (push,) = [step for _, step in self.steps() if step.get("id") == "push"]
        names = {line.partition("=")[0] for line in push["with"]["labels"].splitlines()}
        assert names == {f"org.opencontainers.image.{name}" for name in ("created", "revision", "source")}

    def test_every_job_ends(self) -> None:
        assert all(job["timeout-minutes"] <= 60 for job in self.jobs.values())


@dataclass(frozen=True)
class Runner:
    """A tree that is released, and a machine that runs the workflow's scripts in it.

    What the scripts install is here already: make is told where. What would be published is written down.
    """

    tree: Path
    tag: str
    told: Path

    def run(self, name: str, **variables: str) -> dict[str, str]:
        """Run the script of a step, as GitHub does (``shell: bash``), and return its outputs."""
        (script,) = [step["run"] for _, step in TestWorkflow().steps() if step.get("name") == name]
        outputs = self.told / "outputs"
        outputs.touch()
        done = subprocess.run(
            [need("bash"), "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", script],
            cwd=self.tree,
            env={**self._environment(), "GITHUB_OUTPUT": str(outputs), **variables},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{name}\n{done.stdout}{done.stderr}"
        return dict(line.split("=", 1) for line in outputs.read_text("utf-8").splitlines())

    def published(self, program: str) -> list[str]:
        """Return what a program was called with."""
        return (self.told / program).read_text("utf-8").splitlines()

    @property
    def flags(self) -> str:
        """For make: the stamps of an environment that has all, and the programs of this one."""
        return f"VENV={self.told} BIN={Path(sys.executable).parent}"

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": f"{self.told / 'bin'}:{os.environ['PATH']}",
            "HOME": str(self.told),
            "GITHUB_REF_NAME": self.tag,
            "GITHUB_REPOSITORY": "Somebody/CRproxy",
            "MAKEFLAGS": self.flags,
        }


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    directory = tmp_path_factory.mktemp("release")
    tree, told = directory / "tree", directory / "told"
    shutil.copytree(ROOT, tree, ignore=NOT_SOURCE)
    for fragment in (tree / "changes").glob("*.*.md"):
        fragment.unlink()
    git = [need("git"), "-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "commit.gpgsign=false"]
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message=x", "--date=@1700000000"]):
        subprocess.run([*git, *words], cwd=tree, check=True, env={**os.environ, "GIT_COMMITTER_DATE": "@1700000000"})
    (told / "bin").mkdir(parents=True)
    # Newer than all that it is made of.
    (told / "installed-for-tests").touch()
    os.utime(told / "installed-for-tests", (2**31, 2**31))
    for program in ("cosign", "gh"):
        file = told / "bin" / program
        file.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > "{told}/{program}"\n')
        file.chmod(0o755)
    return Runner(tree, f"v{__version__}", told)


@pytest.mark.integration
class TestRun:
    """Each script of the workflow, run. What an action does is GitHub's."""

    def test_every_script_is_run_here(self) -> None:
        text = Path(__file__).read_text("utf-8")
        scripts = [step["name"] for _, step in TestWorkflow().steps() if "run" in step]
        assert [name for name in scripts if f'"{name}"' not in text] == []

    def test_the_tag_is_checked(self, runner: Runner) -> None:
        runner.run("The tag is the version, and the changelog has it")
        with pytest.raises(AssertionError, match=r"has .*, the tag 9\.9\.9"):
            runner.run("The tag is the version, and the changelog has it", GITHUB_REF_NAME="v9.9.9")

    def test_what_is_linted_and_tested_there_is(self, runner: Runner) -> None:
        """They take minutes, and are run as they are: here make says what it would do."""
        runner.run("Lint and the tests that spawn nothing", MAKEFLAGS=f"n {runner.flags}")

    def test_the_distributions_have_the_commits_time_and_the_notes_are_the_changelogs(self, runner: Runner) -> None:
        runner.run("Build, with the commit's time in the archives")
        (wheel,) = (runner.tree / "dist").glob("*.whl")
        (sdist,) = (runner.tree / "dist").glob("*.tar.gz")
        with zipfile.ZipFile(wheel) as archive:
            assert {file.date_time for file in archive.infolist()} == {time.gmtime(1_700_000_000)[:6]}
        assert sdist.name == f"crproxy-{__version__}.tar.gz"
        assert (runner.tree / "notes.md").read_text("utf-8") == release.notes(runner.tree, __version__)

    def test_the_image_is_named_in_lower_case_by_the_version(self, runner: Runner) -> None:
        outputs = runner.run("Names and labels")
        assert outputs["image"] == "ghcr.io/somebody/crproxy"
        assert outputs["version"] == __version__
        assert datetime.fromisoformat(outputs["created"]).timestamp() == 1_700_000_000

    def test_the_image_is_signed_by_its_digest(self, runner: Runner) -> None:
        runner.run("Sign, by the digest", IMAGE="ghcr.io/somebody/crproxy@sha256:0")
        assert runner.published("cosign") == ["sign", "--yes", "--recursive", "ghcr.io/somebody/crproxy@sha256:0"]

    def test_all_that_was_built_is_published_with_the_notes(self, runner: Runner) -> None:
        runner.run("Build, with the commit's time in the archives")
        runner.run("Publish", GH_TOKEN="x", GH_REPO="somebody/crproxy")
        built = sorted(f"dist/{path.name}" for path in (runner.tree / "dist").iterdir())
        assert len(built) == 2
        title = ["--title", runner.tag, "--notes-file", "notes.md"]
        assert runner.published("gh") == ["release", "create", runner.tag, *built, "--verify-tag", *title]
