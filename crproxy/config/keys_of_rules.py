"""Keys of one rule: of each its type, what it means and what counts without it.

Meanings and defaults are in Markdown, as docs/configuration.md has them.
"""

from __future__ import annotations

from .key import Key, Kind

__all__ = ["RULE_KEYS"]

_RULES = "rules.[]"

RULE_KEYS = (
    Key(_RULES, "name", Kind.TEXT, "what it is called in errors, in the log and in metrics", "`rule` and its number"),
    Key(
        _RULES,
        "images",
        Kind.TEXTS,
        'the images that it is about: `"docker.io/library/*"`, `"quay.io/org/app"`, `"*"`',
        "`[]`, all",
    ),
    Key(_RULES, "registries", Kind.TEXTS, "the registries that it is about, by name", "`[]`, all"),
    Key(_RULES, "networks", Kind.NETWORKS, "the networks of the clients that it is about", "`[]`, all"),
    Key(
        _RULES,
        "users",
        Kind.TEXTS,
        "the users that it is about, of the `htpasswd` file or of a registry's own accounts",
        "`[]`, all, and who has not logged in",
    ),
    Key(
        _RULES,
        "action",
        Kind.CHOICE,
        "what is done with what it is about. What the other keys ask for is asked of what is allowed",
        '`"allow"`',
        choices=("allow", "deny"),
    ),
    Key(_RULES, "message", Kind.TEXT, "what a client is told besides that is refused something", "what to do"),
    Key(
        _RULES,
        "minimum_age",
        Kind.DURATION,
        "how long a tag has to have pointed where it does. Until then it is answered by [what it pointed to "
        "before](policy.md#minimum-age)",
        "none",
    ),
    Key(
        _RULES,
        "digests",
        Kind.BOOLEAN,
        "whether that is asked of what is pulled by its digest, too: of when this proxy saw it first",
        "`false`",
    ),
    Key(
        _RULES,
        "trust_created",
        Kind.BOOLEAN,
        "whether the image's own `created` counts for its age, where neither this proxy nor its registry knows better: "
        "whoever builds an image writes there what they like",
        "`false`",
    ),
    Key(_RULES, "pinned", Kind.BOOLEAN, "whether only tags that are [pinned](policy.md#pins) are served", "`false`"),
    Key(
        _RULES,
        "require",
        Kind.CHOICE,
        'what is asked for besides: `"cosign"` is a signature by one of `keys` or `identities`, [as cosign makes '
        "it](policy.md#signatures)",
        "nothing",
        choices=("cosign",),
    ),
    Key(_RULES, "keys", Kind.TEXTS, "files of public keys in PEM, one of which has to have signed", "`[]`"),
    Key(
        _RULES,
        "identities",
        Kind.IDENTITIES,
        "people and workflows, as Fulcio writes them into certificates, one of whom has to have signed: "
        '`[{ subject = "ops@example.com", issuer = "https://accounts.google.com" }]`; takes `pip install '
        "'crproxy[sigstore]'`",
        "`[]`",
    ),
    Key(
        _RULES,
        "trusted_root_file",
        Kind.FILE,
        "a `trusted_root.json`, which says whose certificates and logs count for them",
        "the public instance's, fetched once a day",
    ),
    Key(
        _RULES,
        "enforce",
        Kind.BOOLEAN,
        "whether it decides; with `false` what it would have done is logged and counted, and the next one is asked",
        "`true`",
    ),
)
