"""A vocabulary: tokens, merges or ranks, special tokens, pattern, normalizer, template.

What it does: hold everything that decides which ids a text gets, immutably, and refuse what contradicts itself. What it
does not: encode (``tokenizer.py``), read or write files (``formats/``), or check what needs the encoder, such as whether
every token can be reached.

Two kinds exist and both are exact. A *merge list* (Hugging Face) merges only the listed pairs, by their rank. A *rank
table* (tiktoken) merges any pair whose concatenation is a token, at that token's rank. *Rank* and *id* are two things:
a rank is a place in the order of merging, an id is what the model sees.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from types import MappingProxyType
from typing import Any

from bbpe.errors import VocabularyError
from bbpe.patterns import Pattern

MAX_ID = 2**32 - 2  # ids are uint32, and the last value marks a byte that has no token
NORMALIZERS = ("NFC",)


@dataclass(frozen=True, slots=True)
class SpecialToken:
    """An atomic token outside merging.

    Attributes:
        content: Its text as it appears in documents.
        id: Its id.
        special: False for a token that a decoder shows even when it skips special tokens (Hugging Face's flag).
        lstrip: Where it is allowed in text, it takes the white space before it.
        rstrip: Where it is allowed in text, it takes the white space after it.
        single_word: It is found only where no word character touches it.
        normalized: It is looked for in normalized text (kept for writing; bbpe always looks in the text as given).
    """

    content: str
    id: int
    special: bool = True
    lstrip: bool = False
    rstrip: bool = False
    single_word: bool = False
    normalized: bool = False


@dataclass(frozen=True, slots=True)
class Template:
    """The ids that a model's own tokenizer puts around a text; ``encode`` adds them only on request."""

    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()


class Vocabulary:
    """Tokens and the rules by which text becomes their ids. Immutable, hashable, picklable.

    Args:
        tokens: Id to bytes, of every token but the special ones. Ids may have holes; all bytes are distinct. Some of
            the 256 single bytes may be missing: encoding such a byte is then an error.
        merges: ``(left id, right id)`` by rank; the result is the token whose bytes are the concatenation.
        ranks: For a rank table instead: the token ids in rank order. Neither given means a rank table in id order.
        special_tokens: Atomic tokens outside merging.
        pattern: What cuts text into pretokens.
        normalizer: ``"NFC"`` or None: runs after special tokens are cut out and before the pattern.
        whole_pretoken: A pretoken that is a token is taken whole, before any merge is tried (``ignore_merges``,
            tiktoken).
        template: Ids around a text.
        name: For messages and reports.

    Raises:
        VocabularyError: Contents that contradict one another: two ids for the same bytes, a merge of unknown tokens, …
    """

    __slots__ = (
        "_ids",
        "_merged",
        "_merges",
        "_name",
        "_normalizer",
        "_pattern",
        "_ranks",
        "_special_tokens",
        "_template",
        "_tokens",
        "_whole_pretoken",
    )

    def __init__(
        self,
        tokens: Mapping[int, bytes],
        *,
        merges: Sequence[tuple[int, int]] | None = None,
        ranks: Sequence[int] | None = None,
        special_tokens: Iterable[SpecialToken] = (),
        pattern: Pattern,
        normalizer: str | None = None,
        whole_pretoken: bool = False,
        template: Template | None = None,
        name: str | None = None,
    ) -> None:
        _check_types(tokens)
        order = list(tokens)
        ordered = dict(tokens) if order == sorted(order) else {id: tokens[id] for id in sorted(order)}
        self._tokens = ordered
        self._ids = _checked_ids(ordered)
        if merges is not None and ranks is not None:
            raise VocabularyError("a vocabulary is a merge list or a rank table: give merges or ranks, not both")
        self._merges: tuple[tuple[int, int], ...] | None = None
        self._merged: tuple[int, ...] = ()
        if merges is not None:
            self._merges, self._merged = _checked_merges(merges, ordered, self._ids)
        self._ranks = None if merges is not None else _checked_ranks(ranks, ordered)
        self._set_rules(
            special_tokens=special_tokens,
            pattern=pattern,
            normalizer=normalizer,
            whole_pretoken=whole_pretoken,
            template=template,
            name=name,
        )

    @classmethod
    def of_learned(
        cls,
        tokens: dict[int, bytes],
        ids: dict[bytes, int],
        merges: tuple[tuple[int, int], ...],
        merged: tuple[int, ...],
        *,
        pattern: Pattern,
        **rules: Any,
    ) -> Vocabulary:
        """A vocabulary of merges that were learned on top of single bytes, which is neither checked again nor copied.

        Args:
            tokens: Id to bytes, ids ascending without a hole.
            ids: Bytes to id of the same.
            merges: ``(left id, right id)`` by rank; the first makes id 256.
            merged: The ids that they make.
            pattern: As for the constructor.
            rules: The constructor's arguments ``special_tokens`` to ``name``.
        """
        made = object.__new__(cls)  # checking 100,000 tokens and merges takes 80 ms
        made._tokens, made._ids, made._merges, made._merged = tokens, ids, merges, merged
        made._ranks = None
        defaults: dict[str, Any] = {
            "special_tokens": (), "normalizer": None, "whole_pretoken": False, "template": None, "name": None
        }  # fmt: skip
        made._set_rules(pattern=pattern, **defaults | rules)
        return made

    def _set_rules(
        self,
        *,
        special_tokens: Iterable[SpecialToken],
        pattern: Pattern,
        normalizer: str | None,
        whole_pretoken: bool,
        template: Template | None,
        name: str | None,
    ) -> None:
        """Check and keep all but the tokens and how they merge."""
        self._special_tokens = _checked_special_tokens(special_tokens, self._tokens)
        if not isinstance(pattern, Pattern):
            raise TypeError(f"pattern is a bbpe.patterns.Pattern, not {type(pattern).__name__}; see get_pattern")
        self._pattern = pattern
        if normalizer is not None and normalizer not in NORMALIZERS:
            raise VocabularyError(f"unknown normalizer {normalizer!r}; known: {', '.join(NORMALIZERS)}")
        self._normalizer = normalizer
        self._whole_pretoken = bool(whole_pretoken)
        self._template = template if template is not None else Template()
        special_ids = self._special_ids()
        for id in (*self._template.before, *self._template.after):
            if id not in special_ids and id not in self._tokens:
                raise VocabularyError(f"the template names id {id}, which is no token of this vocabulary")
        self._name = name

    def _special_ids(self) -> set[int]:
        return {special.id for special in self._special_tokens}

    @property
    def tokens(self) -> Mapping[int, bytes]:
        """Id to bytes of the ordinary tokens, ids ascending."""
        return MappingProxyType(self._tokens)

    @property
    def ids(self) -> Mapping[bytes, int]:
        """Bytes to id of the ordinary tokens."""
        return MappingProxyType(self._ids)

    @property
    def merges(self) -> tuple[tuple[int, int], ...] | None:
        """``(left id, right id)`` by rank, or None for a rank table."""
        return self._merges

    @property
    def merged(self) -> Sequence[int]:
        """The id of the token that each merge makes, by rank; none for a rank table."""
        return self._merged

    @property
    def ranks(self) -> tuple[int, ...] | None:
        """Token ids in rank order, or None for a merge list."""
        return self._ranks

    @property
    def special_tokens(self) -> tuple[SpecialToken, ...]:
        """The special tokens, by id."""
        return self._special_tokens

    @property
    def pattern(self) -> Pattern:
        """What cuts text into pretokens."""
        return self._pattern

    @property
    def normalizer(self) -> str | None:
        """``"NFC"`` or None."""
        return self._normalizer

    @property
    def whole_pretoken(self) -> bool:
        """Whether a pretoken that is a token is taken whole, before any merge."""
        return self._whole_pretoken

    @property
    def template(self) -> Template:
        """The ids that the model's own tokenizer puts around a text."""
        return self._template

    @property
    def name(self) -> str | None:
        """A name for messages and reports."""
        return self._name

    @property
    def vocab_size(self) -> int:
        """Entries: tokens and special tokens, each id once."""
        return len(self._tokens) + sum(id not in self._tokens for id in self._special_ids())

    @property
    def id_space(self) -> int:
        """Last id + 1: the rows that an embedding needs."""
        last = max(self._special_ids(), default=-1)
        if self._tokens:
            last = max(last, next(reversed(self._tokens)))
        return last + 1

    def __len__(self) -> int:
        return self.vocab_size

    def replace(self, **changes: Any) -> Vocabulary:
        """A copy with some of the constructor's arguments changed."""
        arguments = {**self._arguments(), **changes}
        if changes.keys() & {"tokens", "merges", "ranks"} or changes.keys() - self._arguments().keys():
            return Vocabulary(**arguments)
        copy = object.__new__(Vocabulary)  # the tokens are checked already, which for 100,000 takes 80 ms
        copy._tokens, copy._ids, copy._merges, copy._ranks = self._tokens, self._ids, self._merges, self._ranks
        copy._merged = self._merged
        copy._set_rules(**{key: arguments[key] for key in arguments if key not in ("tokens", "merges", "ranks")})
        return copy

    def _arguments(self) -> dict[str, Any]:
        return {
            "tokens": self._tokens,
            "merges": self._merges,
            "ranks": self._ranks,
            "special_tokens": self._special_tokens,
            "pattern": self._pattern,
            "normalizer": self._normalizer,
            "whole_pretoken": self._whole_pretoken,
            "template": self._template,
            "name": self._name,
        }

    def __eq__(self, other: object) -> bool:
        """Equal when every text gets the same ids by the same rules; names do not count."""
        if not isinstance(other, Vocabulary):
            return NotImplemented
        mine, theirs = self._arguments(), other._arguments()
        return all(mine[key] == theirs[key] for key in mine if key != "name")

    def __hash__(self) -> int:
        return hash((len(self._tokens), self._special_tokens, self._pattern, self._normalizer, self._whole_pretoken))

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self._arguments(),)

    def __repr__(self) -> str:
        kind = "ranks" if self._merges is None else f"{len(self._merges):,} merges"
        name = f" {self._name!r}" if self._name else ""
        return f"<Vocabulary{name}: {self.vocab_size:,} entries, {kind}, {len(self._special_tokens)} special>"


def _rebuild(arguments: dict[str, Any]) -> Vocabulary:
    return Vocabulary(**arguments)


def _check_types(tokens: Mapping[int, bytes]) -> None:
    # All at once first: a hundred thousand tokens, one by one, take longer than all that is done with them.
    sound = {*map(type, tokens)} <= {int} and {*map(type, tokens.values())} <= {bytes}
    if sound and (not tokens or (min(tokens) >= 0 and max(tokens) <= MAX_ID and all(tokens.values()))):
        return
    for id, token in tokens.items():
        if type(id) is not int or not 0 <= id <= MAX_ID:
            raise VocabularyError(f"token id {id!r} is not an integer from 0 to {MAX_ID}")
        if type(token) is not bytes or not token:
            raise VocabularyError(f"token {id} is {token!r}; a token is one byte or more")


def _checked_ids(tokens: Mapping[int, bytes]) -> dict[bytes, int]:
    """Bytes to id, once every id and token is sound."""
    ids = dict(zip(tokens.values(), tokens.keys(), strict=True))
    if len(ids) != len(tokens):
        seen: dict[bytes, int] = {}
        for id, token in tokens.items():
            if token in seen:
                raise VocabularyError(f"tokens {seen[token]} and {id} have the same bytes {token!r}")
            seen[token] = id
    return ids


def _checked_merges(
    merges: Sequence[tuple[int, int]], tokens: Mapping[int, bytes], ids: Mapping[bytes, int]
) -> tuple[tuple[tuple[int, int], ...], tuple[int, ...]]:
    """The merges and the ids of the tokens that they make."""
    checked: tuple[tuple[int, int], ...] = tuple(tuple(pair) for pair in merges)  # type: ignore[misc]
    if {*map(len, checked)} - {2} or {*map(type, chain.from_iterable(checked))} - {int}:
        for rank, pair in enumerate(checked):
            if len(pair) != 2 or type(pair[0]) is not int or type(pair[1]) is not int:
                raise VocabularyError(f"merge {rank} is {pair!r}; a merge is two token ids")
    try:
        merged = tuple([ids[tokens[left] + tokens[right]] for left, right in checked])
    except (KeyError, TypeError):
        for rank, (left, right) in enumerate(checked):
            for side in (left, right):
                if side not in tokens:
                    raise VocabularyError(f"merge {rank} names id {side}, which is no token") from None
            result = tokens[left] + tokens[right]
            if result not in ids:
                raise VocabularyError(
                    f"merge {rank} joins {tokens[left]!r} and {tokens[right]!r}, but {result!r} is no token"
                ) from None
        raise
    if len(set(checked)) != len(checked):
        first: dict[tuple[int, int], int] = {}
        for rank, pair in enumerate(checked):
            if pair in first:
                raise VocabularyError(f"merges {first[pair]} and {rank} are the same pair {pair}")
            first[pair] = rank
    return checked, merged


def _checked_ranks(ranks: Sequence[int] | None, tokens: Mapping[int, bytes]) -> tuple[int, ...]:
    if ranks is None:
        return tuple(tokens)
    checked = tuple(ranks)
    if any(type(id) is not int for id in checked):
        raise VocabularyError("a rank table lists token ids, which are integers")
    if len(checked) != len(tokens) or set(checked) != tokens.keys():
        raise VocabularyError("a rank table lists the id of every token exactly once")
    return checked


def _checked_special_tokens(
    special_tokens: Iterable[SpecialToken], tokens: Mapping[int, bytes]
) -> tuple[SpecialToken, ...]:
    given = tuple(special_tokens)
    for special in given:
        if not isinstance(special, SpecialToken):
            raise TypeError(f"special tokens are SpecialToken objects, not {type(special).__name__}")
        if type(special.content) is not str or type(special.id) is not int:
            raise TypeError(f"{special!r}: content is a str and id an int")
    checked = tuple(sorted(given, key=lambda special: special.id))
    contents: dict[str, int] = {}
    taken: dict[int, str] = {}
    for special in checked:
        if not special.content:
            raise VocabularyError(f"special token {special.id} is empty")
        try:
            encoded = special.content.encode()
        except UnicodeEncodeError:
            raise VocabularyError(f"special token {special.content!r} holds a lone surrogate") from None
        if type(special.id) is not int or not 0 <= special.id <= MAX_ID:
            raise VocabularyError(f"special token {special.content!r} has id {special.id!r}, not 0 to {MAX_ID}")
        if special.content in contents:
            raise VocabularyError(
                f"special token {special.content!r} stands twice, as {contents[special.content]} and {special.id}"
            )
        if special.id in taken:
            raise VocabularyError(
                f"id {special.id} belongs to two special tokens, {taken[special.id]!r} and {special.content!r}"
            )
        if special.id in tokens and tokens[special.id] != encoded:
            raise VocabularyError(
                f"id {special.id} belongs to token {tokens[special.id]!r} and to special token {special.content!r}"
            )
        contents[special.content] = special.id
        taken[special.id] = special.content
    return checked
