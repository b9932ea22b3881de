"""Rewrite a model folder for an extended vocabulary: safetensors in, safetensors out, without torch.

:func:`rewrite_checkpoint` writes a new folder beside the old one: the matrices that have a row for each token get the
rows of an :class:`~bbpe.embeddings.EmbeddingPlan`, ``vocab_size`` follows, the tokenizer's files are replaced, all else
is copied. Tensors that do not change, and the old rows of those that do, go from file to file in blocks; in memory are
the new rows of one matrix, and a few megabytes.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import index
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from bbpe.checkpoint.model_folder import (
    CONFIG,
    GENERATION_CONFIG,
    INDEX,
    NUMPY,
    PICKLES,
    SIZES,
    Checkpoint,
    read_checkpoint,
    read_object,
    text_configs,
    with_moved_ids,
)
from bbpe.checkpoint.safetensors_file import (
    DTYPE_BITS,
    StoredRows,
    Tensor,
    TensorFile,
    copy_bytes,
    copy_file,
    open_to_read,
    tensor_bytes,
    write_header,
)
from bbpe.checkpoint.tokenizer_files import (
    TOKENIZER_FILES,
    NewTokenizer,
    is_tokenizer_file,
    write_json,
    write_pruned_tokenizer,
    write_tokenizer,
)
from bbpe.corpus import REPORT_SECONDS, Progress
from bbpe.embeddings import METHODS, NOISE, EmbeddingPlan, row_blocks
from bbpe.errors import OutputError, VocabularyError
from bbpe.io import atomic_directory

_OTHER_WEIGHTS = (".safetensors", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".gguf", ".onnx", ".onnx_data", ".ot")
_SKIPPED_FOLDERS = (".git", ".cache", "__pycache__")


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
    tokenizer: NewTokenizer | None = None,
    donor_dir: str | os.PathLike[str] | None = None,
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
        tokenizer: What :func:`bbpe.extend` returned, a tokenizer, or the folder that holds its files: they replace the
            old tokenizer's, while chat template, padding side and the like stay. None copies the old files, which do
            not know the new ids.
        donor_dir: A model whose tokens were taken over, of the same width, trained on from the same base: tokens with a
            donor id in the plan get that model's rows, whatever the method.
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
    checkpoint = read_checkpoint(model_dir, input_names=input_names, output_names=output_names, leave_names=leave_names)
    new_rows = _new_rows(checkpoint, plan, pad_to_multiple)
    if output_method is not None and checkpoint.tied:
        raise VocabularyError(f"{checkpoint.folder}: input and output share one matrix: give no method for the output")
    donor = None if donor_dir is None else read_checkpoint(donor_dir)

    def write_matrix(source: IO[bytes], output: IO[bytes], tensor: Tensor, job: _Job, wrote: _Wrote) -> None:
        ids, values = _new_values(source, tensor, plan, job, new_rows, (seed, noise))
        _write_rows(source, output, tensor, ids, values, wrote)

    def write_files(folder: Path) -> tuple[str, ...]:
        write_json(folder / CONFIG, _new_config(checkpoint.config, new_rows))
        if tokenizer is None:
            return ("the tokenizer's files are the old ones, which do not know the new ids",)
        return write_tokenizer(tokenizer, checkpoint.folder, folder, plan, new_rows)

    work = _Work(
        checkpoint,
        new_rows,
        _jobs(checkpoint, plan, method, output_method, donor),
        write_matrix,
        write_files,
        tokenizer is not None,
    )
    return _write_folder(work, Path(new_dir), force, progress)


def prune_checkpoint(
    model_dir: str | os.PathLike[str],
    new_dir: str | os.PathLike[str],
    old_ids: Sequence[int],
    tokenizer: NewTokenizer,
    *,
    pad_to_multiple: int | None = None,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    leave_names: Sequence[str] = (),
    force: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> RewriteRecord:
    """Write a model folder for a pruned vocabulary, whose rows are some of the old ones, to the bit.

    Ids change, so those in ``config.json`` and ``generation_config.json`` (``eos_token_id`` and the like) and in
    ``tokenizer_config.json`` are changed as well. Padding of the base is dropped.

    Args:
        model_dir: The base model, as for :func:`rewrite_checkpoint`.
        new_dir: The folder to write.
        old_ids: For each new id, from 0 on, the id that its token had: ``old_ids`` of what :func:`bbpe.prune` returned.
        tokenizer: What :func:`bbpe.prune` returned, a tokenizer, or the folder that holds its files.
        pad_to_multiple: Round the rows up to a multiple; rows of no token get the mean of the others.
        input_names: As for :func:`read_checkpoint`.
        output_names: As for :func:`read_checkpoint`.
        leave_names: As for :func:`read_checkpoint`.
        force: Replace ``new_dir`` where it holds nothing but files of these names.
        progress: Called with the bytes of weights written so far.

    Raises:
        FormatError: As for :func:`rewrite_checkpoint`.
        VocabularyError: The ids are not the model's, or a config names one that was pruned.
        OutputError: The output exists, or cannot be written.
    """
    checkpoint = read_checkpoint(model_dir, input_names=input_names, output_names=output_names, leave_names=leave_names)
    old_ids = [index(id) for id in old_ids]
    moved = {old: new for new, old in enumerate(old_ids)}
    if not old_ids or len(moved) < len(old_ids) or min(old_ids) < 0 or max(old_ids) >= checkpoint.rows:
        raise VocabularyError(
            f"{checkpoint.folder}: its matrices have {checkpoint.rows:,} rows, which these {len(old_ids):,} ids do not "
            "choose from, each once: they are another model's"
        )
    new_rows = _rounded(len(old_ids), pad_to_multiple)

    def write_matrix(source: IO[bytes], output: IO[bytes], tensor: Tensor, job: _Job, wrote: _Wrote) -> None:
        stored = StoredRows(source, tensor, NUMPY[tensor.dtype])
        blocks = row_blocks(stored, old_ids, new_rows, bfloat16_bits=tensor.dtype == "BF16")
        for block in blocks:
            output.write(block.data.cast("B"))
            wrote(block.nbytes)

    def write_files(folder: Path) -> tuple[str, ...]:
        write_json(folder / CONFIG, with_moved_ids(_new_config(checkpoint.config, new_rows), moved, CONFIG))
        if (folder / GENERATION_CONFIG).is_file():
            generation = read_object(folder / GENERATION_CONFIG)
            write_json(folder / GENERATION_CONFIG, with_moved_ids(generation, moved, GENERATION_CONFIG))
        return write_pruned_tokenizer(tokenizer, checkpoint.folder, folder, moved)

    jobs = {name: _Job(role, "copy", 0, None) for name, role in _roles(checkpoint).items()}
    work = _Work(checkpoint, new_rows, jobs, write_matrix, write_files, True)
    return _write_folder(work, Path(new_dir), force, progress)


_Wrote: TypeAlias = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class _Job:
    """How a tensor gets its rows. Copies of one matrix have the same stream of noise and get the same rows."""

    role: str
    method: str
    stream: int
    donor: tuple[Path, Tensor] | None


@dataclass(frozen=True, slots=True)
class _Work:
    """What is to become of a checkpoint: rows, the tensors that change and how, and the files beside the weights."""

    checkpoint: Checkpoint
    new_rows: int
    jobs: Mapping[str, _Job]
    write_matrix: Callable[[IO[bytes], IO[bytes], Tensor, _Job, _Wrote], None]
    write_files: Callable[[Path], tuple[str, ...]]  # returns notes
    new_tokenizer: bool


def _write_folder(work: _Work, target: Path, force: bool, progress: Callable[[Progress], None] | None) -> RewriteRecord:
    checkpoint, new_rows, jobs = work.checkpoint, work.new_rows, work.jobs
    _check_apart(checkpoint.folder, target)
    others, left_out = _other_files(checkpoint, work.new_tokenizer)
    size = sum(
        tensor_bytes(tensor.dtype, _new_shape(tensor, jobs, new_rows)) or 0
        for file in checkpoint.files.values()
        for tensor in file.tensors
    )
    _check_space(target, size + sum((checkpoint.folder / name).stat().st_size for name in others))
    reporter = _Reporter(progress, size)
    names = {CONFIG, *others, *checkpoint.files, *TOKENIZER_FILES, "vocab.tiktoken", "vocab.tiktoken.json"}
    names.update((INDEX,) if checkpoint.index is not None else ())
    matrices: list[RewrittenMatrix] = []
    with atomic_directory(target, force, {name.split("/")[0] for name in names}) as folder:
        for name in others:
            copy_file(checkpoint.folder / name, folder / name)
        notes = work.write_files(folder)
        for name, file in checkpoint.files.items():
            matrices += _write_shard(file, folder / name, work, reporter)
        if checkpoint.index is not None:
            write_json(folder / INDEX, _new_index(checkpoint, matrices, size))
        files = tuple(sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()))
    reporter.wrote(0, last=True)
    return RewriteRecord(
        target,
        checkpoint.rows,
        new_rows,
        checkpoint.tied,
        tuple(matrices),
        sum(len(file.tensors) for file in checkpoint.files.values()) - len(matrices),
        size,
        files,
        {name: reason for name, reason in left_out.items() if name not in files},
        (*notes, *_notes(checkpoint, new_rows)),
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
    return _rounded(max(checkpoint.rows, plan.new_rows), multiple)


def _rounded(rows: int, multiple: int | None) -> int:
    if multiple is None:
        return rows
    if multiple < 1:
        raise VocabularyError(f"rows cannot be a multiple of {multiple}")
    return -(-rows // multiple) * multiple


def _jobs(
    checkpoint: Checkpoint, plan: EmbeddingPlan, method: str, output_method: str | None, donor: Checkpoint | None
) -> dict[str, _Job]:
    """For each tensor that gains rows, how."""
    output = output_method or method
    for each in (method, output):
        if each not in METHODS:
            raise VocabularyError(f"unknown method {each!r}; there are {', '.join(METHODS)}")
    given: tuple[tuple[Path, Tensor] | None, ...] = (None, None, None)
    if donor is not None:
        if not plan.donor_ids:
            raise VocabularyError(
                f"{donor.folder}: the plan has no tokens that were taken over from another vocabulary"
            )
        # A tied donor has one matrix for both roles.
        outputs = donor.output_names or donor.input_names
        given = tuple(_find(donor, names) for names in (donor.input_names, outputs, donor.bias_names))
    jobs = dict.fromkeys(checkpoint.input_names, _Job("input", method, 0, given[0]))
    role = _Job("output", output, 0 if checkpoint.tied else 1, given[0] if checkpoint.tied else given[1])
    jobs.update(dict.fromkeys(checkpoint.output_names, role))
    jobs.update(dict.fromkeys(checkpoint.bias_names, _Job("output bias", output, 2, given[2])))
    return jobs


def _roles(checkpoint: Checkpoint) -> dict[str, str]:
    return (
        dict.fromkeys(checkpoint.input_names, "input")
        | dict.fromkeys(checkpoint.output_names, "output")
        | dict.fromkeys(checkpoint.bias_names, "output bias")
    )


def _find(donor: Checkpoint, names: Sequence[str]) -> tuple[Path, Tensor] | None:
    found = ((file.path, tensor) for file in donor.files.values() for tensor in file.tensors)
    return next(((path, tensor) for path, tensor in found if tensor.name in names), None)


def _notes(checkpoint: Checkpoint, new_rows: int) -> tuple[str, ...]:
    multiple = min(checkpoint.rows & -checkpoint.rows, 128)
    if multiple < 16 or new_rows % multiple == 0:
        return ()
    return (
        f"the model had a multiple of {multiple} rows, now it has {new_rows:,}; pad_to_multiple={multiple} keeps that",
    )


def _new_shape(tensor: Tensor, jobs: Mapping[str, object], new_rows: int) -> tuple[int, ...]:
    return (new_rows, *tensor.shape[1:]) if tensor.name in jobs else tensor.shape


def _write_shard(file: TensorFile, path: Path, work: _Work, reporter: _Reporter) -> list[RewrittenMatrix]:
    matrices = []
    with open_to_read(file.path) as source, open(path, "wb") as target:
        # Widest elements first, as the safetensors package writes: so all begin aligned, whatever length those before
        # them have now.
        tensors = sorted(file.tensors, key=lambda tensor: -DTYPE_BITS[tensor.dtype])
        shapes = [(tensor.name, tensor.dtype, _new_shape(tensor, work.jobs, work.new_rows)) for tensor in tensors]
        write_header(target, shapes, file.metadata)
        for tensor, (_, _, shape) in zip(tensors, shapes, strict=True):
            if tensor.name not in work.jobs:
                copy_bytes(source, target, tensor.start, tensor.size, reporter.wrote)
                continue
            job = work.jobs[tensor.name]
            try:
                work.write_matrix(source, target, tensor, job, reporter.wrote)
            except VocabularyError as error:
                raise VocabularyError(f"{file.path}: {tensor.name}: {error}") from None
            matrices.append(RewrittenMatrix(tensor.name, job.role, job.method, tensor.dtype, tensor.shape, shape))
    return matrices


def _new_values(
    source: IO[bytes], tensor: Tensor, plan: EmbeddingPlan, job: _Job, new_rows: int, chance: tuple[int, float]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any]]:
    with contextlib.ExitStack() as stack:
        donor = None
        if job.donor is not None:
            path, rows = job.donor
            donor = StoredRows(stack.enter_context(open_to_read(path)), rows, NUMPY[rows.dtype])
        return plan.new_values(
            StoredRows(source, tensor, NUMPY[tensor.dtype]),
            job.method,
            seed=(chance[0], job.stream),
            noise=chance[1],
            rows=new_rows,
            donor=donor,
            bfloat16_bits=tensor.dtype == "BF16",
        )


def _write_rows(
    source: IO[bytes],
    target: IO[bytes],
    tensor: Tensor,
    ids: npt.NDArray[np.int64],
    values: npt.NDArray[Any],
    wrote: _Wrote,
) -> None:
    """Old rows from file to file, with the new ones in their places between and behind them."""
    row_bytes = tensor.size // tensor.shape[0]
    place = 0
    edges = np.flatnonzero(np.diff(ids, prepend=-2, append=-2) != 1)  # around runs of ids that follow one another
    for start, stop in itertools.pairwise(edges):
        first = int(ids[start])
        if first > place:
            copy_bytes(source, target, tensor.start + place * row_bytes, (first - place) * row_bytes, wrote)
        block = values[start:stop]
        target.write(block.data.cast("B"))
        wrote(block.nbytes)
        place = int(ids[stop - 1]) + 1
    rest = tensor.shape[0] - place
    if rest > 0:
        copy_bytes(source, target, tensor.start + place * row_bytes, rest * row_bytes, wrote)


def _new_config(config: dict[str, Any], new_rows: int) -> dict[str, Any]:
    """The config with the new vocab_size, also where a part trusted in its class's default."""
    changed: dict[str, Any] = json.loads(json.dumps(config))
    outer, *inner = text_configs(changed)
    for part in inner:
        part["vocab_size"] = new_rows
    for key in SIZES:
        if outer.get(key) is not None or (key == "vocab_size" and not inner):
            outer[key] = new_rows
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


# --- other files ---


def _other_files(checkpoint: Checkpoint, new_tokenizer: bool) -> tuple[list[str], dict[str, str]]:
    """(Files to copy, files left out with the reason), by their names relative to the folder."""
    rewritten = {CONFIG, *checkpoint.files, *((INDEX,) if checkpoint.index is not None else ())}
    copied: list[str] = []
    left_out: dict[str, str] = {}
    for folder, subfolders, names in os.walk(checkpoint.folder):
        links = sorted(name for name in subfolders if Path(folder, name).is_symlink())
        left_out.update((Path(folder, name).relative_to(checkpoint.folder).as_posix(), "a link") for name in links)
        subfolders[:] = sorted(name for name in subfolders if name not in (*_SKIPPED_FOLDERS, *links))
        for base in sorted(names):
            path = Path(folder, base)
            name = path.relative_to(checkpoint.folder).as_posix()
            if name in rewritten:
                continue
            if not path.is_file():
                left_out[name] = "no regular file"
            elif PICKLES.match(base) or base.endswith(_OTHER_WEIGHTS) or base.endswith(".safetensors.index.json"):
                left_out[name] = "other weights, which do not fit the new vocabulary"
            elif new_tokenizer and is_tokenizer_file(base):
                left_out[name] = "replaced by the new tokenizer's files"
            else:
                copied.append(name)
    return copied, left_out
