"""crproxy doctor on a fleet: on a healthy one, and where Valkey, the object store or a node is not as it should be.

All of it is real: two daemons, valkey-server, versitygw. What the doctor says is that place, and what to do there.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.parts.answers import Answer
from tests.parts.certificates import Authority
from tests.parts.daemon import Upstream
from tests.parts.doctor import Found, Report, examine
from tests.parts.fake_upstream import FakeUpstream
from tests.parts.fleets import Fleet
from tests.parts.s3 import S3Server
from tests.parts.valkey import Valkey

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration

# No CA is asked, and one registry, which is none of a fleet's.
MORE = '[access]\nregistries = ["docker.io"]\n[acme]\ndirectory = "none"\n'
PASSWORD = "of-nobody-at-all"
ANOTHER_SECRET = "f" * 8 + "0123456789abcdef" * 3


@dataclass(frozen=True, slots=True)
class House:
    """Two nodes that run, and what they have in common."""

    fleet: Fleet
    valkey: Valkey
    s3: S3Server
    secrets: Path

    def look(self, directory: Path, *changes: tuple[str, str]) -> Report:
        """Let the doctor look at the first node, with these texts of its configuration changed for others."""
        node = self.fleet.nodes[0]
        text = node.file.read_text()
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new)
        file = directory / "crproxy.toml"
        file.write_text(text)
        where = ["--http", f"tcp:{node.port}:interface=127.0.0.1", "--https", "", "--data-dir", str(node.data_dir)]
        return examine(directory, "--config", str(file), *where)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    directory = tmp_path_factory.mktemp("fleet")
    with (
        Valkey(password=PASSWORD) as valkey,
        S3Server(tmp_path_factory.mktemp("s3")) as s3,
        FakeUpstream() as upstream,
        Fleet(directory, {"docker.io": Upstream(upstream.url)}, s3=s3, valkey=valkey, more=MORE) as fleet,
    ):
        fleet.start()
        fleet.start(workers=2)
        yield House(fleet, valkey, s3, directory)


def bad(report: Report, area: str) -> list[Found]:
    return [found for found in report.about(area) if found.outcome in ("failed", "warning")]


def only(report: Report, area: str) -> Found:
    """What is wrong there, and nowhere else."""
    assert report.status == 1, report
    assert report.failed == {area}, report
    assert report.first_cause is not None
    assert report.first_cause.area == area
    return report.first_cause


def written(directory: Path, text: str, mode: int = 0o600) -> Path:
    file = directory / "written"
    file.write_text(text)
    file.chmod(mode)
    return file


def left_in(s3: S3Server) -> list[str]:
    return [name for name in s3.names() if "doctor" in name.split("/")]


class TestHealthy:
    def test_all_is_well(self, house: House, tmp_path: Path) -> None:
        report = house.look(tmp_path)
        assert report.failed == set(), report
        assert bad(report, "fleet") == bad(report, "storage") == []
        of_fleet = {found.subject: found.text for found in report.about("fleet")}
        assert any("node node-2 at https://127.0.0.1:" in subject for subject in of_fleet)
        assert "has 32 bytes" in of_fleet["secret"]
        texts = [found.text for found in report.about("fleet")]
        for said in ("is Valkey ", "answers in ", "and has no bound", "takes what is written", "agree to 0."):
            assert [text for text in texts if said in text], said
        assert [found.outcome for found in report.about("storage")] == ["ok"] * 4
        assert [found.subject.rpartition(": ")[2] for found in report.about("storage")] == [
            "list",
            "write",
            "read",
            "remove",
        ]
        assert left_in(house.s3) == [], "nothing of it stays"
        assert house.valkey.ask("KEYS", "*doctor*") == []
        assert PASSWORD not in str(report)

    def test_who_may_read_the_secret_is_looked_at(self, house: House, tmp_path: Path) -> None:
        secret = house.secrets / "fleet.secret"
        open_to_all = written(tmp_path, secret.read_text(), 0o644)
        report = house.look(tmp_path, (str(secret), str(open_to_all)))
        (found,) = bad(report, "permissions")
        assert (found.subject, found.outcome) == (str(open_to_all), "warning")
        assert "every user of this machine may read it" in found.text
        assert f"chmod 640 {open_to_all}" in found.advice

    def test_a_daemon_that_does_not_run_is_asked_nothing(self, house: House, tmp_path: Path) -> None:
        node = house.fleet.nodes[0]
        file = tmp_path / "crproxy.toml"
        file.write_text(node.file.read_text())
        where = ["--http", "", "--https", "", "--data-dir", str(tmp_path)]
        report = examine(tmp_path, "--config", str(file), *where)
        (own,) = [found for found in report.about("fleet") if found.subject.startswith("this node at ")]
        assert (own.outcome, own.text) == ("skipped", "crproxy is not running")


class TestValkey:
    def test_the_password_is_wrong(self, house: House, tmp_path: Path) -> None:
        found = only(house.look(tmp_path, (PASSWORD, "another-one")), "fleet")
        assert "refuses the password: WRONGPASS" in found.text
        assert "valkey_password_file" in found.advice
        assert "another-one" not in str(found)

    def test_there_is_no_password(self, house: House, tmp_path: Path) -> None:
        found = only(house.look(tmp_path, (f":{PASSWORD}@", "")), "fleet")
        assert "asks for a password: NOAUTH" in found.text

    def test_nobody_listens(self, house: House, tmp_path: Path) -> None:
        with Valkey() as gone:
            port = gone.port
        found = only(house.look(tmp_path, (f"127.0.0.1:{house.valkey.port}", f"127.0.0.1:{port}")), "fleet")
        assert found.subject == f"Valkey at 127.0.0.1:{port}"
        assert "cannot be connected to, so each node goes on alone" in found.text
        assert found.advice.startswith("Start it")

    def test_it_does_nothing(self, house: House, tmp_path: Path) -> None:
        with Valkey(password=PASSWORD) as frozen, frozen.frozen():
            found = only(house.look(tmp_path, (f":{house.valkey.port}/", f":{frozen.port}/")), "fleet")
        assert "does not answer: it has not answered for 5 s" in found.text

    def test_it_does_not_speak_tls(self, house: House, tmp_path: Path) -> None:
        found = only(house.look(tmp_path, ("redis://", "rediss://")), "fleet")
        assert "is connected to, but does not answer" in found.text
        assert "by TLS or not as [fleet] valkey says" in found.advice

    def test_it_is_something_else(self, house: House, tmp_path: Path) -> None:
        found = only(house.look(tmp_path, (f":{house.valkey.port}/", f":{house.s3.port}/")), "fleet")
        assert "does not answer" in found.text
        assert "See whether it is Valkey that listens there" in found.advice

    def test_it_is_a_replica(self, house: House, tmp_path: Path) -> None:
        with Valkey(f"replicaof 127.0.0.1 {house.valkey.port}", f"masterauth {PASSWORD}", password=PASSWORD) as replica:
            found = only(house.look(tmp_path, (f":{house.valkey.port}/", f":{replica.port}/")), "fleet")
        assert "is a replica, which takes nothing that is written" in found.text
        assert found.advice.startswith("Name the primary")

    def test_it_has_no_memory_left(self, house: House, tmp_path: Path) -> None:
        with Valkey("maxmemory 1mb", password=PASSWORD) as full:
            found = only(house.look(tmp_path, (f":{house.valkey.port}/", f":{full.port}/")), "fleet")
        assert "has no memory left for what is written: OOM" in found.text
        assert "maxmemory" in found.advice

    def test_it_drops_what_it_has_no_room_for(self, house: House, tmp_path: Path) -> None:
        with Valkey("maxmemory 100mb", "maxmemory-policy allkeys-lru", password=PASSWORD) as forgetful:
            report = house.look(tmp_path, (f":{house.valkey.port}/", f":{forgetful.port}/"))
        (found,) = [found for found in bad(report, "fleet") if found.outcome == "warning"]
        assert "then drops keys (allkeys-lru)" in found.text
        assert "noeviction" in found.advice

    def test_there_are_fewer_databases(self, house: House, tmp_path: Path) -> None:
        found = only(house.look(tmp_path, (f":{house.valkey.port}/0", f":{house.valkey.port}/99")), "fleet")
        assert "has no such database" in found.text

    def test_its_user_may_not_write(self, house: House, tmp_path: Path) -> None:
        house.valkey.ask(
            "ACL", "SETUSER", "reader", "on", ">secret", "~crproxy:*", "&crproxy:*", "+@read", "+@connection"
        )
        found = only(house.look(tmp_path, (f":{PASSWORD}@", "reader:secret@")), "fleet")
        assert "does not let its user do what it takes: NOPERM" in found.text
        assert found.advice == "Allow it ~crproxy:* &crproxy:* +@all (ACL SETUSER)"


class TestNodes:
    def test_the_secret_is_another(self, house: House, tmp_path: Path) -> None:
        other = written(tmp_path, ANOTHER_SECRET)
        report = house.look(tmp_path, (str(house.secrets / "fleet.secret"), str(other)))
        found = bad(report, "fleet")
        assert [one.subject.split(" at ")[0] for one in found] == ["this node", "node node-2"]
        for one in found:
            assert "has another secret" in one.text
            assert "same secret on each node" in one.advice

    def test_the_secret_can_be_guessed(self, house: House, tmp_path: Path) -> None:
        report = house.look(tmp_path, (str(house.secrets / "fleet.secret"), str(written(tmp_path, "ab" * 20))))
        (secret,) = [one for one in bad(report, "fleet") if one.subject == "secret"]
        assert "only 2 different ones" in secret.text

    def test_another_node_answers_where_this_one_should(self, house: House, tmp_path: Path) -> None:
        advertised = [line.split('"')[1] for node in house.fleet.nodes for line in _lines(node.file, "advertise")]
        report = house.look(tmp_path, (advertised[0], advertised[1]))
        (own,) = [found for found in bad(report, "fleet") if found.subject.startswith("this node at ")]
        assert own.text == "the node node-2 answers there"
        assert "past any balancer" in own.advice

    def test_it_is_reached_nowhere(self, house: House, tmp_path: Path) -> None:
        (line,) = _lines(house.fleet.nodes[0].file, "advertise")
        with Valkey() as gone:
            port = gone.port
        report = house.look(tmp_path, (line, f'advertise = "https://127.0.0.1:{port}"'))
        (own,) = [found for found in bad(report, "fleet") if found.subject.startswith("this node at ")]
        assert own.text == "it refuses connections"
        assert "firewalls" in own.advice

    def test_two_have_the_same_name(self, house: House, tmp_path: Path) -> None:
        report = house.look(tmp_path, ('name = "node-1"', 'name = "node-2"'))
        assert "Give each node a name of its own ([fleet] name)" in [one.advice for one in bad(report, "fleet")]

    def test_it_is_not_among_the_others(self, house: House, tmp_path: Path) -> None:
        report = house.look(tmp_path, ('name = "node-1"', 'name = "node-9"'))
        assert "node-9" in [one.subject for one in bad(report, "fleet") if "not among the nodes" in one.text]


class TestStorage:
    def test_nothing_listens(self, house: House, tmp_path: Path) -> None:
        with Valkey() as gone:
            port = gone.port
        found = only(house.look(tmp_path, (house.s3.endpoint, f"http://127.0.0.1:{port}")), "storage")
        assert found.subject == "s3://crproxy/fleet: list"
        assert (found.text, found.advice) == (
            "nothing listens there",
            "Start it, or correct endpoint under [storage]",
        )

    def test_what_comes_after_it_is_skipped(self, house: House, tmp_path: Path) -> None:
        report = house.look(tmp_path, ("s3://crproxy/", "s3://no-such-bucket/"))
        assert [found.outcome for found in report.about("storage")] == ["failed", "skipped", "skipped", "skipped"]
        found = only(report, "storage")
        assert found.text == "there is no such bucket"
        assert "Make the bucket" in found.advice

    @pytest.mark.parametrize(
        ("old", "new", "said", "advice"),
        [
            ('access_key_id = "tester"', 'access_key_id = "nobody"', "it knows no such access key", "access_key_id"),
            ("us-east-1", "eu-nowhere-7", "the bucket is in another region", "Correct region"),
            ('endpoint = "http:', 'endpoint = "https:', "it does not speak TLS there", "Write http://"),
            ("{s3}", "http://nowhere.invalid:9", "its name cannot be resolved", "Correct endpoint"),
        ],
    )
    def test_what_is_wrong_is_said(
        self, house: House, tmp_path: Path, old: str, new: str, said: str, advice: str
    ) -> None:
        storage = f'endpoint = "{house.s3.endpoint}"\nregion = "us-east-1"\naccess_key_id = "tester"'
        changed = storage.replace(old.format(s3=house.s3.endpoint), new)
        found = only(house.look(tmp_path, (storage, changed)), "storage")
        assert found.text == said
        assert advice in found.advice

    def test_the_secret_is_wrong(self, house: House, tmp_path: Path) -> None:
        other = written(tmp_path, "another-secret-of-nobody")
        found = only(house.look(tmp_path, (str(house.secrets / "s3.secret"), str(other))), "storage")
        assert found.text == "the secret is not that of the access key"
        assert "another-secret" not in str(found)

    def test_it_does_nothing(self, house: House, tmp_path: Path) -> None:
        with S3Server(_below(tmp_path, "frozen")) as frozen, frozen.frozen():
            found = only(house.look(tmp_path, (house.s3.endpoint, frozen.endpoint)), "storage")
        assert found.text == "it does not answer in time"

    @pytest.mark.parametrize(
        ("code", "said", "advice"),
        [
            ("RequestTimeTooSkewed", "this machine's clock is wrong", "timedatectl set-ntp true"),
            ("AccessDenied", "it may not be used like this", "get, put and delete objects below the prefix"),
            ("SlowDown", "", "See the log of the object store"),
        ],
    )
    def test_it_refuses(self, house: House, tmp_path: Path, code: str, said: str, advice: str) -> None:
        """As S3 says it ("Error responses"): versitygw cannot be made to."""
        with FakeUpstream() as s3:
            refused = f"<Error><Code>{code}</Code><Message>No.</Message></Error>".encode()
            s3.script("/crproxy", Answer(status=403 if said else 409, body=refused))
            found = only(house.look(tmp_path, (house.s3.endpoint, s3.url)), "storage")
        assert found.text == said if said else code in found.text
        assert advice in found.advice

    def test_its_certificate_is_nobodys(self, house: House, tmp_path: Path) -> None:
        certificate = Authority(_below(tmp_path, "authority")).issue("127.0.0.1")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.chain, certificate.key)
        with FakeUpstream(context) as s3:
            found = only(house.look(tmp_path, (house.s3.endpoint, s3.url)), "storage")
        assert found.text == "its certificate is nobody's that is trusted here"
        assert "update-ca-certificates" in found.advice


def _below(directory: Path, name: str) -> Path:
    made = directory / name
    made.mkdir()
    return made


def _lines(file: Path, key: str) -> list[str]:
    return [line for line in file.read_text().splitlines() if line.startswith(f"{key} = ")]
