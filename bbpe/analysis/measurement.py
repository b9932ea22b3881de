"""Measure one tokenizer: what it is, and the sums that its tokens of a text come to.

What it does: encode every part of a text once, with the clock running, and reduce the ids to a few numbers
(:class:`Measurement`) from which ``metrics.py`` computes everything; look at the vocabulary itself (:class:`VocabularyFacts`).
What it does not: choose tokenizers or texts, keep results (``cache.py``), or use more than one thread.

All works through the surface that ``Tokenizer`` and ``EngineTokenizer`` share, so that no vocabulary is measured by a
way of its own. Where a library puts a space before every text (SentencePiece's dummy prefix), the token that is
nothing but this space is left out where words and single characters are asked for, since inside a text it is not there.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

import bbpe
from bbpe import unicode
from bbpe.analysis import metrics
from bbpe.analysis.characters import gb2312
from bbpe.analysis.texts import Text
from bbpe.engines import EngineTokenizer
from bbpe.errors import ComparisonError
from bbpe.tokenizer import Tokenizer

__all__ = ["DIGIT_RUNS", "PROBES", "AnyTokenizer", "Lost", "Measurement", "VocabularyFacts", "look_at", "measure"]

AnyTokenizer: TypeAlias = Tokenizer | EngineTokenizer

PROBES: dict[str, str] = {
    "capitals": "AbC dEF",
    "two spaces": "a  b   c",
    "spaces at the ends": " a ",
    "line ends and tabs": "a\n\n\tb\r\nc",
    "full-width forms": "ＡＢＣ，１２３。",
    "combining marks": "cafe\u0301",
    "rare characters": "𠮷龘囍",
    "emoji": "👩\u200d🚀🙂",
    "symbols": "©™①½ﬁ",
}
"""What tokenizers lose, each with a text of it."""

DIGIT_RUNS = ("7", "42", "123", "1234", "12345", "1314151", "20261121", "3141592653")
_COARSE = (
    0.002  # seconds of processor time that are too few to be believed: some systems' clocks tick 64 times a second
)
_BATCH_CHARACTERS = 1 << 21  # of text encoded at once: other libraries give a Python object for each token
_EXCERPT = 24  # characters shown of a place where a text came back changed


@dataclass(frozen=True, slots=True)
class Lost:
    """A text that did not come back from encoding and decoding: which, as it was, as it came back."""

    what: str
    given: str
    got: str


@dataclass(frozen=True, slots=True)
class VocabularyFacts:
    """What is known of a vocabulary without a corpus.

    Attributes:
        engine: The library that encodes, and its version: its speed is not the vocabulary's.
        algorithm: ``"byte-level bpe"``, ``"bpe"``, ``"unigram"``, ``"wordpiece"``.
        vocab_size: Entries, special tokens among them.
        id_space: Last id + 1: the rows that an embedding needs.
        pattern: What cuts text into pretokens: a name, ``"own"``, or None where there is none.
        normalizer: ``"NFC"``, or None: other libraries' normalizers show in ``lost`` alone.
        gb2312_level_1: Share of the 3,755 characters of level 1 of GB 2312 that are one token.
        gb2312_level_2: Share of the 3,008 of level 2.
        digits: How runs of digits are cut: see ``metrics.digit_policy``.
        lost: The kinds of text in ``PROBES`` that do not come back from decoding.
        load_seconds: Time to load it.
    """

    engine: str
    algorithm: str
    vocab_size: int
    id_space: int
    pattern: str | None
    normalizer: str | None
    gb2312_level_1: float
    gb2312_level_2: float
    digits: str
    lost: tuple[Lost, ...]
    load_seconds: float


@dataclass(frozen=True, slots=True)
class Measurement:
    """Sums over one text with one tokenizer.

    Attributes:
        tokens: Σ|T(x)|.
        distinct_tokens: Tokens that occur.
        invalid_tokens: Tokens, as they occur, whose bytes are no valid UTF-8 by themselves.
        unknown_tokens: Tokens, as they occur, that stand for text no token covers: that text is lost.
        whole_han: Chinese characters that lie inside one token.
        renyi_entropy: Of the tokens, bits, power 2.5.
        shannon_entropy: Bits.
        word_tokens: Σ|T(w)| over the words as they occur.
        continued_words: Words, as they occur, with two tokens or more.
        single_forms: Distinct words that are one token.
        changed_parts: Parts of the text that did not come back from decoding.
        lost: The first of them, where there is one.
        seconds: Processor time to encode the text: its first pass, one thread.
    """

    tokens: int
    distinct_tokens: int
    invalid_tokens: int
    unknown_tokens: int
    whole_han: int
    renyi_entropy: float
    shannon_entropy: float
    word_tokens: int
    continued_words: int
    single_forms: int
    changed_parts: int
    lost: Lost | None
    seconds: float


def measure(tokenizer: AnyTokenizer, text: Text) -> Measurement:
    """Encode a text and sum up.

    Args:
        tokenizer: What encodes.
        text: What is encoded, special tokens in it as plain text.

    Raises:
        EncodeError: The vocabulary has no token for a byte of the text.
        ComparisonError: No token at all comes out of the text.
    """
    tokenizer.encode_batch_to_numpy([text.parts[0][:1000]], threads=1)  # tables that are made on first use
    counts = np.zeros(tokenizer.id_space, dtype=np.int64)
    wall = seconds = 0.0
    changed = 0
    lost: Lost | None = None
    for parts in _batches(text.parts):
        wall_begun, begun = time.perf_counter(), time.process_time()
        ids, offsets = tokenizer.encode_batch_to_numpy(parts, threads=1)
        seconds += time.process_time() - begun
        wall += time.perf_counter() - wall_begun
        counts += metrics.histogram(ids, len(counts))
        changed_here, lost_here = _round_trip(tokenizer, parts, ids, offsets, text.facts.label)
        changed += changed_here
        lost = lost if lost is not None else lost_here
    # Processor time is the same on a busy machine, but Windows counts it 64 times a second.
    if seconds < (_COARSE if os.name == "nt" else 1e-6):
        seconds = wall
    used = np.flatnonzero(counts)
    if not len(used):
        raise ComparisonError(f"not a single token comes out of {text.facts.label}")
    tokens = [tokenizer.token(id) for id in used.tolist()]
    occurrences = counts[used]
    whole = np.fromiter(map(_whole_han, tokens), dtype=np.int64, count=len(tokens))
    invalid = np.fromiter((not _is_utf8(token) for token in tokens), dtype=bool, count=len(tokens))
    unknown = unknown_id(tokenizer)
    forms = lengths_of(tokenizer, text.words.forms)
    word_occurrences = np.asarray(text.words.occurrences, dtype=np.int64)
    return Measurement(
        tokens=int(occurrences.sum()),
        distinct_tokens=len(used),
        invalid_tokens=int(occurrences[invalid].sum()),
        unknown_tokens=int(counts[unknown]) if unknown is not None else 0,
        whole_han=int((whole * occurrences).sum()),
        renyi_entropy=metrics.renyi_entropy(occurrences),
        shannon_entropy=metrics.renyi_entropy(occurrences, 1),
        word_tokens=int((forms * word_occurrences).sum()),
        continued_words=int(word_occurrences[forms >= 2].sum()),
        single_forms=int((forms == 1).sum()),
        changed_parts=changed,
        lost=lost,
        seconds=seconds,
    )


def _batches(parts: Sequence[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for part in parts:
        batch.append(part)
        size += len(part)
        if size >= _BATCH_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def look_at(tokenizer: AnyTokenizer, load_seconds: float = 0.0) -> VocabularyFacts:
    """What is known of a vocabulary without a corpus.

    Args:
        tokenizer: The tokenizer.
        load_seconds: How long it took to load.
    """
    pattern = tokenizer.pattern
    return VocabularyFacts(
        engine=_engine(tokenizer),
        algorithm="byte-level bpe" if isinstance(tokenizer, Tokenizer) else tokenizer.algorithm,
        vocab_size=tokenizer.vocab_size,
        id_space=tokenizer.id_space,
        pattern=None if pattern is None else pattern.name or "own",
        normalizer=tokenizer.vocabulary.normalizer if isinstance(tokenizer, Tokenizer) else None,
        gb2312_level_1=_coverage(tokenizer, gb2312(1)),
        gb2312_level_2=_coverage(tokenizer, gb2312(2)),
        digits=metrics.digit_policy([_digit_lengths(tokenizer, run) for run in DIGIT_RUNS]),
        lost=tuple(
            Lost(what, probe, got)
            for what, probe in PROBES.items()
            if (got := tokenizer.decode(tokenizer.encode(probe))) != probe
        ),
        load_seconds=load_seconds,
    )


def unknown_id(tokenizer: AnyTokenizer) -> int | None:
    """The id that stands for text no token covers, or None."""
    return None if isinstance(tokenizer, Tokenizer) else tokenizer.unknown_id


def lengths_of(tokenizer: AnyTokenizer, texts: Sequence[str]) -> npt.NDArray[np.int64]:
    """Tokens of each short text as it would have inside a longer one: without a token that is only a prefixed space."""
    if not texts:
        return np.zeros(0, dtype=np.int64)
    ids, offsets = tokenizer.encode_batch_to_numpy(list(texts), threads=1)
    lengths = np.diff(offsets)
    prefix = _prefix_id(tokenizer)
    if prefix is not None:
        several = np.flatnonzero(lengths >= 2)
        lengths[several] -= ids[offsets[several]] == prefix
    return lengths


def _engine(tokenizer: AnyTokenizer) -> str:
    version = bbpe.__version__
    if tokenizer.engine != "bbpe":
        try:
            version = importlib.metadata.version(tokenizer.engine)
        except importlib.metadata.PackageNotFoundError:
            version = ""
    return f"{tokenizer.engine} {version}".strip()


def _prefix_id(tokenizer: AnyTokenizer) -> int | None:
    """The id of the space that the library puts before every text, or None where it puts none."""
    if isinstance(tokenizer, Tokenizer):
        return None
    for text in ("中", "a", "\u3007"):
        ids = tokenizer.encode(text)
        if len(ids) >= 2 and tokenizer.token(ids[0]) == b" ":
            return int(ids[0])
    return None


def _coverage(tokenizer: AnyTokenizer, characters: Iterable[str]) -> float:
    """The share of the characters that are one token."""
    listed = list(characters)
    ids, offsets = tokenizer.encode_batch_to_numpy(listed, threads=1)
    prefix = _prefix_id(tokenizer)
    covered = 0
    for character, start, end in zip(listed, offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
        if end - start == 2 and int(ids[start]) == prefix:
            start += 1
        covered += end - start == 1 and tokenizer.token(int(ids[start])).strip(b" ") == character.encode()
    return covered / len(listed)


def _digit_lengths(tokenizer: AnyTokenizer, run: str) -> list[int]:
    digits = [sum(48 <= byte < 58 for byte in token) for token in tokenizer.tokens(run)]
    return [length for length in digits if length]


def _round_trip(
    tokenizer: AnyTokenizer,
    parts: Sequence[str],
    ids: npt.NDArray[Any],
    offsets: npt.NDArray[np.int64],
    label: str,
) -> tuple[int, Lost | None]:
    """How many parts come back changed from decoding, and where the first one begins to differ."""
    if isinstance(tokenizer, Tokenizer) and tokenizer.decode_bytes(ids) == "".join(parts).encode():
        return 0, None
    changed = 0
    first: Lost | None = None
    for part, start, end in zip(parts, offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
        back = tokenizer.decode(ids[start:end].tolist())
        if back != part:
            changed += 1
            if first is None:
                given, got = _excerpts(part, back)
                first = Lost(label, given, got)
    return changed, first


def _excerpts(given: str, got: str) -> tuple[str, str]:
    """Where two texts begin to differ, in both."""
    # By halves: a part may have 16,384 characters, and comparing slices is quick.
    low, high = 0, min(len(given), len(got))
    while low < high:
        middle = (low + high + 1) // 2
        if given[:middle] == got[:middle]:
            low = middle
        else:
            high = middle - 1
    start = max(0, low - _EXCERPT // 3)
    return given[start : start + _EXCERPT], got[start : start + _EXCERPT]


def _is_utf8(token: bytes) -> bool:
    try:
        token.decode()
    except UnicodeDecodeError:
        return False
    return True


def _whole_han(token: bytes) -> int:
    """Chinese characters that lie inside the token."""
    if token.isascii():
        return 0
    return len(_han().findall(token.decode("utf-8", "ignore")))


@lru_cache(maxsize=1)
def _han() -> re.Pattern[str]:
    ranges = "".join(f"{chr(low)}-{chr(high)}" for low, high in unicode.property_set("script=han").ranges())
    return re.compile(f"[{ranges}]")
