"""Reading files that nobody vouches for: bounded decompression and strict JSON, every complaint with its place.

A vocabulary file is untrusted input. Here its size is bounded before memory is taken, a truncated ``.gz`` or ``.xz`` is
noticed, JSON may not nest without end nor say the same key twice, and a value of the wrong type is reported as
``file: model.vocab: …``. What the values mean is for the format modules beside this one.
"""

from __future__ import annotations

import json
import lzma
import os
import stat
import zlib
from pathlib import Path
from typing import Any

from bbpe.errors import FormatError

MAX_FILE_BYTES = 512 << 20  # after decompression; the largest published tokenizer.json is about 35 MB

_GZIP_MAGIC = b"\x1f\x8b"
_XZ_MAGIC = b"\xfd7zXZ\x00"
_BLOCK = 1 << 20


def read_bytes(path: Path, limit: int = MAX_FILE_BYTES) -> bytes:
    """The contents of a file, decompressed when it is gzip or xz (told by its first bytes, not by its name).

    Raises:
        FormatError: The file is missing, unreadable, not a regular file, truncated, damaged, or larger than ``limit``.
    """
    try:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise FormatError(f"{path}: not a regular file")
            if status.st_size > limit:
                raise FormatError(f"{path}: {status.st_size:,} bytes; a vocabulary file has at most {limit:,}")
            data = file.read(limit + 1)
    except FileNotFoundError:
        raise FormatError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise FormatError(f"{path}: is a directory; expected a file") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise FormatError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if data.startswith(_GZIP_MAGIC):
        return _gunzip(data, limit, path)
    if data.startswith(_XZ_MAGIC):
        return _unxz(data, limit, path)
    return data


def is_compressed(path: Path) -> bool:
    """Whether a file begins as gzip or xz does; false where it cannot be opened."""
    try:
        with open(path, "rb") as file:
            return file.read(len(_XZ_MAGIC)).startswith((_GZIP_MAGIC, _XZ_MAGIC))
    except (OSError, ValueError):
        return False


def _gunzip(data: bytes, limit: int, path: Path) -> bytes:
    """All gzip members of ``data``; zlib directly, so that the output is bounded while it grows."""
    pieces: list[bytes] = []
    size = 0
    try:
        while data:
            member = zlib.decompressobj(wbits=31)
            while not member.eof:
                piece = member.decompress(data, _BLOCK)
                data = member.unconsumed_tail
                size += len(piece)
                if size > limit:
                    raise FormatError(f"{path}: more than {limit:,} bytes when decompressed")
                pieces.append(piece)
                if not piece and not data and not member.eof:
                    raise FormatError(f"{path}: truncated gzip data")
            data = member.unused_data
    except zlib.error as error:
        raise FormatError(f"{path}: damaged gzip data ({error})") from None
    return b"".join(pieces)


def _unxz(data: bytes, limit: int, path: Path) -> bytes:
    """All xz streams of ``data``, with the memory of the decoder bounded too."""
    pieces: list[bytes] = []
    size = 0
    try:
        while data:
            stream = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=256 << 20)
            while not stream.eof:
                if stream.needs_input and not data:
                    raise FormatError(f"{path}: truncated xz data")
                piece = stream.decompress(data, _BLOCK)
                data = b""
                size += len(piece)
                if size > limit:
                    raise FormatError(f"{path}: more than {limit:,} bytes when decompressed")
                pieces.append(piece)
            data = stream.unused_data.lstrip(b"\x00")  # stream padding
    except lzma.LZMAError as error:
        raise FormatError(f"{path}: damaged xz data ({error})") from None
    return b"".join(pieces)


def decode_utf8(data: bytes, path: Path) -> str:
    """The text of a file that has to be UTF-8.

    Raises:
        FormatError: It is not, with the offset of the first bad byte.
    """
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FormatError(f"{path}: byte {error.start:,} is not UTF-8") from None


def _object_without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen = set()
        for key, _ in pairs:
            if key in seen:
                raise FormatError(f"key {key[:80]!r} stands twice in one object")
            seen.add(key)
    return result


def _no_constant(text: str) -> None:
    raise FormatError(f"{text} is not JSON")


def parse_json(data: bytes, path: Path) -> Any:
    """The value of a JSON file.

    Raises:
        FormatError: Not UTF-8, not JSON (with line and column), nested too deeply, or an object with a key twice.
    """
    text = decode_utf8(data, path)
    try:
        return json.loads(text, object_pairs_hook=_object_without_duplicates, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise FormatError(f"{path}:{error.lineno}:{error.colno}: not JSON: {error.msg}") from None
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from None
    except RecursionError:
        raise FormatError(f"{path}: JSON nested too deeply") from None
    except ValueError as error:  # a number of more digits than Python converts
        raise FormatError(f"{path}: not JSON: {error}") from None


_TYPE_NAMES = {dict: "an object", list: "a list", str: "a string", int: "an integer", bool: "true or false"}


def shortened(message: object) -> str:
    """A message that quotes a file's contents, in one line of bounded length.

    >>> shortened("x" * 1000).count("x") < 500
    True
    """
    text = " ".join(str(message).splitlines())
    return text if len(text) <= 400 else f"{text[:200]} … {text[-190:]}"


def expect(value: Any, kind: type, place: str) -> Any:
    """``value``, once it is exactly of type ``kind`` (true is no integer here).

    Raises:
        FormatError: It is not; the message begins with ``place`` (file and key).
    """
    if type(value) is not kind:
        shown = "null" if value is None else _TYPE_NAMES.get(type(value), type(value).__name__)
        raise FormatError(f"{place}: {shown}; expected {_TYPE_NAMES[kind]}")
    return value


def member(container: dict[str, Any], key: str, kind: type, place: str) -> Any:
    """``container[key]``, which has to be there and of type ``kind``.

    Raises:
        FormatError: It is missing or of another type.
    """
    if key not in container:
        raise FormatError(f"{place}: {key!r} is missing")
    return expect(container[key], kind, f"{place}.{key}")
