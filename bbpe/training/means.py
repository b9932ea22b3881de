"""What a training may use: threads, memory, a folder to go on from. None of it changes the result.

What it does: counts text with these means, so that the stages and texts of one training all do it alike. What it does
not: count (``mixture.py``), keep (``checkpoints.py``), or say what merging takes (``limits.py``).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from bbpe.checkpoints import Checkpoint
from bbpe.corpus import Progress
from bbpe.counts import Counts, CountsOnDisk
from bbpe.mixture import Mixture
from bbpe.training.options import TrainingOptions

__all__ = ["Means"]


@dataclass(frozen=True, slots=True)
class Means:
    """See :func:`bbpe.train`.

    Attributes:
        threads: Threads for counting; None: as many as there are processors.
        progress: Called now and then.
        memory: Bytes that the process may have; None: no limit.
        spill_folder: Where to make folders for what does not fit.
        checkpoint: Keeps what is done.
    """

    threads: int | None = None
    progress: Callable[[Progress], None] | None = None
    memory: int | None = None
    spill_folder: str | os.PathLike[str] | None = None
    checkpoint: Checkpoint | None = None

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[Means]:
        """The same for what is counted and kept apart from the rest."""
        if self.checkpoint is None:
            yield self
            return
        with self.checkpoint.part(name) as part:
            yield replace(self, checkpoint=part)

    def count(
        self,
        mixture: Mixture,
        options: TrainingOptions,
        check: Callable[[CountsOnDisk, int], None] | None = None,
    ) -> Counts:
        """Count, and take into memory what training needs of it.

        Args:
            mixture: What to count.
            options: How to read it, and what to leave out.
            check: Refuses what will not fit in memory, where that is limited: of counts on disk and the limit.

        Raises:
            TrainingError: ``check`` refuses; as :meth:`Mixture.count_on_disk`, and so are the other errors.
        """
        if self.memory is None and self.checkpoint is None:
            return mixture.count(**self._reading(options), min_pretoken_count=options.min_pretoken_count)
        with self.on_disk(mixture, options) as counted:
            if self.memory is not None and check is not None:
                check(counted, self.memory)
            return counted.load(options.min_pretoken_count)

    @contextlib.contextmanager
    def on_disk(self, mixture: Mixture, options: TrainingOptions) -> Iterator[CountsOnDisk]:
        """Count to disk; as :meth:`count`."""
        with mixture.count_on_disk(
            **self._reading(options),
            memory=self.memory,
            spill_folder=self.spill_folder,
            checkpoint=self.checkpoint,
        ) as counted:
            yield counted

    def _reading(self, options: TrainingOptions) -> dict[str, Any]:
        return {
            "sample": options.sample,
            "sample_seed": options.sample_seed,
            "threads": self.threads,
            "progress": self.progress,
            "text_field": options.text_field,
            "lines": options.lines,
            "strict": options.strict,
        }
