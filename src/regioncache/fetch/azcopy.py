"""The program azcopy: how it is run, and what its output and its log say.

What azcopy 10.32 does, measured: it asks for many blocks at once, repeats a block from where its connection broke, and
repeats what the service refuses with one of its own error codes. It does not repeat other refusals, waits long for a
server that is silent, and keeps no finished block of a file when it ends: ``azcopy jobs resume`` sends a single blob again
from its first byte, as a new job does, so no job is resumed here. wget does resume such a blob (``AzureOptions.tool``).

azcopy takes a token in its argument list and nowhere else (Azure/azure-storage-azcopy issue 2138), so every user of the
machine can see it there while azcopy runs. wget takes it by standard input. azcopy's logs and plans hold no signature.
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from regioncache.errors import FetchError
from regioncache.fetch.child import Outcome, Watch, run_child
from regioncache.fetch.probe import REPEATED_STATUS, NotReadyError
from regioncache.fetch.redact import redact

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_REFUSED_STATUS = {401, 403}
_REPORT_S = 2.0  # azcopy says every 2 s how far it is
_CONNECTIONS = "16"  # azcopy's own choice grows with the cores, and so does its memory
_BUFFER_GB = "0.25"
_BLOCK_MIB = "4"  # a block must come within six tries, also over a slow line that is shared by all connections
_INSTALL = (
    "azcopy is not installed, and addresses of Azure are downloaded with it. Install it (`make .tools/azcopy/ready` and"
    " .tools/azcopy/bin on the PATH, or Microsoft's download page for AzCopy), or set fetch.azure_tool to wget"
)
# A request in azcopy's log that was answered with an error; not every such entry says with which.
_ERROR_ENTRY = re.compile(
    r"RESPONSE STATUS CODE ERROR\n   (?:GET|HEAD) (\S+)\n(?:   (?!RESPONSE Status).*\n)*(?:   RESPONSE Status: (\d{3}))?"
)
_FAILED_TRANSFER = re.compile(r"DOWNLOADFAILED: .* : (\d{3}) : ")
_COMPLAINT = re.compile(r"DOWNLOADFAILED|^\S+ \S+ ERR:")
_STAMP = re.compile(r"^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d (?:ERR: )?(?:\[P#\d+-T#\d+\] )?")


@dataclass
class AzCopy:
    """How azcopy is run.

    Args:
        tries: how often a refusal that may pass is asked again; ``tries * timeout_s`` without progress ends a download.
        timeout_s: for silence.
        wait_s: the longest pause between tries.
        lock_fd: the held lock of the output; azcopy inherits it.
        log: receives its messages and its progress, free of secrets.
    """

    tries: int
    timeout_s: float
    wait_s: float
    lock_fd: int
    log: Callable[[str], None]
    _seen: str = field(default="", init=False)

    @property
    def patience_s(self) -> float:
        """How long a download may show no progress."""
        return max(self.tries * self.timeout_s, 3 * _REPORT_S)

    def run(self, url: str, file: Path, watch: Watch) -> Outcome:
        """Download to ``file``; its logs and plans go beside it."""
        program = ["azcopy", "copy", url, str(file), "--from-to", "BlobLocal", "--check-md5", "FailIfDifferent"]
        program += ["--block-size-mb", _BLOCK_MIB, "--output-type", "json"]
        variables = {
            "AZCOPY_LOG_LOCATION": str(log_folder(file)),
            "AZCOPY_JOB_PLAN_LOCATION": str(plan_folder(file)),
            "AZCOPY_DISABLE_SYSLOG": "true",
            "AZCOPY_CONCURRENCY_VALUE": _CONNECTIONS,
            "AZCOPY_BUFFER_GB": _BUFFER_GB,
            # In minutes. A block that is not there in time is asked for again from where it stopped.
            "AZCOPY_REQUEST_TRY_TIMEOUT": f"{self.patience_s / 2 / 60:.4f}",
        }
        self._seen = ""
        return run_child(
            program,
            inherited_fds=[self.lock_fd],
            variables=variables,
            watch=watch,
            log=lambda line: self._read(line, watch),
        )

    def _read(self, line: str, watch: Watch) -> None:
        """A line of azcopy's output: a message, or how far it is."""
        try:
            message = json.loads(line)
            kind, text = message["MessageType"], message["MessageContent"]
            state = json.loads(text) if kind in ("Progress", "EndOfJob") else {}
        except (ValueError, TypeError, KeyError):  # a crash speaks no JSON
            self.log(line)
            return
        if kind in ("Info", "Error"):
            self.log(" ".join(text.split()))
        if kind == "Progress":
            # Of whole blocks; its `BytesOverWire` counts a block when it is asked for.
            progress = f"{state.get('TotalBytesTransferred')} of {state.get('TotalBytesExpected')} bytes"
            if progress != self._seen:
                self._seen = progress
                watch.see_progress()
                self.log(progress)


def require_azcopy() -> None:
    """Check that azcopy is there.

    Raises:
        FetchError: it is not; says how to install it.
    """
    if shutil.which("azcopy") is None:
        raise FetchError(_INSTALL)


def log_folder(file: Path) -> Path:
    """Where azcopy's logs of a download go."""
    return file.parent / "log"


def plan_folder(file: Path) -> Path:
    """Where azcopy's job plans of a download go."""
    return file.parent / "plan"


def newest_log(file: Path) -> Path | None:
    """The log of the last job of a download, if it came to having one."""
    logs = [path for path in log_folder(file).glob("*.log") if not path.name.endswith("-scanning.log")]
    return max(logs, key=lambda path: (path.stat().st_mtime_ns, path.name), default=None)


def explain(outcome: Outcome, log: Path | None, watch: Watch) -> FetchError:
    """Why a download failed, free of secrets; a ``NotReadyError`` if it may go better the next time."""
    text = "" if log is None else log.read_text(encoding="utf-8", errors="replace")
    complaints = [redact(_STAMP.sub("", line).strip()) for line in text.splitlines() if _COMPLAINT.search(line)]
    end = f"(azcopy ended with {outcome.status}; its log is {log})"
    # Where it is refused a blob, azcopy lists the container too, which a token need not allow.
    entries = [status for url, status in _ERROR_ENTRY.findall(text) if "comp=list" not in url]
    answered = {int(status) for status in (*entries, *_FAILED_TRANSFER.findall(text)) if status}
    if watch.is_over:
        return FetchError(f"no byte came for {watch.limit_s:g} s {end}")
    if answered & _REFUSED_STATUS:
        why = "it was good a moment ago, so it ended or was revoked"
        return FetchError(f"the service refuses the token ({min(answered & _REFUSED_STATUS)}): {why} {end}")
    if answered & REPEATED_STATUS or "" in entries:
        shown = ", ".join(map(str, sorted(answered & REPEATED_STATUS))) or "it does not say why"
        return NotReadyError(f"the service is not ready ({shown}) {end}")
    lines = [_content(line) for line in outcome.lines]
    return FetchError(f"{(complaints or lines or ['no message'])[-1]} {end}")


def _content(line: str) -> str:
    """What a line of azcopy's output says."""
    try:
        return " ".join(str(json.loads(line)["MessageContent"]).split())
    except (ValueError, TypeError, KeyError):
        return line
