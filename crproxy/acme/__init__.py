"""Certificates asked of a CA, by ACME (RFC 8555): the protocol alone, which knows neither files nor listening ports."""
