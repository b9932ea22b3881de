from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bbpe._merge import MergeLearner

class JointLearner:
    def __init__(
        self,
        texts: Sequence[MergeLearner],
        sides: Sequence[MergeLearner] = (),
        seeds: MergeLearner | None = None,
        *,
        seed_tokens: int = 0,
        min_count: int = 2,
    ) -> None: ...
    def __len__(self) -> int: ...
    def learn(self, merges: int, work: int = ...) -> bool: ...
    @property
    def seed_merges(self) -> int: ...
    @property
    def merges(self) -> npt.NDArray[np.uint32]: ...
    @property
    def counts(self) -> npt.NDArray[np.int64]: ...
    @property
    def corpus_tokens(self) -> npt.NDArray[np.int64]: ...
    @property
    def side_tokens(self) -> list[int]: ...
    @property
    def chosen_by(self) -> npt.NDArray[np.int64]: ...
