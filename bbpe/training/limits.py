"""What is known before merges are learned: what that is going to take, and whether the text is one to learn from.

What it does: tells a count's forecast what merging will need, refuses what does not fit in memory and says what would,
warns of text that the pattern finds no edges in. What it does not: measure memory or say what a merge costs
(``memory.py``), or look at text (``forecast.py`` does, while it is counted).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from bbpe._characters import trial_pays, trial_step
from bbpe._count import release_free_memory
from bbpe.checkpoints import MergesKept
from bbpe.corpus import Forecast, Progress
from bbpe.counts import LONG_PRETOKEN_BYTES, Counts, CountsOnDisk, Tally
from bbpe.errors import TrainingError
from bbpe.memory import (
    at_most_resident,
    enough,
    megabytes,
    merging_bytes,
    merging_bytes_of_all_pairs,
    merging_bytes_of_tokens,
    merging_seconds,
)
from bbpe.sifting import SHARED_BYTES
from bbpe.training.learning import byte_ids, keeps_parts
from bbpe.training.means import Means
from bbpe.training.options import TrainingOptions
from bbpe.vocabulary import Vocabulary

__all__ = [
    "RARE_SENTENCES",
    "LongPretokenWarning",
    "begins_by_character",
    "check_memory",
    "check_memory_of_tokens",
    "check_memory_together",
    "kept_merges",
    "merging_bytes_with_seeds",
    "warn_of_long_pretokens",
    "with_merging",
]


RARE_SENTENCES = 1.15
"""Tokens of a byte of distinct sentences and lines ÷ tokens of a byte of text: rare ones have more of them."""

_RARE_WORDS = 1.5  # the same for words and clauses, of which the frequent ones make up most of the text
_SEED_PART = 100  # bytes for a part of a seed token


class LongPretokenWarning(UserWarning):
    """Much of the text has no places where the pattern cuts it."""


def with_merging(progress: Callable[[Progress], None], options: TrainingOptions) -> Callable[[Progress], None]:
    """The same, told what merging will take where counting is forecast. Without rare pretokens it would be less: how much
    less nobody knows before they are counted."""
    base = at_most_resident()
    forecasts: tuple[Forecast | None, Forecast | None] = None, None

    def show(report: Progress) -> None:
        nonlocal forecasts
        found = report.forecast
        if found is not None and found is not forecasts[0]:
            told = found
            if found.distinct is not None and found.distinct_bytes is not None and options.min_pretoken_count <= 1:
                size = found.distinct_bytes
                merges = min(options.merges_wanted(), size)
                characters = found.distinct_characters or size
                needed = merging_bytes(found.distinct, size, characters, merges, 2 * characters < size)
                told = replace(
                    found,
                    merging_memory=base + int(needed),
                    merging_seconds=merging_seconds(found.distinct, size, merges),
                )
            forecasts = found, told
        progress(report if found is None else replace(report, forecast=forecasts[1]))

    return show


def check_memory(
    counts: Counts | CountsOnDisk, memory: int, options: TrainingOptions, *, all_needed: bool = False
) -> None:
    """Refuse, before it begins, a merging that does not fit.

    Args:
        counts: The pretokens.
        memory: Bytes that the process may have.
        options: What is to be learned.
        all_needed: Whether a later stage forbids leaving out rare pretokens.

    Raises:
        TrainingError: It does not; the message says what does.
    """
    tally = Tally.of(counts.rows(), counts.about.power)
    already = (
        sum(array.nbytes for array in (counts.data, counts.offsets, counts.counts)) if isinstance(counts, Counts) else 0
    )
    release_free_memory()
    base = at_most_resident() - already
    merges = np.minimum(options.merges_wanted(), tally.size)
    asked = min(options.min_pretoken_count, len(tally.size) - 1)
    if options.seed_tokens:
        needed = base + merging_bytes_with_seeds(options.seed_tokens, tally.distinct, tally.size, merges)
    else:
        needed = base + merging_bytes(tally.distinct, tally.size, tally.characters, merges, False)
        if needed[asked] > memory and begins_by_character(counts, options, int(tally.size[asked])):
            found_of = (tally.distinct[asked], tally.size[asked], tally.characters[asked], merges[asked])
            needed[asked] = base + merging_bytes(*found_of, True)
    if needed[asked] <= memory:
        return
    found = f"merging {int(tally.distinct[asked]):,} distinct pretokens needs about {enough(needed[asked])}"
    if all_needed:
        raise TrainingError(f"{found}, and memory is {megabytes(memory)}; give that much, or a sample (--sample)")
    (fitting,) = np.nonzero((needed <= memory) & (tally.distinct > 0))
    if len(fitting):
        least = int(fitting[0])
        raise TrainingError(
            f"{found}, and memory is {megabytes(memory)}; leave out those that occur less than {least} times "
            f"(--min-pretoken-count {least}), which gives another result: {int(tally.distinct[least]):,} are left, for "
            f"about {enough(needed[least])}; or give that much memory"
        )
    raise TrainingError(
        f"{found}, and memory is {megabytes(memory)}, which would not do for the most frequent alone; give more"
    )


def merging_bytes_with_seeds(
    seeds: Sequence[str], distinct: npt.ArrayLike, size: npt.ArrayLike, merges: npt.ArrayLike
) -> npt.NDArray[np.int64]:
    """What merging takes with seed tokens; the others as for :func:`bbpe.memory.merging_bytes`."""
    parts = _SEED_PART * sum(len(seed.encode()) ** 2 for seed in seeds)
    if not keeps_parts(seeds):
        return merging_bytes_of_all_pairs(distinct, size, merges) + parts
    distinct, size, merges = (np.asarray(each, np.float64) for each in (distinct, size, merges))
    return np.asarray(np.ceil(13 * size + 30 * distinct + 100 * merges + 12e6 + parts), np.int64)


def check_memory_together(texts: Sequence[Counts | CountsOnDisk], options: TrainingOptions, memory: int) -> None:
    """The same for texts that learn together, none of which is in memory yet.

    Raises:
        TrainingError: They do not fit.
    """
    distinct, size = np.zeros(len(texts), np.int64), np.zeros(len(texts), np.int64)
    for number, text in enumerate(texts):
        for _, offsets, counts in text.rows():
            distinct[number] += len(counts)
            size[number] += offsets[-1] - offsets[0]
    release_free_memory()
    merges = min(options.merges_wanted(), int(size.sum()))
    needed = at_most_resident() + int(merging_bytes_of_all_pairs(distinct.sum(), size.sum(), merges))
    if needed > memory:
        raise TrainingError(
            f"merging {distinct.sum():,} distinct pretokens of {len(texts)} texts together needs about "
            f"{enough(needed)}, and memory is {megabytes(memory)}; give that much, or less text"
        )


def check_memory_of_tokens(
    counts: CountsOnDisk, memory: int, options: TrainingOptions, base: Vocabulary, share: float
) -> None:
    """The same where learning begins with the tokens of a base.

    Args:
        counts: The pretokens.
        memory: Bytes that the process may have.
        options: What is to be learned.
        base: What begins.
        share: Tokens of the text that the base makes ÷ its bytes.

    Raises:
        TrainingError: It does not fit.
    """
    release_free_memory()
    distinct, size = counts.run.distinct, counts.run.size
    tokens = min(1.0, RARE_SENTENCES * share) * size
    merges = options.merges_wanted(base)
    needed = at_most_resident() + int(merging_bytes_of_tokens(distinct, size, tokens, merges, base.vocab_size))
    if needed > memory:
        raise TrainingError(
            f"merging across the edges of the first pattern, in {distinct:,} distinct pretokens of {size:,} bytes, needs "
            f"about {enough(needed)}, and memory is {megabytes(memory)}; give that much, or a sample (--sample)"
        )


def begins_by_character(counts: Counts | CountsOnDisk, options: TrainingOptions, size: int) -> bool:
    """Whether the learner will begin with whole characters, which takes half the memory: the trial that it will make.

    Args:
        counts: The pretokens.
        options: With the least count of a pretoken.
        size: Bytes of those that are as frequent.
    """
    step = trial_step(size)
    if not step:
        return False
    least = options.min_pretoken_count << counts.about.power
    parts: list[bytes] = []
    times: list[int] = []
    seen = 0
    for data, offsets, numbers in counts.rows():
        (kept,) = np.nonzero(numbers >= least)
        chosen = kept[-seen % step :: step]
        seen += len(kept)
        parts += [data[offsets[at] : offsets[at + 1]].tobytes() for at in chosen.tolist()]
        times += numbers[chosen].tolist()
    starts = np.zeros(len(parts) + 1, np.int64)
    np.cumsum([len(part) for part in parts], out=starts[1:])
    order = byte_ids(options.byte_order)
    tokens = [b""] * 256
    for byte, id in enumerate(order.tolist()):
        tokens[id] = bytes([byte])
    return trial_pays(
        np.frombuffer(b"".join(parts), np.uint8),
        starts,
        np.array(times, np.int64),
        tokens,
        order,
        taken=[token.encode() for token in options.special_tokens],
        min_count=options.min_count << counts.about.power,
        max_token_bytes=None if options.max_token_bytes is None else min(options.max_token_bytes, 2**32 - 1),
    )


def kept_merges(means: Means, counts: Counts) -> MergesKept | None:
    """The merges that an earlier process learned; None where there are none, or no room to go on from them: then they
    are learned again, the same."""
    kept = None if means.checkpoint is None else means.checkpoint.merges()
    if kept is None or means.memory is None or _fits_encoded(counts, kept, means.memory):
        return kept
    return None


def _fits_encoded(counts: Counts, kept: MergesKept, memory: int) -> bool:
    """Whether there is room to encode the pretokens with merges that were kept, to go on from there.

    How many ids that makes is not known before; frequent pretokens have fewer for their bytes than rare ones.
    """
    if not len(kept):
        return True
    share = min(1.0, _RARE_WORDS * int(kept.tokens[-1]) / max(1, counts.bytes))
    return at_most_resident() + 8 * share * len(counts.data) + 12 * len(counts) + SHARED_BYTES * 16 <= memory


def warn_of_long_pretokens(counts: Counts | CountsOnDisk, *, stacklevel: int = 1) -> None:
    """Warn where a thousandth of the text, or a single megabyte, is pretokens longer than any word or clause.

    They train as quickly as other text; but no two of them are alike, so that they take memory like no other text, and
    the merges learned in them serve nothing else.
    """
    long = counts.long_pretokens()
    if long is None:
        return
    share = long.bytes / max(1, counts.about.bytes >> counts.about.power)
    if share >= 0.001 or long.longest >= 1_000_000:
        warnings.warn(
            f"{long.pretokens:,} pretokens ({share:.1%} of the text) are longer than {LONG_PRETOKEN_BYTES:,} bytes: the "
            f"pattern finds no place to cut them; the longest, {long.longest:,} bytes, begins {long.example!r}. Where "
            "that is no text worth learning from take it out of the corpus, or cut it with max_pretoken_bytes "
            "(--max-pretoken-bytes)",
            LongPretokenWarning,
            stacklevel=stacklevel + 1,
        )
