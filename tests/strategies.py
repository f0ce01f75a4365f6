"""What hypothesis makes up: names, tags and digests by the specification's own grammar."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.parts.grammar import Conversation, Grammar, World

# OCI distribution specification, "Pulling manifests": copied from there, not from the code under test.
NAME = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*"
TAG = r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}"

names_by_regex = st.from_regex(NAME, fullmatch=True).filter(lambda name: len(name) < 200)

# The same language, put together by hand: twenty times as fast.
_words = st.text("abcz019", min_size=1, max_size=3)
_joints = st.sampled_from([".", "_", "__", "-", "---"])
_components = st.builds(
    lambda first, rest: first + "".join(joint + word for joint, word in rest),
    _words,
    st.lists(st.tuples(_joints, _words), max_size=2),
)
names = st.lists(_components, min_size=1, max_size=4).map("/".join)

tags = st.builds(
    str.__add__,
    st.sampled_from("abzABZ019_"),
    st.text("abzABZ019._-", max_size=20),
)
digests = st.sampled_from([("sha256", 32), ("sha512", 64)]).flatmap(
    lambda kind: st.binary(min_size=kind[1], max_size=kind[1]).map(lambda raw: f"{kind[0]}:{raw.hex()}")
)
_labels = st.sampled_from(["a", "quay", "x-y", "0", "k8s", "io", "com", "xn--bcher-kva", "a" * 20])
# No domain at the top is a number (RFC 3696, 2).
hosts = st.lists(_labels, min_size=2, max_size=4).filter(lambda labels: labels[-1] != "0").map(".".join)


def conversations(world: World) -> st.SearchStrategy[Conversation]:
    """What clients send, right and wrong: the grammar decides by what hypothesis draws."""
    return st.randoms(use_true_random=False).map(lambda random: Grammar(random, world).conversation())
