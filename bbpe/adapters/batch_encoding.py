"""What a call of the fast-tokenizer shape returns: a mapping from names to lists or arrays.

Nothing of transformers is imported. Its data collators ask for a ``Mapping`` and for attributes, and get both.
"""

from __future__ import annotations

import importlib
from collections import UserDict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bbpe.errors import MissingExtraError

__all__ = ["BatchEncoding"]


class BatchEncoding(UserDict[str, Any]):
    """``input_ids``, ``attention_mask`` and whatever else was asked for; each also an attribute.

    Args:
        data: Names to lists, one item a text (or the item itself where a single text was encoded).
        tokens: The tokens of each text as transformers spells them, for :meth:`tokens`.
        sequences: To which text of a pair each token belongs, for :meth:`sequence_ids`.
        tensor_type: ``"np"`` or ``"pt"`` makes arrays or tensors of the lists.
        n_sequences: 2 where pairs were encoded.

    >>> BatchEncoding({"input_ids": [[1, 2]]}).input_ids
    [[1, 2]]
    """

    is_fast = True

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        tokens: Sequence[Sequence[str]] | None = None,
        sequences: Sequence[Sequence[int | None]] | None = None,
        tensor_type: str | None = None,
        n_sequences: int | None = None,
    ) -> None:
        super().__init__(data if data is not None else {})
        self.n_sequences = n_sequences
        self._tokens = tokens
        self._sequences = sequences
        self.convert_to_tensors(tensor_type)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["data"][name]
        except KeyError:
            raise AttributeError(f"{type(self).__name__} has no {name!r}") from None

    def tokens(self, batch_index: int = 0) -> list[str]:
        """The tokens of one text, spelled as in ``tokenizer.json``.

        Raises:
            ValueError: These are not the tokens of a text: they were padded by ``pad``, for example.
        """
        if self._tokens is None:
            raise ValueError("tokens() is there for what a call of the tokenizer returned")
        return list(self._tokens[batch_index])

    def sequence_ids(self, batch_index: int = 0) -> list[int | None]:
        """For each token of one text 0 or 1, the text of a pair that it belongs to; None for what was put around them.

        Raises:
            ValueError: As for :meth:`tokens`.
        """
        if self._sequences is None:
            raise ValueError("sequence_ids() is there for what a call of the tokenizer returned")
        return list(self._sequences[batch_index])

    def convert_to_tensors(self, tensor_type: str | None = None, prepend_batch_axis: bool = False) -> BatchEncoding:
        """Make arrays of int64 (``"np"``) or PyTorch tensors (``"pt"``) of the lists, in place.

        Raises:
            MissingExtraError: PyTorch is not installed.
            ValueError: Lists of different lengths, where PyTorch is asked for; another type.
        """
        if tensor_type is None:
            return self
        kind = str(getattr(tensor_type, "value", tensor_type))
        if kind not in ("np", "pt"):
            raise ValueError(f"return_tensors is 'np' or 'pt', not {kind!r}")
        for name, value in self.data.items():
            if hasattr(value, "shape"):
                continue
            self.data[name] = _array([value] if prepend_batch_axis else value, kind, name)
        return self

    def to(self, device: Any, **options: Any) -> BatchEncoding:
        """Move every tensor to a device, as PyTorch names it; what is no tensor stays."""
        self.data = {
            name: value.to(device, **options) if hasattr(value, "to") else value for name, value in self.data.items()
        }
        return self


def _array(value: Any, kind: str, name: str) -> Any:
    if kind == "np":
        if isinstance(value, (list, tuple)) and value and isinstance(value[0], (list, tuple, np.ndarray)):
            if len({len(row) for row in value}) > 1:  # transformers gives these, too
                return np.asarray([np.asarray(row) for row in value], dtype=object)
            if not any(len(row) for row in value):
                return np.asarray(value, dtype=np.int64)
        return np.asarray(value, dtype=np.int64 if isinstance(value, (list, tuple)) and not value else None)
    try:
        torch: Any = importlib.import_module("torch")
    except ImportError:
        raise MissingExtraError(
            "return_tensors='pt' needs PyTorch, which is not installed; 'np' needs nothing"
        ) from None
    try:
        return torch.tensor(value)
    except ValueError:
        raise ValueError(
            f"unable to make a tensor of {name}: its rows differ in length; pass padding=True and truncation=True"
        ) from None
