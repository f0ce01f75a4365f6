"""What an object store's errors mean, and what to do about them.

obstore has an error for few of them, and tells of the others in a text: with the code that the store has sent, and with
what its own library has met on the way.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Trouble", "explain"]

_KEYS = "access_key_id and secret_access_key_file under [storage], or what the environment has in their place"
_CLOCK = "Set this machine's clock, and let it be kept right: timedatectl set-ntp true"
_AUTHORITY = "Let its certificate be one that the system trusts: copy the CA's to where update-ca-certificates finds it"
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class Trouble:
    """What went wrong.

    Arguments:
        said: as people say it.
        advice: what to do, as a sentence.
    """

    said: str
    advice: str


# By what stands in the text: the code that S3 sends (its "Error responses"), or what the library below obstore says.
_KNOWN = (
    (
        ("<Code>InvalidAccessKeyId<", "<Code>XAdminUserNotFound<"),
        Trouble("it knows no such access key", f"Correct access_key_id: {_KEYS}"),
    ),
    (
        ("<Code>SignatureDoesNotMatch<",),
        Trouble("the secret is not that of the access key", f"Correct the secret: {_KEYS}"),
    ),
    (("<Code>RequestTimeTooSkewed<", "<Code>RequestExpired<"), Trouble("this machine's clock is wrong", _CLOCK)),
    (
        ("<Code>NoSuchBucket<", "<Code>ContainerNotFound<"),
        Trouble("there is no such bucket", "Make the bucket, or correct url under [storage]: nobody else makes it"),
    ),
    (
        ("<Code>AuthorizationHeaderMalformed<", "<Code>PermanentRedirect<", "<Code>IllegalLocationConstraint"),
        Trouble("the bucket is in another region", "Correct region under [storage], or the endpoint"),
    ),
    (
        ("<Code>ExpiredToken<", "<Code>InvalidToken<"),
        Trouble("the session's token is not good any more", "Give it new credentials, or a role that renews its own"),
    ),
    (
        ("<Code>QuotaExceeded<", "<Code>InsufficientStorage", "507 "),
        Trouble("it has no room left", "Make room there, or set size under [storage] below what it has"),
    ),
    (
        ("<Code>AccessDenied<", "403 Forbidden: <", "PermissionDenied"),
        Trouble(
            "it may not be used like this",
            "Let this key list the bucket, and get, put and delete objects below the prefix, parts of uploads included",
        ),
    ),
    (
        ("169.254.169.254", "169.254.170.2", "metadata.google.internal"),
        Trouble("there are no credentials: none are configured, and this machine has no role", f"Set {_KEYS}"),
    ),
    (
        ("MissingAccount", "Account must be specified"),
        Trouble("nobody says whose account it is", "Set AZURE_STORAGE_ACCOUNT_NAME, and what it is opened with"),
    ),
    (
        ("InvalidContentType",),
        Trouble("it does not speak TLS there", "Write http:// in endpoint under [storage], or let it speak TLS"),
    ),
    (("UnknownIssuer", "CaUsedAsEndEntity"), Trouble("its certificate is nobody's that is trusted here", _AUTHORITY)),
    (
        ("NotValidForName",),
        Trouble("its certificate is for another name", "Write a name in endpoint that is in its certificate"),
    ),
    (
        ("InvalidCertificate(Expired", "Expired"),
        Trouble("its certificate has ended", "Renew it there, and see whether this machine's clock is right"),
    ),
    (
        ("dns error", "failed to lookup address"),
        Trouble("its name cannot be resolved", "Correct endpoint under [storage], or the name server of this machine"),
    ),
    (
        ("ConnectionRefused", "Connection refused"),
        Trouble("nothing listens there", "Start it, or correct endpoint under [storage]"),
    ),
    (
        ("kind: Timeout", "TimedOut", "kind: TimedOut"),
        Trouble("it does not answer in time", "See whether it runs, and whether a firewall lets this machine through"),
    ),
    (
        ("kind: Connect", "error sending request"),
        Trouble("it cannot be reached", "See whether it runs, and correct endpoint under [storage]"),
    ),
)


def explain(text: str) -> Trouble:
    """Return what an error of obstore's means, by all of its text; what nobody knows is quoted."""
    for markers, trouble in _KNOWN:
        if any(marker in text for marker in markers):
            return trouble
    said = (text.splitlines() or [""])[0].strip()[:_LONGEST] or "it fails, and does not say why"
    return Trouble(said, "See the log of the object store, and [storage] in docs/configuration.md")
