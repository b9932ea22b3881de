"""Find the vocabularies to be compared, by path, by name or in memory; nothing is loaded here.

What it does: tell where each is and what its contents are (a fingerprint, for the cache), or why it is missing; refuse a
name that nothing has, with those that look like it. What it does not: load (``bbpe.load``) or download (``bbpe vocab
get``).
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from bbpe import catalogue
from bbpe.analysis.cache import fingerprint_of_model, fingerprint_of_path, fingerprint_of_vocabulary
from bbpe.analysis.measurement import AnyTokenizer
from bbpe.engines import EngineTokenizer
from bbpe.errors import ComparisonError
from bbpe.holdings import is_here
from bbpe.tokenizer import Tokenizer

__all__ = ["Compared", "Wanted", "find_vocabularies", "present_vocabularies"]

Compared: TypeAlias = "str | os.PathLike[str] | AnyTokenizer"
"""A path, a name of the catalogue, or a tokenizer in memory."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A vocabulary to be compared: where it is, or what it is, or why it is missing."""

    fingerprint: str = ""
    path: str | None = None
    tokenizer: AnyTokenizer | None = None
    reason: str | None = None


def present_vocabularies() -> list[str]:
    """The names of the vocabularies that are present in ``$BBPE_HOME``."""
    folder = catalogue.home() / "vocabs"
    if not folder.is_dir():
        return []
    return sorted(
        entry.name
        for entry in folder.iterdir()
        if entry.is_dir() and not entry.name.startswith(".") and any(file.is_file() for file in entry.iterdir())
    )


def find_vocabularies(tokenizers: Sequence[Compared] | Mapping[str, Compared] | None) -> dict[str, Wanted]:
    """The vocabularies by the names that the comparison gives them.

    Args:
        tokenizers: As for :func:`bbpe.compare`.

    Raises:
        ComparisonError: An unknown name, a name given twice, or nothing to compare.
    """
    if tokenizers is None:
        names = present_vocabularies()
        if not names:
            raise ComparisonError(
                "no vocabulary is present: name some (-t NAME or PATH), or get published ones with bbpe vocab get NAME"
            )
        return {name: _located(name) for name in names}
    if isinstance(tokenizers, (str, os.PathLike, Tokenizer, EngineTokenizer)):
        raise TypeError("tokenizers is a list, or a mapping of names to tokenizers")
    if isinstance(tokenizers, Mapping):
        given: list[tuple[str | None, Any]] = list(tokenizers.items())
    else:
        given = [(None, one) for one in tokenizers]
    wanted: dict[str, Wanted] = {}
    for name, one in given:
        if not isinstance(one, (str, os.PathLike, Tokenizer, EngineTokenizer)):
            raise TypeError(f"a tokenizer is a path, a name or a Tokenizer, not {type(one).__name__}")
        label = name if name is not None else _label(one, wanted)
        if label in wanted:
            raise ComparisonError(f"{label!r} is named twice; give each tokenizer a name of its own (NAME=PATH)")
        if isinstance(one, (str, os.PathLike)):
            wanted[label] = _located(os.fspath(one))
        else:
            wanted[label] = Wanted(_fingerprint_of(one), tokenizer=one)
    if not wanted:
        raise ComparisonError("no tokenizer given; name at least one, or give None for all that are present")
    return wanted


def _label(one: Compared, taken: Mapping[str, object]) -> str:
    if isinstance(one, (str, os.PathLike)):
        text = os.fspath(one)
        path = Path(text)
        entry = None if path.exists() else catalogue.find(text)
        return entry.name if entry is not None else path.name if path.exists() and path.name not in taken else text
    name = one.vocabulary.name if isinstance(one, Tokenizer) else one.name
    label = name or "tokenizer"
    number = 2
    while label in taken:
        label, number = f"{name or 'tokenizer'} {number}", number + 1
    return label


def _located(given: str) -> Wanted:
    """Find a vocabulary's files without loading it.

    Raises:
        ComparisonError: There is no such file, and no such name.
    """
    path = Path(given)
    try:
        exists = path.exists()
    except (OSError, ValueError):  # too long for a name, or with a NUL in it
        exists = False
    name = ""
    if not exists:
        entry = catalogue.find(given)
        if entry is None and given not in present_vocabularies():
            raise ComparisonError(_unknown(given))
        path = entry.path() if entry is not None else catalogue.home() / "vocabs" / given
        if entry is not None:
            name = entry.name
            if not is_here(entry):
                return Wanted(reason=f"it is not here; get it with: bbpe vocab get {name}")
    try:
        # Entries of the catalogue may share a file and differ in what is known of it.
        return Wanted(f"{name}:{fingerprint_of_path(path)}" if name else fingerprint_of_path(path), path=given)
    except OSError as error:
        return Wanted(reason=f"{path}: cannot be read: {error.strerror or error}")


def _unknown(given: str) -> str:
    present = present_vocabularies()
    near = [*catalogue.nearest(given), *difflib.get_close_matches(given, present)]
    hints = [
        name if name in present else f"{name} (not here yet: bbpe vocab get {name})" for name in dict.fromkeys(near)
    ]
    advice = f"did you mean {' or '.join(hints[:3])}?" if hints else "'bbpe vocab list' shows all names"
    return f"{given[:200]!r} is no file, no folder and no name of the catalogue; {advice}"


def _fingerprint_of(tokenizer: AnyTokenizer) -> str:
    if isinstance(tokenizer, Tokenizer):
        return fingerprint_of_vocabulary(tokenizer.vocabulary)
    return fingerprint_of_model(tokenizer.model)
