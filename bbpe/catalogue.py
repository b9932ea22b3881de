"""Published vocabularies by name: where each comes from, its hash, and what its file does not carry.

The entries are ``catalogue.toml``; what a user adds with ``bbpe vocab add`` is an entry too, kept beside its files. A
file whose sha256 is known brings its pattern, special tokens, normalizer and template along, wherever it lies and
whatever it is called; a file in ``$BBPE_HOME/vocabs/<name>/`` is what its folder says. The sha256 of a file whose
publisher's is not known beforehand is recorded at its first download in ``$BBPE_HOME/catalogue.lock``.

Nothing is downloaded here (``downloads.py``), and no vocabulary is read (``io.py``); what lies where is ``holdings.py``.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bbpe.errors import BbpeError, FormatError
from bbpe.patterns import Pattern, get_pattern
from bbpe.vocabulary import SpecialToken, Template

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HUB = "https://huggingface.co"
OWN_ENTRY = "bbpe-entry.json"
"""Beside the files of a vocabulary that a user added: what they do not carry."""
LOCK = "catalogue.lock"
_OWN_FORMAT, _LOCK_FORMAT, _VERSION = "bbpe catalogue entry", "bbpe catalogue lock", 1
_MAX_RECORD_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """One file of an entry, and where its publisher keeps it.

    Attributes:
        name: Its name in the entry's folder.
        sha256: Of the publisher's file, decompressed; None where it is not known.
        size: In bytes, likewise.
        repository: On the Hugging Face hub, ``owner/name``; None where ``url`` says it all.
        revision: A commit of the repository, or a branch.
        path: In the repository.
        url: Of a file that is elsewhere.
    """

    name: str
    sha256: str | None = None
    size: int | None = None
    repository: str | None = None
    revision: str = "main"
    path: str = ""
    url: str | None = None

    def address(self) -> str | None:
        """The URL to download from (``$HF_ENDPOINT`` in place of the hub's own host), or None where there is none."""
        if self.repository is None:
            return self.url
        endpoint = (os.environ.get("HF_ENDPOINT") or HUB).rstrip("/")
        return f"{endpoint}/{self.repository}/resolve/{quote(self.revision, safe='')}/{quote(self.path)}"


@dataclass(frozen=True, slots=True)
class Entry:
    """A vocabulary with a name.

    Attributes:
        name: Its name here.
        aliases: Other names.
        family: The models that use it.
        algorithm: ``"byte-level bpe"``, ``"bpe"``, ``"unigram"`` or ``"wordpiece"``.
        format: Of the publisher's file: a key of ``bbpe.formats.FORMATS``. The copy at hand may be in another.
        files: The files of that format, the one to read first.
        pattern: What cuts text into pretokens; None where no pattern does, or only the file says it.
        special_tokens: By id; all that are known, also where the file says them itself.
        normalizer: ``"NFC"`` or None.
        lowercase: Whether text is lower-cased, where that is not in the file (WordPiece); else None.
        template: Ids that the model's own tokenizer puts around a text.
        licence: Of the vocabulary.
        gated: Whether the publisher wants its licence accepted before a download.
        note: What could not be verified, and what else has to be known; empty where there is nothing.
        folder: In ``$BBPE_HOME/vocabs``; entries that differ in their special tokens alone share one.
        own: Whether the user added it.
    """

    name: str
    aliases: tuple[str, ...]
    family: str
    algorithm: str
    format: str
    files: tuple[PublishedFile, ...]
    pattern: Pattern | None
    special_tokens: tuple[SpecialToken, ...]
    normalizer: str | None
    lowercase: bool | None
    template: Template
    licence: str
    gated: bool
    note: str
    folder: str
    own: bool = False

    @property
    def size(self) -> int | None:
        """Bytes of all files together, where known."""
        sizes = [file.size for file in self.files]
        return None if None in sizes else sum(size for size in sizes if size is not None)

    def path(self) -> Path:
        """Its folder, which need not exist."""
        return home() / "vocabs" / self.folder

    def names(self) -> tuple[str, ...]:
        """Its name and its aliases, in lower case."""
        return tuple(name.lower() for name in (self.name, *self.aliases))


# --- entries ---


@lru_cache(maxsize=1)
def entries() -> Mapping[str, Entry]:
    """The entries of the catalogue by name, in its order."""
    data = tomllib.loads((files("bbpe") / "catalogue.toml").read_text(encoding="utf-8"))
    return {record["name"]: _entry(record) for record in data["vocabulary"]}


def _entry(record: dict[str, Any]) -> Entry:
    special: dict[str, int] = dict(record.get("special_tokens", {}))
    for numbered in record.get("numbered", ()):
        offset = numbered["first_number"] - numbered["first_id"]
        for id in range(numbered["first_id"], numbered["last_id"] + 1):
            special[numbered["content"].replace("{}", str(id + offset))] = id
    pattern = record.get("pattern")
    return Entry(
        name=record["name"],
        aliases=tuple(record.get("aliases", ())),
        family=record["family"],
        algorithm=record["algorithm"],
        format=record["format"],
        files=tuple(PublishedFile(**{"path": file["name"], **file}) for file in record["files"]),
        pattern=None if pattern is None else get_pattern(pattern),
        special_tokens=_by_id(special),
        normalizer=record.get("normalizer"),
        lowercase=record.get("lowercase"),
        template=Template(
            tuple(special[content] for content in record.get("template_before", ())),
            tuple(special[content] for content in record.get("template_after", ())),
        ),
        licence=record["licence"],
        gated=record.get("gated", False),
        note=record.get("note", ""),
        folder=record.get("folder", record["name"]),
    )


def _by_id(special: Mapping[str, int]) -> tuple[SpecialToken, ...]:
    return tuple(SpecialToken(content, id) for content, id in sorted(special.items(), key=lambda item: item[1]))


def find(name: str) -> Entry | None:
    """The entry of a name: what the user added under it, else the catalogue's, upper and lower case alike.

    A user's name that a later catalogue has too stays the user's.

    Raises:
        FormatError: The user's entry of that name is damaged.
    """
    own = _read_own_entry(home() / "vocabs" / name) if is_name(name) else None
    return own or published(name)


def published(name: str) -> Entry | None:
    """The catalogue's entry of a name or alias, upper and lower case alike."""
    wanted = name.lower()
    return next((entry for entry in entries().values() if wanted in entry.names()), None)


def is_name(name: str) -> bool:
    """Whether a folder may have this name: no path, nothing hidden, nothing that a shell or a file system stumbles on.

    >>> is_name("my-vocab_2.1"), is_name("../x"), is_name("")
    (True, False, False)
    """
    return (
        0 < len(name.encode("utf-8", "replace")) <= 100
        and name[0] not in ".-"
        and name[-1] != "."
        and name.isprintable()
        and not set(name) & set('/\\:*?"<>| ')
    )


def is_file_name(name: str) -> bool:
    """Whether a file in an entry's folder may have this name: no path, not hidden, not the entry's own record.

    >>> is_file_name("my vocab.json"), is_file_name("../x"), is_file_name(".x")
    (True, False, False)
    """
    return bool(name) and name[0] != "." and not set(name) & set("/\\\0") and name != OWN_ENTRY


def nearest(name: str) -> list[str]:
    """Names that look like ``name``, best first; at most three."""
    known = {other: entry.name for entry in (*entries().values(), *own_entries()) for other in entry.names()}
    found = difflib.get_close_matches(name.lower(), known, n=9, cutoff=0.6)
    return list(dict.fromkeys(known[other] for other in found))[:3]


def unknown(name: str) -> str:
    """How to go on from a name that is none, for messages."""
    close = nearest(name)
    meant = f"; did you mean {' or '.join(close)}?" if close else ""
    return f"{name[:200]!r} is no name of the catalogue{meant} ('bbpe vocab list' shows all)"


def recognize(content: bytes) -> Entry | None:
    """The entry of one file whose contents these are. Of entries that share the file, the one that stands first."""
    return recognize_all([content])


def recognize_all(contents: list[bytes]) -> Entry | None:
    """The entry that consists of files with exactly these contents: ``merges.txt`` alone is that of several models."""
    digests = sorted(hashlib.sha256(content).hexdigest() for content in contents)
    return next(
        (entry for entry in entries().values() if sorted(file.sha256 or "" for file in entry.files) == digests), None
    )


def holding(path: Path) -> Entry | None:
    """The entry in whose folder a file or folder lies: ``$BBPE_HOME/vocabs/<name>`` is trusted by its name.

    Where several entries share a folder, the one that it is named for.

    Raises:
        FormatError: It holds a user's entry that is damaged.
    """
    try:
        vocabs = os.path.realpath(home() / "vocabs")
    except BbpeError:  # no home: a path needs none
        return None
    real = Path(os.path.realpath(path))
    folder = real if real.is_dir() else real.parent
    if str(folder.parent) != vocabs:
        return None
    return _read_own_entry(folder) or entries().get(folder.name)


# --- the user's own entries ---


def own_entries() -> list[Entry]:
    """What the user added, by name. A damaged one is left out: who asks for it by name is told."""
    found = []
    for path in sorted((home() / "vocabs").glob(f"*/{OWN_ENTRY}")):
        try:
            entry = _read_own_entry(path.parent)
        except FormatError:
            continue
        if entry is not None:
            found.append(entry)
    return found


def own_record(entry: Entry) -> bytes:
    """The contents of the file that keeps a user's entry."""
    record = {
        "format": _OWN_FORMAT,
        "version": _VERSION,
        "name": entry.name,
        "vocabulary_format": entry.format,
        "algorithm": entry.algorithm,
        "files": [{"name": file.name, "sha256": file.sha256, "size": file.size} for file in entry.files],
        "pattern": None if entry.pattern is None else list(entry.pattern.stages),
        "special_tokens": {special.content: special.id for special in entry.special_tokens},
        "lowercase": entry.lowercase,
        "note": entry.note,
    }
    return json.dumps(record, ensure_ascii=False, indent=2).encode() + b"\n"


def own_entry(
    name: str,
    format: str,
    *,
    algorithm: str,
    files: tuple[PublishedFile, ...],
    pattern: Pattern | None,
    special_tokens: Mapping[str, int],
    lowercase: bool | None,
    note: str,
) -> Entry:
    """The entry of a vocabulary that the user adds; the arguments are the entry's fields."""
    return Entry(
        name=name,
        aliases=(),
        family="added by the user",
        algorithm=algorithm,
        format=format,
        files=files,
        pattern=pattern,
        special_tokens=_by_id(special_tokens),
        normalizer=None,
        lowercase=lowercase,
        template=Template(),
        licence="not stated",
        gated=False,
        note=note,
        folder=name,
        own=True,
    )


def _read_own_entry(folder: Path) -> Entry | None:
    path = folder / OWN_ENTRY
    if not path.is_file():
        return None
    record = _read_record(path, _OWN_FORMAT)
    try:
        if record["name"] != folder.name:
            raise ValueError(f"its name is {record['name']!r}, not that of its folder")
        listed = tuple(PublishedFile(file["name"], file["sha256"], file["size"]) for file in record["files"])
        if not listed or not all(is_file_name(file.name) for file in listed):
            raise ValueError("'files' has to list the names of files beside it")
        pattern, special = record["pattern"], record["special_tokens"]
        if not all(type(id) is int for id in special.values()):
            raise ValueError("'special_tokens' maps text to ids")
        if record["lowercase"] not in (None, True, False):
            raise ValueError("'lowercase' is true, false or null")
        return own_entry(
            folder.name,
            str(record["vocabulary_format"]),
            algorithm=str(record["algorithm"]),
            files=listed,
            pattern=None if pattern is None else get_pattern(tuple(pattern)),
            special_tokens=special,
            lowercase=record["lowercase"],
            note=str(record["note"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise FormatError(f"{path}: {reason}; add the vocabulary again (bbpe vocab add --force)") from None


# --- what earlier downloads recorded ---


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the first download of a file found, where the catalogue does not know: sha256, bytes, and from where."""

    sha256: str
    size: int
    source: str


def lock_path() -> Path:
    """Where downloads record hashes."""
    return home() / LOCK


def recorded() -> dict[str, Recorded]:
    """The lock file, by ``<folder>/<file>``; empty where there is none.

    Raises:
        FormatError: It is damaged.
    """
    path = lock_path()
    if not path.is_file():
        return {}
    record = _read_record(path, _LOCK_FORMAT)
    try:
        found = {key: Recorded(item["sha256"], item["size"], item["source"]) for key, item in record["files"].items()}
        for key, item in found.items():
            if len(item.sha256) != 64 or not set(item.sha256) <= set("0123456789abcdef") or type(item.size) is not int:
                raise ValueError(f"{key!r}: not the sha256 and size of a file")
        return found
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise FormatError(f"{path}: damaged ({error}); delete it to record the hashes anew") from None


def lock_record(items: Mapping[str, Recorded]) -> bytes:
    """The contents of the lock file."""
    listed = {
        key: {"sha256": item.sha256, "size": item.size, "source": item.source} for key, item in sorted(items.items())
    }
    return json.dumps({"format": _LOCK_FORMAT, "version": _VERSION, "files": listed}, indent=2).encode() + b"\n"


def _read_record(path: Path, format: str) -> dict[str, Any]:
    """A small JSON file of ours, of this version.

    Raises:
        FormatError: It is something else, or cannot be read.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(_MAX_RECORD_BYTES)
        record = json.loads(content)
    except OSError as error:
        raise FormatError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path}: damaged ({error})") from None
    if not isinstance(record, dict) or record.get("format") != format or record.get("version") != _VERSION:
        raise FormatError(f"{path}: no {format!r} of version {_VERSION}")
    return record


# --- where things lie ---


def home() -> Path:
    """The folder of vocabularies and corpora: ``$BBPE_HOME``, else ``bbpe`` in the user's cache folder."""
    value = os.environ.get("BBPE_HOME")
    return Path(value) if value else _cache_folder() / "bbpe"


def _cache_folder() -> Path:
    try:
        user = Path.home()
    except RuntimeError:
        raise BbpeError("there is no home directory for the cache: set BBPE_HOME to a folder") from None
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or user / "AppData" / "Local")
    chosen = os.environ.get("XDG_CACHE_HOME")
    if chosen and os.path.isabs(chosen):  # the specification says to ignore a relative one
        return Path(chosen)
    return user / "Library" / "Caches" if sys.platform == "darwin" else user / ".cache"
