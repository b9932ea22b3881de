"""One row of what a call of the fast-tokenizer shape returns: ids, and what is known of each.

What it does: what ``tokenizers.Encoding`` shows: type ids, masks, offsets, words, which text of a pair a token is of, and
the ways between characters, words and tokens. What it does not: encode, or truncate (``fast_tokenizer.py``). Offsets and
words are looked up when they are asked for, unless the call has them already.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar

from bbpe.adapters.post_processing import Segment

__all__ = ["CharSpan", "Encoding", "Part", "Speller", "Text", "TokenSpan"]

Text: TypeAlias = "str | list[str]"
"""A text, or its words."""

_Value = TypeVar("_Value")


class CharSpan(NamedTuple):
    """Characters of a text, from ``start`` up to ``end``."""

    start: int
    end: int


class TokenSpan(NamedTuple):
    """Tokens of a row, from ``start`` up to ``end``."""

    start: int
    end: int


class Speller(Protocol):
    """What a row asks its tokenizer for."""

    def convert_ids_to_tokens(self, ids: Any) -> Any: ...

    def offsets_of(self, text: Text, split: bool) -> list[tuple[int, int]]:
        """The characters of each token of a text."""
        ...

    def words_of(self, text: Text, split: bool) -> list[int]:
        """The number of the word of each token of a text."""
        ...

    def trimmed(self, offsets: list[tuple[int, int]], ids: list[int]) -> list[tuple[int, int]]:
        """Offsets as they are shown."""
        ...


@dataclass(slots=True)
class Part:
    """Tokens of a text, or what truncation left of them.

    Attributes:
        ids: The ids.
        text: The text, or its words.
        split: Whether special tokens were plain text in it.
        begin: The number of the first of these tokens among all of the text.
        known: The characters of all tokens of the text, where the call has them.
    """

    ids: list[int]
    text: Text
    split: bool
    begin: int = 0
    known: list[tuple[int, int]] | None = None

    def cut(self, begin: int, end: int) -> Part:
        """The tokens from ``begin`` up to ``end`` of these, which are all of the text."""
        if end - begin == len(self.ids):
            return self
        return Part(self.ids[begin:end], self.text, self.split, begin, self.known)

    def offsets(self, speller: Speller) -> list[tuple[int, int]]:
        """The characters of each of these tokens."""
        found = self.known if self.known is not None else speller.offsets_of(self.text, self.split)
        if len(found) > len(self.ids):
            found = found[self.begin : self.begin + len(self.ids)]
        return speller.trimmed(found, self.ids)

    def words(self, speller: Speller) -> list[int]:
        """The number of the word of each of these tokens."""
        return speller.words_of(self.text, self.split)[self.begin : self.begin + len(self.ids)]


@dataclass(slots=True)
class _Run:
    """Tokens one after another of one text, of the template (``sequence`` None), or of padding."""

    sequence: int | None
    size: int
    type_id: int
    padding: bool = False


@dataclass(slots=True)
class Encoding:
    """One row.

    Attributes:
        ids: The ids.
        parts: The texts that they are of.
        runs: Which of the ids are of which text.
        speller: The tokenizer.
    """

    ids: list[int]
    parts: tuple[Part, ...]
    runs: list[_Run]
    speller: Speller = field(repr=False)
    _offsets: list[tuple[int, int]] | None = field(default=None, repr=False)
    _words: list[int | None] | None = field(default=None, repr=False)

    @classmethod
    def of(cls, parts: tuple[Part, ...], layout: tuple[Segment, ...], speller: Speller) -> Encoding:
        """The texts as a template lays them out."""
        if len(layout) == 1:
            return cls(parts[0].ids, parts, [_Run(0, len(parts[0].ids), layout[0].type_id)], speller)
        made = cls([], parts, [], speller)
        for segment in layout:
            ids = segment.ids if segment.sequence is None else parts[segment.sequence].ids
            made.ids += ids
            made.runs.append(_Run(segment.sequence, len(ids), segment.type_id))
        return made

    def pad(self, size: int, id: int, type_id: int, side: str) -> None:
        """Put ``size`` ids at one side."""
        if size <= 0:
            return
        run = _Run(None, size, type_id, padding=True)
        if side == "left":
            self.ids, self.runs = [id] * size + self.ids, [run, *self.runs]
        else:
            self.ids, self.runs = self.ids + [id] * size, [*self.runs, run]
        self._offsets = self._words = None

    def __len__(self) -> int:
        return len(self.ids)

    # ---- of each token ----

    @property
    def tokens(self) -> list[str]:
        """The tokens, spelled as in ``tokenizer.json``."""
        found: list[str] = self.speller.convert_ids_to_tokens(self.ids)
        return found

    @property
    def type_ids(self) -> list[int]:
        """The type of each token."""
        return self._spread([run.type_id for run in self.runs])

    @property
    def attention_mask(self) -> list[int]:
        """0 for padding, else 1."""
        return self._spread([int(not run.padding) for run in self.runs])

    @property
    def special_tokens_mask(self) -> list[int]:
        """1 for what was put around texts and for padding, else 0."""
        return self._spread([int(run.sequence is None) for run in self.runs])

    @property
    def sequence_ids(self) -> list[int | None]:
        """0 or 1, the text of a pair that a token is of; None for what was put around them."""
        return self._spread([run.sequence for run in self.runs])

    @property
    def offsets(self) -> list[tuple[int, int]]:
        """The characters of each token in its text; (0, 0) for what was put around it."""
        if self._offsets is None:
            if len(self.runs) == 1:
                self._offsets = self.parts[0].offsets(self.speller)
                return self._offsets
            self._offsets = []
            for run in self.runs:
                outside = run.sequence is None
                self._offsets += [(0, 0)] * run.size if outside else self.parts[run.sequence or 0].offsets(self.speller)
        return self._offsets

    @property
    def word_ids(self) -> list[int | None]:
        """The word of each token in its text: the number of its pretoken, or of the word as it was given."""
        if self._words is None:
            self._words = []
            for run in self.runs:
                outside = run.sequence is None
                self._words += [None] * run.size if outside else self.parts[run.sequence or 0].words(self.speller)
        return self._words

    @property
    def n_sequences(self) -> int:
        """How many texts there are."""
        return len(self.parts)

    def _spread(self, values: list[_Value]) -> list[_Value]:
        """A value for each run, for each of its tokens."""
        found: list[_Value] = []
        for value, run in zip(values, self.runs, strict=True):
            found += [value] * run.size
        return found

    # ---- from one to the other; None where there is none ----

    def token_to_sequence(self, token: int) -> int | None:
        """The text that a token is of."""
        return self.sequence_ids[token]

    def token_to_word(self, token: int) -> int | None:
        """The word that a token is of."""
        return self.word_ids[token]

    def token_to_chars(self, token: int) -> CharSpan | None:
        """The characters of a token."""
        return None if self.sequence_ids[token] is None else CharSpan(*self.offsets[token])

    def char_to_token(self, char: int, sequence: int = 0) -> int | None:
        """The first token with that character."""
        return next((token for token in self._tokens_of(sequence) if _holds(self.offsets[token], char)), None)

    def char_to_word(self, char: int, sequence: int = 0) -> int | None:
        """The word of that character."""
        token = self.char_to_token(char, sequence)
        return None if token is None else self.word_ids[token]

    def word_to_tokens(self, word: int, sequence: int = 0) -> TokenSpan | None:
        """The tokens of a word."""
        words = self.word_ids
        found = [token for token in self._tokens_of(sequence) if words[token] == word]
        return TokenSpan(found[0], found[-1] + 1) if found else None

    def word_to_chars(self, word: int, sequence: int = 0) -> CharSpan | None:
        """The characters of a word."""
        tokens = self.word_to_tokens(word, sequence)
        if tokens is None:
            return None
        return CharSpan(self.offsets[tokens.start][0], self.offsets[tokens.end - 1][1])

    def _tokens_of(self, sequence: int) -> list[int]:
        return [token for token, found in enumerate(self.sequence_ids) if found == sequence]


def _holds(span: tuple[int, int], char: int) -> bool:
    return span[0] <= char < span[1]
