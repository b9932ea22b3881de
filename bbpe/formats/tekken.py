"""Read ``tekken.json``, Mistral's file of a byte-level vocabulary: ranks, pattern, special tokens.

Special tokens come first: with 1,000 of them the token of rank r has id r + 1000. The list is longer than what is used:
``config.default_vocab_size`` says where it ends. Special tokens have names in files from version 7 on; in earlier ones
they have those of mistral-common, and ids without a name are ``<SPECIAL_n>``. The encoder is tiktoken's: a rank table
whose pretokens that are tokens are taken whole.

Source: ``tokens/tokenizers/tekken.py`` in mistralai/mistral-common.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bbpe.errors import FormatError, PatternError
from bbpe.formats.files import expect, member, parse_json, read_bytes, shortened
from bbpe.formats.sidecar import build, special_tokens_from_caller
from bbpe.patterns import Pattern, from_spelling
from bbpe.vocabulary import SpecialToken, Vocabulary

_MAX_ENTRIES = 1 << 22
# What mistral-common calls ids that files before version 7 do not name.
_FIRST_NAMES = (
    "<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]",
    "[/TOOL_RESULTS]", "[TOOL_CALLS]", "[IMG]", "<pad>", "[IMG_BREAK]", "[IMG_END]", "[PREFIX]", "[MIDDLE]", "[SUFFIX]",
    "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[TOOL_CONTENT]",
)  # fmt: skip


def read(path: Path, *, pattern: Pattern | None = None, special_tokens: Mapping[str, int] | None = None) -> Vocabulary:
    """Read a vocabulary.

    Args:
        path: The file; ``.gz`` and ``.xz`` are read too.
        pattern: May repeat the file's, not change it.
        special_tokens: ``{content: id}`` of ids that the file does not name.

    Raises:
        FormatError: The file is damaged or contradicts itself.
    """
    where = str(path)
    data = expect(parse_json(read_bytes(path), path), dict, where)
    config = member(data, "config", dict, where)
    place = f"{where}: config"
    vocab_size = member(config, "default_vocab_size", int, place)
    special_count = member(config, "default_num_special_tokens", int, place)
    vocab = member(data, "vocab", list, where)
    if not 0 <= special_count <= vocab_size <= min(len(vocab) + special_count, _MAX_ENTRIES):
        raise FormatError(
            f"{place}: {vocab_size:,} ids of which {special_count:,} are special, and {len(vocab):,} tokens to take "
            "them from; these contradict one another"
        )
    read_pattern = _pattern(member(config, "pattern", str, place), f"{place}.pattern")
    if pattern is not None and pattern != read_pattern:
        raise FormatError(f"{where}: carries its own pattern {read_pattern}; leave pattern out")
    tokens = _tokens(vocab, vocab_size - special_count, special_count, f"{where}: vocab")
    if data.get("special_tokens") is None:
        version = member(config, "version", str, place)
        if re.fullmatch(r"v[1-7]", version) is None:
            raise FormatError(f"{where}: version {version[:20]!r} lists its special tokens, and none are here")
    names = _names(data.get("special_tokens"), special_count, special_tokens, where)
    return build(
        path,
        tokens=tokens,
        ranks=list(tokens),
        special_tokens=[SpecialToken(content, id) for id, content in enumerate(names)],
        pattern=read_pattern,
        whole_pretoken=True,
    )


def _pattern(spelling: str, place: str) -> Pattern:
    try:
        pattern = from_spelling(spelling, "tiktoken")
    except PatternError as error:
        raise FormatError(f"{place}: {shortened(error)}") from None
    if not pattern.covers_everything:
        raise FormatError(f"{place}: leaves some text between its matches, which tiktoken would drop in silence")
    return pattern


def _tokens(vocab: list[Any], count: int, first_id: int, place: str) -> dict[int, bytes]:
    """Id to bytes of the first ``count`` tokens, which are in rank order."""
    tokens: dict[int, bytes] = {}
    for rank, entry in enumerate(vocab[:count]):
        here = f"{place}[{rank}]"
        expect(entry, dict, here)
        if member(entry, "rank", int, here) != rank:
            raise FormatError(f"{here}: rank {entry['rank']}; expected {rank}")
        encoded = member(entry, "token_bytes", str, here)
        try:
            token = base64.b64decode(encoded.encode("ascii", "replace"), validate=True)
        except binascii.Error as error:
            raise FormatError(f"{here}.token_bytes: {encoded[:60]!r} is not base64: {error}") from None
        text = entry.get("token_str")
        if text is not None and token.decode("utf-8", "replace") != expect(text, str, f"{here}.token_str"):
            raise FormatError(f"{here}: token_str {text[:60]!r} is not what token_bytes says")
        if rank < 256 and token != bytes([rank]):
            raise FormatError(f"{here}: {token[:40]!r}; the first 256 tokens are the bytes in order")
        tokens[first_id + rank] = token
    return tokens


def _names(listed: Any, count: int, special_tokens: Mapping[str, int] | None, where: str) -> list[str]:
    """The special tokens' names by id."""
    place = f"{where}: special_tokens"
    names = [f"<SPECIAL_{id}>" for id in range(count)]
    if listed is None:
        names[: len(_FIRST_NAMES)] = _FIRST_NAMES[:count]
        given = {token.id: token.content for token in special_tokens_from_caller(special_tokens or {})}
    else:
        given = {}
        for index, entry in enumerate(expect(listed, list, place)):
            here = f"{place}[{index}]"
            expect(entry, dict, here)
            id = member(entry, "rank", int, here)
            if id in given:
                raise FormatError(f"{here}: id {id} stands there twice")
            given[id] = member(entry, "token_str", str, here)
        if special_tokens is not None:
            for content, id in special_tokens.items():
                if given.get(id) != content:
                    raise FormatError(f"{where}: carries its own special tokens; leave special_tokens out")
    for id, content in given.items():
        if not 0 <= id < count:
            raise FormatError(f"{place}: {content[:80]!r} has id {id}; expected 0 to {count - 1}")
        names[id] = content
    return names
