"""The bucket of photos, by what it tells of each of them."""

from __future__ import annotations

import os
import re
import sys
from http import HTTPStatus
from pathlib import Path
from typing import Any

_ANSWERS_PER_LINE = 5000
_PLAIN_ETAG = re.compile(r'"?([0-9a-f]{32})"?')


class Bucket:
    """What the bucket tells of each photo before it sends it: that there is none, or its MD5, kept beside the photos.

    Args:
        checksums: a file in the form of md5sum's; what an earlier run left there counts.
        timeout_s: for connecting and for silence.
    """

    def __init__(self, checksums: Path, timeout_s: float) -> None:
        import boto3  # noqa: PLC0415  (FiftyOne's, here with its settings)
        import botocore.session  # noqa: PLC0415  (as above)
        from botocore.config import Config  # noqa: PLC0415  (as above)

        self._answers = 0
        self.gone: set[str] = set()
        self.refusal = ""
        self.md5_of: dict[str, str] = {}
        if checksums.exists():
            for line in checksums.read_text(encoding="ascii", errors="replace").splitlines():
                md5, _, name = line.partition("  ")
                self._keep(Path(name).stem, md5)
        self._checksums = checksums
        self._descriptor = os.open(checksums, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)  # whole lines, from many threads
        session = botocore.session.get_session()
        session.set_default_client_config(Config(connect_timeout=timeout_s, read_timeout=timeout_s))
        session.register("after-call.s3", self._note)
        boto3.setup_default_session(botocore_session=session)  # FiftyOne asks boto3 for its client

    def _note(self, *, http_response: Any, parsed: dict[str, Any], **_: object) -> None:  # noqa: ANN401  (an AWSResponse)
        path = Path(http_response.url.partition("?")[0])
        self._answers += 1
        if self._answers % _ANSWERS_PER_LINE == 0:
            sys.stderr.write(f"{self._answers} answers of the bucket, two to each photo\n")
        if http_response.status_code == HTTPStatus.NOT_FOUND:
            self.gone.add(path.stem)
        elif http_response.status_code >= HTTPStatus.MULTIPLE_CHOICES:  # redirects, which S3 has for regions alone, and errors
            self.refusal = f" ({http_response.status_code} for {path.name})"
        elif _has_plain_etag(parsed) and self._keep(path.stem, parsed.get("ETag", "")):
            os.write(self._descriptor, self._line(path.stem).encode("ascii"))

    def _keep(self, image_id: str, etag: str) -> bool:
        md5 = _PLAIN_ETAG.fullmatch(etag)
        if md5 is None or self.md5_of.get(image_id) == md5[1]:
            return False
        self.md5_of[image_id] = md5[1]
        return True

    def _line(self, image_id: str) -> str:
        return f"{self.md5_of[image_id]}  data/{image_id}.jpg\n"

    def close(self) -> None:
        """Leave the checksums in the order of the ids, whatever order they came in."""
        os.close(self._descriptor)
        self._checksums.write_text("".join(self._line(one) for one in sorted(self.md5_of)), encoding="ascii")


def _has_plain_etag(answer: dict[str, Any]) -> bool:
    """Whether an ETag may be an MD5: S3 makes it so, unless the photo is encrypted with a key of somebody's own."""
    return "SSECustomerAlgorithm" not in answer and answer.get("ServerSideEncryption", "AES256") == "AES256"
