"""A web server on the loopback interface that misbehaves on request.

Each file is served with a list of faults: request number i meets fault number i, and every request after the last fault
is answered properly. A HEAD request, and one for the first byte alone, meets only faults that answer with a status, and is
not counted. The server speaks as much of the protocol of Azure's blobs as azcopy needs to download one, and counts what it
did, so that a test can assert on requests and on bytes.
"""

from __future__ import annotations

import re
import sys
import threading
import time
import traceback
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

# Without a stored MD5, which the protocol does not demand.
BLOB_HEADERS = {
    "x-ms-blob-type": "BlockBlob",
    "x-ms-version": "2021-12-02",
    "ETag": '"0x8DC"',
    "Last-Modified": "Sat, 01 Jun 2024 00:00:00 GMT",
}
BLOB_ERRORS = {404: "BlobNotFound", 500: "InternalError", 503: "ServerBusy"}
HTML = b"<!DOCTYPE html>\n<html><head><title>Quota exceeded</title></head><body>Try again later.</body></html>"


@dataclass(frozen=True)
class Fault:
    """One misbehaviour.

    Args:
        status: answer with this status and no file.
        retry_after_s: the Retry-After header of that answer.
        cut_after: close the connection after so many bytes of the body, though more were announced.
        hang_after: send so many bytes of the body and then nothing, until the client gives up.
        length: announce and send only so many bytes of the file, as if that were all.
        body: answer 200 with this page instead of the file.
        flip_byte: send the file with the bits of this byte inverted.
        slow_s: sleep so long after every 20 kB of the body.
        location: redirect to this address; with the status, or else 302.
    """

    status: int | None = None
    retry_after_s: int | None = None
    cut_after: int | None = None
    hang_after: int | None = None
    length: int | None = None
    body: bytes | None = None
    flip_byte: int | None = None
    slow_s: float = 0.0
    location: str | None = None


@dataclass
class ServedFile:
    """A file and what was done with it."""

    data: bytes
    faults: Sequence[Fault]
    ranges: bool
    every: Fault | None
    headers: Mapping[str, str]
    requests: list[str | None] = field(default_factory=list)  # the Range header of each GET
    queries: list[str] = field(default_factory=list)  # the query of each request
    referers: list[str | None] = field(default_factory=list)  # the page that each request says it comes from
    faults_met: int = 0
    sent_bytes: int = 0


class FaultServer:
    """See the module. ``serving`` starts and stops one."""

    def __init__(self) -> None:
        self.files: dict[str, ServedFile] = {}
        self.stopping = threading.Event()
        self.changed = threading.Condition()
        self.web = _Web(self)

    @property
    def url(self) -> str:
        """``http://127.0.0.1:port``."""
        return f"http://127.0.0.1:{self.web.server_address[1]}"

    def serve(
        self,
        path: str,
        data: bytes,
        *faults: Fault,
        ranges: bool = True,
        every: Fault | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> tuple[str, ServedFile]:
        """Serve ``data`` under ``path`` with these faults; ``every`` is the fault of all requests after them."""
        file = ServedFile(data, faults, ranges, every, headers)
        self.files[path] = file
        return self.url + path, file

    def wait_until_sent(self, file: ServedFile, count: int, timeout_s: float = 10.0) -> None:
        """Return when ``count`` bytes of the file's body have been sent."""
        with self.changed:
            assert self.changed.wait_for(lambda: file.sent_bytes >= count, timeout_s), f"only {file.sent_bytes} sent"


@contextmanager
def serving() -> Iterator[FaultServer]:
    """A server in a thread, shut down at the end whatever it is doing."""
    server = FaultServer()
    thread = threading.Thread(target=server.web.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stopping.set()
        server.web.shutdown()
        server.web.server_close()
        thread.join()


class _Web(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, owner: FaultServer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.owner = owner

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002  (the base class's arguments)
        """Report real faults only: a client that hangs up is what these tests are about."""
        if not isinstance(sys.exception(), ConnectionError):
            traceback.print_exc()


class _Handler(BaseHTTPRequestHandler):
    server: _Web
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing: a test's output is its own."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        file = self.server.owner.files.get(urlsplit(self.path).path)
        if file is None:
            self._refuse(Fault(status=404))
            return
        is_question = self.command == "HEAD" or self._range() == "bytes=0-0"
        with self.server.owner.changed:
            fault = file.faults[file.faults_met] if file.faults_met < len(file.faults) else file.every or Fault()
            is_refusal = fault.status is not None or fault.location is not None
            file.queries.append(urlsplit(self.path).query)
            file.referers.append(self.headers.get("Referer"))
            if not is_question:
                file.requests.append(self._range())
            if is_refusal or not is_question:
                file.faults_met += 1
        if is_refusal:
            self._refuse(fault)
        else:
            self._send(file, Fault(length=fault.length, body=fault.body) if is_question else fault)

    def _range(self) -> str | None:
        return self.headers.get("x-ms-range") or self.headers.get("Range")

    def _refuse(self, fault: Fault) -> None:
        self.close_connection = True
        self.send_response(fault.status or (302 if fault.location else 500))
        if fault.location is not None:
            self.send_header("Location", fault.location)
        if fault.status in BLOB_ERRORS:
            self.send_header("x-ms-error-code", BLOB_ERRORS[fault.status])
        if fault.retry_after_s is not None:
            self.send_header("Retry-After", str(fault.retry_after_s))
        self.send_header("Content-Length", "0")
        self.send_header("Connection", "close")
        self.end_headers()

    def _send(self, file: ServedFile, fault: Fault) -> None:
        data = fault.body if fault.body is not None else file.data[: fault.length]
        if fault.flip_byte is not None:
            flipped = bytearray(data)
            flipped[fault.flip_byte] ^= 0xFF
            data = bytes(flipped)
        start, end = 0, len(data)
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self._range() or "")
        if asked and file.ranges and fault.body is None:
            start, end = int(asked[1]), min(int(asked[2]) + 1, end) if asked[2] else end
            if start >= len(data):
                self._refuse(Fault(status=416))
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(data)}")
        else:
            self.send_response(200)
        if file.ranges:
            self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Type", "application/zip" if fault.body is None else "text/html")
        self.send_header("Content-Length", str(end - start))
        for name, value in {**BLOB_HEADERS, **file.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if self._range() == "bytes=0-0":
            self.wfile.write(data[start:end])
            return
        stop_after = fault.cut_after if fault.cut_after is not None else fault.hang_after
        self._send_body(file, data[start:end] if stop_after is None else data[start : min(start + stop_after, end)], fault.slow_s)
        if stop_after is not None:
            self.close_connection = True
        if fault.hang_after is not None:
            self._wait_for_hang_up()

    def _send_body(self, file: ServedFile, data: bytes, slow_s: float) -> None:
        with suppress(ConnectionError):  # the client may go away at any time, and in some tests it must
            for offset in range(0, len(data), 20_000):
                piece = data[offset : offset + 20_000]
                self.wfile.write(piece)
                with self.server.owner.changed:
                    file.sent_bytes += len(piece)
                    self.server.owner.changed.notify_all()
                if slow_s and not self.server.owner.stopping.is_set():
                    time.sleep(slow_s)

    def _wait_for_hang_up(self) -> None:
        self.connection.settimeout(0.05)
        while not self.server.owner.stopping.is_set():
            try:
                if not self.connection.recv(1):
                    return
            except TimeoutError:
                continue
            except ConnectionError:
                return
