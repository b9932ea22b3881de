from collections.abc import Sequence
from typing import Any, final

import numpy as np
import numpy.typing as npt

__all__ = ["Automaton", "Cascade"]

@final
class Automaton:
    tables: dict[str, npt.NDArray[Any]]
    def __init__(
        self,
        next_state: npt.NDArray[np.int32],
        accept: npt.NDArray[np.bool_],
        class_starts: npt.NDArray[np.int32],
        class_ids: npt.NDArray[np.int32],
        safe: npt.NDArray[np.bool_],
    ) -> None: ...
    def ends(self, data: bytes, plain: bool = False, size: int | None = None) -> npt.NDArray[np.uint64]: ...
    def boundaries(self, text: str) -> list[int]: ...
    def safe_cut(self, data: bytes, stop: int) -> int | None: ...

@final
class Cascade:
    automata: tuple[Automaton, ...]
    def __init__(self, automata: Sequence[Automaton]) -> None: ...
    def ends(self, data: bytes) -> npt.NDArray[np.uint64]: ...
