"""What an operator can do about a CA's refusal, by its kind (RFC 8555, 6.7)."""

from __future__ import annotations

__all__ = ["advice"]

_WAYS_IN = {"http-01": "port 80", "tls-alpn-01": "port 443"}


def advice(kind: str, challenge: str, name: str, *, of_account: bool = False) -> str:
    """Return what to check, as a sentence; empty where the CA's own words say all there is.

    Arguments:
        kind: the problem's, without its prefix; "untrusted" where the CA's own certificate is not believed.
        challenge: the kind that was to be answered.
        name: the host name that was to be validated.
        of_account: it was the account that was refused.
    """
    way_in = _WAYS_IN.get(challenge, "this machine")
    match kind:
        case "unauthorized" | "malformed" if of_account:
            return "Check eab_key_id and eab_hmac_file under [acme]"
        case "dns":
            return f"Check the DNS of {name}: it must have an A or AAAA record that leads to this machine"
        case "connection":
            return f"Check that {way_in} of {name} leads here from the internet: DNS, firewall, port forwarding"
        case "unauthorized" | "incorrectResponse" | "tls":
            return f"Something else answered: check where the DNS of {name} leads, and what answers at its {way_in}"
        case "caa":
            return f"The CAA records of {name} do not allow this CA"
        case "rejectedIdentifier":
            return f"This CA issues no certificate for {name}: remove the alias, or keep a certificate in --certs"
        case "externalAccountRequired":
            return "Set eab_key_id and eab_hmac_file under [acme], which the CA gives out"
        case "untrusted":
            return "If it is a CA of your own, name the certificates that vouch for it as ca_file under [acme]"
        case "invalidContact" | "unsupportedContact":
            return "Check the email under [acme]"
        case _:
            return ""
