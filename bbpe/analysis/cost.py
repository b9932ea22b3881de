"""What a vocabulary costs a model, and what fewer tokens save.

What it does: arithmetic on sizes, with the formulas below. What it does not: know any model; widths and sizes are given.

A vocabulary of V rows and a model of width d have an embedding of V·d parameters, and as many again in the output
projection unless the two are tied. V is the *id space* (last id + 1), holes and special tokens included, padded to a
multiple where the model does so: Gemma has 256,000 pieces and 256,128 rows.

Compute, in floating-point operations per token (Kaplan et al. 2020, "Scaling Laws for Neural Language Models", arXiv
2001.08361, section 2.1, attention over the context left out): 2·(N_body + d·V) to infer and 6·(N_body + d·V) to train.
The input embedding is a look-up and costs none; the output projection costs d·V, tied or not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from bbpe.errors import ComparisonError

__all__ = [
    "BYTES_OF_DTYPE",
    "EmbeddingCost",
    "Saving",
    "body_parameters",
    "break_even",
    "embedding_cost",
    "padded",
    "saving",
]

BYTES_OF_DTYPE: Mapping[str, float] = MappingProxyType(
    {"float32": 4, "bfloat16": 2, "float16": 2, "int8": 1, "int4": 0.5}
)
"""Bytes of one parameter."""


@dataclass(frozen=True, slots=True)
class EmbeddingCost:
    """What the rows of a vocabulary take in a model.

    Attributes:
        rows: Rows of the embedding: the id space, padded.
        d_model: The model's width.
        tied: Whether the output projection is the embedding.
        parameters: Of embedding and output projection together.
        body_parameters: Of everything else, or None where it is not known.
        total_parameters: Of the model, or None.
        share: ``parameters`` ÷ ``total_parameters``, or None.
        memory: Bytes of ``parameters`` by dtype.
    """

    rows: int
    d_model: int
    tied: bool
    parameters: int
    body_parameters: int | None
    total_parameters: int | None
    share: float | None
    memory: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Saving:
    """What one vocabulary saves against a baseline on the same text.

    Attributes:
        tokens: Tokens of the text with this vocabulary.
        baseline_tokens: Tokens with the baseline.
        saved_tokens: Baseline − this; negative where it needs more.
        saved_share: ``saved_tokens`` ÷ ``baseline_tokens``.
        break_even_share: The share from which the larger output projection pays at inference, or None where the body
            is not known. Negative for a smaller vocabulary: so much longer the text may become.
        compute_ratio: Compute of the text with this vocabulary ÷ with the baseline, for training and inference alike,
            or None where the body is not known; below 1 is cheaper.
        training_flops_saved: Of one pass of training over this text, or None.
        inference_flops_saved: Of reading or writing this text once, or None.
    """

    tokens: int
    baseline_tokens: int
    saved_tokens: int
    saved_share: float
    break_even_share: float | None
    compute_ratio: float | None
    training_flops_saved: float | None
    inference_flops_saved: float | None


def padded(rows: int, multiple: int = 1) -> int:
    """The rows, filled up to a multiple.

    >>> padded(256_000, 128), padded(256_001, 128)
    (256000, 256128)
    """
    _positive("rows", rows)
    _positive("multiple", multiple)
    return -(-rows // multiple) * multiple


def body_parameters(layers: int, d_model: int, attention_width: int, d_ff: int, *, gated: bool = True) -> int:
    """Parameters of a decoder without its embedding and output projection, and without the final norm.

    Per layer: query, key, value and output, 4·d·a with a = heads × width of a head (as many key heads as query heads);
    the feed-forward part, 3·d·f if gated, else 2·d·f; and two norms, 2·d. Source: the account of Gemma-7B's size that
    this project's seed articles give.

    >>> body_parameters(28, 3072, 16 * 256, 24_576)  # Gemma-7B
    7751245824
    """
    for name, value in (
        ("layers", layers),
        ("d_model", d_model),
        ("attention_width", attention_width),
        ("d_ff", d_ff),
    ):
        _positive(name, value)
    return layers * (4 * d_model * attention_width + (3 if gated else 2) * d_model * d_ff + 2 * d_model)


def embedding_cost(
    id_space: int, d_model: int, *, tied: bool = False, pad_to: int = 1, body: int | None = None
) -> EmbeddingCost:
    """Parameters and memory of a vocabulary's rows.

    Args:
        id_space: Last id + 1.
        d_model: The model's width.
        tied: Whether embedding and output projection are one matrix.
        pad_to: The multiple to which rows are padded.
        body: Parameters of the rest of the model.

    Raises:
        ComparisonError: A size below 1.

    >>> gemma = embedding_cost(256_001, 3072, pad_to=128, body=7_751_245_824)
    >>> gemma.parameters // 2, gemma.total_parameters
    (786825216, 9324896256)
    >>> embedding_cost(256_001, 3072, tied=True, pad_to=128, body=7_751_245_824).total_parameters
    8538071040
    """
    _positive("d_model", d_model)
    rows = padded(id_space, pad_to)
    parameters = rows * d_model * (1 if tied else 2)
    if body is not None:
        _positive("body", body)
    total = None if body is None else parameters + body
    return EmbeddingCost(
        rows=rows,
        d_model=d_model,
        tied=tied,
        parameters=parameters,
        body_parameters=body,
        total_parameters=total,
        share=None if total is None else parameters / total,
        memory={dtype: parameters * size for dtype, size in BYTES_OF_DTYPE.items()},
    )


def break_even(rows: int, baseline_rows: int, d_model: int, body: int) -> float:
    """The share of tokens that a vocabulary has to save against the baseline before it pays in compute.

    With δ the share saved, n·(1 − δ)·(N + d·V) < n·(N + d·V₀) holds from δ = d·(V − V₀) ÷ (N + d·V) on.

    >>> round(break_even(152_064, 32_000, 4096, 6_500_000_000), 3)
    0.069
    """
    return d_model * (rows - baseline_rows) / (body + d_model * rows)


def saving(
    tokens: int, baseline_tokens: int, *, rows: int, baseline_rows: int, d_model: int, body: int | None = None
) -> Saving:
    """What a vocabulary saves against a baseline on one text, and whether that pays for its rows.

    Args:
        tokens: Tokens of the text with this vocabulary.
        baseline_tokens: Tokens of the same text with the baseline.
        rows: Rows of this vocabulary, padded.
        baseline_rows: Rows of the baseline, padded.
        d_model: Width of the model.
        body: Parameters of the model without embedding and output projection.
    """
    saved = baseline_tokens - tokens
    per_token = baseline_per_token = None
    if body is not None:
        per_token = body + d_model * rows
        baseline_per_token = body + d_model * baseline_rows
    flops = None
    if per_token is not None and baseline_per_token is not None:
        flops = 2.0 * (baseline_tokens * baseline_per_token - tokens * per_token)
    return Saving(
        tokens=tokens,
        baseline_tokens=baseline_tokens,
        saved_tokens=saved,
        saved_share=saved / baseline_tokens,
        break_even_share=None if body is None else break_even(rows, baseline_rows, d_model, body),
        compute_ratio=None
        if per_token is None or baseline_per_token is None
        else tokens * per_token / (baseline_tokens * baseline_per_token),
        training_flops_saved=None if flops is None else 3 * flops,
        inference_flops_saved=flops,
    )


def _positive(name: str, value: int) -> None:
    if type(value) is not int:
        raise TypeError(f"{name} is an integer, not {value!r}")
    if value < 1:
        raise ComparisonError(f"{name} is {value}; expected at least 1")
