"""Load and save tokenizers: a path in any format, or a name of the catalogue.

:func:`load` finds out what a path is by its content and adds what the catalogue knows. :func:`save` writes a folder for
transformers or a single file, :func:`add` keeps a copy under a name. What is written stands under its final name only
when all of it is on the disk (``atomic.py``). The formats themselves are in ``formats/``.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bbpe import catalogue
from bbpe.atomic import atomic_directory as atomic_directory
from bbpe.atomic import atomic_files as atomic_files
from bbpe.atomic import atomic_write as atomic_write
from bbpe.atomic import output_errors
from bbpe.engines import EngineModel, EngineTokenizer
from bbpe.errors import FormatError
from bbpe.formats import FORMATS, detect, known_formats, tiktoken_file, tokenizer_json, vocab_merges
from bbpe.formats.files import decode_utf8, read_bytes, shortened
from bbpe.formats.sidecar import Kind, sidecar_path, write_sidecar
from bbpe.holdings import SIDECAR_FORMATS, TOKENIZER_JSON, check_copy, locate, parts
from bbpe.patterns import Pattern, get_pattern
from bbpe.tokenizer import Tokenizer
from bbpe.vocabulary import Template, Vocabulary

if TYPE_CHECKING:
    from bbpe.training import TrainingRecord

TOKENIZER_CONFIG = "tokenizer_config.json"
TIKTOKEN = "vocab.tiktoken"
TRAINING = "training.json"
EXTENSION, PRUNING = "extension.json", "pruning.json"
OUTPUT_FILES = frozenset(
    (
        TOKENIZER_JSON,
        TOKENIZER_CONFIG,
        TIKTOKEN,
        TIKTOKEN + ".json",
        TRAINING,
        EXTENSION,
        PRUNING,
        "tokenizer.model",  # of an extended SentencePiece vocabulary
        vocab_merges.VOCAB,
        vocab_merges.MERGES,
        vocab_merges.MERGES + ".json",
    )
)
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
        path_or_name: A path; where nothing has that path, a name of the catalogue or one that :func:`add` gave, whose
            file is looked for in ``$BBPE_HOME/vocabs/<name>/`` (nothing is downloaded). In a folder the file that its
            name stands for wins, else ``tokenizer.json``.
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
    found = locate(path_or_name, format)
    try:
        model = _read(found.path, format or detect(found.path), wanted, special_tokens, lowercase, found.entry)
    except FormatError as error:
        if len(str(error)) <= _MAX_MESSAGE:
            raise
        raise FormatError(shortened(error)) from None  # it quotes what the file holds, which may be megabytes
    return _at_work(model, found.path, found.folder)


def _at_work(model: Vocabulary | EngineModel, path: Path, folder: Path | None = None) -> Tokenizer | EngineTokenizer:
    """What encodes with the contents of a file, and the record that its folder holds."""
    if isinstance(model, Vocabulary):
        return Tokenizer(model, training_record=None if folder is None else _record_of(folder, model))
    try:
        return EngineTokenizer(model)
    except FormatError as error:
        raise FormatError(f"{path}: {shortened(error)}") from None


def _record_of(folder: Path, vocabulary: Vocabulary) -> TrainingRecord | None:
    """The record in a folder that :func:`save` wrote; None where ``training.json`` is missing or of something else."""
    path = folder / TRAINING
    if not path.exists():
        return None
    from bbpe.training import TrainingRecord  # here, since most folders have no record

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
    lowercase: bool | None,
    entry: catalogue.Entry | None,
) -> Vocabulary | EngineModel:
    """Read one file, with what the catalogue knows of it where neither caller nor sidecar say it.

    Args:
        path: The file.
        format: A key of ``FORMATS``.
        pattern: From the caller.
        special_tokens: From the caller.
        lowercase: From the caller.
        entry: What the file is by its name or its folder; where that says nothing, its contents are looked up.
    """
    takes_case = "lowercase" in FORMATS[format].options
    if lowercase is not None and not takes_case:
        raise FormatError(f"{path}: lowercase is said for a WordPiece vocab.txt only; this is {format}")
    # A .gguf may be a whole model, of which the vocabulary is the head: it is never read to its end.
    contents = {file: read_bytes(file) for file in parts(path, format)} if format != "gguf" else {}
    if entry is None:
        entry = catalogue.recognize_all(list(contents.values())) if contents else None
    elif contents:
        check_copy(contents, entry)
    has_sidecar = format in SIDECAR_FORMATS and sidecar_path(list(contents)[-1]).exists()
    if entry is not None:
        if pattern is None and format in SIDECAR_FORMATS and not has_sidecar:
            pattern = entry.pattern
        if special_tokens is None and not has_sidecar:
            special_tokens = _unsaid_special_tokens(entry, format)
        if lowercase is None and takes_case:
            lowercase = entry.lowercase
    options = {} if lowercase is None else {"lowercase": lowercase}
    model = FORMATS[format].read(path, pattern=pattern, special_tokens=special_tokens, **options)
    return model if entry is None else _completed(model, entry, whole=has_sidecar or format == "tokenizer.json")


def _unsaid_special_tokens(entry: catalogue.Entry, format: str) -> dict[str, int] | None:
    """The special tokens that a file of this format does not name; None where it names them, or nobody can."""
    known = {special.content: special.id for special in entry.special_tokens}
    if format == "tiktoken":
        return known
    return known or None if entry.own or format in ("vocab+merges", "piece-list") else None


def _completed(model: Vocabulary | EngineModel, entry: catalogue.Entry, *, whole: bool) -> Vocabulary | EngineModel:
    """What was read, with the entry's name, and with what is around a text where the file is not the ``whole`` of it."""
    if whole:
        return model.replace(name=entry.name)
    around = {*entry.template.before, *entry.template.after}
    if isinstance(model, Vocabulary):
        ids = model.tokens.keys() | {special.id for special in model.special_tokens}
        template = entry.template if ids >= around else Template()
        return model.replace(name=entry.name, template=template, normalizer=entry.normalizer)
    # Beside a SentencePiece model the publisher's code has special tokens that follow its last piece.
    more = tuple(special for special in entry.special_tokens if special.id not in model.pieces)
    pieces = {**model.pieces, **{special.id: special.content for special in more}}
    return model.replace(
        name=entry.name,
        pieces=pieces,
        tokens={**model.tokens, **{special.id: special.content.encode() for special in more}},
        special_tokens=(*model.special_tokens, *more),
        template=entry.template if pieces.keys() >= around else Template(),
    )


# --- a name of one's own ---


def add(
    name: str,
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    pattern: str | Sequence[str] | Pattern | None = None,
    special_tokens: Mapping[str, int] | None = None,
    lowercase: bool | None = None,
    force: bool = False,
) -> catalogue.Entry:
    """Keep a copy of a vocabulary in ``$BBPE_HOME/vocabs/<name>``, so that :func:`load` finds it by that name.

    The files are copied as they are; what the caller says beside them goes into a sidecar, or into the entry's own
    record. Nothing stands there before all of it does.

    Args:
        name: The new name; none of the catalogue's.
        path: A file or folder.
        format: As in :func:`load`.
        pattern: As in :func:`load`.
        special_tokens: As in :func:`load`.
        lowercase: As in :func:`load`.
        force: Replace what was added under this name before.

    Raises:
        FormatError: The name cannot be used, or the vocabulary cannot be loaded.
        OutputError: Something of that name is there (and ``force`` is false), or it cannot be written.
        PatternError: ``pattern`` does not compile or is not known.
    """
    if not catalogue.is_name(name):
        raise FormatError(
            f"{name[:100]!r} cannot be a name: at most 100 letters, digits and marks other than spaces, slashes and "
            "quotes, and no dot or hyphen in front"
        )
    taken = catalogue.published(name)
    if taken is not None:
        raise FormatError(f"{name} is a name of the catalogue ({taken.name}: {taken.family}); choose another")
    wanted = get_pattern(pattern) if pattern is not None else None
    found = locate(path, format)
    chosen = format or detect(found.path)
    if chosen not in FORMATS:
        raise FormatError(f"unknown format {chosen!r}; bbpe knows {known_formats()}")
    model = _read(found.path, chosen, wanted, special_tokens, lowercase, found.entry)
    _at_work(model, found.path)  # what cannot be used is not kept
    if lowercase is None and found.entry is not None:
        lowercase = found.entry.lowercase
    files = parts(found.path, chosen)
    hidden = next((file for file in files if not catalogue.is_file_name(file.name)), None)
    if hidden is not None:
        raise FormatError(f"{hidden}: no name for a file in {catalogue.home() / 'vocabs' / name}; rename it first")
    contents = [read_bytes(file) for file in files]
    published = (
        catalogue.PublishedFile(file.name, hashlib.sha256(content).hexdigest(), len(content))
        for file, content in zip(files, contents, strict=True)
    )
    entry = catalogue.own_entry(
        name,
        chosen,
        algorithm="byte-level bpe" if isinstance(model, Vocabulary) else model.algorithm,
        files=tuple(published),
        pattern=model.pattern if isinstance(model, Vocabulary) else None,
        special_tokens=special_tokens or {},
        lowercase=lowercase,
        note=f"added from {os.path.abspath(found.path)}",
    )
    target = entry.path()
    with output_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_directory(target, force, _replaceable(target)) as folder:
        for file in files:
            shutil.copyfile(file, folder / file.name)
        sidecar = sidecar_path(files[-1])
        if chosen in SIDECAR_FORMATS and isinstance(model, Vocabulary):
            if sidecar.exists() and pattern is None and special_tokens is None:
                shutil.copyfile(sidecar, folder / sidecar.name)
            else:
                kind: Kind = "ranks" if model.merges is None else "merges"
                write_sidecar(model.replace(name=name), folder / files[-1].name, kind, b"".join(contents))
        (folder / catalogue.OWN_ENTRY).write_bytes(catalogue.own_record(entry))
    return entry


def _replaceable(target: Path) -> set[str]:
    """The files of a vocabulary that was added before; a folder of anything else is not replaced."""
    try:
        before = catalogue.find(target.name)
    except FormatError:  # the record is damaged: nothing says whose files those are
        return {catalogue.OWN_ENTRY}
    if before is None or not before.own:
        return set()
    names = {file.name for file in before.files}
    return {catalogue.OWN_ENTRY, *names, *(sidecar_path(Path(name)).name for name in names)}


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
    tokenizer: Tokenizer,
    path: str | os.PathLike[str],
    *,
    force: bool = False,
    format: str | None = None,
    extra_files: Mapping[str, str] | None = None,
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
        extra_files: Name to text of further files of a folder: the record of an extension.

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
        return _save_folder(tokenizer, target, force, extra_files or {})
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
    if text.endswith(("/", os.sep)) or os.path.isdir(text):  # not is_dir, which complains of a name that is too long
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


def _save_folder(tokenizer: Tokenizer, target: Path, force: bool, extra_files: Mapping[str, str]) -> Saved:
    vocabulary = tokenizer.vocabulary
    left_out: dict[str, str] = {}
    with atomic_directory(target, force, OUTPUT_FILES) as folder:
        try:
            tokenizer_json.write(vocabulary, folder / TOKENIZER_JSON)
            tokenizer_json.write_config(vocabulary, folder / TOKENIZER_CONFIG)
        except FormatError as error:
            left_out[TOKENIZER_JSON] = str(error)
            _remove(folder, TOKENIZER_JSON, TOKENIZER_CONFIG)
            try:  # hours of training must not be lost for want of a dialect
                vocab_merges.write(vocabulary, folder)
            except FormatError as fault:
                left_out[vocab_merges.VOCAB] = str(fault)
                _remove(folder, vocab_merges.VOCAB, vocab_merges.MERGES, vocab_merges.MERGES + ".json")
        try:
            tiktoken_file.write(vocabulary, folder / TIKTOKEN)
        except FormatError as error:
            left_out[TIKTOKEN] = str(error)
            _remove(folder, TIKTOKEN, TIKTOKEN + ".json")
        if len(left_out) == 3:
            raise FormatError("; ".join(f"{name}: {reason}" for name, reason in left_out.items()))
        record = tokenizer.training_record
        if record is not None:
            (folder / TRAINING).write_text(record.to_json(), encoding="utf-8", newline="\n")
        for name, text in extra_files.items():
            (folder / name).write_text(text, encoding="utf-8", newline="\n")
        names = sorted(entry.name for entry in folder.iterdir())
    return Saved(target, tuple(target / name for name in names), left_out)


def _remove(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).unlink(missing_ok=True)
