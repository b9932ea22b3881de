"""More Chinese than there is at hand: a seeded generator that keeps Heaps' law. What it writes is named synthetic.

    python -m benchmarks.synthetic --corpus zh-web --size 1GB

Memory in training follows the distinct pretokens, so that a corpus which repeats itself would prove nothing. The real
text comes first, whole. Then its pretokens come again and again, in their order, but for the words: of those that are
letters with a Chinese one among them, alone or after a comma or the like, each becomes either a new one or one that has
been before.

- How many are new: as many as Heaps' law says, *D(T) = K·T^β*, fitted on the second half of the real text (*T* pretokens,
  *D* of them distinct).
- Which old one: any earlier occurrence in the same place, those that were first ones less often, by 1 − β (a Pitman-Yor
  process), so that what is frequent stays so and new ones come again.
- What a new one looks like: the first half of the letters of one pretoken that was new in the last fifth of the real
  text, and the second half of another's. Lengths are those of real ones, and so is every pair of characters but one.

Only letters are exchanged for letters, so that the pattern cuts the result where it cut the original. (New ones that
come out equal to old ones are few; how many distinct pretokens there are in the end is counted, not believed.)
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bbpe.patterns import Pretokenizer
from benchmarks.slices import Part, cut_slice, replacing, scratch

_OFTEN = 500  # places that begin alike: then they are a kind of their own
_BLOCK = 1 << 17  # pretokens that are made at a time


@dataclass(frozen=True, slots=True)
class Heaps:
    """Heaps' law of a text: distinct = ``factor`` · pretokens ** ``exponent``.

    Attributes:
        factor: K.
        exponent: β.
        error: The largest relative difference from the text where it was fitted.
    """

    factor: float
    exponent: float
    error: float

    @classmethod
    def of(cls, new: npt.NDArray[np.bool_]) -> Heaps:
        """Fit it on the second half of a text.

        Args:
            new: Whether each pretoken is the first of its kind.
        """
        size = len(new)
        at = np.unique(np.geomspace(size / 2, size, 50).astype(np.int64))
        distinct = np.cumsum(new)[at - 1].astype(np.float64)
        exponent, intercept = np.polyfit(np.log(at), np.log(distinct), 1)
        law = np.exp(intercept) * at**exponent
        return cls(float(np.exp(intercept)), float(exponent), float(np.abs(law / distinct - 1).max()))

    def distinct(self, pretokens: int) -> float:
        return float(self.factor * pretokens**self.exponent)


def beginning(word: bytes) -> str | None:
    """What stands before the letters of a word: nothing or one character; None where it is no Chinese word."""
    text = word.decode("utf-8", "replace")
    before, rest = ("", text) if text[:1].isalpha() else (text[:1], text[1:])
    chinese = any("\u4e00" <= character <= "\u9fff" for character in rest)
    return before if len(rest) >= 2 and chinese and rest.isalpha() else None


def generate(text: bytes, size: int, seed: int) -> Iterator[bytes]:
    """Pieces of a text of about ``size`` bytes, of which the first are ``text``."""
    rng = np.random.default_rng(seed)
    words: list[bytes] = []
    known: dict[bytes, int] = {}
    ends = Pretokenizer("llama3").ends(text).tolist()
    stream = np.empty(len(ends), np.uint32)
    new = np.zeros(len(ends), bool)
    begin = 0
    for index, end in enumerate(ends):
        word = text[begin:end]
        begin = end
        number = known.setdefault(word, len(words))
        if number == len(words):
            words.append(word)
            new[index] = True
        stream[index] = number
    del known
    law = Heaps.of(new)
    print(f"{len(stream):,} pretokens, {len(words):,} distinct; {law}", file=sys.stderr)
    beginnings = list(map(beginning, words))
    places = Counter(beginnings[number] for number in stream.tolist())
    places.pop(None, None)
    kinds = {before: kind for kind, (before, often) in enumerate(places.most_common(), 1) if often >= _OFTEN}
    kind_of_word = np.fromiter((kinds.get(before, 0) for before in beginnings), np.uint8, len(words))
    del beginnings
    kind_of = kind_of_word[stream]
    late = np.arange(len(stream)) >= len(stream) * 4 // 5
    pools: dict[int, _Pool] = {}
    for before, kind in kinds.items():
        assert before is not None  # it was popped
        chosen = kind_of == kind
        parts = [words[number][len(before.encode()) :].decode() for number in stream[late & chosen & new].tolist()]
        parts = [part for part in parts if len(part) >= 3] or ["一二三"]
        pools[kind] = _Pool(stream[chosen], new[chosen], before.encode(), parts, law.exponent)
    yield text
    made, pretokens, distinct = len(text), len(stream), len(words)
    at = 0
    while made < size:
        block = stream[at : at + _BLOCK].copy()
        kind_here = kind_of[at : at + _BLOCK]
        at = (at + len(block)) % len(stream)
        wanted = round(law.distinct(pretokens + len(block))) - distinct
        (open_places,) = np.nonzero(kind_here)
        fresh = np.zeros(len(block), bool)
        fresh[rng.choice(open_places, min(wanted, len(open_places)), replace=False)] = True
        for kind, pool in pools.items():
            chosen = kind_here == kind
            old = np.flatnonzero(chosen & ~fresh)
            block[old] = pool.drawn(rng, len(old))
            minted = np.flatnonzero(chosen & fresh)
            block[minted] = np.arange(len(words), len(words) + len(minted))
            words += pool.minted(rng, len(minted))
            pool.note(block[chosen], fresh[chosen])
        distinct += int(fresh.sum())
        pretokens += len(block)
        piece = b"".join([words[number] for number in block.tolist()])
        made += len(piece)
        yield piece
    print(
        f"{made:,} bytes, {pretokens:,} pretokens, {distinct:,} of them meant to be distinct; by the law "
        f"{law.distinct(pretokens):,.0f}",
        file=sys.stderr,
    )


class _Pool:
    """What stood in places of one kind, and the letters that new words are made of."""

    def __init__(
        self,
        numbers: npt.NDArray[np.uint32],
        first: npt.NDArray[np.bool_],
        before: bytes,
        parts: list[str],
        exponent: float,
    ) -> None:
        self._numbers = numbers
        self._first = first
        self._size = len(numbers)
        self._before = before
        self._parts = parts
        self._exponent = exponent

    def note(self, numbers: npt.NDArray[np.uint32], first: npt.NDArray[np.bool_]) -> None:
        end = self._size + len(numbers)
        if end > len(self._numbers):
            self._numbers = np.resize(self._numbers, 2 * end)
            self._first = np.resize(self._first, 2 * end)
        self._numbers[self._size : end] = numbers
        self._first[self._size : end] = first
        self._size = end

    def drawn(self, rng: np.random.Generator, size: int) -> npt.NDArray[np.uint32]:
        """Words that stood there before."""
        found = np.empty(0, np.uint32)
        while len(found) < size:
            at = rng.integers(0, self._size, 2 * size)
            kept = at[~self._first[at] | (rng.random(len(at)) > self._exponent)]
            found = np.concatenate([found, self._numbers[kept]])
        return found[:size]

    def minted(self, rng: np.random.Generator, size: int) -> list[bytes]:
        """New words."""
        parts, before = self._parts, self._before
        pairs = rng.integers(0, len(parts), (2, size)).tolist()
        return [
            before + (parts[left][: (len(parts[left]) + 1) // 2] + parts[right][len(parts[right]) // 2 :]).encode()
            for left, right in zip(*pairs, strict=True)
        ]


def synthetic(corpus: str, size: int, seed: int = 0) -> Path:
    """The file, made now or found in the scratch folder from an earlier run."""
    path = scratch() / f"synthetic-{corpus}-{size}-seed{seed}.txt"
    if not path.exists():
        text = cut_slice(corpus, Part("first", min(size, 10**12))).data()
        with replacing(path) as beside, beside.open("wb") as file:
            for piece in generate(text, size, seed):
                file.write(piece)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.synthetic", description=__doc__.split("\n\n")[0])
    parser.add_argument("--corpus", default="zh-web")
    parser.add_argument("--size", default="1GB")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    path = synthetic(options.corpus, Part.parse(f"first:{options.size}").size, options.seed)
    print(json.dumps({"path": str(path), "bytes": path.stat().st_size, "seed": options.seed}))


if __name__ == "__main__":
    main()
