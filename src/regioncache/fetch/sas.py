"""Shared access signatures: which token belongs to which address, and whether it can work, before anything is sent.

A token is the query string that Azure gives out for a container, a blob or an account. The configuration knows only the
names of the variables that hold tokens. A token is read in the process that downloads, goes to the host that it was
configured for and to no other, and stands in no error.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from regioncache.errors import ConfigError, FetchError
from regioncache.fetch.redact import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_NAME = re.compile(r"^[A-Za-z_]\w*$", re.ASCII)
_LOOPBACK = re.compile(r"^(?:localhost|127(?:\.\d+){3}|::1)$")
_SIGNATURE_BYTES = 32  # HMAC-SHA256, in all kinds of tokens
_BLOB_RESOURCES = ("b", "bv", "bs", "c", "d")  # `sr`: blob, its version, its snapshot, container, directory
_FORBIDDEN_SIGNS = re.compile(r"[\s\x00-\x1f\x7f\"'<>\\]")


class Signed(NamedTuple):
    """An address to ask.

    Attributes:
        url: with its token, if it has one: a secret.
        asked_with: what to say of the token in an error, free of secrets.
    """

    url: str
    asked_with: str


def check_names(names: Mapping[str, str]) -> dict[str, str]:
    """The names of tokens by the beginning of the addresses that they are for, as the configuration gives them.

    Raises:
        ConfigError: one cannot be used. A name that is none is not repeated: it may be a token by mistake.
    """
    for prefix, name in names.items():
        parts = urlsplit(prefix)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or "@" in parts.netloc:
            raise ConfigError(
                f"fetch.sas: {_without_query(parts)!r} is not the beginning of an address, such as"
                " https://account.blob.core.windows.net/container/"
            )
        if parts.scheme == "http" and not _LOOPBACK.match(parts.hostname):
            raise ConfigError(f"fetch.sas: {redact(prefix)!r} would send a token unencrypted; write https")
        if not _NAME.match(name):
            raise ConfigError(
                f"fetch.sas: what stands for {redact(prefix)!r} is no name of a variable. Put the token into the environment or"
                " into .env, and the name of its variable here"
            )
    return dict(names)


def refuse_tokens(mirrors: Iterable[str]) -> None:
    """Mirrors of the configuration stand in argument lists and logs, so they must hold no token.

    Raises:
        ConfigError: one does; it is not repeated.
    """
    for mirror in mirrors:
        parts = urlsplit(mirror)
        if parts.scheme and "sig=" in parts.query:
            raise ConfigError(
                f"fetch.mirrors: {_without_query(parts)!r} carries a token, which every user of the machine could read. Take"
                " it out of the address, put it into the environment or into .env, and name its variable in fetch.sas"
            )


def parse_sas_options(options: list[str]) -> dict[str, str]:
    """``PREFIX=NAME`` arguments as a mapping, checked.

    Raises:
        ConfigError: one has no ``=``, or its parts cannot be used.
    """
    pairs = [option.rpartition("=") for option in options]
    if not all(equals for _, equals, _ in pairs):
        raise ConfigError("--sas: give PREFIX=NAME, the beginning of an address and the name of a variable")
    return check_names({prefix: name for prefix, _, name in pairs})


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Tokens:
    """The tokens of one run.

    Args:
        names: the name of a token's variable, by the beginning of the addresses that it is for.
        variables: where values are looked up, such as ``os.environ``.
        margin_s: how long a token must still be valid when a download begins, at the least.
        planned_mb_s: how fast downloads are planned to be, in 10^6 bytes a second; a token must outlast its file.
        now: the clock.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    margin_s: float = 900.0
    planned_mb_s: float = 10.0
    now: Callable[[], datetime] = _now

    def sign(self, url: str, size_mb: float = 0) -> Signed:
        """The address with its token; as it is if no token is configured for it, or if it carries a query of its own.

        Of several beginnings that fit, the longest counts.

        Args:
            url: what to ask for.
            size_mb: what it holds, in 10^6 bytes; 0 if that is not known.

        Raises:
            FetchError: its token is missing, malformed, not valid yet, not valid as long as planned, or not for reading.
        """
        if urlsplit(url).query:
            return Signed(url, "asked with the query of its own")
        prefix = max((prefix for prefix in self.names if _fits(url, prefix)), key=len, default=None)
        if prefix is None:
            return Signed(url, "asked without a token: none is named for it in fetch.sas")
        name = self.names[prefix]
        token = self.variables.get(name, "").strip().removeprefix("?")
        if not token:
            raise FetchError(
                f"fetch.sas names the variable {name} for {prefix}, and it is neither in the environment nor in .env, or"
                " it is empty; set it to the token"
            )
        try:
            expiry = self._check(token, size_mb / self.planned_mb_s)
        except ValueError as error:
            raise FetchError(f"the token in {name}, for {prefix}, {error}") from None
        until = "an end that its stored policy sets" if expiry is None else f"{_shown(expiry)}"
        return Signed(f"{url}?{token}", f"asked with the token in {name}, valid until {until}")

    def _check(self, token: str, planned_s: float) -> datetime | None:
        """When a token ends, or None if only the service knows; ValueError with the end of a sentence if it cannot work."""
        if "://" in token:
            raise ValueError("is a whole address; set it to what follows the question mark")
        if _FORBIDDEN_SIGNS.search(token):
            raise ValueError("is malformed: it holds a blank, a quote or a line end; copy it again")
        fields = _fields(token)
        _check_signature(fields.get("sig", ""))
        has_policy = "si" in fields  # a stored access policy may hold the times and the permissions
        if "sp" in fields and "r" not in fields["sp"]:
            raise ValueError(f"does not allow reading: its permissions (sp) are {fields['sp']!r}, and r is needed")
        if "sp" not in fields and not has_policy:
            raise ValueError("is malformed: it has no permissions (sp)")
        _check_resource(fields)
        now = self.now()
        start, expiry = _time_of(fields, "st"), _time_of(fields, "se")
        if expiry is None and not has_policy:
            raise ValueError("is malformed: it has no expiry (se)")
        if start is not None and start > now:
            raise ValueError(f"is not valid before {_shown(start)} (st), and it is {_shown(now)}")
        if expiry is not None and expiry <= now:
            raise ValueError(f"expired at {_shown(expiry)} (se), and it is {_shown(now)}; ask for a new one")
        if expiry is not None and expiry - now < timedelta(seconds=max(self.margin_s, planned_s)):
            needed = f"{self.margin_s:g} s (fetch.sas_margin_s)"
            if planned_s > self.margin_s:
                needed = f"the {planned_s:.0f} s that the file takes at {self.planned_mb_s:g} MB/s (fetch.planned_mb_s)"
            raise ValueError(
                f"expires at {_shown(expiry)} (se), and it is {_shown(now)}: less than {needed} are left for the download;"
                " ask for a new one"
            )
        return expiry


def _fits(url: str, prefix: str) -> bool:
    """Whether a URL lies below a prefix: the same scheme, the same host and port, and whole names of its path."""
    parts, wanted = urlsplit(url), urlsplit(prefix)
    if (parts.scheme, parts.netloc.lower()) != (wanted.scheme, wanted.netloc.lower()):
        return False
    names, first_names = parts.path.split("/"), wanted.path.rstrip("/").split("/")
    # A server may resolve dots, and then the address is not below the prefix.
    return names[: len(first_names)] == first_names and not {".", ".."} & set(unquote(parts.path).split("/"))


def _fields(token: str) -> dict[str, str]:
    """The decoded fields; not ``parse_qs``, which would read the ``+`` of a signature as a blank."""
    pairs = [pair.partition("=") for pair in token.split("&")]
    fields = {name: unquote(value) for name, _, value in pairs}
    if len(fields) != len(pairs):
        raise ValueError("is malformed: it has a field twice")
    return fields


def _check_signature(signature: str) -> None:
    try:
        size = len(base64.b64decode(signature, validate=True))
    except binascii.Error:
        size = 0
    if size != _SIGNATURE_BYTES:
        raise ValueError("is malformed: it has no whole signature (sig); copy it again, and in a shell put it in quotes")


def _check_resource(fields: Mapping[str, str]) -> None:
    """A token of a service says what it is for in ``sr``, one of an account in ``ss`` and ``srt``."""
    if "sr" in fields:
        if fields["sr"] not in _BLOB_RESOURCES:
            raise ValueError(f"is not for blobs: its resource (sr) is {fields['sr']!r}")
    elif "b" not in fields.get("ss", "") or "o" not in fields.get("srt", ""):
        raise ValueError("is not for blobs: it has neither sr nor ss with b and srt with o")


def _time_of(fields: Mapping[str, str], name: str) -> datetime | None:
    """A time of a token: a date, or with minutes or seconds; UTC."""
    if name not in fields:
        return None
    try:
        time = datetime.fromisoformat(fields[name])
    except ValueError:
        raise ValueError(f"is malformed: its {name} is no time") from None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time


def _shown(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _without_query(parts: SplitResult) -> str:
    return redact(f"{parts.scheme}://{parts.hostname or ''}{parts.path}")
