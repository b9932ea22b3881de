"""The live box: which vocabularies the page can run, and their data, packed small.

What it does: choose (``live_box``) and pack (``packed``). What it does not: encode; ``page/encoder.js`` unpacks this and
encodes in the reader's browser. Both name the same fields in the same order.

**The packing.** Every number is a LEB128 of variable length, differences zigzag (even: n / 2, odd: -(n + 1) / 2); each
blob is deflated and written in base64. A vocabulary: how many tokens; the length of each; the id of each as a
difference; all bytes in a row; for a merge list, how many merges; for each the place of the token that it makes, as a
difference; for each the length of its left side. The tokens of a rank table stand in rank order, those of a merge list
in the order of ids. A merge needs no more than that: all bytes are distinct, so the token and the length of its left
side name both sides. cl100k_base takes 0.6 MB so, qwen2 1.1 MB. A pattern: how many stages; for each its states,
classes, transitions, ends, and its ranges of characters as (length, class).
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from bbpe.automaton import Inexpressible, Machine, compile_pattern
from bbpe.errors import EncodeError
from bbpe.report.model import LiveBox, LiveVocabulary
from bbpe.tokenizer import Tokenizer
from bbpe.unicode import CODE_POINTS
from bbpe.vocabulary import Vocabulary

LIMIT = 8
"""Vocabularies that a page holds unless asked otherwise: of 100,000 to 200,000 tokens, some 0.5 to 1.5 MB each."""


def live_box(tokenizers: Mapping[str, object], text: str = "", limit: int = LIMIT) -> LiveBox:
    """The box for some tokenizers.

    Args:
        tokenizers: By name, the most wanted first: ``Tokenizer``, ``EngineTokenizer`` or whatever else was compared.
        text: What stands in the box at first; the page shows whether its ids there are those that bbpe gives here.
        limit: How many vocabularies at most.

    Returns:
        The box; ``left_out`` says of each other tokenizer why it is not in it.
    """
    taken: list[LiveVocabulary] = []
    left_out: dict[str, str] = {}
    for name, tokenizer in tokenizers.items():
        if not isinstance(tokenizer, Tokenizer):
            engine = getattr(tokenizer, "engine", "another library")
            left_out[name] = f"no byte-level BPE that a page can run; {engine} runs it"
        elif (reason := _obstacle(tokenizer.vocabulary)) is not None:
            left_out[name] = reason
        elif len(taken) == limit:
            left_out[name] = f"the page holds {limit} vocabularies"
        else:
            taken.append(LiveVocabulary(name, tokenizer.vocabulary, _expected(tokenizer, text)))
    return LiveBox(tuple(taken), text, left_out)


def _expected(tokenizer: Tokenizer, text: str) -> tuple[int, ...] | None:
    try:
        return tuple(tokenizer.encode(text, errors="replace"))
    except EncodeError:  # a byte without a token; the page says so too
        return None


def _obstacle(vocabulary: Vocabulary) -> str | None:
    """Why the page cannot run a vocabulary; None if it can."""
    try:
        _machines(vocabulary)
    except Inexpressible as error:
        return f"its pattern runs on the regex package, because of {error}"
    return None


def _machines(vocabulary: Vocabulary) -> tuple[Machine, ...]:
    return tuple(compile_pattern(stage) for stage in vocabulary.pattern.stages)


def packed(box: LiveBox) -> dict[str, Any]:
    """What the page needs, ready for JSON: ``{"text", "patterns": [base64], "vocabularies": [{"name", …, "blob"}]}``."""
    patterns: dict[tuple[str, ...], int] = {}
    blobs: list[str] = []
    vocabularies: list[dict[str, Any]] = []
    for live in box.vocabularies:
        vocabulary = live.vocabulary
        stages = vocabulary.pattern.stages
        if stages not in patterns:
            patterns[stages] = len(blobs)
            blobs.append(_deflated(_pattern_bytes(_machines(vocabulary))))
        vocabularies.append(
            {
                "name": live.name,
                "pattern": patterns[stages],
                "merges": vocabulary.merges is not None,
                "whole_pretoken": vocabulary.whole_pretoken,
                "normalizer": vocabulary.normalizer,
                "expected": None if live.expected is None else list(live.expected),
                "blob": _deflated(_vocabulary_bytes(vocabulary)),
            }
        )
    return {"text": box.text, "patterns": blobs, "vocabularies": vocabularies}


def _deflated(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data, 9)).decode()


def _vocabulary_bytes(vocabulary: Vocabulary) -> bytes:
    ids = list(vocabulary.tokens) if vocabulary.ranks is None else list(vocabulary.ranks)
    tokens = [vocabulary.tokens[id] for id in ids]
    parts = [_numbers([len(tokens)]), _numbers(map(len, tokens)), _differences(ids), b"".join(tokens)]
    if vocabulary.merges is not None:
        places = {token: place for place, token in enumerate(tokens)}
        sides = [(vocabulary.tokens[left], vocabulary.tokens[right]) for left, right in vocabulary.merges]
        parts.append(_numbers([len(sides)]))
        parts.append(_differences([places[left + right] for left, right in sides]))
        parts.append(_numbers(len(left) for left, _ in sides))
    return b"".join(parts)


def _pattern_bytes(machines: tuple[Machine, ...]) -> bytes:
    numbers = [len(machines)]
    for machine in machines:
        lengths = np.diff(machine.class_starts, append=CODE_POINTS)
        ranges = np.column_stack([lengths, machine.class_ids]).reshape(-1)
        numbers += [machine.states, machine.classes, *machine.next_state.reshape(-1).tolist()]
        numbers += [*map(int, machine.accept.reshape(-1)), len(lengths), *ranges.tolist()]
    return _numbers(numbers)


def _numbers(numbers: Iterable[int]) -> bytes:
    """LEB128."""
    out = bytearray()
    for number in numbers:
        while number >= 0x80:
            out.append(number & 0x7F | 0x80)
            number >>= 7
        out.append(number)
    return bytes(out)


def _differences(numbers: list[int]) -> bytes:
    """Each less the one before it, zigzag."""
    steps = (number - before for before, number in zip([0, *numbers], numbers, strict=False))
    return _numbers(2 * step if step >= 0 else -2 * step - 1 for step in steps)
