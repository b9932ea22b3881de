"""Where two tokenizers part on a text, and why.

What it does: lay both sequences of tokens over the text, find the stretches that they cut differently, and tell the
reason by experiment: what would the first tokenizer do there with the other's pattern? What it does not: compare whole
corpora (``comparison.py``).

A *difference* is a stretch between two places where both have a token boundary, or where both begin or end a token, in
which they do not make the same tokens. Reasons:

``special token``  a special token of one of them is a token there and not of the other
``normalizer``     one of them changes the text there before it cuts it (NFC, lower case, spaces), or does not know it
``pattern``        with the other's pattern the first one would cut as the other does
``merges``         both see the same pretokens there, or the pattern changes nothing; their tokens or merges differ
``pattern and merges``  neither alone explains it
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from bbpe.analysis.measurement import AnyTokenizer, unknown_id
from bbpe.errors import ComparisonError
from bbpe.normalizer import normalize
from bbpe.tokenizer import Allowed, Tokenizer

__all__ = ["Cut", "Difference", "Differences", "Reason", "difference"]

Reason: TypeAlias = Literal["special token", "normalizer", "pattern", "merges", "pattern and merges"]


@dataclass(frozen=True, slots=True)
class Cut:
    """A token in its place: id, the bytes that it stands for, first byte and past the last in the text."""

    id: int
    token: bytes
    start: int
    end: int
    special: bool = False
    unknown: bool = False


@dataclass(frozen=True, slots=True)
class Difference:
    """A stretch that two tokenizers cut differently.

    Attributes:
        start: Its first byte in the text.
        end: Past its last byte.
        line: Its line, from 1.
        column: Its place in the line in characters, from 1.
        text: The stretch; bytes of partial characters as U+FFFD.
        first: The first tokenizer's tokens there.
        second: The second one's.
        reason: Why.
        explanation: The same in a sentence.
    """

    start: int
    end: int
    line: int
    column: int
    text: str
    first: tuple[Cut, ...]
    second: tuple[Cut, ...]
    reason: Reason
    explanation: str


@dataclass(frozen=True, slots=True)
class Differences:
    """Two tokenizers on a text.

    Attributes:
        first: Name of the first tokenizer.
        second: Name of the second.
        first_tokens: Tokens of the text with the first.
        second_tokens: With the second.
        differences: Where they part, in order.
        reasons: Reason → how many differences it has.
        different_bytes: Bytes of the text in differences.
        bytes: Bytes of the text.
        coarser: Whether every token boundary of the second is one of the first.
    """

    first: str
    second: str
    first_tokens: int
    second_tokens: int
    differences: tuple[Difference, ...]
    reasons: Mapping[str, int]
    different_bytes: int
    bytes: int
    coarser: bool


def difference(
    first: AnyTokenizer,
    second: AnyTokenizer,
    text: str,
    *,
    names: tuple[str, str] = ("A", "B"),
    allowed_special: Allowed = (),
) -> Differences:
    """Find where two tokenizers part.

    Args:
        first: One tokenizer.
        second: The other.
        text: What both encode.
        names: What to call them in explanations.
        allowed_special: Special tokens that count as such where they stand in the text, or ``"all"``: those of the
            two that each knows.

    Raises:
        ComparisonError: A special token that neither knows.

    >>> import bbpe
    >>> small, large = (bbpe.train(["abab abab"] * 9, num_merges=n) for n in (1, 2))
    >>> found = difference(small, large, "abab")
    >>> [(one.text, one.reason) for one in found.differences]
    [('abab', 'merges')]
    """
    cuts = [_cuts(one, text, _known(one, allowed_special)) for one in (first, second)]
    _check_special(allowed_special, first, second)
    data = text.encode()
    stretches = _stretches(data, cuts[0], cuts[1])
    starts = _line_starts(text)
    why = _Reasons(first, second, text, cuts, names, allowed_special)
    found = []
    for a, b in stretches:
        start = min(one.start for one in (*a, *b))
        end = max(one.end for one in (*a, *b))
        reason, explanation = why.reason(start, end, a, b)
        line, column = _place(data, starts, start)
        found.append(
            Difference(
                start=start,
                end=end,
                line=line,
                column=column,
                text=data[start:end].decode("utf-8", "replace"),
                first=a,
                second=b,
                reason=reason,
                explanation=explanation,
            )
        )
    boundaries = [{cut.end for cut in side} for side in cuts]
    return Differences(
        first=names[0],
        second=names[1],
        first_tokens=len(cuts[0]),
        second_tokens=len(cuts[1]),
        differences=tuple(found),
        reasons=dict(Counter(one.reason for one in found).most_common()),
        different_bytes=sum(one.end - one.start for one in found),
        bytes=len(data),
        coarser=boundaries[1] <= boundaries[0],
    )


# --- laying tokens over the text --------------------------------------------------------------------------------------


def _known(tokenizer: AnyTokenizer, allowed: Allowed) -> Allowed:
    """The allowed special tokens that this tokenizer has."""
    if isinstance(allowed, str):
        return allowed
    return tuple(content for content in allowed if content in tokenizer.special_tokens)


def _check_special(allowed: Allowed, first: AnyTokenizer, second: AnyTokenizer) -> None:
    if isinstance(allowed, str):
        return
    for content in allowed:
        if content not in first.special_tokens and content not in second.special_tokens:
            raise ComparisonError(f"{content!r} is a special token of neither of the two")


def _cuts(tokenizer: AnyTokenizer, text: str, allowed: Allowed) -> tuple[Cut, ...]:
    ids, places = tokenizer.encode_with_offsets(text, unit="bytes", allowed_special=allowed)
    special = set(tokenizer.special_tokens.values()) if allowed else set()
    unknown = unknown_id(tokenizer)
    return tuple(
        Cut(id, tokenizer.token(id), start, end, id in special, id == unknown)
        for id, (start, end) in zip(ids, places, strict=True)
    )


def _stretches(
    data: bytes, first: Sequence[Cut], second: Sequence[Cut]
) -> list[tuple[tuple[Cut, ...], tuple[Cut, ...]]]:
    """The shortest runs of tokens that cover the same bytes and are not the same token."""
    found = []
    i = j = 0
    while i < len(first) or j < len(second):
        a_from, b_from = i, j
        a_end = b_end = -1
        # Take tokens from whichever side is behind until both sides end at the same byte.
        while True:
            if a_end <= b_end and i < len(first):
                a_end = max(a_end, first[i].end)
                i += 1
            elif j < len(second):
                b_end = max(b_end, second[j].end)
                j += 1
            elif i < len(first):
                a_end = max(a_end, first[i].end)
                i += 1
            else:
                break
            # Tokens that share one place (bytes of one changed stretch) belong together.
            if a_end == b_end and not _continues(first, i, a_end) and not _continues(second, j, b_end):
                break
        a, b = tuple(first[a_from:i]), tuple(second[b_from:j])
        if not _same(data, a, b):
            found.append((a, b))
    return found


def _continues(cuts: Sequence[Cut], place: int, end: int) -> bool:
    """Whether the next token begins before ``end``: it lies over the same stretch of the text."""
    return place < len(cuts) and cuts[place].start < end


def _same(data: bytes, a: Sequence[Cut], b: Sequence[Cut]) -> bool:
    """Whether the tokens are the same.

    Spaces at their edges are no difference: one library puts them into the token after, another between two tokens, a
    third before every text.
    """

    def seen(cuts: Sequence[Cut]) -> list[tuple[int, int, bytes, bool, bool]]:
        found = []
        for cut in cuts:
            start = cut.start
            while start < cut.end and data[start : start + 1] == b" " and cut.token != b" ":
                start += 1
            if cut.end > cut.start:
                found.append((start, cut.end, cut.token.strip(b" ") or b" ", cut.special, cut.unknown))
        return found

    return seen(a) == seen(b)


def _line_starts(text: str) -> list[int]:
    """The first byte of each line."""
    starts = [0]
    at = 0
    for line in text.split("\n"):
        at += len(line.encode()) + 1
        starts.append(at)
    return starts[:-1]


def _place(data: bytes, starts: Sequence[int], offset: int) -> tuple[int, int]:
    low, high = 0, len(starts) - 1
    while low < high:
        middle = (low + high + 1) // 2
        if starts[middle] <= offset:
            low = middle
        else:
            high = middle - 1
    return low + 1, len(data[starts[low] : offset].decode("utf-8", "ignore")) + 1


# --- why --------------------------------------------------------------------------------------------------------------


class _Reasons:
    """Tells why two tokenizers part, by what a third one does: the first with the second's pattern and normalizer."""

    def __init__(
        self,
        first: AnyTokenizer,
        second: AnyTokenizer,
        text: str,
        cuts: Sequence[tuple[Cut, ...]],
        names: tuple[str, str],
        allowed: Allowed,
    ) -> None:
        self._tokenizers = (first, second)
        self._names = names
        self._data = text.encode()
        self._own = {cut.end for cut in cuts[0]}
        self._tokens: dict[int, frozenset[bytes]] = {}
        self._exchanged: set[int] | None = None
        if isinstance(first, Tokenizer) and isinstance(second, Tokenizer) and first.pattern != second.pattern:
            mixed = Tokenizer(first.vocabulary.replace(pattern=second.pattern, normalizer=second.vocabulary.normalizer))
            self._exchanged = {cut.end for cut in _cuts(mixed, text, _known(first, allowed))}

    def reason(self, start: int, end: int, a: Sequence[Cut], b: Sequence[Cut]) -> tuple[Reason, str]:
        """The reason for one difference, and a sentence."""
        if any(cut.special for cut in (*a, *b)):
            return "special token", self._special(a, b)
        changed = self._changed(start, end, a, b)
        if changed is not None:
            return "normalizer", changed
        inside = range(start + 1, end)
        if self._exchanged is None:
            return "merges", self._merges(a, b)
        theirs = {cut.end for cut in b}.intersection(inside)
        own = self._own.intersection(inside)
        exchanged = self._exchanged.intersection(inside)
        # The exchanged pattern may also move the stretch's own edges.
        edges = (start == 0 or start in self._exchanged) and end in self._exchanged
        if exchanged == theirs and edges:
            return "pattern", self._pattern()
        if exchanged == own and edges:
            return "merges", self._merges(a, b)
        return "pattern and merges", f"{self._pattern()}; and {self._merges(a, b)}"

    def _special(self, a: Sequence[Cut], b: Sequence[Cut]) -> str:
        cut = next(cut for cut in (*a, *b) if cut.special)
        whose = self._names[0] if cut in a else self._names[1]
        other = self._names[1] if cut in a else self._names[0]
        return f"{cut.token.decode('utf-8', 'replace')!r} is a special token of {whose}, not of {other}"

    def _changed(self, start: int, end: int, a: Sequence[Cut], b: Sequence[Cut]) -> str | None:
        """What one of the two does to the text of the stretch before it cuts it, and the other does not."""
        given = self._data[start:end]
        for name, tokenizer, cuts in zip(self._names, self._tokenizers, (a, b), strict=True):
            unknown = next((cut for cut in cuts if cut.unknown), None)
            if unknown is not None:
                lost = self._data[unknown.start : unknown.end].decode("utf-8", "replace")
                return f"{name} has no token for {lost!r} and writes its unknown token"
            if isinstance(tokenizer, Tokenizer):
                text = given.decode("utf-8", "replace")
                if tokenizer.vocabulary.normalizer is not None and normalize(text) != text:
                    other = self._tokenizers[1] if cuts is a else self._tokenizers[0]
                    if not isinstance(other, Tokenizer) or other.vocabulary.normalizer is None:
                        return f"{name} normalizes to NFC: {text!r} becomes {normalize(text)!r}"
            else:
                seen = b"".join(cut.token for cut in cuts)
                if seen != given and seen.strip(b" ") != given.strip(b" "):
                    return f"{name} sees {seen.decode('utf-8', 'replace')!r} there"
        return None

    def _tokens_of(self, tokenizer: AnyTokenizer) -> Container[bytes]:
        if isinstance(tokenizer, Tokenizer):
            return tokenizer.vocabulary.ids
        place = self._tokenizers.index(tokenizer)
        if place not in self._tokens:
            self._tokens[place] = frozenset(map(tokenizer.token, tokenizer.pieces))
        return self._tokens[place]

    def _pattern(self) -> str:
        patterns = [str(one.pattern) for one in self._tokenizers]
        shown = [pattern if len(pattern) <= 30 else "its own pattern" for pattern in patterns]
        return f"the patterns cut differently here ({self._names[0]}: {shown[0]}, {self._names[1]}: {shown[1]})"

    def _merges(self, a: Sequence[Cut], b: Sequence[Cut]) -> str:
        for cut, name, other_name, other in (
            *((cut, self._names[0], self._names[1], self._tokenizers[1]) for cut in _longest_first(a)),
            *((cut, self._names[1], self._names[0], self._tokenizers[0]) for cut in _longest_first(b)),
        ):
            if cut.token not in self._tokens_of(other):
                return f"{name} has the token {_shown(cut.token)}, {other_name} has not"
        for name, tokenizer in zip(self._names, self._tokenizers, strict=True):
            if not isinstance(tokenizer, Tokenizer):
                return f"both have all these tokens; {name} is cut by {tokenizer.engine} ({tokenizer.algorithm})"
        return "both have all these tokens, and merge in another order"


def _longest_first(cuts: Sequence[Cut]) -> list[Cut]:
    return sorted(cuts, key=lambda cut: -len(cut.token))


def _shown(token: bytes) -> str:
    try:
        return repr(token.decode())
    except UnicodeDecodeError:
        return f"⟨{token.hex(' ')}⟩"
