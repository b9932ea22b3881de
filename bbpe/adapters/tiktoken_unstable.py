"""tiktoken's ``encode_with_unstable``: which ids may cover the end of a text when more text follows.

The algorithm is tiktoken's own, quick and dirty fixes included, since the point is to give what it gives
(``_encode_unstable_native`` in https://github.com/openai/tiktoken, ``src/lib.rs``); only that all candidates are encoded
in one batch. It is not proven to find every continuation, there or here.

The end of the text is *unstable* from the start of its last pretoken on. Every token that begins with the unstable
bytes covers them; so does every token that begins somewhere inside them and goes on past their end, with the bytes
before it encoded as they then come out.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

import numpy as np

from bbpe import unicode
from bbpe._encode import Encoder
from bbpe.errors import FormatError
from bbpe.patterns import Pretokenizer
from bbpe.tokenizer import Allowed, Tokenizer, build_encoder

_BLANKS = b" \n\t"


def completions(tokenizer: Tokenizer, text: str, allowed: Allowed) -> tuple[list[int], list[list[int]]]:
    """The ids that more text cannot change, and the ways in which the rest may be covered, in ascending order.

    Args:
        tokenizer: What encodes.
        text: Any str without lone surrogates.
        allowed: Special tokens that count as such.

    Raises:
        FormatError: The vocabulary has a normalizer.
    """
    if tokenizer.vocabulary.normalizer is not None:
        raise FormatError(
            "encode_with_unstable speaks of the bytes of the text, which this vocabulary normalizes first"
        )
    ids = tokenizer.encode(text, allowed_special=allowed)
    last = _last_pretoken(tokenizer, text, ids)
    stable, rest = ids[: len(ids) - last], ids[len(ids) - last :]
    unstable = tokenizer.decode_bytes(rest)
    if not unstable:
        return stable, []
    tokens = sorted(tokenizer.vocabulary.tokens.values())
    found: set[tuple[int, ...]] = {(tokenizer.vocabulary.ids[token],) for token in _beginning_with(tokens, unstable)}
    # A set: many tokens differ only behind what the pattern cuts off.
    longer = {
        unstable[:at] + token for at in range(1, len(unstable)) for token in _beginning_with(tokens, unstable[at:])
    }
    valid: list[bytes] = []
    broken: list[bytes] = []
    for candidate in sorted(longer):
        (valid if _is_utf8(candidate) else broken).append(candidate)
    encoded, offsets = tokenizer.encode_batch_to_numpy(valid, threads=1)
    for start, end in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
        found.add(_covering(tokenizer, encoded[start:end].tolist(), len(unstable)))
    alone = _MergesAlone(tokenizer)
    found.update(_covering(tokenizer, alone.encode(candidate), len(unstable)) for candidate in broken)
    end = _last_white_space(unstable)
    if end:  # "\n\n" may yet fall in two: "\n\n0" is three pretokens
        found.add((*alone.encode(unstable[:end]), *alone.encode(unstable[end:])))
    return stable, [list(sequence) for sequence in sorted(found)]


def _last_pretoken(tokenizer: Tokenizer, text: str, ids: list[int]) -> int:
    """How many of the ids are unstable: those of the last pretoken, and of blanks before it if it is blank."""
    special = {*tokenizer.special_tokens.values()} - tokenizer.vocabulary.tokens.keys()
    plain = 0  # ids behind the last special token
    while plain < len(ids) and ids[-1 - plain] not in special:
        plain += 1
    data = tokenizer.decode_bytes(ids[len(ids) - plain :])
    if not data:
        return 0
    begins = Pretokenizer(tokenizer.pattern).ends(data)[:-1]
    before = int(begins[-1]) if len(begins) else 0
    last, size = 0, len(data)
    while size > before:
        last += 1
        size -= len(tokenizer.token(ids[-last]))
    if not _is_blank(tokenizer.token(ids[-last])):
        return last
    while last < len(ids) and _is_blank(tokenizer.token(ids[-last - 1])):
        last += 1
    return last


def _is_blank(token: bytes) -> bool:
    return not token.strip(_BLANKS)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _beginning_with(tokens: list[bytes], prefix: bytes) -> Iterator[bytes]:
    """Of the sorted tokens those that begin with ``prefix``."""
    at = bisect_left(tokens, prefix)
    while at < len(tokens) and tokens[at].startswith(prefix):
        yield tokens[at]
        at += 1


def _covering(tokenizer: Tokenizer, ids: list[int], size: int) -> tuple[int, ...]:
    """The first ids, as many as it takes to cover ``size`` bytes."""
    tokens = tokenizer.vocabulary.tokens
    for count, id in enumerate(ids, 1):
        size -= len(tokens[id])
        if size <= 0:
            return tuple(ids[:count])
    return tuple(ids)


def _last_white_space(data: bytes) -> int:
    """Where the last character of ``data`` begins, if it is white space and something stands before it; else 0."""
    start = len(data) - 1
    while start > 0 and len(data) - start < 4 and data[start] & 0xC0 == 0x80:
        start -= 1
    try:
        character = data[start:].decode()
    except UnicodeDecodeError:
        return 0
    return start if len(character) == 1 and ord(character) in unicode.space() else 0


class _MergesAlone:
    """Encodes bytes as one pretoken, and by merges only: a token is not taken whole."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._encoder: Encoder | None = None  # costly, and rarely asked for

    def encode(self, data: bytes) -> list[int]:
        if self._encoder is None:
            vocabulary = self._tokenizer.vocabulary
            self._encoder = (
                build_encoder(vocabulary, Pretokenizer(vocabulary.pattern), whole_pretoken=False)
                if vocabulary.whole_pretoken
                else self._tokenizer.encoder
            )
        ends = np.array([len(data)], dtype=np.uint64)
        ids: list[int] = self._encoder.encode_pretokens(data, ends).tolist()
        return ids
