"""The curve of tokens against vocabulary size, from one training: every prefix of the merges is a smaller vocabulary.

What it does: cut a trained vocabulary down to each size and count the tokens of a text that it was not trained on.
What it does not: train (``bbpe.train``), or choose the size: the parameters that each costs stand beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bbpe.analysis import metrics
from bbpe.analysis.cost import EmbeddingCost, embedding_cost
from bbpe.analysis.texts import Text
from bbpe.corpus import Progress
from bbpe.errors import ComparisonError
from bbpe.tokenizer import Tokenizer

__all__ = ["SizeRow", "Sizes", "measure_sizes"]


@dataclass(frozen=True, slots=True)
class SizeRow:
    """One size on one text.

    Attributes:
        vocab_size: Entries.
        text: Label of the text.
        tokens: Tokens of the text.
        tokens_per_character: Tokens ÷ characters.
        bytes_per_token: Bytes ÷ tokens.
        saved: Share of the tokens of the next smaller size that this one saves; None for the smallest.
        cost: Parameters of embedding and output projection, where a width was given.
    """

    vocab_size: int
    text: str
    tokens: int
    tokens_per_character: float
    bytes_per_token: float
    saved: float | None
    cost: EmbeddingCost | None


@dataclass(frozen=True, slots=True)
class Sizes:
    """The curve of one vocabulary.

    Attributes:
        tokenizer: Its name.
        rows: One for each text and size, sizes ascending.
        warnings: What a reader should know, such as a text that the vocabulary was trained on.
    """

    tokenizer: str
    rows: tuple[SizeRow, ...]
    warnings: tuple[str, ...] = ()


def measure_sizes(
    name: str,
    tokenizer: Tokenizer,
    sizes: Sequence[int],
    texts: Sequence[Text],
    *,
    d_model: int | None = None,
    tied: bool = False,
    pad_to: int = 1,
    progress: Callable[[Progress], None] | None = None,
) -> Sizes:
    """Count the tokens of texts with smaller vocabularies.

    Args:
        name: What the reports call the vocabulary.
        tokenizer: The largest of them, trained with bbpe or with merges that make one token each.
        sizes: Entries of each.
        texts: Text that it was not trained on.
        d_model: Width of the model, for the cost.
        tied: Whether embedding and output projection are one matrix.
        pad_to: The multiple to which rows are padded.
        progress: Called after each size.

    Raises:
        ComparisonError: A size that the vocabulary cannot be cut down to, or no size.
    """
    if not isinstance(tokenizer, Tokenizer):
        raise ComparisonError(f"{name}: only a byte-level vocabulary can be cut down to smaller sizes")
    if not sizes:
        raise ComparisonError("no sizes given; write them as 8k,16k,32k")
    smaller: list[Tokenizer] = []
    for size in sorted({*sizes}):
        try:
            smaller.append(tokenizer.truncated(size))
        except ValueError as error:
            raise ComparisonError(f"{name}: {error}") from None
    rows: list[SizeRow] = []
    before: dict[str, int] = {}
    for number, one in enumerate(smaller):
        if progress is not None:
            progress(Progress("sizes", number, len(smaller), "sizes"))
        cost = None if d_model is None else embedding_cost(one.id_space, d_model, tied=tied, pad_to=pad_to)
        for text in texts:
            tokens = len(one.encode_batch_to_numpy(list(text.parts))[0])
            label = text.facts.label
            rows.append(
                SizeRow(
                    vocab_size=one.vocab_size,
                    text=label,
                    tokens=tokens,
                    tokens_per_character=metrics.tokens_per_character(tokens, text.facts.characters),
                    bytes_per_token=metrics.bytes_per_token(tokens, text.facts.bytes),
                    saved=1 - tokens / before[label] if label in before else None,
                    cost=cost,
                )
            )
            before[label] = tokens
    order = {text.facts.label: number for number, text in enumerate(texts)}
    rows.sort(key=lambda row: (order[row.text], row.vocab_size))
    return Sizes(name, tuple(rows), tuple(_trained_on(name, tokenizer, texts)))


def _trained_on(name: str, tokenizer: Tokenizer, texts: Sequence[Text]) -> list[str]:
    """The texts that the record of the training names: a curve on them flatters large vocabularies."""
    record = tokenizer.training_record
    if record is None:
        return []
    seen = {source.sha256 for source in record.sources}
    return [
        f"{text.facts.label} was part of the text that {name} was trained on: "
        "measured on it, large sizes look better than they are; give held-out text"
        for text in texts
        if any(source.sha256 in seen for source in text.facts.sources)
    ]
