"""A training in two stages: plain BPE first, then merges across the edges of its pattern (SuperBPE).

The second stage is an extension of the first one's vocabulary with another pattern, for which the text is counted again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from bbpe.count_files import is_count_file
from bbpe.errors import TrainingError
from bbpe.mixture import Mixture
from bbpe.tokenizer import Tokenizer
from bbpe.training.learning import Run
from bbpe.training.limits import check_memory_of_tokens, kept_merges
from bbpe.training.means import Means
from bbpe.training.options import TrainingOptions
from bbpe.training.record import SuperwordStage, curve_points

__all__ = ["first_stage", "text_again", "train_superwords"]


def text_again(source: Any, options: TrainingOptions) -> Mixture:
    """The same text, to be counted with the last pattern.

    Raises:
        TrainingError: It cannot be read twice.
    """
    if isinstance(source, Iterator):
        raise TrainingError("superwords read the text twice, and an iterator gives it once; give a list, or files")
    mixture = Mixture.of(
        source,
        pattern=options.last_pattern,
        special_tokens=options.special_tokens,
        normalizer=options.normalizer,
        max_pretoken_bytes=options.max_pretoken_bytes,
        weights=dict(options.weights) or None,
    )
    for file in mixture.files or ():
        if file == "-":
            raise TrainingError("superwords read the text twice, and standard input gives it once; name files")
        if is_count_file(file):
            raise TrainingError(f"{file}: is a count file, of one pattern; superwords need two: name the text itself")
    return mixture


def first_stage(options: TrainingOptions) -> TrainingOptions:
    return replace(options, vocab_size=options.superwords, superwords=None, superword_pattern=None, seed_tokens=())


def train_superwords(first_run: Run, again: Mixture, options: TrainingOptions, means: Means) -> Tokenizer:
    """Two stages: the first as it would be without superwords, the second an extension of it with another pattern."""
    first = first_run.run(means.progress, means.checkpoint)
    base = first_run._vocabulary(first.pairs, ()).replace(pattern=options.last_pattern)
    second_options = replace(
        options,
        num_merges=None if options.num_merges is None else max(0, options.num_merges - len(first)),
        pattern=options.last_pattern,
        superwords=None,
        superword_pattern=None,
        protect=(),
        byte_order="value",
    )
    share = int(first.tokens[-1]) / max(1, first_run.units)
    with means.part("superwords") as means:
        counted = means.count(
            again, options, partial(check_memory_of_tokens, options=second_options, base=base, share=share)
        )
        run = Run(counted, base, second_options, kept=kept_merges(means, counted))
        stage = SuperwordStage(
            256 + len(first) + len(options.special_tokens), run.facts["pretokens"], run.facts["distinct_pretokens"]
        )
        del counted
        vocabulary, record = run.finish(means.progress, means.checkpoint)
    before = 256 + len(options.special_tokens)
    curve = curve_points(
        run.units,
        before,
        np.concatenate([first.tokens[:-1], run.learned_tokens]),
        np.concatenate([first.counts, run.learned_counts]),
        run.power,
    )
    record = replace(
        record,
        options=options,
        base=None,
        base_size=256,
        merges=len(first) + record.merges,
        curve=tuple(curve),
        superwords=stage,
        pretokens=first_run.facts["pretokens"],
        distinct_pretokens=first_run.facts["distinct_pretokens"],
        long_pretokens=first_run.facts["long_pretokens"],
    )
    return Tokenizer.of_training(vocabulary, record)
