"""Training from text to tokenizer: options, limits, records, bases; the same merges as Hugging Face's trainer."""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import documents, merge_lists, rank_tables, small_texts

from bbpe import reference
from bbpe.corpus import Progress
from bbpe.counts import Counts, count_pretokens
from bbpe.errors import BbpeError, FormatError, PatternError, TrainingError
from bbpe.patterns import Pattern, get_pattern
from bbpe.training import TrainingOptions, TrainingRecord, as_merge_list, byte_ids, learn, train
from bbpe.vocabulary import SpecialToken, Vocabulary

TEXT = ["the cat sat on the mat, the cat sat", "那只猫坐在垫子上，那只猫。", "the theme: 猫和垫子", "a" * 20]
WHOLE = get_pattern((r"(?s:.+)",))  # a document is one pretoken


def to_reference(vocabulary: Vocabulary) -> reference.Vocabulary:
    return reference.Vocabulary(
        dict(vocabulary.tokens),
        merges=vocabulary.merges,
        ranks=vocabulary.ranks,
        special_tokens={special.content: special.id for special in vocabulary.special_tokens},
        pattern=vocabulary.pattern.stages,
        whole_pretoken=vocabulary.whole_pretoken,
    )


def from_reference(vocabulary: reference.Vocabulary, pattern: Pattern) -> Vocabulary:
    return Vocabulary(
        vocabulary.tokens,
        merges=vocabulary.merges,
        ranks=vocabulary.ranks,
        special_tokens=[SpecialToken(content, id) for content, id in vocabulary.special_tokens.items()],
        pattern=pattern,
        whole_pretoken=vocabulary.whole_pretoken,
    )


def merges_of(vocabulary: Vocabulary) -> tuple[tuple[int, int], ...]:
    assert vocabulary.merges is not None
    return vocabulary.merges


# ---- the result --------------------------------------------------------------------------------------


@given(
    st.lists(documents(), max_size=6),
    st.sampled_from(["value", "gpt2"]),
    st.integers(1, 3),
    st.none() | st.integers(2, 8),
    st.sampled_from([(), ("<s>",), ("a b", "<|x|>")]),
)
@settings(max_examples=60)
def test_training_equals_the_specification(
    texts: list[bytes], byte_order: Any, min_count: int, max_token_bytes: int | None, special_tokens: tuple[str, ...]
) -> None:
    pattern = get_pattern("llama3")
    pretokens = reference.count_pretokens(texts, pattern.stages, special_tokens=special_tokens)
    if not pretokens:
        return
    tok = train(
        texts,
        num_merges=25,
        min_count=min_count,
        byte_order=byte_order,
        max_token_bytes=max_token_bytes,
        special_tokens=special_tokens,
        threads=1,
    )
    learned = reference.learn_merges(
        pretokens,
        reference.Vocabulary(reference.byte_tokens(byte_order), merges=()),
        num_merges=25,
        min_count=min_count,
        max_token_bytes=max_token_bytes,
        special_tokens=special_tokens,
    )
    expected = dataclasses.replace(learned.vocabulary, pattern=pattern.stages)
    assert to_reference(tok.vocabulary) == expected
    record = tok.training_record
    assert record is not None
    assert (record.stop, record.merges, record.vocab_size) == (learned.stop, len(learned.merges), len(expected))
    assert record.curve[-1].tokens == learned.lengths[-1]
    assert [point.tokens for point in record.curve if point.vocab_size == 256 + len(special_tokens)] == [
        learned.lengths[0]
    ]


def test_ids_are_bytes_then_merges_then_special_tokens() -> None:
    tok = train(TEXT, 270, special_tokens=["<|b|>", "<|a|>"])
    assert list(tok.vocabulary.tokens) == list(range(268))
    assert tok.vocabulary.tokens[65] == b"A"
    assert tok.special_tokens == {"<|b|>": 268, "<|a|>": 269}
    assert len(tok) == tok.id_space == 270


def test_special_tokens_in_the_text_count_for_nothing_and_are_never_learned() -> None:
    tok = train(["ab<|x|>ab"] * 9, num_merges=9, special_tokens=["<|x|>"])
    assert merges_of(tok.vocabulary) == ((97, 98),)


def test_training_from_counts_is_training_from_text() -> None:
    counts = count_pretokens(TEXT, pattern="qwen2", special_tokens=["<s>"])
    tok = train(counts, 280)
    assert tok.vocabulary == train(TEXT, 280, pattern="qwen2", special_tokens=["<s>"]).vocabulary
    assert tok.vocabulary == train(counts, 280, pattern="qwen2").vocabulary


@pytest.mark.parametrize(
    "options", [{"pattern": "gpt2"}, {"special_tokens": []}, {"normalizer": "NFC"}, {"max_pretoken_bytes": 9}], ids=str
)
def test_options_that_contradict_the_counts_are_refused(options: dict[str, Any]) -> None:
    counts = count_pretokens(TEXT, pattern="qwen2", special_tokens=["<s>"])
    with pytest.raises(TrainingError, match=f"counts were made with {next(iter(options))}"):
        train(counts, 280, **options)


def test_no_source_at_all_is_refused() -> None:
    with pytest.raises(TypeError, match="the source is None; give a path"):
        train(None, vocab_size=300)  # type: ignore[arg-type]


def test_the_order_of_documents_and_threads_have_no_say() -> None:
    texts = TEXT * 50
    random.Random(1).shuffle(texts)
    assert train(texts, 300, threads=2).vocabulary == train(TEXT * 50, 300, threads=1).vocabulary


def test_a_smaller_vocabulary_is_a_prefix() -> None:
    assert merges_of(train(TEXT, 270).vocabulary) == merges_of(train(TEXT, 290).vocabulary)[:14]


# ---- stops and the record ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "stop", "merges"),
    [
        ({"vocab_size": 261}, "vocab_size", 5),
        ({"num_merges": 4}, "num_merges", 4),
        ({"vocab_size": 261, "num_merges": 4}, "num_merges", 4),
        ({"vocab_size": 261, "num_merges": 5}, "vocab_size", 5),
        ({"vocab_size": 261, "num_merges": 6}, "vocab_size", 5),
        ({"vocab_size": 256}, "vocab_size", 0),
        ({"num_merges": 0}, "num_merges", 0),
        ({"vocab_size": 263, "special_tokens": ["<s>", "</s>"]}, "vocab_size", 5),
        ({"num_merges": 2**63 - 1, "min_count": 1000}, "min_count", 0),
    ],
    ids=str,
)
def test_the_record_says_which_stop_ended_the_run(options: dict[str, Any], stop: str, merges: int) -> None:
    tok = train(TEXT, **options)
    record = tok.training_record
    assert record is not None
    assert (record.stop, record.merges, record.vocab_size) == (stop, merges, len(tok))


def test_a_short_result_is_reported_and_not_padded() -> None:
    tok = train(["abab"], 1000)
    record = tok.training_record
    assert record is not None
    assert (len(tok), record.stop, record.vocab_size) == (257, "min_count", 257)


def test_the_record_survives_json_and_holds_what_was_read(tmp_path: Path) -> None:
    path = tmp_path / "中文.txt"
    path.write_bytes("那只猫。\n".encode() * 9 + b"\xff\xfe.")
    options: dict[str, Any] = {"special_tokens": ["<s>"], "max_token_bytes": 6, "normalizer": "NFC"}
    record = train(path, 262, **options).training_record
    assert record is not None
    assert TrainingRecord.from_json(record.to_json()) == record
    assert (record.documents, record.bytes, record.invalid_bytes) == (1, 9 * 13 + 3, 2)
    assert [(source.path, source.bytes) for source in record.sources] == [(str(path), 120)]
    written = json.loads(record.to_json())
    assert written["options"]["pattern"]["name"] == "llama3"
    assert written["options"]["max_token_bytes"] == 6
    assert set(written["versions"]) == {"bbpe", "unicode", "python"}
    assert written["curve"][0] == {"vocab_size": 257, "tokens": 120, "bytes_per_token": 1.0, "count": 0}
    again = train(path, 262, threads=2, **options).training_record
    assert again is not None
    assert record.to_json() == again.to_json()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "null",
        '{"format": "other"}',
        '{"format": "bbpe-training", "format_version": 2}',
        '{"format": "bbpe-training", "format_version": 1}',
    ],
)
def test_what_is_no_record_is_refused(text: str) -> None:
    with pytest.raises(FormatError, match=r"training record"):
        TrainingRecord.from_json(text)


def test_the_curve_keeps_round_sizes_the_first_and_the_last() -> None:
    rng = random.Random(5)
    words = ["".join(rng.choices("abcdefgh", k=rng.randint(3, 12))) for _ in range(3000)]
    record = train([" ".join(words)] * 3, num_merges=2777).training_record
    assert record is not None
    sizes = [point.vocab_size for point in record.curve]
    assert sizes[0] == 256
    assert sizes[-1] == record.vocab_size == 3033
    assert {264, 512, 1000, 1024, 2000, 2048, 3000} <= set(sizes)
    assert sizes == sorted(set(sizes))
    assert len(sizes) < 150
    assert all(a.tokens > b.tokens for a, b in zip(record.curve, record.curve[1:], strict=False))
    assert record.curve[-1].bytes_per_token == record.bytes / record.curve[-1].tokens


# ---- errors ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, TrainingError, "neither vocab_size nor num_merges"),
        ({"vocab_size": 255}, TrainingError, "vocab_size is 255, but the 256 bytes and 0 special tokens are 256"),
        ({"vocab_size": 256, "special_tokens": ["<s>"]}, TrainingError, "1 special tokens are 257"),
        ({"vocab_size": -1}, TrainingError, "vocab_size is -1"),
        ({"vocab_size": 2**63}, TrainingError, "at most"),
        ({"vocab_size": 300.0}, TypeError, "vocab_size is an integer, not 300.0"),
        ({"vocab_size": "300"}, TypeError, "vocab_size is an integer, not '300'"),
        ({"vocab_size": True}, TypeError, "vocab_size is an integer, not True"),
        ({"num_merges": 1.9}, TypeError, "num_merges is an integer"),
        ({"num_merges": -1}, TrainingError, "num_merges is -1"),
        ({"vocab_size": 300, "min_count": 0}, TrainingError, "min_count is 0; expected at least 1"),
        ({"vocab_size": 300, "min_count": None}, TypeError, "min_count is an integer"),
        ({"vocab_size": 300, "max_token_bytes": 1}, TrainingError, "max_token_bytes is 1"),
        ({"vocab_size": 300, "max_pretoken_bytes": 3}, TrainingError, "max_pretoken_bytes is 3"),
        ({"vocab_size": 300, "byte_order": "gpt-2"}, TrainingError, "byte_order is 'gpt-2'"),
        ({"vocab_size": 300, "normalizer": "NFKC"}, TrainingError, "normalizer is 'NFKC'"),
        ({"vocab_size": 300, "special_tokens": ["a", "a"]}, TrainingError, "'a' is given twice"),
        ({"vocab_size": 300, "special_tokens": ["a", ""]}, TrainingError, "special token 1 is empty"),
        ({"vocab_size": 300, "special_tokens": ["\ud800"]}, TrainingError, "lone surrogate"),
        ({"vocab_size": 300, "special_tokens": "<s>"}, TypeError, "list of str"),
        ({"vocab_size": 300, "special_tokens": [b"<s>"]}, TypeError, "special token 0 is a str, not bytes"),
        ({"vocab_size": 300, "pattern": "llama4"}, PatternError, "llama3"),
        ({"vocab_size": 300, "pattern": "(x"}, PatternError, r"\(x"),
        ({"vocab_size": 300, "lines": 1}, TypeError, "lines is True or False"),
    ],
    ids=str,
)
def test_bad_options_are_refused_before_anything_is_read(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    def unread() -> Any:
        raise AssertionError("the text was read")
        yield ""

    with pytest.raises(error, match=message):
        train(unread(), **options)


def test_integers_of_numpy_are_integers() -> None:
    assert TrainingOptions(vocab_size=np.int32(300)) == TrainingOptions(vocab_size=300)  # type: ignore[arg-type]


@pytest.mark.parametrize("texts", [[], [""], ["<s>", "<s><s>"]])
def test_a_corpus_without_text_is_refused(texts: list[str]) -> None:
    with pytest.raises(BbpeError, match=r"empty|no text"):
        train(texts, 300, special_tokens=["<s>"])


def test_counts_past_64_bits_are_refused() -> None:
    counts = Counts.from_items({b"ab": 2**62}, pattern="llama3")
    with pytest.raises(TrainingError, match="64 bits"):
        train(counts, 300)
    assert len(train(Counts.from_items({b"ab": 2**61}, pattern="llama3"), 300)) == 257


def test_more_symbols_than_can_be_numbered_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bbpe.training.learning.MAX_CELLS", 10)
    with pytest.raises(TrainingError, match="max_pretoken_bytes"):
        train(["abcdefghijkl"], 300)


# ---- progress and interruption -----------------------------------------------------------------------


def test_progress_names_all_phases_and_never_falls() -> None:
    seen: list[Progress] = []
    train(TEXT * 20, 300, progress=seen.append)
    assert list(dict.fromkeys(progress.phase for progress in seen)) == ["counting", "sorting", "merging"]
    merging = [progress.done for progress in seen if progress.phase == "merging"]
    assert merging == sorted(merging)
    assert (merging[0], merging[-1]) == (0, 44)
    assert {progress.total for progress in seen if progress.phase == "merging"} == {44}
    assert {progress.unit for progress in seen if progress.phase == "merging"} == {"merges"}


def test_an_interruption_ends_the_training_and_leaves_nothing_behind() -> None:
    class Interrupted(KeyboardInterrupt):
        pass

    def interrupt(progress: Progress) -> None:
        if progress.phase == "merging":
            raise Interrupted

    with pytest.raises(Interrupted):
        train(TEXT, 300, progress=interrupt)
    assert len(train(TEXT, 270)) == 270


# ---- on top of a base ----------------------------------------------------------------------------------


@given(rank_tables() | merge_lists(), st.lists(small_texts(b"ab").filter(bool), min_size=1, max_size=6))
@settings(max_examples=60)
def test_learning_on_a_base_equals_the_specification(base: reference.Vocabulary, texts: list[bytes]) -> None:
    mine = from_reference(base, WHOLE)
    counts = count_pretokens(texts, pattern=WHOLE, special_tokens=["bb|"], threads=1)
    options = TrainingOptions(num_merges=12, pattern=WHOLE, special_tokens=("bb|",))
    vocabulary, record = learn(counts, mine, options)
    pretokens: Mapping[bytes, int] = {text: texts.count(text) for text in texts}
    learned = reference.learn_merges(pretokens, base, num_merges=12, special_tokens=["bb|"])
    assert to_reference(vocabulary) == dataclasses.replace(learned.vocabulary, pattern=WHOLE.stages)
    assert (record.merges, record.stop, record.base_size) == (len(learned.merges), learned.stop, len(base))
    assert record.curve[0].tokens == learned.lengths[0]


def test_a_rank_table_becomes_all_its_splits() -> None:
    tokens = {**{id: bytes([id]) for id in range(256)}, 256: b"ab", 257: b"ba", 258: b"aba"}
    ranks = Vocabulary(tokens, pattern=WHOLE)
    assert merges_of(as_merge_list(ranks)) == ((97, 98), (98, 97), (97, 257), (256, 97))
    assert as_merge_list(as_merge_list(ranks)) is not ranks


def test_training_in_two_steps_is_training_in_one() -> None:
    counts = count_pretokens(TEXT)
    half, _ = learn(counts, None, TrainingOptions(vocab_size=265))
    whole, record = learn(counts, half, TrainingOptions(vocab_size=275))
    assert whole == train(counts, 275).vocabulary
    assert (record.base, record.base_size, record.merges) == ("unnamed", 265, 10)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"byte_order": "gpt2"}, "byte_order"),
        ({"vocab_size": 260}, "entries of the base"),
        ({"pattern": "gpt2"}, "pattern"),
        ({"special_tokens": ["<s>"]}, "in the base already"),
    ],
    ids=str,
)
def test_options_that_contradict_the_base_are_refused(options: dict[str, Any], message: str) -> None:
    base = train(TEXT, 266, special_tokens=["<s>"]).vocabulary
    counts = count_pretokens(TEXT, pattern=options.get("pattern", "llama3"), special_tokens=["<s>"])
    with pytest.raises(TrainingError, match=message):
        learn(counts, base, TrainingOptions(**{"vocab_size": 280, **options}))


# ---- Hugging Face --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("corpus", "vocab_size", "max_token_bytes"),
    [("zh-web.txt", 6000, None), ("en-web.txt", 6000, None), ("zh-web.txt", 3000, 6), ("en-web.txt", 3000, 5)],
)
def test_merges_and_ids_equal_those_of_hugging_face(
    read_corpus: Callable[..., bytes], corpus: str, vocab_size: int, max_token_bytes: int | None
) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    texts = read_corpus(corpus, 700_000).decode().split("\n")
    pattern = get_pattern("cl100k")
    theirs = tokenizers.Tokenizer(tokenizers.models.BPE())
    stages = [tokenizers.pre_tokenizers.Split(tokenizers.Regex(s), "isolated") for s in pattern.spelling("oniguruma")]
    byte_level = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    theirs.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([*stages, byte_level])
    cap = {} if max_token_bytes is None else {"max_token_length": max_token_bytes + 1}
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        show_progress=False,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        **cap,
    )
    theirs.train_from_iterator(texts, trainer)
    model = json.loads(theirs.to_str())["model"]
    ours = train(
        texts, vocab_size, pattern=pattern, byte_order="gpt2", max_token_bytes=max_token_bytes, threads=1
    ).vocabulary
    # Their alphabet is ours: the character of byte b has the id byte_ids("gpt2")[b].
    byte_of = {id: byte for byte, id in enumerate(byte_ids("gpt2").tolist())}
    spelled = {character: byte_of[model["vocab"][character]] for character in byte_level.alphabet()}
    tokens = {bytes(spelled[character] for character in token): id for token, id in model["vocab"].items()}
    assert tokens == ours.ids
    pairs = [merge if isinstance(merge, list) else merge.split(" ") for merge in model["merges"]]
    assert [(model["vocab"][left], model["vocab"][right]) for left, right in pairs] == list(merges_of(ours))
