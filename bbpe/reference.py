"""THE SPECIFICATION: byte-level BPE in plain Python, to be read against the five steps.

1. Begin with 256 tokens, one for each byte (``byte_tokens``).
2. Count the adjacent pairs of tokens (``count_pairs``).
3. Merge the most frequent pair into a new token (``best_pair``, ``apply_merge``).
4. Repeat until a stop (``learn_merges``).
5. Segment text with what was learned: lowest rank first, until no merge applies (``encode_pretoken``).

What it does: says what every other module has to compute. Native code is right when it equals this file. What it does
not: it is slow on purpose, recounts everything at every step, and is never a fallback at run time; only tests import it.
Where next: ``_merge.pyx`` has the four names of the training part in the same order; ``_encode.pyx`` is the other half.

Thirteen points that texts about BPE leave open are settled here. Each has a test named after it in
``tests/test_reference.py``, and the name after each is the function to read.

1.  *Training is extension* of a base vocabulary, whose tokens, ids and merges never change. Training from scratch
    extends the 256 byte tokens. A rank table first becomes the list of all its splits. A pair whose bytes are already a
    token (special tokens included) is never learned. ``learn_merges``, ``all_splits``
2.  *A pair's count* is the number of adjacent positions, overlapping ones included, times the pretoken's count, in 64
    bits: text whose counts could exceed them is refused. ``count_pairs``
3.  *A merge* replaces from left to right, without overlap. ``apply_merge``
4.  *The highest count goes first; ties* go to the smaller (left id, right id). Nothing else has a say: not the order of
    files, documents or dictionaries. ``best_pair``
5.  *Three stops*: ``vocab_size`` reached, ``num_merges`` done, no pair occurs ``min_count`` times. The result names
    the one that ended the run, in this order where several hold. A short result is never padded. ``learn_merges``
6.  *Ids*: byte tokens 0-255 in byte order (or in OpenAI's permutation), merge *r* gets 256 + *r*, special tokens come
    last. In an extension new ids start after the base's last one, or where the caller says. ``byte_tokens``
7.  *Sizes*: ``vocab_size`` counts entries: bytes, merges and special tokens. ``max_token_bytes`` is inclusive.
    ``max_pretoken_bytes`` cuts long pretokens between characters, and only in training. ``cut_pretoken``
8.  *Special tokens found in training text* are cut out of it and count for nothing; what stands on either side is
    separate text. ``cut_special_tokens``, ``count_pretokens``
9.  *A pattern* is a list of stages. Each stage sees each piece of the stage before as a whole text, so that end of text is the
    end of the document, the edge of a special token or the edge of a stage. What a stage leaves unmatched is a piece
    too. A match is never empty. ``split_pretokens``
10. *Bytes are never replaced.* An invalid byte is a character of its own, neither letter, digit nor space. A ``str`` with
    a lone surrogate is refused, with its position, unless ``errors="replace"``. ``to_bytes``, ``characters``
11. *A normalizer* (NFC) runs after special tokens are cut and before the pattern, in training as in encoding; offsets
    speak of the original text. ``normalize``
12. *Special tokens in text are plain text unless allowed*, and then the longest one at the leftmost position counts.
    Template tokens are added only on request. ``encode``
13. *A loaded vocabulary need not look like a trained one*: bytes may be missing (the error names the byte and its
    offset), ids may have holes and need not follow ranks. Contradictions are refused on construction. ``Vocabulary``

Errors are plain ``ValueError`` here; the package raises its own kinds of it.
"""

from __future__ import annotations

import codecs
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Literal

import regex

Pair = tuple[int, int]  # two adjacent ids
Span = tuple[int, int]  # from the first to past the last
StopReason = Literal["vocab_size", "num_merges", "min_count"]

MAX_COUNT = 2**63 - 1


# ---- the vocabulary --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Vocabulary:
    """Tokens by id, and what merges them: a merge list or a rank table (point 13).

    >>> v = Vocabulary({0: b"a", 1: b"b", 7: b"ab"}, merges=((0, 1),))  # ids may have holes
    >>> v.last_id, len(v)
    (7, 3)
    >>> Vocabulary({0: b"a", 1: b"a"})
    Traceback (most recent call last):
    ValueError: ids 0 and 1 are both the token b'a'
    """

    tokens: Mapping[int, bytes]
    """The ordinary tokens by id."""
    merges: tuple[Pair, ...] | None = None
    """(left id, right id) in rank order; only these pairs merge, into the token that has their bytes."""
    ranks: tuple[int, ...] | None = None
    """All token ids in rank order; any pair whose bytes are a token merges, at that token's rank."""
    special_tokens: Mapping[str, int] = field(default_factory=dict)
    pattern: tuple[str, ...] = ()
    """Stages in the dialect of ``regex``; none makes a text one pretoken."""
    normalizer: Literal["NFC"] | None = None
    whole_pretoken: bool = False
    """A pretoken that is a token is taken whole, whatever its merges would make of it."""
    template: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())
    """Ids that go before and after a text, on request."""

    def __post_init__(self) -> None:
        if self.merges is None and self.ranks is None:
            object.__setattr__(self, "merges", ())
        if self.merges is not None and self.ranks is not None:
            raise ValueError("a vocabulary has a merge list or a rank table, not both")
        seen: dict[bytes, int] = {}
        for token_id, token in self.tokens.items():
            if not 0 <= token_id < 2**32:
                raise ValueError(f"id {token_id} does not fit in 32 bits")
            if not token:
                raise ValueError(f"the token with id {token_id} is empty")
            if token in seen:
                raise ValueError(f"ids {seen[token]} and {token_id} are both the token {token!r}")
            seen[token] = token_id
        pairs: set[Pair] = set()
        for rank, (left, right) in enumerate(self.merges or ()):
            if left not in self.tokens or right not in self.tokens:
                raise ValueError(f"merge {rank} joins {left} and {right}, of which one is no token")
            if self.tokens[left] + self.tokens[right] not in seen:
                raise ValueError(f"merge {rank} makes {self.tokens[left] + self.tokens[right]!r}, which is no token")
            if (left, right) in pairs:
                raise ValueError(f"merge {rank} joins {left} and {right}, which an earlier merge does already")
            pairs.add((left, right))
        if self.ranks is not None and (len(self.ranks) != len(self.tokens) or set(self.ranks) != set(self.tokens)):
            raise ValueError("a rank table ranks every token exactly once")
        taken = set(self.tokens)
        for content, token_id in self.special_tokens.items():
            if not content:
                raise ValueError(f"the special token with id {token_id} is empty")
            if token_id in taken:
                raise ValueError(f"the special token {content!r} has the id {token_id}, which is taken")
            taken.add(token_id)

    def __len__(self) -> int:
        """Entries: tokens and special tokens."""
        return len(self.tokens) + len(self.special_tokens)

    @property
    def last_id(self) -> int:
        """The greatest id, special tokens included; -1 when there is none."""
        return max([*self.tokens, *self.special_tokens.values()], default=-1)

    @cached_property
    def ids(self) -> dict[bytes, int]:
        """Token to id."""
        return {token: token_id for token_id, token in self.tokens.items()}

    @cached_property
    def _rank_of_pair(self) -> dict[Pair, int]:
        return {pair: rank for rank, pair in enumerate(self.merges or ())}

    @cached_property
    def _rank_of_id(self) -> dict[int, int]:
        return {token_id: rank for rank, token_id in enumerate(self.ranks or ())}

    def rank(self, left: int, right: int) -> int | None:
        """The rank at which two adjacent ids merge; None when they do not."""
        if self.ranks is None:
            return self._rank_of_pair.get((left, right))
        token_id = self.ids.get(self.tokens[left] + self.tokens[right])
        return None if token_id is None else self._rank_of_id[token_id]


def byte_tokens(byte_order: Literal["value", "gpt2"] = "value") -> dict[int, bytes]:
    """Step 1: one token for each byte (point 6).

    ``gpt2`` is the order of OpenAI's and Hugging Face's files: first the 188 bytes that are printable in Latin-1, then
    the other 68, both in byte order.

    >>> tokens = byte_tokens()
    >>> tokens[0], tokens[33], tokens[255]
    (b'\\x00', b'!', b'\\xff')
    >>> tokens = byte_tokens("gpt2")
    >>> tokens[0], tokens[187], tokens[188], tokens[220], tokens[255]
    (b'!', b'\\xff', b'\\x00', b' ', b'\\xad')
    """
    order = list(range(256))
    if byte_order == "gpt2":
        printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
        order = printable + [byte for byte in order if byte not in printable]
    elif byte_order != "value":
        raise ValueError(f"byte_order is {byte_order!r}; expected 'value' or 'gpt2'")
    return {token_id: bytes([byte]) for token_id, byte in enumerate(order)}


# ---- training: the four names that _merge.pyx mirrors ------------------------------------------------------------------


def count_pairs(sequences: Iterable[tuple[Sequence[int], int]]) -> Counter[Pair]:
    """Step 2: count the adjacent pairs of (ids of a pretoken, count of the pretoken), overlapping ones included (point 2).

    ``aaa``, seen 5 times, has the pair (a, a) at two positions: 2 × 5.

    >>> count_pairs([([97, 97, 97], 5), ([97, 98], 2)])
    Counter({(97, 97): 10, (97, 98): 2})
    """
    counts: Counter[Pair] = Counter()
    for ids, count in sequences:
        for pair in zip(ids, ids[1:]):  # noqa: B905 (the second is one shorter)
            counts[pair] += count
    return counts


def best_pair(
    counts: Mapping[Pair, int],
    tokens: Mapping[int, bytes],
    taken: Collection[bytes] = (),
    max_token_bytes: int | None = None,
) -> Pair | None:
    """Step 3: the pair with the highest count; of equal ones the smaller (left id, right id) (point 4).

    A pair is passed over when its bytes are ``taken``, that is a token already (point 1), or longer than
    ``max_token_bytes`` (point 7). None when no pair is left.

    >>> tokens = byte_tokens()
    >>> counts = {(98, 97): 3, (97, 98): 3, (97, 97): 2}
    >>> best_pair(counts, tokens)
    (97, 98)
    >>> best_pair(counts, tokens, taken={b"ab", b"ba"})
    (97, 97)
    >>> best_pair(counts, tokens, max_token_bytes=1) is None
    True
    """
    candidates = [
        pair
        for pair in counts
        if (token := tokens[pair[0]] + tokens[pair[1]]) not in taken
        and (max_token_bytes is None or len(token) <= max_token_bytes)
    ]
    return min(candidates, key=lambda pair: (-counts[pair], pair), default=None)


def apply_merge(ids: Sequence[int], pair: Pair, new_id: int) -> list[int]:
    """Step 3: replace a pair by a new id, from left to right, without overlap (point 3).

    >>> apply_merge([97, 97, 97, 98], (97, 97), 256)
    [256, 97, 98]
    """
    merged: list[int] = []
    at = 0
    while at < len(ids):
        if tuple(ids[at : at + 2]) == pair:
            merged.append(new_id)
            at += 2
        else:
            merged.append(ids[at])
            at += 1
    return merged


@dataclass(frozen=True)
class Learned:
    """What ``learn_merges`` returns."""

    vocabulary: Vocabulary
    """The base and everything added."""
    merges: tuple[Pair, ...]
    """The added merges in learning order."""
    ids: tuple[int, ...]
    """The id that each of them makes."""
    counts: tuple[int, ...]
    """The count that each of them won with."""
    lengths: tuple[int, ...]
    """Ids in the whole training text: before the first added merge, and after each; one more than ``merges``."""
    stop: StopReason


def learn_merges(
    pretokens: Mapping[bytes, int],
    base: Vocabulary | None = None,
    *,
    vocab_size: int | None = None,
    num_merges: int | None = None,
    min_count: int = 2,
    max_token_bytes: int | None = None,
    special_tokens: Sequence[str] = (),
    first_id: int | None = None,
) -> Learned:
    """Step 4: merge the best pair, again and again, until a stop (points 1, 4, 5, 6 and 7).

    The pretokens are segmented by the base first, as it encodes them. The special tokens are added to those of the base;
    they are entries of ``vocab_size`` and take the ids after the last merge. A pretoken with a byte that the base has no
    token for is refused.

    ``aaabdaaabac``, worked by hand. (a, a) occurs 4 times: ``Z = aa``, ``ZabdZabac``. Then (Z, a) and (a, b) occur twice
    each, and (a, b) = (97, 98) is smaller than (256, 97): ``Y = ab``, ``ZYdZYac``. Then (Z, Y) occurs twice: ``X = ZY``,
    ``XdXac``. Now every pair occurs once, which is no pattern.

    >>> learned = learn_merges({b"aaabdaaabac": 1}, num_merges=10)
    >>> learned.merges, learned.counts, learned.lengths, learned.stop
    (((97, 97), (97, 98), (256, 257)), (4, 2, 2), (11, 9, 7, 5), 'min_count')
    >>> learned.vocabulary.tokens[258]
    b'aaab'

    Raises:
        ValueError: for options that contradict one another, and counts that could exceed 64 bits.
    """
    if vocab_size is None and num_merges is None:
        raise ValueError("give vocab_size or num_merges: one of them has to end the training")
    if base is None:
        base = Vocabulary(byte_tokens())
    base = all_splits(base)
    if min_count < 1:
        raise ValueError(f"min_count is {min_count}; expected at least 1")
    entries = len(base) + len(special_tokens)
    if vocab_size is not None and vocab_size < entries:
        raise ValueError(f"vocab_size is {vocab_size}; the base and the special tokens are {entries} entries already")
    if any(count < 0 for count in pretokens.values()):
        raise ValueError("the count of a pretoken is negative")
    if sum(len(pretoken) * count for pretoken, count in pretokens.items()) > MAX_COUNT:
        raise ValueError("the training text has more bytes than 64 bits can count")

    sequences = [(encode_pretoken(pretoken, base), count) for pretoken, count in pretokens.items()]
    tokens = dict(base.tokens)
    specials = dict(base.special_tokens)
    taken = set(tokens.values()) | {content.encode() for content in [*specials, *special_tokens]}
    next_id = base.last_id + 1 if first_id is None else first_id
    merges: list[Pair] = []
    ids: list[int] = []
    counts: list[int] = []
    lengths = [sum(len(sequence) * count for sequence, count in sequences)]
    while True:
        if vocab_size is not None and entries + len(merges) >= vocab_size:
            stop: StopReason = "vocab_size"
            break
        if num_merges is not None and len(merges) >= num_merges:
            stop = "num_merges"
            break
        pairs = count_pairs(sequences)
        pair = best_pair(pairs, tokens, taken, max_token_bytes)
        if pair is None or pairs[pair] < min_count:
            stop = "min_count"
            break
        if next_id in tokens or next_id in specials.values():
            raise ValueError(f"the new id {next_id} is taken by the base")
        tokens[next_id] = tokens[pair[0]] + tokens[pair[1]]
        taken.add(tokens[next_id])
        sequences = [(apply_merge(sequence, pair, next_id), count) for sequence, count in sequences]
        merges.append(pair)
        ids.append(next_id)
        counts.append(pairs[pair])
        lengths.append(sum(len(sequence) * count for sequence, count in sequences))
        next_id += 1
    for content in special_tokens:
        if content in specials:
            raise ValueError(f"the special token {content!r} is there twice")
        specials[content] = next_id
        next_id += 1
    vocabulary = replace(
        base, tokens=tokens, merges=(*(base.merges or ()), *merges), special_tokens=specials
    )
    return Learned(vocabulary, tuple(merges), tuple(ids), tuple(counts), tuple(lengths), stop)


def all_splits(vocabulary: Vocabulary) -> Vocabulary:
    """The merge list that encodes as a rank table does (point 1): every split of every token into two, by the token's rank.

    Splits of one token are in the order of their (left id, right id). A merge list is returned as it is.

    >>> v = Vocabulary({0: b"a", 1: b"b", 2: b"ab", 3: b"ba", 4: b"aba"}, ranks=(0, 1, 2, 3, 4))
    >>> all_splits(v).merges
    ((0, 1), (1, 0), (0, 3), (2, 0))
    """
    if vocabulary.ranks is None:
        return vocabulary
    merges: list[Pair] = []
    for token_id in vocabulary.ranks:
        token = vocabulary.tokens[token_id]
        splits = [(token[:at], token[at:]) for at in range(1, len(token))]
        merges.extend(
            sorted(
                (vocabulary.ids[left], vocabulary.ids[right])
                for left, right in splits
                if left in vocabulary.ids and right in vocabulary.ids
            )
        )
    return replace(vocabulary, merges=tuple(merges), ranks=None)


# ---- encoding ---------------------------------------------------------------------------------------------------------


def encode_pretoken(pretoken: bytes, vocabulary: Vocabulary) -> list[int]:
    """Step 5: apply the merges to a pretoken, lowest rank first and of equal ranks the leftmost, until none applies.

    >>> v = Vocabulary({0: b"a", 1: b"b", 2: b"ab", 3: b"bb"}, merges=((1, 1), (0, 1)))
    >>> encode_pretoken(b"abb", v), encode_pretoken(b"abab", v), encode_pretoken(b"bbb", v)
    ([0, 3], [2, 2], [3, 1])

    The same tokens as a rank table, where ``ab`` comes before ``bb``:

    >>> encode_pretoken(b"abb", Vocabulary(v.tokens, ranks=(0, 1, 2, 3)))
    [2, 1]

    Raises:
        ValueError: if the vocabulary has no token for one of the bytes; says which, and its offset in the pretoken.
    """
    if vocabulary.whole_pretoken and pretoken in vocabulary.ids:
        return [vocabulary.ids[pretoken]]
    ids: list[int] = []
    for offset, byte in enumerate(pretoken):
        if bytes([byte]) not in vocabulary.ids:
            raise ValueError(f"byte 0x{byte:02x} at offset {offset} has no token in this vocabulary")
        ids.append(vocabulary.ids[bytes([byte])])
    while True:
        ranked = [
            (rank, at) for at in range(len(ids) - 1) if (rank := vocabulary.rank(ids[at], ids[at + 1])) is not None
        ]
        if not ranked:
            return ids
        _, at = min(ranked)
        ids[at : at + 2] = [vocabulary.ids[vocabulary.tokens[ids[at]] + vocabulary.tokens[ids[at + 1]]]]
