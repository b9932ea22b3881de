import numpy as np
import numpy.typing as npt

def last_merges(
    data: npt.NDArray[np.uint8],
    ends: npt.NDArray[np.int64],
    ranks: npt.NDArray[np.uint32] | None,
    merges: npt.NDArray[np.uint32] | None,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.int64], npt.NDArray[np.int64]]: ...
