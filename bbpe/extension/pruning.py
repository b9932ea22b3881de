"""Prune a vocabulary: take away the tokens that a corpus needs least, so that all that stay can still be reached.

A token is a *leaf* when the run of the merges makes no other token out of it. Only leaves go, the least frequent first;
what its text becomes without it, its two parts, gain its count, and may then be leaves themselves. So the run that
makes a kept token is made of kept tokens only, and ends in that token as before (each token has one such run: see
``formats/equivalence.py``). Hence what is checked in the end: every token that its merges made, they make still, and a
text in which no removed token stood has the same tokens.

Ids change, for a matrix with fewer rows is the purpose; ``old_ids`` says which row each new id had, and
:func:`bbpe.embeddings.select_rows` picks them.
"""

from __future__ import annotations

import heapq
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

import bbpe
from bbpe.corpus import Progress, Source, SourceLike, open_corpus
from bbpe.counts import Counts, count_pretokens
from bbpe.errors import FormatError, GuaranteeError, TrainingError
from bbpe.extension.guarantees import _blocks, _once, made_by_merges
from bbpe.extension.record import CorpusRow, as_plain, laid_out
from bbpe.formats.equivalence import listed_merges, runs_alone
from bbpe.io import PRUNING, Saved, load, save
from bbpe.tokenizer import Tokenizer
from bbpe.training import opened_record
from bbpe.unicode import unicode_version
from bbpe.vocabulary import Template, Vocabulary

FORMAT = "bbpe-pruning"
FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class RemovedToken:
    """A token that went.

    Attributes:
        id: Its id in the base.
        token: Its bytes as text; None where they are no valid UTF-8.
        hex: Else its bytes.
        count: How often it occurred in the corpus when it went: in the base's encoding, and as a part of what had gone
            before it.
    """

    id: int
    token: str | None
    hex: str | None
    count: int


@dataclass(frozen=True, slots=True)
class PruningReport:
    """How a vocabulary was pruned. Written as ``pruning.json``.

    Attributes:
        base: Name, entries and rows of the base.
        keep: Entries asked for.
        sources: The files read, each with its size and sha256.
        corpus: Before and after on the corpus.
        removed: The tokens that went, in the order in which they went.
        guarantees: What was checked, in words.
        versions: Of bbpe and its Unicode tables.
        old_ids: For each new id, from 0 on, the id that its token had.
    """

    base: Mapping[str, Any]
    keep: int
    sources: tuple[Source, ...]
    corpus: CorpusRow
    removed: tuple[RemovedToken, ...]
    guarantees: Mapping[str, str]
    versions: Mapping[str, str]
    old_ids: tuple[int, ...]

    __hash__ = None  # type: ignore[assignment]  # mappings

    def to_json(self) -> str:
        """The report as JSON text, ending in a newline."""
        record: dict[str, Any] = {"format": FORMAT, "format_version": FORMAT_VERSION}
        for each in fields(self):
            record[each.name] = as_plain(getattr(self, each.name))
        return laid_out(record) + "\n"

    @classmethod
    def from_json(cls, text: str) -> PruningReport:
        """Read what :meth:`to_json` wrote.

        Raises:
            FormatError: The text is something else.
        """
        try:
            record = opened_record(text, "record of a pruning", FORMAT, FORMAT_VERSION)
            return cls(
                sources=tuple(Source(**each) for each in record.pop("sources")),
                corpus=CorpusRow(**record.pop("corpus")),
                removed=tuple(RemovedToken(**each) for each in record.pop("removed")),
                old_ids=tuple(record.pop("old_ids")),
                **record,
            )
        except FormatError:
            raise
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise FormatError(f"this is no record of a pruning: {type(error).__name__}: {error}") from None


@dataclass(frozen=True, slots=True, eq=False)
class Pruning:
    """A smaller vocabulary, and how its ids follow from those of the base."""

    tokenizer: Tokenizer
    report: PruningReport

    @property
    def old_ids(self) -> tuple[int, ...]:
        """For each new id the id that its token had: what ``bbpe.embeddings.select_rows`` takes."""
        return self.report.old_ids

    def save(self, path: str | os.PathLike[str], *, force: bool = False) -> Saved:
        """Write a folder as :func:`bbpe.save` does, and ``pruning.json`` in it; all of it or nothing.

        Raises:
            OutputError: The folder exists (and ``force`` is false) or cannot be written.
        """
        files = {PRUNING: self.report.to_json()}
        return save(self.tokenizer, path, force=force, format="directory", extra_files=files)


def prune(
    base: Tokenizer | str | os.PathLike[str],
    source: SourceLike,
    keep: int,
    *,
    threads: int | None = None,
    progress: Callable[[Progress], None] | None = None,
    text_field: str = "text",
    lines: bool = False,
    strict: bool = False,
) -> Pruning:
    """Make a vocabulary smaller: keep the entries that a corpus needs most.

    Bytes and special tokens stay. Ids are numbered anew from 0, in the order that they had.

    Args:
        base: A tokenizer, or what :func:`bbpe.load` takes.
        source: The corpus that says how often each token is needed; one that can be read twice.
        keep: Entries that stay: bytes, tokens and special tokens.
        threads: Threads for counting and encoding; as many as there are processors when None.
        progress: Called now and then, in the calling thread.
        text_field: The field of JSON lines, or the column of Parquet, that holds the text.
        lines: Each line of a text file is a document.
        strict: Invalid UTF-8 is an error.

    Returns:
        The pruned tokenizer and the report, with ``old_ids``.

    Raises:
        TrainingError: ``keep`` is not smaller than the base, or smaller than bytes and special tokens.
        GuaranteeError: A kept token would be lost, or a text without removed tokens change.
        CorpusError: A corpus that cannot be read.

    >>> base = bbpe.train(["low lower lowest " * 9, "newer newest " * 2], num_merges=9)
    >>> pruned = prune(base, ["low lower lowest"], 256 + 5)
    >>> base.tokens("newer lowest"), pruned.tokenizer.tokens("newer lowest")
    ([b'new', b'e', b'r', b' lowest'], [b'n', b'e', b'w', b'e', b'r', b' lowe', b'st'])
    """
    tokenizer = load(base) if not isinstance(base, Tokenizer) else base
    if not isinstance(tokenizer, Tokenizer):
        raise TrainingError(f"the base is run by {tokenizer.engine}; bbpe prunes byte-level BPE")
    vocabulary = tokenizer.vocabulary
    _check_keep(vocabulary, keep)
    if _once(source):
        raise TrainingError("the corpus can be read only once; give paths or a list, for it is read twice")
    counts = count_pretokens(
        source,
        pattern=vocabulary.pattern,
        special_tokens=[special.content for special in vocabulary.special_tokens],
        normalizer=vocabulary.normalizer,
        threads=threads,
        progress=progress,
        text_field=text_field,
        lines=lines,
        strict=strict,
    )
    removed = _leaves(vocabulary, _frequencies(tokenizer, counts), vocabulary.vocab_size - keep)
    pruned, old_ids = _without(vocabulary, {id for id, _ in removed})
    smaller = Tokenizer(pruned)
    _check_kept(tokenizer, smaller, old_ids)
    reading = {"text_field": text_field, "lines": lines, "strict": strict}
    row, sources = _compare(tokenizer, smaller, old_ids, source, threads, reading)
    gone = []
    for id, count in removed:
        token = vocabulary.tokens[id]
        try:
            gone.append(RemovedToken(id, token.decode(), None, count))
        except UnicodeDecodeError:
            gone.append(RemovedToken(id, None, token.hex(), count))
    report = PruningReport(
        base={"name": vocabulary.name, "vocab_size": vocabulary.vocab_size, "id_space": vocabulary.id_space},
        keep=keep,
        sources=sources,
        corpus=row,
        removed=tuple(gone),
        guarantees={
            "kept": f"each of the {len(pruned.tokens):,} kept tokens has the bytes that it had",
            "reachable": "each kept token that the base's merges make of its bytes, the kept merges make of them too",
            "untouched": f"of {row.documents:,} documents {row.documents_changed:,} changed; the others, in which no "
            "removed token stood, have the same tokens",
            "round_trip": "decoding gives back what the base's ids decode to, in all of them",
        },
        versions={"bbpe": bbpe.__version__, "unicode": unicode_version()},
        old_ids=tuple(old_ids),
    )
    return Pruning(smaller, report)


def _check_keep(vocabulary: Vocabulary, keep: int) -> None:
    if isinstance(keep, bool) or not isinstance(keep, int):
        raise TypeError(f"keep is an integer, not {keep!r}")
    own = {special.id for special in vocabulary.special_tokens}
    least = len(own | {id for id, token in vocabulary.tokens.items() if len(token) == 1})
    if not least <= keep < vocabulary.vocab_size:
        raise TrainingError(
            f"keep is {keep:,}; expected at least {least:,}, which are bytes and special tokens, and fewer than the "
            f"{vocabulary.vocab_size:,} entries that there are"
        )


def _frequencies(tokenizer: Tokenizer, counts: Counts) -> npt.NDArray[np.int64]:
    """How often each id occurs in the counted text."""
    ends = counts.offsets[1:].astype(np.uint64)
    ids = tokenizer._encoder.encode_pretokens(counts.data.tobytes(), ends)
    lengths = np.zeros(tokenizer.id_space, dtype=np.int64)
    for id, token in tokenizer.vocabulary.tokens.items():
        lengths[id] = len(token)
    past = np.searchsorted(np.cumsum(lengths[ids]), counts.offsets[1:]) + 1
    times = np.repeat(counts.counts, np.diff(past, prepend=0))
    found = np.zeros(tokenizer.id_space, dtype=np.int64)
    np.add.at(found, ids, times)
    return found


def _leaves(vocabulary: Vocabulary, frequencies: npt.NDArray[np.int64], wanted: int) -> list[tuple[int, int]]:
    """The tokens that go, in order, with the counts that they had then.

    Of equally frequent leaves the one with the greatest id goes first: it was learned last.
    """
    merges = listed_merges(vocabulary)
    parts: dict[int, tuple[int, int]] = {}
    whole = {token[0] for token in vocabulary.tokens.values() if len(token) == 1}
    special = {special.id for special in vocabulary.special_tokens}
    used: dict[int, int] = {}
    for (id, token), pieces, place in zip(vocabulary.tokens.items(), *runs_alone(vocabulary), strict=True):
        if pieces == 1 and len(token) > 1 and whole.issuperset(token):
            parts[id] = merges[place]
            for part in parts[id]:
                used[part] = used.get(part, 0) + 1
    count = {id: int(frequencies[id]) for id in vocabulary.tokens}
    heap = [
        (count[id], -id)
        for id, token in vocabulary.tokens.items()
        if len(token) > 1 and not used.get(id) and id not in special
    ]
    heapq.heapify(heap)
    gone: list[tuple[int, int]] = []
    while len(gone) < wanted:
        if not heap:
            raise TrainingError(
                f"only {len(gone):,} entries can go: the others are bytes, special tokens, or parts of kept tokens"
            )
        times, negative = heapq.heappop(heap)
        id = -negative
        gone.append((id, times))
        for part in parts.get(id, ()):
            count[part] += times
            used[part] -= 1
            if not used[part] and len(vocabulary.tokens[part]) > 1 and part not in special:
                heapq.heappush(heap, (count[part], -part))
    return gone


def _without(vocabulary: Vocabulary, gone: set[int]) -> tuple[Vocabulary, list[int]]:
    """The vocabulary without some tokens, ids numbered anew; and the old id of each new one."""
    special = {special.id for special in vocabulary.special_tokens}
    old_ids = sorted((vocabulary.tokens.keys() - gone) | special)
    new = {old: number for number, old in enumerate(old_ids)}
    changes: dict[str, Any] = {
        "tokens": {new[id]: token for id, token in vocabulary.tokens.items() if id in new and id not in gone},
        "special_tokens": [replace(each, id=new[each.id]) for each in vocabulary.special_tokens],
        "template": Template(
            tuple(new[id] for id in vocabulary.template.before), tuple(new[id] for id in vocabulary.template.after)
        ),
        "name": f"{vocabulary.name}-{len(gone)}" if vocabulary.name else None,
    }
    if vocabulary.merges is not None:
        tokens, ids = vocabulary.tokens, vocabulary.ids
        changes["merges"] = [
            (new[left], new[right])
            for left, right in vocabulary.merges
            if not gone.intersection((left, right, ids[tokens[left] + tokens[right]]))
        ]
    else:
        assert vocabulary.ranks is not None
        changes["ranks"] = [new[id] for id in vocabulary.ranks if id not in gone]
    return vocabulary.replace(**changes), old_ids


def _check_kept(base: Tokenizer, pruned: Tokenizer, old_ids: list[int]) -> None:
    for new, old in enumerate(old_ids):
        if pruned.vocabulary.tokens.get(new) != base.vocabulary.tokens.get(old):
            raise GuaranteeError(f"id {old} has become {new}, but its bytes are others; nothing was written")
    lost = {old_ids[id] for id in made_by_merges(pruned)[1]} - set(made_by_merges(base)[1])
    if lost:
        id = min(lost)
        raise GuaranteeError(f"token {id} ({base.vocabulary.tokens[id]!r}) could not be reached any more")


def _compare(
    base: Tokenizer,
    pruned: Tokenizer,
    old_ids: list[int],
    source: SourceLike,
    threads: int | None,
    reading: dict[str, Any],
) -> tuple[CorpusRow, tuple[Source, ...]]:
    """Encode the corpus with both, and compare."""
    to_old = np.asarray(old_ids, dtype=np.uint32)
    kept = np.zeros(base.id_space, dtype=bool)
    kept[to_old] = True
    corpus = open_corpus(source, **reading)
    row = CorpusRow(corpus.name, "training")
    changed = False  # of a document that goes on in the next block
    try:
        for stream in corpus.streams:
            for parts, final in _blocks(stream, base):
                old, old_offsets = base.encode_batch_to_numpy(parts, threads=threads)
                new, new_offsets = pruned.encode_batch_to_numpy(parts, threads=threads)
                hit = np.add.reduceat(np.append(~kept[old], False).astype(np.int64), old_offsets[:-1]) > 0
                hit &= np.diff(old_offsets) > 0
                same_old, same_new = np.repeat(~hit, np.diff(old_offsets)), np.repeat(~hit, np.diff(new_offsets))
                if not np.array_equal(old[same_old], to_old[new[same_new]]):
                    raise GuaranteeError(f"{stream.name}: a text without removed tokens would get other tokens")
                if base.decode_bytes(old) != pruned.decode_bytes(new):
                    raise GuaranteeError(f"{stream.name}: a text does not survive a round trip")
                documents = 0
                for is_hit, is_last in zip(hit.tolist(), final.tolist(), strict=True):
                    changed |= is_hit
                    if is_last:
                        documents += changed
                        changed = False
                row = row.plus(
                    documents=int(final.sum()),
                    documents_changed=documents,
                    characters=sum(len(part.decode("utf-8", "surrogateescape")) for part in parts),
                    bytes=sum(map(len, parts)),
                    tokens_before=len(old),
                    tokens_after=len(new),
                )
    finally:
        corpus.close()
    return row, corpus.sources
