"""Load and save tokenizers: a path in any format, or a name of the catalogue; and writing that is all or nothing.

:func:`load` finds out what a path is by its content and adds what the catalogue knows. :func:`save` writes a folder for
transformers or a single file. What is written stands under its final name only when all of it is on the disk:
:func:`atomic_write` and :func:`atomic_directory` write beside it and rename; a crash leaves the old output or the new
one, whole. The formats themselves are in ``formats/``.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import secrets
import shutil
import stat
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from bbpe import catalogue
from bbpe.engines import EngineModel, EngineTokenizer
from bbpe.errors import FormatError, OutputError
from bbpe.formats import FORMATS, detect, known_formats, tiktoken_file, tokenizer_json, vocab_merges
from bbpe.formats.files import decode_utf8, read_bytes, shortened
from bbpe.formats.sidecar import sidecar_path
from bbpe.patterns import Pattern, get_pattern
from bbpe.tokenizer import Tokenizer
from bbpe.training import TrainingRecord
from bbpe.vocabulary import Template, Vocabulary

TOKENIZER_JSON = "tokenizer.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
TIKTOKEN = "vocab.tiktoken"
TRAINING = "training.json"
OUTPUT_FILES = frozenset(
    (
        TOKENIZER_JSON,
        TOKENIZER_CONFIG,
        TIKTOKEN,
        TIKTOKEN + ".json",
        TRAINING,
        vocab_merges.VOCAB,
        vocab_merges.MERGES,
        vocab_merges.MERGES + ".json",
    )
)
_SUFFIXES = ("", ".gz", ".xz")
_MAX_MESSAGE = 1000  # characters


# --- load ---


def load(
    path_or_name: str | os.PathLike[str],
    *,
    format: str | None = None,
    pattern: str | Sequence[str] | Pattern | None = None,
    special_tokens: Mapping[str, int] | None = None,
    lowercase: bool | None = None,
) -> Tokenizer | EngineTokenizer:
    """Load a tokenizer from a file or folder in any known format, or by its name in the catalogue.

    Args:
        path_or_name: A path; where nothing has that path, a catalogue name, whose file is looked for in
            ``$BBPE_HOME/vocabs/<name>/``. In a folder ``tokenizer.json`` wins.
        format: A key of ``bbpe.formats.FORMATS``; told by content when not given.
        pattern: What a ``.tiktoken`` or ``merges.txt`` does not carry: a pattern's name or regex. Wins over sidecar
            and catalogue.
        special_tokens: ``{content: id}`` likewise; ``{}`` for none.
        lowercase: What a WordPiece ``vocab.txt`` does not carry: whether text is lower-cased and loses its accents.

    Returns:
        A ``Tokenizer`` where bbpe's own encoder runs the vocabulary (byte-level BPE), else an ``EngineTokenizer``, which
        another library runs; both say which in ``engine``.

    Raises:
        FormatError: There is no such file or name, it is damaged, of an unknown format, or does not carry what is
            needed.
        PatternError: ``pattern`` does not compile or is not known.
    """
    if format is not None and format not in FORMATS:
        raise FormatError(f"unknown format {format!r}; bbpe knows {known_formats()}")
    wanted = get_pattern(pattern) if pattern is not None else None
    path = _find(path_or_name)
    folder = path if path.is_dir() else None
    if folder is not None:
        path = _file_in_folder(folder, format)
    try:
        vocabulary = _read(path, format or detect(path), wanted, special_tokens, lowercase)
    except FormatError as error:
        if len(str(error)) <= _MAX_MESSAGE:
            raise
        raise FormatError(shortened(error)) from None  # it quotes what the file holds, which may be megabytes
    if isinstance(vocabulary, EngineModel):
        try:
            return EngineTokenizer(vocabulary)
        except FormatError as error:
            raise FormatError(f"{path}: {shortened(error)}") from None
    return Tokenizer(vocabulary, training_record=None if folder is None else _record_of(folder, vocabulary))


def _record_of(folder: Path, vocabulary: Vocabulary) -> TrainingRecord | None:
    """The record in a folder that :func:`save` wrote; None where ``training.json`` is missing or of something else."""
    path = folder / TRAINING
    if not path.exists():
        return None
    try:
        record = TrainingRecord.from_json(decode_utf8(read_bytes(path), path))
    except (FormatError, RecursionError):
        return None  # other programs use this name too, and the record decides no id
    return record if record.vocab_size == vocabulary.vocab_size else None


def _read(
    path: Path,
    format: str,
    pattern: Pattern | None,
    special_tokens: Mapping[str, int] | None,
    lowercase: bool | None = None,
) -> Vocabulary | EngineModel:
    """Read one file, with what the catalogue knows of it where no sidecar says it."""
    options: dict[str, bool] = {}
    if lowercase is not None:
        if "lowercase" not in FORMATS[format].options:
            raise FormatError(f"{path}: lowercase is said for a WordPiece vocab.txt only; this is {format}")
        options["lowercase"] = lowercase
    entry = None
    if format == "tiktoken" and not sidecar_path(path).exists():
        entry = catalogue.recognize(read_bytes(path))
    if entry is None:
        return FORMATS[format].read(path, pattern=pattern, special_tokens=special_tokens, **options)
    known = {special.content: special.id for special in entry.special_tokens}
    vocabulary = FORMATS[format].read(
        path,
        pattern=pattern if pattern is not None else entry.pattern,
        special_tokens=known if special_tokens is None else special_tokens,
        **options,
    )
    if isinstance(vocabulary, EngineModel):
        return vocabulary.replace(template=entry.template, name=entry.name)
    ids = {special.id for special in vocabulary.special_tokens}
    template = entry.template if ids.issuperset((*entry.template.before, *entry.template.after)) else Template()
    return vocabulary.replace(normalizer=entry.normalizer, template=template, name=entry.name)


def _find(path_or_name: str | os.PathLike[str]) -> Path:
    path = Path(path_or_name)
    try:
        if path.exists():
            return path
    except (OSError, ValueError) as error:  # a name too long, or with a NUL in it
        raise FormatError(f"{str(path)[:200]!r}: {getattr(error, 'strerror', None) or error}") from None
    name = os.fspath(path_or_name)
    entry = catalogue.find(name)
    home = catalogue.home()
    if entry is None:
        folder = home / "vocabs" / name if home and path.name == name and name not in ("", ".", "..") else None
        if folder is not None and folder.is_dir():
            return folder
        known = ", ".join(catalogue.entries())
        raise FormatError(f"{name}: no such file or folder, and no name of the catalogue ({known})")
    if home is None:
        raise FormatError(
            f"{entry.name}: set BBPE_HOME to the folder that holds vocabs/{entry.name}/{entry.file} "
            f"(from {entry.source})"
        )
    folder = home / "vocabs" / entry.name
    if not folder.is_dir():
        raise FormatError(f"{entry.name}: {folder} does not exist; put {entry.file} there (from {entry.source})")
    return folder


def _file_in_folder(folder: Path, format: str | None) -> Path:
    """The vocabulary file of a folder: tokenizer.json, else the only .tiktoken, else the pair, else a file of another
    format's usual name, else the only file at all."""
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_file() and not entry.name.startswith("."))

    def named(name: str) -> Path | None:
        return next((folder / (name + suffix) for suffix in _SUFFIXES if name + suffix in names), None)

    def is_tiktoken(name: str) -> bool:
        return name.removesuffix(".gz").removesuffix(".xz").endswith(".tiktoken")

    if format in (None, "tokenizer.json"):
        found = named(TOKENIZER_JSON)
        if found:
            return found
    if format in (None, "tiktoken"):
        tables = [name for name in names if is_tiktoken(name)]
        if len(tables) == 1:
            return folder / tables[0]
    if format in (None, "vocab+merges"):
        found = named(vocab_merges.VOCAB)
        if found and named(vocab_merges.MERGES):
            return found
    for known in FORMATS.values():
        if format in (None, known.name):
            found = next(filter(None, map(named, known.names)), None)
            if found:
                return found
    if format in (None, "gguf"):
        models = [name for name in names if name.endswith(".gguf")]
        if len(models) == 1:
            return folder / models[0]
    if len(names) == 1:
        return folder / names[0]
    shown = ", ".join(names[:10]) or "nothing"
    raise FormatError(f"{folder}: holds {shown}; which of them is the vocabulary? Give the file's path")


# --- save ---


@dataclass(frozen=True, slots=True)
class Saved:
    """What :func:`save` wrote.

    Attributes:
        path: The folder or file as given.
        files: The paths of all files written.
        left_out: File name to the reason why it was not written: what a format cannot say exactly is left out of a
            folder.
    """

    path: Path
    files: tuple[Path, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)


def save(
    tokenizer: Tokenizer, path: str | os.PathLike[str], *, force: bool = False, format: str | None = None
) -> Saved:
    """Save a tokenizer as a folder or as a single file.

    A folder (a path without a known suffix) holds ``tokenizer.json`` and ``tokenizer_config.json`` for transformers,
    ``vocab.tiktoken`` with its sidecar where that is exact, and ``training.json`` when the tokenizer was trained
    here. Files are ``out.tiktoken`` (with sidecar), ``out.json``, ``out.gguf``, ``vocab.json`` or ``merges.txt`` (the
    pair with its sidecar).

    Args:
        tokenizer: What to save.
        path: Where.
        force: Replace an output that exists. The old one stays whole until the new one is.
        format: ``"directory"`` or a key of ``bbpe.formats.FORMATS``; told by the path when not given.

    Returns:
        What was written, and what was left out of a folder and why.

    Raises:
        FormatError: The format cannot say this vocabulary exactly.
        OutputError: The output exists (and ``force`` is false) or cannot be written.
    """
    if not isinstance(tokenizer, Tokenizer):
        reason = getattr(tokenizer, "reason", "")
        raise FormatError(f"bbpe writes its own vocabularies, byte-level BPE; not this one: {reason}")
    target = Path(path)
    chosen = format or format_of_output(path)
    if chosen == "directory":
        return _save_folder(tokenizer, target, force)
    written = FORMATS.get(chosen)
    if written is None or written.write is None or written.files is None:
        known = ", ".join(format.name for format in FORMATS.values() if format.write is not None)
        raise FormatError(f"{'unknown format ' if written is None else ''}{chosen!r}; bbpe writes directory, {known}")
    if chosen == "vocab+merges" and not target.suffix:
        with atomic_directory(target, force, OUTPUT_FILES) as folder:
            vocab_merges.write(tokenizer.vocabulary, folder)
            names = sorted(entry.name for entry in folder.iterdir())
        return Saved(target, tuple(target / name for name in names))
    names = list(written.files(target.name))
    with atomic_files(target, names, force) as folder:
        written.write(tokenizer.vocabulary, folder / target.name)
    return Saved(target, tuple(target.with_name(name) for name in names))


def format_of_output(path: str | os.PathLike[str]) -> str:
    """Which format an output's name asks for: ``"directory"`` or a key of ``FORMATS``.

    Raises:
        FormatError: A suffix that bbpe does not write.
    """
    text = os.fspath(path)
    target = Path(text)
    if text.endswith(("/", os.sep)) or target.is_dir():
        return "directory"
    if target.name.endswith((vocab_merges.VOCAB, vocab_merges.MERGES)):
        return "vocab+merges"
    suffix = target.suffix.lower()
    if suffix == ".tiktoken":
        return "tiktoken"
    if suffix == ".json":
        return "tokenizer.json"
    if suffix == ".gguf":
        return "gguf"
    if suffix[1:].isalpha():
        raise FormatError(
            f"{text}: bbpe writes no {suffix} files; end the name in .tiktoken, .json, vocab.json, merges.txt or "
            ".gguf, or in none of them for a folder"
        )
    return "directory"


def _save_folder(tokenizer: Tokenizer, target: Path, force: bool) -> Saved:
    vocabulary = tokenizer.vocabulary
    left_out: dict[str, str] = {}
    with atomic_directory(target, force, OUTPUT_FILES) as folder:
        try:
            tokenizer_json.write(vocabulary, folder / TOKENIZER_JSON)
            tokenizer_json.write_config(vocabulary, folder / TOKENIZER_CONFIG)
        except FormatError as error:
            left_out[TOKENIZER_JSON] = str(error)
            _remove(folder, TOKENIZER_JSON)
            vocab_merges.write(vocabulary, folder)  # hours of training must not be lost for want of a dialect
        try:
            tiktoken_file.write(vocabulary, folder / TIKTOKEN)
        except FormatError as error:
            left_out[TIKTOKEN] = str(error)
            _remove(folder, TIKTOKEN, TIKTOKEN + ".json")
        record = tokenizer.training_record
        if record is not None:
            (folder / TRAINING).write_text(record.to_json(), encoding="utf-8", newline="\n")
        names = sorted(entry.name for entry in folder.iterdir())
    return Saved(target, tuple(target / name for name in names), left_out)


def _remove(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).unlink(missing_ok=True)


# --- all or nothing ---


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str], *, force: bool = False) -> Iterator[IO[bytes]]:
    """A binary file that takes its name only when it is complete.

    It is written beside ``path`` and renamed at the end of the ``with`` block; after an exception nothing of it is
    left.

    Raises:
        OutputError: ``path`` exists and ``force`` is false, or it cannot be written (no permission, disk full).
    """
    target = Path(path)
    with _output_errors(target):
        _refuse_existing(target, force)
        final = Path(os.path.realpath(target))  # a symbolic link stays one
        temporary = _beside(final)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            _refuse_existing(target, force)
            os.replace(temporary, final)
            _sync_folder(final.parent)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_directory(
    path: str | os.PathLike[str], force: bool = False, replaceable: Collection[str] | None = None
) -> Iterator[Path]:
    """A folder that takes its name only when it is complete.

    Yields the folder to fill, which lies beside ``path``. With ``force`` the old folder is exchanged for the new one
    in one step where the system can (Linux, macOS), else in two renames, and removed afterwards.

    Args:
        path: The final folder; its parent has to exist.
        force: Replace a folder that exists.
        replaceable: The names that a folder to be replaced may hold. Any other name in it is an error even with
            ``force``: a mistyped path must not cost somebody's files. None allows all.

    Raises:
        OutputError: ``path`` exists and ``force`` is false, holds other files, or cannot be written (no permission,
            disk full).
    """
    target = Path(path)
    with _output_errors(target):
        _refuse_existing_folder(target, force, replaceable)
        final = Path(os.path.realpath(target))
        temporary = _beside(final)
        temporary.mkdir()
        try:
            yield temporary
            for folder, _, names in os.walk(temporary):
                for name in names:
                    _sync_file(Path(folder, name))
                _sync_folder(Path(folder))
            _refuse_existing_folder(target, force, replaceable)
            if final.exists():
                _exchange(temporary, final)
            else:
                os.rename(temporary, final)
            _sync_folder(final.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def atomic_files(path: Path, names: Sequence[str], force: bool) -> Iterator[Path]:
    """A folder to write several files in, which take their names beside ``path`` one right after the other.

    Two files cannot be renamed in one step. A crash in between leaves a new file beside an old sidecar, which the
    sidecar's sha256 tells on reading.
    """
    with _output_errors(path):
        for name in names:
            _refuse_existing(path.with_name(name), force)
        temporary = _beside(Path(os.path.realpath(path)))
        temporary.mkdir()
        try:
            yield temporary
            for name in names:
                _sync_file(temporary / name)
            for name in names:
                _refuse_existing(path.with_name(name), force)
            for name in names:
                os.replace(temporary / name, os.path.realpath(path.with_name(name)))
            _sync_folder(temporary.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def _output_errors(target: Path) -> Iterator[None]:
    """The system's complaints, as an ``OutputError`` that names the output."""
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        if error.errno == errno.ENOENT:
            reason = f"the folder {target.parent} does not exist"
        elif error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            reason = f"no space left ({error.strerror})"
        else:
            reason = error.strerror or str(error)
        raise OutputError(f"{target}: cannot be written: {reason}; nothing was left there") from error


def _refuse_existing(target: Path, force: bool) -> None:
    try:
        mode = os.stat(target).st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        raise OutputError(f"{target}: is a folder; give the path of a file in it")
    if not stat.S_ISREG(mode):
        raise OutputError(f"{target}: is no regular file; bbpe does not replace it")
    if not force:
        raise OutputError(f"{target}: exists already; choose another name or pass force (--force) to replace it")


def _refuse_existing_folder(target: Path, force: bool, replaceable: Collection[str] | None) -> None:
    try:
        mode = os.stat(target).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(mode):
        raise OutputError(f"{target}: exists already and is no folder")
    if not force:
        raise OutputError(f"{target}: exists already; choose another name or pass force (--force) to replace it")
    if replaceable is not None:
        others = sorted(set(os.listdir(target)).difference(replaceable))
        if others:
            shown = ", ".join(others[:5]) + (", …" if len(others) > 5 else "")
            raise OutputError(
                f"{target}: holds other files ({shown}), which force (--force) does not remove; choose another name"
            )


def _beside(final: Path) -> Path:
    """A new name in the same folder, so that renaming never crosses file systems."""
    return final.with_name(f".{final.name[:100]}.{secrets.token_hex(6)}.tmp")


def _sync_file(path: Path) -> None:
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    """Make renames in a folder last; not every system can, and the files themselves are safe without."""
    if os.name == "nt":
        return
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _exchange(new: Path, old: Path) -> None:
    """Exchange two folders' names in one step where the system can, else in two; afterwards ``new`` is the old
    folder."""
    if _exchange_in_one_step(new, old):
        return
    aside = _beside(old)
    os.rename(old, aside)
    try:
        os.rename(new, old)
    except OSError:
        os.rename(aside, old)
        raise
    os.rename(aside, new)


def _exchange_in_one_step(first: Path, second: Path) -> bool:
    exchange = 2  # RENAME_EXCHANGE on Linux, RENAME_SWAP on macOS
    try:
        library = ctypes.CDLL(None, use_errno=True)
        if sys.platform == "linux":
            at_cwd = -100
            return bool(library.renameat2(at_cwd, os.fsencode(first), at_cwd, os.fsencode(second), exchange) == 0)
        if sys.platform == "darwin":
            return bool(library.renamex_np(os.fsencode(first), os.fsencode(second), exchange) == 0)
    except (OSError, AttributeError):  # no such function in this C library
        pass
    return False
