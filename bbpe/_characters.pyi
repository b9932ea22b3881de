from collections.abc import Iterable, Sequence
from typing import final

import numpy as np
import numpy.typing as npt

from bbpe._merge import MergeLearner, Rules

@final
class Symbols: ...

@final
class CharacterLearner(MergeLearner):
    def __init__(
        self,
        symbols: Symbols,
        characters: tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint32], npt.NDArray[np.int64]],
        offsets: npt.NDArray[np.int64],
        counts: npt.NDArray[np.int64],
        tokens: Sequence[bytes | None],
        *,
        byte_ids: npt.NDArray[np.uint32],
        corpus_bytes: int,
        taken: Iterable[bytes] = (),
        first_id: int = 256,
        min_count: int = 2,
        max_token_bytes: int | None = None,
        rules: Rules | None = None,
    ) -> None: ...
    @property
    def merges_by_character(self) -> int: ...

def learner(
    symbols: npt.NDArray[np.uint8] | npt.NDArray[np.uint32],
    offsets: npt.NDArray[np.int64],
    counts: npt.NDArray[np.int64],
    tokens: Sequence[bytes | None],
    *,
    byte_ids: npt.NDArray[np.uint32] | None = None,
    by_character: bool | None = None,
    taken: Iterable[bytes] = (),
    first_id: int = 256,
    min_count: int = 2,
    max_token_bytes: int | None = None,
    rules: Rules | None = None,
) -> MergeLearner: ...
def trial_step(size: int) -> int: ...
def trial_pays(
    symbols: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    counts: npt.NDArray[np.int64],
    tokens: Sequence[bytes | None],
    byte_ids: npt.NDArray[np.uint32],
    *,
    taken: Iterable[bytes] = (),
    first_id: int = 256,
    min_count: int = 2,
    max_token_bytes: int | None = None,
) -> bool: ...
