"""Vocabulary files: one module a format, with ``read(path)`` and, where bbpe writes it, ``write(vocabulary, path)``.

This module knows the formats by name and tells by content which one a file is. A format is added by a module and a
line in :data:`FORMATS`. ``io.py`` adds what is not about one format: folders, names, the catalogue, atomic writes.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bbpe.engines import EngineModel
from bbpe.errors import FormatError
from bbpe.formats import (
    gguf_file,
    piece_list,
    sentencepiece_model,
    tekken,
    tiktoken_file,
    tokenizer_json,
    vocab_merges,
    wordpiece_text,
)
from bbpe.formats.files import read_bytes
from bbpe.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class Format:
    """A vocabulary format.

    Attributes:
        name: How it is called in ``format=`` and in messages.
        description: One line.
        read: ``read(path, *, pattern, special_tokens)`` gives a ``Vocabulary`` where bbpe encodes itself, else an
            ``EngineModel``.
        write: ``write(vocabulary, path)``; not atomic, which ``io.save`` is. None where bbpe only reads it.
        files: Name of the file given, to the names of all files that ``write`` makes of it.
        names: File names in a folder by which a vocabulary of this format is known, without ``.gz`` and ``.xz``.
        options: Keyword arguments that ``read`` takes besides.
    """

    name: str
    description: str
    read: Callable[..., Vocabulary | EngineModel]
    write: Callable[[Vocabulary, Path], None] | None = None
    files: Callable[[str], tuple[str, ...]] | None = None
    names: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


def _pair_files(name: str) -> tuple[str, ...]:
    vocab, merges = vocab_merges.paths_of_pair(Path(name))
    return vocab.name, merges.name, merges.name + ".json"


FORMATS: Mapping[str, Format] = {
    format.name: format
    for format in (
        Format(
            "tokenizer.json",
            "Hugging Face tokenizers: byte-level BPE, BPE, Unigram, WordPiece",
            tokenizer_json.read,
            tokenizer_json.write,
            lambda name: (name,),
            ("tokenizer.json",),
        ),
        Format(
            "tiktoken",
            "base64 token and rank, one a line",
            tiktoken_file.read,
            tiktoken_file.write,
            lambda name: (name, name + ".json"),
        ),
        Format("vocab+merges", "vocab.json and merges.txt", vocab_merges.read, vocab_merges.write, _pair_files),
        Format(
            "sentencepiece",
            "SentencePiece .model, BPE or Unigram",
            sentencepiece_model.read,
            names=("tokenizer.model", "spiece.model", "sentencepiece.bpe.model"),
        ),
        Format("tekken", "Mistral's tekken.json", tekken.read, names=("tekken.json",)),
        Format(
            "wordpiece",
            "WordPiece vocab.txt, one token a line",
            wordpiece_text.read,
            names=("vocab.txt",),
            options=("lowercase",),
        ),
        Format(
            "gguf",
            "llama.cpp: byte-level BPE, SentencePiece, WordPiece",
            gguf_file.read,
            gguf_file.write,
            lambda name: (name,),
        ),
        Format("piece-list", "base64 pieces without scores, one a line, to look at", piece_list.read),
    )
}

_MERGE_LINE = re.compile(r"[^\s]+ [^\s]+\r?")
_FIRST_MERGE = re.compile(r"[^\s] [^\s]\r?")  # of two bytes: there is nothing else yet
_SNIFFED_BYTES = 1 << 16


def known_formats() -> str:
    """The formats' names and descriptions, for messages."""
    return "; ".join(f"{format.name} ({format.description})" for format in FORMATS.values())


def detect(path: Path) -> str:
    """Which format a file is, told by its content.

    Returns:
        A key of :data:`FORMATS`.

    Raises:
        FormatError: None of them, or more than one; the message says what the file may be and how to say which.
    """
    if gguf_file.is_gguf(path):  # before the file is read: a model has many gigabytes
        return "gguf"
    found, seen = _sniff(read_bytes(path))
    if len(found) == 1:
        return found[0]
    if found:
        ways = " or ".join(f"format={name!r} ({FORMATS[name].description})" for name in found)
        raise FormatError(f"{path}: may be in more than one format; say which: {ways}")
    raise FormatError(f"{path}: {seen}; where you know the format, pass format=...; bbpe reads {known_formats()}")


def _sniff(content: bytes) -> tuple[list[str], str]:
    """The formats that a file may be in; where there is none, what it looks like."""
    start = content[:4096].lstrip()
    if not start:
        return [], "empty"
    if start.startswith(b"{"):
        return _sniff_json(content)
    if content.startswith(b"GGUF"):
        return ["gguf"], ""
    if sentencepiece_model.looks_like(content):
        return ["sentencepiece"], ""
    if b"\x00" in content[:4096]:
        return [], "a binary file"
    return _sniff_lines(content)


def _sniff_lines(content: bytes) -> tuple[list[str], str]:
    """As ``_sniff``, of a text: by the lines with which it begins, all of which have to be of one kind."""
    lines = content[:_SNIFFED_BYTES].split(b"\n")
    if lines[-1] == b"" or len(content) > _SNIFFED_BYTES:
        lines.pop()  # the last one, where it may be cut off
    try:
        texts = [line.decode() for line in lines]
    except UnicodeDecodeError:
        return [], "not UTF-8 and no known binary format"
    if not texts:
        return [], "one line without an end"
    found = []
    if all(_is_tiktoken_line(line) for line in lines):
        found.append("tiktoken")
    if texts[0].startswith("#version") or (_FIRST_MERGE.fullmatch(texts[0]) and all(map(_MERGE_LINE.fullmatch, texts))):
        found.append("vocab+merges")
    alone = all(text and not text.rstrip("\r").strip(" \t").count(" ") for text in texts)
    unknown = wordpiece_text.UNKNOWN.encode()
    if alone and unknown in content and unknown in (line.rstrip(b"\r") for line in content.split(b"\n")):
        found.append("wordpiece")
    if alone and len(lines) > 1 and all(_is_base64(line.rstrip(b"\r")) for line in lines):
        found.append("piece-list")
    if found:
        return found, ""
    return [], f"a list of words without {wordpiece_text.UNKNOWN}" if alone and len(texts) > 1 else "unknown content"


def _is_tiktoken_line(line: bytes) -> bool:
    token, _, rank = line.rstrip(b"\r").partition(b" ")
    return rank.isdigit() and len(rank) <= 10 and _is_base64(token)


def _is_base64(text: bytes) -> bool:
    try:
        return bool(text) and binascii.b2a_base64(binascii.a2b_base64(text), newline=False) == text
    except binascii.Error:
        return False


def _sniff_json(content: bytes) -> tuple[list[str], str]:
    """By the first keys, without parsing: a damaged file is still told by what it began as."""
    start = content[:4096]
    if b'"bbpe sidecar"' in start:
        return [], "a sidecar, which belongs to the file of its name without .json"
    if re.search(rb'"(?:token_bytes|default_vocab_size)"\s*:', start):
        return ["tekken"], ""
    if re.search(rb'"(?:model|added_tokens|pre_tokenizer)"\s*:\s*[\[{n]', content):
        return ["tokenizer.json"], ""
    if re.match(rb'\s*\{\s*"(?:[^"\\]|\\.)*"\s*:\s*[0-9]+\s*[,}]', start):
        return ["vocab+merges"], ""
    if re.search(rb'"(?:tokenizer_class|added_tokens_decoder|model_max_length)"\s*:', content):
        return [], "a tokenizer_config.json, which belongs beside a vocabulary"
    return [], "JSON of another kind"
