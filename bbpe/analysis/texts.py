"""Texts to measure on: read once, cut into parts, counted, hashed, and looked at for the language they claim to be.

What it does: make of files, folders or documents in memory a :class:`Text` that every tokenizer is measured on alike.
What it does not: read formats (``corpus.py``), encode, or compute metrics.

Documents longer than ``PART_CHARACTERS`` are cut into parts, after a line's end where there is one: other libraries take
quadratic time or much memory for one text of megabytes. Every tokenizer gets the same parts. A cut can change a token
or two; one in 16,384 characters is too seldom to be seen in any figure.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bbpe import unicode
from bbpe.analysis.words import WordRule, Words, words_of
from bbpe.corpus import Source, SourceLike, open_corpus
from bbpe.errors import CorpusError

__all__ = ["PART_CHARACTERS", "Text", "TextFacts", "check_parallel", "label_of", "language_of", "read_text"]

PART_CHARACTERS = 1 << 14

# Language codes, as they stand at the beginning of a label or a file's name, and the scripts of their letters.
_SCRIPTS: Mapping[str, tuple[str, ...]] = {
    "zh": ("Han",),
    "en": ("Latin",),
    "ja": ("Han", "Hiragana", "Katakana"),
    "ko": ("Hangul",),
    "ru": ("Cyrillic",),
    "ar": ("Arabic",),
    "hi": ("Devanagari",),
    "th": ("Thai",),
    "de": ("Latin",),
    "fr": ("Latin",),
    "es": ("Latin",),
    "vi": ("Latin",),
}
_ALIASES = {
    **dict.fromkeys(("zho", "chi", "cmn", "chinese", "cn"), "zh"),
    **dict.fromkeys(("eng", "english"), "en"),
    "jpn": "ja",
    "kor": "ko",
    "rus": "ru",
    "ara": "ar",
    "arb": "ar",
    "hin": "hi",
    "tha": "th",
    "deu": "de",
    "ger": "de",
    "fra": "fr",
    "fre": "fr",
    "spa": "es",
    "vie": "vi",
}
_EXPECTED_SHARE = 0.3  # of the letters: half of a Chinese page on programming may be English


@dataclass(frozen=True, slots=True)
class TextFacts:
    """What is known of a text without any tokenizer.

    Attributes:
        label: What the reports call it.
        language: A two-letter code where the label begins with one that bbpe knows, else None.
        documents: Documents that hold any text.
        lines: Lines that hold more than white space.
        characters: Code points, line ends included unless every line is a document.
        bytes: Of UTF-8.
        invalid_bytes: Bytes that were no UTF-8 and are measured as U+FFFD.
        han: Chinese characters among the characters.
        script: The script of most letters, or None where there are no letters.
        sha256: Of the documents and their lengths: the same for the same documents, however they are stored.
        lines_are_documents: Whether each line was a document.
        words: Occurrences of words; 0 where there are none.
        distinct_words: Distinct words.
        word_rule: What a word is.
        sources: The files read.
        warnings: What a reader should know: broken UTF-8, another language than the label says.
    """

    label: str
    language: str | None
    documents: int
    lines: int
    characters: int
    bytes: int
    invalid_bytes: int
    han: int
    script: str | None
    sha256: str
    lines_are_documents: bool
    words: int
    distinct_words: int
    word_rule: str
    sources: tuple[Source, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Text:
    """A text in parts, with its words.

    Attributes:
        facts: What is known of it.
        parts: The text; no part is empty.
        words: Its words.
        all_lines: Lines in all, empty ones too, where each line is a document; else 0.
    """

    facts: TextFacts
    parts: tuple[str, ...] = field(repr=False)
    words: Words = field(repr=False)
    all_lines: int = 0


def language_of(label: str) -> str | None:
    """The language that a label or a file's name begins with.

    >>> language_of("zho-CN.txt"), language_of("en_web"), language_of("notes")
    ('zh', 'en', None)
    """
    first = re.split(r"[-_.\s]", label.lower(), maxsplit=1)[0]
    code = _ALIASES.get(first, first)
    return code if code in _SCRIPTS else None


def read_text(
    source: SourceLike,
    label: str | None = None,
    *,
    lines: bool = False,
    text_field: str = "text",
    strict: bool = False,
    limit: int | None = None,
    words: WordRule = "characters",
) -> Text:
    """Read a text to measure on.

    Args:
        source: As for :func:`bbpe.corpus.open_corpus`.
        label: What to call it; the file's name without suffixes when None.
        lines: Each line of a text file is a document.
        text_field: The field of JSON lines, or the column of Parquet, that holds the text.
        strict: Broken UTF-8 is an error; otherwise U+FFFD stands for it, since only byte-level tokenizers could take it.
        limit: Read the first so many bytes, about: the last document is cut after a line's end. None reads all.
        words: What a word is.

    Raises:
        CorpusError: Something cannot be read, or there is no text in it.
    """
    corpus = open_corpus(source, text_field=text_field, lines=lines, strict=strict)
    name = label if label is not None else label_of(source)
    digest = hashlib.sha256(b"lines" if lines else b"documents")
    parts: list[str] = []
    documents = all_lines = text_lines = characters = size = broken = 0
    try:
        for data in corpus.documents():
            all_lines += 1
            if not data:
                continue
            reached = limit is not None and size + len(data) >= limit
            if limit is not None and reached:
                data = _begin(data, limit - size)
                if not data:
                    break
            try:
                document = data.decode()
            except UnicodeDecodeError:
                document = data.decode("utf-8", "replace")
                kept = document.replace("\ufffd", "").encode()
                broken += len(data) - len(kept) - 3 * data.count("\ufffd".encode())
                data = document.encode()
            documents += 1
            digest.update(len(data).to_bytes(8, "little"))
            digest.update(data)
            characters += len(document)
            size += len(data)
            text_lines += sum(1 for line in document.split("\n") if line and not line.isspace())
            parts.extend(_parts(document))
            if reached:
                break
    finally:
        corpus.close()
    if not parts or not text_lines:
        raise CorpusError(f"{name}: no text in it but white space; give a corpus with text")
    found = words_of(parts, words)
    scripts = _scripts(parts)
    language = language_of(name)
    facts = TextFacts(
        label=name,
        language=language,
        documents=documents,
        lines=text_lines,
        characters=characters,
        bytes=size,
        invalid_bytes=broken,
        han=scripts.get("Han", 0),
        script=max(scripts, key=lambda script: scripts[script]) if scripts else None,
        sha256=digest.hexdigest(),
        lines_are_documents=lines,
        words=sum(found.occurrences),
        distinct_words=len(found.forms),
        word_rule=found.rule,
        sources=corpus.sources,
        warnings=tuple(_warnings(name, language, scripts, broken)),
    )
    return Text(facts, tuple(parts), found, all_lines if lines else 0)


def check_parallel(texts: Iterable[Text]) -> None:
    """Refuse texts that cannot be translations of one another line by line.

    Raises:
        CorpusError: Their numbers of lines differ; all are named.
    """
    counted = {text.facts.label: text.all_lines for text in texts}
    if len(counted) < 2:
        raise CorpusError("parallel text is at least two files, one a language: give zh=FILE en=FILE")
    if len(set(counted.values())) > 1:
        named = ", ".join(f"{label} has {lines:,}" for label, lines in counted.items())
        raise CorpusError(
            f"these files are not parallel, their numbers of lines differ: {named}; line i of each must say the same. "
            "Leave out the option parallel (--parallel) to compare them as they are"
        )


def label_of(source: SourceLike) -> str:
    """What to call a source: its file's name without suffixes."""
    if not isinstance(source, (str, os.PathLike)):
        return "text"
    path = os.fspath(source)
    if path == "-":
        return "stdin"
    name = Path(path).resolve().name
    for _ in range(2):
        stem, dot, suffix = name.rpartition(".")
        if dot and stem and suffix.lower() in ("txt", "jsonl", "ndjson", "json", "parquet", "gz", "bz2", "xz", "zst"):
            name = stem
    return name


def _begin(data: bytes, size: int) -> bytes:
    """At most ``size`` bytes from the start of a document: whole lines where there are any, else whole characters."""
    if len(data) <= size:
        return data
    end = data.rfind(b"\n", 0, size) + 1
    if end == 0:
        end = size
        while end and data[end] & 0xC0 == 0x80:
            end -= 1
    return data[:end]


def _parts(document: str) -> Iterator[str]:
    at = 0
    while len(document) - at > PART_CHARACTERS:
        end = at + PART_CHARACTERS
        newline = document.rfind("\n", at + PART_CHARACTERS // 2, end)
        if newline >= 0:
            end = newline + 1
        else:
            space = document.rfind(" ", at + PART_CHARACTERS // 2, end)
            end = space if space >= 0 else end
        yield document[at:end]
        at = end
    if at < len(document):
        yield document[at:]


def _scripts(parts: Iterable[str]) -> dict[str, int]:
    """Characters of each script; those that all scripts share are left out."""
    starts, numbers, names = unicode.script_table()
    totals = np.zeros(len(names), dtype=np.int64)
    batch: list[str] = []
    size = 0
    for part in (*parts, None):
        if part is not None:
            batch.append(part)
            size += len(part)
        if batch and (part is None or size > 1 << 20):
            points = np.frombuffer("".join(batch).encode("utf-32-le"), dtype=np.uint32).astype(np.int64)
            found = numbers[np.searchsorted(starts, points, side="right") - 1]
            totals += np.bincount(found, minlength=len(names))
            batch, size = [], 0
    left_out = ("Unknown", "Common", "Inherited")
    return {
        name: int(total) for name, total in zip(names, totals.tolist(), strict=True) if total and name not in left_out
    }


def _warnings(label: str, language: str | None, scripts: Mapping[str, int], broken: int) -> Iterator[str]:
    if broken:
        yield f"{label}: {broken:,} bytes are no valid UTF-8 and were measured as U+FFFD"
    letters = sum(scripts.values())
    if language is None:
        return
    share = sum(scripts.get(script, 0) for script in _SCRIPTS[language]) / letters if letters else 0.0
    if share < _EXPECTED_SHARE:
        most = max(scripts, key=lambda script: scripts[script]) if scripts else "no letters at all"
        yield (
            f"{label}: the label says {language}, but {share:.0%} of its letters are {' or '.join(_SCRIPTS[language])} "
            f"(most are {most}): is it the wrong file?"
        )
