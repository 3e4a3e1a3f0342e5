"""The numbers and texts of a pickle, read from its bytes as each opcode writes them; never more than the file holds."""

from __future__ import annotations

import re
from typing import NoReturn

from regioncache.errors import AnnotationError

_MAX_INTEGER_BYTES = 16  # ids and coordinates; longer ones are slow to print
_ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|(.)|$)", re.DOTALL)
_ESCAPED = {b"\\": b"\\", b"'": b"'", b'"': b'"', b"n": b"\n", b"r": b"\r", b"t": b"\t"}  # all that Python 2's repr makes


class PickleValues:
    """A place in the bytes of a pickle, and the values that follow it.

    Args:
        name: what to call the file in errors.
        data: the whole file.
    """

    def __init__(self, name: str, data: bytes) -> None:
        self.name = name
        self.data = data
        self.at = 0
        self.opcode_at = 0

    def fail(self, problem: str) -> NoReturn:
        """Refuse the file for what its current opcode does.

        Raises:
            AnnotationError: always.
        """
        raise AnnotationError(
            self.name,
            f"not a readable pickle: at byte {self.opcode_at} it {problem}",
            remedy="Fetch the file again, or compare its size and checksum with the publisher's",
        )

    def take(self, size: int) -> bytes:
        """The next bytes."""
        taken = self.data[self.at : self.at + size]
        if len(taken) != size:
            self.fail(f"declares {size} bytes where {len(taken)} are left")
        self.at += size
        return taken

    def unsigned(self, width: int) -> int:
        """A little-endian number of ``width`` bytes."""
        return int.from_bytes(self.take(width), "little")

    def counted(self, width: int) -> bytes:
        """As many bytes as a number of ``width`` bytes says."""
        return self.take(self.unsigned(width))

    def line(self) -> bytes:
        """What stands before the next line feed."""
        end = self.data.find(b"\n", self.at)
        if end < 0:
            self.fail("ends within a line")
        line = self.data[self.at : end]
        self.at = end + 1
        return line

    def decimal(self, digits: bytes) -> int:
        """An integer in decimal digits."""
        try:
            value = int(digits)
        except ValueError:
            self.fail("holds an integer that is none")
        if value.bit_length() >= 8 * _MAX_INTEGER_BYTES:
            self.fail(f"holds an integer of more than {_MAX_INTEGER_BYTES} bytes")
        return value

    def integer_or_bool(self) -> int | bool:
        """A line of the INT opcode, where 00 and 01 are the truth values."""
        line = self.line()
        return line == b"01" if line in {b"00", b"01"} else self.decimal(line)

    def signed(self, digits: bytes) -> int:
        """A little-endian two's complement number."""
        if len(digits) > _MAX_INTEGER_BYTES:
            self.fail(f"holds an integer of more than {_MAX_INTEGER_BYTES} bytes")
        return int.from_bytes(digits, "little", signed=True)

    def decimal_float(self) -> float:
        """A line of the FLOAT opcode."""
        try:
            return float(self.line())
        except ValueError:
            self.fail("holds a number that is none")

    def string(self, value: bytes) -> str:
        """The text of Python 2's byte string: UTF-8, else Latin-1."""
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value.decode("latin-1")

    def quoted_string(self) -> str:
        """A line of the STRING opcode: what Python 2's repr makes of a byte string."""
        quoted = self.line().strip()
        if len(quoted) < 2 or quoted[:1] != quoted[-1:] or quoted[:1] not in {b"'", b'"'}:  # noqa: PLR2004  (two quotes)
            self.fail("holds a string without quotes")
        body = quoted[1:-1]
        return self.string(_ESCAPE.sub(self._unescaped, body) if b"\\" in body else body)

    def _unescaped(self, found: re.Match[bytes]) -> bytes:
        if found[1] is not None:
            return bytes((int(found[1], 16),))
        character = _ESCAPED.get(found[2])
        if character is None:
            self.fail("holds a string with an escape that Python 2 does not write")
        return character

    def text(self, value: bytes) -> str:
        """UTF-8."""
        try:
            return value.decode()
        except UnicodeDecodeError:
            return self._joined(value, "utf-8", "surrogatepass")

    def text_line(self) -> str:
        r"""A line of the UNICODE opcode: Latin-1 with \\u and \\U escapes."""
        return self._joined(self.line(), "raw-unicode-escape", "strict")

    def _joined(self, value: bytes, encoding: str, errors: str) -> str:
        """Text in which a narrow build of Python 2 may have written a character beyond the basic plane as two halves."""
        try:
            return value.decode(encoding, errors).encode("utf-16-le", "surrogatepass").decode("utf-16-le")
        except UnicodeDecodeError:
            self.fail("holds a text that is none")
