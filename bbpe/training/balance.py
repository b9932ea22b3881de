"""A training that serves the worst-compressed language next (parity-aware BPE): ``_joint.pyx`` lets all of them choose."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bbpe.corpus import SourceLike
from bbpe.counts import Counts, add_up, count_pretokens
from bbpe.errors import TrainingError
from bbpe.mixture import Mixture, as_paths
from bbpe.tokenizer import Tokenizer
from bbpe.training.learning import Run
from bbpe.training.limits import check_memory_together, warn_of_long_pretokens
from bbpe.training.means import Means
from bbpe.training.options import TrainingOptions
from bbpe.training.record import BalancedLanguage

__all__ = ["balanced_texts", "train_balanced"]


def balanced_texts(source: SourceLike, options: TrainingOptions) -> list[Mixture]:
    """The languages, found but not counted, in the order of ``options.balance``.

    Raises:
        TrainingError: A source has no side, or there is another reason why it cannot be balanced.
    """
    paths, _ = as_paths(source)
    if not paths:
        raise TrainingError("balance is for files: name the sources, each a language, as Path objects")
    _check_balance(paths, options.balance)
    return [Mixture.of(Path(path), **_made_with(options)) for path, _ in options.balance]


def _made_with(options: TrainingOptions) -> dict[str, Any]:
    return {
        "pattern": options.first_pattern,
        "special_tokens": options.special_tokens,
        "normalizer": options.normalizer,
        "max_pretoken_bytes": options.max_pretoken_bytes,
    }


def train_balanced(mixtures: Sequence[Mixture], options: TrainingOptions, means: Means) -> Tokenizer:
    """Languages are counted one by one, and so are the sides of the parallel text.

    Args:
        mixtures: What :func:`balanced_texts` found.
        options: With ``balance``.
        means: What may be used.
    """
    sides = _counted_sides(options, means)
    texts = _counted_texts(mixtures, options, means, sides)
    for (path, _), text in zip(options.balance, texts, strict=True):
        if not len(text):
            raise TrainingError(f"{path}: no text in it to learn from")
    counts = add_up((text, 1) for text in texts)
    warn_of_long_pretokens(counts, stacklevel=3)
    kept = None if means.checkpoint is None else means.checkpoint.merges()
    run = Run(counts, None, options, languages=list(zip(texts, sides, strict=True)), kept=kept)
    lines = [side.documents for side in sides]
    del counts, texts, sides
    vocabulary, record = run.finish(means.progress, means.checkpoint)
    languages = tuple(
        BalancedLanguage(path, side, count, tokens, merges)
        for (path, side), count, tokens, merges in zip(
            options.balance, lines, run.side_tokens, run.merges_for[:-1], strict=True
        )
    )
    return Tokenizer.of_training(vocabulary, replace(record, languages=languages))


def _counted_sides(options: TrainingOptions, means: Means) -> list[Counts]:
    sides = [
        count_pretokens(
            Path(side),
            **_made_with(options),
            text_field=options.text_field,
            strict=options.strict,
            threads=means.threads,
            lines=True,
        )
        for _, side in options.balance
    ]
    first = options.balance[0][1]
    for (_, other), counted in zip(options.balance, sides, strict=True):
        if not len(counted):
            raise TrainingError(f"{other}: no text in it, so that nothing can be measured by it")
        if counted.documents != sides[0].documents:
            raise TrainingError(
                f"{first} has {sides[0].documents:,} lines and {other} has {counted.documents:,}; in a parallel text "
                "line n says the same on every side"
            )
    return sides


def _counted_texts(
    mixtures: Sequence[Mixture], options: TrainingOptions, means: Means, sides: Sequence[Counts]
) -> list[Counts]:
    """All are counted before one is taken into memory, so that counting has the room."""
    if means.memory is None and means.checkpoint is None:
        return [means.count(mixture, options) for mixture in mixtures]
    with contextlib.ExitStack() as stack:
        on_disk = []
        for number, mixture in enumerate(mixtures):
            part = stack.enter_context(means.part(f"text-{number}"))
            on_disk.append(stack.enter_context(part.on_disk(mixture, options)))
        if means.memory is not None:
            check_memory_together([*on_disk, *sides], options, means.memory)
        return [counted.load() for counted in on_disk]


def _check_balance(named: Sequence[str], balance: Sequence[tuple[str, str]]) -> None:
    """Every source has its side, and is named once."""
    known = ", ".join(named[:10])
    for path, _ in balance:
        if path not in named:
            raise TrainingError(f"a side for {path}, which is no source; the sources are {known}")
    for path in named:
        if path not in dict(balance):
            raise TrainingError(f"{path} has no side of the parallel text; name one for each source (--balance)")
        if named.count(path) > 1:
            raise TrainingError(f"{path} is given twice; give it once")
