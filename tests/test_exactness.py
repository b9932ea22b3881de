"""A slice of the exactness campaign: texts made by seed get the ids of the vocabulary's own library; and it can fail.

All of it is `python -m benchmarks.exactness run`; its table is `benchmarks/exactness.md`.
"""

from __future__ import annotations

import functools
import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bbpe
from bbpe import Tokenizer, get_pattern, reference

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT))
exactness = pytest.importorskip("benchmarks.exactness")
generated = pytest.importorskip("benchmarks.generated")

KINDS = list(exactness.GENERATORS)
TEXTS = 60  # of each kind and vocabulary
OF_THESE = ("cl100k_base", "o200k_base", "deepseek-v2", "mistral-tekken", "gpt2", "glm-4.6", "gpt-neox-20b", "qwen2")


def fewer(kind: str, texts: int = TEXTS) -> Any:
    """A generator with less to a seed."""
    generator = exactness.GENERATORS[kind]
    texts = {"long": texts // 15, "invalid bytes": texts // 3, "lone surrogates": texts // 3}.get(kind, texts)
    return replace(generator, block=max(1, texts))


# ---- published vocabularies -----------------------------------------------------------------------------


@functools.lru_cache(maxsize=1)
def published(name: str, home: Path) -> Any:
    return exactness.Subject.published(name, exactness.real_texts(), home)


@pytest.mark.parametrize("name", OF_THESE)
def test_texts_made_by_seed_get_the_ids_of_the_library(name: str, bbpe_home: Path) -> None:
    pytest.importorskip("tokenizers")
    subject = published(name, bbpe_home)
    for kind in KINDS:
        if not subject.takes(exactness.GENERATORS[kind]):
            continue
        found = exactness.compare(subject, kind, range(900_000, 900_002), generator=fewer(kind))
        assert found.different == found.explained.total(), (kind, found.differences)
        assert found.ids > found.strings > 0
        if subject.tokenizer.vocabulary.normalizer is None:
            assert found.returned == found.strings - found.refused


def test_all_vocabularies_that_bbpe_runs_are_in_it() -> None:
    from benchmarks import parity

    assert set(exactness.VOCABULARIES) == {row["vocabulary"] for row in parity.read_rows() if row["engine"] == "bbpe"}


def test_a_difference_of_tokenizers_is_explained_only_where_its_normalizer_is_the_reason(bbpe_home: Path) -> None:
    subject = published("qwen2", bbpe_home)
    text = "\u0301\U00010f85"  # Old Uyghur's mark of class 220 comes first; tokenizers does not know it
    ids = subject.tokenizer.encode(text)
    assert subject.oracle([text])[0] != ids
    old = exactness.EXPLANATIONS[0]
    assert old.holds(subject, text, frozenset(), ids)
    assert not old.holds(subject, text, frozenset(), [*ids[:-1], ids[-1] + 1])  # bbpe wrong at the same place
    assert not old.holds(subject, "e\u0301", frozenset(), subject.tokenizer.encode("e\u0301"))


def test_qwen_normalizes_before_it_looks_for_special_tokens(bbpe_home: Path) -> None:
    subject = published("qwen", bbpe_home)
    text, allowed = "a<|im_end|>\u0338b", frozenset({"<|im_end|>"})  # > and U+0338 are ≯
    ids = subject.tokenizer.encode(text, allowed_special=allowed)
    assert subject.oracle([text], allowed)[0] != ids
    (first,) = (one for one in exactness.EXPLANATIONS if one.library == "tiktoken")
    assert first.holds(subject, text, allowed, ids)
    assert not first.holds(subject, "a<|im_end|>b", allowed, ids)


def test_an_explanation_hides_no_other_difference_in_the_same_text(bbpe_home: Path) -> None:
    subject = published("qwen2", bbpe_home)

    class Wrong(Tokenizer):
        """Loses the last id of every text with a question mark."""

        __slots__ = ()

        def encode_batch_to_numpy(self, texts: Any, **options: Any) -> Any:
            ids, offsets = super().encode_batch_to_numpy(texts, **options)
            return (ids[:-1], np.minimum(offsets, len(ids) - 1)) if "?" in texts[0] else (ids, offsets)

    text = "\u0301\U00010f85 and then?"
    generator = exactness.Generator(lambda source, material: text, 1, 1)
    right = exactness.compare(subject, "characters", range(1), generator=generator)
    assert (right.different, right.explained.total()) == (1, 1)
    wrong = replace(subject, tokenizer=Wrong(subject.tokenizer.vocabulary))
    found = exactness.compare(wrong, "characters", range(1), generator=generator)
    assert (found.different, found.explained.total()) == (1, 0)


# ---- it can fail ----------------------------------------------------------------------------------------


def tiny_texts() -> list[str]:
    of_every_kind = "I'll we'LL DON'T don't it's IT'S 12345 678 2024\n \n  x\n\n\n   y \t\t \r\n\r\n e\u0301 \n "
    return [of_every_kind * 40] + [
        path.read_text(encoding="utf-8") for path in sorted((ROOT / "corpora" / "tiny" / "train").glob("*.txt"))
    ]


@pytest.fixture(scope="module")
def sound() -> Any:
    """A vocabulary trained here, against the specification."""
    tokenizer = bbpe.train(tiny_texts(), vocab_size=700, special_tokens=["<|end|>", "<s>", "<|end|>>"])
    return subject_of(tokenizer, tokenizer)


def subject_of(tokenizer: Tokenizer, right: Tokenizer) -> Any:
    """`tokenizer`, where the other side is the specification of `right`."""
    specification = exactness.reference_of(right.vocabulary)

    def oracle(texts: Sequence[str], allowed: frozenset[str] = frozenset()) -> list[list[int]]:
        return [reference.encode(text, specification, allowed_special=allowed) for text in texts]

    material = generated.Material.of(right, tiny_texts())
    return exactness.Subject("tiny", tokenizer, oracle, material, tuple(right.special_tokens), "tiktoken")


@pytest.mark.parametrize("kind", KINDS)
def test_a_sound_encoder_passes(sound: Any, kind: str) -> None:
    found = exactness.compare(sound, kind, range(2), generator=fewer(kind, 30))
    assert (found.different, found.explained) == (0, {}), found.differences
    assert found.returned == found.strings
    assert found.found_digest.digest() == found.expected_digest.digest()


class _Forgetful(Tokenizer):
    """Loses the last id of texts that end in a space."""

    __slots__ = ()

    def encode(self, text: str, **options: Any) -> list[int]:
        ids = super().encode(text, **options)
        return ids[:-1] if text.endswith(" ") else ids


class _Miscounting(Tokenizer):
    __slots__ = ()

    def count(self, text: str, **options: Any) -> int:
        return super().count(text, **options) + ("\u3000" in text)


class _Raising(Tokenizer):
    """Cannot stand emoji."""

    __slots__ = ()

    def encode_batch_to_numpy(self, texts: Any, **options: Any) -> Any:
        if any(max(text, default="") > "\uffff" for text in texts):
            raise MemoryError("wide text")
        return super().encode_batch_to_numpy(texts, **options)


class _Misreading(Tokenizer):
    """Decodes Latin-1 for what it is not."""

    __slots__ = ()

    def decode(self, ids: Any, errors: str = "replace") -> str:
        return super().decode(ids, errors).replace("é", "è")


def test_text_that_decoding_does_not_give_back_is_counted(sound: Any) -> None:
    subject = subject_of(_Misreading(sound.tokenizer.vocabulary), sound.tokenizer)
    found = exactness.compare(subject, "contractions", range(2), generator=fewer("contractions", 120))
    assert found.different == 0
    assert 0 < exactness.lost_by(subject, found) == found.strings - found.returned
    assert exactness.lost_by(sound, exactness.compare(sound, "ends", range(1), generator=fewer("ends"))) == 0


class _Accepting(Tokenizer):
    """Takes a lone surrogate for U+FFFD without being asked."""

    __slots__ = ()

    def encode(self, text: str, **options: Any) -> list[int]:
        return super().encode(text, **{**options, "errors": "replace"})


class _Remembering(Tokenizer):
    """Wrong about the second and any later text of a batch, as a cache that is filled wrongly."""

    __slots__ = ()

    def encode_batch_to_numpy(self, texts: Any, **options: Any) -> Any:
        ids, offsets = super().encode_batch_to_numpy(texts, **options)
        if len(texts) > 1 and len(ids):
            ids[-1] ^= 1
        return ids, offsets


def _with(change: Callable[[bbpe.Vocabulary], bbpe.Vocabulary]) -> Callable[[Tokenizer], Tokenizer]:
    return lambda tokenizer: Tokenizer(change(tokenizer.vocabulary))


@pytest.mark.parametrize(
    ("broken", "kind", "most"),
    [
        (_with(lambda v: v.replace(merges=(v.merges or ())[:-40])), "tokens", 12),
        (_with(lambda v: v.replace(pattern=get_pattern("gpt2"))), "contractions", 4),
        (_with(lambda v: v.replace(pattern=get_pattern(v.pattern.stages[0].replace(r"\s+(?!\S)|", "")))), "ends", 4),
        (_with(lambda v: v.replace(pattern=get_pattern("qwen2"))), "digits", 3),
        (_with(lambda v: v.replace(normalizer="NFC")), "characters", 2),
        (lambda tokenizer: _Forgetful(tokenizer.vocabulary), "ends", 1),
        (lambda tokenizer: _Miscounting(tokenizer.vocabulary), "runs", 1),
        (lambda tokenizer: _Raising(tokenizer.vocabulary), "characters", 1),
        (lambda tokenizer: _Accepting(tokenizer.vocabulary), "lone surrogates", 1),
        (lambda tokenizer: _Remembering(tokenizer.vocabulary), "mutated", 10_000),
    ],
    ids=[
        "merges missing", "case of contractions", "space before a word", "digits in threes", "normalizes",
        "forgetful", "miscounting", "raising", "accepts surrogates", "remembers wrongly",
    ],
)  # fmt: skip
def test_a_broken_encoder_is_caught(sound: Any, broken: Callable[[Tokenizer], Tokenizer], kind: str, most: int) -> None:
    subject = subject_of(broken(sound.tokenizer), sound.tokenizer)
    found = exactness.compare(subject, kind, range(2), generator=fewer(kind, 120))
    assert found.different > 0
    assert not found.explained
    first = found.differences[0]
    assert first.found != first.expected
    assert len(first.text) <= most, first
    assert json.loads(json.dumps(first.record()))["explained"] == ""


def test_special_tokens_that_are_not_found_are_caught(sound: Any) -> None:
    vocabulary = sound.tokenizer.vocabulary
    renamed = [replace(one, content=one.content + "!") for one in vocabulary.special_tokens]
    subject = subject_of(Tokenizer(vocabulary.replace(special_tokens=renamed)), sound.tokenizer)
    found = exactness.compare(subject, "specials allowed", range(1), generator=fewer("specials allowed"))
    assert found.different > 0


def test_the_shortest_text_that_differs() -> None:
    assert exactness.shortest("a long text with x and y and z in it", lambda text: "x" in text and "z" in text) == "xz"
    assert exactness.shortest(b"\x00\xff\x01\xff", lambda data: data.count(b"\xff") == 2) == b"\xff\xff"
    assert exactness.shortest("q", lambda text: True) == ""


def test_failures_are_told_apart_from_ids() -> None:
    for result in ([], [1, 2], "byte 0xFF at 3", ""):
        assert exactness.unmarked(exactness.marked(result)) == result


# ---- texts ----------------------------------------------------------------------------------------------


def test_a_seed_makes_the_same_texts_everywhere() -> None:
    """Recorded seeds mean something only as long as this digest does not change."""
    material = generated.Material(
        ("The quick brown fox doesn't jump.\n", "他们说今天天气很好，一起去公园吧。"),
        ("a", "的", " the"),
        ("中e\u0301",),
        ("<s>",),
    )
    digest = hashlib.sha256()
    for kind, generator in exactness.GENERATORS.items():
        source = generated.Source(f"tests/{kind}", 5)
        for _ in range(20):
            text = generator.make(source, material)
            digest.update(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
            source.number += 1
    assert digest.hexdigest() == "4fe85ca085d40ad1cad4096f414be6a174c41764f3950aef4e2660e4add70707"


def test_every_character_of_unicode_has_its_turn() -> None:
    every = generated.assigned()
    assert len(every) == len(set(every)) > 150_000
    assert "\ud800" not in every
    strings = 13 * 1024 * exactness.seeds_of(exactness.GENERATORS["each character"], 10_000_000, 13)
    assert strings >= 13 * len(every)
    source = generated.Source("", every.index("中"))
    assert "中" in generated.each_character(source, generated.Material((), (), (), ()))


def test_texts_around_tokens_that_end_inside_characters_hold_them(sound: Any) -> None:
    tokens = sound.tokenizer.vocabulary.tokens.values()
    source = generated.Source("x")
    for token in [
        *(token for token in tokens if token != b"\xff"),
        b"\xa0\xe5",
        b"\x9f\x98",
        b"a\xf0\x9f",
        b"\x80" * 3,
    ]:
        text = generated.completed(token, source)
        if text is None:
            assert len(token) == 1  # no text has the byte
        else:
            assert token in text.encode()
    assert generated.completed(b"\x80" * 4, source) is None


# ---- records --------------------------------------------------------------------------------------------


def test_a_run_goes_on_where_it_stopped_and_is_verified_without_the_library(
    bbpe_home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exactness, "GENERATORS", {kind: fewer(kind, 16) for kind in ("ends", "digits")})
    results = tmp_path / "exactness.jsonl"
    run = ("r50k_base",), ["ends", "digits"], 13 * 16 * 40, False, bbpe_home, results
    assert exactness.run(*run) == 0
    rows = exactness.read_rows(results)
    assert [(row["generator"], row["first_seed"]) for row in rows.values()] == [
        ("ends", 0),
        ("digits", 0),
        ("digits", 32),
    ][: len(rows)]
    before = results.read_bytes()
    assert exactness.run(*run) == 0
    assert results.read_bytes() == before  # nothing was left to do
    lines = before.decode().splitlines(keepends=True)
    results.write_text("".join(lines[:-1]) + lines[-1][:40], encoding="utf-8")  # killed while it wrote the last
    assert exactness.run(*run) == 0
    again = exactness.read_rows(results)
    assert {key: row["oracle_ids_sha256"] for key, row in again.items()} == {
        key: row["oracle_ids_sha256"] for key, row in rows.items()
    }
    assert exactness.verify(("r50k_base",), ["ends", "digits"], None, bbpe_home, results) == 0
    assert "**0 without one**" in exactness.render(results)
    assert "The same ids again for" in exactness.render(results)
    monkeypatch.setattr(exactness, "GENERATORS", {kind: fewer(kind, 16) for kind in ("ends", "digits")})
    recorded = results.read_bytes()
    capsys.readouterr()
    assert exactness.run(("r50k_base",), ["ends"], 13, True, bbpe_home, results) == 0  # one seed again
    assert "not recorded" in capsys.readouterr().out
    assert results.read_bytes() == recorded  # fewer texts do not take the place of more
    capsys.readouterr()
    wrong = {
        key: {**row, "oracle_ids_sha256": "0" * 64} if row["generator"] == "ends" else row for key, row in again.items()
    }
    exactness.write_rows(wrong, results)
    assert exactness.verify(("r50k_base",), ["ends", "digits"], None, bbpe_home, results) == 1
    assert "OTHER IDS" in capsys.readouterr().out


def test_ids_are_counted_text_by_text() -> None:
    one = exactness.flat([[1, 2], [3]])
    other = exactness.flat([[1], [2, 3]])
    assert np.array_equal(one[0], other[0])
    assert not exactness.same(one, other)
    assert exactness.parts(other) == [[1], [2, 3]]
    assert exactness.parts(exactness.flat([[]])) == [[]]
