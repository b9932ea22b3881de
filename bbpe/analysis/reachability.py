"""Which tokens some text gets, which none can get, and how that is known: a witness, or a proof.

A token is *reachable* when the ids of some valid text hold its id. Then there is a witness, a text of which this was
tried. Otherwise one of these may be proven:

* **merges**: its own bytes do not end as one part, so no pretoken ever has it in place (the lemma in
  ``formats/equivalence.py``). Where pretokens that are tokens are taken whole, it may still stand as one.
* **pattern**: no pretoken of any text holds its bytes (``pattern_proof.py``).
* **normalizer**: it holds text that is not normalized. Parts of normalized text are normalized (Unicode, annex 15,
  section 1.3), so no text that the normalizer gives has it.
* **encoding**: no valid UTF-8 text holds its bytes (the byte 0xFF; ``encode_bytes`` takes any bytes and can give it).
* **neighbours**: it ends inside a character, so another token follows. By the same lemma the two stand side by side
  only if they do so in the run on their bytes alone; every token that could follow was tried, and with none they do.
  The same for one that begins inside a character, and the tokens before it.

What is left has neither: **not found**, after the number of texts said in ``Reachability.tried``.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import numpy as np
import numpy.typing as npt

from bbpe.analysis.merge_forest import MergeForest
from bbpe.analysis.pattern_proof import PatternProof
from bbpe.analysis.token_shape import Shape, beginnings, endings, holders, shape_of
from bbpe.errors import MissingByteError
from bbpe.tokenizer import Tokenizer

Reason = Literal["merges", "pattern", "normalizer", "encoding", "neighbours"]

_ROUNDS = (16, 256, 4096)  # texts tried for a token that begins or ends inside a character, more for what is left
_MAX_TEXTS = 200_000  # of one kind of search
_FEW = 32  # tokens for which every other token is tried as a neighbour
_BATCH = 1 << 15


@dataclass(frozen=True, slots=True)
class Reachability:
    """What is known of every ordinary token, special tokens left out.

    Attributes:
        shapes: Id to shape of the tokens that are not valid UTF-8; None for one that no valid text holds.
        proven: Why tokens are proven unreachable: reason to ids, ascending. A token may have several reasons.
        not_by_merges: Tokens that merges never make (the reason ``"merges"`` holds those among them that are never
            taken whole either).
        whole_only: Those of them that a text gives all the same, as a whole pretoken.
        not_found: Tokens with neither witness nor proof.
        witnesses: A text that gives the token, for every reachable token that its own text does not give.
        tried: How many texts the searches tried.
        pattern_proven: Whether the pattern has automata, so that what is said of it is proven; otherwise nothing is.
    """

    shapes: Mapping[int, Shape | None]
    proven: Mapping[Reason, tuple[int, ...]]
    not_by_merges: tuple[int, ...]
    whole_only: tuple[int, ...]
    not_found: tuple[int, ...]
    witnesses: Mapping[int, str]
    tried: int
    pattern_proven: bool

    @property
    def unreachable(self) -> tuple[int, ...]:
        """All ids that are proven unreachable from valid text, ascending."""
        return tuple(sorted({id for ids in self.proven.values() for id in ids}))


def reachability(tokenizer: Tokenizer, forest: MergeForest | None = None) -> Reachability:
    """Find out for every ordinary token whether some valid text gives it.

    Args:
        tokenizer: A byte-level tokenizer.
        forest: Its merges, where the caller has them already.

    A quarter of a million tokens take a few seconds.
    """
    vocabulary = tokenizer.vocabulary
    special = {token.id for token in vocabulary.special_tokens}
    tokens = {id: token for id, token in vocabulary.tokens.items() if id not in special}
    return _Search(tokenizer, tokens, forest or MergeForest.of(tokenizer)).run()


class _Search:
    def __init__(self, tokenizer: Tokenizer, tokens: Mapping[int, bytes], forest: MergeForest) -> None:
        self._tokenizer = tokenizer
        self._tokens = tokens
        self._forest = forest
        self._pattern = PatternProof(tokenizer.pattern)
        self._texts: dict[int, str] = {}  # the valid ones
        self._shapes: dict[int, Shape | None] = {}  # the others
        for id, token in tokens.items():
            try:
                self._texts[id] = token.decode()
            except UnicodeDecodeError:
                self._shapes[id] = shape_of(token)
        self._proven: dict[Reason, set[int]] = {
            "merges": set(), "pattern": set(), "normalizer": set(), "encoding": set(), "neighbours": set()
        }  # fmt: skip
        self._witnesses: dict[int, str] = {}
        self._tried = 0
        self._random = np.random.default_rng(1)
        self._missing = set(range(256)) - {token[0] for token in tokens.values() if len(token) == 1}

    def run(self) -> Reachability:
        not_by_merges = self._tokens.keys() & set(self._forest.not_made())
        self._prove_pattern()
        self._prove_normalizer()
        self._proven["encoding"] = {id for id, shape in self._shapes.items() if shape is None}
        whole = self._tokenizer.vocabulary.whole_pretoken
        for id in not_by_merges:
            if not whole or id not in self._texts or self._pattern.never_whole(self._texts[id]):
                self._proven["merges"].add(id)

        reached = self._by_own_text()
        reached |= self._in_context(self._left(self._texts, reached))
        reached |= self._completed(self._left(self._shapes, reached))
        reached |= self._beside(self._left(self._shapes, reached))
        not_found = self._left(self._tokens, reached)
        return Reachability(
            shapes=self._shapes,
            proven={reason: tuple(sorted(found)) for reason, found in self._proven.items()},
            not_by_merges=tuple(sorted(not_by_merges)),
            whole_only=tuple(sorted(not_by_merges & reached)),
            not_found=tuple(not_found),
            witnesses=self._witnesses,
            tried=self._tried,
            pattern_proven=self._pattern.complete,
        )

    # ---- proofs ----

    def _prove_pattern(self) -> None:
        cut = self._pattern.always_cut(list(self._texts.values()))
        self._proven["pattern"] = {id for id, always in zip(self._texts, cut.tolist(), strict=True) if always}
        for id, shape in self._shapes.items():
            if shape is not None and self._pattern.always_cut_shape(shape):
                self._proven["pattern"].add(id)

    def _prove_normalizer(self) -> None:
        if self._tokenizer.vocabulary.normalizer is None:
            return
        for id, text in self._texts.items():
            if not text.isascii() and not unicodedata.is_normalized("NFC", text):
                self._proven["normalizer"].add(id)
        for id, shape in self._shapes.items():
            if shape is not None and not (
                unicodedata.is_normalized("NFC", shape.middle)
                and (
                    not shape.tail
                    or _any_normalized(endings(shape.tail) if shape.middle or shape.head else holders(shape.tail))
                )
                and (not shape.head or _any_normalized(beginnings(shape.head)))
            ):
                self._proven["normalizer"].add(id)

    def _beside(self, left: list[int]) -> set[int]:
        """For tokens that end or begin inside a character: prove that nothing can stand behind or before them, or try
        texts with what can."""
        reached: set[int] = set()
        pieces = [id for id, shape in self._shapes.items() if shape is not None]
        for id in left:
            shape = self._shapes[id]
            assert shape is not None  # a token without a shape is proven unreachable already
            sides = []
            if shape.head:
                sides.append(self._neighbours([(id, other) for other in pieces]))
            if shape.tail:
                sides.append(self._neighbours([(other, id) for other in pieces]))
            if not all(sides):
                self._proven["neighbours"].add(id)
                continue
            texts = [text for side in sides for joined in side for text in _completions(joined, 64, self._random)]
            reached |= self._given_by([id] * len(texts), texts)
        return reached

    def _neighbours(self, pairs: list[tuple[int, int]]) -> list[Shape]:
        """Of pairs of tokens that share a character: the shapes of those that can stand side by side in valid text."""
        shapes = [shape_of(self._tokens[left] + self._tokens[right]) for left, right in pairs]
        able = [
            (pair, shape)
            for pair, shape in zip(pairs, shapes, strict=True)
            if shape is not None and not self._pattern.always_cut_shape(shape)
        ]
        runs = [self._tokens[left] + self._tokens[right] for (left, right), _ in able]
        return [
            shape
            for (pair, shape), parts in zip(able, self._forest.alone.parts(runs), strict=True)
            if parts == list(pair)
        ]  # fmt: skip

    # ---- witnesses ----

    def _left(self, ids: Iterable[int], reached: set[int]) -> list[int]:
        """Those with neither witness nor proof."""
        done = reached.union(*self._proven.values())
        return [id for id in ids if id not in done]

    def _by_own_text(self) -> set[int]:
        ids = list(self._texts)
        return self._given_by(ids, [self._texts[id] for id in ids], note=False)

    def _in_context(self, left: list[int]) -> set[int]:
        """Put characters, then tokens, before and behind: a pattern may cut a token's own text by itself."""
        some = self._pattern.representatives() or list(" \n\tAa1.,'!é中한の\u0301👍")
        one = [(character, "") for character in some] + [("", character) for character in some]
        two = [(before, behind) for before in some for behind in some]
        reached = self._surrounded(left, one)
        reached |= self._surrounded([id for id in left if id not in reached], two)
        rest = [id for id in left if id not in reached]
        if len(rest) <= _FEW:
            texts = self._texts.values()
            for id in rest:
                own = self._texts[id]
                reached |= self._given_by_any(id, [text + own for text in texts]) or self._given_by_any(
                    id, [own + text for text in texts]
                )
        return reached

    def _surrounded(self, left: list[int], contexts: list[tuple[str, str]]) -> set[int]:
        pairs = ((id, before + self._texts[id] + behind) for before, behind in contexts for id in left)
        reached: set[int] = set()
        while batch := list(islice(pairs, _BATCH)):
            batch = [(id, text) for id, text in batch if id not in reached]
            reached |= self._given_by([id for id, _ in batch], [text for _, text in batch])
            if len(reached) == len(left) or self._tried > _MAX_TEXTS + len(self._tokens):
                break
        return reached

    def _given_by_any(self, id: int, texts: list[str]) -> set[int]:
        return self._given_by([id] * len(texts), texts)

    def _completed(self, left: list[int]) -> set[int]:
        """Complete the characters that a token begins and ends in; in the last round among others."""
        reached: set[int] = set()
        some = ["", *self._pattern.representatives()]
        for number in _ROUNDS:
            among = some if number == _ROUNDS[-1] else [""]
            pairs = (
                (id, self._random.choice(among) + text + self._random.choice(among) if len(among) > 1 else text)
                for id in left
                if id not in reached
                for text in _completions(self._shapes[id], number, self._random)
            )
            found: set[int] = set()
            while batch := list(islice(pairs, _BATCH)):
                found |= self._given_by([id for id, _ in batch], [text for _, text in batch])
            reached |= found
        return reached

    def _given_by(self, ids: Sequence[int], texts: Sequence[str], *, note: bool = True) -> set[int]:
        """Those ids that their text gives; its witness is noted."""
        able, offsets, found = self._encoded(texts)
        self._tried += len(texts)
        wanted = np.repeat(np.array(ids, dtype=np.int64)[able], np.diff(offsets))
        places = np.flatnonzero(wanted == found)
        reached: set[int] = set(wanted[places].tolist())
        if note:
            number = np.array(able)[np.searchsorted(offsets, places, side="right") - 1]
            for place in number.tolist():
                self._witnesses.setdefault(ids[place], texts[place])
        return reached

    def _encoded(self, texts: Sequence[str]) -> tuple[list[int], npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
        """The texts that can be encoded, by number, where the ids of each begin, and the ids."""
        able = list(range(len(texts)))
        if self._missing:
            able = [n for n in able if not self._missing.intersection(texts[n].encode()) or self._can_encode(texts[n])]
        ids, offsets = self._tokenizer.encode_batch_to_numpy([texts[n] for n in able], threads=1)
        return able, offsets, ids

    def _can_encode(self, text: str) -> bool:
        try:
            self._tokenizer.encode(text)
        except MissingByteError:
            return False
        return True


def _any_normalized(code_points: npt.NDArray[np.int32]) -> bool:
    """Whether one of the characters is normalized by itself; no normalized text contains one that is not."""
    return any(unicodedata.is_normalized("NFC", chr(code)) for code in code_points.tolist())


def _completions(shape: Shape | None, number: int, random: np.random.Generator) -> Iterable[str]:
    """Texts that hold a token which begins or ends inside a character: all, or ``number`` of them."""
    assert shape is not None
    if not shape.middle and not shape.head:
        every = holders(shape.tail)
        return map(chr, (every if len(every) <= number else random.choice(every, number)).tolist())
    before = endings(shape.tail) if shape.tail else _NOTHING
    behind = beginnings(shape.head) if shape.head else _NOTHING
    if len(before) * len(behind) <= number:
        pairs = [(first, last) for first in before.tolist() for last in behind.tolist()]
    else:
        firsts, lasts = random.choice(before, number).tolist(), random.choice(behind, number).tolist()
        pairs = list(zip(firsts, lasts, strict=True))
    return (
        (chr(first) if shape.tail else "") + shape.middle + (chr(last) if shape.head else "") for first, last in pairs
    )


_NOTHING = np.zeros(1, dtype=np.int32)
