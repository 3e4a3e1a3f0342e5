"""Pickles from strangers, read by a machine that knows only the opcodes of plain values.

Python's own unpickler can be told to find no classes, but it still sizes its memo by numbers in the file, takes extensions
from a cache of the process and hashes tuples of any depth. This one has no opcode that looks anything up, calls anything or
sets a state, so that it can make nothing but list, dict, tuple, set, str, bytes, int, float, bool and None. Any other opcode
is an error. What it allocates is bounded by the length of the file.

Opcodes: ``pickletools`` of the standard library, protocols 0 to 5.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, NoReturn

from regioncache.errors import AnnotationError
from regioncache.sources.pickle_values import PickleValues

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_STOP = ord(".")
_KEY_TYPES = frozenset({str, bytes, int, float, bool, type(None)})  # to hash a deep tuple would overflow the C stack


def read_plain_pickle(name: str, data: bytes | memoryview) -> Any:  # noqa: ANN401  (whatever plain value the file holds)
    """The one value of a pickle; what follows its STOP is not looked at.

    The byte strings of Python 2 become text: UTF-8, else Latin-1.

    Args:
        name: what to call the file in errors.
        data: the whole file.

    Raises:
        AnnotationError: an opcode that could make anything but plain values, a value that is not what its opcode needs,
            or a file that ends too early.
    """
    return _Machine(name, bytes(data)).run()


class _Machine(PickleValues):
    """The state of one reading: the values since the last mark, those below each mark, and the memo."""

    def __init__(self, name: str, data: bytes) -> None:
        super().__init__(name, data)
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:  # noqa: ANN401  (see read_plain_pickle)
        data, end = self.data, len(self.data)
        steps = [_STEPS.get(code) for code in range(256)]
        while True:
            at = self.opcode_at = self.at
            if at >= end:
                self.fail("ends before its STOP opcode")
            code = data[at]
            self.at = at + 1
            step = steps[code]
            if step is None:
                if code == _STOP:
                    break
                self.refuse(code)
            try:
                step(self)
            except IndexError:
                self.fail("takes a value that is not there")
        if len(self.stack) != 1 or self.below:
            self.fail("leaves more or less than one value")
        return self.stack[0]

    def refuse(self, code: int) -> NoReturn:
        if code not in _REFUSED:
            self.fail(f"has the byte 0x{code:02x} where an opcode must stand")
        raise AnnotationError(
            self.name,
            f"the pickle asks for more than plain values, at byte {self.opcode_at}",
            expected="lists, dicts, tuples, sets, texts, bytes and numbers",
            found=f"opcode {_REFUSED[code]}",
            remedy="It could run code in a program that trusts it. Fetch the file again from its publisher",
        )

    def push(self, value: Any) -> None:  # noqa: ANN401  (any plain value)
        self.stack.append(value)

    def mark(self) -> None:
        self.below.append(self.stack)
        self.stack = []

    def since_mark(self) -> list[Any]:
        items = self.stack
        self.stack = self.below.pop()
        return items

    def top(self, kind: type) -> Any:  # noqa: ANN401  (a container of the given kind)
        top = self.stack[-1]
        if type(top) is not kind:
            self.fail(f"adds to a {type(top).__name__} as if it were a {kind.__name__}")
        return top

    def keys(self, items: list[Any]) -> list[Any]:
        for item in items:
            if type(item) not in _KEY_TYPES:
                self.fail(f"takes a {type(item).__name__} for a key")
        return items

    def pairs(self, items: list[Any]) -> Iterable[tuple[Any, Any]]:
        if len(items) % 2:
            self.fail("gives a key without its value")
        return zip(self.keys(items[::2]), items[1::2], strict=True)

    def append(self) -> None:
        item = self.stack.pop()
        self.top(list).append(item)

    def appends(self) -> None:
        items = self.since_mark()
        self.top(list).extend(items)

    def set_item(self) -> None:
        items = self.last(2)
        self.top(dict).update(self.pairs(items))

    def set_items(self) -> None:
        items = self.since_mark()
        self.top(dict).update(self.pairs(items))

    def add_items(self) -> None:
        items = self.since_mark()
        self.top(set).update(self.keys(items))

    def last(self, size: int) -> list[Any]:
        items = self.stack[-size:]
        if len(items) < size:
            raise IndexError
        del self.stack[-size:]
        return items

    def put(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    def get(self, index: int) -> None:
        if index not in self.memo:
            self.fail(f"recalls value {index}, which it has not kept")
        self.stack.append(self.memo[index])

    def pop(self) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self.since_mark()

    def pop_mark(self) -> None:
        self.since_mark()

    def skip(self, size: int) -> None:
        self.take(size)


_STEPS: dict[int, Callable[[_Machine], None]] = {
    # constants and numbers
    ord("N"): lambda m: m.push(None),
    0x88: lambda m: m.push(True),
    0x89: lambda m: m.push(False),
    ord("I"): lambda m: m.push(m.integer_or_bool()),
    ord("L"): lambda m: m.push(m.decimal(m.line().removesuffix(b"L"))),
    ord("J"): lambda m: m.push(m.signed(m.take(4))),
    ord("K"): lambda m: m.push(m.unsigned(1)),
    ord("M"): lambda m: m.push(m.unsigned(2)),
    0x8A: lambda m: m.push(m.signed(m.counted(1))),
    0x8B: lambda m: m.push(m.signed(m.counted(4))),
    ord("F"): lambda m: m.push(m.decimal_float()),
    ord("G"): lambda m: m.push(struct.unpack(">d", m.take(8))[0]),
    # texts and bytes
    ord("S"): lambda m: m.push(m.quoted_string()),
    ord("T"): lambda m: m.push(m.string(m.counted(4))),
    ord("U"): lambda m: m.push(m.string(m.counted(1))),
    ord("V"): lambda m: m.push(m.text_line()),
    0x8C: lambda m: m.push(m.text(m.counted(1))),
    ord("X"): lambda m: m.push(m.text(m.counted(4))),
    0x8D: lambda m: m.push(m.text(m.counted(8))),
    ord("C"): lambda m: m.push(m.counted(1)),
    ord("B"): lambda m: m.push(m.counted(4)),
    0x8E: lambda m: m.push(m.counted(8)),
    # containers
    ord("("): _Machine.mark,
    ord("]"): lambda m: m.push([]),
    ord("l"): lambda m: m.push(m.since_mark()),
    ord("a"): _Machine.append,
    ord("e"): _Machine.appends,
    ord("}"): lambda m: m.push({}),
    ord("d"): lambda m: m.push(dict(m.pairs(m.since_mark()))),
    ord("s"): _Machine.set_item,
    ord("u"): _Machine.set_items,
    ord(")"): lambda m: m.push(()),
    ord("t"): lambda m: m.push(tuple(m.since_mark())),
    0x85: lambda m: m.push(tuple(m.last(1))),
    0x86: lambda m: m.push(tuple(m.last(2))),
    0x87: lambda m: m.push(tuple(m.last(3))),
    0x8F: lambda m: m.push(set()),
    0x90: _Machine.add_items,
    # memo, stack and framing
    ord("p"): lambda m: m.put(m.decimal(m.line())),
    ord("q"): lambda m: m.put(m.unsigned(1)),
    ord("r"): lambda m: m.put(m.unsigned(4)),
    0x94: lambda m: m.put(len(m.memo)),
    ord("g"): lambda m: m.get(m.decimal(m.line())),
    ord("h"): lambda m: m.get(m.unsigned(1)),
    ord("j"): lambda m: m.get(m.unsigned(4)),
    ord("0"): _Machine.pop,
    ord("1"): _Machine.pop_mark,
    ord("2"): lambda m: m.push(m.stack[-1]),
    0x80: lambda m: m.skip(1),
    0x95: lambda m: m.skip(8),
}
"""What each opcode does."""

_REFUSED = {
    ord("P"): "PERSID",
    ord("Q"): "BINPERSID",
    ord("R"): "REDUCE",
    ord("b"): "BUILD",
    ord("c"): "GLOBAL",
    ord("i"): "INST",
    ord("o"): "OBJ",
    0x81: "NEWOBJ",
    0x82: "EXT1",
    0x83: "EXT2",
    0x84: "EXT4",
    0x91: "FROZENSET",
    0x92: "NEWOBJ_EX",
    0x93: "STACK_GLOBAL",
    0x96: "BYTEARRAY8",
    0x97: "NEXT_BUFFER",
    0x98: "READONLY_BUFFER",
}
"""The names of those that it does not have."""
