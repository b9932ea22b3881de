"""Where a document may be cut in two, so that one of any size is encoded in bounded memory.

What it does: finds a place near the end of what has arrived of a document such that the ids of both sides, one after
the other, are those of the whole (:class:`Cutter`), and hands on documents whole or in such parts (:func:`texts_of`).
What it does not: encode, or read files. Where no such place is known (a pattern that runs on ``regex``) a document is
handed on whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from bbpe._count import PADDING, all_inert
from bbpe.corpus import BLOCK_BYTES, Block
from bbpe.patterns import Pretokenizer
from bbpe.tokenizer import Allowed, Tokenizer

__all__ = ["Cutter", "Texts", "parts_of", "texts_of"]

_RUN_DOCUMENTS = 1 << 14  # at most so many documents in a run, however short they are
_WINDOW = 1 << 16  # how far back from the end of a block a place to cut is looked for


class Cutter:
    """Finds places where a text may be cut in two whose ids, one after the other, are those of the whole.

    A safe cut of the pattern's first stage is a boundary of pretokens whatever stands around it. That is not yet
    enough: with the text cut off there, a look-ahead sees the end of text where there is a character. So two safe cuts
    are taken, and the text between them must fall into the same pretokens with the character that follows and without.
    What stands before the first of the two never depends on what follows the second.

    Attributes:
        usable: Whether places to cut can be found at all.
    """

    def __init__(self, tokenizer: Tokenizer, allowed: Allowed) -> None:
        self._automata = Pretokenizer(tokenizer.pattern).automata
        self._normalized = tokenizer.vocabulary.normalizer is not None
        specials = [
            special for special in tokenizer.vocabulary.special_tokens if allowed == "all" or special.content in allowed
        ]
        self._specials = [special.content.encode() for special in specials]
        # A special token that takes the white space around it, or looks at its neighbours, makes any place near it one
        # that depends on text further off.
        plain = not any(special.lstrip or special.rstrip or special.single_word for special in specials)
        self.usable = self._automata is not None and plain

    def find(self, data: bytes) -> int:
        """A place to cut, near the end of ``data`` (of which more follows); 0 when none is found."""
        if not self.usable:
            return 0
        longest = max(map(len, self._specials), default=0)
        begin = max(0, len(data) - _WINDOW)
        first = begin + longest if begin else 0  # behind a special token that begins before the window
        end = len(data) - longest - 8  # before one that is still arriving; and whole characters only
        while end > first:
            # Between two special tokens, or the edges of the window: the last one that begins before `end`.
            found = [(data.rfind(each, begin, end + len(each) - 1), len(each)) for each in self._specials]
            cut = self._find_in(data, max((at + length for at, length in found if at >= 0), default=first), end)
            if cut:
                return cut
            end = max((at for at, _ in found), default=-1)
        return 0

    def _find_in(self, data: bytes, begin: int, end: int) -> int:
        if end - begin < 16:  # too short to be worth a look, or nothing at all
            return 0
        assert self._automata is not None
        automaton = self._automata[0]
        # The first bytes of the window may be the rest of a character: 4 bytes on, what they are no longer matters.
        window = data[begin:end]
        cut = automaton.safe_cut(window, len(window) - 4)
        for _ in range(8):
            if cut is None or cut < 8:
                return 0
            before = automaton.safe_cut(window, cut - 1)
            if before is None or before < 4:
                return 0
            followed = automaton.ends(window[before : cut + 4])
            alone = automaton.ends(window[before:cut])
            if np.array_equal(followed[: len(alone)], alone) and (not self._normalized or _inert(window, before, cut)):
                return begin + int(cut)
            cut = before
        return 0


def _inert(window: bytes, before: int, cut: int) -> bool:
    """Whether normalization reaches across neither place.

    That is so where the text from the character before the one to the second character after the other is inert.
    """
    start = before - 1
    while start > 0 and before - start < 4 and window[start] & 0xC0 == 0x80:
        start -= 1
    end = cut
    for _ in range(2):
        end += 1
        while end < len(window) and window[end] & 0xC0 == 0x80:
            end += 1
    if end > len(window):
        return False
    span = window[start:end]
    return all_inert(span + bytes(PADDING), np.zeros(1, np.int64), np.array([len(span)], np.int64))


@dataclass(frozen=True, slots=True)
class Texts:
    """Documents one after another, each whole but for the first and the last.

    Attributes:
        parts: The texts; at least one.
        complete: Whether the last is the end of its document.
        offset: Where in its document the first begins, in bytes.
    """

    parts: list[bytes]
    complete: bool
    offset: int


def texts_of(blocks: Iterable[Block], cutter: Cutter, offset: int = 0) -> Iterator[Texts]:
    """The documents of a stream, in runs of about a block; what is larger comes in parts where it may be cut.

    Args:
        blocks: The stream.
        cutter: What knows where a document may be cut.
        offset: Where in its document the text of the first block begins.
    """
    pending: list[bytes | memoryview] = []  # of a document that goes on
    size = 0
    wanted = BLOCK_BYTES
    for block in blocks:
        data = bytes(block.data)
        starts, ends = block.starts.tolist(), block.ends.tolist()
        ended = len(starts) - (not block.complete)
        for first in range(0, ended, _RUN_DOCUMENTS):
            last = min(first + _RUN_DOCUMENTS, ended)
            parts = [data[start:end] for start, end in zip(starts[first:last], ends[first:last], strict=True)]
            if pending:
                parts[0] = b"".join((*pending, parts[0]))
                pending, size, wanted = [], 0, BLOCK_BYTES
            yield Texts(parts, True, offset)
            offset = 0
        if block.complete:
            continue
        pending.append(memoryview(data)[starts[-1] : ends[-1]])
        size += ends[-1] - starts[-1]
        if size < wanted or not cutter.usable:
            continue
        text = b"".join(pending)
        cut = cutter.find(text)
        if cut:
            yield Texts([text[:cut]], False, offset)
            offset += cut
            wanted = BLOCK_BYTES
        else:
            wanted = 2 * size  # so a text without any place to cut is copied a few times, not once a block
        pending = [text[cut:]]
        size -= cut


def parts_of(blocks: Iterable[Block], cutter: Cutter) -> Iterator[tuple[bytes, bool]]:
    """Each document of a stream whole or in parts: the text, and whether it is the document's last."""
    for texts in texts_of(blocks, cutter):
        last = len(texts.parts) - 1
        for index, part in enumerate(texts.parts):
            yield part, index < last or texts.complete
