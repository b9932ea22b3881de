"""What lies in ``$BBPE_HOME/vocabs``: which file a name or a path stands for, and whether it is what it should be.

A file in an entry's folder is trusted by its name: it may be of another revision than the catalogue's, repacked
(``.xz``) or in another format. What is refused is a copy that is damaged: as long as the publisher's file and different,
or not what its download recorded.

Nothing is downloaded here (``downloads.py``) and no vocabulary is built (``io.py``).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bbpe import catalogue
from bbpe.errors import FormatError
from bbpe.formats import FORMATS, detect, vocab_merges
from bbpe.formats.files import read_bytes
from bbpe.formats.sidecar import sidecar_path

TOKENIZER_JSON = "tokenizer.json"
SIDECAR_FORMATS = ("tiktoken", "vocab+merges")
"""What these do not carry (a pattern, for one) stands in a sidecar, where there is one."""
_SUFFIXES = ("", ".gz", ".xz")
_AGAIN = "'bbpe vocab get {} --force' fetches it again"

State = Literal["publisher's", "other copy", "own", "damaged", "absent"]


# --- which file ---


@dataclass(frozen=True, slots=True)
class Located:
    """What a path or a name stands for.

    Attributes:
        path: The file to read; of a pair of files the one that names it.
        folder: The folder that was given or found; None where a file was given.
        entry: Which vocabulary it is, by the name asked for or by where it lies; None where neither says so.
    """

    path: Path
    folder: Path | None
    entry: catalogue.Entry | None


def locate(path_or_name: str | os.PathLike[str], format: str | None = None) -> Located:
    """The file of a path; where nothing has that path, of a name of the catalogue or of a folder beside its entries.

    Args:
        path_or_name: What is looked for.
        format: A key of ``bbpe.formats.FORMATS``, which tells files of a folder apart.

    Raises:
        FormatError: There is none; or several files of a folder might be meant.
    """
    path, entry = _find(path_or_name)
    if not path.is_dir():
        return Located(path, None, entry)
    return Located(_file_in_folder(path, format, entry), path, entry)


def _find(path_or_name: str | os.PathLike[str]) -> tuple[Path, catalogue.Entry | None]:
    if not os.fspath(path_or_name):  # of a shell's variable that is not set; as a path it would be this folder
        raise FormatError("the name of the tokenizer is empty; give a file, a folder or a name of the catalogue")
    path = Path(path_or_name)
    try:
        if path.exists():
            return path, catalogue.holding(path)
    except (OSError, ValueError) as error:  # a name too long, or with a NUL in it
        raise FormatError(f"{str(path)[:200]!r}: {getattr(error, 'strerror', None) or error}") from None
    name = os.fspath(path_or_name)
    entry = catalogue.find(name)
    if entry is None:
        folder = catalogue.home() / "vocabs" / name
        if catalogue.is_name(name) and folder.is_dir():
            return folder, None
        raise FormatError(f"no such file or folder, and {catalogue.unknown(name)}")
    folder = entry.path()
    if not _names(folder):
        raise FormatError(f"{entry.name}: there is none in {folder}; 'bbpe vocab get {entry.name}' downloads it")
    return folder, entry


def _names(folder: Path) -> list[str]:
    """The files of a folder that may be of a vocabulary; none where there is no folder."""
    try:
        return sorted(
            file.name
            for file in folder.iterdir()
            if file.is_file() and not file.name.startswith(".") and file.name != catalogue.OWN_ENTRY
        )
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise FormatError(f"{folder}: cannot be read: {error.strerror or error}") from None


def _file_in_folder(folder: Path, format: str | None, entry: catalogue.Entry | None) -> Path:
    """The vocabulary file of a folder: its entry's, else tokenizer.json, else the only .tiktoken or .gguf, else the
    pair, else one of another format's usual name, else the only file at all."""
    names = _names(folder)

    def named(name: str) -> Path | None:
        return next((folder / (name + suffix) for suffix in _SUFFIXES if name + suffix in names), None)

    if entry is not None and format in (None, entry.format):
        published = [named(file.name) for file in entry.files]
        if published[0] is not None and all(published):
            return published[0]
    if format in (None, "tokenizer.json"):
        tokenizer = named(TOKENIZER_JSON)
        if tokenizer is not None:
            return tokenizer
    for kind in ("tiktoken", "gguf"):
        of_that_kind = [name for name in names if plain_name(name).endswith(f".{kind}")]
        if format in (None, kind) and len(of_that_kind) == 1:
            return folder / of_that_kind[0]
    if format in (None, "vocab+merges"):
        vocab = named(vocab_merges.VOCAB)
        if vocab is not None and named(vocab_merges.MERGES) is not None:
            return vocab
    for known in FORMATS.values():
        usual = next((path for name in known.names if (path := named(name)) is not None), None)
        if format in (None, known.name) and usual is not None:
            return usual
    if len(names) == 1:
        return folder / names[0]
    shown = ", ".join(names[:10]) or "nothing"
    raise FormatError(f"{folder}: holds {shown}; which of them is the vocabulary? Give the file's path")


def plain_name(name: str) -> str:
    """A file's name without ``.gz`` or ``.xz``.

    >>> plain_name("qwen2.json.xz")
    'qwen2.json'
    """
    for suffix in _SUFFIXES[1:]:
        name = name.removesuffix(suffix)
    return name


def parts(path: Path, format: str) -> tuple[Path, ...]:
    """The files that a vocabulary consists of, without a sidecar; the one that a sidecar would belong to comes last."""
    return vocab_merges.existing_pair(path) if format == "vocab+merges" else (path,)


def with_sidecar(path: Path, format: str) -> tuple[Path, ...]:
    """The files that a vocabulary consists of, and its sidecar where there is one."""
    files = parts(path, format)
    sidecar = sidecar_path(files[-1])
    return (*files, sidecar) if format in SIDECAR_FORMATS and sidecar.exists() else files


# --- whether it is what it should be ---


def check_copy(contents: Mapping[Path, bytes], entry: catalogue.Entry) -> None:
    """Refuse a copy of an entry's files that is damaged.

    Args:
        contents: Of its files, decompressed.
        entry: What they should be.

    Raises:
        FormatError: One is as long as its publisher's and differs, or is not what its download recorded.
    """
    published = {file.name: file for file in entry.files}
    recorded = catalogue.recorded()
    for path, content in contents.items():
        name = plain_name(path.name)
        file, known = published.get(name), recorded.get(f"{entry.folder}/{name}")
        digest = hashlib.sha256(content).hexdigest()
        if digest in (file and file.sha256, known and known.sha256):
            continue
        if known is not None:
            problem = (
                f"{catalogue.lock_path()} has recorded {known.sha256}; {_AGAIN.format(entry.name)}, or remove "
                f"{entry.folder}/{name} from the record to accept it"
            )
        elif file is not None and file.sha256 is not None and file.size == len(content):
            problem = f"its publisher's has {file.sha256}; {_AGAIN.format(entry.name)}"
            if entry.own:
                problem = (
                    f"when it was added it had {file.sha256}; 'bbpe vocab add {entry.name} PATH --force' adds it again"
                )
        else:
            continue
        raise FormatError(f"{path}: damaged or changed: it has sha256 {digest}, but {problem}")


@dataclass(frozen=True, slots=True)
class Holding:
    """What is there of an entry.

    Attributes:
        entry: Which.
        state: ``"publisher's"``: just what the catalogue says, or what its download recorded; ``"other copy"``: of
            another revision, repacked, or in another format; ``"own"``: the user's; ``"damaged"``; ``"absent"``.
        path: The file to read, or None.
        files: All of its files.
        problem: What is wrong with it; empty where nothing is.
    """

    entry: catalogue.Entry
    state: State
    path: Path | None = None
    files: tuple[Path, ...] = ()
    problem: str = ""


def is_here(entry: catalogue.Entry) -> bool:
    """Whether there is anything of an entry; nothing is read."""
    return bool(_names(entry.path()))


def holding(entry: catalogue.Entry) -> Holding:
    """What is there of an entry; its files are read and hashed."""
    if not is_here(entry):
        return Holding(entry, "absent")
    path: Path | None = None
    files: tuple[Path, ...] = ()
    try:
        path = _file_in_folder(entry.path(), None, entry)
        format = entry.format if plain_name(path.name) in (file.name for file in entry.files) else detect(path)
        files = with_sidecar(path, format)
        contents = {part: read_bytes(part) for part in parts(path, format)}
        check_copy(contents, entry)
        expected = _expected(entry)
    except FormatError as error:
        return Holding(entry, "damaged", path, files, str(error))
    if entry.own:
        return Holding(entry, "own", path, files)
    same = sorted(hashlib.sha256(content).hexdigest() for content in contents.values()) == expected
    return Holding(entry, "publisher's" if same else "other copy", path, files)


def _expected(entry: catalogue.Entry) -> list[str]:
    """The sha256 of each of its files, sorted: the catalogue's, else what a download recorded, else nothing."""
    recorded = catalogue.recorded()
    known = (recorded.get(f"{entry.folder}/{file.name}") for file in entry.files)
    return sorted(
        file.sha256 or (record.sha256 if record else "") for file, record in zip(entry.files, known, strict=True)
    )


def named(name: str) -> Holding:
    """What is there of the entry of a name.

    Raises:
        FormatError: There is no such entry.
    """
    entry = catalogue.find(name)
    if entry is None:
        raise FormatError(catalogue.unknown(name))
    return holding(entry)
