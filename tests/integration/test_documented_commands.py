"""Every command that the documentation has: typed as it stands, or shown by another test, or not run and why.

Those that are typed are typed on a machine of their own (tests/parts/machine.py), on which the names of registries lead
to one registry with an image of each name.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.parts.layouts import Layout
from tests.parts.machine import Machine
from tests.parts.process import Process
from tests.parts.requirements import need

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1200)]

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "README.md", ROOT / "README.zh-CN.md", *sorted((ROOT / "docs").rglob("*.md"))]
NOT_SOURCE = shutil.ignore_patterns(
    ".git", ".venv*", "build", "dist", "*.egg-info", "*_cache", "__pycache__", ".hypothesis"
)

PROGRAMS = [
    "apt-get",
    "cp",
    "crproxy",
    "ctr",
    "curl",
    "docker",
    "helm",
    "htpasswd",
    "journalctl",
    "kubectl",
    "make",
    "man",
    "pipx",
    "podman",
    "python3",
    "skopeo",
    "systemctl",
    "twistd",
]
COMMAND = re.compile(rf"(?:/opt/crproxy/bin/)?(?:{'|'.join(PROGRAMS)}|pip) [-\w/:\"].*")

BUSYBOX = "localhost:5000/quay.io/prometheus/busybox:latest"

TYPED = {
    # test_the_readme
    "make run",
    f"docker pull {BUSYBOX}",
    "docker pull localhost:5000/nginx",
    "docker pull localhost:5000/registry.corp.example/team/app:v1",
    "docker pull localhost:5000/quay.io/org/app:v1",
    f"podman pull --tls-verify=false {BUSYBOX}",
    f"skopeo inspect --tls-verify=false docker://{BUSYBOX}",
    f"ctr images pull {BUSYBOX}",
    "curl http://127.0.0.1:5000/v2/",
    'make run ARGS="--default-registry quay.io"',
    # test_the_installation
    "python3 -m venv /opt/crproxy",
    "/opt/crproxy/bin/pip install .",
    "/opt/crproxy/bin/twistd crproxy --help",
    "/opt/crproxy/bin/twistd -n crproxy",
    "twistd -n crproxy",
    "crproxy serve",
    "cp systemd/crproxy.service /etc/systemd/system/",
    "cp systemd/crproxy.socket /etc/systemd/system/",
    "crproxy user add alice --file /etc/crproxy/htpasswd",
    "cp /opt/crproxy/share/crproxy/systemd/crproxy.service /etc/systemd/system/",
    "mkdir -p /usr/local/share/man/man1 /usr/local/share/man/man5",
    "ln -s /opt/crproxy/share/man/man1/crproxy.1 /usr/local/share/man/man1/",
    "ln -s /opt/crproxy/share/man/man5/crproxy.toml.5 /usr/local/share/man/man5/",
    "ln -s /opt/crproxy/bin/crproxy /usr/local/bin/",
    "man crproxy",
    "pipx install .",
    "curl --unix-socket /var/lib/crproxy/admin.sock http://crproxy/certificates",
    "crproxy alias list",
    "crproxy cache stats",
    "crproxy cache list --sort size",
    "crproxy cache list 'docker.io/library/*' --json",
    "crproxy cache gc --dry-run",
    "crproxy cache verify --rate 50M",
    "crproxy cache verify quay.io/org/app:v1",
    "crproxy cache pin quay.io/org/app:v1",
    "crproxy cache unpin quay.io/org/app:v1",
    "crproxy cache remove quay.io/org/app:v1",
    "crproxy tag history quay.io/org/app:v1",
    "crproxy tag pin quay.io/org/app:v1",
    "crproxy tag pins",
    "crproxy tag unpin quay.io/org/app:v1",
    "crproxy rules list",
    "crproxy rules test quay.io/org/app:v1 --client 192.0.2.7",
}

SYSTEMD = "tests/test_packaging.py has the units checked; a service manager does not run here"
COMPOSE = "tests/test_deployment.py reads compose.yaml; docker compose, which runs it, is no package of Debian 12"
CLUSTER = "tests/integration/test_chart.py renders and checks what is applied; there is no cluster here"
SETUP = "tests/integration/test_setup.py uses what is printed, with the clients that Debian 12 has"
PROXIED = "tests/integration/test_proxied_setup.py and test_proxied_clients.py, at a free port, with real clients"
REWRITING = "tests/integration/test_rewriting.py, at a free port; tests/admin/test_rewrite.py has the options"
AUTHORITY = "tests/integration/test_proxy_authority.py"
OPERATOR = "tests/integration/test_operator.py, with a domain"
TAGS = "tests/integration/test_tags.py, with a tag that has moved"
WARMING = "tests/integration/test_warming.py, with images that are there"
GUIDES = "tests/integration/test_guides.py, as it stands, on a machine of its own"
NOWHERE = "needs a program or a service that is not here; tests/test_guides.py reads the files beside it"
BENCHMARK = "tests/integration/test_benchmarks.py runs each in small; whole, they take minutes of a quiet machine"

NOT_TYPED = {
    "apt-get install --no-install-recommends python3-venv": "changes the machine that the tests run on",
    "apt-get install git python3-venv make": "the same; tests/strangers_hour/walk does, on a machine of its own",
    **{
        f"tests/strangers_hour/run {words}": "asks package registries, and takes minutes"
        for words in ("bookworm /var/tmp/bookworm", "trixie /var/tmp/trixie")
    },
    "curl http://127.0.0.1:9090/api/v1/alerts": "asks Prometheus; tests/strangers_hour/walk does",
    **{
        f"crproxy config {words}": "tests/integration/test_config_command.py"
        for words in ("check", "check /etc/crproxy/crproxy.toml", "show", "schema > crproxy.schema.json")
    },
    "docker build --tag crproxy .": "tests/integration/test_image.py, by buildah: no base can be fetched here",
    "docker run --publish 127.0.0.1:5000:5000 --volume crproxy:/data crproxy": "tests/integration/test_image.py",
    "crproxy cache push": "tests/integration/test_push.py, with an object store",
    **{
        f"crproxy {words}": TAGS
        for words in (
            "tag rollback quay.io/org/app:v1",
            "tag history IMAGE",
            "tag pin IMAGE DIGEST",
            "rules test IMAGE --client ADDRESS",
        )
    },
    **{
        f"crproxy {words}": "the name of a command"
        for words in ("cache pin", "rules test", "tag", "tag history", "tag pin", "tag rollback", "tag unpin")
    },
    "docker compose up --detach --wait": COMPOSE,
    "docker compose logs": COMPOSE,
    "docker compose kill --signal HUP crproxy": COMPOSE,
    "kubectl apply -k deploy/kubernetes": CLUSTER,
    "kubectl apply -k deploy/kubernetes/fleet": CLUSTER,
    **{
        f"helm install crproxy deploy/helm/crproxy --namespace crproxy {words}": CLUSTER
        for words in (
            "--create-namespace --set image.repository=registry.example.com/crproxy "
            "--values deploy/helm/examples/single.yaml",
            "--set image.repository=registry.example.com/crproxy --values deploy/helm/examples/fleet.yaml",
        )
    },
    **{
        f"kubectl --namespace crproxy {words}": CLUSTER
        for words in (
            "create secret generic crproxy-fleet --from-literal=fleet.secret=$(openssl rand -hex 32)",
            "create secret generic crproxy-s3 --from-env-file=s3.env",
            "create secret generic crproxy-valkey --from-file=password",
            "exec crproxy-0 -- crproxy doctor",
            "exec crproxy-0 -- sh -c 'kill -HUP 1'",
            "get service crproxy",
            "rollout restart statefulset/crproxy",
            "rollout status statefulset/crproxy",
        )
    },
    "make manifests": "tests/integration/test_chart_values.py compares what it writes with what is there",
    'make run ARGS="--domain cr.example.com --acme-email ops@example.com"': "asks Let's Encrypt; "
    "tests/integration/test_certificates.py does it with a CA of its own",
    "docker pull k8s-gcr.cr.example.com/coredns/coredns:v1.8.6": "tests/integration/test_ways.py, over TLS",
    "docker pull cr.example.com/k8s.gcr.io/coredns/coredns:v1.8.6": "tests/integration/test_ways.py, over TLS",
    "docker pull nginx": "tests/integration/test_docker_mirror.py, by a mirror",
    "docker login cr.example.com": "tests/integration/test_login.py",
    "docker login ghcr.cr.example.com": "tests/integration/test_passthrough.py",
    "crproxy warm IMAGE": "a form of it, without an image; shown with the command itself",
    "curl http://NAME/.well-known/acme-challenge/x": "tests/web/test_plain.py; NAME is the reader's",
    "curl https://NAME/v2/": "asks the internet",
    "htpasswd -B": "an option's name, not a command",
    "make test": "is what runs this",
    "make wheel": "tests/test_packaging.py builds both",
    "/opt/crproxy/bin/pip install ./crproxy-*.whl": "tests/test_packaging.py installs each by itself",
    "pipx install '.[fleet]'": "asks for what pip install 'crproxy[fleet]' asks for",
    "make test PYTHON=python3.13": "the same, with an interpreter that may not be here",
    "make unit": "a part of what runs this",
    "make bench-cache": BENCHMARK,
    'make bench-cache ARGS="--profile flames"': BENCHMARK,
    """make bench-cache ARGS="--peer other='other 127.0.0.1:{port} {upstream}'\"""": BENCHMARK,
    "make bench-soak": BENCHMARK,
    "make bench-silence": BENCHMARK,
    "make bench-parallel": BENCHMARK,
    "make bench-proxy": BENCHMARK,
    "make bench-rules": BENCHMARK,
    "make bench-workers": BENCHMARK,
    "make bench-tls": BENCHMARK,
    "make bench-limits": BENCHMARK,
    "make bench-fleet": BENCHMARK,
    "make bench-hostile": BENCHMARK,
    "make fuzz-upstreams": "tests/integration/test_fuzz.py runs it in small; whole, it takes long",
    "make security-table": "tests/test_documentation.py compares what it writes with the page",
    **{
        f"{path}pip install 'crproxy[fleet]'": "asks the internet for what is installed here already"
        for path in ("", "/opt/crproxy/bin/")
    },
    "pip install 'crproxy[sigstore]'": "the same",
    "crproxy fleet status": "tests/integration/test_fleet.py, with real nodes",
    "crproxy doctor": "tests/integration/test_doctor.py",
    "crproxy alias": "the name of a command",
    "crproxy alias add": "the name of a command",
    "crproxy cache": "the name of a command",
    "crproxy cache list": "the name of a command",
    "crproxy cache verify": "the name of a command",
    "crproxy setup": "the name of a command",
    "crproxy setup CLIENT": "a form of it",
    "crproxy completion SHELL": "a form of it; tests/integration/test_completion.py types it into three shells",
    "crproxy setup CLIENT --proxy": "a form of it",
    "crproxy COMMAND --help": "a form of it",
    "crproxy rewrite FILE": "a form of it",
    "crproxy user": "the name of a command",
    **{
        f"crproxy user {words}": "tests/integration/test_users.py, with a daemon"
        for words in ("add", "add NAME", "add bob", "list", "remove alice")
    },
    "crproxy warm": "the name of a command",
    "crproxy warm ollama.ai/llama3:8b": WARMING,
    "crproxy warm IMAGE...": "a form of it",
    "crproxy alias add corp registry.corp.example": OPERATOR,
    "crproxy warm --file images.txt --platform linux/amd64 --jobs 8": WARMING,
    "crproxy warm nginx:1.27 quay.io/prometheus/prometheus:v2.53.0": WARMING,
    "kubectl get pods -A -o jsonpath='{..image}' | tr ' ' '\\n' | sort -u | crproxy warm --file -": CLUSTER,
    **{
        f"crproxy setup {words}": SETUP
        for words in (
            *(f"{client} --host cr.example.com" for client in ("buildkit", "containerd", "cri-o", "docker", "helm")),
            *(f"{client} --host cr.example.com" for client in ("k3s", "podman")),
            "docker",
            "docker --bare --merge",
            "ollama --host cr.example.com",
            "kubernetes --host cr.example.com --login alice",
        )
    },
    **{
        f"crproxy rewrite {words}": REWRITING
        for words in (
            "compose.yaml > compose.cr.yaml",
            "--in-place Dockerfile deploy/web.yaml",
            "--diff --form alias --host cr.example.com values.yaml",
            "--check compose.yaml",
        )
    },
    "crproxy rewrite": "the name of a command",
    "curl --data-binary @FILE": "a form of it",
    "helm template": "the name of a command",
    "helm template web ./chart | crproxy rewrite - | kubectl apply -f -": CLUSTER,
    "curl --data-binary @compose.yaml https://cr.example.com/rewrite": REWRITING,
    "curl --data-binary @Dockerfile 'https://cr.example.com/rewrite?name=Dockerfile&form=alias'": REWRITING,
    'make run ARGS="--proxy tcp:3128"': PROXIED,
    "crproxy setup docker --proxy": PROXIED,
    "crproxy setup docker --proxy --host http://cr.example.com:3128": PROXIED,
    "docker login ghcr.io": "tests/integration/test_passthrough.py, by skopeo",
    **{
        f"crproxy ca {words}": AUTHORITY
        for words in ("export", "export > crproxy-ca.pem", "renew", "renew --at-once", "show")
    },
    "crproxy itself failed; its log says why": "a message, not a command",
    "docker login": "the name of a command",
    "docker pull": "the name of a command",
    "docker push": "the name of a command",
    "docker rmi": "the name of a command",
    "docker save": "the name of a command",
    "docker tag": "the name of a command",
    "docker logout": "the name of a command",
    "journalctl -u crproxy": SYSTEMD,
    "journalctl -u crproxy | grep k2m4x7abcdef": "tests/integration/test_daemon_log.py looks for ids in the log",
    **{
        f"systemctl {words}": SYSTEMD
        for words in (
            "daemon-reload",
            "disable --now crproxy.socket",
            "edit crproxy",
            "enable --now crproxy",
            "enable --now crproxy.socket",
            "reload crproxy",
            "restart crproxy",
            "start crproxy",
            "status crproxy",
            "stop",
            "stop crproxy",
        )
    },
}
NOT_TYPED |= {
    # docs/guides
    **dict.fromkeys(
        (
            "/opt/crproxy/bin/python -c \"import sqlite3; sqlite3.connect('/var/lib/crproxy/index.sqlite')"
            ".execute('VACUUM INTO ?', ['/mnt/index.sqlite'])\"",
            "chmod 600 crproxy-backup.tar.gz",
            "cp --archive /var/lib/crproxy/cache /mnt/cache",
            "ctr images pull --hosts-dir /etc/containerd/certs.d quay.io/prometheus/busybox:latest",
            "curl http://192.0.2.10:5000/v2/",
            "docker pull 192.0.2.10:5000/quay.io/prometheus/busybox:latest",
            "podman pull quay.io/prometheus/busybox:latest",
            "tar --create --gzip --file crproxy-backup.tar.gz --directory / --ignore-failed-read etc/crproxy "
            "var/lib/crproxy/acme var/lib/crproxy/proxy-ca var/lib/crproxy/login.key",
            "tar --extract --gzip --file crproxy-backup.tar.gz --directory /",
        ),
        GUIDES,
    ),
    **dict.fromkeys(
        (
            "crproxy setup CLIENT --host http://192.0.2.10:5000",
            "crproxy setup containerd --host https://cr.example.com --bare > "
            "~/.minikube/files/etc/containerd/certs.d/_default/hosts.toml",
            "crproxy setup k3s",
            "crproxy setup kubernetes --login alice",
            "mkdir -p ~/.minikube/files/etc/containerd/certs.d/_default",
        ),
        SETUP,
    ),
    **dict.fromkeys(
        (
            "docker compose build --pull",
            "docker compose cp crproxy:/data/acme ./backup",
        ),
        COMPOSE,
    ),
    **dict.fromkeys(
        (
            "helm upgrade crproxy deploy/helm/crproxy --namespace crproxy --reset-then-reuse-values "
            "--set image.tag=NEW",
            "kubectl --namespace crproxy exec crproxy-0 -- tar -C /data -cf - acme login.key > crproxy-backup.tar",
            "kubectl rollout restart",
        ),
        CLUSTER,
    ),
    **dict.fromkeys(
        (
            "docker buildx",
            "docker info",
            "docker info --format '{{.RegistryConfig.Mirrors}}'",
            "docker logs crproxy",
            "docker network create kind",
            "docker run --detach --restart always --name crproxy --network kind --volume crproxy:/data crproxy",
            "docker run --detach --restart always --name crproxy --publish 127.0.0.1:5000:5000 "
            "--volume crproxy:/data crproxy",
            "flux get sources all",
            "flux install --registry cr.example.com/ghcr.io/fluxcd",
            "kind create cluster --config kind.yaml",
            "kubectl --namespace argocd get applications",
            "kubectl apply -f crproxy-policy.yaml",
            "kubectl get pod busybox --output jsonpath='{.spec.containers[0].image}'",
            "kubectl run busybox --image quay.io/prometheus/busybox:latest --restart Never -- true",
            "minikube start --container-runtime containerd",
            "minikube start --container-runtime docker --registry-mirror https://docker.cr.example.com",
            "systemctl restart k3s",
            "talosctl --nodes 192.0.2.21 patch machineconfig --patch @crproxy.yaml",
        ),
        NOWHERE,
    ),
    "/opt/crproxy/bin/pip install '.[fleet]'": "asks the internet for what is installed here already",
    "crproxy warm --file LIST": "a form of it",
    "curl https://cr.example.com/v2/": GUIDES.replace("as it stands, on a machine of its own", "behind each server"),
    "docker pull cr.example.com/quay.io/prometheus/busybox:latest": "tests/integration/test_ways.py, over TLS",
    "docker pull quay.cr.example.com/prometheus/busybox:latest": "tests/integration/test_ways.py, over TLS",
}
# The page of each client's files ends its sections with what to type: that is compared with what is printed.
CLIENTS = ROOT / "docs" / "clients.md"


def commands(page: Path) -> set[str]:
    """The commands of a page: the lines of its blocks, and what is quoted in its text."""
    text = page.read_text("utf-8")
    fenced = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    lines = {line.strip() for kind, block in fenced.findall(text) if kind == "sh" for line in block.splitlines()}
    quoted = set(re.findall(r"`([^`\n]+)`", fenced.sub("", text)))
    if page == CLIENTS:
        lines = set()
    return {line for line in lines if line} | {code for code in quoted if COMMAND.fullmatch(code)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_is_typed_or_there_is_a_reason(page: Path) -> None:
    assert commands(page) - TYPED - NOT_TYPED.keys() == set()


def test_nothing_is_listed_that_is_not_documented() -> None:
    documented = set().union(*map(commands, PAGES))
    names = {"docker pull", "docker push", "docker logout"}
    assert (TYPED | NOT_TYPED.keys()) - documented - names == set()


def test_the_tests_that_are_named_are_there() -> None:
    named = {path for reason in NOT_TYPED.values() for path in re.findall(r"tests/[\w/]+\.py", reason)}
    assert {path for path in named if not (ROOT / path).exists()} == set()


IMAGES = {
    "quay.io/prometheus/busybox:latest": "prometheus/busybox:latest",
    "docker.io/library/nginx:latest": "library/nginx:latest",
    "registry.corp.example/team/app:v1": "team/app:v1",
    "quay.io/org/app:v1": "org/app:v1",
}


@pytest.fixture
def machine(tmp_path: Path, layout: Layout) -> Iterator[Machine]:
    """With a registry that has each image, and a configuration by which the registries' names lead to it."""
    upstream = "127.0.0.1:6000"
    config = tmp_path / "upper" / "etc" / "crproxy" / "crproxy.toml"
    config.parent.mkdir(parents=True)
    registries = sorted({image.partition("/")[0] for image in IMAGES})
    config.write_text("".join(f'[upstreams."{name}"]\nendpoint = "http://{upstream}"\n' for name in registries))
    with Machine(tmp_path) as machine:
        storage = {"filesystem": {"rootdirectory": str(tmp_path / "registry")}}
        file = tmp_path / "registry.yml"
        file.write_text(json.dumps({"version": 0.1, "storage": storage, "http": {"addr": upstream, "secret": "x"}}))
        with machine.start(f"{need('docker-registry')} serve {file}", tmp_path) as registry:
            registry.wait_for("listening on")
            for name in IMAGES.values():
                source = layout.source(layout.docker_image())
                copy = f"{need('skopeo')} copy --dest-tls-verify=false {source} docker://{upstream}/{name}"
                machine.type(copy, tmp_path)
            yield machine


@pytest.fixture
def engines(machine: Machine, tmp_path: Path) -> Iterator[None]:
    """Docker, containerd and podman there, found where their commands look."""
    short = tmp_path
    engine = [f"--data-root={short}/d", f"--exec-root={short}/e", f"--pidfile={short}/p", "--storage-driver=vfs"]
    engine += ["--bridge=none", "--iptables=false", "--ip6tables=false", f"--host=unix://{short}/docker.sock"]
    places = f'root = "{short}/c"\nstate = "{short}/s"\n[grpc]\naddress = "{short}/ctr.sock"\n'
    (short / "ctrd.toml").write_text(f'version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n{places}')
    (short / "storage.conf").write_text(f'[storage]\ndriver = "vfs"\ngraphroot = "{short}/g"\nrunroot = "{short}/r"\n')
    machine.environment |= {
        "DOCKER_HOST": f"unix://{short}/docker.sock",
        "CONTAINERD_ADDRESS": f"{short}/ctr.sock",
        "CONTAINERD_SNAPSHOTTER": "native",
        "CONTAINERS_STORAGE_CONF": f"{short}/storage.conf",
    }
    with (
        machine.start(f"{need('dockerd')} {' '.join(engine)}", tmp_path) as docker,
        machine.start(f"{need('containerd')} --config {short}/ctrd.toml", tmp_path) as containerd,
    ):
        docker.wait_for("API listen on", 60)
        containerd.wait_for("containerd successfully booted", 60)
        yield


def typed(line: str) -> str:
    """A command that is listed as typed."""
    assert line in TYPED
    return line


@pytest.mark.usefixtures("engines")
def test_the_readme(machine: Machine, tmp_path: Path) -> None:
    with machine.start(typed("make run"), ROOT) as daemon:
        daemon.wait_for(r"listens on http://127\.0\.0\.1:5000")
        machine.type(typed("curl http://127.0.0.1:5000/v2/"), tmp_path)
        for image in (BUSYBOX, "localhost:5000/nginx", "localhost:5000/registry.corp.example/team/app:v1"):
            assert "Downloaded newer image" in machine.type(typed(f"docker pull {image}"), tmp_path)
        machine.type(typed("docker pull localhost:5000/quay.io/org/app:v1"), tmp_path)
        machine.type(typed(f"podman pull --tls-verify=false {BUSYBOX}"), tmp_path)
        inspected = machine.type(typed(f"skopeo inspect --tls-verify=false docker://{BUSYBOX}"), tmp_path)
        assert json.loads(inspected)["Digest"].startswith("sha256:")
        assert "done" in machine.type(typed(f"ctr images pull {BUSYBOX}"), tmp_path)
    with machine.start(typed('make run ARGS="--default-registry quay.io"'), ROOT) as daemon:
        daemon.wait_for(r"listens on http://127\.0\.0\.1:5000")
        machine.type("docker pull localhost:5000/org/app:v1", tmp_path)


def test_the_installation(machine: Machine, tmp_path: Path) -> None:
    """From a copy of the tree, because it is built there."""
    source = shutil.copytree(ROOT, tmp_path / "source", ignore=NOT_SOURCE)
    machine.type(typed("python3 -m venv /opt/crproxy"), source)
    machine.type(typed("/opt/crproxy/bin/pip install ."), source, outside=True)
    assert "--default-registry" in machine.type(typed("/opt/crproxy/bin/twistd crproxy --help"), source)
    for unit in ("service", "socket"):
        machine.type("mkdir -p /etc/systemd/system", source)
        machine.type(typed(f"cp systemd/crproxy.{unit} /etc/systemd/system/"), source)
    machine.type(typed("cp /opt/crproxy/share/crproxy/systemd/crproxy.service /etc/systemd/system/"), source)
    machine.type(typed("mkdir -p /usr/local/share/man/man1 /usr/local/share/man/man5"), source)
    machine.type(typed("ln -s /opt/crproxy/share/man/man1/crproxy.1 /usr/local/share/man/man1/"), source)
    machine.type(typed("ln -s /opt/crproxy/share/man/man5/crproxy.toml.5 /usr/local/share/man/man5/"), source)
    machine.type(typed("ln -s /opt/crproxy/bin/crproxy /usr/local/bin/"), source)
    assert "crproxy alias add" in machine.type(typed("man crproxy"), tmp_path)
    assert "verify_every" in machine.type("man crproxy.toml", tmp_path)
    assert machine.type("/usr/local/bin/crproxy --version", tmp_path).startswith("crproxy ")
    machine.environment |= {
        "PATH": f"/opt/crproxy/bin:{machine.environment['PATH']}",
        "STATE_DIRECTORY": "/var/lib/crproxy",
    }
    machine.answer(
        typed("crproxy user add alice --file /etc/crproxy/htpasswd"),
        source,
        "Password of alice: |Once more: ",
        "secret",
    )
    assert machine.type("cat /etc/crproxy/htpasswd", source).startswith("alice:$2y$")
    machine.type("mkdir /var/lib/crproxy", source)
    for start in ("/opt/crproxy/bin/twistd -n crproxy", "twistd -n crproxy", "crproxy serve"):
        with machine.start(typed(start), tmp_path) as daemon:
            daemon.wait_for(r"listens on http://127\.0\.0\.1:5000")
            daemon.wait_for("listens on admin:")
            machine.type("curl --fail http://127.0.0.1:5000/v2/quay.io/org/app/manifests/v1", tmp_path)
            the_admin_socket(machine, tmp_path, daemon)


def test_the_installation_for_one_user(machine: Machine, tmp_path: Path) -> None:
    source = shutil.copytree(ROOT, tmp_path / "source", ignore=NOT_SOURCE)
    need("pipx")
    machine.type(typed("pipx install ."), source, outside=True)
    machine.environment["PATH"] = f"{machine.home}/.local/bin:{machine.environment['PATH']}"
    with machine.start(typed("crproxy serve"), tmp_path) as daemon:
        daemon.wait_for(r"listens on http://127\.0\.0\.1:5000")
        machine.type("curl --fail http://127.0.0.1:5000/v2/quay.io/org/app/manifests/v1", tmp_path)


def the_admin_socket(machine: Machine, directory: Path, daemon: Process) -> None:
    """What is asked there."""
    curl = "curl --unix-socket /var/lib/crproxy/admin.sock"
    assert "[]" in machine.type(typed(f"{curl} http://crproxy/certificates"), directory)
    machine.type(typed("crproxy alias list"), directory)
    machine.type(typed("crproxy cache stats"), directory)
    machine.type(typed("crproxy cache gc --dry-run"), directory)
    assert "org/app" in machine.type(typed("crproxy cache list --sort size"), directory)
    json.loads(machine.type(typed("crproxy cache list 'docker.io/library/*' --json"), directory))
    machine.type(typed("crproxy cache verify --rate 50M"), directory)
    machine.type(typed("crproxy cache verify quay.io/org/app:v1"), directory)
    machine.type(typed("crproxy cache pin quay.io/org/app:v1"), directory)
    assert "pinned" in machine.type(typed("crproxy cache list --sort size"), directory)
    machine.type(typed("crproxy cache unpin quay.io/org/app:v1"), directory)
    assert "ANSWERED" in machine.type(typed("crproxy tag history quay.io/org/app:v1"), directory)
    machine.type(typed("crproxy tag pin quay.io/org/app:v1"), directory)
    assert "quay.io/org/app:v1" in machine.type(typed("crproxy tag pins"), directory)
    machine.type(typed("crproxy tag unpin quay.io/org/app:v1"), directory)
    assert "there are no rules" in machine.type(typed("crproxy rules list"), directory)
    assert "there are no rules" in machine.type(
        typed("crproxy rules test quay.io/org/app:v1 --client 192.0.2.7"), directory
    )
    machine.type(typed("crproxy cache remove quay.io/org/app:v1"), directory)
    assert "Traceback" not in daemon.log
