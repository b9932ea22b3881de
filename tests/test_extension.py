"""An extension adds what was asked for, keeps what it promises, and says so; whatever the base looks like."""

from __future__ import annotations

import functools
import importlib
import json
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import ANYTHING, FAR, NEAR, broken_texts, tokenizer_of, vocabularies

import bbpe
from bbpe import ExtensionReport, SpecialToken, Template, Tokenizer, reference
from bbpe._merge import MergeLearner
from bbpe.embeddings import EmbeddingPlan
from bbpe.errors import BbpeError, CorpusError, FormatError, GuaranteeError, PatternError, TrainingError
from bbpe.extension import ExtensionOptions, byte_base, extending
from bbpe.extension.guarantees import Checker, made_by_merges
from bbpe.extension.numbering import model_rows
from bbpe.extension.options import native_rules
from bbpe.unicode import CharacterSet, property_set, script_set

TINY = Path(__file__).parent.parent / "corpora" / "tiny"
ZH, EN = TINY / "train" / "zh.txt", TINY / "train" / "en.txt"


@pytest.fixture(scope="module")
def base() -> Tokenizer:
    """A base that knows English and some Chinese characters, with a special token behind its merges."""
    return bbpe.train([EN, TINY / "train" / "code.txt"], 1000, special_tokens=["<|end|>"])


@pytest.fixture(scope="module")
def extension(base: Tokenizer) -> bbpe.Extension:
    """The base with 400 tokens learned from Chinese."""
    return bbpe.extend(base, ZH, add=400, guard={"English": EN})


# --- what may be added: native = specification ---------------------------------------------------------------------------

SCRIPTS = ["Han", "Latin", "Thai"]
rules = st.fixed_dictionaries(
    {
        "utf8_safe": st.booleans(),
        "script": st.sets(st.sampled_from(SCRIPTS), max_size=1),
        "max_chars": st.none() | st.integers(1, 3),
        "deny": st.sets(st.sampled_from(["中", "a", "é", "\u4e00\u4e01"]), max_size=2),
    }
).flatmap(
    lambda found: st.sets(st.sampled_from(SCRIPTS), max_size=1).map(
        lambda frozen: {**found, "freeze_scripts": frozen - found["script"]}
    )
)


def allowed_by(options: dict[str, Any]) -> Callable[[bytes], bool]:
    return lambda token: reference.may_be_added(
        token,
        utf8_safe=options["utf8_safe"],
        scripts=options["script"],
        frozen=options["freeze_scripts"],
        max_chars=options["max_chars"],
        deny=[text.encode() for text in options["deny"]],
    )


def options_of(options: dict[str, Any]) -> ExtensionOptions:
    return ExtensionOptions(
        add=1, **{key: tuple(sorted(value)) if isinstance(value, set) else value for key, value in options.items()}
    )


@pytest.fixture(scope="module", autouse=True)
def same_unicode() -> Iterator[None]:
    """``regex`` knows a later Unicode than the tables: the specification must not see what they do not know."""
    of_script = reference._of_script
    unknown = frozenset(map(chr, _codes(property_set("Cn"))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reference, "_of_script", functools.cache(lambda script: of_script(script) - unknown))
        reference._pieces_of_script.cache_clear()
        yield
    reference._pieces_of_script.cache_clear()


def _codes(characters: CharacterSet) -> Iterator[int]:
    for first, last in characters.ranges():
        yield from range(first, last + 1)


pieces = st.tuples(
    st.text(st.sampled_from([*NEAR, *FAR, "я", "\u0301"]), max_size=3), st.integers(0, 4), st.integers(0, 4)
).map(lambda found: found[0].encode()[found[1] :][: 12 - found[2]])


@given(pieces | broken_texts(3), rules)
@settings(max_examples=120)
def test_the_rules_equal_the_specification(token: bytes, options: dict[str, Any]) -> None:
    if not token:
        return
    native = native_rules(options_of(options))
    assert (native is None or native.allows(token)) == allowed_by(options)(token)


@given(
    st.dictionaries(st.text(st.sampled_from([*NEAR, "a", " "]), min_size=1, max_size=6), st.integers(1, 4), max_size=9),
    rules,
)
@settings(max_examples=30)
def test_merges_under_rules_equal_the_specification(counted: dict[str, int], options: dict[str, Any]) -> None:
    pretokens = {text.encode(): count for text, count in counted.items()}
    learned = reference.learn_merges(pretokens, num_merges=25, min_count=1, allowed=allowed_by(options))
    data = b"".join(pretokens)
    offsets = np.cumsum([0, *map(len, pretokens)]).astype(np.int64)
    learner = MergeLearner(
        np.frombuffer(data, np.uint8),
        offsets,
        np.array(list(pretokens.values()), np.int64),
        [bytes([byte]) for byte in range(256)],
        byte_ids=np.arange(256, dtype=np.uint32),
        min_count=1,
        rules=native_rules(options_of(options)),
    )
    while len(learner) < 25 and learner.learn(25, 3):
        pass
    assert [tuple(pair) for pair in learner.merges.tolist()] == list(learned.merges)
    assert learner.counts.tolist() == list(learned.counts)
    assert learner.corpus_tokens.tolist() == list(learned.lengths)


# --- whatever the base looks like ------------------------------------------------------------------------------------------


@given(
    vocabularies(b"ab"),
    st.lists(st.text("ab", min_size=1, max_size=9), min_size=1, max_size=6),
    st.text("ab", max_size=14),
)
@settings(max_examples=80)
def test_any_base_extended_equals_the_specification_and_keeps_its_promises(
    made: reference.Vocabulary, documents: list[str], text: str
) -> None:
    made = reference.replace(made, pattern=ANYTHING)
    learned = reference.train(documents, made, num_merges=6)
    if not learned.merges:
        with pytest.raises(TrainingError, match="no new merges to learn"):
            bbpe.extend(tokenizer_of(made), documents, add=6)
        return
    extension = bbpe.extend(tokenizer_of(made), documents, add=6)
    assert [(token.left, token.right) for token in extension.report.added] == list(learned.merges)
    old, new = reference.encode(text, made), extension.tokenizer.encode(text)
    assert new == reference.encode(text, learned.vocabulary)
    parts = {id: extension.plan.parts(id) for id in extension.plan.new_ids}
    assert [part for id in new for part in parts.get(id, (id,))] == old
    for token in extension.report.added:
        assert token.witness.text is not None
        assert token.id in extension.tokenizer.encode(token.witness.text)


def boundaries(tokenizer: Tokenizer, text: str) -> set[int]:
    return {end for _, end in tokenizer.encode_with_offsets(text, unit="bytes")[1]}


def test_texts_are_cut_coarser_and_never_differently(base: Tokenizer, extension: bbpe.Extension) -> None:
    new = set(extension.plan.new_ids)
    changed = 0
    for path in sorted(TINY.rglob("*.txt")):
        for line in path.read_text("utf-8").splitlines():
            before, after = base.encode(line), extension.tokenizer.encode(line)
            assert boundaries(extension.tokenizer, line) <= boundaries(base, line)
            assert (before == after) == new.isdisjoint(after)
            changed += before != after
            assert extension.tokenizer.decode(after) == line
    assert changed > 100


# --- from a corpus ---------------------------------------------------------------------------------------------------------


def test_the_report_says_what_happened(base: Tokenizer, extension: bbpe.Extension) -> None:
    report = extension.report
    assert (report.stop, len(report.added), len(extension.tokenizer)) == ("add", 400, 1400)
    zh, en = report.corpora
    text = ZH.read_text("utf-8")
    assert (zh.name, zh.role, zh.documents, zh.documents_changed) == ("zh", "training", 1, 1)
    assert (zh.characters, zh.bytes) == (len(text), len(text.encode()))
    assert (zh.tokens_before, zh.tokens_after) == (base.count(text), extension.tokenizer.count(text))
    assert zh.tokens_after == report.curve[-1].tokens
    assert zh.tokens_before == report.curve[0].tokens
    assert (en.name, en.role) == ("English", "guard")
    assert en.tokens_after <= en.tokens_before
    assert report.sources[0].bytes == ZH.stat().st_size
    gains = [point.gain for point in report.curve[1:]]
    assert gains == sorted(gains, reverse=True)
    assert report.curve[-1].added == 400
    ids = np.array(extension.tokenizer.encode(text))
    assert [token.occurrences for token in report.added] == [int((ids == token.id).sum()) for token in report.added]
    assert set(report.guarantees) == {"ids", "reachable", "coarser", "untouched", "round_trip", "ranks"}


def test_the_record_survives_json_and_is_the_same_every_time(base: Tokenizer, extension: bbpe.Extension) -> None:
    text = extension.report.to_json()
    assert ExtensionReport.from_json(text) == extension.report
    assert ExtensionReport.from_json(text).to_json() == text
    again = bbpe.extend(base, ZH, add=400, guard={"English": EN}, threads=1)
    assert again.report.to_json() == text
    for broken in (
        "[]",
        "{}",
        '{"format": "bbpe-training"}',
        text.replace('"format_version": 1', '"format_version": 9'),
    ):
        with pytest.raises(FormatError):
            ExtensionReport.from_json(broken)


def test_documents_are_counted_one_by_one(base: Tokenizer) -> None:
    report = bbpe.extend(base, ["词元词元", "plain text", "词元", ""], add=5).report
    (row,) = report.corpora
    assert (row.documents, row.documents_changed) == (4, 2)
    assert report.added[-1].token == "词元"
    assert report.added[-1].documents == 2
    assert report.added[-1].occurrences == 3


def test_a_document_in_several_parts_is_one_document(base: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bbpe.bulk.cutting.BLOCK_BYTES", 4096)
    monkeypatch.setattr("bbpe.extension.guarantees._BLOCK_BYTES", 4096)
    small = bbpe.extend(base, [ZH, EN], add=50)
    monkeypatch.undo()
    assert small.report.to_json() == bbpe.extend(base, [ZH, EN], add=50).report.to_json()
    assert [(row.documents, row.documents_changed) for row in small.report.corpora] == [(1, 1), (1, 0)]


def test_the_marginal_gain_ends_it(base: Tokenizer) -> None:
    full = bbpe.extend(base, ZH, add=400)
    characters = full.report.corpora[0].characters
    wanted = full.report.added[99].count * 1e6 / characters
    made = bbpe.extend(base, ZH, until_gain=wanted)
    assert made.report.stop == "until_gain"
    assert made.report.added[-1].count >= full.report.added[99].count
    assert [token.id for token in made.report.added] == list(range(1000, 1000 + len(made.report.added)))
    counts = [token.count for token in full.report.added]
    assert len(made.report.added) == sum(count >= counts[99] for count in counts)
    assert bbpe.extend(base, ZH, add=30, until_gain=wanted).report.stop == "add"


def test_the_price_of_whole_characters_is_that_of_learning_without_the_rule(base: Tokenizer) -> None:
    safe, free = bbpe.extend(base, ZH, add=400), bbpe.extend(base, ZH, add=400, utf8_safe=False)
    price = safe.report.price
    assert price is not None
    assert free.report.price is None
    assert (price.sample, price.tokens_with) == (1, safe.report.corpora[0].tokens_after)
    assert price.tokens_without == free.report.corpora[0].tokens_after
    bad = [token for token in free.report.added if not reference.may_be_added(free.tokenizer.token(token.id))]
    assert price.character_and_a_half == len(bad) > 0


def test_a_large_text_is_sampled_for_the_price(base: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(byte_base, "PRICE_SAMPLE_BYTES", 10_000)
    price = bbpe.extend(base, ZH, add=50).report.price
    assert price is not None
    assert price.sample > 1
    assert price.tokens_with >= price.tokens_without > 0


def test_a_source_that_can_be_read_once_is_checked_by_its_pretokens(base: Tokenizer) -> None:
    text = ZH.read_text("utf-8").splitlines()
    once, twice = bbpe.extend(base, iter(text), add=40), bbpe.extend(base, text, add=40)
    assert once.tokenizer.vocabulary == twice.tokenizer.vocabulary
    (row,) = once.report.corpora
    assert row.documents_changed is None
    assert row.tokens_after == twice.report.corpora[0].tokens_after
    assert "unknown" in once.report.guarantees["coarser"]
    counts = bbpe.count_pretokens(text, special_tokens=["<|end|>"])
    assert bbpe.extend(base, counts, add=40).tokenizer.vocabulary == twice.tokenizer.vocabulary


# --- what may be added -----------------------------------------------------------------------------------------------------


def texts_of(extension: bbpe.Extension) -> list[str]:
    return [token.token for token in extension.report.added if token.token is not None]


def test_only_of_a_script(base: Tokenizer) -> None:
    made = bbpe.extend(base, [ZH, TINY / "train" / "mixed.txt"], add=300, script="han")
    assert all(regex.fullmatch(r" ?[\p{Script=Han}\p{Script=Inherited}]+", text) for text in texts_of(made))
    short = bbpe.extend(base, ZH, add=2000, script=["Han"], max_chars=1)
    assert max(map(len, texts_of(short))) == 1
    assert short.report.stop == "min_count"


def test_a_frozen_script_is_not_touched(base: Tokenizer) -> None:
    corpus = [*ZH.read_text("utf-8").splitlines(), "déjà vu, naïveté, Größe, cafés, đường được, " * 20]
    free = bbpe.extend(base, corpus, add=600)
    frozen = bbpe.extend(base, corpus, add=600, freeze_scripts="Latin")
    assert any(regex.search(r"\p{Script=Latin}", text) for text in texts_of(free))
    assert not any(regex.search(r"\p{Script=Latin}", text) for text in texts_of(frozen))
    for word in set(regex.findall(r"\p{Script=Latin}+", EN.read_text("utf-8"))):
        assert frozen.tokenizer.encode(word) == base.encode(word)
    for character in regex.findall(r"\p{Script=Latin}", "".join(map(chr, range(0x80, 0x2C80)))):  # pieces of them
        assert frozen.tokenizer.encode(character) == base.encode(character)


def test_denied_text_and_limits(base: Tokenizer) -> None:
    plain = bbpe.extend(base, ZH, add=300)
    word = next(text for text in texts_of(plain) if len(text) == 2)
    denied = bbpe.extend(base, ZH, add=300, deny=[word])
    assert not any(word in text for text in texts_of(denied))
    assert any(word in text for text in texts_of(plain))
    assert max(len(text.encode()) for text in texts_of(bbpe.extend(base, ZH, add=300, max_token_bytes=6))) == 6
    often = bbpe.extend(base, ZH, add=5000, min_count=40).report
    assert often.stop == "min_count"
    assert min(token.count for token in often.added) >= 40


def test_a_script_that_does_not_exist(base: Tokenizer) -> None:
    with pytest.raises(PatternError, match=r"unknown script 'Hann': did you mean .*Han"):
        bbpe.extend(base, ZH, add=1, script="Hann")
    with pytest.raises(PatternError, match="unknown script"):
        bbpe.extend(base, ZH, add=1, freeze_scripts=["Klingon"])
    assert script_set("Latn") == script_set("latin")


def test_suspicious_tokens_are_reported(base: Tokenizer) -> None:
    spam = "时时彩平台开户送彩金"
    documents = [f"第{number}篇文章说的是别的事情。" for number in range(40)] + ["哈哈哈哈哈哈哈哈" + f"，{spam}" * 30]
    report = bbpe.extend(base, documents, add=100).report
    reasons = {each.token.lstrip("，"): " ".join(each.reasons) for each in report.suspicious}
    assert "advertisements" in reasons[spam]
    assert "long" in reasons[spam]
    assert "one document" in reasons[spam]
    assert "repeated" in reasons["哈哈哈哈"]
    assert "篇文章" not in reasons


# --- word lists and other vocabularies -------------------------------------------------------------------------------------


def test_every_word_of_a_list_becomes_one_token(base: Tokenizer, tmp_path: Path) -> None:
    path = tmp_path / "words.tsv"
    known = next(token for token in base.vocabulary.tokens.values() if token.isalpha() and len(token) > 2).decode()
    path.write_text(f"词元化\t30\n中文分词\t20\n\n词元\t5\n{known}\t3\n词元化\t1\nhello 世界\t9\n", "utf-8")
    made = bbpe.extend(base, words=path)
    targets = made.report.targets
    assert targets is not None
    assert made.report.stop == "targets"
    assert (targets.given, targets.made, targets.already) == (5, 3, 1)
    assert targets.duplicates == ("词元化",)
    assert targets.cut == ("hello 世界",)
    assert targets.incomplete == ()
    for word in ("词元化", "中文分词", "词元"):
        assert len(made.tokenizer.encode(word)) == 1
    asked = {"词元化", "中文分词", "词元"}
    assert {token.token for token in made.report.added if not token.helper} == asked
    helpers = {token.token or token.hex for token in made.report.added if token.helper}
    assert helpers == set(targets.helpers)
    assert len(helpers) + 3 == len(made.report.added)
    few = bbpe.extend(base, words={"词元化": 3, "分词": 2}, add=3).report
    assert few.stop == "add"
    assert few.targets is not None
    assert few.targets.incomplete


def test_words_are_measured_on_a_corpus_that_comes_with_them(base: Tokenizer) -> None:
    made = bbpe.extend(base, ["我们说词元", "nothing new"], words=[("我们", 2), ("词元", 1)])
    (row,) = made.report.corpora
    assert (row.documents, row.documents_changed) == (2, 1)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("词元", "expected a word, a tab and its frequency"),
        ("词元\tmany", "expected a word, a tab and its frequency"),
        ("词元\t-3", "expected a word, a tab and its frequency"),
        ("词\t元\t3", "expected a word, a tab and its frequency"),
        ("\t3", "expected a word, a tab and its frequency"),
        ("词元\t0", "the frequency of '词元' is 0"),
        ("词元\t99999999999999", "expected 1 to"),
    ],
)
def test_a_broken_line_of_a_word_list_is_named(base: Tokenizer, tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "words.tsv"
    path.write_text(f"中文\t3\n{line}\n", "utf-8")
    with pytest.raises(TrainingError, match=rf"words\.tsv:2: .*{message}"):
        bbpe.extend(base, words=path)


def test_word_lists_that_say_nothing(base: Tokenizer, tmp_path: Path) -> None:
    path = tmp_path / "words.tsv"
    path.write_bytes(b"\xff\xfe\t3\n")
    with pytest.raises(TrainingError, match=r"words\.tsv:1: no valid UTF-8"):
        bbpe.extend(base, words=path)
    path.write_bytes(b"\xef\xbb\xbf\r\n\n")
    with pytest.raises(TrainingError, match="the word list is empty"):
        bbpe.extend(base, words=path)
    with pytest.raises(TrainingError, match="cannot be read"):
        bbpe.extend(base, words=tmp_path / "none.tsv")
    with pytest.raises(
        TrainingError, match="there is nothing to add: of 2 words 1 are tokens of the base already and 1"
    ):
        bbpe.extend(base, words={"e": 3, "a b": 1})
    with pytest.raises(TrainingError, match="none of the 1 words that the base lacks can be made"):
        bbpe.extend(base, words={"词元": 3}, script="Nko")
    with pytest.raises(TypeError, match="pairs of a str and its frequency"):
        bbpe.extend(base, words=["词元"])  # type: ignore[list-item]


def test_tokens_of_another_vocabulary_become_reachable(base: Tokenizer) -> None:
    donor = bbpe.train(ZH, 700)
    made = bbpe.extend(base, tokens_from=donor, guard=[ZH])
    targets = made.report.targets
    assert targets is not None
    assert targets.kind == "tokens"
    assert targets.incomplete == ()
    wanted = [token.decode() for token in donor.vocabulary.tokens.values() if len(token) > 1 and _is_text(token)]
    assert targets.given == len(wanted) == targets.made + targets.already + len(targets.cut)
    for text in set(wanted) - set(targets.cut):
        assert len(made.tokenizer.encode(text)) == 1
    assert targets.left_out == sum(not _is_text(token) for token in donor.vocabulary.tokens.values() if len(token) > 1)
    assert made.report.corpora[0].tokens_after < made.report.corpora[0].tokens_before


def test_tokens_of_another_vocabulary_weighed_on_a_corpus(base: Tokenizer) -> None:
    donor = bbpe.train(ZH, 700)
    weighed = bbpe.extend(base, ["分词" * 5], tokens_from=donor, add=20)
    assert len(weighed.report.added) == 20
    listed = bbpe.extend(base, tokens_from=["词元", "分词".encode()])
    assert {"词元", "分词"} <= set(texts_of(listed))
    with pytest.raises(TrainingError, match="cannot be counted on a corpus"):
        bbpe.extend(base, ["词元"], tokens_from=["词元"])


def _is_text(token: bytes) -> bool:
    try:
        token.decode()
    except UnicodeDecodeError:
        return False
    return True


# --- ids -------------------------------------------------------------------------------------------------------------------


def test_new_ids_follow_the_special_tokens(base: Tokenizer, extension: bbpe.Extension) -> None:
    assert base.special_tokens == extension.tokenizer.special_tokens == {"<|end|>": 999}
    assert extension.plan.new_ids == tuple(range(1000, 1400))
    assert (extension.plan.old_rows, extension.plan.new_rows) == (1000, 1400)
    assert dict(base.vocabulary.tokens).items() <= dict(extension.tokenizer.vocabulary.tokens).items()
    for token in extension.report.added:
        parts = extension.plan.parts(token.id)
        assert b"".join(map(base.token, parts)) == extension.tokenizer.token(token.id)
        assert max(parts) < 1000


def test_ids_from_a_number_and_padding(base: Tokenizer) -> None:
    made = bbpe.extend(base, ZH, add=10, ids_from=1100, pad_to_multiple=64)
    assert made.plan.new_ids == tuple(range(1100, 1110))
    assert made.plan.new_rows == 1152
    with pytest.raises(TrainingError, match="ids_from is 999, but the base has ids up to 999; give at least 1000"):
        bbpe.extend(base, ZH, add=10, ids_from=999)
    assert texts_of(made) == texts_of(bbpe.extend(base, ZH, add=10))


def write_model(folder: Path, rows: int, config: int | None) -> Path:
    folder.mkdir()
    if config is not None:
        (folder / "config.json").write_text(json.dumps({"vocab_size": config}))
    tensors = {"model.embed_tokens.weight": {"dtype": "F32", "shape": [rows, 1], "data_offsets": [0, rows * 4]}}
    header = json.dumps({"__metadata__": {"a": "b"}, **tensors}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(rows * 4))
    return folder


def test_ids_from_a_model_with_more_rows(base: Tokenizer, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", 1024, 1020)
    made = bbpe.extend(base, ZH, add=10, ids_from=folder)
    assert made.plan.new_ids[0] == 1024
    assert made.plan.old_rows == 1024
    assert "1,024 rows" in made.report.warnings[0]
    assert "24 rows between" in made.report.warnings[0]
    (folder / "added_tokens.json").write_text('{"<|x|>": 1040}')
    assert model_rows(folder) == 1041
    unused = bbpe.extend(base, ZH, add=24, ids_from=write_model(tmp_path / "other", 1024, None), reuse_reserved=True)
    assert unused.plan.new_ids == tuple(range(1000, 1024)) == unused.report.ids_reused
    assert unused.plan.new_rows == 1024
    (tmp_path / "other" / "added_tokens.json").write_text('{"<|x|>": 1001}')
    named = bbpe.extend(base, ZH, add=3, ids_from=tmp_path / "other", reuse_reserved=True)
    assert named.plan.new_ids == (1000, 1002, 1003)
    quiet = bbpe.extend(base, ZH, add=2, ids_from=write_model(tmp_path / "same", 1000, None))
    assert quiet.plan.new_ids == (1000, 1001)
    assert quiet.report.warnings == ()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "no file in .* says how many rows"),
        ({"config.json": b"{"}, "config.json cannot be read"),
        ({"model.safetensors": b"abc"}, "is no safetensors file"),
        ({"model.safetensors": struct.pack("<Q", 2**60)}, "is no safetensors file"),
        ({"model.safetensors": struct.pack("<Q", 2) + b"[]"}, "is no safetensors file"),
    ],
)
def test_a_model_folder_that_says_nothing(
    base: Tokenizer, tmp_path: Path, files: dict[str, bytes], message: str
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(TrainingError, match=message):
        bbpe.extend(base, ZH, add=1, ids_from=tmp_path)
    with pytest.raises(TrainingError, match="is no folder of a model"):
        bbpe.extend(base, ZH, add=1, ids_from=tmp_path / "none")


def with_specials(base: Tokenizer, *specials: SpecialToken, template: Template | None = None) -> Tokenizer:
    return Tokenizer(base.vocabulary.replace(special_tokens=specials, template=template or Template()))


def test_reserved_ids_are_taken_over(base: Tokenizer) -> None:
    specials = [SpecialToken(f"<|reserved_special_token_{n}|>", 1000 + n) for n in range(8)]
    told = with_specials(base, SpecialToken("<|end|>", 999), *specials, template=Template((1002,)))
    made = bbpe.extend(told, ZH, add=7, reuse_reserved=True)
    assert made.plan.new_ids == (1000, 1001, 1003, 1004, 1005, 1006, 1007) == made.report.ids_reused
    assert set(made.tokenizer.special_tokens) == {"<|end|>", "<|reserved_special_token_2|>"}
    assert made.plan.new_rows == made.plan.old_rows == told.id_space == made.tokenizer.id_space
    assert made.report.special_tokens_replaced == tuple(s.content for s in specials if s.id != 1002)
    with pytest.raises(TrainingError, match="8 tokens are asked for, but only 7 ids are reserved or unused"):
        bbpe.extend(told, ZH, add=8, reuse_reserved=True)
    assert bbpe.extend(told, ZH, until_gain=1e-3, reuse_reserved=True).report.stop == "reserved"
    with pytest.raises(TrainingError, match="the base has no reserved or unused ids"):
        bbpe.extend(base, ZH, add=1, reuse_reserved=True)


# --- promises that do not hold -----------------------------------------------------------------------------------------------


def test_added_merges_before_the_old_ones_are_found_out(
    base: Tokenizer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    make = extending._Extending._make

    def first(self: Any) -> None:
        make(self)
        merges = self.vocabulary.merges
        self.vocabulary = self.vocabulary.replace(merges=(*merges[-60:], *merges[:-60]))

    monkeypatch.setattr(extending._Extending, "_make", first)
    with pytest.raises(GuaranteeError, match=r"near .* the base gives .* nothing was written"):
        bbpe.extend(base, EN, add=60).save(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_token_without_a_witness_is_found_out(base: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    make = extending._Extending._make

    def without_last_merge(self: Any) -> None:
        make(self)
        self.vocabulary = self.vocabulary.replace(merges=self.vocabulary.merges[:-1])

    monkeypatch.setattr(extending._Extending, "_make", without_last_merge)
    with pytest.raises(GuaranteeError, match=r"added token 1019 \(.*\) occurs in no text"):
        bbpe.extend(base, ZH, add=20)


def test_a_changed_old_token_is_found_out(base: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    make = extending._Extending._make

    def swapped(self: Any) -> None:
        make(self)
        tokens = dict(self.vocabulary.tokens)
        tokens[33], tokens[34] = tokens[34], tokens[33]
        self.vocabulary = self.vocabulary.replace(tokens=tokens, merges=())

    monkeypatch.setattr(extending._Extending, "_make", swapped)
    with pytest.raises(GuaranteeError, match="old id 33 was"):
        bbpe.extend(base, ZH, add=20)


def test_a_guard_is_checked_too(base: Tokenizer, extension: bbpe.Extension) -> None:
    plan = EmbeddingPlan.of({id: extension.plan.parts(id) for id in extension.plan.new_ids}, old_rows=1000)
    lying = EmbeddingPlan.of({**{id: plan.parts(id) for id in plan.new_ids}, 1000: (1, 2)}, old_rows=1000)
    text = extension.report.added[0].witness.text
    assert text is not None
    with pytest.raises(GuaranteeError, match="document 0"):
        Checker(base, extension.tokenizer, lying, 1, None).corpus([text], "guard", name="zh")
    assert Checker(base, extension.tokenizer, plan, 1, None).corpus([text], "guard").rows[0].documents_changed == 1


def test_a_file_that_changes_meanwhile_is_noticed(
    base: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "zh.txt"
    path.write_bytes(ZH.read_bytes())
    learn = extending._Extending.learn

    def meanwhile(self: Any) -> None:
        learn(self)
        path.write_text("something else", "utf-8")

    monkeypatch.setattr(extending._Extending, "learn", meanwhile)
    with pytest.raises(TrainingError, match="a file of the corpus changed while it was read"):
        bbpe.extend(base, path, add=10)


# --- bad input ---------------------------------------------------------------------------------------------------------------


def test_a_base_with_unreachable_tokens_keeps_them(base: Tokenizer) -> None:
    tokens = {**base.vocabulary.tokens, 1000: b"zqzq", 1001: "词".encode()}
    odd = Tokenizer(base.vocabulary.replace(tokens=tokens))
    made = bbpe.extend(odd, ["词元词元"], add=20, min_count=1)
    assert made.report.base_unreachable == (1000, 1001) == tuple(made_by_merges(odd)[1])
    assert made.tokenizer.token(1000) == b"zqzq"
    assert "词" not in texts_of(made)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "neither add nor until_gain is given"),
        ({"add": 0}, "add is 0; expected 1 to"),
        ({"until_gain": 0}, "until_gain is 0; expected a positive number"),
        ({"add": 5, "min_count": 0}, "min_count is 0; expected 1 to"),
        ({"add": 5, "max_chars": 0}, "max_chars is 0; expected 1 to"),
        ({"add": 5, "deny": [""]}, "the deny list holds an empty string"),
        ({"add": 5, "deny": ["\ud800"]}, "a lone surrogate"),
        ({"add": 5, "script": "Han", "freeze_scripts": "han"}, "asked for and frozen"),
        ({"add": 5, "words": {"词": 1}, "tokens_from": ["词"]}, "words and tokens_from are both given"),
        ({"until_gain": 5, "words": {"词": 1}}, "until_gain is about a corpus"),
        ({"min_count": 5, "words": {"词": 1}}, "min_count is about a corpus"),
        ({"add": 5, "min_count": 10**6}, "no new merges to learn: no pair of the base's tokens occurs 1,000,000 times"),
        ({"add": 5, "script": "Nko"}, "no new merges to learn: .* and may be merged"),
    ],
)
def test_options_that_make_no_sense(base: Tokenizer, options: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        bbpe.extend(base, ZH, **options)


@pytest.mark.parametrize("options", [{"add": 1.5}, {"add": True}, {"add": 1, "utf8_safe": 1}, {"until_gain": "x"}])
def test_values_of_the_wrong_type(base: Tokenizer, options: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        bbpe.extend(base, ZH, **options)


def test_nothing_to_learn_from(base: Tokenizer, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="there is nothing to learn from"):
        bbpe.extend(base, add=3)
    with pytest.raises(TrainingError, match="the corpus has no new merges to learn"):
        bbpe.extend(base, ["a b c"], add=3)
    with pytest.raises(CorpusError):
        bbpe.extend(base, tmp_path / "none.txt", add=3)
    with pytest.raises(BbpeError, match="no such file"):
        bbpe.extend(tmp_path / "none", ZH, add=3)
    with pytest.raises(CorpusError):
        bbpe.extend(base, ZH, add=3, guard=[tmp_path / "none.txt"])


# --- written, and loaded by others -------------------------------------------------------------------------------------------


def test_the_folder_holds_the_record_and_loads(extension: bbpe.Extension, tmp_path: Path) -> None:
    saved = extension.save(tmp_path / "out")
    assert sorted(path.name for path in saved.files) == [
        *("extension.json", "tokenizer.json", "tokenizer_config.json"),
        *("vocab.tiktoken", "vocab.tiktoken.json"),
    ]
    loaded = bbpe.load(tmp_path / "out")
    for path in sorted(TINY.rglob("*.txt")):
        text = path.read_text("utf-8")
        assert loaded.encode(text) == extension.tokenizer.encode(text)
    record = ExtensionReport.from_json((tmp_path / "out" / "extension.json").read_text("utf-8"))
    assert record == extension.report
    with pytest.raises(BbpeError, match="exists"):
        extension.save(tmp_path / "out")
    extension.save(tmp_path / "out", force=True)


def same_as_transformers(folder: Path, texts: Sequence[str]) -> None:
    transformers = pytest.importorskip("transformers")
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    ours = bbpe.load(folder)
    assert [theirs.encode(text, add_special_tokens=False) for text in texts] == ours.encode_batch(texts)


@pytest.mark.parametrize("name", ["qwen2", "llama3", "cl100k_base"])
def test_published_vocabularies_learn_chinese_and_keep_english(
    bbpe_home: Path, read_corpus: Callable[..., bytes], tmp_path: Path, name: str
) -> None:
    base = bbpe.load(name)
    zh = read_corpus("zh-small.txt", 100_000).decode().splitlines()
    en = read_corpus("en-small.txt", 100_000).decode().splitlines()
    made = bbpe.extend(base, zh, add=300, guard={"en": en}, freeze_scripts="Latin")
    zh_row, en_row = made.report.corpora
    assert zh_row.tokens_after < 0.93 * zh_row.tokens_before
    assert en_row.documents == len(en)
    assert (en_row.documents_changed or 0) < 10
    assert min(made.plan.new_ids) == base.id_space
    assert len(made.report.base_unreachable) == {"qwen2": 0, "llama3": 588, "cl100k_base": 0}[name]
    if name == "llama3":
        return  # what is written is the same code for all; each takes seconds
    saved = made.save(tmp_path / name)
    sample = [line for line in (*zh[:400], *en[:200]) if line]
    same_as_transformers(tmp_path / name, sample)
    if name == "cl100k_base":
        assert made.report.not_as_ranks is None
        assert not saved.left_out
        tiktoken = pytest.importorskip("tiktoken")
        ranks = importlib.import_module("tiktoken.load").load_tiktoken_bpe(str(tmp_path / name / "vocab.tiktoken"))
        theirs = tiktoken.Encoding(
            "x", pat_str=base.pattern.spelling("tiktoken"), mergeable_ranks=ranks, special_tokens=base.special_tokens
        )
        assert [theirs.encode_ordinary(text) for text in sample] == made.tokenizer.encode_batch(sample)
