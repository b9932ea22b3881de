"""What an extension promises, checked: on its own tokens, on the training text and on guard corpora.

Why it should hold. The added merges come after all of the base's, and a base merge never names an added token. So the
base's merges run to their end as they always did, and only then the added ones join what they left: every text gets the
base's tokens with some runs of them replaced, each by the token that stands for exactly that run. From that follows
everything else: token boundaries are some of the old ones (coarser, never different), a text without new tokens has
the ids that it had, and decoding gives the same bytes.

What is checked is therefore that one sentence, id for id: *the new ids, with each new token replaced by its parts, are
the old ids* (:meth:`Checker.corpus`). It is checked on real text through both encoders, which share no table, and stops
the run with the place where it fails. Besides: ids and special tokens unchanged, a witness for every new token, and
whether ranks alone would give the same ids as the merges.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bbpe.bulk.cutting import Cutter, parts_of
from bbpe.corpus import Corpus, Progress, Reporter, SourceLike, Stream, open_corpus
from bbpe.counts import Counts
from bbpe.embeddings import EmbeddingPlan
from bbpe.errors import FormatError, GuaranteeError
from bbpe.extension.bases import Measured
from bbpe.extension.record import CorpusRow, Witness
from bbpe.formats.equivalence import check_same_as_ranks
from bbpe.normalizer import normalize
from bbpe.tokenizer import IdArray, Tokenizer
from bbpe.vocabulary import Vocabulary

_BLOCK_BYTES = 4 << 20
_BLOCK_DOCUMENTS = 1 << 14
_SHOWN = 60
_COMPLETIONS = (16, 128, 4096)  # characters tried for a piece of one, more for those that are left
_MOST = _COMPLETIONS[-1]


def check_ids(base: Vocabulary, extended: Vocabulary, plan: EmbeddingPlan, reused: Sequence[str]) -> None:
    """Every id of the base means what it meant; what is new stands in the plan.

    Raises:
        GuaranteeError: An old token or special token that has changed.
    """
    tokens = extended.tokens
    for id, token in base.tokens.items():
        if tokens.get(id) != token:
            raise GuaranteeError(f"old id {id} was {token!r} and is {tokens.get(id)!r}; nothing was written")
    now = {special.content: special for special in extended.special_tokens}
    for special in base.special_tokens:
        if special.content not in reused and now.get(special.content) != special:
            raise GuaranteeError(f"special token {special!r} has become {now.get(special.content)!r}")
    new = tokens.keys() - base.tokens.keys()
    if new != set(plan.new_ids):
        raise GuaranteeError(f"{len(new)} ids are new, but the plan has {len(plan.new_ids)}")
    for id in plan.new_ids:
        parts = plan.parts(id)
        joined = b"".join(base.tokens[part] for part in parts)
        if joined != tokens[id]:
            raise GuaranteeError(f"new id {id} is {tokens[id]!r}, but its parts {parts} are {joined!r}")


def same_as_ranks(vocabulary: Vocabulary) -> str | None:
    """None where a rank table (``.tiktoken``) would give every text the ids that the merges give; else why not."""
    try:
        check_same_as_ranks(vocabulary)
    except FormatError as error:
        return str(error)
    return None


class Checker:
    """Compares the base with its extension on text."""

    def __init__(
        self,
        base: Tokenizer,
        extended: Tokenizer,
        plan: EmbeddingPlan,
        threads: int | None,
        progress: Callable[[Progress], None] | None,
    ) -> None:
        self.base, self.extended, self.plan = base, extended, plan
        self.threads, self.progress = threads, progress
        self.new_ids = np.asarray(plan.new_ids, dtype=np.int64)
        space = max(base.id_space, extended.id_space)
        self._place = np.full(space, -1, dtype=np.int64)  # of an id among the new ones
        self._place[self.new_ids] = np.arange(len(self.new_ids))
        # The parts of each id stand together in `_flat`; a base id is its own part.
        lengths = np.fromiter((len(parts) for parts in plan.token_parts), dtype=np.int64, count=len(self.new_ids))
        new_parts = np.fromiter(itertools.chain.from_iterable(plan.token_parts), dtype=np.uint32)
        self._flat = np.concatenate([np.arange(space, dtype=np.uint32), new_parts])
        self._start = np.arange(space, dtype=np.int64)
        self._start[self.new_ids] = space + np.cumsum(lengths) - lengths
        self._length = np.ones(space, dtype=np.int64)
        self._length[self.new_ids] = lengths

    # ---- on corpora ----

    def corpus(
        self,
        source: SourceLike,
        role: str,
        *,
        name: str | None = None,
        text_field: str = "text",
        lines: bool = False,
        strict: bool = False,
    ) -> Measured:
        """Check every document of a corpus, and measure it.

        Raises:
            GuaranteeError: A document whose new ids are not its old ids with some runs replaced.
            CorpusError: The corpus cannot be read.
        """
        corpus = open_corpus(source, text_field=text_field, lines=lines, strict=strict)
        phase = "checking" if role == "training" else f"checking {role}"
        report = Reporter(corpus, phase, self.progress)
        occurrences = np.zeros(len(self.new_ids), dtype=np.int64)
        documents = np.zeros(len(self.new_ids), dtype=np.int64)
        rows = []
        try:
            for label, streams in _labelled(corpus, name):
                row = CorpusRow(label, role)
                for stream in streams:
                    row = self._stream(stream, row, occurrences, documents, report)
                rows.append(row)
        finally:
            corpus.close()
        report.now()
        if not any(row.bytes for row in rows):
            raise corpus.empty_error()
        return Measured(rows, occurrences, documents, corpus.sources)

    def _stream(
        self,
        stream: Stream,
        row: CorpusRow,
        occurrences: npt.NDArray[np.int64],
        documents: npt.NDArray[np.int64],
        report: Reporter,
    ) -> CorpusRow:
        number = 0
        carried: npt.NDArray[np.int64] = np.empty(0, dtype=np.int64)  # places of new tokens in a document that goes on
        for parts, final in _blocks(stream, self.base):
            old, new, new_offsets = self._both(parts, stream.name, number)
            row = row.plus(
                bytes=sum(map(len, parts)),
                characters=sum(len(part.decode("utf-8", "surrogateescape")) for part in parts),
                tokens_before=len(old),
                tokens_after=len(new),
            )
            places = self._place[new]
            at = np.flatnonzero(places >= 0)
            found = places[at]
            occurrences += np.bincount(found, minlength=len(occurrences))
            # Documents are numbered from 0 in this block; the first may have begun in an earlier one.
            document_of_part = np.concatenate([[0], np.cumsum(final[:-1])]).astype(np.int64)
            of_token = document_of_part[np.searchsorted(new_offsets, at, side="right") - 1]
            keys = np.unique(of_token * len(self.new_ids) + found) if len(found) else found
            if len(carried):
                keys = np.union1d(keys, carried)
            ended = int(np.sum(final))
            closed = keys[keys < ended * len(self.new_ids)]
            carried = keys[keys >= ended * len(self.new_ids)] - ended * len(self.new_ids)
            if len(closed):
                documents += np.bincount(closed % len(self.new_ids), minlength=len(documents))
            changed = len(np.unique(closed // max(1, len(self.new_ids))))
            row = row.plus(documents=ended, documents_changed=changed)
            number += ended
            report.now_and_then()
        return row

    def _both(self, parts: list[bytes], name: str, number: int) -> tuple[IdArray, IdArray, npt.NDArray[np.int64]]:
        """The ids of some texts with the base and with its extension, compared, and where each text's new ones begin."""
        old, _ = self.base.encode_batch_to_numpy(parts, threads=self.threads)
        new, new_offsets = self.extended.encode_batch_to_numpy(parts, threads=self.threads)
        back = self.with_parts(new)
        if not np.array_equal(back, old):
            self._explain(parts, name, number)
        if self.extended.decode_bytes(new) != b"".join(map(self._as_encoded, parts)):
            raise GuaranteeError(f"{name}: document {number} or one soon after it does not survive a round trip")
        return old, new, new_offsets

    def with_parts(self, ids: IdArray) -> IdArray:
        """The ids with each new one replaced by its parts."""
        lengths = self._length[ids]
        ends = np.cumsum(lengths)
        if not len(ids) or int(ends[-1]) == len(ids):
            return self._flat[self._start[ids]]
        starts = np.repeat(self._start[ids] - (ends - lengths), lengths)
        return self._flat[starts + np.arange(int(ends[-1]))]

    def _as_encoded(self, part: bytes) -> bytes:
        if self.base.vocabulary.normalizer is None:
            return part
        text = part.decode("utf-8", "surrogateescape")
        return normalize(text).encode("utf-8", "surrogateescape")

    def _explain(self, parts: list[bytes], name: str, number: int) -> None:
        """Find the text that breaks the promise and raise."""
        for part in parts:
            old, new = self.base.encode_bytes(part), self.extended.encode_bytes(part)
            back = self.with_parts(np.asarray(new, dtype=np.uint32)).tolist()
            if back == old:
                continue
            place = next((at for at, (a, b) in enumerate(zip(old, back, strict=False)) if a != b), len(back))
            before = self.base.decode_bytes(old[:place])
            text = part[max(0, len(before) - 10) :][:_SHOWN].decode("utf-8", "replace")
            raise GuaranteeError(
                f"{name}: document {number} or one soon after it: near {text!r} the base gives "
                f"{old[place : place + 4]} and the extension something else than runs of them; nothing was written"
            )
        raise GuaranteeError(f"{name}: some document near {number} is encoded differently in a batch")

    def pretokens(self, counts: Counts) -> CorpusRow:
        """Check and measure the distinct pretokens of a text that cannot be read again."""
        data, ends = counts.data.tobytes(), counts.offsets[1:].astype(np.uint64)
        old = self.base._encoder.encode_pretokens(data, ends)
        new = self.extended._encoder.encode_pretokens(data, ends)
        if not np.array_equal(self.with_parts(new), old):
            raise GuaranteeError("some pretoken of the training text gets other ids than runs of the old ones")
        if self.extended.decode_bytes(new) != data:
            raise GuaranteeError("some pretoken of the training text does not survive a round trip")
        before, after = self._weighted(old, self.base, counts), self._weighted(new, self.extended, counts)
        return CorpusRow(
            "training text",
            "training",
            documents=counts.documents,
            documents_changed=None,
            characters=counts.characters,
            bytes=counts.bytes,
            tokens_before=before,
            tokens_after=after,
        )

    def _weighted(self, ids: IdArray, tokenizer: Tokenizer, counts: Counts) -> int:
        lengths = np.zeros(tokenizer.id_space, dtype=np.int64)
        for id, token in tokenizer.vocabulary.tokens.items():
            lengths[id] = len(token)
        ends = np.concatenate([[0], np.searchsorted(np.cumsum(lengths[ids]), counts.offsets[1:]) + 1])
        return int(np.diff(ends) @ counts.counts)

    # ---- a witness for every new token ----

    def witnesses(self, counts: Counts) -> list[Witness]:
        """For each new token, in the order of the plan, a text in which it occurs.

        Tried in turn: its own bytes; for a piece of a character, characters that it is a piece of; pretokens of the
        training text; its bytes as text that is no valid UTF-8.

        Raises:
            GuaranteeError: A token that no text was found for.
        """
        tokens = [self.extended.vocabulary.tokens[id] for id in self.plan.new_ids]
        found: list[Witness | None] = [None] * len(tokens)
        self._try([(place, token) for place, token in enumerate(tokens) if _is_text(token)], found)
        for tries in _COMPLETIONS:
            pieces = [place for place, token in enumerate(tokens) if found[place] is None and not _is_text(token)]
            self._try(
                (
                    (place, text)
                    for place in pieces
                    for text in itertools.islice(_characters_with(tokens[place]), tries)
                ),
                found,
            )
        missing = {place: tokens[place] for place in range(len(tokens)) if found[place] is None}
        if missing:
            self._try(_in_pretokens(missing, counts), found)
            self._try([(place, token) for place, token in missing.items() if found[place] is None], found)
        for place, witness in enumerate(found):
            if witness is None:
                raise GuaranteeError(
                    f"added token {self.plan.new_ids[place]} ({tokens[place]!r}) occurs in no text that was tried, so "
                    "it may be unreachable; deny it and extend again. Nothing was written"
                )
        return [witness for witness in found if witness is not None]

    def _try(self, candidates: Iterable[tuple[int, bytes]], found: list[Witness | None]) -> None:
        """Note the first candidate text of each token that holds the token."""
        iterator = iter(candidates)
        while batch := list(itertools.islice(iterator, 1 << 14)):
            batch = [each for each in batch if found[each[0]] is None]
            ids, offsets = self.extended.encode_batch_to_numpy([text for _, text in batch], threads=self.threads)
            places = self._place[ids]
            for number in np.flatnonzero(np.add.reduceat(np.append(places >= 0, False), offsets[:-1])).tolist():
                place, text = batch[number]
                if found[place] is None and place in places[offsets[number] : offsets[number + 1]]:
                    found[place] = Witness.of(text)


def made_by_merges(tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """The ids whose bytes, as one pretoken, the merges bring back, and those that they do not."""
    vocabulary = tokenizer.vocabulary
    present = {token[0] for token in vocabulary.tokens.values() if len(token) == 1}
    known = {id: token for id, token in vocabulary.tokens.items() if len(present) == 256 or present.issuperset(token)}
    plain = Tokenizer(vocabulary.replace(whole_pretoken=False)) if vocabulary.whole_pretoken else tokenizer
    ids = np.fromiter(known, dtype=np.int64, count=len(known))
    lengths = np.fromiter(map(len, known.values()), dtype=np.int64, count=len(ids))
    ends = np.cumsum(lengths)
    found = plain._encoder.encode_pretokens(b"".join(known.values()), ends.astype(np.uint64))
    sizes = np.zeros(vocabulary.id_space, dtype=np.int64)
    sizes[ids] = lengths
    first = np.concatenate([[0], np.searchsorted(np.cumsum(sizes[found]), ends)[:-1] + 1])
    made = found[first] == ids
    return ids[made].tolist(), sorted({*ids[~made].tolist(), *(vocabulary.tokens.keys() - known.keys())})


def _once(source: Any) -> bool:
    """Whether a source can be read only once: standard input, or an iterator."""
    if isinstance(source, (str, os.PathLike)):
        return os.fspath(source) == "-"
    if isinstance(source, Iterator):
        return True
    return isinstance(source, Sequence) and any(isinstance(each, os.PathLike) and str(each) == "-" for each in source)


def _labelled(corpus: Corpus, name: str | None) -> list[tuple[str, list[Stream]]]:
    """Each file by itself where they are few; their names without folders and suffixes."""
    streams = list(corpus.streams)
    if name is not None or not 1 <= len(streams) <= 32:
        return [(name or corpus.name, streams)]
    stems = [stream.name.rsplit("/", 1)[-1].split(".")[0] or stream.name for stream in streams]
    return [
        (stem if stems.count(stem) == 1 else stream.name, [stream]) for stem, stream in zip(stems, streams, strict=True)
    ]


def _blocks(stream: Stream, tokenizer: Tokenizer) -> Iterator[tuple[list[bytes], npt.NDArray[np.bool_]]]:
    """Texts of a stream, some MB at a time, and whether each is the last of its document."""
    texts: list[bytes] = []
    final: list[bool] = []
    size = 0
    for text, is_last in parts_of(stream, Cutter(tokenizer, ())):
        texts.append(text)
        final.append(is_last)
        size += len(text)
        if size >= _BLOCK_BYTES or len(texts) >= _BLOCK_DOCUMENTS:
            yield texts, np.array(final)
            texts, final, size = [], [], 0
    if texts:
        yield texts, np.array(final)


def _is_text(token: bytes) -> bool:
    try:
        token.decode()
    except UnicodeDecodeError:
        return False
    return True


def _characters_with(token: bytes) -> Iterator[bytes]:
    """Texts that hold a token which begins or ends inside a character: the characters completed in all ways."""
    head = next((at for at, byte in enumerate(token) if byte & 0xC0 != 0x80), len(token))
    if head == len(token):
        candidates: Iterable[bytes] = _around(token)
    else:
        lead = max(at for at, byte in enumerate(token) if byte & 0xC0 != 0x80)
        size = 4 if token[lead] >= 0xF0 else 3 if token[lead] >= 0xE0 else 2 if token[lead] >= 0xC2 else 1
        rest = max(0, size - (len(token) - lead))
        fronts = [bytes(each) for each in itertools.islice(_before(token[:head]), 64)] if head else [b""]
        backs = map(bytes, itertools.product(range(0x80, 0xC0), repeat=rest))
        candidates = (front + token + back for back in backs for front in fronts)
    yield from itertools.islice(filter(_is_text, candidates), _MOST)


def _before(piece: bytes) -> Iterator[bytes]:
    """What may stand before the last bytes of a character, all of it."""
    for size, leads in ((2, range(0xC2, 0xE0)), (3, range(0xE0, 0xF0)), (4, range(0xF0, 0xF5))):
        inside = size - 1 - len(piece)
        if inside >= 0:
            for lead in leads:
                for more in itertools.product(range(0x80, 0xC0), repeat=inside):
                    if _is_text(bytes((lead, *more)) + piece):
                        yield bytes((lead, *more))


def _around(piece: bytes) -> Iterator[bytes]:
    """Characters that hold some continuation bytes: at their end, then before it."""
    yield from (front + piece for front in itertools.islice(_before(piece), _MOST))
    if len(piece) < 3:
        for back in range(0x80, 0xC0):
            yield from (front + piece + bytes([back]) for front in _before(piece + bytes([back])))


def _in_pretokens(missing: dict[int, bytes], counts: Counts) -> Iterator[tuple[int, bytes]]:
    """Pretokens of the training text that hold a token's bytes, some of each."""
    data = counts.data.tobytes()
    offsets: Any = counts.offsets
    for place, token in missing.items():
        at = data.find(token)
        tries = 0
        while at >= 0 and tries < 64:
            index = int(np.searchsorted(offsets, at, side="right")) - 1
            pretoken = data[offsets[index] : offsets[index + 1]]
            if token in pretoken:
                yield place, pretoken
                tries += 1
            at = data.find(token, at + 1)
