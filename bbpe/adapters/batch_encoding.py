"""What a call of the fast-tokenizer shape returns: a mapping from names to lists or arrays.

Nothing of transformers is imported. Its data collators ask for a ``Mapping`` and for attributes, and get both.
"""

from __future__ import annotations

import importlib
from collections import UserDict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bbpe.adapters.encoding import CharSpan, Encoding, TokenSpan
from bbpe.errors import MissingExtraError

__all__ = ["BatchEncoding"]


class BatchEncoding(UserDict[str, Any]):
    """``input_ids``, ``attention_mask`` and whatever else was asked for; each also an attribute.

    Args:
        data: Names to lists, one item a text (or the item itself where a single text was encoded).
        encoding: The rows, for what is asked of one: :meth:`tokens`, :meth:`word_ids` and so on.
        tensor_type: ``"np"`` or ``"pt"`` makes arrays or tensors of the lists.
        prepend_batch_axis: Make them of lists of one item each.
        n_sequences: 2 where pairs were encoded.

    >>> BatchEncoding({"input_ids": [[1, 2]]}).input_ids
    [[1, 2]]
    """

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        encoding: Encoding | Sequence[Encoding] | None = None,
        tensor_type: str | None = None,
        prepend_batch_axis: bool = False,
        n_sequences: int | None = None,
    ) -> None:
        super().__init__(data if data is not None else {})
        rows = [encoding] if isinstance(encoding, Encoding) else encoding
        self.n_sequences = rows[0].n_sequences if n_sequences is None and rows else n_sequences
        self._encodings = None if rows is None else list(rows)
        self.convert_to_tensors(tensor_type, prepend_batch_axis)

    def __getitem__(self, key: Any) -> Any:
        """A column by its name; the row of a number, as an :class:`Encoding`, or rows by a slice.

        Raises:
            KeyError: There is no such column; or a number where there are no rows (after ``pad``, for example).
        """
        if isinstance(key, str):
            return self.data[key]
        if self._encodings is not None:
            return self._encodings[key]
        if isinstance(key, slice):
            return {name: value[key] for name, value in self.data.items()}
        raise KeyError(f"{key!r}: rows by number are there for what a call of the tokenizer returned")

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["data"][name]
        except KeyError:
            raise AttributeError(f"{type(self).__name__} has no {name!r}") from None

    @property
    def is_fast(self) -> bool:
        """Whether rows can be asked."""
        return self._encodings is not None

    @property
    def encodings(self) -> list[Encoding] | None:
        """The rows; None where a call of the tokenizer did not return this."""
        return self._encodings

    def _row(self, index: int, asked: str) -> Encoding:
        if self._encodings is None:
            raise ValueError(f"{asked}() is there for what a call of the tokenizer returned")
        return self._encodings[index]

    def tokens(self, batch_index: int = 0) -> list[str]:
        """The tokens of one text, spelled as in ``tokenizer.json``.

        Raises:
            ValueError: These are not the tokens of a text: they were padded by ``pad``, for example. So with all of the
                following.
        """
        return self._row(batch_index, "tokens").tokens

    def sequence_ids(self, batch_index: int = 0) -> list[int | None]:
        """For each token of one text 0 or 1, the text of a pair that it belongs to; None for what was put around them."""
        return self._row(batch_index, "sequence_ids").sequence_ids

    def word_ids(self, batch_index: int = 0) -> list[int | None]:
        """For each token of one text its word; None for what was put around it."""
        return self._row(batch_index, "word_ids").word_ids

    # As there: one number is a place in the first row, two are the row and the place.

    def token_to_sequence(self, batch_or_token_index: int, token_index: int | None = None) -> int | None:
        """The text of a pair that a token is of."""
        row, token = _row_and_place(batch_or_token_index, token_index)
        return self._row(row, "token_to_sequence").token_to_sequence(token)

    def token_to_word(self, batch_or_token_index: int, token_index: int | None = None) -> int | None:
        """The word of a token."""
        row, token = _row_and_place(batch_or_token_index, token_index)
        return self._row(row, "token_to_word").token_to_word(token)

    def token_to_chars(self, batch_or_token_index: int, token_index: int | None = None) -> CharSpan | None:
        """The characters of a token."""
        row, token = _row_and_place(batch_or_token_index, token_index)
        return self._row(row, "token_to_chars").token_to_chars(token)

    def char_to_token(
        self, batch_or_char_index: int, char_index: int | None = None, sequence_index: int = 0
    ) -> int | None:
        """The first token with a character."""
        row, char = _row_and_place(batch_or_char_index, char_index)
        return self._row(row, "char_to_token").char_to_token(char, sequence_index)

    def char_to_word(
        self, batch_or_char_index: int, char_index: int | None = None, sequence_index: int = 0
    ) -> int | None:
        """The word of a character."""
        row, char = _row_and_place(batch_or_char_index, char_index)
        return self._row(row, "char_to_word").char_to_word(char, sequence_index)

    def word_to_tokens(
        self, batch_or_word_index: int, word_index: int | None = None, sequence_index: int = 0
    ) -> TokenSpan | None:
        """The tokens of a word."""
        row, word = _row_and_place(batch_or_word_index, word_index)
        return self._row(row, "word_to_tokens").word_to_tokens(word, sequence_index)

    def word_to_chars(
        self, batch_or_word_index: int, word_index: int | None = None, sequence_index: int = 0
    ) -> CharSpan | None:
        """The characters of a word."""
        row, word = _row_and_place(batch_or_word_index, word_index)
        return self._row(row, "word_to_chars").word_to_chars(word, sequence_index)

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


def _row_and_place(first: int, second: int | None) -> tuple[int, int]:
    return (0, first) if second is None else (first, second)


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
