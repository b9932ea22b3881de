"""The embedding side of an extension: which rows a model's matrices gain, and what they start with.

An :class:`EmbeddingPlan` says for every new id which base ids its token replaces. :meth:`EmbeddingPlan.initialise` turns
a matrix of the base model into one of the extended model, in numpy. All methods take weighted means of the rows of the
parts: weights are not negative and add up to one, so a new row lies in the convex hull of the old ones, which leaves
what the model chooses greedily as it was (Mundra et al. 2024, arXiv:2407.05841, section 3). Whole model folders are
rewritten by :mod:`bbpe.checkpoint`.

What a row starts with is a start: the model has to be trained on text in the new tokens before they are of use.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import index
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from bbpe.errors import VocabularyError

METHODS: Mapping[str, str] = {
    "mean": "the mean of the parts' rows (Gee et al. 2022, arXiv:2402.09977, 'FVT')",
    "mean+noise": "the same and normal noise, so that tokens of the same parts in another order differ",
    "first": "the first part's row (for the output matrix: Kim et al. 2024, arXiv:2402.14714, 'EEVE')",
    "last": "the last part's row",
    "weighted-first": "a mean in which each part counts half as much as the one before it (output: arXiv:2503.19693)",
    "weighted-last": "a mean in which each part counts twice as much as the one before it (input: arXiv:2503.19693)",
}
NOISE = 0.02
_FLOATS = ("float16", "bfloat16", "float32", "float64")
_BLOCK = 1 << 22  # bytes of float64 rows at work at a time


class Rows(Protocol):
    """What of an array is needed to make new rows: an array is one, and so are rows that lie in a file."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(Rows, width), or (rows,) for a bias."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the values."""

    def __getitem__(self, rows: Any, /) -> Any:
        """The rows of a slice or of a list of ids, as an array."""


@dataclass(frozen=True, slots=True)
class EmbeddingPlan:
    """What becomes of the rows of an embedding matrix when its vocabulary is extended.

    Every row below ``old_rows`` stays as it is, to the bit, but for ids of ``new_ids`` there: reserved ids that a new
    token took over. Rows of no token (holes in the ids, padding) get the mean of the old rows, with which no such row
    of an output matrix is likelier than the average token.

    Attributes:
        old_rows: Rows that the base vocabulary needs: its last id + 1.
        new_rows: Rows that the extended vocabulary needs, its padding included.
        new_ids: The ids of the new tokens, ascending.
        token_parts: For each of ``new_ids`` the base ids that the token replaces, in the order of the text.
        donor_ids: New id to the id of the same token in the vocabulary that it was taken over from, where there is one.
    """

    old_rows: int
    new_rows: int
    new_ids: tuple[int, ...]
    token_parts: tuple[tuple[int, ...], ...]
    donor_ids: Mapping[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.old_rows < 1 or self.new_rows < self.old_rows:
            raise VocabularyError(f"an extension of {self.old_rows} rows cannot have {self.new_rows}")
        if len(self.new_ids) != len(self.token_parts):
            raise VocabularyError(f"{len(self.new_ids)} new ids, but the parts of {len(self.token_parts)} tokens")
        new = frozenset(self.new_ids)
        previous = -1
        for id, parts in zip(self.new_ids, self.token_parts, strict=True):
            if not previous < id < self.new_rows:
                raise VocabularyError(f"new id {id} after {previous}: they must ascend and be below {self.new_rows}")
            if not parts:
                raise VocabularyError(f"new id {id} has no parts")
            for part in parts:
                if not 0 <= part < self.old_rows or part in new:
                    raise VocabularyError(f"part {part} of new id {id} is no id of the base's tokens")
            previous = id
        for id, donor in self.donor_ids.items():
            if id not in new or donor < 0:
                raise VocabularyError(f"donor id {donor} of id {id}, which is not a new one")

    @classmethod
    def of(
        cls,
        parts: Mapping[int, Sequence[int]],
        *,
        old_rows: int,
        new_rows: int | None = None,
        donor_ids: Mapping[int, int] | None = None,
    ) -> EmbeddingPlan:
        """A plan from ``{new id: base ids}`` in any order.

        >>> plan = EmbeddingPlan.of({301: [7, 8], 300: [5, 6, 7]}, old_rows=300)
        >>> plan.new_rows, plan.new_ids, plan.parts(300)
        (302, (300, 301), (5, 6, 7))

        Raises:
            VocabularyError: Ids that contradict one another.
        """
        ids = tuple(sorted(map(index, parts)))
        rows = max(old_rows, ids[-1] + 1 if ids else 0) if new_rows is None else new_rows
        donors = {index(id): index(donor) for id, donor in (donor_ids or {}).items()}
        return cls(index(old_rows), index(rows), ids, tuple(tuple(map(index, parts[id])) for id in ids), donors)

    def parts(self, new_id: int) -> tuple[int, ...]:
        """The base ids that a new token replaces.

        Raises:
            VocabularyError: The id is not a new one.
        """
        place = bisect_left(self.new_ids, new_id)
        if place == len(self.new_ids) or self.new_ids[place] != new_id:
            raise VocabularyError(f"id {new_id} is not one of the {len(self.new_ids)} new ids")
        return self.token_parts[place]

    # --- JSON ---

    def to_record(self) -> dict[str, Any]:
        """The plan as JSON values, for a larger record."""
        parts = {str(id): list(parts) for id, parts in zip(self.new_ids, self.token_parts, strict=True)}
        record = {"old_rows": self.old_rows, "new_rows": self.new_rows, "parts": parts}
        if self.donor_ids:
            record["donor_ids"] = {str(id): donor for id, donor in sorted(self.donor_ids.items())}
        return record

    @classmethod
    def from_record(cls, record: object) -> EmbeddingPlan:
        """The plan that :meth:`to_record` gave.

        Raises:
            VocabularyError: It is not such a record, or its ids contradict one another.
        """
        try:
            if not isinstance(record, dict):
                raise TypeError("it is no object")
            return cls.of(
                {int(id): tuple(_integer(part) for part in parts) for id, parts in record["parts"].items()},
                old_rows=_integer(record["old_rows"]),
                new_rows=_integer(record["new_rows"]),
                donor_ids={int(id): _integer(donor) for id, donor in record.get("donor_ids", {}).items()},
            )
        except VocabularyError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise VocabularyError(f"no embedding plan: {type(error).__name__}: {error}") from None

    def to_json(self) -> str:
        """The plan as JSON text, one line a token."""
        record = self.to_record()
        lines = []
        for key, value in record.items():
            if isinstance(value, dict):
                rows = ",\n".join(f"    {json.dumps(id)}: {json.dumps(ids)}" for id, ids in value.items())
                lines.append(f"  {json.dumps(key)}: {{\n{rows}\n  }}" if rows else f"  {json.dumps(key)}: {{}}")
            else:
                lines.append(f"  {json.dumps(key)}: {value}")
        return "{\n" + ",\n".join(lines) + "\n}\n"

    @classmethod
    def from_json(cls, text: str) -> EmbeddingPlan:
        """Read what :meth:`to_json` wrote.

        Raises:
            VocabularyError: The text is no plan.
        """
        try:
            record = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise VocabularyError(f"no embedding plan: {error}") from None
        return cls.from_record(record)

    # --- rows ---

    def initialise(
        self,
        matrix: npt.NDArray[Any],
        method: str = "mean",
        *,
        seed: int | Sequence[int] = 0,
        noise: float = NOISE,
        rows: int | None = None,
        donor: npt.NDArray[Any] | None = None,
        bfloat16_bits: bool = False,
    ) -> npt.NDArray[Any]:
        """The matrix of the extended model, from one of the base model.

        Args:
            matrix: An input or output matrix, shape (rows, width), or an output bias, shape (rows,); float16, bfloat16
                (ml_dtypes), float32 or float64. It may have more rows than the base vocabulary: padding, which new
                tokens take first.
            method: A key of ``METHODS``. For untied matrices "weighted-last" suits the input and "weighted-first" or
                "first" the output.
            seed: For the noise; the same seed and numpy give the same rows.
            noise: Its standard deviation, as a share of that of the matrix's base entries. The default is above
                bfloat16's rounding (0.004) and below what sets tokens apart.
            rows: Rows of the result. By default what the plan needs, and never fewer than ``matrix`` has.
            donor: The matrix of the model that tokens were taken over from, same width: tokens with a donor id get a
                copy of their row there, whatever the method. Of use only where that model descends from the same base.
            bfloat16_bits: Take a matrix of uint16 for the bits of bfloat16 values, which numpy alone cannot say.

        Returns:
            An array of its own, shape (rows, width) or (rows,), of ``matrix``'s dtype.

        Raises:
            VocabularyError: Shapes that disagree with the plan, a dtype that is no plain float, an unknown method, or
                rows that are not finite.
        """
        ids, values = self.new_values(
            matrix, method, seed=seed, noise=noise, rows=rows, donor=donor, bfloat16_bits=bfloat16_bits
        )
        total = self._rows_of_result(matrix, rows)
        result = np.empty((total, *matrix.shape[1:]), dtype=matrix.dtype)
        result[: len(matrix)] = matrix
        result[ids] = values
        return result

    def new_values(
        self,
        matrix: Rows,
        method: str = "mean",
        *,
        seed: int | Sequence[int] = 0,
        noise: float = NOISE,
        rows: int | None = None,
        donor: Rows | None = None,
        bfloat16_bits: bool = False,
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any]]:
        """Only the rows that :meth:`initialise` changes or adds: (their ids, ascending; their values).

        Of ``matrix`` only the parts' rows are read, and all base rows in blocks where there is padding to fill or noise
        to scale: it may be larger than memory.
        """
        self._check(matrix, method, seed, noise, donor, bfloat16_bits)
        total = self._rows_of_result(matrix, rows)
        fresh = np.asarray(self.new_ids, dtype=np.int64)
        padding = np.setdiff1d(np.arange(matrix.shape[0], total, dtype=np.int64), fresh, assume_unique=True)
        ids = np.concatenate((fresh, padding))
        values = np.empty((len(ids), *matrix.shape[1:]), dtype=matrix.dtype)
        self._fill_from_parts(values[: len(fresh)], matrix, method)
        needs_noise = method == "mean+noise" and len(fresh) > 0
        if needs_noise or len(padding):
            mean, deviation = _moments(matrix, self.old_rows)
            values[len(fresh) :] = _narrow(np.broadcast_to(mean, values[len(fresh) :].shape), matrix.dtype)
            if needs_noise:
                generator = np.random.default_rng(seed)
                for start, stop in _blocks(len(fresh), matrix):
                    drawn = generator.standard_normal((stop - start, *matrix.shape[1:])) * (noise * deviation)
                    values[start:stop] = _narrow(_widen(values[start:stop]) + drawn, matrix.dtype)
        if donor is not None and self.donor_ids:
            places = [bisect_left(self.new_ids, id) for id in self.donor_ids]
            values[places] = _narrow(_widen(donor[list(self.donor_ids.values())]), matrix.dtype)
        if len(padding) and len(fresh) and padding[0] < fresh[-1]:  # holes between new ids
            order = np.argsort(ids)
            ids, values = ids[order], values[order]
        for start, stop in _blocks(len(ids), matrix):
            finite = np.isfinite(_widen(values[start:stop])).reshape(stop - start, -1).all(axis=1)
            if not finite.all():
                bad = int(ids[start + int(np.argmin(finite))])
                raise VocabularyError(
                    f"the row of new id {bad} is not finite: there are NaN or infinities in the matrix"
                )
        return ids, values

    def _fill_from_parts(self, out: npt.NDArray[Any], matrix: Rows, method: str) -> None:
        """Add up the parts of all tokens of a block, the first of each, then the second, …: the order of the sum, and
        so its last bit, is the same everywhere."""
        for start, stop in _blocks(len(self.new_ids), matrix):
            chosen = [_chosen(parts, method) for parts in self.token_parts[start:stop]]
            weights = [_weights(len(parts), method) for parts in chosen]
            sums = np.zeros((stop - start, *matrix.shape[1:]), dtype=np.float64)
            for place in range(max(map(len, chosen))):
                at = [token for token, parts in enumerate(chosen) if len(parts) > place]
                rows = _widen(matrix[[chosen[token][place] for token in at]])
                rows *= np.reshape([weights[token][place] for token in at], (-1, *[1] * (rows.ndim - 1)))
                sums[at] += rows
            out[start:stop] = _narrow(sums, matrix.dtype)

    def _rows_of_result(self, matrix: Rows, rows: int | None) -> int:
        least = max(matrix.shape[0], self.new_rows)
        if rows is not None and rows < least:
            raise VocabularyError(
                f"{rows} rows are too few: the vocabulary needs {self.new_rows} and the matrix has {matrix.shape[0]}"
            )
        return least if rows is None else rows

    def _check(
        self,
        matrix: Rows,
        method: str,
        seed: int | Sequence[int],
        noise: float,
        donor: Rows | None,
        bfloat16_bits: bool,
    ) -> None:
        if method not in METHODS:
            raise VocabularyError(f"unknown method {method!r}; there are {', '.join(METHODS)}")
        if any(part < 0 for part in ((seed,) if isinstance(seed, int) else seed)):
            raise VocabularyError(f"seed {seed} is negative")
        if not 0 <= noise < float("inf"):
            raise VocabularyError(f"noise {noise} is no standard deviation")
        _check_dtype(matrix, bfloat16_bits)
        if len(matrix.shape) not in (1, 2):
            raise VocabularyError(f"a matrix of shape {matrix.shape}: it must be (rows, width), or (rows,) for a bias")
        if matrix.shape[0] < self.old_rows:
            raise VocabularyError(
                f"the matrix has {matrix.shape[0]} rows, but the base vocabulary needs {self.old_rows}: they do not belong "
                "together"
            )
        if donor is None:
            return
        _check_dtype(donor, bfloat16_bits=donor.dtype == np.uint16)
        needed = max(self.donor_ids.values(), default=-1) + 1
        if donor.shape[1:] != matrix.shape[1:] or donor.shape[0] < needed:
            raise VocabularyError(
                f"the donor's matrix has shape {donor.shape}; it must have at least {needed} rows and be as wide as "
                f"{matrix.shape}"
            )


def _integer(value: object) -> int:
    if type(value) is not int:
        raise TypeError(f"{value!r} is no integer")
    return value


def _chosen(parts: tuple[int, ...], method: str) -> tuple[int, ...]:
    if method == "first":
        return parts[:1]
    return parts[-1:] if method == "last" else parts


def _weights(count: int, method: str) -> npt.NDArray[np.float64]:
    """The weights of a token's parts: not negative, adding up to 1."""
    if method == "weighted-first":
        weights = 0.5 ** np.arange(count, dtype=np.float64)
    elif method == "weighted-last":
        weights = 0.5 ** np.arange(count - 1, -1, -1, dtype=np.float64)
    else:
        weights = np.ones(count)
    weights /= weights.sum()
    return weights


# --- dtypes ---


def _check_dtype(matrix: Rows, bfloat16_bits: bool) -> None:
    if bfloat16_bits:
        if matrix.dtype != np.uint16:
            raise VocabularyError(f"bits of bfloat16 values must come as uint16, not as {matrix.dtype.name}")
    elif matrix.dtype.name not in _FLOATS:
        raise VocabularyError(
            f"a matrix of {matrix.dtype.name}: rows can be made only of {', '.join(_FLOATS)}; quantised weights have "
            "scales beside them and must be converted first"
        )


def _widen(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """As float64, always a copy; uint16 is bfloat16's bits."""
    wide: npt.NDArray[np.float64]
    if values.dtype.name in ("bfloat16", "uint16"):
        wide = bits_to_float32(values.view(np.uint16)).astype(np.float64)
    else:
        wide = values.astype(np.float64)
    return wide


def _narrow(values: npt.NDArray[np.float64], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """In a matrix's dtype, to the nearest, ties to even; uint16 is bfloat16's bits."""
    if dtype.name in ("bfloat16", "uint16"):
        return float32_to_bits(values.astype(np.float32)).view(dtype)
    return values.astype(dtype)


def bits_to_float32(bits: npt.NDArray[np.uint16]) -> npt.NDArray[np.float32]:
    """The float32 values of bfloat16 bit patterns: exact."""
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def float32_to_bits(values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    """The bit patterns of the nearest bfloat16 values, ties to even; values that are not NaN."""
    bits = np.ascontiguousarray(values).view(np.uint32)
    return ((bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)).astype(np.uint16)


def _moments(matrix: Rows, count: int) -> tuple[npt.NDArray[np.float64], float]:
    """(Mean, standard deviation of all entries around it) of the first rows, block by block."""
    total = np.zeros(matrix.shape[1:], dtype=np.float64)
    squares = np.zeros(matrix.shape[1:], dtype=np.float64)
    for start, stop in _blocks(count, matrix):
        rows = _widen(matrix[start:stop])
        total += rows.sum(axis=0)
        squares += np.square(rows, out=rows).sum(axis=0)
    mean = total / count
    variance = np.maximum(squares / count - np.square(mean), 0.0)
    return mean, float(np.sqrt(variance.mean()))


def _blocks(count: int, matrix: Rows) -> Iterator[tuple[int, int]]:
    row = int(np.prod(matrix.shape[1:], dtype=np.int64)) * 8
    step = max(1, _BLOCK // max(1, row))
    for start in range(0, count, step):
        yield start, min(start + step, count)


def select_rows(
    matrix: npt.NDArray[Any], old_ids: Sequence[int], *, rows: int | None = None, bfloat16_bits: bool = False
) -> npt.NDArray[Any]:
    """The matrix of a pruned vocabulary: row *i* is the base's row ``old_ids[i]``, to the bit.

    Args:
        matrix: Shape (rows, width) or (rows,); any dtype where there is no padding to fill.
        old_ids: For each new id, from 0 on, the base id of its token; the id map that ``bbpe prune`` writes.
        rows: Rows of the result, at least one an id; those beyond are padding and get the mean of the chosen rows.
        bfloat16_bits: ``matrix`` is uint16 and holds the bits of bfloat16 values.

    Raises:
        VocabularyError: An id beyond the matrix, or too few rows.
    """
    ids = np.asarray(old_ids)
    if ids.ndim != 1 or not len(ids) or ids.dtype.kind not in "iu":
        raise VocabularyError("an id map holds one base id for every new id, in order")
    if ids.min() < 0 or ids.max() >= len(matrix):
        bad = int(ids[(ids < 0) | (ids >= len(matrix))][0])
        raise VocabularyError(f"id {bad} of the id map is beyond the matrix, which has {len(matrix)} rows")
    total = len(ids) if rows is None else rows
    if total < len(ids):
        raise VocabularyError(f"{total} rows are too few for {len(ids)} ids")
    return np.concatenate(list(row_blocks(matrix, ids.tolist(), total, bfloat16_bits=bfloat16_bits)))


def row_blocks(
    matrix: Rows, old_ids: Sequence[int], rows: int, *, bfloat16_bits: bool = False
) -> Iterator[npt.NDArray[Any]]:
    """The same, block by block, from a matrix that may be larger than memory; its ids are checked already."""
    if rows > len(old_ids):
        _check_dtype(matrix, bfloat16_bits)
    total = np.zeros(matrix.shape[1:], dtype=np.float64)
    for start, stop in _blocks(len(old_ids), matrix):
        chosen = matrix[list(old_ids[start:stop])]
        if rows > len(old_ids):
            total += _widen(chosen).sum(axis=0)
        yield chosen
    for start, stop in _blocks(rows - len(old_ids), matrix):
        mean = np.broadcast_to(total / len(old_ids), (stop - start, *matrix.shape[1:]))
        yield np.ascontiguousarray(_narrow(mean, matrix.dtype))
