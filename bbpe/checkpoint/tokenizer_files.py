"""The tokenizer's files of a model folder: the new ones, with what the old ones say of the model kept."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from bbpe.checkpoint.model_folder import read_object
from bbpe.checkpoint.safetensors_file import copy_file
from bbpe.embeddings import EmbeddingPlan
from bbpe.errors import FormatError, VocabularyError
from bbpe.formats.files import expect, parse_json, read_bytes
from bbpe.io import load, save
from bbpe.tokenizer import Tokenizer

TOKENIZER_FILES = frozenset(
    (
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.json",
        "merges.txt",
        "merges.txt.json",
        "vocab.txt",
        "tokenizer.model",
        "tokenizer.model.v3",
        "spiece.model",
        "sentencepiece.bpe.model",
        "added_tokens.json",
        "tekken.json",
        "extension.json",
        "pruning.json",
        "training.json",
    )
)
_TOKENIZER_SUFFIXES = (".tiktoken", ".tiktoken.json")
# Keys of tokenizer_config.json that say how the old files are to be read, not how the model wants its text.
_OF_THE_OLD_FILES = (
    "tokenizer_class",
    "auto_map",
    "tokenizer_file",
    "vocab_file",
    "merges_file",
    "spm_file",
    "add_prefix_space",
    "legacy",
    "from_slow",
    "sp_model_kwargs",
)
_CONFIG = "tokenizer_config.json"
_SPECIAL_MAP = "special_tokens_map.json"


class Made(Protocol):
    """What :func:`bbpe.extend` and :func:`bbpe.prune` return: their folders hold a record too."""

    @property
    def tokenizer(self) -> Any:
        """The new tokenizer."""

    def save(self, path: str | os.PathLike[str]) -> object:
        """Write its folder."""


NewTokenizer: TypeAlias = Tokenizer | Made | str | os.PathLike[str]


def is_tokenizer_file(name: str) -> bool:
    """Whether a file of this name holds a vocabulary or how it came about, which a new tokenizer's files replace."""
    return name in TOKENIZER_FILES or name.endswith(_TOKENIZER_SUFFIXES)


def write_json(path: Path, value: object) -> None:
    """Write a config as transformers does: two spaces, UTF-8."""
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8", newline="\n")


def write_tokenizer(
    tokenizer: NewTokenizer, model: Path, folder: Path, plan: EmbeddingPlan, rows: int
) -> tuple[str, ...]:
    """Write a tokenizer's files into ``folder``, for which the other files of ``model`` have been copied already.

    Chat template, padding side, named special tokens and the like are kept from the model's ``tokenizer_config.json``;
    what it says of how to read its own files goes.

    Returns:
        What the user ought to know.

    Raises:
        FormatError: There is no tokenizer in the folder given.
        VocabularyError: The tokenizer is not that of the plan, or a config names a special token that it lacks.
    """
    id_space = _id_space(tokenizer)
    last = plan.new_ids[-1] if plan.new_ids else 0
    if not last < id_space <= rows:
        raise VocabularyError(
            f"the tokenizer has ids up to {id_space - 1:,}, the plan new ones up to {last:,}, the matrices will have "
            f"{rows:,} rows: they do not belong together"
        )
    _write_files(tokenizer, folder)
    _keep_the_models_habits(model, folder, _taken_over(model, plan), {})
    _check_named_tokens(folder)
    return _missing_habits(folder)


def write_pruned_tokenizer(
    tokenizer: NewTokenizer, model: Path, folder: Path, moved: Mapping[int, int]
) -> tuple[str, ...]:
    """The same for a pruned vocabulary: ``moved`` is old id to new one.

    Raises:
        FormatError: There is no tokenizer in the folder given.
        VocabularyError: The tokenizer has other ids, or a config names a special token that it lacks.
    """
    if _id_space(tokenizer) != len(moved):
        raise VocabularyError(f"the tokenizer has {_id_space(tokenizer):,} ids, but {len(moved):,} rows are kept")
    _write_files(tokenizer, folder)
    _keep_the_models_habits(model, folder, (), moved)
    _check_named_tokens(folder)
    return _missing_habits(folder)


def _id_space(tokenizer: NewTokenizer) -> int:
    if isinstance(tokenizer, str | os.PathLike):
        return load(tokenizer).id_space
    return tokenizer.id_space if isinstance(tokenizer, Tokenizer) else int(tokenizer.tokenizer.id_space)


def _write_files(tokenizer: NewTokenizer, folder: Path) -> None:
    if isinstance(tokenizer, str | os.PathLike):
        source = Path(tokenizer)
        found = sorted(source.iterdir()) if source.is_dir() else []
        paths = [path for path in found if path.is_file() and is_tokenizer_file(path.name)]
        if not paths:
            raise FormatError(
                f"{source}: is no folder with a tokenizer's files, such as bbpe extend and bbpe.save write"
            )
        for path in paths:
            copy_file(path, folder / path.name)
        return
    saved = folder / ".tokenizer"
    if isinstance(tokenizer, Tokenizer):
        save(tokenizer, saved, format="directory")
    else:
        tokenizer.save(saved)
    for path in saved.iterdir():
        os.replace(path, folder / path.name)
    saved.rmdir()


def _taken_over(model: Path, plan: EmbeddingPlan) -> frozenset[str]:
    """The names of reserved special tokens whose ids new tokens took over: the configs must not name them further."""
    new = frozenset(id for id in plan.new_ids if id < plan.old_rows)
    names = set()
    if (model / "tokenizer.json").is_file():
        added = read_object(model / "tokenizer.json").get("added_tokens")
        for token in added if isinstance(added, list) else ():
            if isinstance(token, dict) and type(token.get("id")) is int and token["id"] in new:
                names.add(_content(token))
    if (model / _CONFIG).is_file():
        for id, token in _added_tokens(read_object(model / _CONFIG)).items():
            if id.isdecimal() and len(id) < 12 and int(id) in new:
                names.add(_content(token))
    return frozenset(name for name in names if name is not None)


def _added_tokens(config: dict[str, Any]) -> dict[str, Any]:
    value = config.get("added_tokens_decoder")
    return value if isinstance(value, dict) else {}


def _content(token: object) -> str | None:
    """A special token's text: configs hold it plain, or as ``content`` of an object. None for what is neither."""
    content = token.get("content") if isinstance(token, dict) else token
    return content if isinstance(content, str) else None


def _keep_the_models_habits(model: Path, folder: Path, taken_over: Collection[str], moved: Mapping[int, int]) -> None:
    if (model / _CONFIG).is_file() and (folder / _CONFIG).is_file():
        kept = {key: value for key, value in read_object(model / _CONFIG).items() if key not in _OF_THE_OLD_FILES}
        if moved and "added_tokens_decoder" in kept:
            kept["added_tokens_decoder"] = {
                str(moved.get(int(id), id) if id.isdecimal() and len(id) < 12 else id): token
                for id, token in _added_tokens(kept).items()
            }
        write_json(folder / _CONFIG, {**read_object(folder / _CONFIG), **_without(kept, taken_over)})
    if taken_over and (folder / _SPECIAL_MAP).is_file():
        write_json(folder / _SPECIAL_MAP, _without(read_object(folder / _SPECIAL_MAP), taken_over))


def _without(config: dict[str, Any], names: Collection[str]) -> dict[str, Any]:
    """A config in whose lists of tokens these are not. A role such as ``eos_token`` keeps its name: losing it would be
    an error, which :func:`_check_named_tokens` reports."""
    result: dict[str, Any] = {}
    for key, value in config.items():
        if key == "added_tokens_decoder" and isinstance(value, dict):
            result[key] = {id: token for id, token in value.items() if _content(token) not in names}
        elif isinstance(value, list) and key.endswith("_tokens"):
            result[key] = [token for token in value if _content(token) not in names]
        else:
            result[key] = value
    return result


def _check_named_tokens(folder: Path) -> None:
    """Refuse special tokens that stand in configs but not in the new tokenizer: transformers would give them new ids,
    and those are taken."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        return
    content = expect(parse_json(read_bytes(path), path), dict, str(path))
    ids = {token["content"]: token["id"] for token in content.get("added_tokens", ())}
    vocabulary = content["model"]["vocab"]
    for name in (_CONFIG, _SPECIAL_MAP):
        config = read_object(folder / name) if (folder / name).is_file() else {}
        for key, value in config.items():
            if not key.endswith(("_token", "_tokens")):
                continue
            for token in map(_content, value if isinstance(value, list) else [value]):
                if token is not None and token not in ids and token not in vocabulary:
                    raise VocabularyError(f"{name}: {key} {token!r} {_UNKNOWN_TOKEN}")
        for id, token in _added_tokens(config).items():
            if str(ids.get(_content(token))) != id:
                raise VocabularyError(f"{name}: added_tokens_decoder {id} {_content(token)!r} {_UNKNOWN_TOKEN}")


def _missing_habits(folder: Path) -> tuple[str, ...]:
    """Where the old config puts a token around each text and the new tokenizer.json, which transformers goes by, does
    not: its base was a file that does not say so."""
    if not (folder / _CONFIG).is_file() or not (folder / "tokenizer.json").is_file():
        return ()
    config = read_object(folder / _CONFIG)
    post_processor = json.dumps(read_object(folder / "tokenizer.json").get("post_processor"), ensure_ascii=False)
    notes = []
    for role in ("bos_token", "eos_token"):
        token = _content(config.get(role))
        if config.get(f"add_{role}") is True and token and json.dumps(token, ensure_ascii=False) not in post_processor:
            notes.append(
                f"the model's tokenizer_config.json says add_{role}, but the new tokenizer.json puts no {token} around a "
                "text; extend the model's own tokenizer.json where it has one, or add it in your code"
            )
    return tuple(notes)


_UNKNOWN_TOKEN = (
    "has no such id in the new tokenizer: transformers would give it another, which may be a new token's. Extend the "
    "model's own tokenizer.json, which knows its special tokens (with ids_from where it does not), or remove the name"
)
