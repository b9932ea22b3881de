"""Which ids the tokens of an extension get, and how many rows the matrix then needs.

By default they follow the base's last id, special tokens included. A model may have more rows than its tokenizer's file
says, and special tokens that only its own folder names (Qwen 2.5 and 3); :func:`model_rows` reads what the folder says.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bbpe.errors import TrainingError
from bbpe.extension.options import ExtensionOptions
from bbpe.vocabulary import MAX_ID, SpecialToken, Template

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
        names: What the model's folder calls the special tokens that its tokenizer's file does not name: id to content.
    """

    old_rows: int
    reusable: tuple[int, ...]
    first: int
    warnings: tuple[str, ...]
    names: Mapping[int, str] = field(default_factory=dict)

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


def numbering(
    id_space: int,
    used: Collection[int],
    special_tokens: Sequence[SpecialToken],
    template: Template,
    options: ExtensionOptions,
) -> Numbering:
    """Find the ids that an extension may use.

    Args:
        id_space: The base's last id + 1.
        used: The ids of its ordinary tokens.
        special_tokens: Its special tokens.
        template: The ids that it puts around a text: they are in use, whatever they are called.
        options: ``ids_from`` and ``reuse_reserved`` decide.

    Raises:
        TrainingError: Ids that the base uses, a model folder that says nothing about its rows, or nothing to reuse.
    """
    own = id_space
    warnings: list[str] = []
    rows = own
    names: dict[int, str] = {}
    if isinstance(options.ids_from, str):
        rows = max(own, model_rows(Path(options.ids_from)))
        names = special_names(Path(options.ids_from))
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
        around = {*template.before, *template.after}
        taken = {id for id in names if id >= own}.union(
            used,
            (each.id for each in special_tokens if not _RESERVED.search(each.content) or each.id in around),
        )
        reusable = tuple(id for id in range(rows) if id not in taken)
        if not reusable:
            raise TrainingError(
                "reuse_reserved: the base has no reserved or unused ids; name the model's folder with ids_from if its "
                "matrix has more rows than the vocabulary"
            )
    return Numbering(rows, reusable, first, tuple(warnings), {id: name for id, name in names.items() if id >= own})


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
    found += [id + 1 for id in special_names(folder)]
    if not found:
        raise TrainingError(
            f"ids_from: no file in {folder} says how many rows the model has (config.json, *.safetensors); "
            "give the first new id as a number"
        )
    return max(found)


def special_names(folder: Path) -> dict[int, str]:
    """The special tokens that a model's folder names, by id: the base's own file may not know them."""
    found: dict[int, object] = {}
    decoder = _json(folder / "tokenizer_config.json").get("added_tokens_decoder")
    if isinstance(decoder, dict):
        for id, token in decoder.items():
            if id.isdigit():
                found[int(id)] = token.get("content") if isinstance(token, dict) else None
    added = _json(folder / "added_tokens.json")
    found.update({id: content for content, id in added.items() if type(id) is int})
    tokens = _json(folder / "tokenizer.json").get("added_tokens")
    if isinstance(tokens, list):
        for token in tokens:
            if isinstance(token, dict) and type(token.get("id")) is int:
                found[token["id"]] = token.get("content")
    return {id: name if isinstance(name, str) else "" for id, name in found.items() if 0 <= id <= MAX_ID}


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
