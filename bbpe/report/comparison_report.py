"""The report of a comparison: tables and figures of ``Comparison``'s rows.

What it does: choose what stands where. The first table answers the question on one screen, a line for each vocabulary;
all else is ``minor`` and stands in files. What it does not: measure, or draw.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from bbpe.analysis.comparison import Comparison, Row, Vocab
from bbpe.analysis.measurement import Lost
from bbpe.report.model import (
    Block,
    Cell,
    Column,
    Figure,
    LiveBox,
    PieceRow,
    Pieces,
    PieceToken,
    Report,
    Section,
    Series,
    Table,
)

__all__ = ["comparison_report"]

_LOSES_TEXT = 0.01  # share of unknown tokens from which tokens per character means nothing
_TEXTS_WITH_SPEED = 3  # columns that a screen has room for


def comparison_report(
    comparison: Comparison, *, title: str = "Vocabularies compared", live_box: LiveBox | None = None
) -> Report:
    """The report of a comparison.

    Args:
        comparison: What was measured.
        title: Heading.
        live_box: For the HTML page.
    """
    sections: list[Section] = []
    if comparison.texts:
        sections.append(_answer(comparison))
    if comparison.probe is not None:
        sections.append(Section("One sentence, every vocabulary", blocks=(_pieces(comparison),)))
    if comparison.missing:
        sections.append(_missing(comparison))
    if comparison.texts:
        sections.append(Section("Pictures", blocks=tuple(_figures(comparison)), minor=True))
    if comparison.balances:
        sections.append(_balances(comparison))
    if comparison.costs:
        sections.append(_costs(comparison))
    sections.append(_vocabularies(comparison))
    if comparison.texts:
        sections.append(_all_rows(comparison))
        sections.append(_texts(comparison))
    return Report(
        title,
        tuple(sections),
        method=comparison.method,
        summary=_summary(comparison),
        main_table="rows" if comparison.texts else "",
        live_box=live_box,
    )


# --- the answer -------------------------------------------------------------------------------------------------------


def _summary(comparison: Comparison) -> str:
    sentences = []
    keeping = [vocab.name for vocab in comparison.vocabularies if not _loses_text(comparison, vocab.name)]
    for text in comparison.texts:
        rows = [row for row in comparison.rows if row.text == text.label and row.tokenizer in keeping]
        if len(rows) < 2:
            continue
        best, worst = min(rows, key=_tokens), max(rows, key=_tokens)
        losing = "" if best.lossless else " (but changes the text)"
        sentences.append(
            f"{text.label}: {best.tokenizer}{losing} needs the fewest tokens, {best.tokens_per_character:.3f} a character; "
            f"{worst.tokenizer} the most, {worst.tokens_per_character:.3f}."
        )
    return " ".join(sentences[:4])


def _tokens(row: Row) -> int:
    return row.tokens


def _loses_text(comparison: Comparison, name: str) -> bool:
    """Whether the vocabulary writes "unknown" so often that its number of tokens says nothing."""
    return any(row.unknown_tokens > _LOSES_TEXT for row in comparison.rows if row.tokenizer == name)


def _answer(comparison: Comparison) -> Section:
    names = [vocab.name for vocab in comparison.vocabularies]
    totals = {name: sum(row.tokens for row in comparison.rows if row.tokenizer == name) for name in names}
    names.sort(key=lambda name: (totals[name], name))
    keeping = [name for name in names if not _loses_text(comparison, name)]
    losing = [name for name in names if name not in keeping]
    blocks: list[Block] = []
    columns = _answer_columns(comparison)
    if keeping:
        emphasized = tuple(place for place, name in enumerate(keeping) if name == comparison.baseline)
        blocks.append(
            Table(
                "answer",
                "Tokens per character, the fewest first",
                columns,
                tuple(_answer_row(comparison, name) for name in keeping),
                notes=_answer_notes(comparison),
                emphasized=emphasized,
            )
        )
    if losing:
        unknown = Column("unknown", "Unknown", "of the tokens", "percent", note="Tokens that stand for lost text.")
        blocks.append(
            Table(
                "losing",
                "These lose text, so that their few tokens are no merit",
                (*columns[:2], unknown, *columns[2:]),
                tuple(
                    {
                        **_answer_row(comparison, name),
                        "unknown": max(row.unknown_tokens for row in comparison.rows if row.tokenizer == name),
                    }
                    for name in losing
                ),
            )
        )
    return Section("The answer", blocks=tuple(blocks))


def _answer_columns(comparison: Comparison) -> tuple[Column, ...]:
    columns = [Column("name", "Vocabulary"), Column("vocab_size", "Entries", kind="integer")]
    minor_from = 4
    for number, text in enumerate(comparison.texts):
        columns.append(
            Column(f"tpc_{number}", text.label, "tok/char", "number", better="lower", minor=number >= minor_from)
        )
    if comparison.reference is not None:
        for number, text in enumerate(comparison.texts):
            if text.label != comparison.reference:
                columns.append(
                    Column(
                        f"parity_{number}",
                        f"{text.label}/{comparison.reference}",
                        kind="number",
                        digits=2,
                        note="Tokens for the same content; 1 is fair.",
                        minor=number >= 2,
                    )
                )
    han = _chinese(comparison)
    if han is not None:
        columns.append(
            Column(
                "cut_han",
                "Cut",
                f"of {comparison.texts[han].label}",
                "percent",
                better="lower",
            )
        )
    columns.append(Column("lossless", "Lossless", kind="flag", note="Decoding gives every probe and text back."))
    for number, text in enumerate(comparison.texts):
        columns.append(
            Column(
                f"speed_{number}",
                f"{text.label}",
                "MB/s",
                "number",
                1,
                minor=number >= _TEXTS_WITH_SPEED,
            )
        )
    columns.append(Column("engine", "Engine", minor=True))
    if comparison.baseline is not None:
        note = f"Tokens ÷ tokens of {comparison.baseline}, over all texts."
        columns.append(Column("nsl", "NSL", kind="number", better="lower", note=note))
    if comparison.model is not None:
        columns.append(Column("parameters", "Rows", "M param.", "number", 0, note="Embedding and output projection."))
        if comparison.model.body is not None:
            columns.append(Column("share", "Share", "of model", "percent", minor=True))
        if comparison.model.body is not None and comparison.baseline is not None:
            columns.append(
                Column("compute", "Compute", "÷ base", "number", better="lower",
                       note=f"Of these texts ÷ that with {comparison.baseline}; rows and tokens together.")
            )  # fmt: skip
    return tuple(columns)


def _answer_row(comparison: Comparison, name: str) -> dict[str, Cell]:
    vocab = comparison.vocabulary(name)
    row: dict[str, Cell] = {
        "name": name,
        "vocab_size": vocab.facts.vocab_size,
        "lossless": vocab.lossless,
        "engine": vocab.facts.engine.split()[0],
    }
    total = base = 0
    for number, text in enumerate(comparison.texts):
        found = comparison.row(name, text.label)
        row[f"tpc_{number}"] = found.tokens_per_character
        row[f"speed_{number}"] = found.megabytes_per_second
        total += found.tokens
        if comparison.baseline is not None:
            base += comparison.row(comparison.baseline, text.label).tokens
    if comparison.baseline is not None:
        row["nsl"] = total / base
    for balance in comparison.balances:
        if balance.tokenizer == name:
            for number, text in enumerate(comparison.texts):
                if text.label != comparison.reference:
                    row[f"parity_{number}"] = balance.parity[text.label]
    han = _chinese(comparison)
    if han is not None:
        row["cut_han"] = comparison.row(name, comparison.texts[han].label).cut_han
    for cost in comparison.costs:
        if cost.tokenizer == name:
            row["parameters"] = cost.embedding.parameters / 1e6
            if cost.embedding.share is not None:
                row["share"] = cost.embedding.share
                if cost.saving is not None:
                    row["compute"] = cost.saving.compute_ratio
    return row


def _answer_notes(comparison: Comparison) -> tuple[str, ...]:
    notes = [f"Warning: {warning}" for warning in comparison.warnings]
    if comparison.missing:
        notes.append(f"Not measured: {', '.join(one.name for one in comparison.missing)}")
    han = _chinese(comparison)
    if han is not None:
        label = comparison.texts[han].label
        notes.append(f"Cut: Chinese characters of {label}, as they occur, that need two tokens or more.")
    engines: dict[str, list[str]] = {}
    for vocab in comparison.vocabularies:
        engines.setdefault(vocab.facts.engine.split()[0], []).append(vocab.name)
    own = "bbpe's own encoder" if "bbpe" in engines else ""
    others = [f"{engine} for {', '.join(names)}" for engine, names in engines.items() if engine != "bbpe"]
    notes.append(
        f"MB/s: one thread, first pass, of {'; of '.join([own, *others] if own else others)}; the engine decides it."
    )
    lossy = [vocab for vocab in comparison.vocabularies if vocab.lost is not None]
    for vocab in lossy[:1]:
        assert vocab.lost is not None
        notes.append(f"Not lossless, for example {vocab.name}: {_lost(vocab.lost)}")
    return tuple(notes)


def _lost(lost: Lost) -> str:
    return f"{_visible(lost.given)} comes back as {_visible(lost.got)} ({lost.what})"


def _visible(text: str) -> str:
    """The text quoted, combining marks by number: with them and composed it looks the same."""
    return "".join(f"\\u{ord(one):04x}" if unicodedata.combining(one) else one for one in repr(text))


def _chinese(comparison: Comparison) -> int | None:
    """The number of the most Chinese text, or None where there is none."""
    shares = [text.han / text.characters for text in comparison.texts]
    if not shares or max(shares) < 0.1:
        return None
    return shares.index(max(shares))


# --- the rest ---------------------------------------------------------------------------------------------------------


def _pieces(comparison: Comparison) -> Pieces:
    assert comparison.probe is not None
    rows = []
    for vocab in comparison.vocabularies:
        if vocab.probed is None:
            continue
        tokens = tuple(
            PieceToken(piece.token, piece.id, "unknown" if piece.unknown else "token") for piece in vocab.probed.pieces
        )
        got = vocab.probed.got
        rows.append(PieceRow(vocab.name, tokens, got is None, "" if got is None else f"comes back as {got!r}"))
    rows.sort(key=lambda row: len(row.tokens))
    return Pieces("probe", "The pieces, the fewest first", comparison.probe, tuple(rows))


def _missing(comparison: Comparison) -> Section:
    rows = tuple({"name": one.name, "reason": one.reason} for one in comparison.missing)
    table = Table("missing", "Not measured", (Column("name", "Vocabulary"), Column("reason", "Why")), rows)
    return Section("What is missing", blocks=(table,), minor=True)


def _figures(comparison: Comparison) -> Iterable[Figure]:
    keeping = [vocab for vocab in comparison.vocabularies if not _loses_text(comparison, vocab.name)]
    if not keeping:
        return
    first = comparison.texts[0].label
    ordered = sorted(keeping, key=lambda vocab: comparison.row(vocab.name, first).tokens)
    names = tuple(vocab.name for vocab in ordered)
    series = tuple(
        Series(
            text.label, names, tuple(comparison.row(name, text.label).tokens_per_character for name in names)
        )
        for text in comparison.texts[:6]
    )  # fmt: skip
    yield Figure(
        "bars",
        "Tokens per character",
        "bars",
        "Vocabulary",
        "Tokens per character",
        series,
        reference=1,
        table="answer",
    )
    pair = _pair(comparison)
    if pair is not None:
        across, up = pair
        yield Figure(
            "scatter",
            f"{comparison.texts[up].label} against {comparison.texts[across].label}",
            "scatter",
            f"Bytes per token, {comparison.texts[across].label}",
            f"Bytes per token, {comparison.texts[up].label}",
            (_scatter_series(comparison, keeping, across, up),),
            size_title="Entries of the vocabulary",
            caption="Up and to the right is fewer tokens. The area of a point is the size of the vocabulary.",
            table="answer",
        )


def _pair(comparison: Comparison) -> tuple[int, int] | None:
    """A Chinese text and an English one, or the first two."""
    if len(comparison.texts) < 2:
        return None
    found = {text.language: number for number, text in reversed(list(enumerate(comparison.texts)))}
    if "zh" in found and "en" in found:
        return found["en"], found["zh"]
    return 0, 1


def _scatter_series(comparison: Comparison, vocabs: Sequence[Vocab], across: int, up: int) -> Series:
    texts = comparison.texts
    return Series(
        "vocabularies",
        tuple(comparison.row(vocab.name, texts[across].label).bytes_per_token for vocab in vocabs),
        tuple(comparison.row(vocab.name, texts[up].label).bytes_per_token for vocab in vocabs),
        tuple(vocab.name for vocab in vocabs),
        tuple(float(vocab.facts.vocab_size) for vocab in vocabs),
    )


def _balances(comparison: Comparison) -> Section:
    columns = [Column("name", "Vocabulary")]
    for number, text in enumerate(comparison.texts):
        if text.label != comparison.reference:
            columns.append(Column(f"p{number}", f"{text.label}/{comparison.reference}", "tokens", "number", 2))
    columns.append(Column("gini", "Gini", "0 is equal", "number", better="lower"))
    columns.append(Column("worst", "Most tokens"))
    rows = []
    for balance in sorted(comparison.balances, key=lambda balance: balance.gini):
        row: dict[str, Cell] = {"name": balance.tokenizer, "gini": balance.gini, "worst": balance.worst}
        for number, text in enumerate(comparison.texts):
            if text.label != comparison.reference:
                row[f"p{number}"] = balance.parity[text.label]
        rows.append(row)
    table = Table("balance", "Parity and inequality, the most equal first", tuple(columns), tuple(rows))
    words = (
        "Parity is the tokens of a language ÷ those of the reference for the same content (arXiv 2305.15425). "
        "Gini is the inequality of tokens over all languages (arXiv 2508.04796)."
    )
    return Section("Balance between languages", words, (table,), minor=True)


def _costs(comparison: Comparison) -> Section:
    model = comparison.model
    assert model is not None
    body = "" if model.body is None else f", {model.body:,} parameters besides"
    columns = (
        Column("name", "Vocabulary"),
        Column("rows", "Rows", kind="integer", note="Last id + 1, padded."),
        Column("parameters", "Parameters", kind="integer", better="lower"),
        Column("bf16", "bfloat16", "MB", "number", 1),
        Column("total", "Model", "parameters", "integer"),
        Column("share", "Share", "of the model", "percent"),
        Column("saved", "Tokens saved", kind="integer", note="Against the baseline, on all texts together."),
        Column("saved_share", "Saved", "of the tokens", "percent", better="higher"),
        Column("break_even", "Break-even", "share to save", "percent", note="From here on the rows pay in compute."),
        Column("compute", "Compute", "÷ baseline", "number", better="lower"),
        Column("training", "Training saved", "GFLOP on these texts", "number", 0),
        Column("inference", "Inference saved", "GFLOP on these texts", "number", 0),
    )
    rows = []
    for cost in comparison.costs:
        embedding, saved = cost.embedding, cost.saving
        row: dict[str, Cell] = {
            "name": cost.tokenizer,
            "rows": embedding.rows,
            "parameters": embedding.parameters,
            "bf16": embedding.memory["bfloat16"] / 1e6,
            "total": embedding.total_parameters,
            "share": embedding.share,
        }
        if saved is not None:
            row |= {
                "saved": saved.saved_tokens,
                "saved_share": saved.saved_share,
                "break_even": saved.break_even_share,
                "compute": saved.compute_ratio,
                "training": None if saved.training_flops_saved is None else saved.training_flops_saved / 1e9,
                "inference": None if saved.inference_flops_saved is None else saved.inference_flops_saved / 1e9,
            }
        rows.append(row)
    shown = tuple(column for column in columns if any(row.get(column.key) is not None for row in rows))
    rows = [{column.key: row.get(column.key) for column in shown} for row in rows]
    table = Table("cost", "Embedding and output projection", shown, tuple(rows))
    text = (
        f"A model of width {model.d_model:,}, {'tied' if model.tied else 'not tied'}, rows padded to a multiple of "
        f"{model.pad_to}{body}. Rows × width, twice unless tied. A larger vocabulary pays in compute from the share of "
        "tokens saved δ = d·ΔV ÷ (N + d·V) on, with N the parameters besides."
    )
    return Section("Cost", text, (table,), minor=True)


def _vocabularies(comparison: Comparison) -> Section:
    columns = (
        Column("name", "Vocabulary"),
        Column("algorithm", "Algorithm"),
        Column("engine", "Engine"),
        Column("vocab_size", "Entries", kind="integer"),
        Column("id_space", "Ids", "last id + 1", "integer"),
        Column("pattern", "Pattern"),
        Column("normalizer", "Normalizer"),
        Column("level_1", "GB 2312 level 1", "one token", "percent", better="higher"),
        Column("level_2", "GB 2312 level 2", "one token", "percent", better="higher"),
        Column("digits", "Digits"),
        Column("lossless", "Lossless", kind="flag"),
        Column("loses", "Loses"),
        Column("example", "Example"),
        Column("load", "Load", "seconds", "number", 2),
    )
    rows: list[Mapping[str, Cell]] = [
        {
            "name": vocab.name,
            "algorithm": vocab.facts.algorithm,
            "engine": vocab.facts.engine,
            "vocab_size": vocab.facts.vocab_size,
            "id_space": vocab.facts.id_space,
            "pattern": vocab.facts.pattern,
            "normalizer": vocab.facts.normalizer,
            "level_1": vocab.facts.gb2312_level_1,
            "level_2": vocab.facts.gb2312_level_2,
            "digits": vocab.facts.digits,
            "lossless": vocab.lossless,
            "loses": ", ".join(lost.what for lost in vocab.facts.lost) or None,
            "example": None if vocab.lost is None else _lost(vocab.lost),
            "load": vocab.facts.load_seconds,
        }
        for vocab in comparison.vocabularies
    ]
    return Section(
        "The vocabularies", blocks=(Table("vocabularies", "What they are", columns, tuple(rows)),), minor=True
    )


_ROW_COLUMNS = (
    Column("tokenizer", "Vocabulary"),
    Column("text", "Text"),
    Column("vocab_size", "Entries", kind="integer"),
    Column("tokens", "Tokens", kind="integer"),
    Column("tokens_per_character", "Tokens per character", kind="number"),
    Column("characters_per_token", "Characters per token", kind="number"),
    Column("bytes_per_token", "Bytes per token", kind="number", digits=2),
    Column("tokens_per_document", "Tokens per document", kind="number", digits=1),
    Column("tokens_per_line", "Tokens per line", kind="number", digits=1),
    Column("nsl", "NSL", kind="number", note="Tokens ÷ tokens of the baseline (arXiv 2402.01035)."),
    Column("fertility", "Fertility", "tokens per word", "number", note="The word rule is in the method."),
    Column("continued_words", "Words cut", kind="percent"),
    Column("single_token_retention", "Words kept whole", "of the distinct words", "percent"),
    Column("cut_han", "Chinese characters cut", kind="percent"),
    Column("invalid_tokens", "Tokens not UTF-8", kind="percent"),
    Column("unknown_tokens", "Unknown tokens", kind="percent"),
    Column("utilisation", "Entries used", kind="percent"),
    Column("distinct_tokens", "Distinct tokens", kind="integer"),
    Column(
        "renyi_efficiency",
        "Rényi efficiency",
        "of all entries",
        "number",
        note="Power 2.5 (arXiv 2306.16842). It can be raised at will while translations get worse (arXiv 2402.14614): "
        "no measure of quality.",
    ),
    Column("renyi_efficiency_observed", "Rényi efficiency", "of the tokens observed", "number"),
    Column("lossless", "Lossless", kind="flag"),
    Column("seconds", "Time", "seconds", "number"),
    Column("megabytes_per_second", "Speed", "MB/s", "number", 1),
    Column("tokens_per_second", "Speed", "tokens/s", "integer"),
    Column("engine", "Engine"),
)


def _all_rows(comparison: Comparison) -> Section:
    rows: list[Mapping[str, Cell]] = []
    for row in comparison.rows:
        cells: dict[str, Cell] = {column.key: getattr(row, column.key) for column in _ROW_COLUMNS}
        cells["tokens_per_second"] = round(row.tokens_per_second)
        rows.append(cells)
    columns = tuple(column for column in _ROW_COLUMNS if any(row[column.key] is not None for row in rows))
    rows = [{column.key: row[column.key] for column in columns} for row in rows]
    return Section(
        "All figures", blocks=(Table("rows", "Every vocabulary on every text", columns, tuple(rows)),), minor=True
    )


def _texts(comparison: Comparison) -> Section:
    columns = (
        Column("label", "Text"),
        Column("language", "Language"),
        Column("script", "Most letters"),
        Column("documents", "Documents", kind="integer"),
        Column("lines", "Lines", kind="integer"),
        Column("characters", "Characters", kind="integer"),
        Column("bytes", "Bytes", kind="integer"),
        Column("han", "Chinese characters", kind="integer"),
        Column("words", "Words", kind="integer"),
        Column("word_rule", "Word rule"),
        Column("sha256", "sha256"),
    )
    rows: list[Mapping[str, Cell]] = [
        {column.key: getattr(text, column.key) for column in columns} for text in comparison.texts
    ]
    return Section("The texts", blocks=(Table("texts", "What was measured on", columns, tuple(rows)),), minor=True)
