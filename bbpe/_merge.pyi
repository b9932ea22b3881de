from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

class MergeLearner:
    def __init__(
        self,
        symbols: npt.NDArray[np.uint8] | npt.NDArray[np.uint32],
        offsets: npt.NDArray[np.int64],
        counts: npt.NDArray[np.int64],
        tokens: Sequence[bytes | None],
        *,
        byte_ids: npt.NDArray[np.uint32] | None = None,
        taken: Iterable[bytes] = (),
        first_id: int = 256,
        min_count: int = 2,
        max_token_bytes: int | None = None,
        shortest: int = 2,
        note_places: bool = False,
    ) -> None: ...
    def __len__(self) -> int: ...
    def learn(self, merges: int, work: int = ...) -> bool: ...
    @property
    def merges(self) -> npt.NDArray[np.uint32]: ...
    @property
    def counts(self) -> npt.NDArray[np.int64]: ...
    @property
    def corpus_tokens(self) -> npt.NDArray[np.int64]: ...
    @property
    def live_pairs(self) -> int: ...
