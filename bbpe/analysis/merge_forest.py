"""Which merges build each token: the run of the merges on a token's own bytes, and the trees that follow from it.

By the lemma in ``formats/equivalence.py`` what happens inside a token's bytes, wherever it comes to stand as one part, is
what happens to these bytes alone. So a token is reachable by merges if and only if its own bytes end as one part, its
last merge is always the same pair, and this pair's parts have one tree each again.

*Canonical split*: the last merge of a token when only tokens of a lower rank are used on the way. Writers of merge lists
recover merges so; a token without one is lost by them. A rank table may still reach it: once nothing of a lower rank
is left to merge, pairs of a higher rank are joined, and may complete it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bbpe._encode import Encoder
from bbpe._splits import last_merges
from bbpe.errors import MissingByteError, VocabularyError
from bbpe.patterns import Pretokenizer
from bbpe.tokenizer import Tokenizer, build_encoder
from bbpe.vocabulary import Vocabulary

MAX_WORK = 10**9  # the run on one token is quadratic in its length; published vocabularies need less than 10**8 in all


class Run(NamedTuple):
    """What the merges make of a token's own bytes.

    Attributes:
        parts: How many are left at the end: 1 where merges reach the token, 0 where a byte is left that has no token.
        split: The ids of the last merge's pair; None for a byte, and for what no merge makes of two tokens.
        rank: Of the last merge, -1 where there was none.
        highest: The highest rank of the merges before the last, -1 where there were none.
    """

    parts: int
    split: tuple[int, int] | None
    rank: int
    highest: int


@dataclass(frozen=True, slots=True)
class Node:
    """A token in a merge tree.

    Attributes:
        id: Its id.
        token: Its bytes.
        rank: The rank of the merge that makes it; None for a byte and for what no merge makes.
        parts: The two parts that are merged; where no merge makes the token, what the merges leave of its bytes; ()
            for a byte.
        merged: Whether merges make it of its parts.
    """

    id: int
    token: bytes
    rank: int | None
    parts: tuple[Node, ...]
    merged: bool

    def walk(self) -> Iterator[Node]:
        """This node and all below it, each before its parts. Without recursion: a long token's tree is deep."""
        waiting: list[Node] = [self]
        while waiting:
            node = waiting.pop()
            yield node
            waiting += reversed(node.parts)


class AloneEncoder:
    """The merges of a vocabulary without its pattern and whole-pretoken rule: the run on given bytes alone."""

    def __init__(self, vocabulary: Vocabulary, encoder: Encoder | None = None) -> None:
        """
        Args:
            vocabulary: The merges.
            encoder: One of theirs without the whole-pretoken rule, where there is one; making it takes a second.
        """
        self._encoder = encoder or build_encoder(vocabulary, Pretokenizer(vocabulary.pattern), whole_pretoken=False)
        self._lengths = {id: len(token) for id, token in vocabulary.tokens.items()}
        self._known = bytes(token[0] for token in vocabulary.tokens.values() if len(token) == 1)

    def parts(self, runs: Sequence[bytes]) -> list[list[int]]:
        """The ids that the merges leave of each run of bytes; none where a byte is left that has no token."""
        able = [not run.translate(None, self._known) for run in runs]
        data = b"".join(run for run, can in zip(runs, able, strict=True) if can)
        ends = np.cumsum([len(run) for run, can in zip(runs, able, strict=True) if can], dtype=np.uint64)
        ids = iter(self._encoder.encode_pretokens(data, ends).tolist() if len(ends) else ())
        lengths = self._lengths
        found: list[list[int]] = []
        for run, can in zip(runs, able, strict=True):
            parts: list[int] = []
            missing = len(run) if can else 0
            while missing:
                id = next(ids)
                parts.append(id)
                missing -= lengths[id]
            found.append(parts if can else self._parts_of_rare(run))
        return found

    def _parts_of_rare(self, run: bytes) -> list[int]:
        """The same of a run with a byte that has no token, which a rank table may still join to others."""
        try:
            ids: list[int] = self._encoder.encode_pretokens(run, np.array([len(run)], dtype=np.uint64)).tolist()
        except MissingByteError:
            return []
        return ids


class MergeForest:
    """The merges of one vocabulary, and how they build its tokens. A quarter of a million tokens take half a second.

    Args:
        vocabulary: A merge list or a rank table; each is run by its own rules. The whole-pretoken rule has no say here.
        encoder: As for ``AloneEncoder``.

    Raises:
        VocabularyError: Its tokens are too long for this.
    """

    def __init__(self, vocabulary: Vocabulary, encoder: Encoder | None = None) -> None:
        tokens = vocabulary.tokens
        if sum(len(token) ** 2 for token in tokens.values()) > MAX_WORK:
            longest = max(map(len, tokens.values()))
            raise VocabularyError(f"tokens of up to {longest:,} bytes are too long to follow their merges")
        self.vocabulary = vocabulary
        self._place = {id: place for place, id in enumerate(tokens)}
        self._encoder = encoder
        self._alone: AloneEncoder | None = None
        ranks = merges = None
        if vocabulary.ranks is not None:
            ranks = np.empty(len(tokens), dtype=np.uint32)
            places = np.fromiter((self._place[id] for id in vocabulary.ranks), np.int64, len(tokens))
            ranks[places] = np.arange(len(tokens), dtype=np.uint32)
        else:
            assert vocabulary.merges is not None
            ids, size = vocabulary.ids, len(vocabulary.merges)
            made = [ids[tokens[left] + tokens[right]] for left, right in vocabulary.merges]
            merges = np.empty((size, 3), dtype=np.uint32)
            columns = zip(*vocabulary.merges, strict=True) if size else ((), ())
            for number, column in enumerate((*columns, made)):
                merges[:, number] = np.fromiter(map(self._place.__getitem__, column), np.uint32, size)
        data = np.frombuffer(b"".join(tokens.values()), dtype=np.uint8)
        ends = np.cumsum([len(token) for token in tokens.values()], dtype=np.int64)
        self._parts, self._left, self._rank, self._highest = last_merges(data, ends, ranks, merges)

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> MergeForest:
        """The merges of a tokenizer; its encoder is used where it has no whole-pretoken rule."""
        vocabulary = tokenizer.vocabulary
        return cls(vocabulary, None if vocabulary.whole_pretoken else tokenizer.encoder)

    @property
    def alone(self) -> AloneEncoder:
        """The merges at work on any bytes; made when it is first asked for."""
        if self._alone is None:
            self._alone = AloneEncoder(self.vocabulary, self._encoder)
        return self._alone

    def run(self, id: int) -> Run:
        """The run on a token's own bytes.

        Raises:
            KeyError: The id is none of an ordinary token.
        """
        place = self._place[id]
        return Run(int(self._parts[place]), self.split(id), int(self._rank[place]), int(self._highest[place]))

    def split(self, id: int) -> tuple[int, int] | None:
        """The pair of the last merge that makes a token; None for a byte and for what no merge makes of two tokens."""
        left = int(self._left[self._place[id]])
        if not left:
            return None
        token, ids = self.vocabulary.tokens[id], self.vocabulary.ids
        halves = ids.get(token[:left]), ids.get(token[left:])
        # A rank table may join a byte that has no token of its own.
        return None if halves[0] is None or halves[1] is None else (halves[0], halves[1])

    def not_made(self) -> list[int]:
        """The tokens that the merges never make of their own bytes, ascending."""
        return [id for id, parts in zip(self._place, self._parts.tolist(), strict=True) if parts != 1]

    def without_canonical_split(self) -> list[int]:
        """Of a rank table: the tokens of two bytes or more that have no canonical split (see the module)."""
        lost = (self._parts != 1) | (self._highest > self._rank)
        tokens = self.vocabulary.tokens
        return [id for id, is_lost in zip(self._place, lost.tolist(), strict=True) if is_lost and len(tokens[id]) > 1]

    def canonical_merges(self) -> list[tuple[int, int]]:
        """Of a rank table: the canonical splits, by the rank of the token that they make."""
        assert self.vocabulary.ranks is not None
        missing = set(self.without_canonical_split())
        splits = (self.split(id) for id in self.vocabulary.ranks if id not in missing)
        return [split for split in splits if split is not None]

    def tree(self, id: int) -> Node:
        """The merge tree of a token; of one that no merge makes, the parts that the merges leave.

        Raises:
            KeyError: The id is none of an ordinary token.
        """
        tokens = self.vocabulary.tokens
        below = {id: self._parts_of(id)}
        waiting = [id]
        while waiting:
            for part in below[waiting.pop()]:
                if part not in below:
                    below[part] = self._parts_of(part)
                    waiting.append(part)
        nodes: dict[int, Node] = {}
        for each in sorted(below, key=lambda each: len(tokens[each])):  # a token is longer than its parts
            run = self.run(each)
            parts = tuple(nodes[part] for part in below[each])
            made = run.parts == 1
            nodes[each] = Node(each, tokens[each], run.rank if parts and made else None, parts, made)
        return nodes[id]

    def _parts_of(self, id: int) -> Sequence[int]:
        """The pair that makes a token; where no merge makes it, what they leave of its bytes; nothing of a byte."""
        if self.run(id).parts == 1:
            return self.split(id) or ()
        return self.alone.parts([self.vocabulary.tokens[id]])[0]
