"""Read SentencePiece's ``.model``: pieces with scores, BPE or Unigram, with or without byte fallback.

The file is a protobuf (``sentencepiece_model.proto``). It is untrusted input, and the library that encodes with it is
native code: everything that its loader or its loops rely on is checked here before it sees a byte. That is: lengths,
types, text that is UTF-8 and stands once, one unknown piece, 256 byte pieces or none, finite scores, and the
normalizer's table, a double-array trie whose every step has to stay inside the table (the library walks it unchecked).
``self_test_data`` is not handed over. A ``trainer_spec`` and a ``normalizer_spec`` have to be there, as every trainer
writes them after the pieces: without them a truncated file would be another tokenizer in silence.

The file names beginning and end of text, but not whether a model puts them around a text; so the template is empty
here, and the catalogue or the caller says it.

Source: ``src/sentencepiece_model.proto``, ``src/model_interface.cc`` and ``src/normalizer.cc`` in google/sentencepiece;
the trie is that of darts-clone.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from bbpe import protobuf
from bbpe.engines import Algorithm, EngineModel
from bbpe.errors import FormatError
from bbpe.formats.charsmap import check_charsmap
from bbpe.formats.files import read_bytes
from bbpe.patterns import Pattern
from bbpe.protobuf import BYTES, FIXED32, VARINT, WireError
from bbpe.vocabulary import SpecialToken

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
UNIGRAM, BPE = 1, 2
SPACE = "\u2581"  # how a piece spells a space

_MAX_PIECES = 1 << 22
MAX_PIECE_BYTES = 4096  # trainers stop at 512; unused pieces are taken apart recursively
_MAX_SCORE = 1e15  # a sum over any text stays finite


class Piece(NamedTuple):
    """One entry: its spelling, its score (BPE: higher merges first), and what it is (``NORMAL`` … ``BYTE``)."""

    text: str
    score: float
    kind: int = NORMAL


@dataclass(frozen=True, slots=True)
class PieceModel:
    """What a ``.model`` says.

    Attributes:
        pieces: By id.
        model_type: ``UNIGRAM`` or ``BPE``.
        byte_fallback: Whether what no piece covers is spelled in bytes.
        trainer: The serialized ``trainer_spec``.
        normalizer: The serialized ``normalizer_spec``.
        denormalizer: The serialized ``denormalizer_spec``, or None.
        add_dummy_prefix: Whether a space is put before a text.
        normalization: The normalizer's name, for people.
    """

    pieces: tuple[Piece, ...]
    model_type: int
    byte_fallback: bool
    trainer: bytes
    normalizer: bytes
    denormalizer: bytes | None = None
    add_dummy_prefix: bool = True
    normalization: str = ""

    def serialized(self) -> bytes:
        """The file, without what no encoder reads."""
        parts = [
            protobuf.write_bytes(
                1,
                protobuf.write_bytes(1, piece.text.encode())
                + protobuf.write_float(2, piece.score)
                + (protobuf.write_integer(3, piece.kind) if piece.kind != NORMAL else b""),
            )
            for piece in self.pieces
        ]
        parts.append(protobuf.write_bytes(2, self.trainer))
        parts.append(protobuf.write_bytes(3, self.normalizer))
        if self.denormalizer is not None:
            parts.append(protobuf.write_bytes(5, self.denormalizer))
        return b"".join(parts)


def piece_model(
    pieces: Sequence[Piece],
    *,
    model_type: int,
    byte_fallback: bool,
    add_dummy_prefix: bool = True,
    remove_extra_whitespaces: bool = False,
    charsmap: bytes = b"",
    normalization: str = "identity",
) -> PieceModel:
    """A model from its parts, for whoever has them from another file (GGUF)."""
    trainer = protobuf.write_integer(3, model_type) + protobuf.write_integer(35, byte_fallback)
    normalizer = b"".join(
        (
            protobuf.write_bytes(1, normalization.encode()),
            protobuf.write_bytes(2, charsmap),
            protobuf.write_integer(3, add_dummy_prefix),
            protobuf.write_integer(4, remove_extra_whitespaces),
            protobuf.write_integer(5, True),
        )
    )
    return PieceModel(
        tuple(pieces), model_type, byte_fallback, trainer, normalizer, None, add_dummy_prefix, normalization
    )


def read(path: Path, *, pattern: Pattern | None = None, special_tokens: Mapping[str, int] | None = None) -> EngineModel:
    """Read a model.

    Args:
        path: The file; ``.gz`` and ``.xz`` are read too.
        pattern: Must be None: SentencePiece cuts by its own rules.
        special_tokens: ``{content: id}`` of pieces that are special beside those that the file calls control or
            unknown; they are control pieces then, which no text is encoded to.

    Raises:
        FormatError: The file is damaged, contradicts itself, or is of a kind that is not compared here (word, char).
    """
    if pattern is not None:
        raise FormatError(f"{path}: a SentencePiece model has no pattern; leave pattern out")
    return engine_model(with_special(parse(read_bytes(path), path), special_tokens or {}, path), path)


def looks_like(content: bytes) -> bool:
    """Whether a file begins as a model does: with a message that holds a text and a score."""
    try:
        number, wire, begin, end = next(protobuf.fields(content[: 1 << 16]))
        if (number, wire) != (1, BYTES):
            return False
        inner = {(number, wire) for number, wire, _, _ in protobuf.fields(content, begin, end)}
    except (WireError, StopIteration):
        return False
    return (1, BYTES) in inner and inner <= {(1, BYTES), (2, FIXED32), (3, VARINT)}


# --- the message ---


def parse(content: bytes, path: Path) -> PieceModel:
    """The parts of a model, each checked.

    Raises:
        FormatError: It is no such file, or damaged; the message says where.
    """
    pieces: list[Piece] = []
    specs: dict[int, tuple[int, int]] = {}
    unpack = struct.Struct("<f").unpack_from
    try:
        for number, wire, begin, end in protobuf.fields(content):
            if number == 1 and wire == BYTES:
                if len(pieces) == _MAX_PIECES:
                    raise FormatError(f"{path}: more than {_MAX_PIECES:,} pieces")
                # The layout that sentencepiece writes: text, score, and the kind where it is not the usual one.
                size = content[begin + 1] if end - begin > 1 else 0
                after = begin + 2 + size
                kind = NORMAL if end == after + 5 else content[end - 1] if end == after + 7 else 0
                if (
                    size < 0x80
                    and 1 <= kind <= 6
                    and content[begin] == 0x0A
                    and content[after] == 0x15
                    and (end == after + 5 or content[after + 5] == 0x18)
                ):
                    text = content[begin + 2 : after].decode()
                    pieces.append(Piece(text, unpack(content, after + 1)[0], kind))
                else:
                    pieces.append(_piece(content, begin, end, f"{path}: piece {len(pieces)}"))
            elif number in (2, 3, 4, 5):
                if wire != BYTES:
                    raise FormatError(f"{path}: field {number} is no message")
                if number in specs:
                    raise FormatError(f"{path}: {_SPECS[number]} stands there twice")
                specs[number] = (begin, end)
    except WireError as error:
        raise FormatError(f"{path}: no SentencePiece model, or a damaged one: {error}") from None
    except UnicodeDecodeError:
        raise FormatError(f"{path}: piece {len(pieces)} is not UTF-8") from None
    for number in (2, 3):
        if number not in specs:
            raise FormatError(f"{path}: no {_SPECS[number]}; the file is truncated, or no SentencePiece model")
    if not pieces:
        raise FormatError(f"{path}: no pieces")
    trainer = _values(content, *specs[2], _TRAINER, f"{path}: trainer_spec")
    normalizer = _values(content, *specs[3], _NORMALIZER, f"{path}: normalizer_spec")
    check_charsmap(normalizer["precompiled_charsmap"], f"{path}: normalizer_spec.precompiled_charsmap")
    if 5 in specs:
        denormalizer = _values(content, *specs[5], _NORMALIZER, f"{path}: denormalizer_spec")
        check_charsmap(denormalizer["precompiled_charsmap"], f"{path}: denormalizer_spec.precompiled_charsmap")
    model_type = trainer["model_type"]
    if not UNIGRAM <= model_type <= 4:  # 3 and 4: words and characters
        raise FormatError(f"{path}: trainer_spec.model_type {model_type} does not exist")
    model = PieceModel(
        tuple(pieces),
        model_type,
        bool(trainer["byte_fallback"]),
        content[slice(*specs[2])],
        content[slice(*specs[3])],
        content[slice(*specs[5])] if 5 in specs else None,
        bool(normalizer["add_dummy_prefix"]),
        normalizer["name"].decode("utf-8", "replace"),
    )
    _check_pieces(model, path)
    return model


_SPECS = {2: "trainer_spec", 3: "normalizer_spec", 4: "self_test_data", 5: "denormalizer_spec"}
# Field number to name, wire type and default; fields that decide nothing here are passed over.
_TRAINER: Mapping[int, tuple[str, int, Any]] = {
    3: ("model_type", VARINT, UNIGRAM),
    24: ("treat_whitespace_as_suffix", VARINT, 0),
    35: ("byte_fallback", VARINT, 0),
    44: ("unk_surface", BYTES, " \u2047 ".encode()),
}
_NORMALIZER: Mapping[int, tuple[str, int, Any]] = {
    1: ("name", BYTES, b""),
    2: ("precompiled_charsmap", BYTES, b""),
    3: ("add_dummy_prefix", VARINT, 1),
    4: ("remove_extra_whitespaces", VARINT, 1),
    5: ("escape_whitespaces", VARINT, 1),
}


def _piece(content: bytes, begin: int, end: int, place: str) -> Piece:
    """A piece in another layout than the usual one."""
    text: bytes | None = None
    score: float | None = None
    kind: int | None = None
    for number, wire, value, after in protobuf.fields(content, begin, end):
        if number > 3:
            continue
        if (number, wire) == (1, BYTES) and text is None:
            text = content[value:after]
        elif (number, wire) == (2, FIXED32) and score is None:
            (score,) = struct.unpack_from("<f", content, value)
        elif (number, wire) == (3, VARINT) and kind is None:
            kind = value
        else:
            raise FormatError(f"{place}: field {number} stands there twice or is of another type")
    if not text:
        raise FormatError(f"{place}: has no text")
    if kind is not None and not NORMAL <= kind <= BYTE:
        raise FormatError(f"{place}: type {kind} does not exist")
    return Piece(text.decode(), 0.0 if score is None else score, NORMAL if kind is None else kind)


def _values(
    content: bytes, begin: int, end: int, known: Mapping[int, tuple[str, int, Any]], place: str
) -> dict[str, Any]:
    """The fields of a message that decide something, with the format's defaults."""
    values = {name: default for name, _, default in known.values()}
    seen = set()
    try:
        for number, wire, value, after in protobuf.fields(content, begin, end):
            if number not in known:
                continue
            name, expected, _ = known[number]
            if wire != expected or number in seen:
                raise FormatError(f"{place}.{name}: stands there twice or is of another type")
            seen.add(number)
            values[name] = value if wire == VARINT else content[value:after]
    except WireError as error:
        raise FormatError(f"{place}: damaged: {error}") from None
    for name, value in values.items():
        if name == "unk_surface":
            try:
                value.decode()
            except UnicodeDecodeError:
                raise FormatError(f"{place}.{name}: not UTF-8") from None
            if len(value) > MAX_PIECE_BYTES:
                raise FormatError(f"{place}.{name}: {len(value):,} bytes")
    return values


def _check_pieces(model: PieceModel, path: Path) -> None:
    """What the library's constructor relies on, each with the id of the piece."""
    seen: tuple[dict[str, int], dict[str, int]] = {}, {}  # of text; of control, unknown and byte pieces
    unknown: int | None = None
    for id, (text, score, kind) in enumerate(model.pieces):
        if not text or len(text) > MAX_PIECE_BYTES or len(text.encode()) > MAX_PIECE_BYTES:
            raise FormatError(f"{path}: piece {id}: {text[:40]!r} has {len(text.encode()):,} bytes")
        if "\0" in text and (kind == USER_DEFINED or model.model_type == UNIGRAM):  # tries of strings that a NUL ends
            raise FormatError(f"{path}: piece {id}: {text[:40]!r} holds a NUL")
        if not math.isfinite(score) or abs(score) > _MAX_SCORE:
            raise FormatError(f"{path}: piece {id} ({text[:40]!r}): score {score} is no score")
        space = seen[kind in (UNKNOWN, CONTROL, BYTE)]
        if text in space:
            raise FormatError(f"{path}: pieces {space[text]} and {id} are both {text[:40]!r}")
        space[text] = id
        if kind == UNKNOWN:
            if unknown is not None:
                raise FormatError(f"{path}: pieces {unknown} and {id} are both the unknown piece")
            unknown = id
        elif kind == BYTE:
            if not model.byte_fallback:
                raise FormatError(f"{path}: piece {id} is a byte, but trainer_spec says that there is no byte fallback")
            if _byte_of(text) is None:
                raise FormatError(f"{path}: piece {id}: {text[:40]!r} names no byte; expected <0x00> to <0xFF>")
    if unknown is None:
        raise FormatError(f"{path}: no piece is the unknown one")
    if model.byte_fallback and sum(piece.kind == BYTE for piece in model.pieces) != 256:
        raise FormatError(f"{path}: byte fallback needs all 256 byte pieces")


def _byte_of(text: str) -> int | None:
    """The byte that ``<0x0A>`` names."""
    if len(text) != 6 or not text.startswith("<0x") or text[5] != ">" or not set(text[3:5]) <= set("0123456789ABCDEF"):
        return None
    return int(text[3:5], 16)


# --- what becomes of it ---


def with_special(model: PieceModel, special_tokens: Mapping[str, int], path: Path) -> PieceModel:
    """The model with more control pieces: no text is encoded to them.

    Raises:
        FormatError: An id is not a piece of that text.
    """
    if not special_tokens:
        return model
    pieces = list(model.pieces)
    for content, id in special_tokens.items():
        if not 0 <= id < len(pieces) or pieces[id].text != content:
            raise FormatError(f"{path}: {content!r} is not piece {id}")
        if pieces[id].kind in (NORMAL, USER_DEFINED, UNUSED):
            pieces[id] = pieces[id]._replace(kind=CONTROL)
    changed = PieceModel(
        tuple(pieces),
        model.model_type,
        model.byte_fallback,
        model.trainer,
        model.normalizer,
        model.denormalizer,
        model.add_dummy_prefix,
        model.normalization,
    )
    _check_pieces(changed, path)
    return changed


def engine_model(model: PieceModel, path: Path) -> EngineModel:
    """The model as what ``EngineTokenizer`` takes.

    Raises:
        FormatError: It is neither BPE nor Unigram.
    """
    algorithm: Algorithm = "bpe" if model.model_type == BPE else "unigram"
    if model.model_type not in (BPE, UNIGRAM):
        raise FormatError(f"{path}: a SentencePiece model of words or characters; bbpe reads BPE and Unigram")
    tokens: dict[int, bytes] = {}
    special: list[SpecialToken] = []
    unknown = None
    for id, (text, _, kind) in enumerate(model.pieces):
        if kind == BYTE:
            tokens[id] = bytes([int(text[3:5], 16)])
        elif kind in (CONTROL, UNKNOWN):
            tokens[id] = text.encode()
            special.append(SpecialToken(text, id))
            unknown = id if kind == UNKNOWN else unknown
        else:
            tokens[id] = text.replace(SPACE, " ").encode()
    return EngineModel(
        engine="sentencepiece",
        algorithm=algorithm,
        data=model.serialized(),
        pieces={id: piece.text for id, piece in enumerate(model.pieces)},
        tokens=tokens,
        special_tokens=tuple(special),
        unknown_id=unknown,
        byte_fallback=model.byte_fallback,
        reason=f"SentencePiece's {'BPE' if algorithm == 'bpe' else 'Unigram'} works on characters, not on bytes",
    )
