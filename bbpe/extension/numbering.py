"""Which ids the tokens of an extension get, and how many rows the matrix then needs.

By default they follow the base's last id, special tokens included. A model may have more rows than its tokenizer's file
says, and special tokens that only its own folder names (Qwen 2.5 and 3); :func:`model_rows` reads what the folder says.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bbpe.errors import TrainingError
from bbpe.extension.options import ExtensionOptions
from bbpe.vocabulary import MAX_ID, Vocabulary

_RESERVED = re.compile(r"reserved|unused|placeholder|^<\|?extra_(?:id_)?\d+\|?>$|^<\|?dummy", re.IGNORECASE)
"""Names of special tokens that stand for nothing yet: ``<|reserved_special_token_7|>``, ``<|extra_3|>``, ``[unused9]``."""
_EMBEDDING = re.compile(
    r"(?:^|\.)(?:embed_tokens|wte|embed_in|word_embeddings|tok_embeddings|shared|embedding)\.weight$"
)
_LARGEST_HEADER = 100_000_000  # what safetensors itself takes


@dataclass(frozen=True, slots=True)
class Numbering:
    """Where new tokens find their ids.

    Attributes:
        old_rows: Rows that the model is known to have, at least those of the base's ids.
        reusable: Ids that the base or the model has and does not use, ascending: new tokens take them first.
        first: The id of the first new token that takes none of them.
        warnings: What a user should know.
    """

    old_rows: int
    reusable: tuple[int, ...]
    first: int
    warnings: tuple[str, ...]

    def ids(self, tokens: int) -> list[int]:
        """The ids of so many new tokens, in learning order.

        Raises:
            TrainingError: They do not fit in 32 bits.
        """
        taken = list(self.reusable[:tokens])
        last = self.first + tokens - len(taken) - 1
        if last > MAX_ID:
            raise TrainingError(f"{tokens:,} new tokens from id {self.first:,} on: ids end at {MAX_ID:,}")
        return taken + list(range(self.first, last + 1))


def numbering(base: Vocabulary, options: ExtensionOptions) -> Numbering:
    """Find the ids that an extension of ``base`` may use.

    Raises:
        TrainingError: Ids that the base uses, a model folder that says nothing about its rows, or nothing to reuse.
    """
    own = base.id_space
    warnings: list[str] = []
    rows = own
    named: frozenset[int] = frozenset()
    if isinstance(options.ids_from, str):
        rows = max(own, model_rows(Path(options.ids_from)))
        named = special_ids(Path(options.ids_from))
        if rows > own:
            what = "are reused" if options.reuse_reserved else "new ids start after them"
            warnings.append(
                f"{options.ids_from}: the model has {rows:,} rows and the base's last id is {own - 1:,}: the "
                f"{rows - own:,} rows between may be padding or special tokens that the file does not name; {what}"
            )
    first = rows if not isinstance(options.ids_from, int) else options.ids_from
    if first < own:
        raise TrainingError(f"ids_from is {first}, but the base has ids up to {own - 1}; give at least {own}")
    reusable: tuple[int, ...] = ()
    if options.reuse_reserved:
        reusable = tuple(id for id in _reusable(base, rows) if id not in named or id < own)
        if not reusable:
            raise TrainingError(
                "reuse_reserved: the base has no reserved or unused ids; name the model's folder with ids_from if its "
                "matrix has more rows than the vocabulary"
            )
    return Numbering(rows, reusable, first, tuple(warnings))


def _reusable(base: Vocabulary, rows: int) -> Iterable[int]:
    """Ids that stand for nothing: reserved special tokens that no template names, holes, rows past the last id."""
    named = {*base.template.before, *base.template.after}
    used = set(base.tokens)
    used.update(
        special.id
        for special in base.special_tokens
        if not _RESERVED.search(special.content) or special.id in named or special.id in base.tokens
    )
    return (id for id in range(rows) if id not in used)


def model_rows(folder: Path) -> int:
    """How many rows a model has for its tokens, or names ids for: the most that any of its files says.

    Read are ``vocab_size`` of ``config.json``, the shape of the input embeddings in safetensors files, and the ids of
    special tokens in ``tokenizer_config.json``, ``added_tokens.json`` and ``tokenizer.json``.

    Raises:
        TrainingError: The folder does not exist, or none of its files says.
    """
    if not folder.is_dir():
        raise TrainingError(f"ids_from: {folder} is no folder of a model; give one, or the first new id as a number")
    found: list[int] = []
    config = _json(folder / "config.json")
    sizes = [part.get("vocab_size") for part in (config, config.get("text_config")) if isinstance(part, dict)]
    found += [size for size in sizes if type(size) is int]
    for path in sorted(folder.glob("*.safetensors")):
        found += [shape[0] for name, shape in _tensor_shapes(path).items() if shape and _EMBEDDING.search(name)]
    found += [id + 1 for id in special_ids(folder)]
    if not found:
        raise TrainingError(
            f"ids_from: no file in {folder} says how many rows the model has (config.json, *.safetensors); "
            "give the first new id as a number"
        )
    return max(found)


def special_ids(folder: Path) -> frozenset[int]:
    """The ids of special tokens that a model's folder names: the base's own file may not know them."""
    decoder = _json(folder / "tokenizer_config.json").get("added_tokens_decoder")
    found = [int(id) for id in decoder if id.isdigit()] if isinstance(decoder, dict) else []
    found += [id for id in _json(folder / "added_tokens.json").values() if type(id) is int]
    tokens = _json(folder / "tokenizer.json").get("added_tokens")
    if isinstance(tokens, list):
        found += [token["id"] for token in tokens if isinstance(token, dict) and type(token.get("id")) is int]
    return frozenset(id for id in found if 0 <= id <= MAX_ID)


def _json(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise TrainingError(f"ids_from: {path} cannot be read: {error}") from None
    return record if isinstance(record, dict) else {}


def _tensor_shapes(path: Path) -> dict[str, list[int]]:
    """Name to shape, from the header of a safetensors file: its length in 8 bytes, then JSON."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > _LARGEST_HEADER:
                raise ValueError(f"a header of {length:,} bytes")
            header = json.loads(file.read(length))
        return {name: list(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__"}
    except (OSError, ValueError, struct.error, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise TrainingError(f"ids_from: {path} is no safetensors file: {error}") from None
