"""A bbpe tokenizer that is called as ``tiktoken.Encoding`` is.

What it does: tiktoken's method names, arguments, defaults and exceptions (``ValueError`` for text that spells a special
token that is not allowed, ``KeyError`` for what is not in the vocabulary), so that ``enc = bbpe.as_tiktoken("o200k_base")``
can stand where ``enc = tiktoken.get_encoding("o200k_base")`` stood. What it does not: encode; that is
``tokenizer.py``. A lone surrogate becomes U+FFFD in ``encode`` and an error in ``encode_to_numpy``, as in tiktoken.

Any byte-level BPE vocabulary may be used, not only those that tiktoken can run; a normalizer and the flags of special
tokens (``lstrip`` ...) then act as in ``Tokenizer``. The template of a vocabulary is never added: tiktoken has none.

Compared with tiktoken call by call in ``tests/test_adapter_tiktoken.py``. Where to read next:
``tiktoken_unstable.py`` for ``encode_with_unstable``.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Literal, NoReturn

import numpy as np
import numpy.typing as npt

from bbpe.adapters.special_search import first_of
from bbpe.adapters.tiktoken_unstable import completions
from bbpe.engines import EngineTokenizer
from bbpe.errors import EncodeError, FormatError, MissingByteError, shown
from bbpe.io import load
from bbpe.threads import processors
from bbpe.tokenizer import Allowed, Tokenizer, id_list, integer_id

__all__ = ["TiktokenEncoding", "as_tiktoken"]

_NOTHING: frozenset[str] = frozenset()


def as_tiktoken(
    tokenizer: Tokenizer | EngineTokenizer | str | os.PathLike[str], name: str | None = None
) -> TiktokenEncoding:
    """A tokenizer to be called as ``tiktoken.Encoding`` is.

    Args:
        tokenizer: A tokenizer, or what ``bbpe.load`` takes: a path or a catalogue name.
        name: What ``.name`` says; the vocabulary's own name when None.

    Raises:
        FormatError: It cannot be loaded, or another library runs it (SentencePiece, WordPiece ...).
    """
    loaded = load(tokenizer) if isinstance(tokenizer, (str, os.PathLike)) else tokenizer
    if isinstance(loaded, EngineTokenizer):
        raise FormatError(
            f"this vocabulary is run by {loaded.engine} ({loaded.reason}), and tiktoken's calls speak of byte-level BPE; "
            "use its own encode and decode"
        )
    return TiktokenEncoding(loaded, name)


class TiktokenEncoding:
    """What ``tiktoken.Encoding`` does, done by bbpe. Safe to use from many threads; picklable.

    Args:
        tokenizer: What encodes.
        name: What ``.name`` says; the vocabulary's own name when None.

    >>> from bbpe import Tokenizer, Vocabulary, get_pattern
    >>> tokens = {**{i: bytes([i]) for i in range(256)}, 256: b"ab"}
    >>> enc = TiktokenEncoding(Tokenizer(Vocabulary(tokens, pattern=get_pattern("cl100k"), name="mine")))
    >>> enc, enc.encode("abc"), enc.encode_single_token("ab"), enc.n_vocab
    (<Encoding 'mine'>, [256, 99], 256, 257)
    """

    def __init__(self, tokenizer: Tokenizer, name: str | None = None) -> None:
        if not isinstance(tokenizer, Tokenizer):
            raise TypeError(f"tokenizer is a Tokenizer, not {type(tokenizer).__name__}; bbpe.as_tiktoken loads names")
        self.name = tokenizer.vocabulary.name or "bbpe" if name is None else name
        self.max_token_value = tokenizer.id_space - 1
        self._tokenizer = tokenizer
        self._special_tokens = tokenizer.special_tokens
        self._special_contents = frozenset(self._special_tokens)
        self._special_token_values = frozenset(self._special_tokens.values())

    def __repr__(self) -> str:
        return f"<Encoding {self.name!r}>"

    # ---- encoding ----

    def encode_ordinary(self, text: str) -> list[int]:
        """The ids of a text in which special tokens are plain text."""
        try:
            return self._tokenizer.encode(text)
        except MissingByteError:
            raise
        except EncodeError:
            return self._tokenizer.encode(_without_lone_surrogates(text))

    def encode(
        self,
        text: str,
        *,
        allowed_special: Literal["all"] | AbstractSet[str] = frozenset(),
        disallowed_special: Literal["all"] | Collection[str] = "all",
    ) -> list[int]:
        """The ids of a text.

        Args:
            text: Any str.
            allowed_special: Special tokens that count as such where they stand in the text, or ``"all"``.
            disallowed_special: Text that must not occur; ``"all"``: every special token that is not allowed. With
                ``()`` what is neither allowed nor disallowed is plain text.

        Raises:
            ValueError: The text holds a disallowed special token.
        """
        allowed, disallowed = self._special_sets(allowed_special, disallowed_special)
        _check(text, disallowed)
        known = self._known(allowed)
        try:
            return self._tokenizer.encode(text, allowed_special=known)
        except MissingByteError:
            raise
        except EncodeError:
            return self._tokenizer.encode(_without_lone_surrogates(text), allowed_special=known)

    def encode_to_numpy(
        self,
        text: str,
        *,
        allowed_special: Literal["all"] | AbstractSet[str] = frozenset(),
        disallowed_special: Literal["all"] | Collection[str] = "all",
    ) -> npt.NDArray[np.uint32]:
        """The ids of a text as a uint32 array; arguments as for ``encode``.

        Raises:
            UnicodeEncodeError: The text holds a lone surrogate.
            ValueError: The text holds a disallowed special token.
        """
        allowed, disallowed = self._special_sets(allowed_special, disallowed_special)
        _check(text, disallowed)
        try:
            return self._tokenizer.encode_to_numpy(text, allowed_special=self._known(allowed))
        except EncodeError:
            text.encode()
            raise

    def encode_ordinary_batch(self, text: list[str], *, num_threads: int = 8) -> list[list[int]]:
        """The ids of every text, special tokens being plain text."""
        return self._encode_batch(list(text), num_threads, ())

    def encode_batch(
        self,
        text: list[str],
        *,
        num_threads: int = 8,
        allowed_special: Literal["all"] | AbstractSet[str] = frozenset(),
        disallowed_special: Literal["all"] | Collection[str] = "all",
    ) -> list[list[int]]:
        """The ids of every text; arguments and errors as for ``encode``. At most ``num_threads`` cores are used."""
        allowed, disallowed = self._special_sets(allowed_special, disallowed_special)
        texts = list(text)
        for each in texts:
            _check(each, disallowed)
        return self._encode_batch(texts, num_threads, self._known(allowed))

    def encode_with_unstable(
        self,
        text: str,
        *,
        allowed_special: Literal["all"] | AbstractSet[str] = frozenset(),
        disallowed_special: Literal["all"] | Collection[str] = "all",
    ) -> tuple[list[int], list[list[int]]]:
        """The ids that more text cannot change, and the sequences of ids that may cover the rest of ``text``.

        Arguments and errors as for ``encode_to_numpy``. The completions are tiktoken's, in ascending order (there they
        come in an order that differs from call to call).

        Raises:
            FormatError: The vocabulary has a normalizer, so that ids do not cover the text as given.
        """
        allowed, disallowed = self._special_sets(allowed_special, disallowed_special)
        _check(text, disallowed)
        text.encode()
        return completions(self._tokenizer, text, self._known(allowed))

    def encode_single_token(self, text_or_bytes: str | bytes) -> int:
        """The id of one token, special tokens included.

        Raises:
            KeyError: There is no such token.
        """
        token = text_or_bytes.encode() if isinstance(text_or_bytes, str) else text_or_bytes
        if not isinstance(token, bytes):
            raise TypeError(f"a token is str or bytes, not {type(token).__name__}")
        id = self._tokenizer.vocabulary.ids.get(token)
        if id is None:
            id = self._special_tokens.get(token.decode("utf-8", "surrogateescape"))
        if id is None:
            raise KeyError(token)
        return id

    # ---- decoding ----

    def decode_bytes(self, tokens: Sequence[int]) -> bytes:
        """The bytes of some ids.

        Raises:
            KeyError: An id that is not in the vocabulary.
        """
        ids: Any = list(tokens) if isinstance(tokens, (bytes, bytearray)) else tokens
        try:
            return self._tokenizer.decode_bytes(ids)
        except EncodeError:
            for position, id in enumerate(ids):
                self._check_id(id, "Invalid token for decoding: ", position)
            raise

    def decode(self, tokens: Sequence[int], errors: str = "replace") -> str:
        """The text of some ids; bytes that are no valid UTF-8 as ``bytes.decode`` treats them with ``errors``."""
        return self.decode_bytes(tokens).decode("utf-8", errors=errors)

    def decode_single_token_bytes(self, token: int) -> bytes:
        """The bytes of one id, special tokens included.

        Raises:
            KeyError: An id that is not in the vocabulary.
        """
        try:
            return self._tokenizer.token(token)
        except EncodeError:
            self._check_id(token, "", None)
            raise

    def decode_tokens_bytes(self, tokens: Sequence[int]) -> list[bytes]:
        """The bytes of each id."""
        ids = list(tokens) if isinstance(tokens, (bytes, bytearray)) else id_list(tokens)
        found = []
        for position, given in enumerate(ids):
            id = given if type(given) is int else integer_id(given, position)
            self._check_id(id, "", position)
            found.append(self._tokenizer.token(id))
        return found

    def decode_with_offsets(self, tokens: Sequence[int]) -> tuple[str, list[int]]:
        """The text of some ids, and the character at which each begins: the first that holds bytes of the token.

        Raises:
            UnicodeDecodeError: The ids are not valid UTF-8 together.
        """
        offsets = []
        done = 0  # characters begun
        pieces = self.decode_tokens_bytes(tokens)
        for piece in pieces:
            offsets.append(max(0, done - (0x80 <= piece[0] < 0xC0)))
            done += len(piece) - len(piece.translate(None, _CHARACTER_STARTS))
        return b"".join(pieces).decode("utf-8", errors="strict"), offsets

    def decode_batch(
        self, batch: Sequence[Sequence[int]], *, errors: str = "replace", num_threads: int = 8
    ) -> list[str]:
        """The text of every list of ids. ``num_threads`` is for tiktoken's callers: one core is enough."""
        _check_threads(num_threads)
        return [data.decode("utf-8", errors=errors) for data in self._each(batch)]

    def decode_bytes_batch(self, batch: Sequence[Sequence[int]], *, num_threads: int = 8) -> list[bytes]:
        """The bytes of every list of ids. ``num_threads`` is for tiktoken's callers: one core is enough."""
        _check_threads(num_threads)
        return self._each(batch)

    # ---- what it is ----

    def token_byte_values(self) -> list[bytes]:
        """The bytes of every token but the special ones, in ascending order."""
        return sorted(self._tokenizer.vocabulary.tokens.values())

    @property
    def eot_token(self) -> int:
        """The id of ``<|endoftext|>``; KeyError where there is none."""
        return self._special_tokens["<|endoftext|>"]

    @property
    def special_tokens_set(self) -> set[str]:
        """The special tokens."""
        return set(self._special_tokens)

    def is_special_token(self, token: int) -> bool:
        """Whether an id is that of a special token."""
        if not isinstance(token, int):
            raise AssertionError(f"a token is an int, not {type(token).__name__}")  # what tiktoken raises
        return token in self._special_token_values

    @property
    def n_vocab(self) -> int:
        """The last id + 1."""
        return self.max_token_value + 1

    # What tiktoken's README has people take from one Encoding to make another, and its own class keeps under these names.

    @property
    def _pat_str(self) -> str:
        return str(self._tokenizer.pattern.spelling("tiktoken"))

    @property
    def _mergeable_ranks(self) -> dict[bytes, int]:
        vocabulary = self._tokenizer.vocabulary
        if vocabulary.ranks is None or list(vocabulary.ranks) != list(vocabulary.tokens):
            raise FormatError("this vocabulary has no ranks that are its ids; bbpe.save writes .tiktoken where it can")
        return dict(vocabulary.ids)

    # ---- inside ----

    def _special_sets(
        self, allowed: Literal["all"] | AbstractSet[str], disallowed: Literal["all"] | Collection[str]
    ) -> tuple[AbstractSet[str], frozenset[str]]:
        """Both arguments as sets."""
        if disallowed == "all" and not allowed:
            return _NOTHING, self._special_contents  # the defaults: nothing to compute for a short text
        allowed_set: AbstractSet[str] = self._special_contents if allowed == "all" else allowed
        if disallowed == "all":
            return allowed_set, frozenset(self.special_tokens_set - allowed_set)
        return allowed_set, frozenset(disallowed)

    def _known(self, allowed: AbstractSet[str]) -> Allowed:
        """The allowed special tokens that there are: tiktoken passes over others."""
        if not isinstance(allowed, AbstractSet):
            raise TypeError(f"allowed_special is a set of special tokens or 'all', not {allowed!r}")
        return frozenset(allowed & self._special_contents) or ()

    def _encode_batch(self, texts: list[str], num_threads: int, allowed: Allowed) -> list[list[int]]:
        _check_threads(num_threads)
        threads = min(num_threads, processors())
        try:
            return self._tokenizer.encode_batch(texts, threads=threads, allowed_special=allowed)
        except MissingByteError:
            raise
        except EncodeError:
            repaired = [_without_lone_surrogates(each) for each in texts]
            return self._tokenizer.encode_batch(repaired, threads=threads, allowed_special=allowed)

    def _each(self, batch: Sequence[Sequence[int]]) -> list[bytes]:
        """The bytes of every list; what is wrong with one is said with its number."""
        found = []
        for number, tokens in enumerate(batch):
            try:
                found.append(self.decode_bytes(tokens))
            except (KeyError, OverflowError, TypeError) as error:
                raise type(error)(f"{error.args[0]} (list {number})") from None
        return found

    def _check_id(self, id: Any, words: str, position: int | None) -> None:
        """Raise what tiktoken raises for an id that is none, with its position; nothing for one that there is."""
        where = "" if position is None else f" at position {position}"
        if not 0 <= id < 2**32:
            raise OverflowError(f"{shown(int(id))}{where} is no id: out of range")
        vocabulary = self._tokenizer.vocabulary
        if id not in vocabulary.tokens and id not in self._special_token_values:
            raise KeyError(f"{words}{id}{where}")


_CHARACTER_STARTS = bytes([*range(0x80), *range(0xC0, 0x100)])


def _without_lone_surrogates(text: str) -> str:
    """What tiktoken does: halves of a character that stand together are joined, others become U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _check_threads(num_threads: int) -> None:
    if num_threads < 1:
        raise ValueError(f"num_threads is a positive integer, not {num_threads}")


def _check(text: str, disallowed: frozenset[str]) -> None:
    """Refuse a text that holds a disallowed special token; the leftmost, and of those the longest, is named."""
    if not isinstance(text, str):
        raise TypeError(f"text is str, not {type(text).__name__}")
    found = first_of(disallowed, text)
    if found is not None:
        _refuse(found)


def _refuse(token: str) -> NoReturn:
    # The words are tiktoken's: programs look for them.
    raise ValueError(
        f"Encountered text corresponding to disallowed special token {token!r}.\n"
        "If you want this text to be encoded as a special token, "
        f"pass it to `allowed_special`, e.g. `allowed_special={{{token!r}, ...}}`.\n"
        "If you want this text to be encoded as normal text, disable the check for this token "
        f"by passing `disallowed_special=(enc.special_tokens_set - {{{token!r}}})`.\n"
        "To disable this check for all special tokens, pass `disallowed_special=()`.\n"
    )
