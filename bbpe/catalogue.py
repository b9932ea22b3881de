"""Published vocabularies by name: where each comes from, its hash, and what its file does not carry.

The entries are ``catalogue.toml``. A file whose sha256 is known brings its pattern, special tokens, normalizer and
template along, wherever it lies and whatever it is called. Files are looked for in ``$BBPE_HOME/vocabs/<name>/``;
nothing is downloaded here.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from bbpe.patterns import Pattern, get_pattern
from bbpe.vocabulary import SpecialToken, Template

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True, slots=True)
class Entry:
    """A published vocabulary.

    Attributes:
        name: Its name here and its folder in ``$BBPE_HOME/vocabs``.
        aliases: Other names.
        file: The file's name at the publisher.
        format: A key of ``bbpe.formats.FORMATS``.
        sha256: Of that file, decompressed.
        pattern: What cuts text into pretokens.
        special_tokens: By id.
        normalizer: ``"NFC"`` or None.
        template: Ids that the model's own tokenizer puts around a text.
        source: Where the publisher keeps it.
    """

    name: str
    aliases: tuple[str, ...]
    file: str
    format: str
    sha256: str
    pattern: Pattern
    special_tokens: tuple[SpecialToken, ...]
    normalizer: str | None
    template: Template
    source: str


@lru_cache(maxsize=1)
def entries() -> Mapping[str, Entry]:
    """All entries by name."""
    data = tomllib.loads((files("bbpe") / "catalogue.toml").read_text(encoding="utf-8"))
    return {record["name"]: _entry(record) for record in data["vocabulary"]}


def _entry(record: dict[str, Any]) -> Entry:
    special = dict(record["special_tokens"])
    numbered = record.get("numbered")
    if numbered is not None:
        offset = numbered["first_number"] - numbered["first_id"]
        for id in range(numbered["first_id"], numbered["last_id"] + 1):
            special[numbered["content"].replace("{}", str(id + offset))] = id
    return Entry(
        name=record["name"],
        aliases=tuple(record["aliases"]),
        file=record["file"],
        format=record["format"],
        sha256=record["sha256"],
        pattern=get_pattern(record["pattern"]),
        special_tokens=tuple(
            SpecialToken(content, id) for content, id in sorted(special.items(), key=lambda item: item[1])
        ),
        normalizer=record.get("normalizer"),
        template=Template(
            tuple(special[content] for content in record.get("template_before", ())),
            tuple(special[content] for content in record.get("template_after", ())),
        ),
        source=record["source"],
    )


def find(name: str) -> Entry | None:
    """The entry of a name or alias, upper and lower case alike."""
    wanted = name.lower()
    for entry in entries().values():
        if wanted == entry.name.lower() or wanted in (alias.lower() for alias in entry.aliases):
            return entry
    return None


def recognize(content: bytes) -> Entry | None:
    """The entry whose file has these contents."""
    digest = hashlib.sha256(content).hexdigest()
    return next((entry for entry in entries().values() if entry.sha256 == digest), None)


def home() -> Path | None:
    """The folder that ``$BBPE_HOME`` names, or None where it is not set."""
    value = os.environ.get("BBPE_HOME")
    return Path(value) if value else None
