"""docs/guides, done as they say: the text of each comes out of the guide, and is run by the real programs.

Where a guide names ports and addresses, they are free ones of this machine here, or it is a machine of its own.
"""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from crproxy.policy.urls import Origin
from crproxy.tls.storage import CertificateStorage
from tests.parts.answers import Gate, Stall
from tests.parts.caller import Caller
from tests.parts.daemon import Daemon, Start, Upstream, configuration
from tests.parts.guides import blocks, only
from tests.parts.images import OCI_MANIFEST, sha256
from tests.parts.layouts import Layout
from tests.parts.machine import Machine
from tests.parts.places import REGISTRY, blob, manifest_place
from tests.parts.ports import reserve_port, wait_until_listening
from tests.parts.process import Process
from tests.parts.raw_http import ask
from tests.parts.registry import PASSWORD, USERNAME, write_htpasswd
from tests.parts.requirements import need, need_root
from tests.parts.shapes import content, manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.parts.certificates import Authority
    from tests.parts.fake_upstream import FakeUpstream

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

DOMAIN, ALIAS = "cr.example.com", "quay.cr.example.com"
CLIENT = "127.0.0.3"
MIB = 1024 * 1024
LAYER = b"a layer\n" * 1000
TAG = manifest_place("v1")
DOCUMENT = b'{"schemaVersion": 2}'
CRPROXY = Path(sys.executable).parent


class InFront:
    """Starts the daemon of a guide, and what stands in front of it; each runs until ``running`` ends."""

    def __init__(self, directory: Path, authority: Authority, upstream: FakeUpstream, running: ExitStack) -> None:
        self._directory = directory
        self._upstream = upstream
        self._running = running
        self.root = authority.file
        self.certificate = authority.issue(DOMAIN, f"*.{DOMAIN}")
        self.port = reserve_port()

    def daemon(self, heading: str, *, ends_tls: bool = False, more: str = "") -> Daemon:
        """Start it by the configuration below a heading, at ports that are free."""
        text = only("reverse-proxy", "toml", heading, containing=f'domain = "{DOMAIN}"\n\n[listen]')
        text = re.sub(r"^\[acme\]\n(?:.+\n)+", "", text, flags=re.MULTILINE)
        text += configuration({REGISTRY: Upstream(self._upstream.url), "quay.io": Upstream(self._upstream.url)}) + more
        endpoints = dict(re.findall(r'^(https?) = \[(?:"(.*)")?\]$', text, re.MULTILINE))
        assert bool(endpoints["https"]) == ends_tls
        listen = []
        for key, endpoint in endpoints.items():
            listen += [f"--{key}", re.sub(r"tcp:\d+", "tcp:0", endpoint)]
        if ends_tls:
            certs = self._directory / "certs"
            certs.mkdir()
            both = self.certificate.key.read_bytes() + self.certificate.chain.read_bytes()
            (certs / f"{DOMAIN}.pem").write_bytes(both)
            listen += ["--certs", str(certs), "--acme-directory", "none"]
        home = self._directory / "daemon"
        home.mkdir()
        write_htpasswd(home / "htpasswd")
        return self._running.enter_context(Daemon(home, text, listen=listen))

    def start(self, command: list[str]) -> None:
        """Start what stands in front; wait until it listens where clients come."""
        process = self._running.enter_context(Process(command, self._directory))
        wait_until_listening(self.port, process)

    def nginx(self, text: str) -> None:
        need_root("nginx with its usual places")
        file = self._directory / "nginx.conf"
        modules = "include /etc/nginx/modules-enabled/*.conf;\n" if "stream {" in text else ""
        file.write_text(f"{modules}events {{}}\n{text}")
        checked = subprocess.run(
            [need("nginx"), "-t", "-c", str(file), "-e", "stderr", "-g", f"pid {file}.pid;"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert "test is successful" in checked.stderr, checked.stderr
        assert "[warn]" not in checked.stderr
        self.start([need("nginx"), "-c", str(file), "-e", "stderr", "-g", f"daemon off; pid {file}.pid;"])

    def caller(self, name: str = DOMAIN) -> Caller:
        """A client that comes from an address of its own."""
        return Caller(self.port, CLIENT, name=name, root=self.root)


@pytest.fixture
def front(tmp_path: Path, authority: Authority, fake: FakeUpstream) -> Iterator[InFront]:
    with ExitStack() as running:
        yield InFront(tmp_path, authority, fake, running)


def nginx_by_http(front: InFront, more: str = "") -> Daemon:
    daemon = front.daemon("## Steps: TLS ends in front", more=more)
    text = only("reverse-proxy", "nginx", "### nginx")
    text = text.replace("127.0.0.1:5000", f"127.0.0.1:{daemon.port}")
    text = text.replace("listen 443 ssl;", f"listen 127.0.0.1:{front.port} ssl;")
    text = text.replace("listen 80;", f"listen 127.0.0.1:{reserve_port()};")
    text = text.replace("/etc/nginx/cr.example.com.pem", str(front.certificate.chain))
    text = text.replace("/etc/nginx/cr.example.com.key", str(front.certificate.key))
    front.nginx(f"http {{\naccess_log off;\n{text}}}\n")
    return daemon


def caddy(front: InFront, more: str = "") -> Daemon:
    daemon = front.daemon("## Steps: TLS ends in front", more=more)
    text = only("reverse-proxy", "text", "### Caddy")
    text = text.replace("127.0.0.1:5000", f"127.0.0.1:{daemon.port}")
    text = text.replace(
        f"{DOMAIN}, *.{DOMAIN} {{", f"https://{DOMAIN}:{front.port}, https://*.{DOMAIN}:{front.port} {{"
    )
    text = text.replace("/etc/caddy/cr.example.com.pem", str(front.certificate.chain))
    text = text.replace("/etc/caddy/cr.example.com.key", str(front.certificate.key))
    file = front.root.parent / f"Caddyfile-{front.port}"
    file.write_text(f"{{\n\tadmin off\n\tauto_https disable_redirects\n}}\n{text}")
    front.start([need("caddy"), "run", "--config", str(file), "--adapter", "caddyfile"])
    return daemon


def nginx_by_tcp(front: InFront, more: str = "") -> Daemon:
    daemon = front.daemon("## Steps: TLS is passed through", ends_tls=True, more=more)
    text = only("reverse-proxy", "nginx", "### nginx, by TCP")
    text = text.replace("127.0.0.1:8443", f"127.0.0.1:{daemon.tls_port}").replace(
        "listen 443;", f"listen 127.0.0.1:{front.port};"
    )
    front.nginx(text)
    return daemon


FRONTS: dict[str, Callable[..., Daemon]] = {"nginx": nginx_by_http, "caddy": caddy, "nginx-by-tcp": nginx_by_tcp}


@pytest.mark.usefixtures("workers")
@pytest.mark.parametrize("make", FRONTS.values(), ids=FRONTS)
class TestBehindAnotherServer:
    def test_images_come_and_the_client_is_known(
        self, front: InFront, fake: FakeUpstream, make: Callable[..., Daemon]
    ) -> None:
        daemon = make(front)
        fake.script(TAG.path, manifest(DOCUMENT, OCI_MANIFEST))
        fake.script(blob(LAYER).path, content(LAYER))
        with front.caller() as caller:
            assert caller.get("/v2/").json() == {}
        with front.caller() as caller:
            assert caller.get(TAG.through).body == DOCUMENT
        with front.caller(ALIAS) as caller:
            assert caller.get(TAG.path).body == DOCUMENT
        with front.caller() as caller:
            answer = caller.get(blob(LAYER).through, ("Range", "bytes=8-15"))
        assert (answer.status, answer.body) == (206, LAYER[8:16])
        daemon.wait_for_log(rf'{CLIENT} - - \[.*"GET {re.escape(TAG.through)} ')

    def test_the_path_arrives_as_it_was_sent(self, front: InFront, make: Callable[..., Daemon]) -> None:
        """An escape is refused by crproxy, so nobody has decoded it before."""
        make(front)
        with front.caller() as caller:
            answer = caller.get(f"/v2/{REGISTRY}/team%2Fapp/manifests/v1")
        assert (answer.status, answer.code) == (400, "NAME_INVALID")

    def test_bytes_go_out_as_they_come(
        self, front: InFront, fake: FakeUpstream, gate: Gate, make: Callable[..., Daemon]
    ) -> None:
        make(front)
        body = b"x" * 4 * MIB
        fake.script(blob(body).path, content(body, fault=Stall(gate, MIB)))
        with front.caller() as caller, caller.ask(blob(body).through) as response:
            assert response.status == 200
            assert len(response.read(MIB - 64 * 1024)) == MIB - 64 * 1024
            gate.open()
            assert len(response.read()) == 3 * MIB + 64 * 1024

    def test_a_login_is_by_token(self, front: InFront, make: Callable[..., Daemon]) -> None:
        """Which is given only to who comes by https: that is known from in front."""
        make(front, more='[clients]\nhtpasswd = "htpasswd"\n')
        with front.caller() as caller:
            challenge = caller.get("/v2/").headers["WWW-Authenticate"]
        assert challenge.startswith(f'Bearer realm="https://{DOMAIN}')


# Another layout of the data directory


@pytest.fixture
def kept(start: Start, fake: FakeUpstream, tmp_path: Path) -> Path:
    """A data directory in which an image is kept, by this version."""
    fake.script(TAG.path, manifest(DOCUMENT, OCI_MANIFEST))
    fake.script(blob(LAYER).path, content(LAYER))
    data = tmp_path / "data"
    daemon = start({REGISTRY: Upstream(fake.url)}, data_dir=data)
    assert ask(daemon.address, "GET", TAG.through).body == DOCUMENT
    assert ask(daemon.address, "GET", blob(LAYER).through).body == LAYER
    daemon.cache.wait_until_whole(sha256(LAYER))
    assert daemon.cache.is_agreed()
    daemon.stop()
    return data


def rewrite(data: Path, script: str) -> None:
    """Have the index be as another version left it."""
    with closing(sqlite3.connect(data / "index.sqlite")) as database:
        database.executescript(script)


# What versions after 3 have added to the index, taken away.
TO_VERSION_5 = (
    "DROP TRIGGER tag_confirmed; DROP TABLE tag_change; DROP TABLE sighting; DROP TABLE tag_pin; DROP TABLE verdict; "
)
TO_VERSION_4 = TO_VERSION_5 + "DROP TABLE pin; DROP TABLE pinned; "
TO_VERSION_3 = TO_VERSION_4 + "DROP INDEX blob_by_check; ALTER TABLE blob DROP COLUMN checked"


@pytest.mark.usefixtures("workers")
class TestUpgrade:
    def test_from_version_3_of_the_index_all_is_served_while_upstream_is_away(
        self, kept: Path, start: Start, fake: FakeUpstream
    ) -> None:
        rewrite(kept, f"{TO_VERSION_3}; PRAGMA user_version = 3")
        fake.stop()
        daemon = start({REGISTRY: Upstream(fake.url)}, data_dir=kept)
        assert ask(daemon.address, "GET", TAG.through).body == DOCUMENT
        assert ask(daemon.address, "GET", blob(LAYER).through).body == LAYER
        assert "damaged" not in daemon.log

    def test_from_version_2_each_is_fetched_once_more(self, kept: Path, start: Start, fake: FakeUpstream) -> None:
        rewrite(kept, f"{TO_VERSION_3}; PRAGMA user_version = 2")
        seen = len(fake.seen.requests())
        daemon = start({REGISTRY: Upstream(fake.url)}, data_dir=kept)
        assert ask(daemon.address, "GET", TAG.through).body == DOCUMENT
        assert ask(daemon.address, "GET", blob(LAYER).through).body == LAYER
        assert [one.target for one in fake.seen.requests()[seen:]] == [TAG.path, blob(LAYER).path]
        assert ask(daemon.address, "GET", blob(LAYER).through).body == LAYER
        assert len(fake.seen.requests()) == seen + 2
        assert "damaged" not in daemon.log

    def test_back_from_a_newer_one_the_index_is_set_aside(self, kept: Path, start: Start, fake: FakeUpstream) -> None:
        rewrite(kept, "PRAGMA user_version = 99")
        seen = len(fake.seen.requests())
        daemon = start({REGISTRY: Upstream(fake.url)}, data_dir=kept)
        daemon.wait_for_log(r"set aside as index\.damaged-\d+")
        assert ask(daemon.address, "GET", TAG.through).body == DOCUMENT
        assert ask(daemon.address, "GET", blob(LAYER).through).body == LAYER
        assert [one.target for one in fake.seen.requests()[seen:]] == [TAG.path, blob(LAYER).path]
        assert daemon.cache.is_agreed()


# A machine of its own

UPSTREAM = "127.0.0.1:6000"
IMAGES = ("library/nginx:latest", "prometheus/busybox:latest")
UPSTREAMS = "".join(f'[upstreams."{name}"]\nendpoint = "http://{UPSTREAM}"\n' for name in ("docker.io", "quay.io"))


class Laid:
    """What lies on a machine before it is entered."""

    def __init__(self, directory: Path) -> None:
        self.root = directory / "upper"

    def __call__(self, path: str, text: str) -> None:
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


@pytest.fixture
def laid(tmp_path: Path) -> Laid:
    return Laid(tmp_path)


@pytest.fixture
def machine(laid: Laid, tmp_path: Path, layout: Layout) -> Iterator[Machine]:
    """With a registry that has two images; whatever was laid on it is there."""
    storage = {"filesystem": {"rootdirectory": str(tmp_path / "registry")}}
    file = tmp_path / "registry.yml"
    file.write_text(json.dumps({"version": 0.1, "storage": storage, "http": {"addr": UPSTREAM, "secret": "x"}}))
    with Machine(tmp_path) as machine:
        machine.environment["PATH"] = f"{CRPROXY}:{machine.environment['PATH']}"
        with machine.start(f"{need('docker-registry')} serve {file}", tmp_path) as registry:
            registry.wait_for("listening on")
            for name in IMAGES:
                source = layout.source(layout.docker_image())
                machine.type(
                    f"{need('skopeo')} copy --dest-tls-verify=false {source} docker://{UPSTREAM}/{name}", tmp_path
                )
            yield machine


@contextmanager
def crproxy_on(machine: Machine, directory: Path) -> Iterator[Process]:
    """It runs there by its own file within the block."""
    with machine.start("twistd -n --pidfile= crproxy", directory) as process:
        process.wait_for("listens on admin:")
        yield process


class TestPlainHttp:
    @pytest.fixture(autouse=True)
    def files(self, laid: Laid) -> None:
        """Those of the guide, on one machine."""
        toml = blocks("plain-http", "toml", "## Steps")
        laid("/etc/crproxy/crproxy.toml", toml[0] + UPSTREAMS)
        laid("/etc/docker/daemon.json", only("plain-http", "json"))
        laid("/etc/containerd/certs.d/_default/hosts.toml", toml[1])
        laid("/etc/containers/registries.conf.d/crproxy.conf", toml[2])

    def test_each_client_pulls_as_the_guide_says(self, machine: Machine, tmp_path: Path) -> None:
        machine.type("ip address add 192.0.2.10/32 dev lo", tmp_path)
        with ExitStack() as running:
            daemon = running.enter_context(crproxy_on(machine, tmp_path))
            # The paths of their sockets are long, and may not be.
            engines = running.enter_context(tempfile.TemporaryDirectory(prefix="engines-"))
            self.engines(machine, Path(engines), running)
            lines = only("plain-http", "sh").splitlines()
            assert [line.split()[0] for line in lines] == ["curl", "docker", "docker", "ctr", "podman"]
            assert machine.type(lines[0], tmp_path).endswith("{}")
            for line in lines[1:]:
                seen = len(daemon.log)
                machine.type(line, tmp_path)
                image = "library/nginx" if line.endswith(" nginx") else "prometheus/busybox"
                daemon.wait_for(rf'192\.0\.2\.10 - - \[.*"GET /v2/\S*{image}/manifests/', after=seen)

    def engines(self, machine: Machine, directory: Path, running: ExitStack) -> None:
        """Docker and containerd, which find their files where they look by themselves."""
        engine = [f"--data-root={directory}/d", f"--exec-root={directory}/e", f"--pidfile={directory}/p"]
        engine += ["--storage-driver=vfs", "--bridge=none", "--iptables=false", "--ip6tables=false"]
        engine += [f"--host=unix://{directory}/docker.sock"]
        places = f'root = "{directory}/c"\nstate = "{directory}/s"\n[grpc]\naddress = "{directory}/ctr.sock"\n'
        (directory / "ctrd.toml").write_text(f'version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n{places}')
        storage = f'[storage]\ndriver = "vfs"\ngraphroot = "{directory}/g"\nrunroot = "{directory}/r"\n'
        (directory / "storage.conf").write_text(storage)
        machine.environment |= {
            "DOCKER_HOST": f"unix://{directory}/docker.sock",
            "CONTAINERD_ADDRESS": f"{directory}/ctr.sock",
            "CONTAINERD_SNAPSHOTTER": "native",
            "CONTAINERS_STORAGE_CONF": f"{directory}/storage.conf",
        }
        docker = running.enter_context(machine.start(f"{need('dockerd')} {' '.join(engine)}", directory))
        containerd = running.enter_context(
            machine.start(f"{need('containerd')} --config {directory}/ctrd.toml", directory)
        )
        docker.wait_for("API listen on", 60)
        containerd.wait_for("containerd successfully booted", 60)


class TestBackup:
    CONFIG = f'{UPSTREAMS}[clients]\nhtpasswd = "/etc/crproxy/htpasswd"\n[proxy]\nlisten = ["tcp:3128"]\n'

    @pytest.fixture(autouse=True)
    def files(self, laid: Laid) -> None:
        laid("/etc/crproxy/crproxy.toml", self.CONFIG)
        write_htpasswd(laid.root / "etc" / "crproxy" / "htpasswd")
        # The account at a CA, as the daemon makes it.
        CertificateStorage(laid.root / "var" / "lib" / "crproxy", Origin("https", "ca.example.com", 443)).account_key()

    @pytest.fixture
    def steps(self) -> list[str]:
        return [line for body in blocks("backup", "sh", "## Steps") for line in body.splitlines()]

    def test_what_was_saved_while_it_ran_is_there_again(
        self, machine: Machine, tmp_path: Path, steps: list[str]
    ) -> None:
        machine.environment["STATE_DIRECTORY"] = "/var/lib/crproxy"
        (tmp_path / "mnt").mkdir()
        pull = f"curl --fail --silent --dump-header - --output /dev/null --user '{USERNAME}:{PASSWORD}' http://127.0.0.1:5000/v2/nginx/manifests/latest"
        keys = "cat /var/lib/crproxy/login.key /var/lib/crproxy/acme/ca.example.com/account.pem | sha256sum"
        (create,) = (line for line in steps if line.startswith("tar --create"))
        (extract,) = (line for line in steps if line.startswith("tar --extract"))
        copies = [line for line in steps if "/mnt/" in line]
        assert len(copies) == 2
        with crproxy_on(machine, tmp_path):
            machine.type(pull, tmp_path)
            before = self.contents(machine, tmp_path)
            assert before > 0
            authority, saved = machine.type("crproxy ca show", tmp_path), machine.type(keys, tmp_path)
            machine.type(create, tmp_path)
            for line in copies:
                here = line.replace("/mnt/", f"{tmp_path}/mnt/").replace("/opt/crproxy/bin/", f"{CRPROXY}/")
                machine.type(here, tmp_path)
        machine.type("rm -r /etc/crproxy /var/lib/crproxy", tmp_path)
        machine.type(extract, tmp_path)
        machine.type(f"cp --archive {tmp_path}/mnt/index.sqlite {tmp_path}/mnt/cache /var/lib/crproxy", tmp_path)
        with crproxy_on(machine, tmp_path) as daemon:
            assert machine.type("crproxy ca show", tmp_path) == authority
            assert machine.type(keys, tmp_path) == saved
            assert self.contents(machine, tmp_path) == before
            assert "Cache-Status: crproxy; hit" in machine.type(pull, tmp_path)
            assert "damaged" not in daemon.log
        assert machine.type("cat /etc/crproxy/crproxy.toml", tmp_path) == self.CONFIG

    def test_what_is_not_there_is_left_out(self, machine: Machine, tmp_path: Path, steps: list[str]) -> None:
        (create,) = (line for line in steps if line.startswith("tar --create"))
        machine.type(create, tmp_path)
        kept = machine.type("tar --list --gzip --file crproxy-backup.tar.gz", tmp_path).splitlines()
        assert "var/lib/crproxy/acme/ca.example.com/account.pem" in kept
        assert not any("proxy-ca" in name for name in kept)

    def contents(self, machine: Machine, directory: Path) -> int:
        """How many are kept."""
        return int(json.loads(machine.type("crproxy cache stats --json", directory))["contents"])
