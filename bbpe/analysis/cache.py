"""Results that need not be measured twice: small JSON files under a key, in a folder of the user's.

The key is made of what decides the result: the vocabulary's files or contents, the text, the word rule, the versions of
what encodes. A file that is damaged, of another version, or cannot be written counts as not there: a cache never makes
a comparison fail.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
import platform
import stat
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import bbpe
from bbpe import catalogue
from bbpe.analysis.measurement import Lost, Measurement, VocabularyFacts
from bbpe.engines import EngineModel
from bbpe.errors import OutputError
from bbpe.io import atomic_write
from bbpe.vocabulary import Vocabulary

__all__ = ["Cache", "cache_folder", "fingerprint_of_model", "fingerprint_of_path", "fingerprint_of_vocabulary"]

_VERSION = 1  # counts up when a measurement changes its meaning
_LARGE = 1 << 26  # bytes: files beyond are known by size and time, not by content (a GGUF with its weights)


def cache_folder() -> Path:
    """``$BBPE_HOME/cache`` where that may be written, else ``bbpe/cache`` in the user's folder for such files."""
    home = catalogue.home()
    with contextlib.suppress(OSError):
        if not home.exists() or (home.stat().st_mode & stat.S_IWUSR and os.access(home, os.W_OK)):
            return home / "cache"
    chosen = os.environ.get("XDG_CACHE_HOME")
    return (Path(chosen) if chosen else Path.home() / ".cache") / "bbpe" / "cache"


def fingerprint_of_path(path: Path) -> str:
    """What a vocabulary's file or folder holds, as a sha256 in hex; nothing is parsed.

    Raises:
        OSError: It cannot be read.
    """
    digest = hashlib.sha256()
    files = sorted(path.iterdir()) if path.is_dir() else [path, *_beside(path)]
    for file in files:
        if not file.is_file() or file.name.startswith("."):
            continue
        size = file.stat().st_size
        digest.update(f"{file.name}\0{size}\0".encode("utf-8", "surrogateescape"))
        if size > _LARGE:
            digest.update(f"{file.resolve()}\0{file.stat().st_mtime_ns}".encode("utf-8", "surrogateescape"))
        else:
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _beside(path: Path) -> Iterator[Path]:
    """Files that decide with this one what the vocabulary is: its sidecar, and the other half of a pair."""
    for name in (path.name + ".json", "vocab.json", "merges.txt", "tokenizer_config.json", "config.json"):
        other = path.with_name(name)
        if other != path and other.exists():
            yield other


def fingerprint_of_vocabulary(vocabulary: Vocabulary) -> str:
    """What a vocabulary in memory is, as a sha256 in hex."""
    digest = hashlib.sha256()
    for id, token in vocabulary.tokens.items():
        digest.update(id.to_bytes(4, "little") + len(token).to_bytes(4, "little") + token)
    digest.update(repr((vocabulary.merges is None, vocabulary.pattern.stages, vocabulary.normalizer)).encode())
    digest.update(repr((vocabulary.whole_pretoken, vocabulary.special_tokens, vocabulary.template)).encode())
    for row in vocabulary.merges if vocabulary.merges is not None else ((id,) for id in vocabulary.ranks or ()):
        digest.update(b"".join(id.to_bytes(4, "little") for id in row))
    return digest.hexdigest()


def fingerprint_of_model(model: EngineModel) -> str:
    """What a tokenizer in memory is that another library runs, as a sha256 in hex."""
    digest = hashlib.sha256(model.data)
    digest.update(repr((model.engine, model.algorithm, model.special_tokens, model.unknown_id)).encode())
    for id, piece in model.pieces.items():
        digest.update(f"{id} {piece}\0".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


class Cache:
    """Measurements by vocabulary and text.

    Args:
        folder: Where they are kept; None keeps nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._versions = "\0".join((str(_VERSION), _own_version(), *_engine_versions(), _machine()))

    def facts(self, vocabulary: str) -> VocabularyFacts | None:
        """What is known of the vocabulary with this fingerprint."""
        record = self._read(self._path("facts", vocabulary))
        if record is None:
            return None
        try:
            lost = tuple(Lost(**one) for one in record.pop("lost"))
            return VocabularyFacts(**record, lost=lost)
        except (KeyError, TypeError, AttributeError):
            return None

    def measurement(self, vocabulary: str, text: str, rule: str) -> Measurement | None:
        """What was measured of a vocabulary on the text with this sha256, with this word rule."""
        record = self._read(self._path("text", vocabulary, text, rule))
        if record is None:
            return None
        try:
            lost = record.pop("lost")
            return Measurement(**record, lost=None if lost is None else Lost(**lost))
        except (KeyError, TypeError, AttributeError):
            return None

    def keep_facts(self, vocabulary: str, facts: VocabularyFacts) -> None:
        """Remember what is known of a vocabulary."""
        self._write(self._path("facts", vocabulary), asdict(facts))

    def keep_measurement(self, vocabulary: str, text: str, rule: str, measurement: Measurement) -> None:
        """Remember a measurement."""
        self._write(self._path("text", vocabulary, text, rule), asdict(measurement))

    def _path(self, *parts: str) -> Path | None:
        if self.folder is None:
            return None
        key = hashlib.sha256("\0".join((self._versions, *parts)).encode()).hexdigest()
        return self.folder / "compare" / key[:2] / f"{key[2:34]}.json"

    def _read(self, path: Path | None) -> dict[str, Any] | None:
        if path is not None:
            with contextlib.suppress(OSError, ValueError, RecursionError):
                record = json.loads(path.read_text(encoding="utf-8"))
                return record if isinstance(record, dict) else None
        return None

    def _write(self, path: Path | None, record: dict[str, Any]) -> None:
        if path is not None:
            with contextlib.suppress(OSError, OutputError):
                path.parent.mkdir(parents=True, exist_ok=True)
                with atomic_write(path, force=True) as file:
                    file.write(json.dumps(record, ensure_ascii=True).encode())


def _own_version() -> str:
    """This bbpe: its version, and when a file of it last changed, for those who work on it."""
    folder = Path(bbpe.__file__).parent
    files = (file for suffix in ("py", "so", "pyd", "toml") for file in folder.rglob(f"*.{suffix}"))
    return f"{bbpe.__version__} {max(file.stat().st_mtime_ns for file in files)}"


def _engine_versions() -> Iterator[str]:
    for package in ("tokenizers", "sentencepiece"):
        try:
            yield importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            yield ""


def _machine() -> str:
    """The kind of machine: a speed measured on another one is not this one's."""
    model = ""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                model = line
                break
    return f"{platform.system()} {platform.machine()} {platform.processor()} {model} {os.cpu_count()}"
