"""When a merge list and a rank table are the same encoder, and how each is written as the other.

Both semantics repeat one step on a pretoken: of the adjacent pairs that may merge, take the one of lowest rank, the
leftmost where ranks are equal. A merge list allows its listed pairs, ranked by their place. A rank table allows every
pair whose concatenation is a token, ranked by that token.

**The lemma.** *Call a pair of adjacent tokens live when it stands in some state of some run. All live pairs that
concatenate to the same token t are the same pair (u, v), and it is the two-part state of the run on t's own bytes.*
Let (u, v) stand at bytes i to j of a pretoken. No merge so far crossed i or j, for both are still token boundaries.
So what happened between them is what happens to t's bytes alone: each step taken inside was the lowest, leftmost of
all pairs, hence the lowest, leftmost of the pairs inside. The state between i and j is thus a state of the run on t
alone; that run is deterministic and has at most one state of two parts. It holds for both semantics, in whatever
order equal ranks stand.

**Ranks to merges.** List every split of every token into two tokens, ordered by the rank of the result; splits of one
token in any order. The two runs never part: in equal states the live pairs are the same, pairs of different results are
ordered alike, and live pairs of one result are one pair (the lemma), for which both take the leftmost. So this is
exact for every rank table, with nothing left to verify.

**Merges to ranks** (id = rank, as ``.tiktoken`` has it). Run the merge list on each token's own bytes. Where

1. it ends in the token itself, the last merge has some place in the list; these places ascend with the ids;
2. it ends in three parts or more, the token never stands as a live pair (the lemma), so neither semantics ever makes
   it: harmless, provided pretokens that are tokens are taken whole, since tiktoken does that;
3. it ends in two parts, a rank table would join them and the merge list does not: the two differ.

When 3 never happens, every live pair that makes a token is a listed one (the lemma and 1), results are ordered alike
(1), and the runs are the same for every text. Where every token is of case 1, taking pretokens whole changes nothing
either.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from bbpe._splits import last_merges
from bbpe.errors import FormatError
from bbpe.vocabulary import Vocabulary

MAX_WORK = 10**9  # the run on one token is quadratic in its length; published vocabularies need less than 10**8 in all
_NO_MERGE = 1 << 62
_NEVER_IN_UTF8 = frozenset((0xC0, 0xC1, *range(0xF5, 0x100)))


def listed_merges(vocabulary: Vocabulary) -> tuple[tuple[int, int], ...]:
    """The merges of a merge list; of a rank table, all splits by the rank of the result: the same encoder."""
    from bbpe.training import as_merge_list  # here, since reading most formats needs no trainer

    merges = as_merge_list(vocabulary).merges
    assert merges is not None
    return merges


class _Alone:
    """The run of a vocabulary's merges on one token's own bytes, without the whole-pretoken rule."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        tokens, ids = vocabulary.tokens, vocabulary.ids
        self.merges = listed_merges(vocabulary)
        self._place = {pair: place for place, pair in enumerate(self.merges)}
        self.results = [ids[tokens[left] + tokens[right]] for left, right in self.merges]
        self._byte_ids = {token[0]: id for id, token in tokens.items() if len(token) == 1}

    def run(self, token: bytes) -> tuple[int, int]:
        """The number of parts at the end, and the place of the last merge (past all merges when there was none)."""
        parts, last = self.parts(token, _NO_MERGE)
        return len(parts), last

    def parts(self, token: bytes, limit: int) -> tuple[list[int], int]:
        """The ids at the end, and the place of the last merge, of the merges that stand before ``limit``.

        Raises:
            KeyError: A byte has no token.
        """
        place = self._place
        parts = [self._byte_ids[byte] for byte in token]
        places = [place.get(pair, _NO_MERGE) for pair in pairwise(parts)]
        last = _NO_MERGE
        while places:
            best = min(places)
            if best >= limit:
                break
            at = places.index(best)
            parts[at : at + 2] = [self.results[best]]
            del places[at]
            if at:
                places[at - 1] = place.get((parts[at - 1], parts[at]), _NO_MERGE)
            if at < len(places):
                places[at] = place.get((parts[at], parts[at + 1]), _NO_MERGE)
            last = best
        return parts, last


def runs_alone(vocabulary: Vocabulary) -> tuple[list[int], list[int]]:
    """The run of the merges on each token's own bytes, as ``_Alone.run`` does it, natively for all of them.

    Returns:
        For each token, in the order of ``vocabulary.tokens``: how many parts are left, 0 where a byte has no token; and
        the place of the last merge in :func:`listed_merges`, -1 where there was none.

    Raises:
        FormatError: Tokens are too long for this.
    """
    _check_work(vocabulary)
    tokens, ids = vocabulary.tokens, vocabulary.ids
    number = {id: at for at, id in enumerate(tokens)}
    merges = listed_merges(vocabulary)
    listed = np.empty((len(merges), 3), dtype=np.uint32)
    columns = (
        (left for left, _ in merges),
        (right for _, right in merges),
        (ids[tokens[left] + tokens[right]] for left, right in merges),
    )
    for at, column in enumerate(columns):
        listed[:, at] = np.fromiter(map(number.__getitem__, column), np.uint32, len(merges))
    data = np.frombuffer(b"".join(tokens.values()), dtype=np.uint8)
    ends = np.cumsum(np.fromiter(map(len, tokens.values()), np.int64, len(tokens)))
    parts, _, places, _ = last_merges(data, ends, None, listed)
    return parts.tolist(), places.tolist()


def check_same_as_ranks(vocabulary: Vocabulary) -> None:
    """Check that the rank table in which id = rank, pretokens taken whole, is the same encoder for every text.

    See the module's docstring for why these conditions suffice. Time: a few microseconds a token.

    Raises:
        FormatError: It is not, or it cannot be shown; the message names the token.
    """
    tokens = vocabulary.tokens
    _check_bytes(tokens)
    if vocabulary.ranks is not None:
        if any(first > second for first, second in pairwise(vocabulary.ranks)):
            raise FormatError("ids do not follow ranks; there rank and id are one number")
        if vocabulary.whole_pretoken:
            return  # it is such a table
    _check_work(vocabulary)
    previous_place, previous_id = -1, -1
    for (id, token), parts, place in zip(tokens.items(), *runs_alone(vocabulary), strict=True):
        if len(token) == 1:
            continue
        if parts == 2:
            raise FormatError(f"token {id} ({_shown(token)}): the merges leave it in two parts, which ranks would join")
        if parts > 2:
            if not vocabulary.whole_pretoken:
                raise FormatError(
                    f"token {id} ({_shown(token)}): no merges make it, but as a pretoken it would be taken whole"
                )
            continue
        if place < previous_place:
            raise FormatError(
                f"token {id} ({_shown(token)}) is merged before token {previous_id}: merges do not follow ids there"
            )
        previous_place, previous_id = place, id


def merges_alone(vocabulary: Vocabulary) -> tuple[tuple[int, int], ...] | None:
    """For a rank table: the one merge that makes each token, by rank, or None where some token encodes to itself by
    none.

    By the lemma these merges alone are the same encoder. It is the way back from the ranks of a trained vocabulary to
    its merges.

    Raises:
        FormatError: Tokens are too long for this.
    """
    _check_work(vocabulary)
    alone = _Alone(vocabulary)
    merges: list[tuple[int, int]] = []
    assert vocabulary.ranks is not None
    for id in vocabulary.ranks:
        token = vocabulary.tokens[id]
        if len(token) > 1:
            try:
                parts, place = alone.run(token)
            except KeyError:
                return None
            if parts != 1:
                return None
            merges.append(alone.merges[place])
    return tuple(merges)


def unmade_tokens(vocabulary: Vocabulary) -> tuple[int, ...]:
    """The ids of the tokens that the merges alone do not make of their own bytes, ascending.

    No text gets these ids, except as a pretoken taken whole. For a rank table the merges are all splits, which is what
    its ranks do. Time: a few microseconds a token.

    Raises:
        FormatError: Tokens are too long for this.
    """
    _check_work(vocabulary)
    return _unmade(_Alone(vocabulary), vocabulary)


def _unmade(alone: _Alone, vocabulary: Vocabulary) -> tuple[int, ...]:
    unmade = []
    for id, token in vocabulary.tokens.items():
        if len(token) > 1:
            try:
                parts, _ = alone.run(token)
            except KeyError:  # a byte of it has no token
                parts = 0
            if parts != 1:
                unmade.append(id)
    return tuple(unmade)


@dataclass(frozen=True, slots=True)
class RankReport:
    """A rank table as merges.

    The *canonical split* of a token is what the run of all lower ranks on its own bytes ends in, where that is two
    parts: the one merge that converters commonly write for it. Where every token has one, the canonical merges alone
    are the same encoder: the run goes on to join the two, so by the lemma they are the only live pair of that token.
    Where some token has none they can lose tokens, and only all splits are written.

    Attributes:
        tokens: Tokens of two bytes or more.
        splits: Merges in all: every split of every token into two tokens.
        canonical: The canonical merges, by rank, where every token has one, else None.
        without_canonical: Tokens that have no canonical split.
        unreachable: Tokens that the ranks themselves never make of their bytes.
        unreachable_by_canonical: Tokens that the canonical merges, had they been written, would not make.
    """

    tokens: int
    splits: int
    canonical: tuple[tuple[int, int], ...] | None
    without_canonical: int
    unreachable: int
    unreachable_by_canonical: int


def rank_report(vocabulary: Vocabulary) -> RankReport:
    """How a rank table is written as merges.

    Time: some ten microseconds a token.

    Raises:
        FormatError: Tokens are too long for this.
    """
    assert vocabulary.ranks is not None
    _check_work(vocabulary)
    alone = _Alone(vocabulary)
    canonical: list[tuple[int, int]] = []
    without: list[int] = []
    limit = 0  # the place of the first merge that makes this token, or would
    for id in vocabulary.ranks:
        token = vocabulary.tokens[id]
        if len(token) > 1:
            try:
                parts, _ = alone.parts(token, limit)
            except KeyError:
                parts = []
            if len(parts) == 2:
                canonical.append((parts[0], parts[1]))
            else:
                without.append(id)
        while limit < len(alone.results) and alone.results[limit] == id:
            limit += 1
    counts = len(canonical) + len(without), len(alone.merges)
    if not without:
        return RankReport(*counts, tuple(canonical), 0, 0, 0)
    alone_canonical = _Alone(vocabulary.replace(merges=canonical, ranks=None))
    return RankReport(
        *counts, None, len(without), len(_unmade(alone, vocabulary)), len(_unmade(alone_canonical, vocabulary))
    )


def _check_work(vocabulary: Vocabulary) -> None:
    """Refuse a vocabulary made to keep this module busy, rather than run for hours."""
    if sum(len(token) ** 2 for token in vocabulary.tokens.values()) > MAX_WORK:
        longest = max(map(len, vocabulary.tokens.values()))
        raise FormatError(f"tokens of up to {longest:,} bytes are too long to compare merges with ranks")


def _check_bytes(tokens: Mapping[int, bytes]) -> None:
    """Every byte of text has a token; so has every byte of a token, or ranks would merge what has no id."""
    present = {token[0] for token in tokens.values() if len(token) == 1}
    missing = set(range(256)) - present
    for byte in sorted(missing - _NEVER_IN_UTF8):
        raise FormatError(f"byte 0x{byte:02X} has no token; there every byte has one")
    if missing:
        for id, token in tokens.items():
            for byte in missing.intersection(token):
                raise FormatError(f"token {id} ({_shown(token)}) holds byte 0x{byte:02X}, which has no token")


def _shown(token: bytes) -> str:
    text = repr(token)
    return text if len(text) <= 60 else text[:57] + "..."
