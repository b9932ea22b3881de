"""Extend a SentencePiece BPE vocabulary (Llama 1 and 2, Mistral v1, InternLM): the same loop, on characters.

Such a vocabulary begins with characters, not bytes, and spells in bytes what no piece covers. So there are two ways to
save tokens, and the best is always taken next, as ``reference.learn_pieces`` says:

- *make a character a piece*: each of its occurrences was 2 to 4 byte tokens and becomes 1;
- *merge two pieces*: each occurrence saves 1.

A merge of an uncovered character never saves more than making it a piece first does, so characters always come before
what is made of them, and both lists can be made apart from one another and then put together by what they save.

SentencePiece has no merge list: the pair whose concatenation has the highest score merges. New pieces therefore get
*ordered* scores, each lower than the one before it and all lower than the base's, so that the base's merges come first
and the new ones in the order in which they were learned. (Chinese-LLaMA's pieces all have the score 0: they come before
nearly all of the base's merges, and their order is lost.)

What is promised and checked is the same as for bytes, but for one thing. A new piece may also come about by another pair
than the one it was learned from, since any pair does that has its text; so what is checked on text is that token
boundaries are some of the old ones and that texts without new pieces have the ids that they had.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bbpe._merge import MergeLearner
from bbpe.corpus import Progress, Reporter, SourceLike, Stream, open_corpus
from bbpe.counts import Counts, count_pretokens
from bbpe.embeddings import EmbeddingPlan
from bbpe.engines import EngineTokenizer
from bbpe.errors import GuaranteeError, TrainingError
from bbpe.extension.bases import Learned, Measured, Show
from bbpe.extension.guarantees import _labelled
from bbpe.extension.numbering import Numbering, numbering
from bbpe.extension.options import ExtensionOptions, native_rules
from bbpe.extension.record import CorpusRow, Price, Witness
from bbpe.formats import sentencepiece_model
from bbpe.formats.sentencepiece_model import (
    BPE,
    BYTE,
    CONTROL,
    MAX_PIECE_BYTES,
    NORMAL,
    SPACE,
    UNKNOWN,
    UNUSED,
    USER_DEFINED,
    Piece,
    PieceModel,
)
from bbpe.patterns import Pattern
from bbpe.vocabulary import SpecialToken

_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}ー"
WORDS = Pattern(
    (
        r"\p{Han}+|[\p{Hiragana}\p{Katakana}ー]+|[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]+"
        rf"| ?[^\s\p{{N}}\p{{P}}\p{{S}}\p{{C}}{_UNSPACED}]+| ?\p{{N}}| ?[^\s\p{{L}}\p{{N}}\p{{M}}]+|\s+",
    )
)
"""What new pieces of a corpus may not cross: a space other than at the beginning, and the edge of a script, digits or
punctuation, as SentencePiece's trainer has it. In scripts that are written without spaces none begins with one either:
such a model puts a space before every text, each piece would be learned a second time for that place, and would then be
cut there in another way than elsewhere. Wanted tokens are not bound by it, for the model itself cuts nowhere."""

_LINES = 4096  # compared at a time
_TEXT_KINDS = (NORMAL, USER_DEFINED, UNUSED)


class PieceBase:
    """A SentencePiece BPE model to be extended; see :class:`~bbpe.extension.bases.Base`.

    Raises:
        TrainingError: It is of another kind, has no byte fallback, or changes text.
    """

    def __init__(self, tokenizer: EngineTokenizer) -> None:
        if tokenizer.engine != "sentencepiece" or tokenizer.algorithm != "bpe":
            raise TrainingError(
                f"the base is {tokenizer.algorithm}, run by {tokenizer.engine}; bbpe extends byte-level BPE and "
                "SentencePiece BPE"
            )
        self.tokenizer = tokenizer
        self.model = model = sentencepiece_model.parse(tokenizer.model.data, Path(tokenizer.name or "base"))
        if not model.byte_fallback:
            raise TrainingError(
                "the base has no byte fallback, so text that no piece covers is lost already; not extended"
            )
        if model.normalization != "identity":
            raise TrainingError(f"the base normalizes text ({model.normalization}); only identity is supported")
        self._byte_ids = {int(piece.text[3:5], 16): id for id, piece in enumerate(model.pieces) if piece.kind == BYTE}
        self._bare = _bare(model)
        self._unreachable: tuple[int, ...] | None = None
        self._last: tuple[PieceModel, EngineTokenizer] | None = None

    @property
    def facts(self) -> Mapping[str, Any]:
        base = self.tokenizer
        return {
            "name": base.name,
            "vocab_size": base.vocab_size,
            "id_space": base.id_space,
            "special_tokens": len(base.special_tokens),
        }

    @property
    def id_space(self) -> int:
        return len(self.model.pieces)

    @property
    def tokens(self) -> Mapping[int, bytes]:
        special = {special.id for special in self.special_tokens}
        return {id: token for id, token in self.tokenizer.model.tokens.items() if id not in special}

    @property
    def special_tokens(self) -> Sequence[SpecialToken]:
        return [
            SpecialToken(piece.text, id)
            for id, piece in enumerate(self.model.pieces)
            if piece.kind in (CONTROL, UNKNOWN)
        ]

    @property
    def counting(self) -> Mapping[str, Any]:
        return {"pattern": WORDS, "special_tokens": list(self.tokenizer.special_tokens), "normalizer": None}

    def numbering(self, options: ExtensionOptions) -> Numbering:
        if not options.utf8_safe:
            raise TrainingError(
                "utf8_safe=False (--no-utf8-safe) is for byte-level bases: SentencePiece's pieces are whole characters"
            )
        used = [id for id, piece in enumerate(self.model.pieces) if piece.kind not in (CONTROL, UNUSED)]
        return numbering(self.id_space, used, self.special_tokens, self.tokenizer.template, options)

    def normalized(self, text: str) -> str:
        return text

    # ---- counting and learning ----

    def count(
        self, source: SourceLike, options: ExtensionOptions, threads: int | None, progress: Show | None
    ) -> Counts:
        return count_pretokens(
            source,
            **self.counting,
            threads=threads,
            progress=progress,
            text_field=options.text_field,
            lines=options.lines,
            strict=options.strict,
        )

    def check_counts(self, counts: Counts) -> None:
        if counts.pattern != WORDS:
            raise TrainingError(
                "these counts were made with a pattern for byte-level vocabularies; a SentencePiece base has none: give "
                "the corpus itself, or count it with bbpe pretokens --like BASE"
            )

    def as_counts(self, weights: Mapping[bytes, int]) -> Counts:
        return Counts.from_items(weights, pattern=WORDS)

    def cut(self, texts: Sequence[bytes]) -> list[bool]:
        """None is: such a model works on whole texts. But what holds a NUL no ``.model`` can hold."""
        return [b"\0" in text for text in texts]

    def sizes(self, texts: Sequence[bytes]) -> list[int]:
        return list(map(len, self._bare.encode_batch([text.decode() for text in texts])))

    def learn(
        self,
        counts: Counts,
        limit: int,
        min_count: int,
        min_saved: int,
        options: ExtensionOptions,
        progress: Show | None,
    ) -> Learned:
        """As ``reference.learn_pieces``, under the options' rules.

        One rule comes with the kind of base: any two pieces merge that together are a piece. A piece of the base that no
        text gives, because none of its splits comes about, would come about by a new piece that it begins or ends with,
        and texts without new pieces would change. So such parts of it are never added. (Where its own text alone gives
        a piece, the lemma in ``formats/equivalence.py`` says that the base makes it wherever the new piece could help.)
        """
        model, first = self.model, len(self.model.pieces)
        rules = native_rules(options, utf8_safe=False)  # characters are whole here
        barred = {part for id in self.unreachable() for part in _ends(self.tokenizer.model.tokens[id].decode())}
        symbols, offsets, weights, characters = self._segmented(counts)
        total = int(np.diff(offsets) @ weights)
        occurrences = np.zeros(first + len(characters), np.int64)
        np.add.at(occurrences, symbols, np.repeat(weights, np.diff(offsets)))
        savings: dict[int, int] = {}  # of making a character a piece
        apart = np.zeros(first + len(characters), bool)  # what no new piece may hold
        for number, character in enumerate(characters, first):
            size = len(character.encode())
            total += int(occurrences[number]) * (size - 1)
            if (
                occurrences[number] >= min_count
                and occurrences[number] * (size - 1) >= min_saved
                and 1 < size <= (options.max_token_bytes or size)
                and character.encode() not in barred
                and (rules is None or rules.allows(character.encode()))
            ):
                savings[number] = int(occurrences[number]) * (size - 1)
            else:
                apart[number] = True
        for id, piece in enumerate(model.pieces):
            apart[id] = piece.kind not in (NORMAL, UNUSED)  # user-defined ones stand alone in any text
        symbols, offsets, weights = _split(symbols, offsets, weights, apart)
        tokens: list[bytes | None] = [
            piece.text.replace(SPACE, " ").encode() if piece.kind in _TEXT_KINDS else None for piece in model.pieces
        ]
        tokens += [character.encode() for character in characters]
        learner = MergeLearner(
            symbols,
            offsets,
            weights,
            tokens,
            taken=[
                *(piece.text.replace(SPACE, " ").encode() for piece in model.pieces if piece.kind not in _TEXT_KINDS),
                *barred,
            ],
            first_id=len(tokens),
            min_count=max(min_count, min_saved),
            max_token_bytes=options.max_token_bytes,
            rules=rules,
        )
        going = True
        while going and len(learner) < limit:
            going = learner.learn(limit, 1 << 20)
            if progress is not None:
                progress(Progress("merging", len(learner), limit, "merges"))
        merges = learner.merges.tolist()
        # Characters come before merges that save as much; each list is in order already.
        ranked = sorted(
            [(-saved, False, number) for number, saved in savings.items()]
            + [(-count, True, number) for number, count in enumerate(learner.counts.tolist(), len(tokens))]
        )
        chosen = [(number, -negative) for negative, _, number in ranked[:limit]]
        place = {number: first + at for at, (number, _) in enumerate(chosen)}
        parts = [
            tuple(self._byte_ids[byte] for byte in characters[number - first].encode())
            if number < len(tokens)
            else tuple(place.get(part, part) for part in merges[number - len(tokens)])
            for number, _ in chosen
        ]
        saved = np.array([each for _, each in chosen], np.int64)
        lengths = np.concatenate([[total], total - np.cumsum(saved)])
        return Learned(first, parts, saved, lengths, not going and len(ranked) <= limit)

    def _segmented(
        self, counts: Counts
    ) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64], npt.NDArray[np.int64], list[str]]:
        """The distinct pretokens as symbols: the base's pieces, and characters that no piece covers.

        Returns:
            The symbols, where each pretoken begins among them, the counts, and the characters: the first is the symbol
            after the last piece, and they stand in the order in which they are first seen.
        """
        size = len(self.model.pieces)
        byte_of = np.full(size, -1, np.int64)
        for byte, id in self._byte_ids.items():
            byte_of[id] = byte
        flat: list[npt.NDArray[np.uint32]] = []
        sizes: list[npt.NDArray[np.int64]] = []
        weights: list[int] = []
        texts: list[str] = []

        def encode() -> None:
            ids, offsets = self._bare.encode_batch_to_numpy(texts)
            flat.append(ids)
            sizes.append(np.diff(offsets))
            texts.clear()

        for pretoken, count in counts.items():
            if _is_text(pretoken):
                texts.append(pretoken.decode())
                weights.append(count)
                if len(texts) == 1 << 16:
                    encode()
        encode()
        ids = np.concatenate(flat).astype(np.int64)
        ends = np.cumsum(np.concatenate(sizes))
        values = byte_of[ids]
        is_byte = values >= 0
        kept = ~is_byte | ((values & 0xC0) != 0x80)  # of a character that is spelled in bytes the first stands for all
        leads = np.flatnonzero(is_byte & kept)
        codes = _code_points(values, leads)
        distinct, seen, which = np.unique(codes, return_index=True, return_inverse=True)
        order = np.argsort(seen)
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        ids[leads] = size + rank[which]
        offsets = np.concatenate([np.zeros(1, np.int64), np.concatenate([[0], np.cumsum(kept)])[ends]])
        return ids[kept].astype(np.uint32), offsets, np.array(weights, np.int64), [chr(distinct[at]) for at in order]

    def price(self, counts: Counts, learned: Learned, least: int, options: ExtensionOptions) -> Price | None:
        """Pieces are whole characters: there is no choice, and no price."""
        return None

    # ---- what becomes of it ----

    def extended(
        self, ids: Sequence[int], tokens: Sequence[bytes], parts: Sequence[tuple[int, ...]], numbering: Numbering
    ) -> PieceModel:
        """More pieces, their scores falling from just under the lowest of the base."""
        longest = max(tokens, key=len)
        if len(longest.replace(b" ", SPACE.encode())) > MAX_PIECE_BYTES:
            raise TrainingError(
                f"a piece would have {len(longest):,} bytes ({longest[:30].decode('utf-8', 'ignore')!r} …), and "
                f"{MAX_PIECE_BYTES:,} is the most that is read; set max_token_bytes"
            )
        lowest = np.float32(min(piece.score for piece in self.model.pieces))
        step = max(np.float32(1), np.spacing(np.abs(lowest)))
        scores = [float(lowest - step * np.float32(place + 1)) for place in range(len(ids))]
        if sorted(set(scores), reverse=True) != scores:
            raise TrainingError("so many pieces cannot be told apart by 32-bit scores; add fewer")
        pieces: list[Piece | None] = [*self.model.pieces]
        pieces += [None] * (max(ids) + 1 - len(pieces))
        for id, token, score in zip(ids, tokens, scores, strict=True):
            pieces[id] = Piece(token.decode().replace(" ", SPACE), score, NORMAL)
        # Ids between the base's and the new ones: a model's own special tokens, or rows that no text has.
        known = {piece.text for piece in pieces if piece is not None}
        filled: list[Piece] = []
        for id, piece in enumerate(pieces):
            if piece is None:
                name = numbering.names.get(id, "")
                piece = Piece(name if name and name not in known else f"<|unused_{id}|>", 0.0, CONTROL)
                known.add(piece.text)
            filled.append(piece)
        return replace(self.model, pieces=tuple(filled))

    def check_ids(self, made: PieceModel, plan: EmbeddingPlan, replaced: Sequence[str]) -> None:
        new = set(plan.new_ids)
        for id, (old, now) in enumerate(zip(self.model.pieces, made.pieces, strict=False)):
            if id not in new and old != now:
                raise GuaranteeError(f"old piece {id} was {old} and is {now}; nothing was written")
        if len(made.pieces) < len(self.model.pieces):
            raise GuaranteeError(f"of {len(self.model.pieces):,} pieces {len(made.pieces):,} are left")
        tokens = self.tokenizer.model.tokens
        for id in plan.new_ids:
            joined = b"".join(tokens[part] for part in plan.parts(id))
            if joined != made.pieces[id].text.replace(SPACE, " ").encode():
                raise GuaranteeError(f"new id {id} is {made.pieces[id].text!r}, but its parts are {joined!r}")

    def comparing(
        self, made: PieceModel, plan: EmbeddingPlan, threads: int | None, progress: Show | None
    ) -> PieceChecker:
        return PieceChecker(self, made, self._encoder(made), plan, threads, progress)

    def made_sizes(self, made: PieceModel, texts: Sequence[bytes]) -> list[int]:
        return list(map(len, _bare(made).encode_batch([text.decode() for text in texts])))

    def not_as_ranks(self, made: PieceModel) -> str | None:
        return "a SentencePiece model has scores, no ranks"

    def unreachable(self) -> tuple[int, ...]:
        if self._unreachable is None:
            ids = [id for id, piece in enumerate(self.model.pieces) if piece.kind == NORMAL and "\0" not in piece.text]
            texts = [self.tokenizer.model.tokens[id].decode() for id in ids]
            found = self._bare.encode_batch(texts)
            self._unreachable = tuple(id for id, made in zip(ids, found, strict=True) if made != [id])
        return self._unreachable

    def guarantees(
        self, rows: Sequence[CorpusRow], plan: EmbeddingPlan, not_as_ranks: str | None, left_out: Mapping[str, str]
    ) -> dict[str, str]:
        changed = [row.documents_changed for row in rows]
        known = "an unknown number of" if None in changed else f"{sum(each or 0 for each in changed):,}"
        on = f"{sum(row.documents for row in rows):,} documents of training and guard text"
        return {
            "reachable": f"each of the {len(plan.new_ids):,} added pieces occurs in the witness text beside it",
            "coarser": f"in {on} the new token boundaries are some of the old ones; {known} documents changed",
            "untouched": "in the same text, lines without new pieces have the ids that they had",
            "round_trip": "both decode to the same text in all of them",
            "tokenizer.json": f"not written: {left_out['tokenizer.json']}"
            if left_out
            else "tokenizers gives the same ids as sentencepiece on a sample of the training text",
        }

    def finished(
        self, made: PieceModel, counts: Counts
    ) -> tuple[EngineTokenizer, Mapping[str, bytes], Mapping[str, str]]:
        extended = self._encoder(made)
        tokenizer_json = _tokenizer_json(made)
        fault = _fault_of_json(tokenizer_json, extended, counts)
        files = {"tokenizer.model": made.serialized(), "tokenizer_config.json": _config(self.tokenizer, fault).encode()}
        if fault is None:
            files["tokenizer.json"] = tokenizer_json.encode()
        return extended, files, {} if fault is None else {"tokenizer.json": fault}

    def _encoder(self, made: PieceModel) -> EngineTokenizer:
        if self._last is None or self._last[0] is not made:
            self._last = made, EngineTokenizer(sentencepiece_model.engine_model(made, Path("extension")))
        return self._last[1]


def _bare(model: PieceModel) -> EngineTokenizer:
    """What encodes the inside of a text: no space is put before it, and none taken away."""
    bare = sentencepiece_model.piece_model(model.pieces, model_type=BPE, byte_fallback=True, add_dummy_prefix=False)
    return EngineTokenizer(sentencepiece_model.engine_model(bare, Path("base")))


def _ends(text: str) -> Iterator[bytes]:
    """Every beginning and end of a text."""
    for at in range(1, len(text)):
        yield text[:at].encode()
        yield text[at:].encode()


def _code_points(values: npt.NDArray[np.int64], leads: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The characters that begin at ``leads`` in the bytes of valid UTF-8."""
    first = values[leads]
    sizes = np.select([first < 0x80, first < 0xE0, first < 0xF0], [1, 2, 3], 4)
    codes = np.where(sizes == 1, first, first & (0x7F >> sizes))
    for more in range(1, 4):
        longer = sizes > more
        codes[longer] = codes[longer] << 6 | values[leads[longer] + more] & 0x3F
    return codes


def _split(
    symbols: npt.NDArray[np.uint32],
    offsets: npt.NDArray[np.int64],
    weights: npt.NDArray[np.int64],
    apart: npt.NDArray[np.bool_],
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The pretokens cut at the symbols that no merge may touch, which are left out."""
    cut = apart[symbols]
    if not cut.any():
        return symbols, offsets, weights
    piece = np.cumsum(cut)  # which run between two cuts a symbol stands in
    text = np.repeat(np.arange(len(weights)), np.diff(offsets))
    symbols, piece, text = symbols[~cut], piece[~cut], text[~cut]
    begins = np.flatnonzero(np.diff(piece, prepend=-1) | np.diff(text, prepend=-1))
    return symbols, np.append(begins, len(symbols)).astype(np.int64), weights[text[begins]]


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in data


# --- what is promised ---


class PieceChecker:
    """Compares a SentencePiece model with its extension on text, line by line: as long as it is, a line is a text."""

    def __init__(
        self,
        base: PieceBase,
        made: PieceModel,
        extended: EngineTokenizer,
        plan: EmbeddingPlan,
        threads: int | None,
        progress: Show | None,
    ) -> None:
        self.base, self.made, self.extended, self.plan = base, made, extended, plan
        self.threads, self.progress = threads, progress
        self._lengths = np.zeros(len(made.pieces), np.int64)
        self._place = np.full(len(made.pieces), -1, np.int64)  # of an id among the new ones
        self._place[list(plan.new_ids)] = np.arange(len(plan.new_ids))
        for id, token in extended.model.tokens.items():
            self._lengths[id] = len(token)
        self._old_lengths = self._lengths.copy()
        for id, token in base.tokenizer.model.tokens.items():
            self._old_lengths[id] = len(token)

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
            GuaranteeError: A line that is cut in a new place, or changed without a new piece.
            CorpusError: The corpus cannot be read.
        """
        corpus = open_corpus(source, text_field=text_field, lines=lines, strict=strict)
        report = Reporter(corpus, "checking" if role == "training" else f"checking {role}", self.progress)
        nothing = np.zeros(len(self.plan.new_ids), np.int64)
        measured = Measured([], nothing, nothing.copy(), ())
        try:
            for label, streams in _labelled(corpus, name):
                row = CorpusRow(label, role)
                for stream in streams:
                    row = self._stream(stream, row, measured, report)
                measured.rows.append(row)
        finally:
            corpus.close()
        report.now()
        if not any(row.bytes for row in measured.rows):
            raise corpus.empty_error()
        measured.sources = corpus.sources
        return measured

    def _stream(self, stream: Stream, row: CorpusRow, measured: Measured, report: Reporter) -> CorpusRow:
        texts: list[str] = []
        of: list[int] = []  # the document of each line
        carried: npt.NDArray[np.int64] = np.empty(0, np.int64)  # new pieces seen in a document that goes on
        size = max(1, len(self.plan.new_ids))

        def compare() -> None:
            nonlocal row, carried
            before, new, offsets = self._compare(self.base.tokenizer, self.extended, texts, row.name)
            places = self._place[new]
            at = np.flatnonzero(places >= 0)
            measured.occurrences += np.bincount(places[at], minlength=len(measured.occurrences))
            document = np.array(of, np.int64)[np.searchsorted(offsets, at, side="right") - 1]
            keys = np.unique(np.concatenate([carried, document * size + places[at]]))
            last = of[-1] * size
            closed, carried = keys[keys < last], keys[keys >= last]
            row = close(closed).plus(tokens_before=before, tokens_after=len(new))
            texts.clear()
            of.clear()
            report.now_and_then()

        def close(keys: npt.NDArray[np.int64]) -> CorpusRow:
            measured.documents += np.bincount(keys % size, minlength=len(measured.documents))
            return row.plus(documents_changed=len(np.unique(keys // size)))

        for number, document in enumerate(stream.documents()):
            text = document.decode("utf-8", "replace")
            row = row.plus(documents=1, characters=len(text), bytes=len(document))
            for line in text.splitlines(keepends=True):
                texts.append(line)
                of.append(number)
                if len(texts) == _LINES:
                    compare()
        if texts:
            compare()
        return close(carried)

    def _compare(
        self, base: EngineTokenizer, extended: EngineTokenizer, texts: Sequence[str], name: str
    ) -> tuple[int, npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
        """Encode texts with both and compare: how many old ids there are, the new ids, and where each text's begin.

        Raises:
            GuaranteeError: A promise that does not hold for one of them.
        """
        old, old_offsets = base.encode_batch_to_numpy(texts, threads=self.threads)
        new, offsets = extended.encode_batch_to_numpy(texts, threads=self.threads)
        has_new = np.add.reduceat(np.append(self._place[new] >= 0, False).astype(np.int64), offsets[:-1]) > 0
        has_new &= np.diff(offsets) > 0
        plain_old, plain_new = np.repeat(~has_new, np.diff(old_offsets)), np.repeat(~has_new, np.diff(offsets))
        old_ends, new_ends = np.cumsum(self._old_lengths[old]), np.cumsum(self._lengths[new])
        same = np.array_equal(old[plain_old], new[plain_new])
        coarser = np.isin(new_ends, old_ends).all() and np.array_equal(old_ends[-1:], new_ends[-1:])
        if not (same and coarser and base.decode(old) == extended.decode(new)):
            for number, text in enumerate(texts):
                self._explain(base, extended, text, bool(has_new[number]), name)
        return len(old), new, offsets

    def _explain(self, base: EngineTokenizer, extended: EngineTokenizer, text: str, has_new: bool, name: str) -> None:
        before, after = base.encode(text), extended.encode(text)
        if not has_new and before != after:
            raise GuaranteeError(f"{name}: {text[:60]!r} holds no new piece and gets other ids; nothing was written")
        ends = np.cumsum(self._lengths[after])
        if not np.isin(ends, np.cumsum(self._old_lengths[before])).all():
            raise GuaranteeError(f"{name}: {text[:60]!r} is cut in a new place; nothing was written")
        if base.decode(before) != extended.decode(after):
            raise GuaranteeError(f"{name}: {text[:60]!r} decodes to another text; nothing was written")

    def pretokens(self, counts: Counts) -> CorpusRow:
        """Check and measure the distinct pretokens of a text that cannot be read again.

        Raises:
            GuaranteeError: As for :meth:`corpus`.
        """
        base, extended = self.base._bare, _bare(self.made)
        before = after = 0
        items = [(data.decode(), count) for data, count in counts.items() if _is_text(data)]
        for begin in range(0, len(items), _LINES):
            batch = items[begin : begin + _LINES]
            texts, times = [text for text, _ in batch], np.array([count for _, count in batch], np.int64)
            _, _, offsets = self._compare(base, extended, texts, "training text")
            after += int(np.diff(offsets) @ times)
            before += int(np.diff(base.encode_batch_to_numpy(texts, threads=self.threads)[1]) @ times)
        return CorpusRow(
            "training text", "training", counts.documents, None, counts.characters, counts.bytes, before, after
        )

    def witnesses(self, counts: Counts) -> list[Witness]:
        """For each new piece, in the order of the plan, a text in which it occurs: its own, or a pretoken.

        Raises:
            GuaranteeError: A piece that no text was found for.
        """
        texts = [self.made.pieces[id].text.replace(SPACE, " ") for id in self.plan.new_ids]
        found: list[Witness | None] = [None] * len(texts)

        def attempt(candidates: Sequence[tuple[int, str]]) -> None:
            encoded = self.extended.encode_batch([text for _, text in candidates], threads=self.threads)
            for (place, text), ids in zip(candidates, encoded, strict=True):
                if found[place] is None and self.plan.new_ids[place] in ids:
                    found[place] = Witness(text=text)

        # Without a space before it, where the model puts one; then behind a character that joins with nothing.
        for before in ("", "\n", "。", "“"):
            missing = [place for place, witness in enumerate(found) if witness is None]
            attempt([(place, before + texts[place].removeprefix(" ")) for place in missing])
        missing_ids = {self.plan.new_ids[place]: place for place, witness in enumerate(found) if witness is None}
        if missing_ids:
            pretokens = [pretoken.decode() for pretoken, _ in counts.items() if _is_text(pretoken)]
            for begin in range(0, len(pretokens), 1 << 16):
                batch = pretokens[begin : begin + (1 << 16)]
                for text, ids in zip(batch, self.extended.encode_batch(batch, threads=self.threads), strict=True):
                    for id in missing_ids.keys() & set(ids):
                        found[missing_ids.pop(id)] = Witness(text=text)
        for place, witness in enumerate(found):
            if witness is None:
                raise GuaranteeError(
                    f"added piece {self.plan.new_ids[place]} ({texts[place]!r}) occurs in no text that was tried, so it "
                    "may be unreachable; deny it and extend again. Nothing was written"
                )
        return [witness for witness in found if witness is not None]


# --- tokenizer.json ---


def _tokenizer_json(model: PieceModel) -> str:
    """The same vocabulary for tokenizers: merges are all splits of every piece, the highest score first."""
    ids = {piece.text: id for id, piece in enumerate(model.pieces)}
    usable = {piece.text for piece in model.pieces if piece.kind not in (BYTE, CONTROL, UNKNOWN)}
    ranked: list[tuple[float, int, int, str, str]] = []
    for piece in model.pieces:
        if piece.text not in usable:
            continue
        for at in range(1, len(piece.text)):
            left, right = piece.text[:at], piece.text[at:]
            if left in usable and right in usable:
                ranked.append((-piece.score, ids[left], ids[right], left, right))
    ranked.sort()
    normalizers: list[dict[str, Any]] = [{"type": "Replace", "pattern": {"String": " "}, "content": SPACE}]
    strip: list[dict[str, Any]] = []
    if model.add_dummy_prefix:
        normalizers.insert(0, {"type": "Prepend", "prepend": SPACE})
        strip = [{"type": "Strip", "content": " ", "start": 1, "stop": 0}]
    unknown = next(piece.text for piece in model.pieces if piece.kind == UNKNOWN)
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    record = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": id, "content": piece.text, **flags}
            for id, piece in enumerate(model.pieces)
            if piece.kind in (CONTROL, UNKNOWN)
        ],
        "normalizer": {"type": "Sequence", "normalizers": normalizers},
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": SPACE}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
                *strip,
            ],
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": unknown,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "ignore_merges": False,
            "vocab": ids,
            "merges": [[left, right] for *_, left, right in ranked],
        },
    }
    return json.dumps(record, ensure_ascii=False, indent=1) + "\n"


def _fault_of_json(text: str, extended: EngineTokenizer, counts: Counts) -> str | None:
    """Why tokenizers would give other ids than sentencepiece, tried on a sample of the pretokens, joined to lines.

    It does for pieces of equal scores: merges of a tokenizer.json have an order, and sentencepiece takes the leftmost.
    """
    try:
        from tokenizers import Tokenizer
    except ImportError:
        return "tokenizers, which would have to be asked whether it gives the same ids, is not installed"
    theirs = Tokenizer.from_str(text)
    specials = list(extended.special_tokens)  # which tokenizers finds in plain text
    pretokens = [pretoken.decode() for pretoken, _ in _sample(counts)]
    pretokens = [pretoken for pretoken in pretokens if not any(special in pretoken for special in specials)]
    lines = ["".join(pretokens[at : at + 40]) for at in range(0, len(pretokens), 40)]
    for line, ids in zip(lines, extended.encode_batch(lines), strict=True):
        if theirs.encode(line, add_special_tokens=False).ids != ids:
            return (
                f"tokenizers and sentencepiece give different ids for {line[:40]!r}; pieces of equal scores, as some "
                "models have them, cannot be said in it"
            )
    return None


def _sample(counts: Counts) -> Iterator[tuple[bytes, int]]:
    """Some 20,000 of the distinct pretokens, evenly."""
    step = max(1, len(counts) // 20_000)
    for number, item in enumerate(counts.items()):
        if number % step == 0 and _is_text(item[0]):
            yield item


def _config(base: EngineTokenizer, fault: str | None) -> str:
    names = {"<unk>": "unk_token", "<s>": "bos_token", "</s>": "eos_token"}
    record: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast" if fault is None else "LlamaTokenizer",
        "clean_up_tokenization_spaces": False,
    }
    record.update({key: content for content, key in names.items() if content in base.special_tokens})
    return json.dumps(record, ensure_ascii=False, indent=2) + "\n"
