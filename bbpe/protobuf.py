"""The wire format of protobuf messages, as far as SentencePiece's files use it: fields out of bytes, and back.

What a field number means is for whoever reads the message (``formats/sentencepiece_model.py``, ``engines.py``). Every
length is checked against the bytes at hand before anything is taken, so that a hostile file costs no more than its size.
Source: the encoding chapter of the Protocol Buffers documentation.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_MAX_FIELD = (1 << 29) - 1


class WireError(ValueError):
    """Bytes that are no protobuf message; the message says at which offset."""


def varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """The variable-length integer at ``at``, and where it ends.

    Raises:
        WireError: It runs over ``end``, or over 64 bits.

    >>> varint(bytes([0xAC, 0x02]), 0, 2)
    (300, 2)
    """
    value = shift = 0
    for place in range(at, min(end, at + 10)):
        byte = data[place]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >> 64:
                raise WireError(f"offset {at}: an integer of more than 64 bits")
            return value, place + 1
        shift += 7
    raise WireError(f"offset {at}: an integer that does not end")


def fields(data: bytes, begin: int = 0, end: int | None = None) -> Iterator[tuple[int, int, int, int]]:
    """The fields of a message, in the order of the file.

    Yields:
        ``(number, wire type, begin, end)`` of each value: for ``BYTES`` the place of the contents, for the fixed sizes
        that of the bytes, for ``VARINT`` the value itself and the offset after it.

    Raises:
        WireError: Not a message: a length that runs over the end, a wire type that does not exist.
    """
    stop = len(data) if end is None else end
    at = begin
    while at < stop:
        key, value = varint(data, at, stop)
        number, wire = key >> 3, key & 7
        if not 1 <= number <= _MAX_FIELD:
            raise WireError(f"offset {at}: field number {number}")
        if wire == VARINT:
            found, after = varint(data, value, stop)
            yield number, wire, found, after
        elif wire == BYTES:
            length, value = varint(data, value, stop)
            after = value + length
            if after > stop:
                raise WireError(f"offset {at}: {length:,} bytes announced, {stop - value:,} left")
            yield number, wire, value, after
        elif wire in (FIXED32, FIXED64):
            after = value + (4 if wire == FIXED32 else 8)
            if after > stop:
                raise WireError(f"offset {at}: a number is cut off")
            yield number, wire, value, after
        else:
            raise WireError(f"offset {at}: wire type {wire} does not exist here")
        at = after


def write_varint(value: int) -> bytes:
    """A variable-length integer; negative ones as 64 bits, as protobuf writes them.

    >>> write_varint(300).hex()
    'ac02'
    """
    value &= (1 << 64) - 1
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


def write_integer(number: int, value: int) -> bytes:
    """A field that holds an integer, a truth value or an enumeration."""
    return write_varint(number << 3 | VARINT) + write_varint(value)


def write_float(number: int, value: float) -> bytes:
    """A field that holds a 32-bit floating-point number."""
    return write_varint(number << 3 | FIXED32) + struct.pack("<f", value)


def write_bytes(number: int, value: bytes) -> bytes:
    """A field that holds bytes, text or a message."""
    return write_varint(number << 3 | BYTES) + write_varint(len(value)) + value
