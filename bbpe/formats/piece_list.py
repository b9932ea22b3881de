"""Read a list of pieces without scores, one in base64 a line, its number is its id: Baichuan 2's, from MNN.

Such a list is what is left of a SentencePiece model when its scores are gone, and in a BPE the scores are the order of
the merges: nobody can encode with it. It can be looked at (which pieces, how long, of which script), and ids that
somebody else made can be decoded. ``▁`` is already a space in it.
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from pathlib import Path

from bbpe.engines import EngineModel
from bbpe.errors import FormatError
from bbpe.formats.files import read_bytes
from bbpe.formats.sidecar import special_tokens_from_caller
from bbpe.patterns import Pattern

_MAX_PIECE_BYTES = 4096
REASON = "the list has no scores, and these are the order in which a SentencePiece BPE merges"


def read(path: Path, *, pattern: Pattern | None = None, special_tokens: Mapping[str, int] | None = None) -> EngineModel:
    """Read a list.

    Args:
        path: The file; ``.gz`` and ``.xz`` are read too.
        pattern: Must be None: there is none.
        special_tokens: ``{content: id}`` of its special pieces, which the list does not tell.

    Raises:
        FormatError: A damaged line (with its number), or a piece that stands there twice.
    """
    if pattern is not None:
        raise FormatError(f"{path}: a list of pieces has no pattern; leave pattern out")
    first: dict[bytes, int] = {}
    lines = read_bytes(path).split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    for id, line in enumerate(lines):
        encoded = line.removesuffix(b"\r")
        try:
            piece = binascii.a2b_base64(encoded)
        except binascii.Error as error:
            raise FormatError(f"{path}:{id + 1}: {encoded[:60]!r} is not base64: {error}") from None
        if binascii.b2a_base64(piece, newline=False) != encoded or not 0 < len(piece) <= _MAX_PIECE_BYTES:
            raise FormatError(f"{path}:{id + 1}: {encoded[:60]!r}; expected one piece in base64")
        if first.setdefault(piece, id) != id:
            raise FormatError(f"{path}:{id + 1}: {piece[:60]!r} stands there twice, first in line {first[piece] + 1}")
    if not first:
        raise FormatError(f"{path}: no pieces")
    byte_pieces = {b"<0x%02X>" % byte: bytes([byte]) for byte in range(256)}
    fallback = first.keys() >= byte_pieces.keys()
    special = special_tokens_from_caller(special_tokens or {})
    for token in special:
        if first.get(token.content.encode("utf-8", "replace")) != token.id:
            raise FormatError(f"{path}: {token.content!r} is not in line {token.id + 1}")
    return EngineModel(
        engine="none",
        algorithm="unknown",
        data=b"",
        pieces={id: piece.decode("utf-8", "backslashreplace") for piece, id in first.items()},
        tokens={id: byte_pieces[piece] if fallback and piece in byte_pieces else piece for piece, id in first.items()},
        special_tokens=special,
        unknown_id=first.get(b"<unk>"),
        byte_fallback=fallback,
        reason=REASON,
    )
