from collections.abc import Callable, Iterable
from typing import Any, final

import numpy as np
import numpy.typing as npt

from bbpe._pretokenize import Automaton

PADDING: int

_Int64s = npt.NDArray[np.int64]

@final
class SpecialStrings:
    def __init__(self, strings: Iterable[bytes]) -> None: ...

@final
class PretokenCounter:
    @property
    def cut(self) -> int: ...
    def __init__(self, max_pretoken_bytes: int | None = None) -> None: ...
    def __len__(self) -> int: ...
    def count(self, data: bytes, starts: _Int64s, ends: _Int64s, stop: int, stages: tuple[Automaton, ...]) -> None: ...
    def count_ends(self, data: bytes, start: int, pretoken_ends: npt.NDArray[np.uint64]) -> None: ...
    def add(self, data: npt.NDArray[np.uint8], offsets: _Int64s, counts: _Int64s) -> None: ...

def utf8_block(documents: list[str | bytes]) -> tuple[bytes, _Int64s] | int: ...
def plan(
    data: bytes,
    starts: _Int64s,
    ends: _Int64s,
    complete: bool,
    specials: SpecialStrings | None,
    first_stage: Automaton | None,
    normalized: bool,
) -> tuple[_Int64s, _Int64s, int, int]: ...
def all_inert(data: bytes, starts: _Int64s, ends: _Int64s) -> bool: ...
def count_characters(data: bytes) -> tuple[int, int]: ...
def sorted_counts(
    counters: list[PretokenCounter], map_parallel: Callable[[Callable[[int], None], range], Any], buckets: int
) -> tuple[npt.NDArray[np.uint8], _Int64s, _Int64s, int, int]: ...
