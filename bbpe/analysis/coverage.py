"""How a vocabulary covers Chinese: which characters are one token, which cost more, which words are tokens.

The cost of a character is the number of tokens that it takes by itself. A byte-level tokenizer is asked by encoding it.
Other libraries put spaces before a text or cut by rules of their own, so there the pieces are read instead: a character
that is a piece costs one, else its bytes where they fall back to bytes, else it is unknown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from bbpe.analysis.characters import CharacterList, block_lists, standard_lists
from bbpe.analysis.entries import Entries, entries_of, han
from bbpe.engines import EngineTokenizer
from bbpe.tokenizer import Tokenizer

UNKNOWN = 0
"""The cost of a character that the vocabulary cannot say at all."""

CharacterCounts: TypeAlias = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class CoverageRow:
    """How one list of characters is covered.

    Attributes:
        characters: The list.
        costs: Tokens (``UNKNOWN`` for no token at all) to characters that cost so many.
    """

    characters: CharacterList
    costs: Mapping[int, int]

    @property
    def single(self) -> int:
        """Characters that are one token."""
        return self.costs.get(1, 0)

    @property
    def share(self) -> float:
        """Of the list, as a fraction."""
        return self.single / len(self.characters)


@dataclass(frozen=True, slots=True)
class Costly:
    """A character that costs two tokens or more, or is unknown (``tokens`` is ``UNKNOWN``).

    Attributes:
        character: The character.
        tokens: What it costs.
        count: How often it stands in the corpus; None without one.
    """

    character: str
    tokens: int
    count: int | None


@dataclass(frozen=True, slots=True)
class Words:
    """Tokens of so many Han characters and nothing else, a space before them aside.

    Attributes:
        characters: Their length.
        ids: By use in the corpus where there is one, else by id.
        used: How often they stand in the corpus, all together; None without one.
    """

    characters: int
    ids: tuple[int, ...]
    used: int | None


@dataclass(frozen=True, slots=True)
class Coverage:
    """How a vocabulary covers Chinese.

    Attributes:
        standards: GB 2312, Big5, only simplified, only traditional.
        blocks: Unicode's Han blocks.
        costly: Characters that cost two tokens or more: the most frequent of the corpus first; without one those of
            GB 2312 level 1 in its order.
        words: Tokens by length in Han characters, one included.
        read_off: Whether pieces were read instead of encoding (see the module).
    """

    standards: tuple[CoverageRow, ...]
    blocks: tuple[CoverageRow, ...]
    costly: tuple[Costly, ...]
    words: tuple[Words, ...]
    read_off: bool

    def __getitem__(self, name: str) -> CoverageRow:
        """The row of a list by its name, such as ``"gb2312-1"``."""
        return next(row for row in (*self.standards, *self.blocks) if row.characters.name == name)

    @property
    def longer_words(self) -> int:
        """Tokens of two Han characters or more."""
        return sum(len(words.ids) for words in self.words if words.characters > 1)


def cover_chinese(
    tokenizer: Tokenizer | EngineTokenizer,
    entries: Entries | None = None,
    *,
    characters: CharacterCounts | None = None,
    used: npt.NDArray[np.int64] | None = None,
) -> Coverage:
    """Measure how a vocabulary covers Chinese.

    Args:
        tokenizer: Any tokenizer.
        entries: Its entries, where the caller has them already.
        characters: How often each character stands in a corpus.
        used: How often each id stands in the encoded corpus, shape (id space,).
    """
    entries = entries or entries_of(tokenizer)
    lists = (*standard_lists(), *block_lists())
    wanted = dict.fromkeys(character for listed in lists for character in listed.characters)
    seen = [c for c in characters or () if han().fullmatch(c)]
    wanted.update(dict.fromkeys(seen))
    costs = character_costs(tokenizer, list(wanted), entries)
    rows = [CoverageRow(listed, dict(sorted(Counter(map(costs.__getitem__, listed.characters)).items()))) for listed in lists]  # fmt: skip
    if characters is None:
        costly = [Costly(c, costs[c], None) for c in standard_lists()[0].characters if costs[c] != 1]
    else:
        ordered = sorted(seen, key=lambda c: (-characters[c], c))
        costly = [Costly(c, costs[c], characters[c]) for c in ordered if costs[c] != 1]
    standards = len(standard_lists())
    return Coverage(
        tuple(rows[:standards]), tuple(rows[standards:]), tuple(costly), _words(entries, used), not _encodes(tokenizer)
    )


def character_costs(
    tokenizer: Tokenizer | EngineTokenizer, characters: Sequence[str], entries: Entries | None = None
) -> dict[str, int]:
    """What each character costs by itself, in tokens; ``UNKNOWN`` where the vocabulary cannot say it."""
    if _encodes(tokenizer):
        return _by_encoding(tokenizer, characters)
    assert isinstance(tokenizer, EngineTokenizer)
    tokens = set((entries or entries_of(tokenizer)).tokens.values())
    return {
        c: 1 if c.encode() in tokens else len(c.encode()) if tokenizer.byte_fallback else UNKNOWN for c in characters
    }


def _encodes(tokenizer: Tokenizer | EngineTokenizer) -> bool:
    if isinstance(tokenizer, Tokenizer):
        return True
    return tokenizer.algorithm == "byte-level bpe" and tokenizer.engine != "none"


def _by_encoding(tokenizer: Tokenizer | EngineTokenizer, characters: Sequence[str]) -> dict[str, int]:
    costs = dict.fromkeys(characters, UNKNOWN)
    missing: set[int] = set()
    if isinstance(tokenizer, Tokenizer):
        tokens = tokenizer.vocabulary.tokens.values()
        missing = set(range(256)) - {token[0] for token in tokens if len(token) == 1}
    able = [c for c in characters if not missing.intersection(c.encode())] if missing else list(characters)
    _, offsets = tokenizer.encode_batch_to_numpy(able, threads=1)
    costs.update(zip(able, np.diff(offsets).tolist(), strict=True))
    return costs


def _words(entries: Entries, used: npt.NDArray[np.int64] | None) -> tuple[Words, ...]:
    groups: dict[int, list[int]] = {}
    every = han()
    for id, token in entries.tokens.items():
        if len(token) < 3 or token.isascii():
            continue
        try:
            text = token.decode().removeprefix(" ")
        except UnicodeDecodeError:
            continue
        if text and len(every.findall(text)) == len(text):
            groups.setdefault(len(text), []).append(id)
    found = []
    for length, ids in sorted(groups.items()):
        total = None
        if used is not None:
            ids.sort(key=lambda id: (-int(used[id]), id))
            total = int(used[ids].sum())
        found.append(Words(length, tuple(ids), total))
    return tuple(found)
