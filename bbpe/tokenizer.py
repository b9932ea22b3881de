"""A vocabulary at work: encode, decode, batches, offsets, streaming.

What it does: decide what is text and what is a special token, normalize, check arguments, and hand plain text to the
native encoder (``_encode.pyx``). What it does not: merge or cut anything itself, or read files (``io.py``).
``reference.py`` says, point by point, what must come out.
"""

from __future__ import annotations

import codecs
import contextlib
import functools
import operator
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from bbpe import unicode
from bbpe._encode import Encoder, first_other
from bbpe.errors import EncodeError, MissingByteError, shown
from bbpe.normalizer import all_stable, normalize, stretches
from bbpe.patterns import Pattern, Pretokenizer
from bbpe.threads import thread_count
from bbpe.vocabulary import SpecialToken, Template, Vocabulary

if TYPE_CHECKING:
    from bbpe.training import TrainingRecord

Allowed: TypeAlias = Collection[str] | Literal["all"]
IdArray: TypeAlias = npt.NDArray[np.uint32]


_UINT32 = np.dtype(np.uint32)


class Piece(NamedTuple):
    """A stretch of a text: plain, or one special token (with the white space that it takes)."""

    text: str
    start: int  # in characters
    special: SpecialToken | None


class Tokenizer:
    """Encodes text with a vocabulary, and decodes ids. Safe to use from many threads; picklable; fork-safe.

    Args:
        vocabulary: What decides which ids a text gets.
        training_record: How the vocabulary was trained, if it was trained here.

    Special tokens that stand in a text are plain text unless they are allowed: ``allowed_special`` is a set of them, or
    ``"all"``. The longest allowed one at the leftmost place counts.
    """

    __slots__ = (
        "_direct",
        "_encoder",
        "_native",
        "_pretokenizer",
        "_special_by_content",
        "_training_record",
        "_vocabulary",
    )

    engine: str = "bbpe"
    """The library that encodes; other engines have the same surface, for comparison."""

    def __init__(self, vocabulary: Vocabulary, *, training_record: TrainingRecord | None = None) -> None:
        if not isinstance(vocabulary, Vocabulary):
            raise TypeError(
                f"vocabulary is a Vocabulary, not {type(vocabulary).__name__}; bbpe.load reads files and names"
            )
        self._set_vocabulary(vocabulary, training_record)
        self._encoder = build_encoder(vocabulary, self._pretokenizer)

    @classmethod
    def of_training(cls, vocabulary: Vocabulary, record: TrainingRecord) -> Tokenizer:
        """A tokenizer for a vocabulary that was just trained.

        It is sound, and often only to be saved: the native encoder, which takes 20 ms for 32,000 tokens, is built when
        it is needed first.
        """
        made = object.__new__(cls)
        made._set_vocabulary(vocabulary, record)
        return made

    def _set_vocabulary(self, vocabulary: Vocabulary, training_record: TrainingRecord | None) -> None:
        """All but the encoder."""
        self._vocabulary = vocabulary
        self._training_record = training_record
        self._special_by_content = {special.content: special for special in vocabulary.special_tokens}
        self._pretokenizer = Pretokenizer(vocabulary.pattern)
        # Nothing between the text and the native encoder, unless a call asks for more, or a normalizer changes a text.
        self._native = self._pretokenizer.automata is not None
        self._direct = self._native and vocabulary.normalizer is None

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Encoder:
            """The encoder, where it was left out; from then on it is an attribute like any other."""
            if name != "_encoder":
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            self._encoder = build_encoder(self._vocabulary, self._pretokenizer)
            return self._encoder

    # ---- what it is ----

    @property
    def vocabulary(self) -> Vocabulary:
        """What decides which ids a text gets."""
        return self._vocabulary

    @property
    def pattern(self) -> Pattern:
        """What cuts text into pretokens."""
        return self._vocabulary.pattern

    @property
    def special_tokens(self) -> dict[str, int]:
        """Special tokens and their ids."""
        return {content: special.id for content, special in self._special_by_content.items()}

    @property
    def training_record(self) -> TrainingRecord | None:
        """How the vocabulary was trained, if it was trained here."""
        return self._training_record

    @property
    def encoder(self) -> Encoder:
        """The native encoder, for parts of bbpe that bring pretokens of their own."""
        return self._encoder

    @property
    def vocab_size(self) -> int:
        """Entries: bytes, merges and special tokens."""
        return self._vocabulary.vocab_size

    @property
    def id_space(self) -> int:
        """Last id + 1: the rows that an embedding needs."""
        return self._vocabulary.id_space

    def __len__(self) -> int:
        return self._vocabulary.vocab_size

    def __repr__(self) -> str:
        pattern = self.pattern.name or "own pattern"
        return f"<Tokenizer: {self.vocab_size:,} entries, {pattern}, engine {self.engine}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self._vocabulary, self._training_record)

    # ---- encoding ----

    def encode(
        self, text: str, *, allowed_special: Allowed = (), errors: str = "strict", add_template: bool = False
    ) -> list[int]:
        """The ids of a text.

        Args:
            text: Any str.
            allowed_special: Special tokens that count as such where they stand in the text, or ``"all"``.
            errors: ``"strict"`` refuses a lone surrogate; ``"replace"`` encodes U+FFFD in its place.
            add_template: Put the vocabulary's template (beginning of text, …) around the ids.

        Raises:
            EncodeError: A lone surrogate, or a byte for which the vocabulary has no token; with its place.
            TypeError: The text is no str.

        >>> from bbpe import Tokenizer, Vocabulary, get_pattern
        >>> tokens = {**{i: bytes([i]) for i in range(256)}, 256: b"ab"}
        >>> tok = Tokenizer(Vocabulary(tokens, merges=[(97, 98)], pattern=get_pattern("llama3")))
        >>> tok.encode("abc")
        [256, 99]
        """
        if type(text) is not str:
            _require_str(text)
        if errors != "strict":
            text = _repaired(text, errors)
        if (allowed_special is _NOTHING or _is_empty(allowed_special)) and (
            self._direct or (self._native and all_stable([text]))
        ):
            ids = self._encoder.encode(text)
        else:
            ids = _as_list(self._to_array(text, allowed_special))
        return self._with_template(ids) if add_template else ids

    def encode_to_numpy(self, text: str, *, allowed_special: Allowed = (), errors: str = "strict") -> IdArray:
        """The ids of a text as a uint32 array; arguments and errors as for ``encode``."""
        if type(text) is not str:
            _require_str(text)
        if errors != "strict":
            text = _repaired(text, errors)
        if (allowed_special is _NOTHING or _is_empty(allowed_special)) and (
            self._direct or (self._native and all_stable([text]))
        ):
            return self._encoder.encode_to_numpy(text)
        return self._to_array(text, allowed_special)

    def encode_bytes(self, data: bytes, *, allowed_special: Allowed = ()) -> list[int]:
        """The ids of any bytes, valid UTF-8 or not.

        A byte that is no part of a valid character is a character of its own, neither letter, digit nor space.
        """
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f"data is bytes, not {type(data).__name__}")
        data = bytes(data)
        if self._direct and (allowed_special is _NOTHING or _is_empty(allowed_special)):
            return self._encoder.encode(data)
        return _as_list(self._to_array(data.decode("utf-8", "surrogateescape"), allowed_special, escaped=True))

    def encode_batch(
        self,
        texts: Iterable[str],
        *,
        threads: int | None = None,
        allowed_special: Allowed = (),
        errors: str = "strict",
    ) -> list[list[int]]:
        """The ids of every text, in order. ``threads`` None uses all cores."""
        ids, offsets = self.encode_batch_to_numpy(
            texts, threads=threads, allowed_special=allowed_special, errors=errors
        )
        return self._encoder.as_lists(ids, offsets)

    def encode_batch_to_numpy(
        self,
        texts: Iterable[str] | Iterable[bytes],
        *,
        threads: int | None = None,
        allowed_special: Allowed = (),
        errors: str = "strict",
    ) -> tuple[IdArray, npt.NDArray[np.int64]]:
        """The ids of every text in one array, and where each text's begin.

        Args:
            texts: All str, or all bytes (valid UTF-8 or not, as for ``encode_bytes``).
            threads: How many to use; None: one for each processor.
            allowed_special: As for ``encode``.
            errors: As for ``encode``.

        Returns:
            ``(ids, offsets)``: uint32 of shape (total,), int64 of shape (texts + 1,);
            text i is ``ids[offsets[i]:offsets[i + 1]]``. The same whatever ``threads`` is.
        """
        allowed = self._allowed(allowed_special)
        count = thread_count(threads)
        _repaired("", errors)  # checks the word
        batch = _text_list(texts)
        if self._direct and not allowed:
            if errors != "strict":
                batch = [_repaired(text, errors) for text in batch if isinstance(text, str)] or batch
            return self._encoder.encode_batch(batch, count)
        escaped = bool(batch) and isinstance(batch[0], bytes)
        strings = [
            text.decode("utf-8", "surrogateescape") if isinstance(text, bytes) else _repaired(text, errors)
            for text in batch
        ]
        if not allowed and self._native:
            normalized = (
                strings if not escaped and all_stable(strings) else [self._normalized(text) for text in strings]
            )
            try:
                return self._encoder.encode_batch([_raw(text) for text in normalized] if escaped else normalized, count)
            except EncodeError:  # what cannot be encoded is named below, with its place in the text as given
                pass
        arrays = [self._to_array(text, allowed, escaped=escaped, number=n) for n, text in enumerate(strings)]
        offsets = np.zeros(len(arrays) + 1, dtype=np.int64)
        np.cumsum([len(array) for array in arrays], out=offsets[1:])
        return (np.concatenate(arrays) if arrays else np.empty(0, dtype=np.uint32)), offsets

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
            unit: ``"characters"``: from the first character that the token touches to past the last, so that the
                tokens of one character overlap. ``"bytes"``: exact places in the text's UTF-8.
            allowed_special: As for ``encode``.
            errors: As for ``encode``.

        Where a normalizer changed a stretch of the text, its tokens have the place of the whole stretch.
        """
        _require_str(text)
        if unit not in ("characters", "bytes"):
            raise ValueError(f"unit is 'characters' or 'bytes', not {unit!r}")
        text = _repaired(text, errors) if errors != "strict" else text
        if surrogate := _SURROGATE.search(text):
            raise _surrogate_error(text, surrogate.start())
        ids: list[int] = []
        places: list[tuple[int, int]] = []
        base = 0  # in the unit asked for
        for piece in self._pieces(text, self._allowed(allowed_special)):
            length = len(piece.text) if unit == "characters" else len(piece.text.encode())
            if piece.special is not None:
                ids.append(piece.special.id)
                places.append((base, base + length))
            else:
                found = self._piece_to_array(text, piece, escaped=False)
                ids.extend(found.tolist())
                starts, ends = _places(piece.text, self._normalized(piece.text), self._lengths(found), unit)
                places.extend(zip((starts + base).tolist(), (ends + base).tolist(), strict=True))
            base += length
        return ids, places

    def count(self, text: str, *, allowed_special: Allowed = (), errors: str = "strict") -> int:
        """How many ids a text has, without building them as Python objects."""
        _require_str(text)
        if errors != "strict":
            text = _repaired(text, errors)
        if (allowed_special is _NOTHING or _is_empty(allowed_special)) and (
            self._direct or (self._native and all_stable([text]))
        ):
            return self._encoder.count(text)
        return len(self._to_array(text, allowed_special))

    def tokens(self, text: str, *, allowed_special: Allowed = (), errors: str = "strict") -> list[bytes]:
        """The tokens of a text, as bytes."""
        return [self.token(id) for id in self.encode(text, allowed_special=allowed_special, errors=errors)]

    def pretokens(self, text: str, *, allowed_special: Allowed = ()) -> list[bytes]:
        """What the pattern cuts a text into, once it is normalized; a special token is one, without white space.

        Joined they are the tokens of the text joined, and none of those is of two.
        """
        _require_str(text)
        if surrogate := _SURROGATE.search(text):
            raise _surrogate_error(text, surrogate.start())
        found: list[bytes] = []
        for piece in self._pieces(text, self._allowed(allowed_special)):
            if piece.special is not None:
                found.append(piece.special.content.encode())
            else:
                found += self._pretokenizer.split(self._normalized(piece.text))
        return found

    # ---- decoding ----

    def decode(self, ids: Sequence[int] | npt.NDArray[Any], errors: str = "replace") -> str:
        """The text of some ids; bytes that are no valid UTF-8 as ``bytes.decode`` treats them.

        Raises:
            EncodeError: An id that is not in the vocabulary; with its position.
        """
        if isinstance(ids, np.ndarray):
            return self._encoder.text_of_array(id_array(ids), errors)
        return self._encoder.text_of_list(ids if type(ids) is list else id_list(ids), errors)

    def decode_bytes(self, ids: Sequence[int] | npt.NDArray[Any]) -> bytes:
        """The bytes of some ids: the exact inverse of encoding where there is no normalizer."""
        if isinstance(ids, np.ndarray):
            return self._encoder.decode_array(id_array(ids))
        return self._encoder.decode_list(ids if type(ids) is list else id_list(ids))

    def decoder(self, errors: str = "replace") -> Decoder:
        """A streaming decoder, for ids that come one at a time."""
        return Decoder(self, errors)

    def token(self, id: int) -> bytes:
        """The bytes of one id."""
        return self._encoder.decode_list([id])

    # ---- smaller vocabularies ----

    def truncated(self, vocab_size: int) -> Tokenizer:
        """The smaller vocabulary that the first merges make: what training with that ``vocab_size`` would have given.

        Special tokens behind the last merge move down to follow the last one kept. Where there are seed tokens or
        superwords the first merges are not the whole of such a training: seed tokens come last, so they go first, and
        the pattern is that of the superwords.

        Raises:
            ValueError: Where merge r did not make exactly token r (then a prefix means nothing), or where
                ``vocab_size`` is smaller than what stays in any case or larger than the vocabulary.
        """
        return Tokenizer(_truncated(self._vocabulary, vocab_size))

    # ---- inside ----

    def _with_template(self, ids: list[int]) -> list[int]:
        template: Template = self._vocabulary.template
        return [*template.before, *ids, *template.after]

    def _to_array(
        self, text: str, allowed_special: Allowed, *, escaped: bool = False, number: int | None = None
    ) -> IdArray:
        """The ids of a text with special tokens.

        ``escaped``: its lone surrogates stand for invalid bytes. ``number``: which of a batch it is, for errors.
        """
        parts = [
            np.array([piece.special.id], dtype=np.uint32)
            if piece.special is not None
            else self._piece_to_array(text, piece, escaped, number)
            for piece in self._pieces(text, self._allowed(allowed_special))
        ]
        if len(parts) == 1:
            return parts[0]
        return np.concatenate(parts) if parts else np.empty(0, dtype=np.uint32)

    def _piece_to_array(self, text: str, piece: Piece, escaped: bool, number: int | None = None) -> IdArray:
        """The ids of a plain piece; what cannot be encoded is named with its place in the whole text as given."""
        coding = "surrogateescape" if escaped else "strict"
        normalized = self._normalized(piece.text)
        try:
            data = normalized.encode("utf-8", coding)
        except UnicodeEncodeError:
            raise _surrogate_error(text, next(_SURROGATE.finditer(text)).start(), number) from None
        try:
            if self._pretokenizer.automata is not None:
                return self._encoder.encode_to_numpy(data)
            return self._encoder.encode_pretokens(data, self._pretokenizer.ends(data))
        except MissingByteError as error:
            before = len(text[: piece.start].encode("utf-8", coding))
            starts, _ = _places(piece.text, normalized, np.ones(len(data), dtype=np.int64), "bytes")
            raise MissingByteError(error.byte, before + int(starts[error.offset]), number) from None

    def _normalized(self, text: str) -> str:
        return text if self._vocabulary.normalizer is None else normalize(text)

    def _pieces(self, text: str, allowed: frozenset[str]) -> Iterator[Piece]:
        """Cut a text at its allowed special tokens."""
        done = 0
        for start, end, special in self._find_special(text, allowed):
            if start > done:
                yield Piece(text[done:start], done, None)
            yield Piece(text[start:end], start, special)
            done = end
        if done < len(text):
            yield Piece(text[done:], done, None)

    def _allowed(self, allowed_special: Allowed) -> frozenset[str]:
        """The allowed special tokens as a set, each of them known."""
        return allowed_set(allowed_special, self._special_by_content)

    def _find_special(self, text: str, allowed: frozenset[str]) -> Iterator[tuple[int, int, SpecialToken]]:
        """Where allowed special tokens stand: the leftmost first, the longest of those at one place."""
        if not allowed:
            return
        search = _special_search(allowed)
        at = done = 0
        while match := search.search(text, at):
            start, end = match.span()
            at = end
            special = self._special_by_content[match.group()]
            if special.single_word and any(
                _is_word(character) for character in text[max(start - 1, 0) : start] + text[end : end + 1]
            ):
                continue
            if special.lstrip:
                while start > done and text[start - 1] in _WHITE_SPACE:
                    start -= 1
            if special.rstrip:
                while end < len(text) and text[end] in _WHITE_SPACE:
                    end += 1
            at = done = end
            yield start, end, special

    def _lengths(self, ids: IdArray) -> npt.NDArray[np.int64]:
        """The bytes of each token."""
        tokens = self._vocabulary.tokens
        return np.fromiter((len(tokens[id]) for id in ids.tolist()), dtype=np.int64, count=len(ids))


class Decoder:
    """Decodes ids that come one at a time: never shows half a character, never loses one.

    Args:
        tokenizer: Whose ids.
        errors: What to make of bytes that are no valid UTF-8, as in ``bytes.decode``. They are invalid as soon as no
            further byte could make a character of them.

    Raises:
        LookupError: There is no such way to treat errors.

    >>> from bbpe import Tokenizer, Vocabulary, get_pattern
    >>> tok = Tokenizer(Vocabulary({i: bytes([i]) for i in range(256)}, pattern=get_pattern("llama3")))
    >>> decoder = tok.decoder()
    >>> [decoder.add(id) for id in "中".encode()], decoder.finish()
    (['', '', '中'], '')
    """

    __slots__ = ("_incremental", "_tokenizer")

    def __init__(self, tokenizer: Tokenizer, errors: str = "replace") -> None:
        codecs.lookup_error(errors)
        self._tokenizer = tokenizer
        self._incremental = codecs.getincrementaldecoder("utf-8")(errors)

    def add(self, ids: int | Sequence[int] | npt.NDArray[Any]) -> str:
        """Take the next id or ids; give the text that is now complete.

        Raises:
            EncodeError: An id that is not in the vocabulary. None of the ids given with it is taken.
            UnicodeDecodeError: Invalid bytes, where ``errors`` is ``"strict"``. The error's ``object`` has all bytes that
                have not been shown, and the decoder starts anew behind them.
        """
        batch = [ids] if isinstance(ids, (int, np.integer)) else ids
        data = self._tokenizer.decode_bytes(batch)
        try:
            return self._incremental.decode(data)
        except UnicodeDecodeError:
            self._incremental.reset()
            raise

    def finish(self) -> str:
        """Give what is held back of an unfinished character, as ``errors`` says, and start anew."""
        try:
            return self._incremental.decode(b"", final=True)
        finally:
            self._incremental.reset()


def _rebuild(vocabulary: Vocabulary, training_record: TrainingRecord | None) -> Tokenizer:
    return Tokenizer(vocabulary, training_record=training_record)


def build_encoder(vocabulary: Vocabulary, pretokenizer: Pretokenizer, *, whole_pretoken: bool | None = None) -> Encoder:
    """The native encoder of a vocabulary; ``whole_pretoken`` False for one that asks what merges alone would do."""
    tokens = vocabulary.tokens
    ids = np.fromiter(tokens.keys(), dtype=np.uint32, count=len(tokens))
    places = None if _is_range(ids) else {id: place for place, id in enumerate(tokens)}
    merges = ranks = None
    if vocabulary.merges is not None:
        merges = np.empty((len(vocabulary.merges), 3), dtype=np.uint32)
        if vocabulary.merges:
            merges[:, :2] = vocabulary.merges
        merges[:, 2] = vocabulary.merged
        if places is not None:
            merges = np.array([[places[id] for id in row] for row in merges.tolist()], dtype=np.uint32).reshape(-1, 3)
    else:
        assert vocabulary.ranks is not None
        ranks = np.empty(len(tokens), dtype=np.uint32)
        order = vocabulary.ranks if places is None else [places[id] for id in vocabulary.ranks]
        ranks[np.fromiter(order, dtype=np.int64, count=len(tokens))] = np.arange(len(tokens), dtype=np.uint32)
    specials = [(special.content.encode(), special.id) for special in vocabulary.special_tokens]
    return Encoder(
        list(tokens.values()),
        ids,
        merges,
        ranks,
        vocabulary.whole_pretoken if whole_pretoken is None else whole_pretoken,
        pretokenizer.automata,
        specials,
    )


def _is_range(ids: IdArray) -> bool:
    return bool(len(ids) == 0 or (ids[0] == 0 and int(ids[-1]) == len(ids) - 1))


def _as_list(ids: IdArray) -> list[int]:
    plain: list[int] = ids.tolist()
    return plain


def _require_str(text: object) -> None:
    if not isinstance(text, str):
        raise TypeError(f"text is str, not {type(text).__name__}; for bytes use encode_bytes")


def _text_list(texts: Iterable[str] | Iterable[bytes]) -> list[str] | list[bytes]:
    if isinstance(texts, (str, bytes, bytearray, memoryview)):
        raise TypeError("texts is an iterable of str or of bytes; for one text use encode or encode_bytes")
    if not isinstance(texts, Iterable) or isinstance(texts, (Mapping, set, frozenset)):
        raise TypeError(f"texts is a sequence of str or of bytes, not {type(texts).__name__}")
    batch: list[Any] = list(texts)
    as_bytes = bool(batch) and isinstance(batch[0], bytes)
    if (place := first_other(batch, as_bytes)) is not None:
        raise TypeError(f"text {place} is {type(batch[place]).__name__}, not {'bytes' if as_bytes else 'str'}")
    return batch


_NOTHING: tuple[str, ...] = ()
"""What is allowed unless a call says more. There is only one empty tuple."""


def _is_empty(allowed_special: Allowed) -> bool:
    """Of the usual kinds only: others (an array, say) are looked at later, since they may have no truth."""
    return isinstance(allowed_special, (set, frozenset, tuple, list)) and not allowed_special


def allowed_set(allowed_special: Allowed, known: Mapping[str, SpecialToken]) -> frozenset[str]:
    """The allowed special tokens as a set, each of them one of ``known``.

    Raises:
        EncodeError: One of them is not known.
        TypeError, ValueError: It is neither a collection of strings nor ``"all"``.
    """
    if isinstance(allowed_special, str):
        if allowed_special != "all":
            raise ValueError(f"allowed_special is a set of special tokens or 'all', not {allowed_special!r}")
        return frozenset(known)
    if not isinstance(allowed_special, Collection) or isinstance(allowed_special, (bytes, bytearray, memoryview)):
        raise TypeError(f"allowed_special is a set of special tokens or 'all', not {allowed_special!r}")
    with contextlib.suppress(TypeError):  # of what has no hash, and is therefore no string
        if (allowed := frozenset(allowed_special)) <= known.keys():
            return allowed
    try:
        contents = list(allowed_special)
    except TypeError:  # an array without a dimension
        raise TypeError(f"allowed_special is a set of special tokens or 'all', not {allowed_special!r}") from None
    for content in contents:
        if not isinstance(content, str):
            raise TypeError(f"allowed_special is a set of special tokens or 'all'; {shown(content)} is no str")
        if content not in known:
            some = ", ".join(map(repr, list(known)[:8])) or "none"
            raise EncodeError(f"{shown(str(content))} is no special token of this vocabulary; it has: {some}")
    return frozenset(contents)


_SURROGATE = re.compile("[\ud800-\udfff]")
_WHITE_SPACE = frozenset("\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000").union(
    map(chr, range(0x2000, 0x200B))
)


def _repaired(text: str, errors: str) -> str:
    """The text with U+FFFD for each lone surrogate, so that all else keeps its place."""
    if errors not in ("strict", "replace"):
        raise ValueError(f"errors is 'strict' or 'replace', not {errors!r}")
    return _SURROGATE.sub("\ufffd", text) if errors == "replace" else text


def _surrogate_error(text: str, place: int, number: int | None = None) -> EncodeError:
    where = f"position {place}" if number is None else f"position {place} of text {number}"
    return EncodeError(
        f"the text holds a lone surrogate U+{ord(text[place]):04X} at {where}, which no UTF-8 can say; "
        "pass errors='replace' to encode U+FFFD in its place"
    )


@functools.lru_cache(maxsize=1024)
def _is_word(character: str) -> bool:
    return ord(character) in unicode.word()


def id_array(ids: npt.NDArray[Any]) -> IdArray:
    """The array as contiguous uint32, refused rather than wrapped."""
    if ids.ndim != 1:
        raise ValueError(f"ids have one dimension; the array has shape {ids.shape}")
    if type(ids) is not np.ndarray and isinstance(ids, np.ma.MaskedArray) and np.ma.is_masked(ids):
        raise TypeError(f"ids are integers; the one at position {int(np.argmax(np.ma.getmaskarray(ids)))} is masked")
    if ids.dtype is _UINT32 or ids.dtype == np.uint32:
        return ids if ids.flags.c_contiguous else np.ascontiguousarray(ids)
    if ids.dtype.kind not in "iu":
        raise TypeError(f"ids are integers; the array has dtype {ids.dtype}")
    if len(ids):
        bad = (ids < 0) | (ids > np.iinfo(np.uint32).max) if ids.dtype.itemsize > 2 or ids.dtype.kind == "i" else None
        if bad is not None and bad.any():
            place = int(np.argmax(bad))
            raise EncodeError(f"id {ids[place]} at position {place} is not an id of this vocabulary")
    return ids.astype(np.uint32)


def integer_id(id: object, position: int) -> int:
    """An id as a plain int.

    Raises:
        TypeError: It is no integer (True and False are none); the message says where it stands.
    """
    if not isinstance(id, bool):
        with contextlib.suppress(TypeError):
            return operator.index(id)  # type: ignore[arg-type]
    raise TypeError(f"ids are integers; the one at position {position} is {shown(id)}")


def id_list(ids: object) -> list[Any]:
    """Ids that are no array, as a list, which is not looked into.

    Raises:
        TypeError: They are no sequence, or have no order.
    """
    if isinstance(ids, (str, bytes, bytearray, memoryview, Mapping, set, frozenset)) or not isinstance(ids, Iterable):
        raise TypeError(f"ids are a sequence of integers, not {type(ids).__name__}")
    return list(ids)


@functools.lru_cache(maxsize=64)
def _special_search(allowed: frozenset[str]) -> re.Pattern[str]:
    """A search for any of these strings, the longest first where several begin."""
    return re.compile(
        "|".join(re.escape(content) for content in sorted(allowed, key=lambda content: (-len(content), content)))
    )


# ---- Offsets in the text as given ----


def _places(
    text: str, normalized: str, lengths: npt.NDArray[np.int64], unit: str
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Start and end of each token in ``text``, of tokens whose bytes cover ``normalized``."""
    ends = np.cumsum(lengths)
    starts = ends - lengths
    if normalized == text:
        if unit == "bytes":
            return starts, ends
        character = _character_of_byte(text)
        return character[starts], character[ends - 1] + 1
    # Both texts fall into stretches that the normalizer maps one to one; a token has the place of those it touches.
    size = (lambda part: len(_raw(part))) if unit == "bytes" else len
    first = np.empty(len(_raw(normalized)), dtype=np.int64)
    past = np.empty_like(first)
    at = place = 0
    for stretch in stretches(text):
        changed = normalize(stretch)
        data = len(_raw(changed))
        if changed == stretch:
            if unit == "bytes":
                first[at : at + data] = np.arange(place, place + data)
                past[at : at + data] = first[at : at + data] + 1
            else:
                first[at : at + data] = _character_of_byte(stretch) + place
                past[at : at + data] = first[at : at + data] + 1
        else:
            first[at : at + data] = place
            past[at : at + data] = place + size(stretch)
        at += data
        place += size(stretch)
    return first[starts], past[ends - 1]


def _raw(text: str) -> bytes:
    """UTF-8, with invalid bytes that surrogates stand for as they are."""
    return text.encode("utf-8", "surrogateescape")


def _character_of_byte(text: str) -> npt.NDArray[np.int64]:
    data = np.frombuffer(_raw(text), dtype=np.uint8)
    return np.cumsum((data & 0xC0) != 0x80) - 1


# ---- Smaller vocabularies ----


def _truncated(vocabulary: Vocabulary, vocab_size: int) -> Vocabulary:
    if type(vocab_size) is not int:
        raise TypeError(f"vocab_size is an integer, not {vocab_size!r}")
    made = _made_by_merges(vocabulary)
    removed = vocabulary.vocab_size - vocab_size
    if not 0 <= removed <= len(made):
        raise ValueError(
            f"vocab_size {vocab_size} is not between {vocabulary.vocab_size - len(made)} (bytes and special tokens) "
            f"and {vocabulary.vocab_size} (this vocabulary)"
        )
    gone = set(made[len(made) - removed :])
    tokens = {id: token for id, token in vocabulary.tokens.items() if id not in gone}
    # Special tokens behind the removed ids close the gap, as training with the smaller size would have placed them.
    last = max(vocabulary.tokens, default=-1)
    closes = gone == set(range(last - removed + 1, last + 1))
    moved = {
        special.id: special.id - removed if closes and special.id > last else special.id
        for special in vocabulary.special_tokens
    }
    specials = [replace(special, id=moved[special.id]) for special in vocabulary.special_tokens]
    template = Template(
        tuple(moved.get(id, id) for id in vocabulary.template.before),
        tuple(moved.get(id, id) for id in vocabulary.template.after),
    )
    changes: dict[str, Any] = {"tokens": tokens, "special_tokens": specials, "template": template}
    if vocabulary.merges is not None:
        changes["merges"] = vocabulary.merges[: len(vocabulary.merges) - removed]
    else:
        assert vocabulary.ranks is not None
        changes["ranks"] = [id for id in vocabulary.ranks if id not in gone]
    return vocabulary.replace(**changes)


def _made_by_merges(vocabulary: Vocabulary) -> list[int]:
    """The ids that merges made, by rank, where merge r made exactly token r and ids follow ranks."""
    tokens, ids = vocabulary.tokens, vocabulary.ids
    if vocabulary.merges is not None:
        made = [ids[tokens[left] + tokens[right]] for left, right in vocabulary.merges]
    else:
        assert vocabulary.ranks is not None
        made = [id for id in vocabulary.ranks if len(tokens[id]) > 1]
    if any(first >= second for first, second in pairwise(made)):
        raise ValueError(
            "this vocabulary cannot be truncated: its merges do not make one token each in the order of ids, "
            "so a prefix of them is not a smaller vocabulary"
        )
    return made
