"""Azurite, Microsoft's emulator of Azure Blob Storage, on the loopback interface, and shared access signatures for it.

Signatures are made here from the published formula (Microsoft Learn, "Create a service SAS" and "Create an account SAS"), so
that they come from neither the code under test nor azcopy.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import shutil
import socket
import subprocess
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.parse import quote, urlencode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ACCOUNT = "devstoreaccount1"
# The emulator's key, which is the same everywhere and in its documentation.
KEY = base64.b64decode("Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==")
VERSION = "2021-12-02"
START_LIMIT_S = 30.0


def time_of(offset_s: float) -> str:
    """A time so many seconds from now, as signatures write it."""
    return (datetime.now(UTC) + timedelta(seconds=offset_s)).strftime("%Y-%m-%dT%H:%M:%SZ")


def sign(text: str, key: bytes = KEY) -> str:
    return base64.b64encode(hmac.new(key, text.encode(), hashlib.sha256).digest()).decode()


def container_sas(
    container: str, *, permissions: str = "rl", start_s: float = -300, expiry_s: float = 7200, key: bytes = KEY
) -> str:
    """A token for one container."""
    start, expiry = time_of(start_s), time_of(expiry_s)
    resource = f"/blob/{ACCOUNT}/{container}"
    # Permissions, start, expiry, resource, identifier, address, protocol, version, kind, snapshot, scope, five headers.
    fields = [permissions, start, expiry, resource, "", "", "", VERSION, "c", "", "", "", "", "", "", ""]
    signature = sign("\n".join(fields), key)
    return urlencode({"sv": VERSION, "sr": "c", "sp": permissions, "st": start, "se": expiry, "sig": signature})


def account_sas(*, permissions: str = "rl", start_s: float = -300, expiry_s: float = 7200) -> str:
    """A token for every container and blob of the account."""
    start, expiry = time_of(start_s), time_of(expiry_s)
    # Account, permissions, services, kinds, start, expiry, address, protocol, version, scope, and an empty line.
    fields = [ACCOUNT, permissions, "b", "co", start, expiry, "", "", VERSION, "", ""]
    pairs = {"sv": VERSION, "ss": "b", "srt": "co", "sp": permissions, "st": start, "se": expiry}
    return urlencode({**pairs, "sig": sign("\n".join(fields))})


@dataclass(frozen=True)
class Azurite:
    """A running emulator.

    Attributes:
        host: its address and port.
    """

    host: str

    @property
    def url(self) -> str:
        """The account's address."""
        return f"http://{self.host}/{ACCOUNT}"

    @property
    def connection_string(self) -> str:
        """What gives the account to Microsoft's libraries, with its key."""
        key = base64.b64encode(KEY).decode()
        return f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={key};BlobEndpoint={self.url};"

    def make_container(self, name: str) -> None:
        """Make a container, or take the one that is there."""
        try:
            self._put(f"{self.url}/{name}?restype=container&{account_sas(permissions='rwcl')}", b"", {})
        except HTTPError as error:
            error.close()
            if error.code != 409:  # it is there
                raise

    def put(self, container: str, name: str, data: bytes, *, md5: bytes | None = b"") -> str:
        """Store a blob, and return its address.

        Args:
            container: is made.
            name: of the blob.
            data: its bytes.
            md5: what the service is to say their MD5 is; the right one if empty, none if None.
        """
        self.make_container(container)
        url = f"{self.url}/{container}/{name}"
        token = container_sas(container, permissions="rwc")
        self._put(f"{url}?{token}", data, {"x-ms-blob-type": "BlockBlob", "Content-Type": "application/octet-stream"})
        if md5 != b"":
            stored = {} if md5 is None else {"x-ms-blob-content-md5": base64.b64encode(md5).decode()}
            self._put(f"{url}?comp=properties&{token}", b"", stored)
        return url

    def blobs(self, container: str) -> dict[str, bytes]:
        """Every blob of a container, by name."""
        token = container_sas(container)
        listed = self._get(f"{self.url}/{container}?restype=container&comp=list&{token}").decode()
        assert "<NextMarker/>" in listed, "more blobs than one answer lists"
        names = re.findall("<Name>([^<]+)</Name>", listed)
        return {name: self._get(f"{self.url}/{container}/{quote(name)}?{token}") for name in names}

    @staticmethod
    def _get(url: str) -> bytes:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(url) as answer:
            data: bytes = answer.read()
        return data

    @staticmethod
    def _put(url: str, data: bytes, headers: dict[str, str]) -> None:
        request = urllib.request.Request(url, data, {"x-ms-version": VERSION, **headers}, method="PUT")  # noqa: S310  (http)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request) as answer:
            assert answer.status in (200, 201)


@contextmanager
def running_azurite(script: Path) -> Iterator[Azurite]:
    """Start the emulator; it keeps what is stored in memory."""
    node = shutil.which("node")
    assert node is not None
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--inMemoryPersistence", "--skipApiVersionCheck", "--silent"]
    process = subprocess.Popen([node, str(script), *options, "--loose", "--disableTelemetry"], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + START_LIMIT_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert process.poll() is None, "Azurite ended"
                assert time.monotonic() < deadline, "Azurite does not answer"
                time.sleep(0.05)
        yield Azurite(f"127.0.0.1:{port}")
    finally:
        process.kill()
        process.wait()
