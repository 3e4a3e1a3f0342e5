"""One question to a blob before azcopy is let loose: does the service itself give it, and if not, why.

azcopy follows a redirect to another host and tells that host where it came from, token included (the Referer header of
Go's HTTP client), and it asks in a way that gets no reason for a refusal.
"""

from __future__ import annotations

import re
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
)

from regioncache.errors import FetchError
from regioncache.fetch.redact import redact

REPEATED_STATUS = {408, 429, 500, 502, 503, 504}
_ANSWER_BYTES = 4096
_DETAIL = re.compile(r"<(Code|AuthenticationErrorDetail)>(.*?)</\1>", re.DOTALL)
_REASONS = {401: "it wants a token", 403: "it refuses the token, or wants one", 404: "there is no such blob"}


class NotReadyError(FetchError):
    """The answer may be better in a moment."""


def probe(url: str, timeout_s: float) -> None:
    """Ask for the first byte.

    Args:
        url: with its token.
        timeout_s: for the answer.

    Raises:
        FetchError: the service refuses, has no such blob, or redirects to another place.
        NotReadyError: it does not answer, or says that it is not ready.
    """
    request = Request(url, headers={"Range": "bytes=0-0"})  # noqa: S310  (an address of Azure's blob storage: http or https)
    opener = OpenerDirector()  # as `build_opener` makes it, but without what follows redirects
    for handler in (ProxyHandler, HTTPHandler, HTTPSHandler, HTTPDefaultErrorHandler, HTTPErrorProcessor):
        opener.add_handler(handler())
    try:
        with opener.open(request, timeout=timeout_s):
            return
    except HTTPError as answer:
        with answer:
            status, body = answer.code, answer.read(_ANSWER_BYTES).decode(errors="replace")
            place = urlsplit(answer.headers.get("Location", "")).netloc
    except (URLError, OSError) as error:
        raise NotReadyError(f"the service does not answer: {getattr(error, 'reason', error)}") from None
    if place:
        raise FetchError(f"the service redirects to {place}, which must not learn the token ({status})")
    if status in REPEATED_STATUS:
        raise NotReadyError(f"the service is not ready ({status})")
    if status in _REASONS:
        details = "; ".join(" ".join(redact(text).split())[:300] for _, text in _DETAIL.findall(body))
        raise FetchError(f"{_REASONS[status]} ({status}{': ' if details else ''}{details})")
