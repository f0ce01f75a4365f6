"""Where no client, redirect or challenge may lead us: a corpus of hosts, in every way they can be written (S2 to S5).

Names are resolved as ZONE says. FRONT, EDGE and the rest of PUBLIC are the internet's.
"""

from __future__ import annotations

__all__ = [
    "ADDRESSES",
    "EDGE",
    "EDGE_ADDRESS",
    "FRONT",
    "FRONT_ADDRESS",
    "HOSTS",
    "LOCAL_NAMES",
    "NAMES",
    "NOTATIONS",
    "PORTS",
    "PUBLIC",
    "URLS",
    "ZONE",
]

FRONT, FRONT_ADDRESS = "front.example.com", "93.184.216.34"
EDGE, EDGE_ADDRESS = "edge.example.net", "151.101.1.1"

# As a name's host or a URL's, in their usual notation: IPv6's in brackets.
ADDRESSES = {
    "loopback": ["127.0.0.1", "127.0.0.53", "127.255.255.254", "[::1]", "[0:0:0:0:0:0:0:1]"],
    "private": ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"],
    "link-local": ["169.254.169.254", "169.254.170.2", "[fe80::1]", "[fe80::a9fe:a9fe]"],
    "carrier-grade NAT": ["100.64.0.1", "100.100.100.200", "100.127.255.255"],
    "multicast": ["224.0.0.1", "239.255.255.250", "[ff02::1]", "[ff0e::1]"],
    "unspecified": ["0.0.0.0", "0.0.0.1", "[::]"],
    "broadcast": ["255.255.255.255"],
    "reserved": ["240.0.0.1", "192.0.0.192", "192.0.2.1", "198.18.0.1", "203.0.113.1", "192.88.99.1", "[2001:db8::1]"],
    "IPv4-mapped": ["[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:169.254.169.254]", "[::FFFF:10.0.0.1]"],
    "IPv4-compatible": ["[::127.0.0.1]", "[::7f00:1]", "[::a9fe:a9fe]"],
    "IPv4-translated": ["[::ffff:0:127.0.0.1]"],
    "NAT64": ["[64:ff9b::127.0.0.1]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::10.0.0.1]", "[64:ff9b:1:fffe::a00:1]"],
    "6to4": ["[2002:7f00:1::]", "[2002:a9fe:a9fe::1]"],
    "Teredo": ["[2001:0:7f00:1::]", "[2001:0:4136:e378:8000:63bf:80ff:fffe]"],
    "site-local": ["[fec0::1]"],
    "unique local": ["[fc00::1]", "[fd00:ec2::254]", "[fd20:ce::254]"],
    "clouds' own": ["168.63.129.16"],
    "public": ["8.8.8.8", "[2606:4700::1111]"],
}

# What the system's resolver takes for an address all the same.
NOTATIONS = {
    "decimal": ["2130706433", "2852039166", "167772161", "3232235777", "134744072", "0"],
    "octal": ["0177.0.0.1", "017700000001", "0251.0376.0251.0376", "012.0.0.1", "00.0.0.0", "127.0.0.01"],
    "hexadecimal": ["0x7f000001", "0x7f.0.0.1", "0X7F.1", "0xa9fea9fe", "0xA9.0xFE.0xA9.0xFE", "0xa.1", "0x0"],
    "short": ["127.1", "127.0.1", "10.1", "192.168.257", "169.254.43518", "8.8.2056"],
    "mixed": ["0x7f.0.1", "127.0x0.0.1", "0251.254.0xa9fe"],
    "trailing dot": ["127.0.0.1.", "169.254.169.254.", "127.1.", "2130706433.", "8.8.8.8."],
    "no address at all": ["256.256.256.256", "1.2.3.4.5", "127.0.0.1.0"],
}

# Each network's own, even where it gives them public addresses.
LOCAL_NAMES = [
    "localhost",
    "LOCALHOST",
    "localhost.localdomain",
    "foo.localhost",
    "metadata",
    "metadata.google.internal",
    "Metadata.Google.Internal",
    "instance-data.ec2.internal",
    "host.docker.internal",
    "kubernetes.default.svc.cluster.local",
    "printer.local",
    "router.lan",
    "nas.home",
    "nas.home.arpa",
    "db.corp",
    "wiki.intranet",
    "vault.private",
    "hidden.onion",
]

_LEADING_INSIDE: dict[str, list[str] | str] = {
    "loopback.example.com": ["127.0.0.1"],
    "loopback6.example.com": ["::1"],
    "both-loopbacks.example.com": ["127.0.0.1", "::1"],
    "127.0.0.1.nip.example.com": ["127.0.0.1"],
    "private.example.com": ["10.0.0.1", "172.16.0.1", "192.168.1.1"],
    "metadata.example.com": ["169.254.169.254"],
    "metadata6.example.com": ["fd00:ec2::254"],
    "link-local6.example.com": ["fe80::1"],
    "cgnat.example.com": ["100.100.100.200"],
    "any.example.com": ["0.0.0.0"],
    "any6.example.com": ["::"],
    "reserved.example.com": ["240.0.0.1"],
    "multicast.example.com": ["224.0.0.1"],
    "broadcast.example.com": ["255.255.255.255"],
    "mapped.example.com": ["::ffff:127.0.0.1"],
    "mapped-metadata.example.com": ["::ffff:169.254.169.254"],
    "compatible.example.com": ["::127.0.0.1"],
    "nat64.example.com": ["64:ff9b::7f00:1"],
    "nat64-metadata.example.com": ["64:ff9b::a9fe:a9fe"],
    "nat64-local.example.com": ["64:ff9b:1::a00:1"],
    "six-to-four.example.com": ["2002:7f00:1::"],
    "teredo.example.com": ["2001:0:7f00:1::"],
    "site-local.example.com": ["fec0::1"],
    "wireserver.example.com": ["168.63.129.16"],
    "kubernetes.default.svc": ["10.96.0.1"],
    "alias.example.com": "metadata.google.internal",
    "alias-of-alias.example.com": "alias.example.com",
    "alias-of-loopback.example.com": "loopback.example.com",
    "xn--lcalhost-54a.example.com": ["127.0.0.1"],
    "under_score.example.com": ["127.0.0.1"],
    "r3---sn-abc.example.com": ["127.0.0.1"],
}

# Public names that lead inside.
NAMES = list(_LEADING_INSIDE)

# Public names, at ports that nothing names.
PORTS = [f"{FRONT}:{port}" for port in (22, 80, 2375, 5000, 6379, 8443, 65535)] + [f"{EDGE}.:443", "127.0.0.1:443"]
PORTS += [
    "127.0.0.1:80",
    "[::1]:6379",
    "10.0.0.1:8443",
    "169.254.169.254:80",
    "metadata.google.internal:80",
    "127.1:80",
]

HOSTS = {
    **ADDRESSES,
    **NOTATIONS,
    "local names": LOCAL_NAMES,
    "names that lead inside": NAMES,
    "ports": PORTS,
    "userinfo": [f"user@{FRONT}", "user:password@127.0.0.1", f"{FRONT}@127.0.0.1", f"{FRONT}%40127.0.0.1", f"@{FRONT}"],
    "trailing dots": [f"{FRONT}.", f"{FRONT}..", "localhost.", "metadata.google.internal."],
}

# What only a redirect or a realm can say.
URLS = [
    f"http://{FRONT}/x",
    "http://127.0.0.1/x",
    "http://169.254.169.254/latest/meta-data/",
    "http://metadata.google.internal/computeMetadata/v1/",
    "http://[::1]/x",
    "http://8.8.8.8/x",
    f"http://{FRONT}:443/x",
    "//127.0.0.1/x",
    "//169.254.169.254/x",
    f"https://{FRONT}\\@127.0.0.1/x",
    f"https://127.0.0.1\\@{FRONT}/x",
    f"https://{FRONT}%00.127.0.0.1/x",
    "https://127.0.0.1%2f@x/",
    "https://[::1%25lo]/x",
    "https://[::ffff:127.0.0.1]:443/x",
    "https://127.0.0.1#@front.example.com/x",
    "https://127.0.0.1?@front.example.com/x",
    "ftp://127.0.0.1/x",
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_INFO",
    "unix:/run/docker.sock",
    "javascript:alert(1)",
    "data:text/plain,x",
]

PUBLIC: dict[str, list[str] | str] = {
    FRONT: [FRONT_ADDRESS],
    EDGE: [EDGE_ADDRESS],
    "edge6.example.net": ["2606:4700::1111"],
    "edge-both.example.net": [EDGE_ADDRESS, "2606:4700::1111"],
    "edge-alias.example.net": "edge-alias-2.example.net",
    "edge-alias-2.example.net": EDGE,
    "some-inside.example.net": ["127.0.0.1", EDGE_ADDRESS, "10.0.0.1", "::1"],
}

# Local names have public addresses here: only their being local can be what they are refused for.
ZONE: dict[str, list[str] | str] = {
    **PUBLIC,
    **_LEADING_INSIDE,
    **{name.lower(): [EDGE_ADDRESS] for name in LOCAL_NAMES},
    "metadata.google.internal": ["169.254.169.254"],
}
