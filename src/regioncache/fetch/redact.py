"""Secrets in addresses: nothing that was signed or typed as a password reaches a log or an error."""

from __future__ import annotations

import re

# A backslash ends an address, because it escapes the quote around it, unless it begins an escaped sign such as \u0026.
_QUERY = re.compile(r"(?P<start>\w+://[^\s?'\"<>]*)\?(?:[^\s'\"<>\\]|\\u[0-9A-Fa-f]{4})*")
_USER = re.compile(r"(?P<scheme>\w+://)[^\s/@'\"<>]+@")
# The same parts outside a whole address, as some tools print them: shared access signatures, presigned S3, tokens; plain,
# percent-encoded, or escaped in JSON.
_PAIR = re.compile(
    r"(?P<name>(?:\b|(?<=%26)|(?<=%3F)|(?<=\\u0026))(?:sig|signature|token|access_token|key|password|secret|X-Amz-\w+))"
    r"(?P<equals>=|%3D|%253D|\\u003d)(?:[^\s&'\"<>\\])+",
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """The text with the query string and the credentials of every URL, and every known secret pair, blanked."""
    text = _QUERY.sub(r"\g<start>?REDACTED", text)
    text = _USER.sub(r"\g<scheme>REDACTED@", text)
    return _PAIR.sub(r"\g<name>\g<equals>REDACTED", text)
