"""A training that serves the worst-compressed language next (parity-aware BPE).

Languages are counted one by one, and so are the sides of the parallel text; ``_joint.pyx`` lets all of them choose.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bbpe.corpus import Progress, SourceLike
from bbpe.counts import add_up, count_pretokens
from bbpe.errors import TrainingError
from bbpe.mixture import Mixture
from bbpe.tokenizer import Tokenizer
from bbpe.training.learning import Run
from bbpe.training.limits import warn_of_long_pretokens
from bbpe.training.options import TrainingOptions
from bbpe.training.record import BalancedLanguage

__all__ = ["train_balanced"]


def train_balanced(
    source: SourceLike,
    options: TrainingOptions,
    threads: int | None,
    progress: Callable[[Progress], None] | None,
) -> Tokenizer:
    """Languages are counted one by one, and so are the sides of the parallel text."""
    _check_balance(source, options.balance)
    reading: dict[str, Any] = {
        "pattern": options.first_pattern,
        "special_tokens": options.special_tokens,
        "normalizer": options.normalizer,
        "max_pretoken_bytes": options.max_pretoken_bytes,
    }
    how: dict[str, Any] = {"text_field": options.text_field, "strict": options.strict, "threads": threads}
    sides = [count_pretokens(Path(side), **reading, **how, lines=True) for _, side in options.balance]
    for (_, first), (_, other), counted in zip(options.balance[:1] * len(sides), options.balance, sides, strict=True):
        if not len(counted):
            raise TrainingError(f"{other}: no text in it, so that nothing can be measured by it")
        if counted.documents != sides[0].documents:
            raise TrainingError(
                f"{first} has {sides[0].documents:,} lines and {other} has {counted.documents:,}; in a parallel text "
                "line n says the same on every side"
            )
    texts = [
        Mixture.of(Path(path), **reading).count(progress=progress, lines=options.lines, **how)
        for path, _ in options.balance
    ]
    for (path, _), text in zip(options.balance, texts, strict=True):
        if not len(text):
            raise TrainingError(f"{path}: no text in it to learn from")
    counts = add_up((text, 1) for text in texts)
    warn_of_long_pretokens(counts, stacklevel=3)
    run = Run(counts, None, options, languages=list(zip(texts, sides, strict=True)))
    lines = [side.documents for side in sides]
    del counts, texts, sides
    vocabulary, record = run.finish(progress)
    languages = tuple(
        BalancedLanguage(path, side, count, tokens, merges)
        for (path, side), count, tokens, merges in zip(
            options.balance, lines, run.side_tokens, run.merges_for[:-1], strict=True
        )
    )
    return Tokenizer(vocabulary, training_record=replace(record, languages=languages))


def _check_balance(source: SourceLike, balance: Sequence[tuple[str, str]]) -> None:
    """Every source has its side, and is named once."""
    if isinstance(source, (str, os.PathLike)):
        named = [os.fspath(source)]
    else:
        items = list(source) if isinstance(source, Sequence) else []
        if not items or not all(isinstance(item, os.PathLike) for item in items):
            raise TrainingError("balance is for files: name the sources, each a language")
        named = [os.fspath(item) for item in items]
    known = ", ".join(named[:10])
    for path, _ in balance:
        if path not in named:
            raise TrainingError(f"a side for {path}, which is no source; the sources are {known}")
    for path in named:
        if path not in dict(balance):
            raise TrainingError(f"{path} has no side of the parallel text; name one for each source (--balance)")
        if named.count(path) > 1:
            raise TrainingError(f"{path} is given twice; give it once")
