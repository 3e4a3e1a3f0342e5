from __future__ import annotations

import copyreg
import os
import pickle
import pickletools
import struct
from collections import OrderedDict
from datetime import date
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from regioncache.errors import AnnotationError
from regioncache.sources import plain_pickle
from regioncache.sources.plain_pickle import read_plain_pickle

SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**100), 2**100) | st.floats(allow_nan=False) | st.text() | st.binary(max_size=300)
)
KEYS = st.none() | st.booleans() | st.integers() | st.text()
VALUES = st.recursive(
    SCALARS | st.sets(st.text()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner) | st.tuples(inner),
)


def needs_a_class(value: Any, protocol: int) -> bool:
    """Whether Python 3 pickles the value through a function or class, as it must for bytes and sets in old protocols."""
    names = {opcode.name for opcode, _, _ in pickletools.genops(pickle.dumps(value, protocol))}
    return bool(names & {"GLOBAL", "STACK_GLOBAL", "REDUCE"})


@given(VALUES, st.integers(0, 5))
@example([{"sent": "x" * 300, "ids": list(range(3000)), "wide": 10**20}] * 2, 4)
@example(["\U0001f600 caf\u00e9 \\u0041 \n\r\x00", (1, 2, 3), (1, 2, 3, 4), b"x" * 70000], 4)
@example("x" * 70000, 2)
@example({"deep": [[[[]]]], "negative": -1, "long": -(2**40)}, 0)
def test_plain_values_of_every_protocol_are_read_as_python_reads_them(value: Any, protocol: int) -> None:
    data = pickle.dumps(value, protocol)
    if needs_a_class(value, protocol):
        with pytest.raises(AnnotationError, match="GLOBAL"):
            read_plain_pickle("refs.p", data)
    else:
        found = read_plain_pickle("refs.p", data)
        assert found == value
        assert repr(found) == repr(value) or "{" in repr(value)  # bool is not int, whatever == says; sets have no order


def test_a_map_of_the_file_is_read_in_place_of_its_bytes() -> None:
    assert read_plain_pickle("refs.p", memoryview(pickle.dumps([1, "a"]))) == [1, "a"]


@pytest.mark.parametrize("protocol", [0, 1, 2, 4])
def test_values_that_stand_twice_are_one_object(protocol: int) -> None:
    word = ["left"]
    first, second = read_plain_pickle("refs.p", pickle.dumps([word, word], protocol))
    assert first is second


def test_laughs_by_the_billion_stay_references() -> None:
    value: list[Any] = ["ha"]
    for _ in range(60):
        value = [value, value]
    assert len(read_plain_pickle("refs.p", pickle.dumps(value, 2))) == 2


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (rb"'left car'", "left car"),
        (rb'"it\'s"', "it's"),
        (rb"'caf\xc3\xa9'", "caf\u00e9"),  # UTF-8
        (rb"'caf\xe9'", "caf\u00e9"),  # Latin-1
        (rb"'a\n\t\\n\'\r'", "a\n\t\\n'\r"),
        (rb"''", ""),
    ],
)
def test_strings_of_python_2_become_text(line: bytes, text: str) -> None:
    assert read_plain_pickle("refs.p", b"S" + line + b"\n.") == text


def test_byte_strings_of_python_2_become_text_in_binary_protocols_too() -> None:
    assert read_plain_pickle("refs.p", b"\x80\x02U\x05caf\xc3\xa9.") == "caf\u00e9"
    assert read_plain_pickle("refs.p", b"\x80\x02T\x04\x00\x00\x00caf\xe9.") == "caf\u00e9"


def test_a_character_that_a_narrow_build_wrote_as_two_halves_is_one_again() -> None:
    assert read_plain_pickle("refs.p", b"V\\ud83d\\ude00\n.") == "\U0001f600"


class Calls:
    """Its pickle calls what it is given."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.reduced = (function, arguments)

    def __reduce__(self) -> Any:
        return self.reduced


class Holder:
    def __init__(self) -> None:
        self.state = 1


class WithIds(pickle.Pickler):
    def persistent_id(self, obj: Any) -> Any:
        return "somewhere" if obj == "stored elsewhere" else None


def with_persistent_id(protocol: int) -> bytes:
    import io  # noqa: PLC0415  (only here)

    stream = io.BytesIO()
    WithIds(stream, protocol).dump(["stored elsewhere"])
    return stream.getvalue()


def as_extension() -> bytes:
    copyreg.add_extension(Holder.__module__, "Holder", 240)
    try:
        return pickle.dumps(Holder, 2)
    finally:
        copyreg.remove_extension(Holder.__module__, "Holder", 240)


HOSTILE = {
    "os.system, protocol 0": (pickle.dumps(Calls(os.system, "touch /tmp/never"), 0), "GLOBAL"),
    "os.system, protocol 2": (pickle.dumps([1, Calls(os.system, "touch /tmp/never")], 2), "GLOBAL"),
    "os.system, protocol 4": (pickle.dumps(Calls(os.system, "touch /tmp/never"), 4), "STACK_GLOBAL"),
    "eval by name": (b"c__builtin__\neval\n(S'1'\ntR.", "GLOBAL"),
    "eval by INST": (b"(S'1'\ni__builtin__\neval\n.", "INST"),
    "OBJ": (b"(S'os'\nS'system'\no.", "OBJ"),
    "REDUCE without GLOBAL": (b"(lS'1'\nR.", "REDUCE"),
    "BUILD": (b"(dS'x'\nb.", "BUILD"),
    "NEWOBJ": (b"\x80\x02U\x01x)\x81.", "NEWOBJ"),
    "NEWOBJ_EX": (b"\x80\x04\x8c\x01x)}\x92.", "NEWOBJ_EX"),
    "an object": (pickle.dumps(Holder(), 2), "GLOBAL"),
    "a class that is harmless": (pickle.dumps(OrderedDict(a=1), 2), "GLOBAL"),
    "a date": (pickle.dumps(date(2020, 1, 1), 4), "STACK_GLOBAL"),
    "a function of copyreg": (b"ccopyreg\n_reconstructor\n.", "GLOBAL"),
    "persistent id, text": (with_persistent_id(0), "PERSID"),
    "persistent id, binary": (with_persistent_id(2), "BINPERSID"),
    "extension": (as_extension(), "EXT1"),
    "extension, two bytes": (b"\x83\x00\x01.", "EXT2"),
    "extension, four bytes": (b"\x84\x00\x00\x00\x01.", "EXT4"),
    "bytearray": (pickle.dumps(bytearray(b"x"), 5), "BYTEARRAY8"),
    "buffer": (b"\x80\x05\x97.", "NEXT_BUFFER"),
}


@pytest.mark.parametrize(("data", "opcode"), HOSTILE.values(), ids=HOSTILE.keys())
def test_an_opcode_that_could_make_more_than_plain_values_is_an_error_that_names_it(data: bytes, opcode: str) -> None:
    with pytest.raises(AnnotationError, match=r"refcoco/refs\(unc\)\.p.*more than plain values") as caught:
        read_plain_pickle("refcoco/refs(unc).p", data)
    assert caught.value.found == f"opcode {opcode}"


def test_every_opcode_of_the_format_is_either_read_or_refused() -> None:
    codes = {ord(opcode.code): opcode.name for opcode in pickletools.opcodes}
    refused, stop = plain_pickle._REFUSED, ord(".")  # noqa: SLF001  (the table is what is tested)
    assert plain_pickle._STEPS.keys() | refused.keys() | {stop} == codes.keys()  # noqa: SLF001
    assert not plain_pickle._STEPS.keys() & refused.keys()  # noqa: SLF001
    assert all(codes[code] == name for code, name in refused.items())


@pytest.mark.parametrize("protocol", [0, 1, 2, 4])
def test_a_pickle_cut_anywhere_is_an_error(protocol: int) -> None:
    data = pickle.dumps([{"ref_id": 7, "split": "train", "sentences": [{"sent": "left car"}], "x": (1.5, None, 300)}], protocol)
    for end in range(len(data)):
        with pytest.raises(AnnotationError, match="not a readable pickle"):
            read_plain_pickle("refs.p", data[:end])


@given(st.binary(max_size=60))
@example(b"")
def test_random_bytes_give_plain_values_or_an_error(data: bytes) -> None:
    try:
        found = read_plain_pickle("refs.p", b"(" + data + b"l.")
    except AnnotationError:
        return
    assert type(found) in {list, dict, tuple, set, str, bytes, int, float, bool, type(None)}


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"\x8e" + struct.pack("<Q", 2**62) + b"x.", "declares 4611686018427387904 bytes where 2 are left"),
        (b"X" + struct.pack("<I", 2**31) + b"x.", "declares"),
        (b"\x8b" + struct.pack("<I", 2**31 - 1) + b"x.", "declares"),
        (b"I" + b"9" * 5000 + b"\n.", "integer that is none"),
        (b"L" + b"9" * 4000 + b"L\n.", "more than 16 bytes"),
        (b"\x8a\x11" + b"\x01" * 17 + b".", "more than 16 bytes"),
        (b"Fone\n.", "number that is none"),
        (b"Sbare\n.", "without quotes"),
        (b"S'\\d'\n.", "escape"),
        (b"V\\ud83d\n.", "text that is none"),
        (b"\x8c\x01\xff.", "text that is none"),
        (b"h\x05.", "recalls value 5"),
        (b"a.", "not there"),
        (b"e.", "not there"),
        (b"N\x86.", "not there"),
        (b"q\x01.", "not there"),
        (b"NNa.", "adds to a NoneType as if it were a list"),
        (b"](Nu.", "adds to a list as if it were a dict"),
        (b"}(Nu.", "key without its value"),
        (b"}]Ns.", "takes a list for a key"),
        (b"})Ns.", "takes a tuple for a key"),
        (b"\x8f()\x90.", "takes a tuple for a key"),
        (b"NN.", "more or less than one value"),
        (b"(N.", "more or less than one value"),
        (b"<html>", "0x3c where an opcode must stand"),
    ],
)
def test_a_broken_pickle_is_an_error_that_says_what_is_wrong(data: bytes, problem: str) -> None:
    with pytest.raises(AnnotationError, match=problem):
        read_plain_pickle("refs.p", data)


def test_a_memo_place_far_out_and_a_tower_of_tuples_cost_nothing() -> None:
    assert read_plain_pickle("refs.p", b"Nr\xff\xff\xff\xff.") is None
    tower = read_plain_pickle("refs.p", b")" + b"\x85" * 100_000 + b".")
    assert isinstance(tower, tuple)
