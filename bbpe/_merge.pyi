from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

MOST_APART: int

class Rules:
    def __init__(
        self,
        utf8_safe: bool = False,
        *,
        max_chars: int | None = None,
        characters: npt.NDArray[np.uint8] | None = None,
        pieces: Iterable[bytes] | None = None,
        pieces_refused: Iterable[bytes] = (),
        deny: Iterable[bytes] = (),
    ) -> None: ...
    @property
    def only_utf8_safe(self) -> bool: ...
    def allows(self, token: bytes) -> bool: ...

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
        rules: Rules | None = None,
        keep: Iterable[bytes] = (),
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

def spelled(
    base: Sequence[bytes], merges: npt.NDArray[np.uint32]
) -> tuple[dict[int, bytes], dict[bytes, int], tuple[tuple[int, int], ...], tuple[int, ...]]: ...
