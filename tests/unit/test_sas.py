"""Tokens of Azure: which address gets which, what is refused before anything is sent, and where their values come from."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from azurite import container_sas, sign
from regioncache.errors import ConfigError, FetchError
from regioncache.fetch.dotenv import read_dotenv
from regioncache.fetch.redact import redact
from regioncache.fetch.sas import Tokens, check_names, parse_sas_options, refuse_tokens

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
SIGNATURE = sign("any text")
ESCAPED = SIGNATURE.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")
HOST = "https://acct.blob.core.windows.net"
URL = f"{HOST}/sa1b/tars/sa_000000.tar"


def token(*, signature: str = ESCAPED, **fields: str) -> str:
    pairs = {"sv": "2022-11-02", "sr": "c", "sp": "rl", "se": "2026-06-02", **fields}
    return "&".join([*(f"{name}={value}" for name, value in pairs.items() if value), f"sig={signature}"])


def tokens(value: str | None, prefix: str = f"{HOST}/sa1b/", margin_s: float = 900) -> Tokens:
    return Tokens({prefix: "SA1B_KEY"}, {} if value is None else {"SA1B_KEY": value}, margin_s, now=lambda: NOW)


@pytest.mark.parametrize("begin", ["", "?", " ?"])
def test_a_token_goes_behind_the_address_with_or_without_its_question_mark(begin: str) -> None:
    signed = tokens(begin + token()).sign(URL)
    assert signed.url == f"{URL}?{token()}"
    assert signed.asked_with == "asked with the token in SA1B_KEY, valid until 2026-06-02T00:00:00Z"


@pytest.mark.parametrize(
    "url",
    [
        "https://other.blob.core.windows.net/sa1b/a.tar",
        "http://acct.blob.core.windows.net/sa1b/a.tar",
        "https://acct.blob.core.windows.net:444/sa1b/a.tar",
        "https://acct.blob.core.windows.net.evil.org/sa1b/a.tar",
        "https://acct.blob.core.windows.net@evil.org/sa1b/a.tar",
        "https://acct.blob.core.windows.net\\@evil.org/sa1b/a.tar",
        "https://me@acct.blob.core.windows.net/sa1b/a.tar",
        f"{HOST}/sa1bx/a.tar",
        f"{HOST}/sa1",
        f"{HOST}/SA1B/a.tar",
        f"{HOST}/sa1b/../other/a.tar",
        f"{HOST}/sa1b/%2e%2E/other/a.tar",
        f"{URL}?sv=1&sig=of_its_own",
    ],
)
def test_a_token_goes_to_no_other_host_scheme_port_or_folder(url: str) -> None:
    assert tokens(token()).sign(url).url == url


@pytest.mark.parametrize(
    "prefix", [f"{HOST}/sa1b", f"{HOST}/sa1b/", HOST, f"{HOST}/", URL, HOST.upper().replace("HTTPS", "https")]
)
def test_a_beginning_fits_at_the_borders_of_names(prefix: str) -> None:
    assert tokens(token(), prefix).sign(URL).url == f"{URL}?{token()}"


def test_the_longest_beginning_counts() -> None:
    names = {HOST: "WIDE", f"{HOST}/sa1b/tars/": "NARROW", f"{HOST}/sa1b/": "MIDDLE"}
    values = {name: token(sv=name) for name in names.values()}
    made = Tokens(names, values, now=lambda: NOW)
    assert made.sign(URL).url == f"{URL}?{values['NARROW']}"
    assert made.sign(f"{HOST}/sa1b/x.tsv").url.endswith(values["MIDDLE"])
    assert made.sign(f"{HOST}/v6/x.tsv").url.endswith(values["WIDE"])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"se": "2026-06-01T12%3A00%3A00Z"}, "expired at 2026-06-01T12:00:00Z (se), and it is 2026-06-01T12:00:00Z"),
        ({"se": "2026-06-01"}, "expired at 2026-06-01T00:00:00Z"),
        (
            {"se": "2026-06-01T12%3A14%3A59Z"},
            "expires at 2026-06-01T12:14:59Z (se), and it is 2026-06-01T12:00:00Z: less than 900 s",
        ),
        ({"st": "2026-06-01T12%3A00%3A01Z"}, "is not valid before 2026-06-01T12:00:01Z (st)"),
        ({"st": "2026-07-01", "se": "2026-08-01"}, "is not valid before 2026-07-01T00:00:00Z (st)"),
        ({"se": "tomorrow"}, "is malformed: its se is no time"),
        ({"se": ""}, "is malformed: it has no expiry (se)"),
        ({"sp": "wl"}, "does not allow reading: its permissions (sp) are 'wl', and r is needed"),
        ({"sp": ""}, "is malformed: it has no permissions (sp)"),
        ({"sr": "s"}, "is not for blobs: its resource (sr) is 's'"),
        ({"sr": ""}, "is not for blobs: it has neither sr nor ss with b and srt with o"),
        ({"sr": "", "ss": "fq", "srt": "sco"}, "is not for blobs"),
        ({"sr": "", "ss": "b", "srt": "sc"}, "is not for blobs"),
        ({"signature": ESCAPED[:20]}, "is malformed: it has no whole signature (sig)"),
        ({"signature": ""}, "is malformed: it has no whole signature (sig)"),
        ({"sv": "1 2"}, "is malformed: it holds a blank, a quote or a line end"),
        ({"sv": "1%0A&x=\\n"}, "is malformed: it holds a blank, a quote or a line end"),
        ({"sv": "1&sv=2"}, "is malformed: it has a field twice"),
        ({"sv": "https://a.org"}, "is a whole address; set it to what follows the question mark"),
    ],
)
def test_a_token_that_cannot_work_is_refused_with_its_times_and_never_shown(fields: dict[str, str], message: str) -> None:
    with pytest.raises(FetchError) as caught:
        tokens(token(**fields)).sign(URL)
    text = str(caught.value)
    assert f"the token in SA1B_KEY, for {HOST}/sa1b/, {message}" in text
    assert "sig=" not in text
    assert ESCAPED[:12] not in text
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "fields",
    [
        {"se": "2026-06-01T12%3A15Z"},
        {"se": "2026-06-01T12%3A15%3A00.0000000Z"},
        {"se": "2026-06-01T14%3A15%3A00%2B02%3A00"},
        {"st": "2026-06-01", "se": "2026-06-01T13:00:00Z"},
        {"sp": "", "se": "", "si": "policy"},
        {"sr": "", "ss": "bf", "srt": "sco"},
        {"sr": "b", "sp": "racwd"},
        {"sr": "d", "sdd": "1"},
    ],
)
def test_a_token_that_can_work_passes(fields: dict[str, str]) -> None:
    assert tokens(token(**fields)).sign(URL).url == f"{URL}?{token(**fields)}"


def test_the_margin_is_the_time_that_a_token_must_still_be_valid() -> None:
    value = token(se="2026-06-01T12:10Z")
    assert tokens(value, margin_s=600).sign(URL).url.endswith(value)
    with pytest.raises(FetchError, match="less than 601 s"):
        tokens(value, margin_s=601).sign(URL)


def test_a_token_must_outlast_its_file_at_the_planned_rate() -> None:
    value = token(se="2026-06-01T12:20Z")  # 1,200 s from now
    assert tokens(value).sign(URL, 12_000).url.endswith(value)
    with pytest.raises(FetchError, match=r"less than the 1200 s that the file takes at 10 MB/s \(fetch\.planned_mb_s\) are left"):
        tokens(value).sign(URL, 12_001)
    with pytest.raises(FetchError, match=r"less than 1201 s \(fetch\.sas_margin_s\) are left"):
        tokens(value, margin_s=1201).sign(URL, 12_001)


@pytest.mark.parametrize("value", [None, "", " ", "?"])
def test_a_missing_variable_is_named_with_what_it_is_for(value: str | None) -> None:
    with pytest.raises(FetchError, match=rf"^fetch\.sas names the variable SA1B_KEY for {HOST}/sa1b/, and it is neither"):
        tokens(value).sign(URL)


def test_values_do_not_show_in_the_representation() -> None:
    assert ESCAPED not in repr(tokens(token()))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("https://a.org/x", "give PREFIX=NAME"),
        ("a.org/x=NAME", "is not the beginning of an address"),
        ("/data=NAME", "is not the beginning of an address"),
        (f"{HOST}/sa1b?{token()}=NAME", "is not the beginning of an address"),
        ("https://me:pw@a.org/=NAME", "is not the beginning of an address"),
        ("http://a.org/=NAME", "would send a token unencrypted; write https"),
        (f"{HOST}/sa1b/={token()}", "is no name of a variable"),
        (f"{HOST}/sa1b/={token(signature=SIGNATURE)}", "is no name of a variable"),
        (f"{HOST}/sa1b/=sp%3Dr", "is no name of a variable"),
    ],
)
def test_an_option_that_cannot_be_used_is_refused_without_showing_a_token(option: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_sas_options([option])
    assert message in str(caught.value)
    assert SIGNATURE[:12] not in str(caught.value)
    assert ESCAPED[:12] not in str(caught.value)
    assert "pw" not in str(caught.value)


def test_the_configuration_takes_names_and_no_tokens() -> None:
    assert parse_sas_options([f"{HOST}/a=b/=KEY", "http://127.0.0.1:10000/x=K2"]) == {
        f"{HOST}/a=b/": "KEY",
        "http://127.0.0.1:10000/x": "K2",
    }
    with pytest.raises(ConfigError, match="is no name of a variable") as caught:
        check_names({HOST: token()})
    assert ESCAPED not in str(caught.value)
    refuse_tokens(["/data/sig=x", f"{HOST}/sa1b/", f"{HOST}/sa1b/?sv=1"])
    with pytest.raises(ConfigError, match=r"carries a token.*fetch\.sas") as caught:
        refuse_tokens([f"{HOST}/sa1b/?{token()}"])
    assert ESCAPED not in str(caught.value)


def test_a_file_of_variables_is_read_as_shells_and_containers_write_it(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    assert read_dotenv(path) == {}
    path.write_text(
        "\ufeff# tokens\n\nA=?sv=1&sig=a%2Bb%3D\n"
        "export B = 'x # y'  # comment\nC=\"$HOME\\n\"\nD=x#y # z\nE=\nA2=1\r\nB2=1\nB2=2\n",
        encoding="utf-8",
    )
    assert read_dotenv(path) == {
        "A": "?sv=1&sig=a%2Bb%3D",
        "B": "x # y",
        "C": "$HOME\\n",
        "D": "x#y",
        "E": "",
        "A2": "1",
        "B2": "2",
    }


def test_a_line_that_is_none_is_named_by_its_number_and_not_shown(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=1\n?sv=1&sig=s3cr3t\n")
    with pytest.raises(ConfigError, match=r"\.env, line 2: this is no `NAME=value`") as caught:
        read_dotenv(tmp_path / ".env")
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r'{"Src":"https://a.org/b?sv=1&sig=xyz"}', r'{"Src":"https://a.org/b?REDACTED"}'),
        (r'"{\"Src\":\"https://a.org/b?sv=1\u0026sig=xyz\",\"n\":1}"', r'"{\"Src\":\"https://a.org/b?REDACTED\",\"n\":1}"'),
        (r"sv=1\u0026sig=xyz%3D\u0026se=2030", r"sv=1\u0026sig=REDACTED\u0026se=2030"),
        (r"sig\u003dxyz", r"sig\u003dREDACTED"),
        ("https%3A%2F%2Fa.org%2Fb%3Fsig%3Dxyz", "https%3A%2F%2Fa.org%2Fb%3Fsig%3DREDACTED"),
        ("sv%3D1%26sig%3Dxyz%2526", "sv%3D1%26sig%3DREDACTED"),
        ("--source-sas ?sv=1&sig=xyz", "--source-sas ?sv=1&sig=REDACTED"),
        ("the design= of assig=ned", "the design= of assig=ned"),
    ],
)
def test_signatures_are_blanked_in_json_and_percent_encoded_too(text: str, expected: str) -> None:
    assert redact(text) == expected


def test_a_signature_of_the_emulators_formula_passes() -> None:
    made = Tokens({HOST: "KEY"}, {"KEY": container_sas("sa1b")})
    assert made.sign(URL).url.startswith(f"{URL}?sv=")
