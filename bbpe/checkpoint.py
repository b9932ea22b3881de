"""Rewrite a model folder for an extended vocabulary: safetensors in, safetensors out, without torch.

:func:`rewrite_checkpoint` writes a new folder beside the old one: the matrices that have a row for each token get the
rows of an :class:`~bbpe.embeddings.EmbeddingPlan`, ``vocab_size`` follows, the tokenizer's files are replaced, all else
is copied. Tensors that do not change go from file to file in blocks; of a matrix, only the rows of parts and the new
rows are in memory (all rows are read once where padding has to be filled or noise to be scaled).

What decides is in the order of :func:`read_checkpoint`: which files are the checkpoint, what its config says of the
vocabulary, which tensors are the matrices. Nothing is guessed: a tensor that could be a matrix of the vocabulary and is
not known by its name is an error that lists the candidates, and the caller names them.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from bbpe.corpus import REPORT_SECONDS, Progress
from bbpe.embeddings import NOISE, EmbeddingPlan
from bbpe.errors import FormatError, OutputError, VocabularyError
from bbpe.formats.files import expect, member, parse_json, read_bytes, shortened
from bbpe.io import atomic_directory, load, save
from bbpe.safetensors_file import (
    DTYPE_BITS,
    Tensor,
    TensorFile,
    copy_bytes,
    read_header,
    tensor_bytes,
    write_header,
)
from bbpe.tokenizer import Tokenizer

CONFIG = "config.json"
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
TEXT_CONFIGS = ("text_config", "llm_config", "language_config")
_IN_A_LAYER = re.compile(r"(^|\.)\d+\.")
_GENERATES = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")

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
    )
)
_TOKENIZER_SUFFIXES = (".tiktoken", ".tiktoken.json")
_RECORDS = ("extension.json", "training.json")
# Keys of tokenizer_config.json that say how the old files are to be read, not how the model wants its text.
_OF_THE_OLD_FILES = (
    "tokenizer_class",
    "auto_map",
    "tokenizer_file",
    "vocab_file",
    "merges_file",
    "spm_file",
    "add_bos_token",
    "add_eos_token",
    "add_prefix_space",
    "legacy",
    "from_slow",
    "sp_model_kwargs",
)
_OTHER_WEIGHTS = (".safetensors", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".gguf", ".onnx", ".onnx_data", ".ot")
_PICKLES = re.compile(r"^(pytorch_model|model|consolidated).*\.(bin|pt|pth|ckpt)$|^pytorch_model.*\.index\.json$")
_SKIPPED_FOLDERS = (".git", ".cache", "__pycache__")

_NUMPY: Mapping[str, np.dtype[Any]] = {
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
}


# --- what a model folder holds ---


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
    config = _read_object(folder / CONFIG)
    files, index = _read_headers(folder)
    rows = _rows_of_config(config, folder / CONFIG)
    tensors = {tensor.name: tensor for file in files.values() for tensor in file.tensors}
    inputs = _matrices("input", tensors, rows, INPUT_NAMES, WHOLE_INPUT_NAMES, input_names, folder)
    outputs = _matrices("output", tensors, rows, OUTPUT_NAMES, WHOLE_OUTPUT_NAMES, output_names, folder)
    biases = tuple(name for name in tensors if _ends_in(name, BIAS_NAMES) and tensors[name].shape == (rows,))
    tied_by_config = _of_text(config, "tie_word_embeddings")
    if not inputs:
        raise FormatError(
            f"{folder}: no tensor is known as the input matrix of {rows:,} rows"
            f"{_candidates(tensors, rows, ())}; name it (input_names)"
        )
    architectures = [name for name in config.get("architectures") or () if isinstance(name, str)]
    generates = any(name.endswith(_GENERATES) for name in architectures)
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
        if tensors[name].dtype not in _NUMPY:
            raise FormatError(
                f"{folder}: {name} is stored as {tensors[name].dtype}; rows can be made only of {', '.join(_NUMPY)}. "
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


def _read_object(path: Path) -> dict[str, Any]:
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
        if not weights and any(_PICKLES.match(name) for name in names):
            raise FormatError(
                f"{folder}: its weights are pickles (.bin, .pt), which run code when they are loaded; bbpe reads "
                "safetensors only. If you trust them: AutoModelForCausalLM.from_pretrained(...).save_pretrained(...) "
                "in transformers writes safetensors"
            )
        shown = ", ".join(weights[:5]) or "no .safetensors file"
        raise FormatError(f"{folder}: holds {shown}; expected {SINGLE}, or shards with {INDEX}")
    if SINGLE in weights:
        raise FormatError(f"{folder}: holds both {SINGLE} and {INDEX}; remove the one that is not the model")
    index = _read_object(folder / INDEX)
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


def _text_configs(config: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The parts of a config that concern the text model: itself, and those of models with several."""
    yield config
    thinker = config.get("thinker_config")
    for outer in (config, thinker):
        if isinstance(outer, dict):
            yield from (outer[key] for key in TEXT_CONFIGS if isinstance(outer.get(key), dict))


def _of_text(config: dict[str, Any], key: str) -> object:
    return next((part[key] for part in _text_configs(config) if part.get(key) is not None), None)


def _rows_of_config(config: dict[str, Any], path: Path) -> int:
    sizes = {
        expect(part["vocab_size"], int, f"{path}: vocab_size")
        for part in _text_configs(config)
        if part.get("vocab_size") is not None
    }
    if not sizes:
        raise FormatError(f"{path}: has no vocab_size; is this a language model's config?")
    if len(sizes) > 1:
        raise FormatError(f"{path}: says different things of vocab_size: {', '.join(map(str, sorted(sizes)))}")
    rows: int = sizes.pop()
    if rows < 1:
        raise FormatError(f"{path}: vocab_size {rows}")
    return rows


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
    ids = expect(_read_object(path).get("added_tokens_decoder", {}), dict, f"{path}: added_tokens_decoder")
    return max((int(id) for id in ids if id.isdecimal()), default=-1) + 1


# --- rewriting ---


@dataclass(frozen=True, slots=True)
class RewrittenMatrix:
    """One tensor that gained rows: its role is ``"input"``, ``"output"`` or ``"output bias"``."""

    name: str
    role: str
    method: str
    dtype: str
    shape: tuple[int, ...]
    new_shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RewriteRecord:
    """What :func:`rewrite_checkpoint` did.

    Attributes:
        path: The new folder.
        rows: Rows of the matrices before.
        new_rows: And after.
        tied: Whether the output takes the input matrix.
        matrices: The tensors that changed.
        copied_tensors: How many tensors did not.
        bytes: Bytes of weights written.
        files: The names of all files of the new folder, relative to it.
        left_out: Files of the old folder that are not in the new one, with the reason.
        notes: What the user ought to know.
    """

    path: Path
    rows: int
    new_rows: int
    tied: bool
    matrices: tuple[RewrittenMatrix, ...]
    copied_tensors: int
    bytes: int
    files: tuple[str, ...]
    left_out: Mapping[str, str]
    notes: tuple[str, ...]


def rewrite_checkpoint(
    model_dir: str | os.PathLike[str],
    new_dir: str | os.PathLike[str],
    plan: EmbeddingPlan,
    *,
    method: str = "mean",
    output_method: str | None = None,
    seed: int = 0,
    noise: float = NOISE,
    tokenizer: Tokenizer | str | os.PathLike[str] | None = None,
    pad_to_multiple: int | None = None,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    leave_names: Sequence[str] = (),
    force: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> RewriteRecord:
    """Write a model folder for an extended vocabulary.

    The new folder takes its name when all of it is on the disk. Old rows, all other tensors and the special tokens'
    ids are as they were, to the bit; only ``vocab_size`` changes in the config.

    Args:
        model_dir: The base model: ``config.json`` and safetensors, in one file or in shards.
        new_dir: The folder to write. It cannot be ``model_dir`` or lie in it.
        plan: Which rows come new, of which parts.
        method: How they start: a key of ``bbpe.embeddings.METHODS``.
        output_method: For an output matrix of its own and its bias, when that differs from ``method``.
        seed: For the noise.
        noise: Its size, as for :meth:`EmbeddingPlan.initialise`.
        tokenizer: The extended tokenizer, or the folder that holds its files: they replace the old tokenizer's, while
            chat template, padding side and the like stay. None copies the old files, which do not know the new ids.
        pad_to_multiple: Round the rows up to a multiple, as tensor-parallel training wants. A matrix never shrinks.
        input_names: As for :func:`read_checkpoint`.
        output_names: As for :func:`read_checkpoint`.
        leave_names: As for :func:`read_checkpoint`.
        force: Replace ``new_dir`` where it holds nothing but files of these names.
        progress: Called with the bytes of weights written so far.

    Raises:
        FormatError: The checkpoint is damaged, incomplete, no safetensors, or its matrices cannot be told.
        VocabularyError: Plan, checkpoint and tokenizer do not belong together, or an unknown method.
        OutputError: The output exists, or cannot be written (no permission, disk full).
    """
    target = Path(new_dir)
    checkpoint = read_checkpoint(model_dir, input_names=input_names, output_names=output_names, leave_names=leave_names)
    _check_apart(checkpoint.folder, target)
    new_rows = _new_rows(checkpoint, plan, pad_to_multiple)
    if output_method is not None and checkpoint.tied:
        raise VocabularyError(f"{checkpoint.folder}: input and output share one matrix: give no method for the output")
    jobs = _jobs(checkpoint, method, output_method)
    others, left_out = _other_files(checkpoint, tokenizer is not None)
    notes = _notes(checkpoint, new_rows, tokenizer is None)
    size = sum(
        tensor_bytes(tensor.dtype, _new_shape(tensor, jobs, new_rows)) or 0
        for file in checkpoint.files.values()
        for tensor in file.tensors
    )
    _check_space(target, size + sum((checkpoint.folder / name).stat().st_size for name in others))
    reporter = _Reporter(progress, size)
    names = {CONFIG, *others, *checkpoint.files, *TOKENIZER_FILES, *_RECORDS, "vocab.tiktoken", "vocab.tiktoken.json"}
    names.update((INDEX,) if checkpoint.index is not None else ())
    matrices: list[RewrittenMatrix] = []
    with atomic_directory(target, force, {name.split("/")[0] for name in names}) as folder:
        if tokenizer is not None:
            _write_tokenizer(tokenizer, checkpoint, folder, plan, new_rows)
        _write_json(folder / CONFIG, _new_config(checkpoint.config, checkpoint.rows, new_rows))
        for name in others:
            _copy_file(checkpoint.folder / name, folder / name)
        for name, file in checkpoint.files.items():
            matrices += _write_shard(file, folder / name, plan, jobs, new_rows, (seed, noise), reporter)
        if checkpoint.index is not None:
            _write_json(folder / INDEX, _new_index(checkpoint, matrices, size))
        files = tuple(sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()))
    reporter.wrote(0, last=True)
    total = sum(len(file.tensors) for file in checkpoint.files.values())
    return RewriteRecord(
        target,
        checkpoint.rows,
        new_rows,
        checkpoint.tied,
        tuple(matrices),
        total - len(matrices),
        size,
        files,
        left_out,
        notes,
    )


class _Reporter:
    """Calls ``progress`` now and then with the bytes written."""

    def __init__(self, progress: Callable[[Progress], None] | None, total: int) -> None:
        self._progress = progress
        self._total = total
        self._done = 0
        self._next = 0.0

    def wrote(self, size: int, last: bool = False) -> None:
        self._done += size
        if self._progress is not None and (last or time.monotonic() >= self._next):
            self._next = time.monotonic() + REPORT_SECONDS
            self._progress(Progress("rewriting", self._done, self._total, "bytes"))


def _check_apart(folder: Path, target: Path) -> None:
    source, destination = Path(os.path.realpath(folder)), Path(os.path.realpath(target))
    if destination == source or source in destination.parents or destination in source.parents:
        raise OutputError(f"{target}: lies in the model folder {folder}, or around it; choose a folder beside it")


def _check_space(target: Path, size: int) -> None:
    try:
        free = shutil.disk_usage(target.absolute().parent).free
    except OSError:
        return  # atomic_directory has the words for it
    if free < size:
        raise OutputError(f"{target}: needs {size:,} bytes, but only {free:,} are free there; nothing was written")


def _new_rows(checkpoint: Checkpoint, plan: EmbeddingPlan, multiple: int | None) -> int:
    if checkpoint.rows < plan.old_rows:
        raise VocabularyError(
            f"{checkpoint.folder}: its matrices have {checkpoint.rows:,} rows, but the base vocabulary of the plan needs "
            f"{plan.old_rows:,}: it is another model's"
        )
    rows = max(checkpoint.rows, plan.new_rows)
    if multiple is None:
        return rows
    if multiple < 1:
        raise VocabularyError(f"rows cannot be a multiple of {multiple}")
    return -(-rows // multiple) * multiple


def _jobs(checkpoint: Checkpoint, method: str, output_method: str | None) -> dict[str, tuple[str, str, int]]:
    """For each tensor that gains rows: (role, method, which seed). Copies of one matrix get the same rows."""
    jobs = dict.fromkeys(checkpoint.input_names, ("input", method, 0))
    output = output_method or method
    jobs.update(dict.fromkeys(checkpoint.output_names, ("output", output, 0 if checkpoint.tied else 1)))
    jobs.update(dict.fromkeys(checkpoint.bias_names, ("output bias", output, 2)))
    return jobs


def _notes(checkpoint: Checkpoint, new_rows: int, old_tokenizer: bool) -> tuple[str, ...]:
    notes = []
    if old_tokenizer:
        notes.append("the tokenizer's files are the old ones, which do not know the new ids")
    multiple = min(checkpoint.rows & -checkpoint.rows, 128)
    if multiple >= 16 and new_rows % multiple:
        notes.append(
            f"the model had a multiple of {multiple} rows, now it has {new_rows:,}; pad_to_multiple={multiple} keeps that"
        )
    return tuple(notes)


def _new_shape(tensor: Tensor, jobs: Mapping[str, object], new_rows: int) -> tuple[int, ...]:
    return (new_rows, *tensor.shape[1:]) if tensor.name in jobs else tensor.shape


def _write_shard(
    file: TensorFile,
    path: Path,
    plan: EmbeddingPlan,
    jobs: Mapping[str, tuple[str, str, int]],
    new_rows: int,
    chance: tuple[int, float],
    reporter: _Reporter,
) -> list[RewrittenMatrix]:
    matrices = []
    with _reading(file.path) as source, open(path, "wb") as target:
        # Widest elements first, as the safetensors package writes: so all begin aligned, whatever length those before
        # them have now.
        tensors = sorted(file.tensors, key=lambda tensor: -DTYPE_BITS[tensor.dtype])
        shapes = [(tensor.name, tensor.dtype, _new_shape(tensor, jobs, new_rows)) for tensor in tensors]
        write_header(target, shapes, file.metadata)
        for tensor, (_, _, shape) in zip(tensors, shapes, strict=True):
            if tensor.name not in jobs:
                copy_bytes(source, target, tensor.start, tensor.size, reporter.wrote)
                continue
            role, method, which = jobs[tensor.name]
            try:
                ids, values = plan.new_values(
                    _mapped(file.path, tensor),
                    method,
                    seed=(chance[0], which),
                    noise=chance[1],
                    rows=new_rows,
                    bfloat16_bits=tensor.dtype == "BF16",
                )
            except VocabularyError as error:
                raise VocabularyError(f"{file.path}: {tensor.name}: {error}") from None
            _write_rows(source, target, tensor, ids, values, reporter)
            matrices.append(RewrittenMatrix(tensor.name, role, method, tensor.dtype, tensor.shape, shape))
    return matrices


def _mapped(path: Path, tensor: Tensor) -> npt.NDArray[Any]:
    matrix: npt.NDArray[Any] = np.memmap(path, _NUMPY[tensor.dtype], mode="r", offset=tensor.start, shape=tensor.shape)
    return matrix


def _write_rows(
    source: IO[bytes],
    target: IO[bytes],
    tensor: Tensor,
    ids: npt.NDArray[np.int64],
    values: npt.NDArray[Any],
    reporter: _Reporter,
) -> None:
    """Old rows from file to file, with the new ones in their places between and behind them."""
    row_bytes = tensor.size // tensor.shape[0]
    place = 0
    edges = np.flatnonzero(np.diff(ids, prepend=-2, append=-2) != 1)  # around runs of ids that follow one another
    for start, stop in zip(edges[:-1], edges[1:], strict=True):
        first = int(ids[start])
        if first > place:
            copy_bytes(source, target, tensor.start + place * row_bytes, (first - place) * row_bytes, reporter.wrote)
        block = values[start:stop]
        target.write(block.data.cast("B"))
        reporter.wrote(block.nbytes)
        place = int(ids[stop - 1]) + 1
    rest = tensor.shape[0] - place
    if rest > 0:
        copy_bytes(source, target, tensor.start + place * row_bytes, rest * row_bytes, reporter.wrote)


def _new_config(config: dict[str, Any], rows: int, new_rows: int) -> dict[str, Any]:
    """The config with the new vocab_size, wherever it said the old one."""
    changed: dict[str, Any] = json.loads(json.dumps(config))
    for part in _text_configs(changed):
        if part.get("vocab_size") == rows:
            part["vocab_size"] = new_rows
    if changed.get("vocab_size") is not None:
        for part in _text_configs(changed):
            part["vocab_size"] = new_rows  # a part that trusts in its class's default
    return changed


def _new_index(checkpoint: Checkpoint, matrices: Sequence[RewrittenMatrix], size: int) -> dict[str, Any]:
    assert checkpoint.index is not None
    metadata = checkpoint.index.get("metadata")
    metadata = dict(metadata) if isinstance(metadata, dict) else {}
    metadata["total_size"] = size
    if type(metadata.get("total_parameters")) is int:
        grown = sum(int(np.prod(matrix.new_shape)) - int(np.prod(matrix.shape)) for matrix in matrices)
        metadata["total_parameters"] += grown
    return {**checkpoint.index, "metadata": metadata}


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8", newline="\n")


# --- other files ---


def _other_files(checkpoint: Checkpoint, new_tokenizer: bool) -> tuple[list[str], dict[str, str]]:
    """(Files to copy, files left out with the reason), by their names relative to the folder."""
    rewritten = {CONFIG, *checkpoint.files, *((INDEX,) if checkpoint.index is not None else ())}
    copied: list[str] = []
    left_out: dict[str, str] = {}
    for folder, subfolders, names in os.walk(checkpoint.folder):
        subfolders[:] = sorted(name for name in subfolders if name not in _SKIPPED_FOLDERS)
        for base in sorted(names):
            path = Path(folder, base)
            name = path.relative_to(checkpoint.folder).as_posix()
            if name in rewritten:
                continue
            if not path.is_file():
                left_out[name] = "no regular file"
            elif _PICKLES.match(base) or base.endswith(_OTHER_WEIGHTS) or base.endswith(".safetensors.index.json"):
                left_out[name] = "other weights, which do not fit the new vocabulary"
            elif new_tokenizer and (base in TOKENIZER_FILES or base.endswith(_TOKENIZER_SUFFIXES)):
                left_out[name] = "replaced by the new tokenizer's files"
            else:
                copied.append(name)
    return copied, left_out


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[IO[bytes]]:
    try:
        file = open(path, "rb")  # noqa: SIM115
    except OSError as error:
        raise FormatError(f"{path}: cannot be read: {error.strerror or error}") from None
    with file:
        yield file


def _copy_file(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with _reading(source) as reader, open(target, "wb") as writer:
        shutil.copyfileobj(reader, writer, 1 << 20)


# --- the tokenizer's files ---


def _write_tokenizer(
    tokenizer: Tokenizer | str | os.PathLike[str], checkpoint: Checkpoint, folder: Path, plan: EmbeddingPlan, rows: int
) -> None:
    """The new tokenizer's files, with what the old config says of the model kept."""
    used = tokenizer if isinstance(tokenizer, Tokenizer) else load(tokenizer)
    last = plan.new_ids[-1] if plan.new_ids else 0
    if not last < used.id_space <= rows:
        raise VocabularyError(
            f"the tokenizer has ids up to {used.id_space - 1:,}, the plan new ones up to {last:,}, the matrices will have "
            f"{rows:,} rows: they do not belong together"
        )
    if isinstance(tokenizer, Tokenizer):
        saved = folder / ".tokenizer"
        save(tokenizer, saved, format="directory")
        for path in saved.iterdir():
            os.replace(path, folder / path.name)
        saved.rmdir()
    else:
        source = Path(tokenizer)
        paths = sorted(source.iterdir()) if source.is_dir() else [source]
        for path in paths:
            wanted = path.name in TOKENIZER_FILES or path.name in _RECORDS or path.name.endswith(_TOKENIZER_SUFFIXES)
            if path.is_file() and wanted:
                _copy_file(path, folder / path.name)
    _merge_tokenizer_config(checkpoint.folder, folder)
    _check_named_tokens(checkpoint.folder, folder)


def _merge_tokenizer_config(old: Path, folder: Path) -> None:
    name = "tokenizer_config.json"
    if not (old / name).is_file() or not (folder / name).is_file():
        return
    kept = {key: value for key, value in _read_object(old / name).items() if key not in _OF_THE_OLD_FILES}
    _write_json(folder / name, {**_read_object(folder / name), **kept})


def _check_named_tokens(old: Path, folder: Path) -> None:
    """Refuse special tokens that stand in configs but not in the new tokenizer: transformers would give them new ids,
    and those are taken."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        return
    content = expect(parse_json(read_bytes(path), path), dict, str(path))
    ids = {token.get("content"): token.get("id") for token in content.get("added_tokens", ())}
    vocabulary = content.get("model", {}).get("vocab", ())
    for place in (folder / "tokenizer_config.json", old / "special_tokens_map.json"):
        if not place.is_file():
            continue
        config = _read_object(place)
        for key, value in config.items():
            names = value if isinstance(value, list) else [value]
            if not key.endswith(("_token", "_tokens")):
                continue
            for name in (name.get("content") if isinstance(name, dict) else name for name in names):
                if isinstance(name, str) and name not in ids and name not in vocabulary:
                    raise VocabularyError(f"{place.name}: {key} {name!r} {_UNKNOWN_TOKEN}")
        for id, token in (config.get("added_tokens_decoder") or {}).items():
            name = token.get("content") if isinstance(token, dict) else token
            if str(ids.get(name)) != id:
                raise VocabularyError(f"{place.name}: added_tokens_decoder {id} {name!r} {_UNKNOWN_TOKEN}")


_UNKNOWN_TOKEN = (
    "has no such id in the new tokenizer, and transformers would give it another, which is a new token's; add it to "
    "the base's special tokens and extend that, or remove it from the old file"
)
