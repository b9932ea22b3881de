"""What a model folder holds, as far as its vocabulary is concerned: read and checked before any weight is.

:func:`read_checkpoint` decides in this order: which files are the checkpoint, what its config says of the vocabulary,
which tensors are the matrices. Nothing is guessed: a tensor that could belong to the vocabulary and is not known by its
name is an error that lists the candidates, and the caller names them.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bbpe.checkpoint.safetensors_file import Tensor, TensorFile, read_header
from bbpe.errors import FormatError, VocabularyError
from bbpe.formats.files import expect, member, parse_json, read_bytes, shortened

CONFIG = "config.json"
GENERATION_CONFIG = "generation_config.json"
SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"

# The end of a matrix's name, and some models that call it so. A name alone decides nothing: it must have a row for each
# id of the config's vocab_size.
INPUT_NAMES: Mapping[str, str] = {
    "embed_tokens.weight": "Llama, Mistral, Qwen 2 and 3, Gemma, Phi, DeepSeek, OPT",
    "wte.weight": "GPT-2, GPT-J, Qwen 1",
    "embed_in.weight": "GPT-NeoX, Pythia",
    "word_embeddings.weight": "BLOOM, Falcon, ChatGLM, BERT",
    "tok_embeddings.weight": "InternLM 2, Llama's own format",
}
OUTPUT_NAMES: Mapping[str, str] = {
    "lm_head.weight": "Llama, Mistral, Qwen, GPT-J, Phi, DeepSeek",
    "embed_out.weight": "GPT-NeoX, Pythia",
    "output_layer.weight": "ChatGLM",
}
WHOLE_INPUT_NAMES = ("rwkv.embeddings.weight", "backbone.embeddings.weight", "backbone.embedding.weight")
WHOLE_OUTPUT_NAMES = ("output.weight", "head.weight")
BIAS_NAMES = ("lm_head.bias", "embed_out.bias", "output_layer.bias", "output.bias")
SIZES = ("padded_vocab_size", "vocab_size")  # ChatGLM has both; the matrices are as long as the first
TEXT_CONFIGS = ("text_config", "llm_config", "language_config")
_IDS = re.compile(r"_token_(id|index)s?$")
# Ids in other shapes, which are mostly not there: refused where ids change, for want of models to test with.
_OTHER_IDS = ("suppress_tokens", "begin_suppress_tokens", "bad_words_ids", "forced_decoder_ids", "sequence_bias")
_IN_A_LAYER = re.compile(r"(^|\.)\d+\.")
_GENERATES = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")

PICKLES = re.compile(r"^(pytorch_model|model|consolidated).*\.(bin|pt|pth|ckpt)$|^pytorch_model.*\.index\.json$")
NUMPY: Mapping[str, np.dtype[Any]] = {
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model folder, read as far as its vocabulary is concerned: headers and config, no weights.

    Attributes:
        folder: Where it is.
        config: The values of ``config.json``.
        files: File name to what its header says.
        index: The values of ``model.safetensors.index.json``, where the checkpoint is in shards.
        rows: The rows of its matrices, ``vocab_size`` of the config: the base's ids and any padding.
        width: The width of its input matrix.
        tied: Whether the output takes the input matrix, or there is none.
        input_names: The tensors that are input matrices; mostly one.
        output_names: The output matrices, none where tied.
        bias_names: Output biases.
        named_ids: One more than the highest id that ``tokenizer_config.json`` gives to a token; 0 where it gives none.
    """

    folder: Path
    config: dict[str, Any]
    files: Mapping[str, TensorFile]
    index: dict[str, Any] | None
    rows: int
    width: int
    tied: bool
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    bias_names: tuple[str, ...]
    named_ids: int


def read_checkpoint(
    model_dir: str | os.PathLike[str],
    *,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    leave_names: Sequence[str] = (),
) -> Checkpoint:
    """Find the matrices of a model folder's vocabulary. Reads headers and JSON, no weights.

    Args:
        model_dir: A folder with ``config.json`` and ``model.safetensors``, or shards and their index.
        input_names: The tensors that are input matrices, where their names are not known to bbpe.
        output_names: Likewise for the output; ``[]`` says that there is none.
        leave_names: Tensors as long as the vocabulary that have nothing to do with it.

    Raises:
        FormatError: A file is missing, damaged or contradicts another; the weights are not safetensors; or the matrices
            cannot be told. The message lists the candidates.
    """
    folder = Path(model_dir)
    if not folder.is_dir():
        raise FormatError(f"{folder}: no such folder; expected a model folder with {CONFIG} and {SINGLE}")
    config = read_object(folder / CONFIG)
    files, index = _read_headers(folder)
    tensors = {tensor.name: tensor for file in files.values() for tensor in file.tensors}
    rows = _rows_of_config(config, folder / CONFIG) or _rows_of_input(tensors, input_names, folder / CONFIG)
    inputs = _matrices("input", tensors, rows, INPUT_NAMES, WHOLE_INPUT_NAMES, input_names, folder)
    outputs = _matrices("output", tensors, rows, OUTPUT_NAMES, WHOLE_OUTPUT_NAMES, output_names, folder)
    biases = tuple(name for name in tensors if _ends_in(name, BIAS_NAMES) and tensors[name].shape == (rows,))
    tied_by_config = _of_text(config, "tie_word_embeddings")
    if not inputs:
        raise FormatError(
            f"{folder}: no tensor is known as the input matrix of {rows:,} rows"
            f"{_candidates(tensors, rows, ())}; name it (input_names)"
        )
    architectures = expect(config.get("architectures") or [], list, f"{folder / CONFIG}: architectures")
    generates = any(str(name).endswith(_GENERATES) for name in architectures)
    if generates and tied_by_config is False and not outputs and output_names is None:
        raise FormatError(
            f"{folder}: {CONFIG} says that the output matrix is not tied to the input, but no tensor is known as the "
            f"output matrix{_candidates(tensors, rows, inputs)}; name it (output_names)"
        )
    known = {*inputs, *outputs, *biases}
    unknown = [
        name
        for name, tensor in tensors.items()
        if rows in tensor.shape and name not in known and name not in leave_names and not _IN_A_LAYER.search(name)
    ]
    if unknown:
        raise FormatError(
            f"{folder}: {_shown(unknown, tensors)} may have to do with the vocabulary of {rows:,} rows, but bbpe does "
            "not know by its name; say what it is (input_names, output_names), or that it is to be left (leave_names)"
        )
    for name in known:
        if tensors[name].dtype not in NUMPY:
            raise FormatError(
                f"{folder}: {name} is stored as {tensors[name].dtype}; rows can be made only of {', '.join(NUMPY)}. "
                "Quantised weights have scales beside them: extend the model they were made from, and quantise that"
            )
    return Checkpoint(
        folder,
        config,
        files,
        index,
        rows,
        tensors[inputs[0]].shape[1],
        not outputs or tied_by_config is True,
        inputs,
        outputs,
        biases,
        _named_ids(folder),
    )


def read_object(path: Path) -> dict[str, Any]:
    """A config's values. Unlike vocabularies, some of them say ``Infinity``, which Python reads and writes."""
    data = read_bytes(path)
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        value = parse_json(data, path)  # for its message, with line and column
    return expect(value, dict, str(path))  # type: ignore[no-any-return]


def _read_headers(folder: Path) -> tuple[dict[str, TensorFile], dict[str, Any] | None]:
    """All files of the checkpoint, by name, with the index where there is one."""
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_file())
    weights = [name for name in names if name.endswith(".safetensors")]
    if INDEX not in names:
        if SINGLE in weights or len(weights) == 1:
            name = SINGLE if SINGLE in weights else weights[0]
            return {name: read_header(folder / name)}, None
        if not weights and any(PICKLES.match(name) for name in names):
            raise FormatError(
                f"{folder}: its weights are pickles (.bin, .pt), which run code when they are loaded; bbpe reads "
                "safetensors only. If you trust them: AutoModelForCausalLM.from_pretrained(...).save_pretrained(...) "
                "in transformers writes safetensors"
            )
        shown = ", ".join(weights[:5]) or "no .safetensors file"
        raise FormatError(f"{folder}: holds {shown}; expected {SINGLE}, or shards with {INDEX}")
    if SINGLE in weights:
        raise FormatError(f"{folder}: holds both {SINGLE} and {INDEX}; remove the one that is not the model")
    index = read_object(folder / INDEX)
    weight_map = member(index, "weight_map", dict, str(folder / INDEX))
    shards: dict[str, TensorFile] = {}
    home: dict[str, str] = {}
    for tensor, shard in weight_map.items():
        expect(shard, str, f"{folder / INDEX}: weight_map.{shortened(tensor)}")
        if shard in shards:
            continue
        if Path(shard).name != shard or not shard.endswith(".safetensors"):
            raise FormatError(f"{folder / INDEX}: {shortened(shard)!r} is no name of a .safetensors file beside it")
        if shard not in names:
            raise FormatError(f"{folder}: {shard} is missing, which {INDEX} names; is the download complete?")
        shards[shard] = read_header(folder / shard)
        for held in shards[shard].tensors:
            if held.name in home:
                raise FormatError(f"{folder}: tensor {held.name} stands in both {home[held.name]} and {shard}")
            home[held.name] = shard
    for tensor, shard in weight_map.items():
        if home.get(tensor) != shard:
            raise FormatError(f"{folder}: {shard} does not hold tensor {shortened(tensor)}, which {INDEX} places there")
    unlisted = sorted(home.keys() - weight_map.keys())
    if unlisted:
        raise FormatError(f"{folder}: {INDEX} does not list tensor {unlisted[0]}, which {home[unlisted[0]]} holds")
    return shards, index


def text_configs(config: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The parts of a config that concern the text model: itself, and those of models with several."""
    yield config
    thinker = config.get("thinker_config")
    for outer in (config, thinker):
        if isinstance(outer, dict):
            yield from (outer[key] for key in TEXT_CONFIGS if isinstance(outer.get(key), dict))


def _of_text(config: dict[str, Any], key: str) -> object:
    return next((part[key] for part in text_configs(config) if part.get(key) is not None), None)


def _rows_of_config(config: dict[str, Any], path: Path) -> int | None:
    sizes = set()
    for part in text_configs(config):
        key = next((key for key in SIZES if part.get(key) is not None), None)
        if key is not None:
            sizes.add(expect(part[key], int, f"{path}: {key}"))
    if not sizes:
        return None
    if len(sizes) > 1:
        raise FormatError(f"{path}: says different things of vocab_size: {', '.join(map(str, sorted(sizes)))}")
    rows: int = sizes.pop()
    if rows < 1:
        raise FormatError(f"{path}: vocab_size {rows}")
    return rows


def _rows_of_input(tensors: Mapping[str, Tensor], named: Sequence[str] | None, path: Path) -> int:
    """Where no config says vocab_size, because it is what the model's class has by default: the input matrix's rows."""
    names = named if named is not None else [name for name in tensors if _ends_in(name, INPUT_NAMES)]
    rows = {tensors[name].shape[0] for name in names if name in tensors and len(tensors[name].shape) == 2}
    if len(rows) != 1:
        raise FormatError(f"{path}: has no vocab_size, and no one tensor is known as the input matrix")
    return rows.pop()


def _ends_in(name: str, endings: Sequence[str] | Mapping[str, str]) -> bool:
    return any(name == ending or name.endswith("." + ending) for ending in endings)


def _matrices(
    role: str,
    tensors: Mapping[str, Tensor],
    rows: int,
    endings: Mapping[str, str],
    whole: Sequence[str],
    named: Sequence[str] | None,
    folder: Path,
) -> tuple[str, ...]:
    """The matrices of a role: those that the caller names, else the one that is known by its name."""
    if named is not None:
        for name in named:
            if name not in tensors:
                raise FormatError(f"{folder}: there is no tensor {name!r}{_candidates(tensors, rows, ())}")
            if len(tensors[name].shape) != 2 or tensors[name].shape[0] != rows or not tensors[name].shape[1]:
                raise FormatError(f"{folder}: {_shown([name], tensors)} is no {role} matrix of {rows:,} rows")
        return tuple(named)
    known = [name for name in tensors if _ends_in(name, endings) or name in whole]
    found = [name for name in known if len(tensors[name].shape) == 2 and tensors[name].shape[0] == rows]
    if known and not found:
        raise FormatError(
            f"{folder}: {_shown(known, tensors)}, but {CONFIG} says vocab_size {rows:,}: they do not belong together"
        )
    if len(found) > 1:
        raise FormatError(
            f"{folder}: {_shown(found, tensors)} may each be the {role} matrix; name all that are ({role}_names)"
        )
    return tuple(found)


def _candidates(tensors: Mapping[str, Tensor], rows: int, taken: Sequence[str]) -> str:
    names = [name for name, tensor in tensors.items() if rows in tensor.shape and name not in taken]
    return f"; of its length are {_shown(names, tensors)}" if names else "; no tensor is of its length"


def _shown(names: Sequence[str], tensors: Mapping[str, Tensor]) -> str:
    shown = ", ".join(f"{shortened(name)} {list(tensors[name].shape)}" for name in names[:6])
    return shown + (f", and {len(names) - 6} more" if len(names) > 6 else "")


def _named_ids(folder: Path) -> int:
    path = folder / "tokenizer_config.json"
    if not path.is_file():
        return 0
    ids = expect(read_object(path).get("added_tokens_decoder", {}), dict, f"{path}: added_tokens_decoder")
    return max((int(id) for id in ids if id.isdecimal() and len(id) < 12), default=-1) + 1


def with_moved_ids(config: dict[str, Any], moved: Mapping[int, int], place: str) -> dict[str, Any]:
    """A config whose token ids are those of a pruned vocabulary.

    Args:
        config: The values of ``config.json`` or ``generation_config.json``.
        moved: Old id to new one.
        place: The file's name, for messages.

    Raises:
        VocabularyError: It names an id that is gone, or ids in a way that is not known.
    """

    def move(key: str, id: object) -> object:
        if type(id) is not int or id < 0:  # null and -1: no such token
            return id
        if id not in moved:
            raise VocabularyError(f"{place}: {key} {id} is not among the ids that are kept")
        return moved[id]

    changed: dict[str, Any] = json.loads(json.dumps(config))
    for part in text_configs(changed):
        for key, value in part.items():
            if key in _OTHER_IDS and value:
                raise VocabularyError(
                    f"{place}: {key} names ids, which change; take it out of the file and add it again"
                )
            if _IDS.search(key):
                part[key] = [move(key, id) for id in value] if isinstance(value, list) else move(key, value)
    return changed
