"""Read and write ``vocab.json`` + ``merges.txt``, the pair of files of the GPT-2 release.

``vocab.json`` is token to id, tokens spelled as in ``byte_text.py``; ``merges.txt`` has one merge a line after
``#version: 0.2`` (which some publishers leave out). The pair carries special tokens without saying so: an entry that
is no byte and that no merge makes is an atomic token outside merging, and that is what a special token is (when its
text might as well spell an ordinary token's bytes, the caller has to say).

It carries no pattern. On reading that comes from the caller, else from the sidecar, else it is an error. On writing
the sidecar (``merges.txt.json``) holds the pattern, the flags of special tokens, the normalizer, the template and the
whole-pretoken rule; a program that reads the pair without the sidecar assumes GPT-2's pattern and none of the others.
A rank table is written as all its splits.

Either file's path may be given, or their folder; names may share a prefix (``gpt2-vocab.json``, ``gpt2-merges.txt``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from bbpe.errors import FormatError
from bbpe.formats.byte_text import is_spelling, to_text
from bbpe.formats.equivalence import listed_merges
from bbpe.formats.files import decode_utf8, expect, parse_json, read_bytes
from bbpe.formats.sidecar import build, read_sidecar, special_tokens_from_caller, write_sidecar
from bbpe.formats.tokenizer_json import ids_of_pairs, ordinary_tokens, read_texts, spelled_tokens
from bbpe.patterns import Pattern
from bbpe.vocabulary import SpecialToken, Template, Vocabulary

VOCAB, MERGES = "vocab.json", "merges.txt"
_HEADER = "#version: 0.2"
_SUFFIXES = ("", ".gz", ".xz")


def paths_of_pair(path: Path, *, folder: bool = False) -> tuple[Path, Path]:
    """The two files, from either one's path or, with ``folder``, their folder's.

    Raises:
        FormatError: The name ends neither in ``vocab.json`` nor in ``merges.txt``.
    """
    if folder:
        return path / VOCAB, path / MERGES
    name = path.name.removesuffix(".gz").removesuffix(".xz")
    for mine, other in ((VOCAB, MERGES), (MERGES, VOCAB)):
        if name.endswith(mine):
            partner = path.with_name(name[: -len(mine)] + other)
            return (path, partner) if mine == VOCAB else (partner, path)
    raise FormatError(f"{path}: expected a folder, or a name that ends in {VOCAB} or {MERGES}")


def _existing(path: Path) -> Path:
    """The file or its compressed form, whichever is there."""
    candidates = (path.with_name(path.name + suffix) for suffix in _SUFFIXES)
    return next((candidate for candidate in candidates if candidate.exists()), path)


def existing_pair(path: Path) -> tuple[Path, Path]:
    """``vocab.json`` and ``merges.txt`` as they are there, compressed or not, from either one's path or their folder's.

    Raises:
        FormatError: The name ends in neither.
    """
    vocab, merges = paths_of_pair(path, folder=path.is_dir())
    return _existing(vocab), _existing(merges)


def read(path: Path, *, pattern: Pattern | None = None, special_tokens: Mapping[str, int] | None = None) -> Vocabulary:
    """Read a pair of files.

    Args:
        path: Either file or their folder; ``.gz`` and ``.xz`` are read too.
        pattern: Used instead of what the sidecar says.
        special_tokens: ``{content: id}``, used instead of what sidecar and ``vocab.json`` say. A token of
            ``vocab.json`` that no merge makes and that is not named here is then an ordinary token, which no text
            encodes to.

    Raises:
        FormatError: A damaged entry or line (with its place), or nobody says what the pattern is.
    """
    vocab_path, merges_path = existing_pair(path)
    merges_content = read_bytes(merges_path)
    vocab_content = read_bytes(vocab_path)
    texts = read_texts(expect(parse_json(vocab_content, vocab_path), dict, str(vocab_path)), str(vocab_path))
    pairs, first_line = _parse_merges(decode_utf8(merges_content, merges_path), merges_path)
    merges = ids_of_pairs(pairs, texts, str(merges_path), first_line)
    stated = read_sidecar(merges_path, vocab_content + merges_content)
    if pattern is None:
        if stated is None:
            raise FormatError(
                f"{merges_path}: vocab.json and merges.txt carry no pattern, and there is no sidecar: pass "
                "pattern='gpt2' (a name or a regex)"
            )
        pattern = stated.pattern
    if special_tokens is not None:
        special = special_tokens_from_caller(special_tokens)
    elif stated is not None:
        special = stated.special_tokens
    else:
        special = _special_by_structure(texts, pairs, vocab_path)
    tokens = ordinary_tokens(texts, pairs, {token.content: token for token in special}, str(vocab_path))
    return build(
        vocab_path,
        tokens=tokens,
        merges=merges,
        special_tokens=special,
        pattern=pattern,
        normalizer=stated.normalizer if stated else None,
        whole_pretoken=stated.whole_pretoken if stated else False,
        template=stated.template if stated else Template(),
        name=stated.name if stated else None,
    )


def _special_by_structure(
    texts: Mapping[str, int], pairs: list[tuple[str, str]], path: Path
) -> tuple[SpecialToken, ...]:
    """The entries that are no byte and that no merge makes: atomic tokens outside merging.

    Raises:
        FormatError: One may as well be an ordinary token in the spelling of bytes, with other bytes.
    """
    made = {left + right for left, right in pairs}
    special = tuple(
        SpecialToken(text, id)
        for text, id in texts.items()
        if not (len(text) == 1 and is_spelling(text)) and text not in made
    )
    for token in special:
        if not token.content.isascii() and is_spelling(token.content):
            raise FormatError(
                f"{path}: {token.content[:80]!r} is made by no merge; it may be a special token or an ordinary one: "
                "pass special_tokens={content: id} ({} for none)"
            )
    return special


def _parse_merges(text: str, path: Path) -> tuple[list[tuple[str, str]], int]:
    """The merges, and the number of the first one's line."""
    lines = text.split("\n")  # not splitlines: U+0085 and its like are spellings of bytes
    start = 1 if lines[0].startswith("#version") else 0
    if lines[-1] == "":
        lines.pop()
    pairs: list[tuple[str, str]] = []
    for number, line in enumerate(lines[start:], start + 1):
        parts = line.removesuffix("\r").split(" ")
        if len(parts) != 2 or not parts[0] or not parts[1]:
            raise FormatError(f"{path}:{number}: {line[:80]!r}; expected two tokens with one space between")
        pairs.append((parts[0], parts[1]))
    return pairs, start + 1


def write(vocabulary: Vocabulary, path: Path) -> None:
    """Write the pair and its sidecar, read them again, and compare.

    Raises:
        FormatError: The format cannot say this vocabulary exactly; the message says why.
        OSError: A file cannot be written.
    """
    vocab_path, merges_path = paths_of_pair(path, folder=path.is_dir())
    texts = spelled_tokens(vocabulary)
    merges = listed_merges(vocabulary)
    spelled = {id: to_text(token) for id, token in vocabulary.tokens.items()}
    for left, _ in merges:
        if spelled[left].startswith("#version"):
            raise FormatError(
                f"merges.txt cannot hold a merge of {spelled[left]!r}: readers take its line for the header"
            )
    content = "".join((_HEADER + "\n", *(f"{spelled[left]} {spelled[right]}\n" for left, right in merges))).encode()
    entries = ",\n".join(f"{json.dumps(text, ensure_ascii=False)}: {id}" for text, id in texts.items())
    vocab_content = f"{{\n{entries}\n}}\n".encode()
    vocab_path.write_bytes(vocab_content)
    merges_path.write_bytes(content)
    written = vocabulary.replace(merges=merges, ranks=None)
    write_sidecar(written, merges_path, "merges", vocab_content + content)
    if read(vocab_path) != written:
        raise FormatError(
            "what was written reads back as another vocabulary: vocab.json and merges.txt cannot say this one"
        )
