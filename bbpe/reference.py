"""THE SPECIFICATION: byte-level BPE in plain Python, to be read against the five steps.

1. Begin with 256 tokens, one for each byte (``byte_tokens``).
2. Count the adjacent pairs of tokens (``count_pairs``).
3. Merge the most frequent pair into a new token (``best_pair``, ``apply_merge``).
4. Repeat until a stop (``learn_merges``).
5. Segment text with what was learned: lowest rank first, until no merge applies (``encode_pretoken``).

What it does: says what every other module has to compute. Native code is right when it equals this file. What it
does not: it is slow on purpose, recounts everything at every step, and is never a fallback at run time; only tests
import it.
Where next: ``_merge.pyx`` has the four names of the training part in the same order; ``_encode.pyx`` is the other half.

Fifteen points that texts about BPE leave open are settled here. Each has a test named after it in
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
9.  *A pattern* is a list of stages. Each stage sees each piece of the stage before as a whole text, so that end of
    text is the end of the document, the edge of a special token or the edge of a stage. What a stage leaves unmatched
    is a piece too. A match is never empty. ``split_pretokens``
10. *Bytes are never replaced.* An invalid byte is a character of its own, neither letter, digit nor space. A ``str``
    with a lone surrogate is refused, with its position, unless ``errors="replace"``. ``to_bytes``, ``characters``
11. *A normalizer* (NFC) runs after special tokens are cut and before the pattern, in training as in encoding; offsets
    speak of the original text. ``normalize``
12. *Special tokens in text are plain text unless allowed*, and then the longest one at the leftmost position counts.
    Some take the white space beside them, or are found only where no word character touches them. Template tokens are
    added only on request. ``encode``, ``cut_special_tokens``
13. *A loaded vocabulary need not look like a trained one*: bytes may be missing (the error names the byte and its
    offset), ids may have holes and need not follow ranks. Contradictions are refused on construction. ``Vocabulary``
14. *What an extension may add* is decided by the bytes of the new token alone, so that a pair that may not be merged
    never may: whole characters or a piece of one, of the scripts asked for, touching none that is frozen, not too many
    of them, no denied text in it. ``may_be_added``
15. *Better vocabularies for two languages* are options of the same loop, all off by default. ``utf8_safe`` is point 14
    in training. Where languages are *balanced*, the next merge is the best of the one that is worst off. *Seed tokens*
    get their merges as soon as there are no more left to give than they need. *Protected strings* are pretokens, in
    training as in encoding. *Superwords* are an extension with another pattern. ``may_be_added``, ``next_pair``,
    ``protecting``, ``train``

Errors are plain ``ValueError`` here; the package raises its own kinds of it.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from itertools import accumulate, pairwise
from typing import Literal

import regex

Pair = tuple[int, int]  # two adjacent ids
Span = tuple[int, int]  # from the first to past the last
Flag = Literal["lstrip", "rstrip", "single_word"]
StopReason = Literal["vocab_size", "num_merges", "min_count"]

MAX_COUNT = 2**63 - 1


# ---- the vocabulary ------------------------------------------------------------------------------


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
    """All token ids in rank order; any pair whose bytes are a token merges, at that token's rank. With neither merges
    nor ranks: in the order of ids."""
    special_tokens: Mapping[str, int] = field(default_factory=dict)
    """Content to id. An ordinary token may have the id too, if it has the same bytes."""
    special_flags: Mapping[str, frozenset[Flag]] = field(default_factory=dict)
    """What Hugging Face's files say of some special tokens; ``cut_special_tokens`` says what it means."""
    pattern: tuple[str, ...] = ()
    """Stages in the dialect of ``regex``; none makes a text one pretoken."""
    normalizer: Literal["NFC"] | None = None
    whole_pretoken: bool = False
    """A pretoken that is a token is taken whole, whatever its merges would make of it."""
    template: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())
    """Ids that go before and after a text, on request."""

    def __post_init__(self) -> None:
        if self.merges is None and self.ranks is None:
            object.__setattr__(self, "ranks", tuple(sorted(self.tokens)))
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
        taken = dict(self.tokens)
        for content, token_id in self.special_tokens.items():
            if not content:
                raise ValueError(f"the special token with id {token_id} is empty")
            if taken.setdefault(token_id, content.encode()) != content.encode():
                raise ValueError(f"the special token {content!r} has the id {token_id}, which is taken")

    def __len__(self) -> int:
        """Entries: tokens and special tokens, each id once."""
        return len({*self.tokens, *self.special_tokens.values()})

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

    def rank(self, left: bytes, right: bytes) -> int | None:
        """The rank at which two adjacent parts merge; None when they do not.

        A byte without a token is a part, too: a rank table may still merge it into a token (as tiktoken does).
        """
        if self.ranks is None:
            return self._rank_of_pair.get((self.ids.get(left, -1), self.ids.get(right, -1)))
        token_id = self.ids.get(left + right)
        return None if token_id is None else self._rank_of_id[token_id]


def byte_tokens(byte_order: Literal["value", "gpt2"] = "value") -> dict[int, bytes]:
    r"""Step 1: one token for each byte (point 6).

    ``gpt2`` is the order of OpenAI's and Hugging Face's files: first the 188 bytes that are printable in Latin-1, then
    the other 68, both in byte order.

    >>> tokens = byte_tokens()
    >>> tokens[0], tokens[33], tokens[255]
    (b'\x00', b'!', b'\xff')
    >>> tokens = byte_tokens("gpt2")
    >>> tokens[0], tokens[187], tokens[188], tokens[220], tokens[255]
    (b'!', b'\xff', b'\x00', b' ', b'\xad')
    """
    order = list(range(256))
    if byte_order == "gpt2":
        printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
        order = printable + [byte for byte in order if byte not in printable]
    elif byte_order != "value":
        raise ValueError(f"byte_order is {byte_order!r}; expected 'value' or 'gpt2'")
    return {token_id: bytes([byte]) for token_id, byte in enumerate(order)}


# ---- training: the four names that _merge.pyx mirrors --------------------------------------------


def count_pairs(sequences: Iterable[tuple[Sequence[int], int]]) -> Counter[Pair]:
    """Step 2: how often each pair occurs in (ids of a pretoken, count of the pretoken), overlaps included (point 2).

    ``aaa``, seen 5 times, has the pair (a, a) at two positions: 2 × 5.

    >>> count_pairs([([97, 97, 97], 5), ([97, 98], 2)])
    Counter({(97, 97): 10, (97, 98): 2})
    """
    counts: Counter[Pair] = Counter()
    for ids, count in sequences:
        for pair in pairwise(ids):
            counts[pair] += count
    return counts


def best_pair(
    counts: Mapping[Pair, int],
    tokens: Mapping[int, bytes],
    taken: Collection[bytes] = (),
    max_token_bytes: int | None = None,
    allowed: Callable[[bytes], bool] | None = None,
) -> Pair | None:
    """Step 3: the pair with the highest count; of equal ones the smaller (left id, right id) (point 4).

    A pair is passed over when its bytes are ``taken``, that is a token already (point 1), longer than
    ``max_token_bytes`` (point 7), or not ``allowed`` (point 14). None when no pair is left.

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
        and (allowed is None or allowed(token))
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


Text = Sequence[tuple[Sequence[int], int]]  # pretokens as ids so far, and how often each occurs


def next_pair(
    texts: Sequence[Text],
    sides: Sequence[Text],
    seeds: Text,
    left: int,
    min_count: int,
    best: Callable[[Mapping[Pair, int]], Pair | None],
) -> tuple[Pair, int] | None:
    """Which pair is merged next, and its count: the best one of the text whose turn it is (point 15).

    One text without seeds: its best pair, if that occurs ``min_count`` times.

    >>> tokens = byte_tokens()
    >>> english, chinese = [(list(b"abab"), 9)], [(list(b"xyz"), 2)]
    >>> next_pair([english], [], [], 10, 2, lambda counts: best_pair(counts, tokens))
    ((97, 98), 18)

    Several texts, each with its side of a parallel text, which says the same in every language: the one whose side has
    the most tokens now is worst off, and it is its turn. Of several that are, the higher count goes first. When nothing
    of it occurs ``min_count`` times, it is the turn of the next.

    >>> sides = [[(list(b"ab"), 1)], [(list(b"xyz"), 1)]]
    >>> next_pair([english, chinese], sides, [], 10, 2, lambda counts: best_pair(counts, tokens))
    ((120, 121), 2)

    It is the turn of the seed tokens, as a text in which each stands once, when at most as many merges are ``left`` as
    they have boundaries between tokens in them, or nothing else has a turn.

    >>> next_pair([english], [], [(list(b"pqr"), 1)], 2, 2, lambda counts: best_pair(counts, tokens))
    ((112, 113), 1)
    """
    turns: list[list[Text]] = [list(texts)]
    if sides:
        lengths = [_length(side) for side in sides]
        turns = [
            [text for text, length in zip(texts, lengths, strict=True) if length == most]
            for most in sorted(set(lengths), reverse=True)
        ]
    missing = _length(seeds) - len(seeds)
    turns.insert(0 if left <= missing else len(turns), [seeds])
    for turn in turns:
        found = []
        for text in turn:
            counts = count_pairs(text)
            pair = best(counts)
            if pair is not None and counts[pair] >= (1 if text is seeds else min_count):
                found.append((-counts[pair], pair))
        if found:
            count, pair = min(found)
            return pair, -count
    return None


def _length(text: Text) -> int:
    return sum(len(ids) * count for ids, count in text)


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
    allowed: Callable[[bytes], bool] | None = None,
    seed_tokens: Collection[bytes] = (),
    languages: Sequence[tuple[Mapping[bytes, int], Mapping[bytes, int]]] = (),
) -> Learned:
    """Step 4: merge the best pair, again and again, until a stop (points 1, 4, 5, 6, 7, 14 and 15).

    The pretokens are first segmented as the base encodes them. The special tokens are added to those of the base; they
    are entries of ``vocab_size`` and take the ids after the last merge. A pretoken with a byte that the base has no
    token for is refused.

    ``aaabdaaabac``, worked by hand. (a, a) occurs 4 times: ``Z = aa``, ``ZabdZabac``. Then (Z, a) and (a, b) occur
    twice each, and (a, b) = (97, 98) is smaller than (256, 97): ``Y = ab``, ``ZYdZYac``. Then (Z, Y) occurs twice:
    ``X = ZY``, ``XdXac``. Now every pair occurs once, which is no pattern.

    >>> learned = learn_merges({b"aaabdaaabac": 1}, num_merges=10)
    >>> learned.merges, learned.counts, learned.lengths, learned.stop
    (((97, 97), (97, 98), (256, 257)), (4, 2, 2), (11, 9, 7, 5), 'min_count')
    >>> learned.vocabulary.tokens[258]
    b'aaab'

    ``seed_tokens`` are tokens in the end; ``languages`` are the parts of the pretokens that are balanced, each with the
    pretokens of its side of the parallel text. ``next_pair`` says whose turn it is.

    >>> learned = learn_merges({b"aaabdaaabac": 1}, num_merges=3, seed_tokens=[b"xyz"])
    >>> [learned.vocabulary.tokens[id] for id in learned.ids]
    [b'aa', b'xy', b'xyz']

    Raises:
        ValueError: for options that contradict one another, counts that could exceed 64 bits, and seed tokens that the
            other options leave no way to.
    """
    if vocab_size is None and num_merges is None:
        raise ValueError("give vocab_size or num_merges: one of them has to end the training")
    if base is None:
        base = Vocabulary(byte_tokens())
    base = all_splits(base)
    for name, value in {"min_count": min_count, "max_token_bytes": max_token_bytes}.items():
        if value is not None and value < 1:
            raise ValueError(f"{name} is {value}; expected at least 1")
    if num_merges is not None and num_merges < 0:
        raise ValueError(f"num_merges is {num_merges}; expected at least 0")
    for content, times in Counter([*base.special_tokens, *special_tokens]).items():
        if not content or times > 1:
            raise ValueError(f"the special token {content!r} is " + ("there twice" if content else "empty"))
    entries = len(base) + len(special_tokens)
    if vocab_size is not None and vocab_size < entries:
        raise ValueError(f"vocab_size is {vocab_size}; the base and the special tokens are {entries} entries already")
    if any(count < 0 for count in pretokens.values()):
        raise ValueError("the count of a pretoken is negative")
    if sum(len(pretoken) * count for pretoken, count in pretokens.items()) > MAX_COUNT:
        raise ValueError("the training text has more bytes than 64 bits can count")

    if languages and sum((Counter(text) for text, _ in languages), Counter()) != Counter(pretokens):
        raise ValueError("the pretokens are not those of the languages together")
    texts = [_encoded(text, base) for text, _ in languages] or [_encoded(pretokens, base)]
    sides = [_encoded(side, base) for _, side in languages]
    seeds = _encoded(dict.fromkeys(seed_tokens, 1), base)
    tokens = dict(base.tokens)
    specials = dict(base.special_tokens)
    taken = set(tokens.values()) | {content.encode() for content in [*specials, *special_tokens]}
    next_id = base.last_id + 1 if first_id is None else first_id
    merges: list[Pair] = []
    ids: list[int] = []
    counts: list[int] = []
    lengths = [sum(map(_length, texts))]
    while True:
        left = min(
            MAX_COUNT if vocab_size is None else vocab_size - entries - len(merges),
            MAX_COUNT if num_merges is None else num_merges - len(merges),
        )
        if not merges and left < _length(seeds) - len(seeds):
            raise ValueError(f"the seed tokens need {_length(seeds) - len(seeds)} merges, and {left} may be learned")
        if vocab_size is not None and entries + len(merges) >= vocab_size:
            stop: StopReason = "vocab_size"
            break
        if num_merges is not None and len(merges) >= num_merges:
            stop = "num_merges"
            break
        found = next_pair(
            texts,
            sides,
            seeds,
            left,
            min_count,
            lambda pairs: best_pair(pairs, tokens, taken, max_token_bytes, allowed),
        )
        if found is None:
            stop = "min_count"
            break
        pair, count = found
        if next_id in tokens or next_id in specials.values():
            raise ValueError(f"the new id {next_id} is taken by the base")
        tokens[next_id] = tokens[pair[0]] + tokens[pair[1]]
        taken.add(tokens[next_id])
        texts = [_merged(text, pair, next_id) for text in texts]
        sides = [_merged(side, pair, next_id) for side in sides]
        seeds = _merged(seeds, pair, next_id)
        merges.append(pair)
        ids.append(next_id)
        counts.append(count)
        lengths.append(sum(map(_length, texts)))
        next_id += 1
    for sequence, _ in seeds:
        if len(sequence) > 1:
            raise ValueError(f"the seed token {b''.join(tokens[id] for id in sequence)!r} cannot be made")
    specials |= {content: next_id + place for place, content in enumerate(special_tokens)}
    vocabulary = replace(base, tokens=tokens, merges=(*(base.merges or ()), *merges), special_tokens=specials)
    return Learned(vocabulary, tuple(merges), tuple(ids), tuple(counts), tuple(lengths), stop)


def _encoded(pretokens: Mapping[bytes, int], base: Vocabulary) -> Text:
    return [(encode_pretoken(pretoken, base), count) for pretoken, count in pretokens.items()]


def _merged(text: Text, pair: Pair, new_id: int) -> Text:
    return [(apply_merge(ids, pair, new_id), count) for ids, count in text]


def learn_pieces(sequences: Iterable[tuple[Sequence[str], int]], pieces: Collection[str], add: int) -> list[str]:
    """Extend a vocabulary that begins with characters and spells what no piece covers in bytes (SentencePiece).

    The sequences are pretokens as the base segments them: its pieces, and single characters that it does not cover. The
    best addition is the one that saves the most tokens. Making a character a piece saves its bytes but one at each
    occurrence; merging two pieces saves one. Of equal ones characters come first, in the order in which they are first
    seen; then the smaller pair, where pieces are numbered as given, uncovered characters after them as first seen, and
    new pieces after those as they are made. What occurs less than twice is no pattern.

    >>> learn_pieces([("词元", 3), ("元", 1), ("字", 1)], ["元", "a"], add=5)
    ['词', '词元']

    No rule beside: for SentencePiece the pair with the highest score merges, so additions have falling scores, all
    below those of the base.
    """
    texts = [(list(sequence), count) for sequence, count in sequences]
    numbers = {piece: number for number, piece in enumerate(pieces)}
    for sequence, _ in texts:
        for symbol in sequence:
            numbers.setdefault(symbol, len(numbers))
    covered = set(pieces)
    added: list[str] = []
    while len(added) < add:
        occurrences = Counter(dict.fromkeys(numbers, 0))
        pairs: Counter[tuple[str, str]] = Counter()
        for sequence, count in texts:
            for symbol in sequence:
                occurrences[symbol] += count
            for pair in pairwise(sequence):
                pairs[pair] += count
        candidates = [
            ((-occurrences[symbol] * (len(symbol.encode()) - 1), False, numbers[symbol], 0), symbol)
            for symbol in numbers
            if symbol not in covered and occurrences[symbol] > 1 and len(symbol.encode()) > 1
        ]
        candidates += [
            ((-count, True, numbers[left], numbers[right]), left + right)
            for (left, right), count in pairs.items()
            if left in covered and right in covered and left + right not in covered and count > 1
        ]
        best = min(candidates, default=None)
        if best is None:
            break
        (_, merged, first, second), text = best
        added.append(text)
        covered.add(text)
        if merged:
            by_number = {number: symbol for symbol, number in numbers.items()}
            pair = (by_number[first], by_number[second])
            numbers[text] = len(numbers)
            texts = [(_joined(sequence, pair), count) for sequence, count in texts]
    return added


def _joined(sequence: Sequence[str], pair: tuple[str, str]) -> list[str]:
    """``apply_merge`` for pieces that are spelled out."""
    merged: list[str] = []
    at = 0
    while at < len(sequence):
        if tuple(sequence[at : at + 2]) == pair:
            merged.append("".join(pair))
            at += 2
        else:
            merged.append(sequence[at])
            at += 1
    return merged


# ---- what an extension may add -------------------------------------------------------------------


def may_be_added(
    token: bytes,
    *,
    utf8_safe: bool = True,
    scripts: Collection[str] = (),
    frozen: Collection[str] = (),
    max_chars: int | None = None,
    deny: Collection[bytes] = (),
) -> bool:
    r"""Whether an extension may add a token (point 14).

    A token is whole characters, and may begin and end with a piece of one. ``utf8_safe`` takes only whole characters,
    or a single piece on the way to one; never a character and a half:

    >>> e4, bd, a0 = (bytes([byte]) for byte in "你".encode())
    >>> [may_be_added(token) for token in (e4 + bd, bd + a0, e4 + bd + a0, b"!" + e4, a0 + e4, e4 + bd + a0 + e4)]
    [True, True, True, False, False, False]
    >>> may_be_added(b"!" + e4, utf8_safe=False)
    True

    With ``scripts`` every character is of one of them, or a mark that takes on the script before it (Inherited), or a
    space at the beginning; and a piece is a piece of one of their characters. With ``frozen`` none is of those scripts.

    >>> [may_be_added(text.encode(), scripts=["Han"]) for text in ("你好", " 你", "你 ", "你!", "hi")]
    [True, True, False, False, False]
    >>> may_be_added(e4 + bd, scripts=["Hangul"]), may_be_added(e4 + bd, frozen=["Han"])
    (False, False)
    >>> may_be_added("你好".encode(), frozen=["Latin"]), may_be_added("你a".encode(), frozen=["Latin"])
    (True, False)

    A piece counts as a character for ``max_chars``; a token may not hold text that ``deny`` lists.

    >>> may_be_added("你好吗".encode(), max_chars=2), may_be_added("你好吗".encode(), deny=["好".encode()])
    (False, False)

    Bytes that are in no order that UTF-8 knows are taken only where nothing is asked about characters:

    >>> may_be_added(b"\xff!"), may_be_added(b"\xff!", utf8_safe=False)
    (False, True)
    """
    if any(text in token for text in deny):
        return False
    begins_inside = token[0] & 0xC0 == 0x80
    if max_chars is not None and begins_inside + sum(byte & 0xC0 != 0x80 for byte in token) > max_chars:
        return False
    head = token[: next((at for at, byte in enumerate(token) if byte & 0xC0 != 0x80), len(token))]
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        text = decoder.decode(token[len(head) :])
        ordered = len(head) <= 3
    except UnicodeDecodeError:
        ordered = False
    if not ordered:
        return not utf8_safe and not scripts and not frozen
    tail = decoder.getstate()[0]
    if utf8_safe and (head or tail) and token not in (head, tail):
        return False
    pieces = [piece for piece in (head, tail) if piece]
    if scripts:
        taken = [*scripts, "Inherited"]
        for at, character in enumerate(text):
            first_space = character == " " and at == 0 and not head
            if not first_space and not any(character in _of_script(script) for script in taken):
                return False
        if not all(any(piece in _pieces_of_script(script) for script in scripts) for piece in pieces):
            return False
    return not any(
        any(character in _of_script(script) for character in text)
        or any(piece in _pieces_of_script(script) for piece in pieces)
        for script in frozen
    )


@cache
def _of_script(script: str) -> frozenset[str]:
    every = "".join(chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000)
    return frozenset(regex.findall(rf"\p{{Script={script}}}", every))


@cache
def _pieces_of_script(script: str) -> frozenset[bytes]:
    """What stands between two places inside the bytes of a character, or at one of its ends, but not all of it."""
    return frozenset(
        encoded[begin:end]
        for encoded in map(str.encode, _of_script(script))
        for begin in range(len(encoded))
        for end in range(begin + 1, len(encoded) + 1)
        if end - begin < len(encoded)
    )


def all_splits(vocabulary: Vocabulary) -> Vocabulary:
    """The merge list that encodes as a rank table does: all splits of every token into two, by its rank (point 1).

    Splits of one token are in the order of their (left id, right id). That order decides nothing: in 8.6 million random
    encodings, with random tables over two and three letters and splits in two orders, list and table never differed. A
    merge list is returned as it is.

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


# ---- encoding ------------------------------------------------------------------------------------


class MissingByteError(ValueError):
    """A byte that has no token, and its offset in bytes (point 13)."""

    def __init__(self, byte: int, offset: int) -> None:
        super().__init__(f"byte 0x{byte:02x} at offset {offset} has no token in this vocabulary")
        self.byte = byte
        self.offset = offset


def encode_pretoken(pretoken: bytes, vocabulary: Vocabulary) -> list[int]:
    """Step 5: apply the merges to a pretoken, lowest rank first and of equal ranks the leftmost, until none applies.

    >>> v = Vocabulary({0: b"a", 1: b"b", 2: b"ab", 3: b"bb"}, merges=((1, 1), (0, 1)))
    >>> encode_pretoken(b"abb", v), encode_pretoken(b"abab", v), encode_pretoken(b"bbb", v)
    ([0, 3], [2, 2], [3, 1])

    The same tokens as a rank table, where ``ab`` comes before ``bb``:

    >>> encode_pretoken(b"abb", Vocabulary(v.tokens, ranks=(0, 1, 2, 3)))
    [2, 1]

    Raises:
        MissingByteError: if the vocabulary has no token for one of the bytes; the offset is that in the pretoken.
    """
    if vocabulary.whole_pretoken and pretoken in vocabulary.ids:
        return [vocabulary.ids[pretoken]]
    parts = [bytes([byte]) for byte in pretoken]
    while True:
        ranked = [
            (rank, at)
            for at in range(len(parts) - 1)
            if (rank := vocabulary.rank(parts[at], parts[at + 1])) is not None
        ]
        if not ranked:
            break
        _, at = min(ranked)
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    for offset, part in zip(accumulate(map(len, parts), initial=0), parts, strict=False):
        if part not in vocabulary.ids:
            raise MissingByteError(part[0], offset)
    return [vocabulary.ids[part] for part in parts]


# ---- text ----------------------------------------------------------------------------------------


def to_bytes(text: str | bytes, errors: Literal["strict", "replace"] = "strict") -> bytes:
    r"""The bytes of a text (point 10). Bytes are taken as they are; in a ``str`` every surrogate is a lone one.

    That goes for two that would be a pair in UTF-16, too: each is replaced by itself, so that what follows keeps its
    place (tiktoken joins them).

    >>> to_bytes("é"), to_bytes(b"\xff"), to_bytes("a\ud800", errors="replace")
    (b'\xc3\xa9', b'\xff', b'a\xef\xbf\xbd')
    >>> to_bytes("ab\ud800")
    Traceback (most recent call last):
    ValueError: lone surrogate U+D800 at character 2: no UTF-8 exists for it; errors="replace" makes it U+FFFD
    """
    if isinstance(text, bytes):
        return text
    if errors not in ("strict", "replace"):
        raise ValueError(f"errors is {errors!r}; expected 'strict' or 'replace'")
    for position, character in enumerate(text):
        if "\ud800" <= character <= "\udfff" and errors == "strict":
            raise ValueError(
                f"lone surrogate U+{ord(character):04X} at character {position}: no UTF-8 exists for it; "
                'errors="replace" makes it U+FFFD'
            )
    return "".join("\ufffd" if "\ud800" <= character <= "\udfff" else character for character in text).encode()


def characters(data: bytes) -> list[bytes]:
    r"""The characters of a text: valid UTF-8 sequences, and each invalid byte by itself (point 10).

    >>> characters(b"a\xe4\xbd\xa0\xe4\xbd")
    [b'a', b'\xe4\xbd\xa0', b'\xe4', b'\xbd']
    """
    return [from_escaped(character) for character in to_escaped(data)]


def to_escaped(data: bytes) -> str:
    r"""A text as ``str`` with one code point a character: an invalid byte 0xNN is U+DCNN, which is in no class.

    (``regex`` puts it into ``\p{Cs}``, the surrogates; bbpe does not. No named pattern asks.)

    >>> to_escaped(b"a\xff")
    'a\udcff'
    """
    return data.decode("utf-8", "surrogateescape")


def from_escaped(text: str) -> bytes:
    """The inverse of ``to_escaped``."""
    return text.encode("utf-8", "surrogateescape")


def cut_special_tokens(
    data: bytes, special_tokens: Iterable[str], flags: Mapping[str, Collection[Flag]] | None = None
) -> list[tuple[int, int, str | None]]:
    """Cut a text at special tokens: (begin, end, content, or None for ordinary text), none empty (points 8 and 12).

    The leftmost occurrence is cut first, and of several that begin there the longest.

    >>> cut_special_tokens(b"a<|x|>b<|x|><|x|>>", ["<|x|>", "<|x|>>"])
    [(0, 1, None), (1, 6, '<|x|>'), (6, 7, None), (7, 12, '<|x|>'), (12, 18, '<|x|>>')]

    With ``single_word`` an occurrence that a word character touches is ordinary text, and nothing in it is looked for.
    With ``lstrip`` and ``rstrip`` an occurrence takes the white space before and after it that no other has taken.

    >>> cut_special_tokens(b"no, a no  no ", ["no"], {"no": {"single_word", "lstrip"}})
    [(0, 2, 'no'), (2, 5, None), (5, 8, 'no'), (8, 12, 'no'), (12, 13, None)]
    """
    longest_first = sorted(special_tokens, key=lambda content: len(content.encode()), reverse=True)
    cuts: list[tuple[int, int, str | None]] = []
    past = at = 0  # past the last special token that was cut; where the next is looked for
    while at < len(data):
        found = next((content for content in longest_first if data.startswith(content.encode(), at)), None)
        if found is None:
            at += 1
            continue
        begin, end = at, at + len(found.encode())
        before, after = to_escaped(data[:begin]), to_escaped(data[end:])
        wanted = (flags or {}).get(found, ())
        at = end
        if "single_word" in wanted and (regex.search(r"\w\Z", before) or regex.match(r"\w", after)):
            continue
        if "lstrip" in wanted:
            begin = max(past, len(from_escaped(regex.sub(r"\s+\Z", "", before))))
        if "rstrip" in wanted:
            at = end = len(data) - len(from_escaped(regex.sub(r"\A\s+", "", after)))
        if past < begin:
            cuts.append((past, begin, None))
        cuts.append((begin, end, found))
        past = end
    if past < len(data):
        cuts.append((past, len(data), None))
    return cuts


@cache
def _joins_what_precedes() -> frozenset[str]:
    """The characters that a canonical composition can have in second place."""
    seconds = {chr(code) for code in [*range(0x1161, 0x1176), *range(0x11A8, 0x11C3)]}  # the jamo of Hangul syllables
    for code in range(0x110000):
        decomposition = unicodedata.decomposition(chr(code)).split()
        if len(decomposition) == 2 and not decomposition[0].startswith("<"):
            seconds.add(chr(int(decomposition[1], 16)))
    return frozenset(seconds)


def _begins_cluster(character: str) -> bool:
    """True where NFC of a text is NFC of what precedes this character, then NFC of the rest."""
    first = unicodedata.normalize("NFD", character)[0]
    return unicodedata.combining(first) == 0 and first not in _joins_what_precedes()


def normalize(data: bytes, normalizer: Literal["NFC"] | None) -> tuple[bytes, list[Span]]:
    r"""The normalized text, and for each byte of it the bytes of the original that it stands for (point 11).

    The original is cut into clusters: a cluster is a character and those after it that could combine with it. A cluster
    that normalizing leaves alone stands for itself byte by byte; one that it changes stands for itself as a whole.
    Invalid bytes are left alone.

    >>> data = "xe\u0301".encode()  # x, e, combining acute accent
    >>> normalize(data, None)
    (b'xe\xcc\x81', [(0, 1), (1, 2), (2, 3), (3, 4)])
    >>> normalize(data, "NFC")
    (b'x\xc3\xa9', [(0, 1), (1, 4), (1, 4)])
    """
    if normalizer is None:
        return data, [(at, at + 1) for at in range(len(data))]
    if normalizer != "NFC":
        raise ValueError(f"the normalizer is {normalizer!r}; expected 'NFC' or None")
    clusters: list[str] = []
    for character in to_escaped(data):
        if clusters and not _begins_cluster(character):
            clusters[-1] += character
        else:
            clusters.append(character)
    normalized = b""
    origin: list[Span] = []
    begin = 0
    for cluster in clusters:
        before = from_escaped(cluster)
        after = from_escaped(unicodedata.normalize(normalizer, cluster))
        end = begin + len(before)
        origin.extend([(at, at + 1) for at in range(begin, end)] if before == after else [(begin, end)] * len(after))
        normalized += after
        begin = end
    return normalized, origin


def split_pretokens(data: bytes, pattern: Sequence[str]) -> list[bytes]:
    r"""The pretokens of a text in which no special token is left (point 9). Joined they are the text.

    The classes of characters (``\p{L}`` and so on) are those of ``regex`` here; bbpe has committed tables of one
    version of Unicode. They agree on every character that both know.

    Spaces at the end of the text stay together, for ``(?!\S)`` holds there; before a letter the last goes with it:

    >>> split_pretokens(b"a  b  ", [r" ?[a-z]+|\s+(?!\S)|\s+"])
    [b'a', b' ', b' b', b'  ']

    What is left between two matches is a pretoken, and the next stage cuts it as well:

    >>> split_pretokens(b"ab12cd", [r"[0-9]+"]), split_pretokens(b"ab12cd", [r"[0-9]+", r"[a-z0-9]"])
    ([b'ab', b'12', b'cd'], [b'a', b'b', b'1', b'2', b'c', b'd'])

    Raises:
        ValueError: for a stage that does not compile, or matches nothing somewhere.
    """
    pieces = [to_escaped(data)] if data else []
    for stage in pattern:
        try:
            compiled = regex.compile(stage)
        except regex.error as error:
            raise ValueError(f"the pattern {stage!r} does not compile: {error}") from error
        cut: list[str] = []
        for piece in pieces:
            past = 0
            for match in compiled.finditer(piece):
                if match.start() == match.end():
                    raise ValueError(f"the pattern {stage!r} matches the empty string")
                cut.extend(text for text in (piece[past : match.start()], match.group()) if text)
                past = match.end()
            if piece[past:]:
                cut.append(piece[past:])
        pieces = cut
    return [from_escaped(piece) for piece in pieces]


def protecting(pattern: Sequence[str], strings: Collection[str]) -> tuple[str, ...]:
    """The pattern in which every occurrence of one of these strings is a pretoken (point 15).

    Occurrences are found as special tokens are: the leftmost first, and the longest of those that begin there. The
    first stage isolates them; in every other stage they come before all else, and so stay whole. No merge crosses their
    edges, and as this is the pattern of the vocabulary, none does in encoding either.

    >>> pattern = protecting([r"[a-z]+|[^a-z]+"], ["cat", "c+", "c++"])
    >>> split_pretokens(b"concatenate c++ c+", pattern)
    [b'con', b'cat', b'enate', b' ', b'c++', b' ', b'c+']
    """
    if not strings:
        return tuple(pattern)
    longest_first = sorted(strings, key=lambda string: (-len(string), string))
    isolated = "|".join(re.sub(r"[][\\.^$*+?{}()|]", r"\\\g<0>", string) for string in longest_first)
    return (isolated, *(f"{isolated}|{stage}" for stage in pattern))


# ---- the whole of training -----------------------------------------------------------------------


def cut_pretoken(pretoken: bytes, max_pretoken_bytes: int | None) -> list[bytes]:
    """Cut a pretoken into the longest runs of whole characters that have at most so many bytes (point 7).

    >>> cut_pretoken("你好吗".encode(), 7) == ["你好".encode(), "吗".encode()]
    True
    """
    if max_pretoken_bytes is None:
        return [pretoken]
    if max_pretoken_bytes < 4:
        raise ValueError(f"max_pretoken_bytes is {max_pretoken_bytes}; expected at least 4, the longest character")
    runs: list[bytes] = []
    for character in characters(pretoken):
        if runs and len(runs[-1]) + len(character) <= max_pretoken_bytes:
            runs[-1] += character
        else:
            runs.append(character)
    return runs


def count_pretokens(
    documents: Iterable[str | bytes],
    pattern: Sequence[str] = (),
    *,
    special_tokens: Collection[str] = (),
    normalizer: Literal["NFC"] | None = None,
    max_pretoken_bytes: int | None = None,
) -> Counter[bytes]:
    """How often each pretoken occurs in the training text (points 7, 8, 9 and 11).

    >>> count_pretokens(["ab ab", "ab<|x|> ab"], [r" ?[a-z]+"], special_tokens=["<|x|>"])
    Counter({b'ab': 2, b' ab': 2})
    """
    counts: Counter[bytes] = Counter()
    for document in documents:
        data = to_bytes(document)
        for begin, end, special in cut_special_tokens(data, special_tokens):
            if special is None:
                normalized, _ = normalize(data[begin:end], normalizer)
                for pretoken in split_pretokens(normalized, pattern):
                    counts.update(cut_pretoken(pretoken, max_pretoken_bytes))
    return counts


def train(
    documents: Iterable[str | bytes],
    base: Vocabulary | None = None,
    *,
    vocab_size: int | None = None,
    num_merges: int | None = None,
    min_count: int = 2,
    max_token_bytes: int | None = None,
    max_pretoken_bytes: int | None = None,
    special_tokens: Sequence[str] = (),
    first_id: int | None = None,
    utf8_safe: bool = False,
    protect: Collection[str] = (),
    seed_tokens: Collection[str] = (),
    superwords: tuple[int, Sequence[str]] | None = None,
    balance: Sequence[tuple[Iterable[str | bytes], Iterable[str | bytes]]] = (),
) -> Learned:
    """Steps 1 to 4 on text. The base says what the pattern, the normalizer and the order of the bytes are.

    >>> base = Vocabulary(byte_tokens(), pattern=(r" ?[a-z]+",))
    >>> learned = train(["low lower lowest"], base, vocab_size=260, special_tokens=["<|end|>"])
    >>> [learned.vocabulary.tokens[i] for i in learned.ids], learned.stop, learned.vocabulary.special_tokens
    ([b'lo', b'low', b' low'], 'vocab_size', {'<|end|>': 259})

    With ``superwords``, (entries, pattern), what is learned up to so many entries is a base, and extended with a looser
    pattern. The text is first segmented as that base encodes it with the new pattern, which is that of the vocabulary.

    >>> learned = train(["in a way, by the way"] * 9, base, num_merges=18, superwords=(270, (r"[a-z ]+",)))
    >>> learned.vocabulary.tokens[learned.ids[-1]], learned.vocabulary.pattern
    (b' by the way', ('[a-z ]+',))

    With ``balance`` the documents are those of several languages, each with its side of a parallel text, one document
    a line.
    """
    if base is None:
        base = Vocabulary(byte_tokens())
    if balance and superwords is not None:
        raise ValueError("balanced languages and superwords do not go together")
    if balance:
        documents = [document for texts, _ in balance for document in texts]
    documents = list(documents)
    looser = None if superwords is None else replace(base, pattern=tuple(superwords[1]))
    base = replace(base, pattern=protecting(base.pattern, protect))

    specials, normalizer = [*base.special_tokens, *special_tokens], base.normalizer

    def counted(documents: Iterable[str | bytes], pattern: Sequence[str]) -> Counter[bytes]:
        return count_pretokens(
            documents,
            pattern,
            special_tokens=specials,
            normalizer=normalizer,
            max_pretoken_bytes=max_pretoken_bytes,
        )

    first: Learned | None = None
    if superwords is not None and looser is not None:
        first = learn_merges(
            counted(documents, base.pattern),
            base,
            vocab_size=superwords[0] - len(special_tokens),
            num_merges=num_merges,
            min_count=min_count,
            max_token_bytes=max_token_bytes,
            first_id=first_id,
            allowed=may_be_added if utf8_safe else None,
        )
        base = replace(first.vocabulary, pattern=protecting(looser.pattern, protect))
        num_merges = None if num_merges is None else num_merges - len(first.merges)
        first_id = None if first_id is None else first_id + len(first.merges)
    learned = learn_merges(
        counted(documents, base.pattern),
        base,
        vocab_size=vocab_size,
        num_merges=num_merges,
        min_count=min_count,
        max_token_bytes=max_token_bytes,
        special_tokens=special_tokens,
        first_id=first_id,
        allowed=may_be_added if utf8_safe else None,
        seed_tokens=[to_bytes(token) for token in seed_tokens],
        languages=[(counted(texts, base.pattern), counted(side, base.pattern)) for texts, side in balance],
    )
    if first is None:
        return learned
    return replace(
        learned,
        merges=first.merges + learned.merges,
        ids=first.ids + learned.ids,
        counts=first.counts + learned.counts,
        lengths=first.lengths[:-1] + learned.lengths,
    )


# ---- the whole of encoding and decoding ----------------------------------------------------------


def encode(
    text: str | bytes,
    vocabulary: Vocabulary,
    *,
    allowed_special: Collection[str] | Literal["all"] = (),
    errors: Literal["strict", "replace"] = "strict",
    add_template: bool = False,
) -> list[int]:
    """Step 5 on text. Special tokens are plain text unless allowed, the template is added on request (point 12).

    >>> v = Vocabulary(byte_tokens(), special_tokens={"<s>": 256, "</s>": 300}, template=((256,), (300,)))
    >>> encode("<s>", v), encode("<s>", v, allowed_special="all"), encode("<s>", v, allowed_special={"</s>"})
    ([60, 115, 62], [256], [60, 115, 62])
    >>> encode("!", v, add_template=True)
    [256, 33, 300]
    """
    ids, _ = encode_with_offsets(text, vocabulary, allowed_special=allowed_special, errors=errors)
    before, after = vocabulary.template if add_template else ((), ())
    return [*before, *ids, *after]


def encode_with_offsets(
    text: str | bytes,
    vocabulary: Vocabulary,
    *,
    unit: Literal["characters", "bytes"] = "characters",
    allowed_special: Collection[str] | Literal["all"] = (),
    errors: Literal["strict", "replace"] = "strict",
) -> tuple[list[int], list[Span]]:
    r"""The ids of a text, and for each of them where it stands in the original text (points 11 and 12).

    In characters a span goes from the first character that the token touches to past the last, so that the spans of
    two tokens that share a character overlap. In bytes spans are exact, save where the normalizer changed the text.

    ``你`` is the bytes e4 bd a0; a token for its first two:

    >>> v = Vocabulary(byte_tokens() | {256: b"\xe4\xbd"}, merges=((0xE4, 0xBD),))
    >>> encode_with_offsets("你!", v)
    ([256, 160, 33], [(0, 1), (0, 1), (1, 2)])
    >>> encode_with_offsets("你!", v, unit="bytes")
    ([256, 160, 33], [(0, 2), (2, 3), (3, 4)])
    >>> encode_with_offsets(b"!\xff\xfe", v)
    ([33, 255, 254], [(0, 1), (1, 2), (2, 3)])

    Raises:
        MissingByteError: for a byte that has no token; the offset is that in the bytes of the original text.
        ValueError: for a lone surrogate, and for an allowed special token that does not exist.
    """
    data = to_bytes(text, errors)
    allowed = set(vocabulary.special_tokens) if allowed_special == "all" else set(allowed_special)
    if unknown := sorted(allowed - set(vocabulary.special_tokens)):
        raise ValueError(f"{unknown[0]!r} is not a special token of this vocabulary")
    if unit not in ("characters", "bytes"):
        raise ValueError(f"unit is {unit!r}; expected 'characters' or 'bytes'")
    ids: list[int] = []
    spans: list[Span] = []  # in bytes
    for begin, end, special in cut_special_tokens(data, allowed, vocabulary.special_flags):
        if special is not None:
            ids.append(vocabulary.special_tokens[special])
            spans.append((begin, end))
            continue
        normalized, origin = normalize(data[begin:end], vocabulary.normalizer)
        past = 0
        for pretoken in split_pretokens(normalized, vocabulary.pattern):
            try:
                pretoken_ids = encode_pretoken(pretoken, vocabulary)
            except MissingByteError as error:
                raise MissingByteError(error.byte, begin + origin[past + error.offset][0]) from None
            for token_id in pretoken_ids:
                first, past = past, past + len(vocabulary.tokens[token_id])
                ids.append(token_id)
                spans.append((begin + origin[first][0], begin + origin[past - 1][1]))
    if unit == "characters":
        character_at = [index for index, character in enumerate(characters(data)) for _ in character]
        spans = [(character_at[first], character_at[past - 1] + 1) for first, past in spans]
    return ids, spans


def decode_bytes(ids: Iterable[int], vocabulary: Vocabulary) -> bytes:
    r"""The bytes of tokens, special tokens included, one after another.

    Decoding undoes encoding exactly, for any bytes, where there is no normalizer and no template was added.

    >>> v = Vocabulary(byte_tokens(), special_tokens={"<s>": 300})
    >>> decode_bytes([300, 0xE4, 0xBD], v)
    b'<s>\xe4\xbd'
    >>> decode_bytes([65, 299], v)
    Traceback (most recent call last):
    ValueError: id 299 at position 1 has no token in this vocabulary
    """
    contents = {token_id: content.encode() for content, token_id in vocabulary.special_tokens.items()}
    parts: list[bytes] = []
    for position, token_id in enumerate(ids):
        token = vocabulary.tokens.get(token_id, contents.get(token_id))
        if token is None:
            raise ValueError(f"id {token_id} at position {position} has no token in this vocabulary")
        parts.append(token)
    return b"".join(parts)


def decode(ids: Iterable[int], vocabulary: Vocabulary, errors: str = "replace") -> str:
    r"""The text of tokens; ``errors`` as in ``bytes.decode``.

    >>> v = Vocabulary(byte_tokens())
    >>> decode([0xE4, 0xBD, 0xA0, 0xE4, 0xBD], v) == "你\ufffd"
    True
    """
    return decode_bytes(ids, vocabulary).decode("utf-8", errors)


def decode_stream(ids: Iterable[int], vocabulary: Vocabulary, errors: str = "replace") -> Iterator[str]:
    r"""The text that becomes certain with each id, then what is left at the end. Joined, it is ``decode`` of all ids.

    A character is held back until its last byte has come, or a byte that shows that it never will.

    >>> v = Vocabulary(byte_tokens())
    >>> list(decode_stream([33, 0xE4, 0xBD, 0xA0], v)) == ["!", "", "", "你", ""]
    True
    >>> list(decode_stream([0xE4, 33, 0xE4], v)) == ["", "\ufffd!", "", "\ufffd"]
    True
    """
    decoder = codecs.getincrementaldecoder("utf-8")(errors)
    for token_id in ids:
        yield decoder.decode(decode_bytes([token_id], vocabulary))
    yield decoder.decode(b"", final=True)
