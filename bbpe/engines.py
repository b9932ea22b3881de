"""Tokenizers that other libraries run: SentencePiece's BPE and Unigram, WordPiece, and what no pattern of bbpe can say.

bbpe encodes byte-level BPE itself (``tokenizer.py``). Other vocabularies are there to be compared, and each is run by
the library made for it. :class:`EngineModel` is what a file says, checked by its format module before any other library
sees it; :class:`EngineTokenizer` has the surface of ``Tokenizer`` where that makes sense, and says who encodes
(``engine``).

What is the same as in ``Tokenizer``: nothing is put around a text unless it is asked for, and special tokens that stand
in a text are plain text unless they are allowed; text on either side of an allowed one is separate text. The libraries
are given the vocabulary without its special tokens, so that they cannot find them. What cannot be had that way, and
stays as the library has it: pieces that a SentencePiece model calls user-defined are tokens of the text, always found;
and in a tokenizer.json the names of bytes (``<0x0A>``) that a Unigram lists are found in a text that spells them out.

What such a vocabulary may do to a text (lower-case it, drop spaces, write an unknown token) is not told here: a round
trip tells it.
"""

from __future__ import annotations

import codecs
import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from bbpe import protobuf
from bbpe.errors import BbpeError, EncodeError, FormatError, MissingExtraError, shown
from bbpe.threads import thread_count
from bbpe.tokenizer import (
    _SURROGATE,
    Allowed,
    IdArray,
    _repaired,
    _require_str,
    _special_search,
    _surrogate_error,
    _text_list,
    allowed_set,
    id_array,
    id_list,
    integer_id,
)
from bbpe.vocabulary import SpecialToken, Template

UNREACHABLE = "\U0010ffff"
"""Ends the spelling of an entry that a library has to be told, but must not find in a text (``formats/pipeline.py``)."""

_BYTE_PIECE = re.compile("<0x[0-9A-F]{2}>")

Engine = Literal["sentencepiece", "tokenizers", "none"]
Algorithm = Literal["bpe", "unigram", "wordpiece", "byte-level bpe", "unknown"]


@dataclass(frozen=True, slots=True)
class EngineModel:
    """What a file says about a tokenizer that bbpe does not run itself.

    Attributes:
        engine: Who encodes. ``"none"``: the file lacks what encoding needs; it can be looked at, not used.
        algorithm: What the library does.
        data: What it is built from: a serialized model for sentencepiece, a tokenizer.json for tokenizers; without
            special tokens and post-processor, which are the other fields here.
        pieces: Id to the spelling in the file, of every entry, special ones included.
        tokens: Id to the bytes that the token stands for in a text (``▁中`` is a space and 中).
        special_tokens: Tokens that are found in a text only where they are allowed.
        template: The ids that the model's own tokenizer puts around a text; empty where the file does not say.
        unknown_id: What stands for text that no other token covers, or None.
        byte_fallback: Whether such text is spelled in bytes instead.
        reason: Why bbpe's own encoder does not run it, in half a sentence.
        name: A name for messages and reports.
    """

    engine: Engine
    algorithm: Algorithm
    data: bytes
    pieces: Mapping[int, str]
    tokens: Mapping[int, bytes]
    special_tokens: tuple[SpecialToken, ...] = ()
    template: Template = field(default_factory=Template)
    unknown_id: int | None = None
    byte_fallback: bool = False
    reason: str = ""
    name: str | None = None

    def __post_init__(self) -> None:
        if self.pieces.keys() != self.tokens.keys():
            raise ValueError("pieces and tokens have the same ids")
        for special in self.special_tokens:
            if self.pieces.get(special.id) != special.content:
                raise FormatError(f"special token {special.content[:80]!r} is not what the file has as id {special.id}")
        if len({special.content for special in self.special_tokens}) != len(self.special_tokens):
            raise FormatError("two special tokens have the same text")
        for id in (*self.template.before, *self.template.after):
            if id not in self.pieces:
                raise FormatError(f"the template names id {id}, which is no token of this vocabulary")
        if self.unknown_id is not None and self.unknown_id not in self.pieces:
            raise FormatError(f"the unknown token has id {self.unknown_id}, which is no token of this vocabulary")

    def replace(self, **changes: Any) -> EngineModel:
        """A copy with some fields changed, as ``Vocabulary.replace``."""
        return replace(self, **changes)


class _Runner(Protocol):
    """A library at work on text that holds no special token."""

    def encode(self, text: str) -> list[int]: ...

    def encode_batch(self, texts: list[str], threads: int) -> list[list[int]]: ...

    def spans(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Ids and their places in the text's UTF-8."""
        ...

    def decode(self, ids: list[int]) -> str: ...


class EngineTokenizer:
    """Encodes text with another library. Safe to use from many threads; picklable.

    Args:
        model: What a format module read; ``bbpe.load`` does both.

    Raises:
        FormatError: The library does not take the model.
        MissingExtraError: The library is not installed.
    """

    __slots__ = ("_model", "_runner", "_special_by_content", "_special_by_id")

    def __init__(self, model: EngineModel) -> None:
        if not isinstance(model, EngineModel):
            raise TypeError(f"model is an EngineModel, not {type(model).__name__}; bbpe.load reads files and names")
        self._model = model
        self._special_by_content = {special.content: special for special in model.special_tokens}
        # The unknown token stands for text, and stays among it when it is decoded.
        self._special_by_id = {s.id: s for s in model.special_tokens if s.id != model.unknown_id}
        self._runner: _Runner = _RUNNERS[model.engine](model)

    # ---- what it is ----

    @property
    def engine(self) -> str:
        """The library that encodes: ``"sentencepiece"``, ``"tokenizers"``, or ``"none"`` where nothing can."""
        return self._model.engine

    @property
    def algorithm(self) -> str:
        """``"bpe"``, ``"unigram"``, ``"wordpiece"``, ``"byte-level bpe"`` or ``"unknown"``."""
        return self._model.algorithm

    @property
    def reason(self) -> str:
        """Why bbpe's own encoder does not run it."""
        return self._model.reason

    @property
    def name(self) -> str | None:
        """A name for messages and reports."""
        return self._model.name

    @property
    def model(self) -> EngineModel:
        """What the file says."""
        return self._model

    @property
    def pattern(self) -> None:
        """None: what cuts text into pretokens, if anything does, is the library's own."""
        return None

    @property
    def pieces(self) -> Mapping[int, str]:
        """Id to the spelling in the file."""
        return self._model.pieces

    @property
    def special_tokens(self) -> dict[str, int]:
        """Special tokens and their ids."""
        return {content: special.id for content, special in self._special_by_content.items()}

    @property
    def template(self) -> Template:
        """The ids that the model's own tokenizer puts around a text."""
        return self._model.template

    @property
    def unknown_id(self) -> int | None:
        """What stands for text that no other token covers, or None."""
        return self._model.unknown_id

    @property
    def byte_fallback(self) -> bool:
        """Whether text that no token covers is spelled in bytes."""
        return self._model.byte_fallback

    @property
    def vocab_size(self) -> int:
        """Entries, special tokens included."""
        return len(self._model.pieces)

    @property
    def id_space(self) -> int:
        """Last id + 1: the rows that an embedding needs."""
        return max(self._model.pieces, default=-1) + 1

    def __len__(self) -> int:
        return self.vocab_size

    def __repr__(self) -> str:
        return f"<EngineTokenizer: {self.vocab_size:,} entries, {self.algorithm}, engine {self.engine}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return EngineTokenizer, (self._model,)

    # ---- encoding ----

    def encode(
        self, text: str, *, allowed_special: Allowed = (), errors: str = "strict", add_template: bool = False
    ) -> list[int]:
        """The ids of a text; arguments as for ``Tokenizer.encode``.

        Raises:
            EncodeError: A lone surrogate, with its place; or the file lacks what encoding needs.
        """
        text = _sound(text, errors)
        allowed = self._allowed(allowed_special)
        if not allowed:
            ids = self._runner.encode(text)
        else:
            ids = []
            for part, _, special in self._parts(text, allowed):
                if special is not None:
                    ids.append(special.id)
                else:
                    ids.extend(self._runner.encode(part))
        if add_template:
            return [*self._model.template.before, *ids, *self._model.template.after]
        return ids

    def encode_to_numpy(self, text: str, *, allowed_special: Allowed = (), errors: str = "strict") -> IdArray:
        """The ids of a text as a uint32 array."""
        return np.array(self.encode(text, allowed_special=allowed_special, errors=errors), dtype=np.uint32)

    def encode_batch(
        self,
        texts: Iterable[str],
        *,
        threads: int | None = None,
        allowed_special: Allowed = (),
        errors: str = "strict",
    ) -> list[list[int]]:
        """The ids of every text, in order. ``threads`` None uses all cores; tokenizers knows only one or all."""
        count = thread_count(threads)
        batch = [
            _sound(text, errors, number) if isinstance(text, str) else _require_text(text)
            for number, text in enumerate(_text_list(texts))
        ]
        if self._allowed(allowed_special):
            return [self.encode(text, allowed_special=allowed_special) for text in batch]
        return self._runner.encode_batch(batch, count)

    def encode_batch_to_numpy(
        self,
        texts: Iterable[str],
        *,
        threads: int | None = None,
        allowed_special: Allowed = (),
        errors: str = "strict",
    ) -> tuple[IdArray, npt.NDArray[np.int64]]:
        """The ids of every text in one array, and where each text's begin, as ``Tokenizer.encode_batch_to_numpy``."""
        lists = self.encode_batch(texts, threads=threads, allowed_special=allowed_special, errors=errors)
        offsets = np.zeros(len(lists) + 1, dtype=np.int64)
        np.cumsum([len(ids) for ids in lists], out=offsets[1:])
        flat = np.fromiter((id for ids in lists for id in ids), dtype=np.uint32, count=int(offsets[-1]))
        return flat, offsets

    def encode_with_offsets(
        self,
        text: str,
        *,
        unit: Literal["characters", "bytes"] = "characters",
        allowed_special: Allowed = (),
        errors: str = "strict",
    ) -> tuple[list[int], list[tuple[int, int]]]:
        """The ids of a text, and the place of each in the text as given.

        Args:
            text: Any str.
            unit: ``"characters"``: from the first character that the token touches to past the last. ``"bytes"``: in
                the text's UTF-8; tokens that are single bytes have their own byte where the library changed nothing
                there, else the place of the whole character.
            allowed_special: As for ``encode``.
            errors: As for ``encode``.

        A token that the library put in itself (a space before the text) has an empty place.
        """
        if unit not in ("characters", "bytes"):
            raise ValueError(f"unit is 'characters' or 'bytes', not {unit!r}")
        text = _sound(text, errors)
        ids: list[int] = []
        places: list[tuple[int, int]] = []
        for part, start, special in self._parts(text, self._allowed(allowed_special)):
            base = len(text[:start].encode())
            if special is not None:
                ids.append(special.id)
                places.append((base, base + len(part.encode())))
            else:
                found, spans = self._runner.spans(part)
                ids.extend(found)
                places.extend((base + begin, base + end) for begin, end in spans)
        return ids, places if unit == "bytes" else _in_characters(text, places)

    def count(self, text: str, *, allowed_special: Allowed = (), errors: str = "strict") -> int:
        """How many ids a text has."""
        return len(self.encode(text, allowed_special=allowed_special, errors=errors))

    def tokens(self, text: str, *, allowed_special: Allowed = (), errors: str = "strict") -> list[bytes]:
        """The tokens of a text, as the bytes that they stand for.

        Joined they are not always the text: a library may put a space before it, change its characters, or write an
        unknown token, which is here in its spelling (``<unk>``).
        """
        tokens = self._model.tokens
        return [tokens[id] for id in self.encode(text, allowed_special=allowed_special, errors=errors)]

    # ---- decoding ----

    def decode(self, ids: Sequence[int] | npt.NDArray[Any]) -> str:
        """The text of some ids, as the library decodes them; special tokens as they are written.

        Raises:
            EncodeError: An id that is not in the vocabulary, with its position.
        """
        return "".join(
            self._special_by_id[run[0]].content if special else self._runner.decode(run)
            for run, special in self._runs(ids)
        )

    def decode_bytes(self, ids: Sequence[int] | npt.NDArray[Any]) -> bytes:
        """As ``decode``; where the algorithm is byte-level, tokens that end inside a character keep their bytes."""
        if self._model.algorithm == "byte-level bpe":
            tokens = self._model.tokens
            return b"".join(tokens[id] for run, _ in self._runs(ids) for id in run)
        return self.decode(ids).encode()

    def decoder(self, errors: str = "replace") -> EngineDecoder:
        """A streaming decoder, for ids that come one at a time."""
        return EngineDecoder(self, errors)

    def token(self, id: int) -> bytes:
        """The bytes that one id stands for."""
        found = self._model.tokens.get(integer_id(id, 0))
        if found is None:
            raise EncodeError(f"id {shown(id)} at position 0 is not an id of this vocabulary")
        return found

    # ---- inside ----

    @property
    def bytewise(self) -> bool:
        """Whether the bytes of the tokens, one after the other, are the text."""
        return self._model.algorithm == "byte-level bpe" or self._model.engine == "none"

    def _byte_pieces(self) -> Mapping[int, bytes]:
        """The ids of which only several may be a character, and their bytes."""
        model = self._model
        if self.bytewise:
            return model.tokens
        if not model.byte_fallback:
            return {}
        found = {id: model.tokens[id] for id, piece in model.pieces.items() if _BYTE_PIECE.fullmatch(piece)}
        letter = next((id for id, data in found.items() if data == b"A"), None)
        # A tokenizer.json may name bytes, and have no decoder for them.
        return found if letter is not None and self._runner.decode([letter]) == "A" else {}

    def _allowed(self, allowed_special: Allowed) -> frozenset[str]:
        return allowed_set(allowed_special, self._special_by_content)

    def _parts(self, text: str, allowed: frozenset[str]) -> Iterator[tuple[str, int, SpecialToken | None]]:
        """The text cut at its allowed special tokens, the longest at the leftmost place: part, place, token."""
        done = 0
        if allowed:
            for match in _special_search(allowed).finditer(text):
                if match.start() > done:
                    yield text[done : match.start()], done, None
                yield match.group(), match.start(), self._special_by_content[match.group()]
                done = match.end()
        if done < len(text):
            yield text[done:], done, None

    def _runs(self, ids: Sequence[int] | npt.NDArray[Any]) -> Iterator[tuple[list[int], bool]]:
        """Runs of ordinary ids, and each special one by itself."""
        plain: list[int] = id_array(ids).tolist() if isinstance(ids, np.ndarray) else id_list(ids)
        pieces = self._model.pieces
        run: list[int] = []
        for position, given in enumerate(plain):
            id = given if type(given) is int else integer_id(given, position)
            if id not in pieces:
                raise EncodeError(f"id {shown(id)} at position {position} is not an id of this vocabulary")
            if id in self._special_by_id:
                if run:
                    yield run, False
                yield [id], True
                run = []
            else:
                run.append(id)
        if run:
            yield run, False


class EngineDecoder:
    """Decodes ids that come one at a time, as ``Tokenizer.decoder`` does: never shows half a character, never loses one.

    Put together, what it shows is what ``EngineTokenizer.decode`` gives for all of the ids, with the spaces that the
    library puts between pieces or leaves out before the first one. They differ where bytes are no valid UTF-8: a library
    may give up a whole run of byte pieces for one of them, and here every whole character is shown as soon as it is one.

    Args:
        tokenizer: Whose ids.
        errors: What to make of bytes that are no valid UTF-8, as in ``bytes.decode``.

    Raises:
        LookupError: There is no such way to treat errors.
    """

    __slots__ = ("_base", "_bytes", "_context", "_incremental", "_tokenizer")

    def __init__(self, tokenizer: EngineTokenizer, errors: str = "replace") -> None:
        codecs.lookup_error(errors)
        self._tokenizer = tokenizer
        self._incremental = codecs.getincrementaldecoder("utf-8")(errors)
        self._bytes = tokenizer._byte_pieces()
        # Ids from the last one on that has a text when it stands alone. What a piece adds depends on what is before it
        # only in whether it is the first, and in how its neighbour ends: so these are enough to ask the library.
        self._context: list[int] = []
        self._base = ""  # their text

    def add(self, ids: int | Sequence[int] | npt.NDArray[Any]) -> str:
        """Take the next id or ids; give the text that is now complete.

        Raises:
            EncodeError: An id that is not in the vocabulary. None of the ids given with it is taken.
            UnicodeDecodeError: Invalid bytes, where ``errors`` is ``"strict"``; the decoder starts anew behind them.
        """
        batch = [ids] if isinstance(ids, (int, np.integer)) else ids
        tokenizer = self._tokenizer
        shown = []
        for run, special in list(tokenizer._runs(batch)):
            if special:
                shown += [self._decoded(b"", True), tokenizer._special_by_id[run[0]].content]
                self._context, self._base = [], ""
                continue
            for id in run:
                data = self._bytes.get(id)
                if data is not None:
                    shown.append(self._decoded(data, False))
                    self._follows(id)
                else:
                    shown += [self._decoded(b"", True), self._follows(id)]
        return "".join(shown)

    def finish(self) -> str:
        """Give what is held back of an unfinished character, as ``errors`` says, and start anew."""
        self._context, self._base = [], ""
        try:
            return self._decoded(b"", True)
        finally:
            self._incremental.reset()

    def _decoded(self, data: bytes, final: bool) -> str:
        try:
            return self._incremental.decode(data, final)
        except UnicodeDecodeError:
            self._incremental.reset()
            raise

    def _follows(self, id: int) -> str:
        """What a piece adds to the text before it."""
        if self._tokenizer.bytewise:  # and nothing depends on neighbours
            return ""
        decode = self._tokenizer._runner.decode
        text = decode([*self._context, id])
        added = text[len(self._base) :]
        alone = decode([id])
        self._context, self._base = ([id], alone) if alone else ([*self._context, id], text)
        return added


def _sound(text: str, errors: str, number: int | None = None) -> str:
    """The text, once it can be said in UTF-8."""
    _require_str(text)
    if errors != "strict":
        return _repaired(text, errors)
    if not text.isascii() and (surrogate := _SURROGATE.search(text)):
        raise _surrogate_error(text, surrogate.start(), number)
    return text


def _require_text(text: object) -> str:
    raise TypeError(f"texts are str, not {type(text).__name__}: other libraries take no bytes")


def _in_characters(text: str, places: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Places in UTF-8 as places in characters: from the first one touched to past the last."""
    if text.isascii():
        return places
    data = np.frombuffer(text.encode(), dtype=np.uint8)
    character = np.append(np.cumsum((data & 0xC0) != 0x80) - 1, len(text))
    return [
        (int(character[begin]), int(character[end - 1]) + 1 if end > begin else int(character[begin]))
        for begin, end in places
    ]


# ---- sentencepiece ----


class _SentencePiece:
    def __init__(self, model: EngineModel) -> None:
        try:
            import sentencepiece
        except ImportError as error:
            raise MissingExtraError("sentencepiece is not installed: pip install sentencepiece") from error
        self._byte_ids = (
            {id for id, piece in model.pieces.items() if len(piece) == 6 and piece.startswith("<0x")}
            if model.byte_fallback
            else set()
        )
        self._processor = sentencepiece.SentencePieceProcessor()
        try:
            self._processor.LoadFromSerializedProto(model.data)
        except Exception as error:  # RuntimeError or ValueError, by its version
            raise FormatError(f"sentencepiece does not take this model: {error}") from None
        size = self._processor.GetPieceSize()
        beside = {special.id for special in model.special_tokens if special.id >= size}  # the publisher's code has them
        if model.pieces.keys() - beside != set(range(size)):
            raise FormatError("sentencepiece reads another number of pieces than the file holds")

    def encode(self, text: str) -> list[int]:
        ids: list[int] = self._processor.Encode(text)
        return ids

    def encode_batch(self, texts: list[str], threads: int) -> list[list[int]]:
        if not texts:
            return []
        ids: list[list[int]] = self._processor.Encode(texts, num_threads=threads)
        return ids

    def spans(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        ids: list[int] = []
        spans: list[tuple[int, int]] = []
        first_byte = -1  # of the character that is being spelled in bytes
        for id, begin, end in _pieces_of(self._processor.Encode(text, out_type="serialized_proto")):
            if id in self._byte_ids and first_byte < 0:
                first_byte = len(ids)
            ids.append(id)
            spans.append((begin, end))
            if first_byte >= 0 and end > begin:  # the last byte's piece has the place of the character
                size = len(ids) - first_byte
                if size == end - begin:
                    spans[first_byte:] = [(begin + place, begin + place + 1) for place in range(size)]
                else:
                    spans[first_byte:] = [(begin, end)] * size
                first_byte = -1
        return ids, spans

    def decode(self, ids: list[int]) -> str:
        text: str = self._processor.Decode(ids)
        return text


def _pieces_of(message: bytes) -> Iterator[tuple[int, int, int]]:
    """Id and place of the pieces in a serialized ``SentencePieceText``."""
    for number, _, start, stop in protobuf.fields(message):
        if number != 2:
            continue
        found = {2: 0, 4: 0, 5: 0}
        for inner, wire, value, _ in protobuf.fields(message, start, stop):
            if wire == protobuf.VARINT and inner in found:
                found[inner] = value
        yield found[2], found[4], found[5]


# ---- tokenizers ----


class _Tokenizers:
    def __init__(self, model: EngineModel) -> None:
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            raise MissingExtraError(
                f"this vocabulary ({model.algorithm}) is run by tokenizers, which is not installed: "
                "pip install 'bbpe[compare]'"
            ) from error
        with _complaints("tokenizers does not take this file", FormatError):
            self._tokenizer = Tokenizer.from_str(model.data.decode())
        self._batch = getattr(self._tokenizer, "encode_batch_fast", self._tokenizer.encode_batch)
        self._unknown = "" if model.unknown_id is None else model.pieces[model.unknown_id]

    def encode(self, text: str) -> list[int]:
        with _complaints("tokenizers cannot encode this text", EncodeError):
            ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def encode_batch(self, texts: list[str], threads: int) -> list[list[int]]:
        if threads == 1:
            return [self.encode(text) for text in texts]
        with _complaints("tokenizers cannot encode these texts", EncodeError):
            return [found.ids for found in self._batch(texts, add_special_tokens=False)]

    def spans(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        with _complaints("tokenizers cannot encode this text", EncodeError):
            found = self._tokenizer.encode(text, add_special_tokens=False)
        if text.isascii():
            return found.ids, list(found.offsets)
        bytes_before = [0, *accumulate(len(character.encode()) for character in text)]
        return found.ids, [(bytes_before[begin], bytes_before[end]) for begin, end in found.offsets]

    def decode(self, ids: list[int]) -> str:
        with _complaints("tokenizers cannot decode these ids", EncodeError):
            text: str = self._tokenizer.decode(ids, skip_special_tokens=False)
        return text.replace(self._unknown + UNREACHABLE, self._unknown) if self._unknown else text


@contextlib.contextmanager
def _complaints(what: str, kind: type[BbpeError]) -> Iterator[None]:
    """What tokenizers raises (bare exceptions, and panics of its native code) as an error of bbpe's."""
    try:
        yield
    except BaseException as error:
        if isinstance(error, Exception) or type(error).__name__ == "PanicException":
            raise kind(f"{what}: {error}") from None
        raise


# ---- nobody ----


class _Nobody:
    """A list of tokens without what encoding needs."""

    def __init__(self, model: EngineModel) -> None:
        self._model = model

    def _refuse(self) -> EncodeError:
        return EncodeError(f"this vocabulary can be looked at, not encoded with: {self._model.reason}")

    def encode(self, text: str) -> list[int]:
        raise self._refuse()

    def encode_batch(self, texts: list[str], threads: int) -> list[list[int]]:
        raise self._refuse()

    def spans(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        raise self._refuse()

    def decode(self, ids: list[int]) -> str:
        return b"".join(self._model.tokens[id] for id in ids).decode("utf-8", "replace")


_RUNNERS: Mapping[str, Callable[[EngineModel], _Runner]] = {
    "sentencepiece": _SentencePiece,
    "tokenizers": _Tokenizers,
    "none": _Nobody,
}
