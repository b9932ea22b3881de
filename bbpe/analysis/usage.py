"""What a vocabulary's tokens are worth on a corpus: how often each is used, and which could go.

**Junk.** Tokens are steps on the way to longer ones, and some are nothing else. The share of its occurrences at which a
token *x* is merged on into one certain longer token is its IoS towards that token (PickyBPE, arXiv 2409.04599:
f(x, y) / f(x)). The occurrences of a token are those in the output and those inside of tokens of the output: merges are
never undone, so each stands as a node in the merge tree of some token of the output (``merge_forest.py``), and counting
nodes counts exactly. A whole pretoken that no merge makes counts as itself alone.

**Removal.** A token that no other token is built from can be removed without harm to others. Each place where it stands
then takes its two parts instead: one token more, or fewer more where these merge with what stands beside them. So its
count is the most that its removal costs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bbpe.analysis.entries import Entries
from bbpe.analysis.merge_forest import MergeForest
from bbpe.corpus import Progress, Reporter, Source, SourceLike, open_corpus
from bbpe.engines import EngineTokenizer
from bbpe.tokenizer import Tokenizer

JUNK_IOS = 0.9
"""PickyBPE's default threshold."""
JUNK_COUNT = 10
"""A share of fewer occurrences says little."""

_BATCH_BYTES = 4 << 20
_BATCH_DOCUMENTS = 20_000


@dataclass(frozen=True, slots=True, eq=False)
class Usage:
    """How often each token stands in an encoded corpus.

    Attributes:
        counts: Shape (id space,), int64.
        documents: Documents of the corpus.
        bytes: Bytes of text.
        characters: Characters of text; an invalid byte is one.
        character_counts: How often each character stands in the text.
        sources: The files, with their sizes and hashes.
    """

    counts: npt.NDArray[np.int64]
    documents: int
    bytes: int
    characters: int
    character_counts: Counter[str]
    sources: tuple[Source, ...]

    @property
    def tokens(self) -> int:
        """Tokens of the encoded corpus."""
        return int(self.counts.sum())

    def used(self, ids: npt.NDArray[np.int64]) -> int:
        """How many of these ids stand in the corpus at all."""
        return int((self.counts[ids] > 0).sum())

    def curve(self, points: int = 60) -> tuple[tuple[int, int], ...]:
        """(rank, count) from the most used token on, at ranks evenly spaced on a logarithmic scale."""
        ordered = np.sort(self.counts[self.counts > 0])[::-1]
        if not len(ordered):
            return ()
        ranks = np.unique(np.geomspace(1, len(ordered), points).round().astype(int))
        return tuple((int(rank), int(ordered[rank - 1])) for rank in ranks)


@dataclass(frozen=True, slots=True)
class Junk:
    """A token that survives almost only inside one longer token.

    Attributes:
        id: The token.
        into: The longer token.
        ios: The share of its occurrences that are merged into it.
        occurrences: How often it stands, inside other tokens included.
        output: How often it stands in the output.
    """

    id: int
    into: int
    ios: float
    occurrences: int
    output: int


def measure_usage(
    tokenizer: Tokenizer | EngineTokenizer,
    source: SourceLike,
    *,
    threads: int | None = None,
    text_field: str = "text",
    lines: bool = False,
    strict: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> Usage:
    """Encode a corpus and count its tokens.

    Args:
        tokenizer: Any tokenizer that encodes.
        source: What ``open_corpus`` takes; a document of any size is held in memory.
        threads: How many to use; None: one for each processor.
        text_field: As for ``open_corpus``.
        lines: As for ``open_corpus``.
        strict: As for ``open_corpus``.
        progress: Called now and then with how much has been read.

    Raises:
        CorpusError: Something cannot be read, or there is no text.
        EncodeError: The vocabulary cannot say the text.
    """
    corpus = open_corpus(source, text_field=text_field, lines=lines, strict=strict)
    reporter = Reporter(corpus, "encoding", progress)
    counts = np.zeros(tokenizer.id_space, dtype=np.int64)
    points = np.zeros(0x110000, dtype=np.int64)
    documents = size = 0
    try:
        for batch in _batches(corpus.documents()):
            documents += len(batch)
            size += sum(map(len, batch))
            texts = [document.decode("utf-8", "surrogateescape") for document in batch]
            if isinstance(tokenizer, Tokenizer):
                ids, _ = tokenizer.encode_batch_to_numpy(batch, threads=threads)
            else:
                ids, _ = tokenizer.encode_batch_to_numpy(texts, threads=threads, errors="replace")
            counts += np.bincount(ids, minlength=len(counts))
            encoded = "".join(texts).encode("utf-32-le", "surrogatepass")
            points += np.bincount(np.frombuffer(encoded, dtype=np.uint32), minlength=len(points))
            reporter.now_and_then()
        reporter.now()
    finally:
        corpus.close()
    characters = Counter({chr(code): int(points[code]) for code in np.flatnonzero(points).tolist()})
    return Usage(counts, documents, size, int(points.sum()), characters, corpus.sources)


def _batches(documents: Iterator[bytes]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    size = 0
    for document in documents:
        batch.append(document)
        size += len(document)
        if size >= _BATCH_BYTES or len(batch) >= _BATCH_DOCUMENTS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def occurrences(usage: Usage, forest: MergeForest) -> tuple[npt.NDArray[np.int64], dict[int, Counter[int]]]:
    """How often each token stands, in the output or inside a token of it, and into which tokens it was merged.

    Returns:
        (counts of shape (id space,); id to the tokens that it is a part of and how often it stands so).
    """
    total = usage.counts.copy()
    into: dict[int, Counter[int]] = {}
    tokens = forest.vocabulary.tokens
    # A token is longer than its parts: with the longest first, each count is complete when it is handed on.
    for id in sorted(tokens, key=lambda id: -len(tokens[id])):
        stands = int(total[id])
        split = forest.split(id) if stands else None
        for part in split or ():
            total[part] += stands
            into.setdefault(part, Counter())[id] += stands
    return total, into


def find_junk(usage: Usage, forest: MergeForest) -> tuple[Junk, ...]:
    """Tokens of two bytes or more whose IoS towards one longer token is at least ``JUNK_IOS``, the highest first.

    Only tokens that stand at least ``JUNK_COUNT`` times are judged.
    """
    total, into = occurrences(usage, forest)
    tokens = forest.vocabulary.tokens
    found = []
    for id, parents in into.items():
        stands = int(total[id])
        if len(tokens[id]) < 2 or stands < JUNK_COUNT:
            continue
        parent, merged = max(parents.items(), key=lambda item: (item[1], -item[0]))
        # A token that is both halves of the longer one stands in it twice.
        if merged >= JUNK_IOS * stands:
            found.append(Junk(id, parent, merged / stands, stands, int(usage.counts[id])))
    return tuple(sorted(found, key=lambda junk: (-junk.ios, -junk.occurrences, junk.id)))


def cheapest_to_remove(usage: Usage, forest: MergeForest, entries: Entries) -> tuple[tuple[int, int], ...]:
    """(id, the most tokens that its removal would add) of tokens that no other is built from, the cheapest first."""
    tokens = forest.vocabulary.tokens
    built_from = {part for id in tokens for part in forest.split(id) or ()}
    free = [id for id in entries.tokens if len(tokens[id]) > 1 and id not in built_from]
    return tuple(sorted(((id, int(usage.counts[id])) for id in free), key=lambda item: (item[1], -item[0])))
