"""Can a registry be pulled from: name, connection, login, a small manifest? Asked by what the daemon asks with."""

from __future__ import annotations

from treq.client import HTTPClient
from twisted.internet.endpoints import HostnameEndpoint
from twisted.web.iweb import IResponse

from ...config import Upstream
from ...oci.errors import ErrorCode, RegistryError
from ...oci.names import Repository, Tag
from ...policy.addresses import is_address
from ...policy.challenges import parse_challenges
from ...policy.proxies import Proxy
from ...policy.urls import Origin, origin_of
from ...upstream.agent import USER_AGENT, send
from ...upstream.endpoint_client import EndpointClient
from ...upstream.errors import TRANSPORT_ERRORS, RefusedAddress, describe, innermost
from ...upstream.fields import lines_of
from ...upstream.quotas import Quotas
from ...upstream.relay import abandon
from .blocked import connected, explain
from .certificates import judge
from .clock import ClockReading
from .environment import CONNECT_SECONDS, SECONDS
from .findings import Area, Outcome, Told
from .http_probe import probe
from .upstreams import RegistryCheck, Tools

__all__ = ["check_registry"]

# Small, and there for years.
_KNOWN_IMAGES = {
    "docker.io": ("library/hello-world", "latest"),
    "gcr.io": ("distroless/static", "latest"),
    "ghcr.io": ("containerd/busybox", "1.36"),
    "mcr.microsoft.com": ("hello-world", "latest"),
    "public.ecr.aws": ("docker/library/hello-world", "latest"),
    "quay.io": ("prometheus/busybox", "latest"),
    "registry.k8s.io": ("pause", "3.9"),
}
# What a token is asked for where no image is known.
_ANY_IMAGE = ("library/hello-world", "latest")


async def check_registry(upstream: Upstream, tools: Tools, *, is_one_of_several: bool = False) -> RegistryCheck:
    """Take every step of a pull but the pull. After one that fails, those that depend on it are left out.

    Arguments:
        upstream: looked at where it is reached first, and at none of its further endpoints.
        is_one_of_several: it has such, or is one.
    """
    seen = RegistryCheck(upstream, is_one_of_several)
    for name, step in (("name", _look_up), ("connection", _greet), ("manifest", _ask)):
        if not await step(seen, tools):
            if name != "manifest":
                seen.note(Outcome.SKIPPED, "what follows", f"it depends on the step that failed: {name}")
            break
    return seen


async def _look_up(seen: RegistryCheck, tools: Tools) -> bool:
    origin, proxy = _reached(seen.upstream)
    if proxy is not None:
        return seen.note(Outcome.OK, "name", f"is left to the proxy {proxy}, through which it is reached")
    if is_address(origin.host):
        return True
    addresses = await tools.environment.resolve(origin.host)
    if addresses:
        return seen.note(Outcome.OK, "name", f"{origin.host} leads to {', '.join(sorted(addresses))}")
    advice = f"See this machine's DNS (/etc/resolv.conf, getent hosts {origin.host}), or set https_proxy for crproxy"
    common = Told(
        "their names cannot be resolved",
        "See whether this machine's DNS server answers (/etc/resolv.conf, getent hosts registry-1.docker.io) and "
        "knows names of the internet; where only an HTTP proxy leads there, set https_proxy for crproxy",
    )
    return seen.note(Outcome.FAILED, "name", f"{origin.host} cannot be resolved", advice, common=common)


async def _greet(seen: RegistryCheck, tools: Tools) -> bool:
    """Ask for ``/v2/`` ("Determining Support"), and log in if it wants that."""
    clock = tools.environment.reactor
    http = tools.http(seen.upstream)
    url, began = f"{seen.upstream.endpoint}/v2/", clock.seconds()
    try:
        response = await send(http, "GET", url, {"User-Agent": [USER_AGENT]}, SECONDS, clock)
    except TRANSPORT_ERRORS as error:
        return await _unanswered(seen, tools, error)
    abandon(response)
    seen.reading = ClockReading.of(seen.name, response, tools.environment.now())
    return _answered(seen, response.code, clock.seconds() - began) and await _log_in(seen, tools, http, response)


def _answered(seen: RegistryCheck, status: int, seconds: float) -> bool:
    said = f"/v2/ is answered {status} in {seconds:.2f} s"
    if status < 400 or status == 401:
        return seen.note(Outcome.OK, "connection", said)
    advice = f"See whether {seen.upstream.endpoint} is a registry, and what its operator says of it"
    # Some registries have no /v2/ of their own, and serve images nevertheless.
    return seen.note(Outcome.FAILED if status >= 500 else Outcome.WARNING, "connection", said, advice)


async def _unanswered(seen: RegistryCheck, tools: Tools, error: BaseException) -> bool:
    """Say what hinders it; of a certificate that is refused, what is wrong with it."""
    origin, proxy = _reached(seen.upstream)
    if isinstance(innermost(error), RefusedAddress):
        advice = f"If that is meant, write its endpoint, or private_hosts, under {seen.table}"
        return seen.note(Outcome.FAILED, "connection", describe(error), advice)
    if proxy is not None:
        # Several have it in common, and the proxy, not their own tables, is what to look at.
        advice = f"See the proxy {proxy}: whether it runs, and lets this machine to registries"
        where = f" ({proxy}: https_proxy in the environment, or proxy under {seen.table})"
        common = Told(f"the proxy {proxy} does not lead there: {describe(error)}", advice)
        return seen.note(Outcome.FAILED, "connection", describe(error), f"{advice}{where}", common=common)
    if origin.scheme == "https" and connected(error) and await _look_at_certificate(seen, tools, origin):
        return False
    blocked = explain(error, origin, seen.table)
    return seen.note(Outcome.FAILED, "connection", describe(error), blocked.advice, common=blocked.common)


async def _look_at_certificate(seen: RegistryCheck, tools: Tools, origin: Origin) -> bool:
    """Say what is wrong with its certificate; return whether that is all that is wrong."""
    upstream, now = seen.upstream, tools.environment.now()
    endpoint = HostnameEndpoint(tools.environment.reactor, origin.host, origin.port, timeout=CONNECT_SECONDS)
    result = await probe(tools.environment.reactor, endpoint, f"{upstream.endpoint}/v2/", upstream.authorities)
    if result.shown is None:
        return False
    if result.date is not None:
        seen.reading = ClockReading(seen.name, result.date - now)
    finding = judge(Area.UPSTREAMS, "", result.shown, now)
    if finding.outcome is not Outcome.FAILED:
        return False
    if finding.depends_on is Area.CLOCK:
        # To trust an authority, or the certificate itself, would not help: it does not count now.
        advice = "Whoever runs that registry has to replace it, unless this machine's clock is wrong (timedatectl)"
        common = Told("their certificates do not count at this machine's time", advice)
        seen.note(Outcome.FAILED, "connection", finding.text, advice, common=common, depends_on=Area.CLOCK)
    elif not result.shown.is_trusted:
        known = "in its ca_file" if upstream.authorities is not None else "that this machine's system trusts"
        text = f"its certificate is by {result.shown.issuer}, for whom no authority {known} vouches"
        advice = f"Name the authority's certificate as ca_file under {seen.table}"
        # The same authority at many registries is a proxy's on the way.
        common = Told(
            text.replace("its certificate is", "their certificates are", 1),
            "Is there a proxy on the way that opens TLS? Name its authority's certificate as ca_file under "
            "[upstreams], or have this machine's system trust it",
        )
        seen.note(Outcome.FAILED, "connection", text, advice, common=common)
    else:
        advice = "Whoever runs that registry has to replace it; see its endpoint, if that is not the registry's own"
        seen.note(Outcome.FAILED, "connection", finding.text, advice)
    return True


async def _log_in(seen: RegistryCheck, tools: Tools, http: HTTPClient, response: IResponse) -> bool:
    upstream = seen.upstream
    if response.code != 401:
        return True
    challenges = parse_challenges(lines_of(response, b"www-authenticate"))
    who = "anonymously" if upstream.username is None else f"as {upstream.username!r}"
    began = tools.environment.reactor.seconds()
    try:
        authorized = await tools.tokens.authorize(http, upstream, challenges, f"repository:{_image(upstream)[0]}:pull")
        refused = (
            authorized is not None
            and authorized.scheme == "basic"
            and not await _knows(upstream, tools, authorized.authorization)
        )
    except RegistryError as error:
        return seen.note(Outcome.FAILED, "login", f"{who}: {error.message}", _login_advice(seen, error))
    if authorized is None:
        return _no_way_in(seen)
    if refused:
        text = f"{who}: the registry does not know this username and password"
        return seen.note(Outcome.FAILED, "login", text, f"Correct username and password_file under {seen.table}")
    seconds = tools.environment.reactor.seconds() - began
    return seen.note(Outcome.OK, "login", f"{who}, in {seconds:.2f} s")


async def _knows(upstream: Upstream, tools: Tools, authorization: str) -> bool:
    return await tools.exchange.challenges(upstream, authorization) is None


def _no_way_in(seen: RegistryCheck) -> bool:
    if seen.upstream.passthrough:
        return seen.note(Outcome.OK, "login", "is the clients' own")
    return seen.note(
        Outcome.FAILED,
        "login",
        "it serves nobody who does not log in, and no login is configured",
        f"Set username and password_file under {seen.table}"
        + ("" if seen.is_one_of_several else ", or passthrough = true"),
    )


def _login_advice(seen: RegistryCheck, error: RegistryError) -> str:
    if error.code is ErrorCode.UNAVAILABLE:
        return "See that this machine reaches the registry's token service, too"
    if error.code is ErrorCode.TOOMANYREQUESTS:
        return "Wait as long as it says"
    return f"Correct username and password_file under {seen.table}, or what else it says"


async def _ask(seen: RegistryCheck, tools: Tools) -> bool:
    """Ask for the head of an image that should be there, which no registry counts; or for it, where that tells nothing.

    Of a registry that counts the latter it is never asked.
    """
    registry = seen.upstream.registry
    if registry.name not in _KNOWN_IMAGES:
        return seen.note(Outcome.SKIPPED, "manifest", "no image is known here that anybody may pull there")
    path, tag = _image(seen.upstream)
    repository, began = Repository.parse(registry, path), tools.environment.reactor.seconds()
    quotas = Quotas(tools.environment.now)
    client = EndpointClient(seen.upstream, tools.exchange, quotas)
    try:
        if await client.head_manifest(repository, Tag.parse(tag)) is None:
            await client.manifest(repository, Tag.parse(tag))
    except RegistryError as error:
        return _no_manifest(seen, error)
    seconds = tools.environment.reactor.seconds() - began
    seen.note(Outcome.OK, "manifest", f"{path}:{tag} is there, in {seconds:.2f} s")
    return _count_quota(seen, quotas)


def _no_manifest(seen: RegistryCheck, error: RegistryError) -> bool:
    if error.code is ErrorCode.MANIFEST_UNKNOWN:
        return seen.note(Outcome.WARNING, "manifest", error.message, "Harmless, if what you pull is there")
    if error.code is ErrorCode.TOOMANYREQUESTS:
        advice = f"Wait as long as it says; an account under {seen.table} has a quota of its own"
        return seen.note(Outcome.FAILED, "quota", error.message, advice)
    advice = f"See what it says; what this machine may pull there is a matter of {seen.table} and of the registry"
    return seen.note(Outcome.FAILED, "manifest", error.message, advice)


def _count_quota(seen: RegistryCheck, quotas: Quotas) -> bool:
    quota = quotas.seen(seen.upstream.registry)
    if quota is None:
        return True
    if quota.is_low(quotas.now()):
        advice = f"What is kept is served without asking; an account under {seen.table} has a larger quota"
        return seen.note(Outcome.WARNING, "quota", f"{quota} of its manifests", advice)
    return seen.note(Outcome.OK, "quota", f"{quota} of its manifests")


def _image(upstream: Upstream) -> tuple[str, str]:
    return _KNOWN_IMAGES.get(upstream.registry.name, _ANY_IMAGE)


def _reached(upstream: Upstream) -> tuple[Origin, Proxy | None]:
    origin = origin_of(upstream.endpoint)
    if origin is None:  # the configuration lets none pass that is no URL
        raise ValueError(upstream.endpoint)
    return origin, upstream.proxies.for_origin(origin)
