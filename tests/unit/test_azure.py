"""Real azcopy against Azurite: tokens of each kind, each way in which one fails, checksums, and what stays behind."""

from __future__ import annotations

import hashlib
import os
import tarfile
from io import BytesIO
from typing import TYPE_CHECKING, Literal

import numpy as np
import pytest

from azurite import Azurite, account_sas, container_sas
from regioncache.catalog import Archive
from regioncache.errors import FetchError
from regioncache.fetch.archive import fetch_archive
from regioncache.fetch.azcopy import explain
from regioncache.fetch.azure import AzureOptions
from regioncache.fetch.child import Outcome, Watch
from regioncache.fetch.probe import NotReadyError
from regioncache.fetch.sas import Tokens

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "SA1B_TAR_URL_SAS_KEY"
OTHER_KEY = b"x" * 64


def tar_of(size: int) -> bytes:
    buffer = BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        info = tarfile.TarInfo("sa_1.jpg")
        info.size = size
        tar.addfile(info, BytesIO(np.random.default_rng(0).bytes(size)))
    return buffer.getvalue()


DATA = tar_of(300_000)
KNOWN = {"bytes": len(DATA), "sha256": hashlib.sha256(DATA).hexdigest()}


@pytest.fixture(scope="module", autouse=True)
def _environment(azcopy_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("no_proxy", "127.0.0.1")
        patch.setenv("PATH", f"{azcopy_folder}{os.pathsep}{os.environ['PATH']}")
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="module")
def blob(azurite: Azurite) -> str:
    """The address of a sound blob."""
    return azurite.put("sa1b", "tars/sa_000000.tar", DATA)


def fetch(
    azurite: Azurite,
    url: str,
    token: str | None,
    folder: Path,
    *,
    tool: Literal["azcopy", "azcopy-then-wget", "wget"] = "azcopy",
    lines: list[str] | None = None,
    **known: int | str | None,
) -> Path:
    facts = {**KNOWN, **known}
    size, sha256 = facts["bytes"], facts["sha256"]
    assert not isinstance(size, str)
    assert not isinstance(sha256, int)
    return fetch_archive(
        Archive(path="sa1b/sa_000000.tar", kind="tar", bytes=size, sha256=sha256, urls=(url,)),
        folder / "sa_000000.tar",
        tries=2,
        timeout_s=2,
        wait_s=0.1,
        tokens=Tokens({azurite.url: NAME} if token is not None else {}, {NAME: token or ""}),
        azure=AzureOptions(tool, (azurite.host,)),
        log=(lines if lines is not None else []).append,
    )


@pytest.mark.parametrize("kind", ["container", "account", "wget"])
def test_a_blob_is_fetched_with_a_token_of_its_container_or_of_the_account(
    azurite: Azurite, blob: str, tmp_path: Path, kind: str
) -> None:
    token = account_sas() if kind == "account" else container_sas("sa1b", permissions="r")
    lines: list[str] = []
    path = fetch(azurite, blob, f"?{token}", tmp_path, tool="wget" if kind == "wget" else "azcopy", lines=lines)
    assert path.read_bytes() == DATA
    assert sorted(left.name for left in tmp_path.iterdir()) == [
        "sa_000000.tar",
        "sa_000000.tar.lock",
        "sa_000000.tar.verified.json",
    ]
    assert lines[-1] == "sa1b/sa_000000.tar: verified"
    assert not any("MessageType" in line for line in lines)
    assert kind == "wget" or f"{len(DATA)} of {len(DATA)} bytes" in lines


def refused(azurite: Azurite, url: str, token: str | None, folder: Path, **known: int | str | None) -> str:
    """The error of a download, which holds no token."""
    lines: list[str] = []
    with pytest.raises(FetchError) as caught:
        fetch(azurite, url, token, folder, lines=lines, **known)
    assert not (folder / "sa_000000.tar").exists()
    text = "\n".join([str(caught.value), *lines])
    assert "sig=" not in text
    return text


def test_a_token_past_its_end_or_before_its_begin_is_refused_before_any_request(
    azurite: Azurite, blob: str, tmp_path: Path
) -> None:
    assert f"the token in {NAME}, for {azurite.url}, expired at " in refused(
        azurite, blob, container_sas("sa1b", expiry_s=-5), tmp_path
    )
    assert "is not valid before " in refused(azurite, blob, container_sas("sa1b", start_s=60), tmp_path)
    assert "less than 900 s" in refused(azurite, blob, container_sas("sa1b", expiry_s=60), tmp_path)
    assert "has no whole signature" in refused(azurite, blob, container_sas("sa1b")[:-9], tmp_path)
    assert not (tmp_path / "sa_000000.tar.azcopy").exists()


def test_a_token_that_ends_before_its_file_has_come_is_refused(azurite: Azurite, blob: str, tmp_path: Path) -> None:
    token = container_sas("sa1b", expiry_s=1000)
    with pytest.raises(FetchError, match=r"less than the 1100 s that the file takes at 10 MB/s \(fetch\.planned_mb_s\)"):
        fetch(azurite, blob, token, tmp_path, bytes=11_000_000_000)
    fetch(azurite, blob, token, tmp_path)


def test_a_wrong_signature_is_a_refusal_with_the_services_reason(azurite: Azurite, blob: str, tmp_path: Path) -> None:
    text = refused(azurite, blob, container_sas("sa1b", key=OTHER_KEY), tmp_path)
    assert "it refuses the token, or wants one (403: AuthorizationFailure)" in text
    assert f"asked with the token in {NAME}, valid until 20" in text


def test_a_token_of_another_container_is_a_refusal(azurite: Azurite, blob: str, tmp_path: Path) -> None:
    assert "(403: Authorization" in refused(azurite, blob, container_sas("other"), tmp_path)


def test_without_a_token_the_error_says_where_to_name_one(azurite: Azurite, blob: str, tmp_path: Path) -> None:
    text = refused(azurite, blob, None, tmp_path)
    assert "40" in text
    assert "asked without a token: none is named for it in fetch.sas" in text


@pytest.mark.parametrize("permissions", ["r", "rl"])
def test_a_missing_blob_is_named_as_missing(azurite: Azurite, blob: str, tmp_path: Path, permissions: str) -> None:
    text = refused(azurite, blob.replace("000000", "999999"), container_sas("sa1b", permissions=permissions), tmp_path)
    assert "sa_999999.tar: there is no such blob (404: BlobNotFound)" in text


def test_a_wrong_md5_that_the_service_keeps_is_an_error_with_azcopys_reason(azurite: Azurite, tmp_path: Path) -> None:
    url = azurite.put("sa1b", "wrong_md5.tar", DATA, md5=hashlib.md5(b"other", usedforsecurity=False).digest())
    text = refused(azurite, url, container_sas("sa1b"), tmp_path)
    assert "DOWNLOADFAILED" in text
    assert "MD5" in text
    assert str(tmp_path / "sa_000000.tar.azcopy" / "log") in text
    left = [path for path in (tmp_path / "sa_000000.tar.azcopy").rglob("*") if path.is_file()]
    assert left
    assert {path.suffix for path in left} == {".log"}


def test_a_flipped_bit_under_a_right_md5_is_caught_by_our_sha256(azurite: Azurite, tmp_path: Path) -> None:
    flipped = bytearray(DATA)
    flipped[100_000] ^= 1
    url = azurite.put("sa1b", "flipped.tar", bytes(flipped))
    text = refused(azurite, url, container_sas("sa1b"), tmp_path)
    assert f"the content is not the expected one (expected sha256 {KNOWN['sha256']}" in text


def test_an_empty_blob_is_no_archive(azurite: Azurite, tmp_path: Path) -> None:
    url = azurite.put("sa1b", "empty.tar", b"")
    assert "the blob ends after 0 bytes" in refused(azurite, url, container_sas("sa1b"), tmp_path)


@pytest.mark.parametrize(
    ("url", "is_blob"),
    [
        ("https://acct.blob.core.windows.net/c/b", True),
        ("https://ACCT.BLOB.core.windows.net/c/b", True),
        ("https://acct.z01.blob.storage.azure.net/c/b", True),
        ("https://acct.blob.core.chinacloudapi.cn/c/b", True),
        ("http://127.0.0.1:10000/devstoreaccount1/c/b", True),
        ("http://127.0.0.1:10001/devstoreaccount1/c/b", False),
        ("https://acct.file.core.windows.net/c/b", False),
        ("https://blob.core.windows.net.evil.org/c/b", False),
        ("https://acct.blob.core.windows.net@evil.org/c/b", False),
    ],
)
def test_which_addresses_are_azures(url: str, is_blob: bool) -> None:
    assert AzureOptions(hosts=("127.0.0.1:10000",)).is_blob(url) is is_blob


# A question of azcopy's that was refused, as its log shows it: not every entry says how.
REFUSED_QUESTION = """2026/11/21 15:22:41 ==> REQUEST/RESPONSE (Try=1/7.5ms, OpTime=7.7ms) -- RESPONSE STATUS CODE ERROR
   HEAD https://acct.blob.core.windows.net/tars/21.zip?se=2999-01-01&sig=-REDACTED-&sp=r
Response Details:

2026/11/21 15:22:41 ==> REQUEST/RESPONSE (Try=1/3.2ms, OpTime=3.7ms) -- RESPONSE STATUS CODE ERROR
   GET https://acct.blob.core.windows.net/tars?comp=list&prefix=21.zip%2F&sig=-REDACTED-&sp=r
   Accept: application/xml
   RESPONSE Status: 403 This request is not authorized to perform this operation.
"""


def test_a_listing_that_a_token_does_not_allow_does_not_hide_why_the_blob_did_not_come(tmp_path: Path) -> None:
    log = tmp_path / "job.log"
    log.write_text(REFUSED_QUESTION)
    error = explain(Outcome(1, ()), log, Watch(60))
    assert isinstance(error, NotReadyError)
    assert str(error) == f"the service is not ready (it does not say why) (azcopy ended with 1; its log is {log})"
