"""What decides the result of a training but the text itself, checked: each option for itself and against the others.

What it does not: learn (``learning.py``), or say what came of it (``record.py``).
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from bbpe.errors import TrainingError
from bbpe.normalizer import normalize
from bbpe.patterns import Pattern, Pretokenizer, get_pattern
from bbpe.vocabulary import Vocabulary

__all__ = ["MAX_TOTAL", "SUPERWORD_PATTERN", "ByteOrder", "TrainingOptions", "checked_special_tokens"]

ByteOrder = Literal["value", "gpt2"]

MAX_TOTAL = 2**63 - 1
SUPERWORD_PATTERN = r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]{2,}[\r\n/]*| +(?!\S)"
"""Where superwords end, unless asked otherwise: SuperBPE's own second pattern (Liu et al. 2025, arXiv:2503.13423;
``scripts/extend_tokenizer.sh`` of PythonNut/superbpe). Digits, runs of punctuation and spaces before a line's end stay
apart; what stands between them is one pretoken, lines and sentences long."""


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """Everything that decides the result of a training but the text itself.

    Attributes:
        vocab_size: Stop when there are so many entries: bytes, merges and special tokens.
        num_merges: Stop after so many merges. One of the two has to be given; with both, whichever comes first.
        min_count: Stop when no pair occurs so often.
        pattern: What cuts text into pretokens: a name, a regex, a list of stages, or a ``Pattern``.
        special_tokens: Strings cut out of the text; they get the last ids, in this order.
        max_token_bytes: No merge makes a longer token.
        max_pretoken_bytes: Longer pretokens are cut, between characters, before anything is counted.
        byte_order: ``"value"``: byte *b* has id *b*. ``"gpt2"``: the permutation of OpenAI's and Hugging Face's files.
        normalizer: ``"NFC"`` or None.
        text_field: The field of JSON lines, or the column of Parquet, that holds the text.
        lines: Each line of a text file is a document.
        strict: Invalid UTF-8 is an error.
        min_pretoken_count: Pretokens that occur less often, all sources together, are left out before anything is
            learned. ``train`` does it; counts that are given to ``learn`` are taken as they are.
        weights: (path, weight) of each source; empty when every byte counts the same.
        sample: Only a sample of the documents is learned from, of at most so many bytes of text.
        sample_seed: What decides which documents are in the sample.
        utf8_safe: Tokens are whole characters, or a single piece of one; never a character and a piece of the next.
            Extensions have it, too; "character integrity" in Land and Arnett 2025, arXiv:2505.24689.
        balance: (path of a source, path of its side of a parallel text): the next merge is always the best one of the
            source whose side has the most tokens. Empty: the best one of all text. Parity-aware BPE, Foroutan et al.
            2025, arXiv:2508.04796.
        superwords: From so many entries on, merges cross the edges of ``pattern``, up to those of ``superword_pattern``.
            SuperBPE, Liu et al. 2025, arXiv:2503.13423.
        superword_pattern: The looser pattern, which is then that of the vocabulary. None: ``SUPERWORD_PATTERN``.
        protect: Strings that are pretokens wherever they occur, in training and in encoding: no merge crosses their
            edges, and none of them is ever a part of a longer token, but of one that is protected itself. To have them
            as tokens, too, name them in ``seed_tokens``. Both are wanted in huggingface/tokenizers#1380.
        seed_tokens: Strings that are tokens in the end. huggingface/tokenizers#1862 asks for it, and puts their merges
            first; here they come last, so that all other merges are those of plain BPE.

    ``reference.py`` says what the last six mean, point 15.

    Raises:
        TrainingError: A value out of its range, or options that contradict one another.
        PatternError: A pattern that does not exist or compile.
        TypeError: A value of the wrong type.
    """

    vocab_size: int | None = None
    num_merges: int | None = None
    min_count: int = 2
    pattern: Pattern = field(default_factory=lambda: get_pattern("llama3"))
    special_tokens: tuple[str, ...] = ()
    max_token_bytes: int | None = None
    max_pretoken_bytes: int | None = None
    byte_order: ByteOrder = "value"
    normalizer: str | None = None
    text_field: str = "text"
    lines: bool = False
    strict: bool = False
    min_pretoken_count: int = 1
    weights: tuple[tuple[str, str], ...] = ()
    sample: int | None = None
    sample_seed: int = 0
    utf8_safe: bool = False
    balance: tuple[tuple[str, str], ...] = ()
    superwords: int | None = None
    superword_pattern: Pattern | None = None
    protect: tuple[str, ...] = ()
    seed_tokens: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        checked: dict[str, object] = {
            "vocab_size": _integer("vocab_size", self.vocab_size, 0),
            "num_merges": _integer("num_merges", self.num_merges, 0),
            "min_count": _integer("min_count", self.min_count, 1, none=False),
            "max_token_bytes": _integer("max_token_bytes", self.max_token_bytes, 2),
            "max_pretoken_bytes": _integer("max_pretoken_bytes", self.max_pretoken_bytes, 4),
            "min_pretoken_count": _integer("min_pretoken_count", self.min_pretoken_count, 1, none=False),
            "sample": _integer("sample", self.sample, 1),
            "sample_seed": _integer("sample_seed", self.sample_seed, 0, none=False),
            "weights": tuple((path, weight) for path, weight in self.weights),
            "pattern": get_pattern(self.pattern),
            "special_tokens": checked_special_tokens(self.special_tokens),
            "balance": tuple((path, side) for path, side in self.balance),
            "superwords": _integer("superwords", self.superwords, 256),
            "protect": _strings("protect", self.protect),
            "seed_tokens": _strings("seed_tokens", self.seed_tokens),
        }
        if self.superword_pattern is not None:
            checked["superword_pattern"] = get_pattern(self.superword_pattern)
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        if self.byte_order not in ("value", "gpt2"):
            raise TrainingError(f"byte_order is {self.byte_order!r}; expected 'value' or 'gpt2'")
        if self.normalizer not in (None, "NFC"):
            raise TrainingError(f"normalizer is {self.normalizer!r}; expected None or 'NFC'")
        if not isinstance(self.text_field, str):
            raise TypeError(f"text_field is a str, not {type(self.text_field).__name__}")
        for name, flag in (("lines", self.lines), ("strict", self.strict), ("utf8_safe", self.utf8_safe)):
            if not isinstance(flag, bool):
                raise TypeError(f"{name} is True or False, not {flag!r}")
        if self.vocab_size is None and self.num_merges is None:
            raise TrainingError("neither vocab_size nor num_merges is given; one of them has to end the training")
        self._check_options_of_the_loop()

    def _check_options_of_the_loop(self) -> None:
        """What does not go together, and why."""
        if self.superword_pattern is not None and self.superwords is None:
            raise TrainingError("superword_pattern is given without superwords, the entries from which on it holds")
        if self.superwords is not None:
            if self.vocab_size is not None and self.superwords >= self.vocab_size:
                raise TrainingError(
                    f"superwords begin at {self.superwords:,} entries, but there are to be {self.vocab_size:,} in all; "
                    "begin earlier"
                )
            if self.min_pretoken_count > 1:
                raise TrainingError(
                    "min_pretoken_count does not go with superwords: their pretokens are sentences and lines, of which "
                    "nearly every one occurs once"
                )
        if self.balance:
            for name, there in (
                ("weights", bool(self.weights)),
                ("sample", self.sample is not None),
                ("min_pretoken_count", self.min_pretoken_count > 1),
                ("superwords", self.superwords is not None),
            ):
                if there:
                    raise TrainingError(f"balance does not go with {name}; leave one of the two out")
            if len(self.balance) < 2:
                raise TrainingError("balance is for two languages or more; each has a source and a side")
        for string in self.protect:
            for special in self.special_tokens:
                if special in string or string in special:
                    raise TrainingError(
                        f"{string!r} is to be protected, and {special!r} is a special token, which is cut out of the "
                        "text before; leave one of the two out"
                    )
        self._check_seeds()

    def _check_seeds(self) -> None:
        if not self.seed_tokens:
            return
        pattern = Pretokenizer(self.last_pattern)
        most = min(size for size in (self.max_token_bytes, self.max_pretoken_bytes, MAX_TOTAL) if size is not None)
        for seed in self.seed_tokens:
            for special in self.special_tokens:
                if special in seed:
                    raise TrainingError(
                        f"seed token {seed!r} holds the special token {special!r}, which is cut out of all text"
                    )
            if self.normalizer is not None and normalize(seed) != seed:
                raise TrainingError(
                    f"seed token {seed!r} is not in the form that the normalizer {self.normalizer} makes"
                )
            if len(seed.encode()) > most:
                raise TrainingError(f"seed token {seed!r} has {len(seed.encode())} bytes; at most {most} are allowed")
            pieces = pattern.split(seed)
            if len(pieces) > 1:
                shown = ", ".join(repr(piece.decode("utf-8", "replace")) for piece in pieces[:4])
                raise TrainingError(
                    f"seed token {seed!r} can never occur: the pattern cuts it into {shown}; protect it as well, or "
                    "take another pattern"
                )

    @property
    def first_pattern(self) -> Pattern:
        """What cuts text for the first merges: ``pattern``, with what is protected."""
        return self.pattern.protecting(self.protect)

    @property
    def last_pattern(self) -> Pattern:
        """What cuts text for the last merges, and in encoding."""
        if self.superwords is None:
            return self.first_pattern
        return (self.superword_pattern or get_pattern(SUPERWORD_PATTERN)).protecting(self.protect)

    def merges_wanted(self, base: Vocabulary | None = None) -> int:
        """How many merges may be learned on top of ``base`` (None: the 256 bytes) before one of the two limits stops.

        Raises:
            TrainingError: ``vocab_size`` is less than there is to begin with.
        """
        wanted = self.num_merges if self.num_merges is not None else MAX_TOTAL
        if self.vocab_size is not None:
            entries = (256 if base is None else base.vocab_size) + len(self.special_tokens)
            if self.vocab_size < entries:
                what = "256 bytes" if base is None else f"{base.vocab_size:,} entries of the base"
                raise TrainingError(
                    f"vocab_size is {self.vocab_size:,}, but the {what} and {len(self.special_tokens)} special tokens "
                    f"are {entries:,} entries already; give at least that"
                )
            wanted = min(wanted, self.vocab_size - entries)
        return wanted


def _integer(name: str, value: Any, least: int, *, none: bool = True) -> int | None:
    """The value as an ``int``; Cython would take 1.9 for 1, and True for 1."""
    if value is None and none:
        return None
    try:
        number = None if isinstance(value, (bool, np.bool_)) else operator.index(value)
    except TypeError:
        number = None
    if number is None:
        raise TypeError(f"{name} is an integer, not {value!r}")
    if number < least:
        why = "; a character has up to 4" if name == "max_pretoken_bytes" else ""
        raise TrainingError(f"{name} is {number}; expected at least {least}{why}")
    if number > MAX_TOTAL:
        raise TrainingError(f"{name} is {number}; expected at most 2**63 - 1")
    return number


def _strings(name: str, strings: Sequence[str]) -> tuple[str, ...]:
    """Strings that are not empty, each once, in order."""
    if isinstance(strings, (str, bytes)):
        raise TypeError(f"{name} is a list of str, not one")
    for string in strings:
        if not isinstance(string, str):
            raise TypeError(f"{name} holds str, not {type(string).__name__}")
        if not string:
            raise TrainingError(f"{name} holds an empty string; leave it out")
        try:
            string.encode()
        except UnicodeEncodeError:
            raise TrainingError(f"{name} holds {string!r}, a lone surrogate, which has no UTF-8") from None
    return tuple(dict.fromkeys(strings))


def checked_special_tokens(tokens: Sequence[str]) -> tuple[str, ...]:
    if isinstance(tokens, (str, bytes)):
        raise TypeError("special_tokens is a list of str, not one")
    checked: dict[str, int] = {}
    for place, token in enumerate(tokens):
        if not isinstance(token, str):
            raise TypeError(f"special token {place} is a str, not {type(token).__name__}")
        if not token:
            raise TrainingError(f"special token {place} is empty; leave it out")
        if token in checked:
            raise TrainingError(f"special token {token!r} is given twice, at places {checked[token]} and {place}")
        try:
            token.encode()
        except UnicodeEncodeError:
            raise TrainingError(f"special token {token!r} holds a lone surrogate, which has no UTF-8") from None
        checked[token] = place
    return tuple(checked)
