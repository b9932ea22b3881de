"""Vocabulary files: one module a format, each with ``read(path) -> Vocabulary`` and ``write(vocabulary, path)``.

This module knows the formats by name and tells by content which one a file is. A format is added by a module and a
line in :data:`FORMATS`. ``io.py`` adds what is not about one format: folders, names, the catalogue, atomic writes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bbpe.errors import FormatError
from bbpe.formats import gguf_file, tiktoken_file, tokenizer_json, vocab_merges
from bbpe.formats.files import read_bytes
from bbpe.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class Format:
    """A vocabulary format.

    Attributes:
        name: How it is called in ``format=`` and in messages.
        description: One line.
        read: ``read(path, *, pattern, special_tokens) -> Vocabulary``.
        write: ``write(vocabulary, path)``; not atomic, which ``io.save`` is.
        files: Name of the file given, to the names of all files that ``write`` makes of it.
    """

    name: str
    description: str
    read: Callable[..., Vocabulary]
    write: Callable[[Vocabulary, Path], None]
    files: Callable[[str], tuple[str, ...]]


def _pair_files(name: str) -> tuple[str, ...]:
    vocab, merges = vocab_merges.paths_of_pair(Path(name))
    return vocab.name, merges.name, merges.name + ".json"


FORMATS: Mapping[str, Format] = {
    format.name: format
    for format in (
        Format(
            "tokenizer.json",
            "Hugging Face tokenizers, byte-level BPE",
            tokenizer_json.read,
            tokenizer_json.write,
            lambda name: (name,),
        ),
        Format(
            "tiktoken",
            "base64 token and rank, one a line",
            tiktoken_file.read,
            tiktoken_file.write,
            lambda name: (name, name + ".json"),
        ),
        Format("vocab+merges", "vocab.json and merges.txt", vocab_merges.read, vocab_merges.write, _pair_files),
        Format("gguf", "llama.cpp, byte-level BPE", gguf_file.read, gguf_file.write, lambda name: (name,)),
    )
}

_TIKTOKEN_LINE = re.compile(rb"[A-Za-z0-9+/]+={0,2} [0-9]{1,10}\r?")
_MERGE_LINE = re.compile(r"[^\s]+ [^\s]+\r?")
_SNIFFED_LINES = 16


def known_formats() -> str:
    """The formats' names and descriptions, for messages."""
    return "; ".join(f"{format.name} ({format.description})" for format in FORMATS.values())


def detect(path: Path) -> str:
    """Which format a file is, told by its content.

    Returns:
        A key of :data:`FORMATS`.

    Raises:
        FormatError: None of them; the message says what the file is, where that can be seen, and lists the formats.
    """
    if gguf_file.is_gguf(path):  # before the file is read: a model has many gigabytes
        return "gguf"
    content = read_bytes(path)
    found, seen = _sniff(content)
    if found is None:
        raise FormatError(f"{path}: {seen}; bbpe reads {known_formats()}")
    return found


def _sniff(content: bytes) -> tuple[str | None, str]:
    """The format, or None and what the content looks like."""
    start = content[:4096].lstrip()
    if not start:
        return None, "empty"
    if start.startswith(b"{"):
        return _sniff_json(content)
    if content.startswith(b"GGUF"):
        return "gguf", ""
    if b"\x00" in content[:4096] or content.startswith(b"\n"):
        # A SentencePiece model is a protobuf whose first field (0x0A) is a piece, often <unk>.
        return None, "a SentencePiece model" if b"<unk>" in content[:256] else "a binary file"
    lines = content[: 1 << 16].split(b"\n")[:_SNIFFED_LINES]
    if lines[-1] == b"":
        lines.pop()
    if all(_TIKTOKEN_LINE.fullmatch(line) for line in lines[:-1] or lines):
        return "tiktoken", ""
    try:
        texts = [line.decode() for line in lines]
    except UnicodeDecodeError:
        return None, "not UTF-8 and no known binary format"
    if texts[0].startswith("#version") or all(_MERGE_LINE.fullmatch(text) for text in texts[:-1] or texts):
        return "vocab+merges", ""
    if any(text.strip() in ("[UNK]", "[PAD]") for text in texts):
        return None, "a WordPiece vocab.txt"
    return None, "unknown content"


def _sniff_json(content: bytes) -> tuple[str | None, str]:
    """By the first keys, without parsing: a damaged file is still told by what it began as."""
    if re.search(rb'"(?:model|added_tokens|pre_tokenizer)"\s*:\s*[\[{n]', content):
        return "tokenizer.json", ""
    start = content[:4096]
    if b'"bbpe sidecar"' in start:
        return None, "a sidecar, which belongs to the file of its name without .json"
    if re.search(rb'"(?:token_bytes|default_vocab_size)"\s*:', start):
        return None, "a tekken.json"
    if re.match(rb'\s*\{\s*"(?:[^"\\]|\\.)*"\s*:\s*[0-9]+\s*[,}]', start):
        return "vocab+merges", ""
    return None, "JSON of another kind"
