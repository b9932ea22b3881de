"""The JSON file beside a ``.tiktoken`` or ``merges.txt`` that says what the file itself cannot.

That is: the pattern (with its spelling in each dialect, for whoever loads the file elsewhere), the special tokens with
their ids and flags, the normalizer, the kind of vocabulary, the template, and the version of the Unicode tables that
the pattern's classes were made from. Its name is the file's name (without ``.gz`` or ``.xz``) and ``.json``. It names
the sha256 of what it belongs to (of ``vocab.json`` and ``merges.txt`` one after the other), so that a sidecar left
behind by another file is noticed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from bbpe.errors import BbpeError, FormatError, PatternError
from bbpe.formats.files import expect, member, parse_json, read_bytes, shortened
from bbpe.patterns import Pattern, Pretokenizer, from_spelling, identify
from bbpe.unicode import unicode_version
from bbpe.vocabulary import SpecialToken, Template, Vocabulary

FORMAT = "bbpe sidecar"
VERSION = 1
_FLAGS = ("special", "lstrip", "rstrip", "single_word", "normalized")
_DIALECTS = ("tiktoken", "oniguruma", "llama.cpp")

Kind = Literal["merges", "ranks"]


@dataclass(frozen=True, slots=True)
class Sidecar:
    """What a vocabulary file does not carry."""

    kind: Kind
    whole_pretoken: bool
    pattern: Pattern
    special_tokens: tuple[SpecialToken, ...]
    normalizer: str | None
    template: Template
    name: str | None


def sidecar_path(path: Path) -> Path:
    """Where the sidecar of a file stands.

    >>> sidecar_path(Path("out/vocab.tiktoken.xz")).name
    'vocab.tiktoken.json'
    """
    name = path.name
    for suffix in (".gz", ".xz"):
        name = name.removesuffix(suffix)
    return path.with_name(name + ".json")


def write_sidecar(vocabulary: Vocabulary, path: Path, kind: Kind, content: bytes) -> None:
    """Write the sidecar of ``path``, whose contents are ``content``."""
    pattern = vocabulary.pattern
    spellings: dict[str, Any] = {"name": pattern.name, "stages": list(pattern.stages)}
    for dialect in _DIALECTS:
        try:
            spelling = pattern.spelling(cast(Any, dialect))
        except PatternError:
            continue  # that dialect has none; the others still help
        spellings[dialect] = spelling if isinstance(spelling, str) else list(spelling)
    record = {
        "format": FORMAT,
        "version": VERSION,
        "sha256": hashlib.sha256(content).hexdigest(),
        "name": vocabulary.name,
        "kind": kind,
        "whole_pretoken": vocabulary.whole_pretoken,
        "pattern": spellings,
        "unicode": unicode_version(),
        "normalizer": vocabulary.normalizer,
        "special_tokens": [special_record(special) for special in vocabulary.special_tokens],
        "template": {"before": list(vocabulary.template.before), "after": list(vocabulary.template.after)},
    }
    sidecar_path(path).write_bytes(json.dumps(record, ensure_ascii=False, indent=2).encode() + b"\n")


def special_record(special: SpecialToken) -> dict[str, Any]:
    """A special token as JSON: the fields of ``tokenizer.json``'s ``added_tokens``."""
    return {"id": special.id, "content": special.content, **{flag: getattr(special, flag) for flag in _FLAGS}}


def special_from_record(record: Any, place: str) -> SpecialToken:
    """A special token from JSON; flags that are missing are false.

    Raises:
        FormatError: A field is missing or of the wrong type.
    """
    expect(record, dict, place)
    for key in record.keys() - {"id", "content", *_FLAGS}:
        raise FormatError(f"{place}: {key[:80]!r} is no key of a special token")
    content: str = member(record, "content", str, place)
    try:
        content.encode()
    except UnicodeEncodeError:
        raise FormatError(f"{place}.content: {content!r} holds a lone surrogate") from None
    flags = {flag: member(record, flag, bool, place) for flag in _FLAGS if flag in record}
    return SpecialToken(content, member(record, "id", int, place), **{"special": False, **flags})


def read_sidecar(path: Path, content: bytes) -> Sidecar | None:
    """The sidecar of ``path``, whose contents are ``content``; None when there is none.

    Raises:
        FormatError: It is damaged, of a later version, or belongs to other contents.
    """
    place = sidecar_path(path)
    if not place.exists():
        return None
    record = expect(parse_json(read_bytes(place), place), dict, str(place))
    if record.get("format") != FORMAT:
        raise FormatError(
            f"{place}: not a {FORMAT} ('format' is {shortened(repr(record.get('format')))}); move it away"
        )
    version = member(record, "version", int, str(place))
    if version != VERSION:
        raise FormatError(f"{place}: version {version}; this bbpe reads version {VERSION}")
    digest = hashlib.sha256(content).hexdigest()
    if member(record, "sha256", str, str(place)) != digest:
        raise FormatError(
            f"{place}: belongs to contents with sha256 {record['sha256'][:80]}, but {path.name} has {digest}"
        )
    kind = member(record, "kind", str, str(place))
    if kind not in ("merges", "ranks"):
        raise FormatError(f"{place}: kind {kind[:80]!r}; expected 'merges' or 'ranks'")
    for key in ("normalizer", "name"):
        if record.get(key) is not None or key not in record:
            member(record, key, str, str(place))
    normalizer, name = record["normalizer"], record["name"]
    return Sidecar(
        kind=cast(Kind, kind),
        whole_pretoken=member(record, "whole_pretoken", bool, str(place)),
        pattern=_pattern(member(record, "pattern", dict, str(place)), f"{place}: pattern"),
        special_tokens=tuple(
            special_from_record(item, f"{place}: special_tokens[{index}]")
            for index, item in enumerate(member(record, "special_tokens", list, str(place)))
        ),
        normalizer=normalizer,
        template=_template(member(record, "template", dict, str(place)), f"{place}: template"),
        name=name,
    )


def _pattern(record: dict[str, Any], place: str) -> Pattern:
    stages = tuple(
        expect(stage, str, f"{place}.stages[{index}]")
        for index, stage in enumerate(member(record, "stages", list, place))
    )
    if not stages:
        raise FormatError(f"{place}.stages: empty")
    try:
        pattern = identify(stages) or Pattern(stages)
        Pretokenizer(pattern)  # compiled here, so that a malformed one is the file's error
        for dialect in _DIALECTS:
            _check_spelling(pattern, dialect, record.get(dialect), f"{place}.{dialect}")
    except PatternError as error:
        raise FormatError(f"{place}: {shortened(error)}") from None
    name = record.get("name")
    if name is not None and name != pattern.name:
        raise FormatError(f"{place}: named {str(name)[:80]!r}, but its stages are {pattern.name or 'no named pattern'}")
    return pattern


def _check_spelling(pattern: Pattern, dialect: Any, said: Any, place: str) -> None:
    """The spellings of one pattern have to be of one pattern: who damaged one of them damaged the file.

    Raises:
        FormatError: A spelling that is there means something else than the stages.
    """
    if said is None:
        return
    spelling = [expect(part, str, place) for part in said] if type(said) is list else expect(said, str, place)
    meant = pattern.spelling(dialect)
    if spelling in (meant, list(meant)):
        return
    if dialect == "llama.cpp" or from_spelling(spelling, dialect) != pattern:  # a later spelling of the same is fine
        raise FormatError(f"{place}: is another pattern than stages")


def _template(record: dict[str, Any], place: str) -> Template:
    sides = {
        side: tuple(
            expect(id, int, f"{place}.{side}[{index}]") for index, id in enumerate(member(record, side, list, place))
        )
        for side in ("before", "after")
    }
    return Template(**sides)


def special_tokens_from_caller(special_tokens: Mapping[str, int]) -> tuple[SpecialToken, ...]:
    """The caller's ``{content: id}`` as special tokens.

    Raises:
        TypeError: Not a mapping of str to int.
    """
    if not isinstance(special_tokens, Mapping):
        raise TypeError(f"special_tokens is a mapping of content to id, not {type(special_tokens).__name__}")
    for content, id in special_tokens.items():
        if not isinstance(content, str) or type(id) is not int:
            raise TypeError(f"special_tokens maps str to int, not {content!r} to {id!r}")
    return tuple(SpecialToken(content, id) for content, id in special_tokens.items())


def build(path: Path, **arguments: Any) -> Vocabulary:
    """``Vocabulary(**arguments)``, with its complaints turned into the file's.

    Raises:
        FormatError: The contents contradict one another.
    """
    try:
        return Vocabulary(**arguments)
    except FormatError:
        raise
    except BbpeError as error:
        raise FormatError(f"{path}: {shortened(error)}") from None
