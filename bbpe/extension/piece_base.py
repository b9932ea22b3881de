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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import bbpe
from bbpe._merge import MergeLearner
from bbpe.corpus import Progress, SourceLike, open_corpus
from bbpe.counts import Counts, count_pretokens
from bbpe.embeddings import EmbeddingPlan
from bbpe.engines import EngineTokenizer
from bbpe.errors import GuaranteeError, TrainingError
from bbpe.extension.options import ExtensionOptions, native_rules
from bbpe.extension.record import AddedToken, CorpusRow, ExtensionReport, GainPoint, Witness
from bbpe.extension.suspicion import suspicious
from bbpe.formats import sentencepiece_model
from bbpe.formats.sentencepiece_model import BPE, BYTE, CONTROL, NORMAL, SPACE, UNKNOWN, Piece, PieceModel
from bbpe.patterns import Pattern
from bbpe.unicode import unicode_version

_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}ー"
WORDS = Pattern(
    (
        r"\p{Han}+|[\p{Hiragana}\p{Katakana}ー]+|[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]+"
        rf"| ?[^\s\p{{N}}\p{{P}}\p{{S}}\p{{C}}{_UNSPACED}]+| ?\p{{N}}| ?[^\s\p{{L}}\p{{N}}\p{{M}}]+|\s+",
    )
)
"""What new pieces may not cross: a space other than at the beginning, and the edge of a script, digits or punctuation,
as SentencePiece's trainer has it. In scripts that are written without spaces none begins with one either: such a model
puts a space before every text, and each piece would be learned a second time for that place."""


@dataclass(frozen=True, slots=True)
class _Addition:
    """A piece to add: a character (``left`` is None) or a merge."""

    text: str
    saved: int
    left: str | None
    right: str | None


def extend_pieces(
    base: EngineTokenizer,
    source: SourceLike,
    options: ExtensionOptions,
    guards: Sequence[tuple[str | None, SourceLike]],
    threads: int | None,
    progress: Callable[[Progress], None] | None,
) -> tuple[EngineTokenizer, ExtensionReport, dict[str, bytes]]:
    """Extend a SentencePiece BPE model from a corpus.

    Returns:
        The extended tokenizer, the report, and the files of its folder.

    Raises:
        TrainingError: The base is of another kind, or an option that is not for it.
        GuaranteeError: A promise that does not hold.
    """
    model = _checked(base, options)
    counts = count_pretokens(
        source,
        pattern=WORDS,
        special_tokens=list(base.special_tokens),
        threads=threads,
        progress=progress,
        text_field=options.text_field,
        lines=options.lines,
        strict=options.strict,
    )
    assert options.add is not None  # _checked
    additions, exhausted = _learn(model, counts, options, options.add, progress)
    if not additions:
        raise TrainingError("the corpus has no new merges to learn: give more text, or looser options")
    made = _with(model, [addition.text for addition in additions])
    extended = EngineTokenizer(sentencepiece_model.engine_model(made, Path("extension")))
    plan, pairs = _plan(base, additions, len(model.pieces), options.pad_to_multiple or 1)
    rows, occurrences, documents = [], np.zeros(len(additions), np.int64), np.zeros(len(additions), np.int64)
    reading: dict[str, Any] = {"text_field": options.text_field, "lines": options.lines, "strict": options.strict}
    rows.append(_check(base, extended, source, "training", None, threads, reading, occurrences, documents))
    for name, text in guards:
        rows.append(_check(base, extended, text, "guard", name, threads, reading, None, None))
    witnesses = _witnesses(extended, additions, len(model.pieces), counts)
    tokenizer_json = _tokenizer_json(made)
    _check_json(tokenizer_json, extended, counts)
    added = tuple(
        AddedToken(
            id=len(model.pieces) + place,
            token=addition.text.replace(SPACE, " "),
            hex=None,
            left=pairs[place][0],
            right=pairs[place][1],
            count=addition.saved,
            occurrences=int(occurrences[place]),
            documents=int(documents[place]),
            helper=False,
            witness=witnesses[place],
        )
        for place, addition in enumerate(additions)
    )
    alone = sum(extended.encode(token.token or "")[-1:] != [token.id] for token in added)
    texts, changed = sum(row.documents for row in rows), sum(row.documents_changed or 0 for row in rows)
    report = ExtensionReport(
        base={
            "name": base.name,
            "vocab_size": base.vocab_size,
            "id_space": base.id_space,
            "special_tokens": len(base.special_tokens),
        },
        options=options,
        sources=counts.sources,
        stop="min_count" if exhausted else "add",
        added=added,
        ids_reused=(),
        special_tokens_replaced=(),
        corpora=tuple(rows),
        curve=tuple(_curve(additions, rows[0])),
        price=None,
        targets=None,
        suspicious=tuple(suspicious(added, rows)),
        base_unreachable=(),
        guarantees={
            "ids": f"all {len(model.pieces):,} old pieces have the ids, scores and kinds that they had",
            "reachable": f"each of the {len(added):,} added pieces occurs in the witness text beside it; "
            f"{alone:,} of them are not what their own text alone becomes",
            "coarser": f"in {texts:,} documents of training and guard text the new token boundaries are some of the old "
            f"ones; {changed:,} documents changed",
            "untouched": "in the same text, documents without new pieces have the ids that they had",
            "round_trip": "both decode to the same text in all of them",
            "tokenizer.json": "tokenizers gives the same ids as sentencepiece on a sample of the training text",
        },
        not_as_ranks="a SentencePiece model has scores, no ranks",
        warnings=(),
        versions={"bbpe": bbpe.__version__, "unicode": unicode_version()},
        plan=plan,
    )
    files = {
        "tokenizer.model": made.serialized(),
        "tokenizer.json": tokenizer_json.encode(),
        "tokenizer_config.json": _config(base).encode(),
    }
    return extended, report, files


def _checked(base: EngineTokenizer, options: ExtensionOptions) -> PieceModel:
    if base.engine != "sentencepiece" or base.algorithm != "bpe":
        raise TrainingError(
            f"the base is {base.algorithm}, run by {base.engine}; bbpe extends byte-level BPE and SentencePiece BPE"
        )
    model = sentencepiece_model.parse(base.model.data, Path(base.name or "base"))
    if not model.byte_fallback:
        raise TrainingError("the base has no byte fallback, so text that no piece covers is lost already; not extended")
    if model.normalization != "identity":
        raise TrainingError(f"the base normalizes text ({model.normalization}); only identity is supported")
    if options.add is None or options.until_gain is not None:
        raise TrainingError("a SentencePiece base is extended by a number of pieces: give add, and no until_gain")
    if options.ids_from is not None or options.reuse_reserved:
        raise TrainingError(
            "pieces are numbered as they stand in the model: ids_from and reuse_reserved are not for it"
        )
    return model


def _learn(
    model: PieceModel,
    counts: Counts,
    options: ExtensionOptions,
    add: int,
    progress: Callable[[Progress], None] | None,
) -> tuple[list[_Addition], bool]:
    """The best additions in order, and whether there were no more."""
    symbols, offsets, weights, uncovered = _segmented(model, counts)
    rules = native_rules(options, utf8_safe=False)  # characters are whole here
    tokens: list[bytes | None] = [
        piece.text.replace(SPACE, " ").encode() if piece.kind not in (BYTE, CONTROL, UNKNOWN) else None
        for piece in model.pieces
    ]
    tokens += [character.encode() for character in uncovered]
    learner = MergeLearner(
        symbols,
        offsets,
        weights,
        tokens,
        first_id=len(tokens),
        min_count=options.min_count,
        max_token_bytes=options.max_token_bytes,
        rules=rules,
    )
    going = True
    while going and len(learner) < add:
        going = learner.learn(add, 1 << 20)
        if progress is not None:
            progress(Progress("merging", len(learner), add, "merges"))
    occurrences = np.zeros(len(tokens), np.int64)
    np.add.at(occurrences, symbols, np.repeat(weights, np.diff(offsets)))
    found = [
        _Addition(character, int(occurrences[len(model.pieces) + place]) * (len(character.encode()) - 1), None, None)
        for place, character in enumerate(uncovered)
    ]
    found = [
        each
        for each in found
        if each.saved >= options.min_count and (rules is None or rules.allows(each.text.encode()))
    ]
    texts = [token.decode() if token is not None else "" for token in tokens]
    refused = set(uncovered) - {each.text for each in found}
    merges = []
    for (left, right), count in zip(learner.merges.tolist(), learner.counts.tolist(), strict=True):
        texts.append(texts[left] + texts[right])
        if not refused.isdisjoint(texts[-1]):  # a character that may not be a piece is in no piece
            continue
        merges.append(_Addition(texts[-1], count, texts[left], texts[right]))
    both = sorted(found + merges, key=lambda each: (-each.saved, each.left is not None))  # stable: merges keep order
    chosen = [replace(each, text=each.text.replace(" ", SPACE)) for each in both[:add]]
    return chosen, not going and len(both) <= add


def _segmented(
    model: PieceModel, counts: Counts
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any], list[str]]:
    """The distinct pretokens as symbols: the base's pieces, and characters that no piece covers."""
    bare = sentencepiece_model.piece_model(model.pieces, model_type=BPE, byte_fallback=True, add_dummy_prefix=False)
    encoder = EngineTokenizer(sentencepiece_model.engine_model(bare, Path("base")))
    byte_of = {id: int(piece.text[3:5], 16) for id, piece in enumerate(model.pieces) if piece.kind == BYTE}
    uncovered: dict[str, int] = {}
    symbols: list[int] = []
    offsets = [0]
    weights: list[int] = []
    items = [(pretoken, count) for pretoken, count in counts.items() if _is_text(pretoken)]
    for begin in range(0, len(items), 1 << 16):
        batch = items[begin : begin + (1 << 16)]
        for ids, (_, count) in zip(encoder.encode_batch([p.decode() for p, _ in batch]), batch, strict=True):
            pending = bytearray()
            for id in ids:
                if id in byte_of:
                    pending.append(byte_of[id])
                    character = _complete(pending)
                    if character is None:
                        continue
                    pending.clear()
                    id = len(model.pieces) + uncovered.setdefault(character, len(uncovered))
                symbols.append(id)
            offsets.append(len(symbols))
            weights.append(count)
    return (
        np.array(symbols, np.uint32),
        np.array(offsets, np.int64),
        np.array(weights, np.int64),
        list(uncovered),
    )


def _complete(pending: bytearray) -> str | None:
    lead = pending[0]
    size = 1 if lead < 0x80 else 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
    return pending.decode() if len(pending) == size else None


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in data


def _with(model: PieceModel, texts: Sequence[str]) -> PieceModel:
    """The model with more pieces, their scores falling from just under the lowest of the base."""
    lowest = np.float32(min(piece.score for piece in model.pieces))
    step = max(np.float32(1), np.spacing(np.abs(lowest)))
    new = [Piece(text, float(lowest - step * np.float32(place + 1)), NORMAL) for place, text in enumerate(texts)]
    scores = [piece.score for piece in new]
    if sorted(set(scores), reverse=True) != scores:
        raise TrainingError("so many pieces cannot be told apart by 32-bit scores; add fewer")
    return replace(model, pieces=(*model.pieces, *new))


def _plan(
    base: EngineTokenizer, additions: Sequence[_Addition], first: int, multiple: int
) -> tuple[EmbeddingPlan, list[tuple[int, int]]]:
    """The base ids that each new piece replaces, and the ids of its two parts (of a character: its first byte, twice)."""
    ids = {text: id for id, text in base.pieces.items()}
    parts: dict[int, tuple[int, ...]] = {}
    pairs = []
    for place, addition in enumerate(additions):
        id = first + place
        if addition.left is None or addition.right is None:
            parts[id] = tuple(ids[f"<0x{byte:02X}>"] for byte in addition.text.encode())
            pairs.append((parts[id][0], parts[id][1]))
        else:
            sides = [ids[side.replace(" ", SPACE)] for side in (addition.left, addition.right)]
            parts[id] = tuple(part for side in sides for part in parts.get(side, (side,)))
            pairs.append((sides[0], sides[1]))
        ids[addition.text] = id
    rows = -(-(first + len(additions)) // multiple) * multiple
    return EmbeddingPlan.of(parts, old_rows=first, new_rows=rows), pairs


def _check(
    base: EngineTokenizer,
    extended: EngineTokenizer,
    source: SourceLike,
    role: str,
    name: str | None,
    threads: int | None,
    reading: Mapping[str, Any],
    occurrences: np.ndarray[Any, Any] | None,
    documents: np.ndarray[Any, Any] | None,
) -> CorpusRow:
    """Encode a corpus with both, line by line where a document has lines, and compare."""
    first = base.id_space
    lengths = np.zeros(extended.id_space, np.int64)
    for id, token in extended.model.tokens.items():
        lengths[id] = len(token)
    corpus = open_corpus(source, **reading)
    row = CorpusRow(name or (Path(corpus.files[0]).name.split(".")[0] if len(corpus.files) == 1 else corpus.name), role)
    try:
        for document in corpus.documents():
            text = document.decode("utf-8", "replace")
            lines = text.splitlines(keepends=True)
            changed = False
            seen: set[int] = set()
            for begin in range(0, len(lines), 4096):
                batch = lines[begin : begin + 4096]
                old, new = base.encode_batch(batch, threads=threads), extended.encode_batch(batch, threads=threads)
                for line, before, after in zip(batch, old, new, strict=True):
                    added = [id - first for id in after if id >= first]
                    if not added:
                        if before != after:
                            raise GuaranteeError(f"{row.name}: {line[:60]!r} holds no new piece and gets other ids")
                    else:
                        changed = True
                        seen.update(added)
                        if not set(np.cumsum(lengths[after]).tolist()) <= set(np.cumsum(lengths[before]).tolist()):
                            raise GuaranteeError(
                                f"{row.name}: {line[:60]!r} is cut in a new place; nothing was written"
                            )
                        if base.decode(before) != extended.decode(after):
                            raise GuaranteeError(f"{row.name}: {line[:60]!r} decodes to another text")
                        if occurrences is not None:
                            np.add.at(occurrences, added, 1)
                    row = row.plus(tokens_before=len(before), tokens_after=len(after))
            if documents is not None:
                documents[list(seen)] += 1
            row = row.plus(documents=1, documents_changed=int(changed), characters=len(text), bytes=len(document))
    finally:
        corpus.close()
    return row


def _witnesses(extended: EngineTokenizer, additions: Sequence[_Addition], first: int, counts: Counts) -> list[Witness]:
    texts = [addition.text.replace(SPACE, " ").removeprefix(" ") for addition in additions]
    found: list[Witness | None] = [None] * len(texts)
    # Without a space before it, where the model puts one: behind a character that joins with nothing.
    for before in ("", "\n", "。", "“"):
        missing = [place for place, witness in enumerate(found) if witness is None]
        for place, ids in zip(missing, extended.encode_batch([before + texts[p] for p in missing]), strict=True):
            if first + place in ids:
                found[place] = Witness(text=before + texts[place])
    missing_ids = {first + place: place for place, witness in enumerate(found) if witness is None}
    if missing_ids:
        pretokens = [pretoken.decode() for pretoken, _ in counts.items() if _is_text(pretoken)]
        for begin in range(0, len(pretokens), 1 << 16):
            batch = pretokens[begin : begin + (1 << 16)]
            for text, ids in zip(batch, extended.encode_batch(batch), strict=True):
                for id in missing_ids.keys() & set(ids):
                    found[missing_ids.pop(id)] = Witness(text=text)
    for place, witness in enumerate(found):
        if witness is None:
            raise GuaranteeError(
                f"added piece {first + place} ({texts[place]!r}) occurs in no text that was tried, so it may be "
                "unreachable; deny it and extend again. Nothing was written"
            )
    return [witness for witness in found if witness is not None]


def _curve(additions: Sequence[_Addition], row: CorpusRow) -> Iterator[GainPoint]:
    characters, tokens = max(1, row.characters), row.tokens_before
    for size in range(len(additions) + 1):
        saved = additions[size - 1].saved if size else 0
        tokens -= saved
        stride = 1 << max(0, size.bit_length() - 4)
        if size % stride == 0 or size == len(additions):
            yield GainPoint(size, tokens, tokens / characters, saved * 1e6 / characters)


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


def _check_json(text: str, extended: EngineTokenizer, counts: Counts) -> None:
    """The tokenizer.json gives sentencepiece's ids, on a sample of the pretokens and on them joined to lines."""
    try:
        from tokenizers import Tokenizer
    except ImportError:
        return
    theirs = Tokenizer.from_str(text)
    pretokens = [pretoken.decode() for pretoken, _ in _sample(counts)]
    lines = ["".join(pretokens[at : at + 40]) for at in range(0, len(pretokens), 40)]
    for line, ids in zip(lines, extended.encode_batch(lines), strict=True):
        if theirs.encode(line, add_special_tokens=False).ids != ids:
            raise GuaranteeError(f"tokenizers and sentencepiece give different ids for {line[:60]!r}")


def _sample(counts: Counts) -> Iterator[tuple[bytes, int]]:
    """Some 20,000 of the distinct pretokens, evenly."""
    step = max(1, len(counts) // 20_000)
    for number, item in enumerate(counts.items()):
        if number % step == 0 and _is_text(item[0]):
            yield item


def _config(base: EngineTokenizer) -> str:
    names = {"<unk>": "unk_token", "<s>": "bos_token", "</s>": "eos_token"}
    record: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    record.update({key: content for content, key in names.items() if content in base.special_tokens})
    return json.dumps(record, ensure_ascii=False, indent=2) + "\n"
