"""Exactness: on millions of texts made by seed, every byte-level vocabulary gives the ids that its own library gives.

    python -m benchmarks.exactness run [--strings 10000000] [--vocabulary NAME]... [--generator NAME]... [--again]
    python -m benchmarks.exactness verify [--strings N] [--vocabulary NAME]... [--generator NAME]...
    python -m benchmarks.exactness render

`run` gives the texts of `generated.py` to bbpe and to each vocabulary's own library (`parity.py` says which and how it
is built; that page is about real text), and appends a JSON line for each vocabulary, generator and range of seeds to
`benchmarks/results/exactness.jsonl`. What is recorded already is left out, so a run goes on where it was stopped;
`--again` does it anew. `verify` makes the recorded texts again, runs bbpe alone and compares the sha256 of its ids with
the recorded one of the other library's: for a new build of the encoder, in a tenth of the time. `render` writes
`benchmarks/exactness.md`. `tests/test_exactness.py` runs a slice.

bbpe encodes every text in each of its ways (`WAYS`), which have to agree. Bytes that are not UTF-8 and lone surrogates,
of which the libraries make different things, are compared with `bbpe/reference.py`. A text on which bbpe and the other
side differ is cut down to the shortest text that still shows it; a difference counts as explained only where a test of
the explanation (`EXPLANATIONS`) holds on that text.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import bbpe
from bbpe import reference
from bbpe.errors import EncodeError, MissingByteError
from bbpe.expression import spell_out
from benchmarks import generated, parity
from benchmarks.generated import Material, Source
from benchmarks.parity import Encode, always_found, nfc
from benchmarks.provenance import REPOSITORY, commit, machine, moment, version
from benchmarks.slices import MEGABYTE, find_corpus, replacing

RESULTS = REPOSITORY / "benchmarks" / "results" / "exactness.jsonl"
PAGE = REPOSITORY / "benchmarks" / "exactness.md"
VOCABULARIES = tuple(list(parity.VOCABULARIES)[:13])
"""Those that bbpe runs itself."""

SURROGATE = re.compile("[\ud800-\udfff]")
REAL_TEXT = 400_000  # bytes of each corpus, and of all languages of the parallel set together
SEEDS = 32  # at most, of one record
SHOWN = 12  # differences kept in a record
EXAMINED = 2000  # differences of a record that are cut down and explained; any more count as not explained

Text = str | bytes
Ids = list[int]
Failure = str  # what was raised instead of ids
Result = Ids | Failure


# --- generators and how much of each ---


@dataclass(frozen=True, slots=True)
class Generator:
    """A kind of text, and how it is compared.

    Attributes:
        make: Makes one text.
        share: Its part of all texts, out of the sum of shares.
        block: Texts of one seed.
        against: `"library"` with special tokens as plain text, `"library, specials"` with special tokens allowed, or
            `"reference"`.
    """

    make: Callable[[Source, Material], Text]
    share: float
    block: int = 1024
    against: str = "library"


GENERATORS: Mapping[str, Generator] = {
    "each character": Generator(generated.each_character, 21),
    "characters": Generator(generated.characters, 9),
    "mutated": Generator(generated.mutated, 10),
    "joins": Generator(generated.joins, 10),
    "digits": Generator(generated.digits, 7),
    "runs": Generator(generated.runs, 7),
    "contractions": Generator(generated.contractions, 7),
    "tokens": Generator(generated.tokens, 10),
    "partial characters": Generator(generated.partial_characters, 7),
    "ends": Generator(generated.ends, 6),
    "specials as text": Generator(generated.specials, 3),
    "specials allowed": Generator(generated.specials, 3, 1024, "library, specials"),
    "long": Generator(generated.long, 0.1, 32),
    "invalid bytes": Generator(generated.broken, 0.25, 128, "reference"),
    "lone surrogates": Generator(generated.surrogates, 0.15, 128, "reference"),
}


def seeds_of(generator: Generator, strings: int, vocabularies: int) -> int:
    """How many seeds make a generator's share of `strings` for one of `vocabularies`."""
    each = strings / vocabularies * generator.share / sum(one.share for one in GENERATORS.values())
    return max(1, -(-int(each) // generator.block))


@dataclass(frozen=True, slots=True)
class Block:
    """The texts of one seed, and which special tokens are allowed in them."""

    texts: list[Any]
    allowed: frozenset[str]


# --- the two sides ---


@dataclass
class Subject:
    """A vocabulary, ready to be compared.

    Attributes:
        name: For seeds and records.
        tokenizer: bbpe's.
        oracle: The other side.
        material: What its texts are made of.
        specials: Special tokens that the other side knows; empty where it knows none.
        library: What the other side is. tiktoken can allow some special tokens and not others.
    """

    name: str
    tokenizer: bbpe.Tokenizer
    oracle: Encode
    material: Material
    specials: tuple[str, ...] = ()
    library: str = ""

    @classmethod
    def published(cls, name: str, texts: Sequence[str], home: Path, library: bool = True) -> Subject:
        """A published vocabulary against its own library, or with none on the other side."""
        vocabulary = parity.VOCABULARIES[name]
        tokenizer = vocabulary.load(home)
        assert isinstance(tokenizer, bbpe.Tokenizer)
        oracle = vocabulary.oracle_of(home, tokenizer.special_tokens) if library else nobody
        other = vocabulary.oracle.split(",")[0].split(" ")[0]
        return cls(name, tokenizer, oracle, Material.of(tokenizer, texts), tuple(tokenizer.special_tokens), other)

    def takes(self, generator: Generator) -> bool:
        """Whether there is anything to compare."""
        return generator.against != "library, specials" or bool(self.specials)

    def block(self, name: str, generator: Generator, seed: int) -> Block:
        """The texts of a seed: always the same."""
        source = Source(f"{self.name}/{name}/{seed}", seed * generator.block)
        texts = []
        for _ in range(generator.block):
            text = generator.make(source, self.material)
            source.number += 1
            # Characters that the vocabulary lacks would be all that is found; each stands in some texts of one kind.
            if self.lacking and isinstance(text, str) and name != "each character":
                text = text.translate(self.lacking)
            texts.append(text)
        allowed = always_found(self.tokenizer)
        if generator.against == "library, specials":
            every = frozenset(self.specials)
            allowed = generated.subset(source, self.specials) if self.library == "tiktoken" and seed % 2 else every
        return Block(texts, allowed)

    def expected(self, generator: Generator, texts: Sequence[Any], allowed: frozenset[str]) -> list[Result]:
        """What has to come out: ids, or which byte has no token."""
        if generator.against == "library":
            return list(self.oracle(texts))
        if generator.against == "library, specials":
            return list(self.oracle(texts, allowed))
        return [self._by_reference(text, allowed) for text in texts]

    def _by_reference(self, text: Text, allowed: frozenset[str]) -> Result:
        try:
            return reference.encode(text, self.reference, allowed_special=allowed, errors="replace")
        except reference.MissingByteError as error:
            return f"byte 0x{error.byte:02X} at {error.offset}"

    @cached_property
    def lacking(self) -> dict[int, None]:
        """Characters of one byte that the vocabulary has no token for (BLOOM's U+000B), to be left out."""
        return {code: None for code in range(0x80) if bytes([code]) not in self.tokenizer.vocabulary.ids}

    @cached_property
    def reference(self) -> reference.Vocabulary:
        """The vocabulary as the specification has it."""
        return reference_of(self.tokenizer.vocabulary)

    def found(self, texts: Sequence[Any], allowed: frozenset[str]) -> list[Result]:
        """What comes out; where bbpe's ways to encode differ or one raises, what that was."""
        results: list[Result] = []
        for text in texts:
            try:
                ways = self.ways([text], allowed)
            except MissingByteError as error:
                results.append(f"byte 0x{error.byte:02X} at {error.offset}")
                continue
            except Exception as error:
                results.append(f"{type(error).__name__}: {error}")
                continue
            results.append(one_result({way: ids.tolist() for way, (ids, _) in ways.items()}))
        return results

    def ways(self, texts: Sequence[Any], allowed: frozenset[str]) -> dict[str, Flat]:
        """The ids of texts by each way to ask for them; the first is an array from a batch.

        Where none of the allowed special tokens stands in a text, it is encoded without them, for that is a way of its
        own through the code, and the one that most text takes.
        """
        tokenizer = self.tokenizer
        with_allowed: dict[str, Any] = {"allowed_special": allowed}
        if texts and isinstance(texts[0], bytes):
            contents = [content.encode() for content in allowed]
            options = [with_allowed if any(map(text.__contains__, contents)) else {} for text in texts]
            whole, offsets = tokenizer.encode_batch_to_numpy(texts, threads=1, **with_allowed)
            lists = [tokenizer.encode_bytes(text, **one) for text, one in zip(texts, options, strict=True)]
            return {"encode_batch_to_numpy": (whole, np.diff(offsets)), "encode_bytes": flat(lists)}
        sound = all(map(encodable, texts))
        if not sound:
            for text in texts:
                require_refusal(tokenizer, text)
            with_allowed["errors"] = "replace"
        without = {} if sound else {"errors": "replace"}
        options = [with_allowed if any(map(text.__contains__, allowed)) else without for text in texts]
        each = list(zip(texts, options, strict=True))
        whole, offsets = tokenizer.encode_batch_to_numpy(texts, threads=1, **(with_allowed if allowed else without))
        arrays = [tokenizer.encode_to_numpy(text, **one) for text, one in each]
        found = {
            "encode_batch_to_numpy": (whole, np.diff(offsets)),
            "encode": flat([tokenizer.encode(text, **one) for text, one in each]),
            "encode_to_numpy": (np.concatenate(arrays), np.fromiter(map(len, arrays), np.int64, len(arrays))),
        }
        if sound:
            found["encode_bytes"] = flat([tokenizer.encode_bytes(text.encode(), **one) for text, one in each])
        counts = np.fromiter((tokenizer.count(text, **one) for text, one in each), np.int64, len(texts))
        if not np.array_equal(counts, np.diff(offsets)):
            batch = parts((whole, np.diff(offsets)))
            both = zip(batch, counts.tolist(), strict=True)
            found["count"] = flat([ids if len(ids) == count else [0] * count for ids, count in both])
        return found


Flat = tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]
"""The ids of many texts, one after another, and how many each has."""


FAILED = 0xFFFFFFFF
"""Stands before the bytes of a failure among ids, of which none is so great here."""


def marked(result: Result) -> Ids:
    """A result as numbers, also where it is a failure."""
    return [FAILED, *result.encode()] if isinstance(result, str) else result


def unmarked(ids: Ids) -> Result:
    """The inverse of `marked`."""
    return bytes(ids[1:]).decode() if ids and ids[0] == FAILED else ids


def flat(lists: Sequence[Ids]) -> Flat:
    """Lists of ids as arrays."""
    counts = np.fromiter(map(len, lists), np.int64, len(lists))
    return np.fromiter(chain.from_iterable(lists), np.uint32, int(counts.sum())), counts


def same(one: Flat, other: Flat) -> bool:
    """Whether all ids are equal, text by text."""
    return np.array_equal(one[1], other[1]) and np.array_equal(one[0], other[0])


def encodable(text: str) -> bool:
    """Whether a text has no lone surrogate."""
    return SURROGATE.search(text) is None


def require_refusal(tokenizer: bbpe.Tokenizer, text: str) -> None:
    """A text with a lone surrogate is refused, with the place of the first one, unless it is to be replaced.

    Raises:
        AssertionError: It is not.
    """
    found = SURROGATE.search(text)
    if found is None:
        return
    place = found.start()
    for encode in (tokenizer.encode, tokenizer.encode_to_numpy, tokenizer.count):
        try:
            encode(text)
        except EncodeError as error:
            if f"position {place}" not in str(error):
                raise AssertionError(f"the surrogate at position {place} is said to be elsewhere: {error}") from None
        else:
            raise AssertionError(f"the surrogate at position {place} is not refused by {encode.__name__}")


def nobody(texts: Sequence[str], allowed: frozenset[str] = frozenset()) -> list[Ids]:
    """The other side of a subject that is not compared."""
    raise RuntimeError("no library was built for this vocabulary")


def reference_of(vocabulary: bbpe.Vocabulary) -> reference.Vocabulary:
    """A vocabulary for `reference.py`, with bbpe's version of Unicode spelled out in its pattern."""
    return reference.Vocabulary(
        vocabulary.tokens,
        merges=None if vocabulary.merges is None else tuple(vocabulary.merges),
        ranks=None if vocabulary.ranks is None else tuple(vocabulary.ranks),
        special_tokens={token.content: token.id for token in vocabulary.special_tokens},
        pattern=tuple(map(spell_out, vocabulary.pattern.stages)),
        normalizer=vocabulary.normalizer,
        whole_pretoken=vocabulary.whole_pretoken,
    )


# --- differences ---


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why ids may differ on a text though bbpe is right.

    Attributes:
        name: For records.
        library: Of which library this is told.
        said: What is wrong with it, and where that is reported.
        holds: Tests it: given the subject, the text, the allowed special tokens and what bbpe makes of it. It has to
            hold of the whole text, so that it hides no other difference in it, and of what the text is cut down to.
    """

    name: str
    library: str
    said: str
    holds: Callable[[Subject, Text, frozenset[str], Result], bool]


def _old_normalizer(subject: Subject, text: Text, allowed: frozenset[str], found: Result) -> bool:
    """tokenizers' NFC of the text is not NFC; given NFC of the text, it finds bbpe's ids."""
    if not isinstance(text, str) or subject.tokenizer.vocabulary.normalizer != "NFC":
        return False
    from tokenizers import normalizers

    normal = nfc(text)
    if normalizers.NFC().normalize_str(text) == normal:
        return False
    chosen = allowed if allowed != always_found(subject.tokenizer) else frozenset()
    return subject.oracle([normal], chosen)[0] == found


def _normalizes_first(subject: Subject, text: Text, allowed: frozenset[str], found: Result) -> bool:
    """Normalizing takes a special token out of the text, or puts one in; bbpe has what the library finds between them."""
    if not isinstance(text, str) or subject.tokenizer.vocabulary.normalizer != "NFC":
        return False
    if not any(text.count(content) != nfc(text).count(content) for content in allowed):
        return False
    ids: Ids = []
    longest_first = sorted(allowed, key=lambda content: (-len(content), content))
    for part in re.split(f"({'|'.join(map(re.escape, longest_first))})", text):
        ids += [subject.tokenizer.special_tokens[part]] if part in allowed else subject.oracle([part])[0]
    return ids == found


def _leaves_out(subject: Subject, text: Text, allowed: frozenset[str], found: Result) -> bool:
    """bbpe names a byte for which there is no token, and the library's tokens are those of the text without it."""
    if not isinstance(text, str) or not isinstance(found, str) or not found.startswith("byte 0x"):
        return False
    byte = bytes.fromhex(found[7:9])
    chosen = allowed if allowed != always_found(subject.tokenizer) else frozenset()
    said = subject.tokenizer.decode_bytes(subject.oracle([text], chosen)[0])
    return byte not in subject.tokenizer.vocabulary.ids and said == text.encode().replace(byte, b"")


EXPLANATIONS = (
    Explanation(
        "NFC of an older Unicode",
        "tokenizers",
        "tokenizers normalizes with the data of Unicode 9: marks of later versions stay where they stand, and hinder "
        "composition (the same seen by others: marcelroed/gigatoken#35, labelled hf-bug). bbpe has the canonical order. "
        "Tested: its NFC of the text is not NFC, and given the NFC it finds bbpe's ids.",
        _old_normalizer,
    ),
    Explanation(
        "NFC before special tokens",
        "tiktoken",
        "QwenTokenizer normalizes the whole text before it looks for special tokens, so that a mark after one "
        "(`<|im_end|>` and U+0338) makes it disappear; bbpe cuts them first, as the tokenizer.json of Qwen 2 says "
        "(`normalized: false`). Tested: normalizing changes which special tokens stand in the text, and of what stands "
        "between them tiktoken finds bbpe's ids.",
        _normalizes_first,
    ),
    Explanation(
        "a byte without a token",
        "tokenizers",
        "the vocabulary has no token for the byte; tokenizers leaves it out without a word (huggingface/tokenizers#517: "
        "“seems 100% like a bug”), bbpe refuses it and names its place. Tested: the library's tokens are those of the "
        "text without the byte.",
        _leaves_out,
    ),
)


def shortest(text: Any, differs: Callable[[Any], bool]) -> Any:
    """A part of a text that still differs, of which nothing can be taken out."""
    size = max(1, len(text) // 2)
    while True:
        at, before = 0, len(text)
        while at < len(text):
            shorter = text[:at] + text[at + size :]
            if differs(shorter):
                text = shorter
            else:
                at += size
        if size == 1 and len(text) == before:
            return text
        size = max(1, size // 2)


@dataclass(frozen=True, slots=True)
class Difference:
    """A text on which the two sides differ, cut down.

    Attributes:
        seed, place: Where the text comes from.
        text: The shortest part of it that differs.
        found: bbpe's ids of that part, or what it raised.
        expected: The other side's.
        explained: The name of the explanation that holds; empty if none does.
    """

    seed: int
    place: int
    text: Text
    allowed: tuple[str, ...]
    found: Result
    expected: Result
    explained: str

    def record(self) -> dict[str, Any]:
        """For a JSON line; bytes and surrogates as Python writes them."""
        return {
            "seed": self.seed,
            "place": self.place,
            "text": self.text if isinstance(self.text, str) and encodable(self.text) else repr(self.text),
            "allowed": self.allowed,
            "found": self.found,
            "expected": self.expected,
            "explained": self.explained,
        }


def examined(
    subject: Subject, generator: Generator, seed: int, place: int, block: Block, found: Result, expected: Result
) -> Difference:
    """Cut a text that differs down, and look for what explains it."""
    text, allowed = block.texts[place], block.allowed
    known = [one for one in EXPLANATIONS if one.library == subject.library]
    known = [one for one in known if one.holds(subject, text, allowed, found)]

    def differs(text: Any) -> bool:
        return subject.found([text], allowed)[0] != subject.expected(generator, [text], allowed)[0]

    if differs(text):  # by itself; else it is what stood before it that matters, and the text stays as it is
        text = shortest(text, differs)
        found, expected = subject.found([text], allowed)[0], subject.expected(generator, [text], allowed)[0]
    reason = next((one.name for one in known if one.holds(subject, text, allowed, found)), "")
    used = tuple(sorted(content for content in allowed if isinstance(text, str) and content in text))
    return Difference(seed, place, text, used, found, expected, reason)


# --- a range of seeds ---


@dataclass(slots=True)
class Outcome:
    """What came of the texts of some seeds.

    Attributes:
        strings, bytes, ids: How much.
        refused: Texts with a byte for which the vocabulary has no token, named with its place.
        returned: Texts that decoding gave back (one with surrogates: with U+FFFD for each).
        different: Texts whose ids differ.
        explained: By the name of the explanation, how many of those.
        differences: The first of them.
    """

    strings: int = 0
    bytes: int = 0
    ids: int = 0
    refused: int = 0
    returned: int = 0
    different: int = 0
    explained: Counter[str] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)
    texts_digest: Any = field(default_factory=hashlib.sha256)
    found_digest: Any = field(default_factory=hashlib.sha256)
    expected_digest: Any = field(default_factory=hashlib.sha256)


def compare(
    subject: Subject, name: str, seeds: range, *, generator: Generator | None = None, library: bool = True
) -> Outcome:
    """Encode the texts of some seeds with both sides.

    Args:
        subject: The vocabulary.
        name: Which of `GENERATORS`.
        seeds: Which texts.
        generator: Another to use under that name, as one that makes fewer texts of a seed.
        library: False where bbpe runs alone, to take digests: `different` then counts seeds in which its ways disagree.
    """
    generator = generator or GENERATORS[name]
    outcome = Outcome()
    for seed in seeds:
        block = subject.block(name, generator, seed)
        raw = [text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass") for text in block.texts]
        outcome.strings += len(raw)
        outcome.bytes += sum(map(len, raw))
        add(outcome.texts_digest, flat_bytes(raw))
        try:
            ways = subject.ways(block.texts, block.allowed)
        except Exception:  # of one text, which one by one names
            ways = {"one by one": flat(list(map(marked, subject.found(block.texts, block.allowed))))}
        found, *others = ways.values()
        outcome.ids += len(found[0])
        outcome.refused += int((found[0] == FAILED).sum())
        outcome.returned += given_back(subject, block.texts, found)
        add(outcome.found_digest, found)
        agreed = all(same(found, other) for other in others)
        if not library:
            outcome.different += not agreed
            continue
        expected = flat(list(map(marked, subject.expected(generator, block.texts, block.allowed))))
        add(outcome.expected_digest, expected)
        if not agreed or not same(found, expected):
            one_by_one(subject, generator, seed, block, ways, expected, outcome)
    return outcome


def one_by_one(
    subject: Subject,
    generator: Generator,
    seed: int,
    block: Block,
    ways: Mapping[str, Flat],
    expected: Flat,
    outcome: Outcome,
) -> None:
    """Which texts of a seed differ, by any way."""
    wanted = [unmarked(ids) for ids in parts(expected)]
    by_way = {way: parts(ids) for way, ids in ways.items()}
    found = [one_result({way: ids[place] for way, ids in by_way.items()}) for place in range(len(wanted))]
    for place, (result, ids) in enumerate(zip(found, wanted, strict=True)):
        if result == ids:
            continue
        outcome.different += 1
        if outcome.different > EXAMINED:
            continue
        difference = examined(subject, generator, seed, place, block, result, ids)
        if difference.explained:
            outcome.explained[difference.explained] += 1
        if len(outcome.differences) < SHOWN:
            outcome.differences.append(difference)


def parts(ids: Flat) -> list[Ids]:
    """The ids of each text."""
    return [part.tolist() for part in np.split(ids[0], np.cumsum(ids[1])[:-1])]


def one_result(by_way: Mapping[str, Ids]) -> Result:
    """The ids of a text, if all ways agree."""
    first, *others = by_way
    different = {way: by_way[way] for way in others if by_way[way] != by_way[first]}
    return f"by {first} {by_way[first]}, but {different}" if different else unmarked(by_way[first])


def add(digest: Any, part: tuple[npt.NDArray[Any], npt.NDArray[np.int64]]) -> None:
    """How many each text has, then all of them, as little-endian uint32 (texts: as bytes)."""
    values, counts = part
    digest.update(counts.astype("<u4").tobytes())
    digest.update(values.astype("<u4").tobytes() if values.dtype != np.uint8 else values.tobytes())


def flat_bytes(raw: Sequence[bytes]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Texts one after another, and their sizes."""
    return np.frombuffer(b"".join(raw), np.uint8), np.fromiter(map(len, raw), np.int64, len(raw))


def given_back(subject: Subject, texts: Sequence[Text], found: Flat) -> int:
    """How many texts decoding gives back, to bytes and to a str, where nothing normalizes them."""
    tokenizer = subject.tokenizer
    if tokenizer.vocabulary.normalizer is not None:
        return 0
    said = [text if isinstance(text, bytes) else SURROGATE.sub("\ufffd", text).encode() for text in texts]
    together = FAILED not in found[0] and tokenizer.decode_bytes(found[0]) == b"".join(said)
    return sum(
        (together or tokenizer.decode_bytes(ids) == data) and tokenizer.decode(ids) == data.decode("utf-8", "replace")
        for ids, data in zip(parts(found), said, strict=True)
        if ids[:1] != [FAILED]
    )


# --- runs ---


def run(
    names: Iterable[str], generators: Sequence[str], strings: int, again: bool, home: Path, results: Path = RESULTS
) -> int:
    """Compare and record; returns how many texts differ for no known reason."""
    rows = read_rows(results)
    texts = real_texts()
    unexplained = 0
    for name in names:
        subject: Subject | None = None
        for kind, seeds in planned(generators, strings):
            done = rows.get((name, kind, seeds.start))
            recorded = 0 if done is None else done["seeds"]
            if recorded >= len(seeds) and not again:
                continue
            subject = subject or Subject.published(name, texts, home)
            if not subject.takes(GENERATORS[kind]):
                continue
            began = time.perf_counter()
            outcome = compare(subject, kind, seeds)
            left = outcome.different - outcome.explained.total()
            lost = lost_by(subject, outcome)
            unexplained += left + lost
            row = {
                "vocabulary": name,
                "generator": kind,
                "first_seed": seeds.start,
                "seeds": len(seeds),
                "oracle": "bbpe/reference.py"
                if GENERATORS[kind].against == "reference"
                else parity.VOCABULARIES[name].oracle,
                "strings": outcome.strings,
                "bytes": outcome.bytes,
                "ids": outcome.ids,
                "refused": outcome.refused,
                "returned": None if subject.tokenizer.vocabulary.normalizer else outcome.returned,
                "different": outcome.different,
                "explained": dict(outcome.explained),
                "differences": [difference.record() for difference in outcome.differences],
                "texts_sha256": outcome.texts_digest.hexdigest(),
                "ids_sha256": outcome.found_digest.hexdigest(),
                "oracle_ids_sha256": outcome.expected_digest.hexdigest(),
                "seconds": round(time.perf_counter() - began, 1),
                "versions": {library: version(library) for library in ("tiktoken", "tokenizers", "regex")},
                "commit": commit(),
                "moment": moment(),
                "machine": machine(),
            }
            verdict = "equal" if not outcome.different else f"{outcome.different} differ, {left} unexplained"
            if lost:
                verdict += f", {lost} NOT GIVEN BACK by decoding"
            if recorded > len(seeds):
                verdict += f" (not recorded: {recorded} seeds are)"
            else:
                rows[name, kind, seeds.start] = row
                write_rows(rows, results)
            print(
                f"{name:15} {kind:18} seeds {seeds.start:5}-{seeds.stop - 1:5} {outcome.strings:9,}  {verdict}",
                flush=True,
            )
    return unexplained


def lost_by(subject: Subject, outcome: Outcome) -> int:
    """How many texts decoding should have given back and did not."""
    if subject.tokenizer.vocabulary.normalizer is not None:
        return 0
    return outcome.strings - outcome.refused - outcome.returned


def planned(generators: Iterable[str], strings: int) -> Iterator[tuple[str, range]]:
    """Ranges of seeds for each generator that make up one vocabulary's part of so many strings."""
    for kind in generators:
        count = seeds_of(GENERATORS[kind], strings, len(VOCABULARIES))
        for first in range(0, count, SEEDS):
            yield kind, range(first, min(first + SEEDS, count))


def verify(
    names: Iterable[str], generators: Iterable[str], strings: int | None, home: Path, results: Path = RESULTS
) -> int:
    """Encode recorded texts with bbpe alone and compare the digests; returns how many records differ.

    A record whose texts get the same ids is marked with the commit that it was verified at.
    """
    every = read_rows(results)
    rows = [row for row in every.values() if row["vocabulary"] in set(names) and row["generator"] in set(generators)]
    if strings is not None:
        wanted = {(kind, seeds.start) for kind, seeds in planned(GENERATORS, strings)}
        rows = [row for row in rows if (row["generator"], row["first_seed"]) in wanted]
    texts = real_texts()
    wrong = total = 0
    subject: Subject | None = None
    for row in sorted(rows, key=lambda row: VOCABULARIES.index(row["vocabulary"])):
        seeds = range(row["first_seed"], row["first_seed"] + row["seeds"])
        if subject is None or subject.name != row["vocabulary"]:
            subject = Subject.published(row["vocabulary"], texts, home, library=False)
        outcome = compare(subject, row["generator"], seeds, library=False)
        total += outcome.strings
        wrong_with = ""
        if outcome.texts_digest.hexdigest() != row["texts_sha256"]:
            wrong_with = "the texts are not those recorded: other corpora, or another generator"
        elif outcome.different:
            wrong_with = "bbpe's ways to encode differ from one another"
        elif lost := lost_by(subject, outcome):
            wrong_with = f"{lost} texts are not given back by decoding"
        elif outcome.found_digest.hexdigest() != row["ids_sha256" if row["different"] else "oracle_ids_sha256"]:
            wrong_with = "OTHER IDS: `run --again` with this vocabulary and generator shows where"
        if wrong_with:
            wrong += 1
            place = f"{row['vocabulary']:15} {row['generator']:18} seeds {seeds.start:5}-{seeds.stop - 1:5}"
            print(f"{place}  {wrong_with}", flush=True)
        else:
            row["verified"] = {"commit": commit(), **moment()}
    write_rows(every, results)
    print(f"{total:,} texts, {len(rows)} records, {wrong} differ")
    return wrong


def real_texts() -> list[str]:
    """The beginning of every corpus, and of every language of the parallel set."""
    texts = [parity.read_text(find_corpus(name), REAL_TEXT) for name in parity.CORPORA if name != "ntrex"]
    files = sorted((find_corpus("zh-small").parent / "ntrex").glob("*.txt"))
    return texts + [parity.read_text(file, REAL_TEXT // len(files)) for file in files]


Key = tuple[str, str, int]


def read_rows(path: Path = RESULTS) -> dict[Key, dict[str, Any]]:
    """The records by vocabulary, generator and first seed; of two with the same, the later one."""
    if not path.exists():
        return {}
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.endswith("}")]
    return {(row["vocabulary"], row["generator"], row["first_seed"]): row for row in rows}


def write_rows(rows: Mapping[Key, Mapping[str, Any]], path: Path = RESULTS) -> None:
    """All records, so that a kill leaves either the old file or the new one."""
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows.values())
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8")


# --- the page ---


def render(results: Path = RESULTS) -> str:
    """The page of the records."""
    rows = list(read_rows(results).values())
    total, size, different = (sum(row[key] for row in rows) for key in ("strings", "bytes", "different"))
    explained = sum((Counter(row["explained"]) for row in rows), Counter[str]())
    reasons = {one.name: one.said for one in EXPLANATIONS}
    lines = [
        "# Exactness on texts made by seed",
        "",
        "<!-- Written by `python -m benchmarks.exactness render` from results/exactness.jsonl; do not edit. -->",
        "",
        f"{total:,} texts ({size / MEGABYTE:,.0f} MB) in {len(VOCABULARIES)} vocabularies: {different:,} differ, "
        f"{explained.total():,} of them for a reason below that was tested on the text; "
        f"**{different - explained.total():,} without one**.",
        "",
        "Real text is in [parity.md](parity.md); here are the texts that real text seldom has, made by `generated.py` from",
        "seeds, so that they can be made again. Each is encoded by every way that bbpe has (batch, one by one, to a list,",
        "to an array, from bytes, counted), with special tokens as plain text but where the table says otherwise. The other",
        "side is the vocabulary's own library, or bbpe's specification in plain Python (`bbpe/reference.py`) for bytes that",
        "are not UTF-8 and lone surrogates, of which the libraries make different things. `texts given back` counts those",
        "that decoding returns byte for byte, of those that are not refused (for a byte without a token); vocabularies that",
        "normalize are left out there.",
        "",
        _versions(rows),
        "",
        "| vocabulary | oracle | texts | MB | ids | differ | explained | texts given back |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name in VOCABULARIES:
        found = [row for row in rows if row["vocabulary"] == name]
        back = [row for row in found if row["returned"] is not None]
        lines.append(
            f"| {name} | {parity.VOCABULARIES[name].oracle} | {_sums(found)} "
            f"| {_share(sum(row['returned'] for row in back), sum(row['strings'] - row['refused'] for row in back))} |"
        )
    lines += [
        "",
        "| kind of text | compared with | texts | MB | ids | differ | explained |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for kind, generator in GENERATORS.items():
        found = [row for row in rows if row["generator"] == kind]
        said = (generator.make.__doc__ or "").split("\n")[0].rstrip(".").replace("|", "¦")
        lines.append(f"| **{kind}**: {said} | {generator.against} | {_sums(found)} |")
    lines += ["", "## Differences", ""]
    if not different:
        lines.append("None.")
    for reason, count in sorted(explained.items()):
        lines += [f"**{reason}** ({count:,} texts): {reasons[reason]}", ""]
        lines += [*_examples(rows, reason), ""]
    if different > explained.total():
        lines += ["", f"**Not explained** ({different - explained.total():,} texts):", "", *_examples(rows, "")]
    return "\n".join(lines) + "\n"


def _sums(rows: Sequence[Mapping[str, Any]]) -> str:
    strings, size, ids, different = (sum(row[key] for row in rows) for key in ("strings", "bytes", "ids", "different"))
    explained = sum(sum(row["explained"].values()) for row in rows)
    return f"{strings:,} | {size / MEGABYTE:.1f} | {ids:,} | {different:,} | {explained:,}"


def _share(part: int, whole: int) -> str:
    if not whole:
        return "normalizes"
    return "all" if part == whole else f"{part:,} of {whole:,}"


def _examples(rows: Sequence[Mapping[str, Any]], reason: str) -> list[str]:
    """The shortest of the recorded differences with a reason, as a table."""
    every = {
        (row["vocabulary"], one["text"]): one
        for row in rows
        for one in row["differences"]
        if one["explained"] == reason
    }
    lines = ["| vocabulary | text | bbpe | the other side |", "|---|---|---|---|"]
    for (name, text), one in sorted(every.items(), key=lambda entry: (len(entry[0][1]), entry[0]))[:SHOWN]:
        shown = " ".join(f"U+{ord(character):04X}" for character in text) if len(text) <= 8 else ascii(text[:60])
        lines.append(f"| {name} | `{shown}` | {str(one['found'])[:80]} | {str(one['expected'])[:80]} |")
    return lines


def _versions(rows: Sequence[Mapping[str, Any]]) -> str:
    libraries = {f"{library} {number}" for row in rows for library, number in row["versions"].items() if number}
    commits = sorted({str(row["commit"]) for row in rows})
    again = sorted({str(row["verified"]["commit"]) for row in rows if "verified" in row})
    same = sum(row["strings"] for row in rows if "verified" in row)
    later = f" The same ids again for {same:,} texts at {', '.join(again)} (`verify`)." if again else ""
    return f"Compared with {', '.join(sorted(libraries))}; bbpe at {', '.join(commits)}.{later}"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.exactness", description=__doc__.split("\n\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run", help="compare with the libraries and record")
    checking = commands.add_parser("verify", help="compare with the records; bbpe alone runs")
    for one in (running, checking):
        one.add_argument("--vocabulary", action="append", choices=VOCABULARIES, help="all when none is named")
        one.add_argument("--generator", action="append", choices=list(GENERATORS), help="all when none is named")
    running.add_argument("--strings", type=int, default=10_000_000, help="texts of all vocabularies together")
    running.add_argument("--again", action="store_true", help="also what is recorded already")
    checking.add_argument("--strings", type=int, help="at most so many of the recorded texts, of all vocabularies")
    commands.add_parser("render", help="write benchmarks/exactness.md")
    chosen = parser.parse_args(arguments)
    if chosen.command == "render":
        PAGE.write_text(render(), encoding="utf-8")
        return 0
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    home = find_corpus("zh-small").parent.parent
    names, generators = chosen.vocabulary or VOCABULARIES, chosen.generator or list(GENERATORS)
    if chosen.command == "verify":
        return 1 if verify(names, generators, chosen.strings, home) else 0
    return 1 if run(names, generators, chosen.strings, chosen.again, home) else 0


if __name__ == "__main__":
    sys.exit(main())
