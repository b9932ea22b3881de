import numpy as np
import numpy.typing as npt

def take_documents(
    data: bytes | memoryview, at: int, field: bytes, enough: int
) -> tuple[bytes, npt.NDArray[np.int64], int, int]: ...
