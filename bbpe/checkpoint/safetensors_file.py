"""The safetensors format, as far as rewriting a checkpoint needs it: its header, read and written; tensors as bytes.

A file is eight bytes (the header's length, little-endian), the header (JSON: tensor name → dtype, shape, two offsets
into the data; and ``__metadata__``), and the data of the tensors without gaps. That is all of the format.

Why not the safetensors package: it writes only tensors that all lie in memory at once, and it gives bfloat16 to numpy
only with another package. Here a tensor that does not change goes from file to file in blocks, whatever its dtype. The
package reads in the tests what is written here.

The header of a file is untrusted: all of it is checked before anything is read or allocated by what it says.
"""

from __future__ import annotations

import contextlib
import json
import math
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from bbpe.errors import FormatError
from bbpe.formats.files import expect, member, parse_json, shortened

MAX_HEADER_BYTES = 100_000_000  # the safetensors package's own limit
BLOCK_BYTES = 4 << 20
# Bits of an element. Two of F4 share a byte, so that whole tensors are counted in bits.
DTYPE_BITS: Mapping[str, int] = {
    "BOOL": 8, "U8": 8, "I8": 8, "U16": 16, "I16": 16, "U32": 32, "I32": 32, "U64": 64, "I64": 64,
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "F16": 16, "BF16": 16, "F32": 32, "F64": 64, "C64": 64,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor's place in a file.

    Attributes:
        name: Its name.
        dtype: As the format spells it: ``"BF16"``, ``"F32"``, ….
        shape: Rows first.
        start: Offset in the file, in bytes.
        size: Bytes.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    size: int


@dataclass(frozen=True, slots=True)
class TensorFile:
    """What the header of a file says: its tensors in the order of their data, and its metadata."""

    path: Path
    tensors: tuple[Tensor, ...]
    metadata: Mapping[str, str]


def tensor_bytes(dtype: str, shape: Sequence[int]) -> int | None:
    """The size of a tensor's data; None where it would end within a byte."""
    bits = DTYPE_BITS[dtype] * math.prod(shape)
    return None if bits % 8 else bits // 8


def read_header(path: Path) -> TensorFile:
    """The tensors of a file, once header and file size agree on all of them.

    Raises:
        FormatError: The file is missing, truncated, longer than its header says, or the header is damaged: no JSON,
            a name twice, an unknown dtype, offsets that overlap, leave gaps or contradict the shape.
    """
    try:
        with open(path, "rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > size - 8:
                raise FormatError(
                    f"{path}: truncated, or no safetensors file: its header would take {length:,} bytes, but the file "
                    f"has {size:,}"
                )
            if length > MAX_HEADER_BYTES:
                raise FormatError(f"{path}: a header of {length:,} bytes; at most {MAX_HEADER_BYTES:,} are read")
            data = file.read(length)
    except FileNotFoundError:
        raise FormatError(f"{path}: no such file") from None
    except OSError as error:
        raise FormatError(f"{path}: cannot be read: {error.strerror or error}") from None
    header = expect(parse_json(data, path), dict, f"{path}: header")
    metadata = expect(header.pop("__metadata__", {}), dict, f"{path}: __metadata__")
    for key, value in metadata.items():
        expect(value, str, f"{path}: __metadata__.{shortened(key)}")
    begin = 8 + length
    tensors = sorted((_tensor(path, name, entry, begin) for name, entry in header.items()), key=_by_place)
    place = begin
    for tensor in tensors:
        if tensor.start != place:
            what = "overlaps the tensor before it" if tensor.start < place else "leaves a gap before it"
            raise FormatError(f"{path}: tensor {shortened(tensor.name)!r} {what}: damaged header")
        place += tensor.size
    if place != size:
        what = "truncated" if place > size else "longer than its tensors"
        raise FormatError(f"{path}: {what}: its header promises {place:,} bytes, the file has {size:,}")
    return TensorFile(path, tuple(tensors), metadata)


def _by_place(tensor: Tensor) -> tuple[int, int]:
    return tensor.start, tensor.size  # an empty tensor stands before the one that begins in the same place


def _tensor(path: Path, name: str, entry: object, begin: int) -> Tensor:
    place = f"{path}: tensor {shortened(name)!r}"
    fields = expect(entry, dict, place)
    dtype = member(fields, "dtype", str, place)
    if dtype not in DTYPE_BITS:
        raise FormatError(f"{place}: unknown dtype {shortened(dtype)!r}")
    shape = tuple(expect(length, int, f"{place}.shape") for length in member(fields, "shape", list, place))
    offsets = [expect(offset, int, f"{place}.data_offsets") for offset in member(fields, "data_offsets", list, place)]
    if any(length < 0 for length in shape):
        raise FormatError(f"{place}: negative shape")
    if len(offsets) != 2 or not 0 <= offsets[0] <= offsets[1]:
        raise FormatError(f"{place}: data_offsets {shortened(offsets)}; expected [begin, end]")
    size = offsets[1] - offsets[0]
    if tensor_bytes(dtype, shape) != size:
        raise FormatError(f"{place}: {dtype} of shape {shortened(list(shape))} does not take {size:,} bytes")
    return Tensor(name, dtype, shape, begin + offsets[0], size)


def write_header(
    file: IO[bytes], tensors: Sequence[tuple[str, str, Sequence[int]]], metadata: Mapping[str, str]
) -> int:
    """Write the beginning of a file whose data will follow in the order of ``tensors``: (name, dtype, shape).

    Returns:
        The bytes written, a multiple of 8.
    """
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    place = 0
    for name, dtype, shape in tensors:
        size = tensor_bytes(dtype, shape)
        assert size is not None  # a shape that was read, or rows added to one of whole bytes
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [place, place + size]}
        place += size
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # so that the data begins aligned
    file.write(len(text).to_bytes(8, "little") + text)
    return 8 + len(text)


def copy_bytes(source: IO[bytes], target: IO[bytes], start: int, size: int, wrote: Callable[[int], None]) -> None:
    """Copy ``size`` bytes from ``start`` on, in blocks; ``wrote`` is told of each.

    Raises:
        FormatError: The file has become shorter since its header was read.
    """
    source.seek(start)
    while size:
        block = source.read(min(size, BLOCK_BYTES))
        if not block:
            raise FormatError(f"{getattr(source, 'name', 'file')}: became shorter while it was read")
        target.write(block)
        size -= len(block)
        wrote(len(block))


# --- data ---


class StoredRows:
    """A tensor's rows, read from its file when they are asked for: an array as far as an embedding plan needs one.

    A memory map would do too, but the pages that it touches count as memory of the process until it ends.
    """

    __slots__ = ("_file", "_row_bytes", "_start", "dtype", "shape")

    def __init__(self, file: IO[bytes], tensor: Tensor, dtype: np.dtype[Any]) -> None:
        self._file = file
        self._start = tensor.start
        self._row_bytes = tensor.size // tensor.shape[0]
        self.dtype = dtype
        self.shape = tensor.shape

    def __getitem__(self, rows: slice | list[int], /) -> npt.NDArray[Any]:
        """The rows of a slice without a step, or of a list of ids."""
        if isinstance(rows, slice):
            first, stop, _ = rows.indices(self.shape[0])
            result = np.empty((stop - first, *self.shape[1:]), dtype=self.dtype)
            self._read(first, result)
            return result
        result = np.empty((len(rows), *self.shape[1:]), dtype=self.dtype)
        for place, row in enumerate(rows):
            self._read(row, result[place : place + 1])
        return result

    def _read(self, row: int, out: npt.NDArray[Any]) -> None:
        self._file.seek(self._start + row * self._row_bytes)
        data = self._file.read(out.nbytes)
        if len(data) != out.nbytes:
            raise FormatError(f"{getattr(self._file, 'name', 'file')}: became shorter while it was read")
        out[...] = np.frombuffer(data, dtype=self.dtype).reshape(out.shape)


@contextlib.contextmanager
def open_to_read(path: Path) -> Iterator[IO[bytes]]:
    """A file of the model, open; when it cannot be, the complaint names it and not what is being written.

    Raises:
        FormatError: It cannot be opened.
    """
    try:
        file = open(path, "rb")  # noqa: SIM115
    except OSError as error:
        raise FormatError(f"{path}: cannot be read: {error.strerror or error}") from None
    with file:
        yield file


def copy_file(source: Path, target: Path) -> None:
    """Copy a file's contents, in blocks; folders on the way to ``target`` are made."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with open_to_read(source) as reader, open(target, "wb") as writer:
        shutil.copyfileobj(reader, writer, 1 << 20)
