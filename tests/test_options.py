"""Options of the training loop: each equals the specification, keeps what it promises, and leaves plain BPE alone.

``reference.py``, point 15, says what they mean; sizes and costs on real corpora are in ``benchmarks/options.md``.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiktoken
import tokenizers
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from strategies import documents, pretoken_counts, small_texts
from tiktoken.load import load_tiktoken_bpe

import bbpe
from bbpe import Pattern, Tokenizer, TrainingRecord, get_pattern, reference
from bbpe._characters import CharacterLearner, learner
from bbpe._joint import JointLearner
from bbpe._merge import MergeLearner, Rules
from bbpe.cli import run
from bbpe.counts import count_pretokens
from bbpe.errors import PatternError, TrainingError
from bbpe.patterns import Pretokenizer
from bbpe.training import SUPERWORD_PATTERN, TrainingOptions, learn, train

TINY = Path(__file__).parent.parent / "corpora" / "tiny"
CHINESE = (TINY / "eval" / "zh.txt").read_text("utf-8")[:1500]
ENGLISH = (TINY / "eval" / "en.txt").read_text("utf-8")[:3000]
MIXED = (TINY / "eval" / "mixed.txt").read_text("utf-8")[:1500]
TEXTS = [*CHINESE.splitlines(), *ENGLISH.splitlines(), *MIXED.splitlines()]
TOKENS = [bytes([byte]) for byte in range(256)]
BYTES = np.arange(256, dtype=np.uint32)


def arrays(pretokens: Mapping[bytes, int]) -> tuple[Any, Any, Any]:
    data = np.frombuffer(b"".join(pretokens), np.uint8)
    offsets = np.array([0, *accumulate(map(len, pretokens))], np.int64)
    return data, offsets, np.array(list(pretokens.values()), np.int64)


def joint(
    languages: Sequence[tuple[Mapping[bytes, int], Mapping[bytes, int]]],
    seeds: Sequence[bytes],
    min_count: int,
    *,
    keep: bool = False,
    **making: Any,
) -> JointLearner:
    """As training makes it; ``keep``: of rare pairs only those are kept that seeds may choose."""

    def of(pretokens: Mapping[bytes, int]) -> MergeLearner:
        return MergeLearner(*arrays(pretokens), TOKENS, byte_ids=BYTES, min_count=1, **making)

    distinct = dict.fromkeys(seeds, 1)
    if len(languages) == 1 and keep:
        parts = {seed[i:j] for seed in seeds for i in range(len(seed)) for j in range(i + 1, len(seed) + 1)}
        text = languages[0][0]
        learners = [MergeLearner(*arrays(text), TOKENS, byte_ids=BYTES, min_count=min_count, keep=parts, **making)]
    else:
        learners = [of(text) for text, _ in languages]
    return JointLearner(
        learners,
        [of(side) for _, side in languages] if len(languages) > 1 else [],
        of(distinct) if distinct else None,
        seed_tokens=len(distinct),
        min_count=min_count,
    )


def to_the_end(learning: Any, merges: int, work: int = 1 << 20) -> Any:
    while len(learning) < merges and learning.learn(merges, work):
        pass
    return learning


def assert_equal(native: Any, learned: reference.Learned) -> None:
    assert [tuple(pair) for pair in native.merges.tolist()] == list(learned.merges)
    assert native.counts.tolist() == list(learned.counts)
    assert native.corpus_tokens.tolist() == list(learned.lengths)


# ---- the native loop equals the specification -------------------------------------------------------------------------

texts_and_sides = st.lists(
    st.tuples(pretoken_counts(b"abc").filter(bool), pretoken_counts(b"abc").filter(bool)), min_size=1, max_size=3
)


@settings(max_examples=150)
@given(
    texts_and_sides,
    st.lists(small_texts(b"abc", 4).filter(bool), max_size=3),
    st.integers(1, 3),
    st.none() | st.integers(3, 9),
    st.integers(0, 40),
    st.sampled_from([1, 7, 1 << 20]),
    st.booleans(),
)
@example([({b"ab": 1}, {b"a": 1}), ({b"cc": 9}, {b"ab": 3, b"b": 1})], [b"bab"], 2, None, 3, 1, False)
@example([({b"abab": 3}, {b"a": 1})], [b"abc", b"cab"], 2, None, 4, 1, True)
def test_languages_and_seeds_equal_the_specification(
    languages: list[tuple[dict[bytes, int], dict[bytes, int]]],
    seeds: list[bytes],
    min_count: int,
    cap: int | None,
    wanted: int,
    work: int,
    keep: bool,
) -> None:
    together = sum((Counter(text) for text, _ in languages), Counter())
    making = {} if cap is None else {"max_token_bytes": cap}
    native = joint(languages, seeds, min_count, keep=keep, **making)
    try:
        learned = reference.learn_merges(
            together, num_merges=wanted, min_count=min_count, max_token_bytes=cap, seed_tokens=seeds,
            languages=languages if len(languages) > 1 else (),
        )  # fmt: skip
    except ValueError as error:
        if "may be learned" in str(error):
            assert native.seed_merges > wanted
        else:  # a cap stands in the way of a seed
            assert to_the_end(native, wanted, work).seed_merges > 0
        return
    assert native.seed_merges <= wanted
    assert_equal(to_the_end(native, wanted, work), learned)
    assert native.seed_merges == 0
    assert len(native.chosen_by) == len(native)
    assert set(native.chosen_by.tolist()) <= set(range(len(languages) + 1 if len(languages) > 1 else 2))


characters = st.text(st.sampled_from("ab 的了是中国人é😀😁\U0001f680"), min_size=1, max_size=10).map(str.encode)


@settings(max_examples=150)
@given(
    st.dictionaries(characters, st.integers(1, 5), min_size=1, max_size=8),
    st.integers(1, 3),
    st.none() | st.integers(2, 9),
    st.sampled_from([1, 1 << 20]),
)
def test_utf8_safe_by_characters_equals_the_specification(
    pretokens: dict[bytes, int], min_count: int, cap: int | None, work: int
) -> None:
    assume(any(byte >= 0x80 for pretoken in pretokens for byte in pretoken))
    options: dict[str, Any] = {"min_count": min_count, "max_token_bytes": cap}
    learned = reference.learn_merges(pretokens, num_merges=40, allowed=reference.may_be_added, **options)
    rules = Rules(utf8_safe=True)
    native = learner(*arrays(pretokens), TOKENS, byte_ids=BYTES, by_character=True, rules=rules, **options)
    assert isinstance(native, CharacterLearner)
    assert_equal(to_the_end(native, 40, work), learned)
    plain = MergeLearner(*arrays(pretokens), TOKENS, byte_ids=BYTES, rules=rules, **options)
    assert_equal(to_the_end(plain, 40, work), learned)


@pytest.mark.parametrize("options", [{"utf8_safe": True}, {"utf8_safe": True, "seed_tokens": ["分词器"]}])
def test_the_order_of_byte_ids_moves_the_ties_only(options: dict[str, Any]) -> None:
    texts = TEXTS[::5]
    tokenizer = train(texts, 340, byte_order="gpt2", pattern=PATTERN, **options)
    base = reference.Vocabulary(reference.byte_tokens("gpt2"), pattern=PATTERN)
    assert tokenizer.vocabulary.merges == reference.train(texts, base, vocab_size=340, **options).vocabulary.merges


def test_weights_do_not_change_what_seeds_mean(tmp_path: Path) -> None:
    one, two = tmp_path / "one.txt", tmp_path / "two.txt"
    one.write_text("ab ab ab abc\n" * 3, "utf-8")
    two.write_text("xy xy 词元\n" * 2, "utf-8")
    tokenizer = train(
        [one, two], num_merges=20, weights={str(one): "0.3", str(two): "0.7"}, seed_tokens=["元词", "qrs"], min_count=2
    )
    record = tokenizer.training_record
    assert record is not None
    assert record.seed_merges > 0
    assert len(tokenizer.encode("元词")) == len(tokenizer.encode("qrs")) == 1


@settings(max_examples=60)
@given(st.dictionaries(documents().filter(bool), st.integers(1, 3), min_size=1, max_size=8))
def test_utf8_safe_on_bytes_that_are_no_text(pretokens: dict[bytes, int]) -> None:
    learned = reference.learn_merges(pretokens, num_merges=20, allowed=reference.may_be_added)
    for by_character in (None, True):
        native = learner(
            *arrays(pretokens), TOKENS, byte_ids=BYTES, by_character=by_character, rules=Rules(utf8_safe=True)
        )
        assert_equal(to_the_end(native, 20), learned)


def test_other_rules_never_begin_with_characters() -> None:
    rules = Rules(utf8_safe=True, max_chars=2)
    native = learner(*arrays({"的的".encode(): 3}), TOKENS, byte_ids=BYTES, by_character=True, rules=rules)
    assert type(native) is MergeLearner


# ---- the whole of training equals the specification, on text ----------------------------------------------------------

PATTERN = (r" ?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",)
LOOSER = (r"[^,.;，。；、\n]+",)
OPTIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "plain": ({}, {}),
    "utf8_safe": ({"utf8_safe": True}, {"utf8_safe": True}),
    "protect": ({"protect": ["the", "的", "C++", "th"]}, {"protect": ["the", "的", "C++", "th"]}),
    "seed_tokens": (
        {"seed_tokens": ["中文分词", " tokenizer", "词"]},
        {"seed_tokens": ["中文分词", " tokenizer", "词"]},
    ),
    "superwords": ({"superwords": 290, "superword_pattern": LOOSER}, {"superwords": (290, LOOSER)}),
    "all": (
        {
            "superwords": 290,
            "superword_pattern": LOOSER,
            "utf8_safe": True,
            "protect": ["的"],
            "seed_tokens": ["of the"],
        },
        {"superwords": (290, LOOSER), "utf8_safe": True, "protect": ["的"], "seed_tokens": ["of the"]},
    ),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_training_with_an_option_equals_the_specification(name: str) -> None:
    given_options, reference_options = OPTIONS[name]
    texts = TEXTS[::4]
    tokenizer = train(texts, 350, pattern=PATTERN, special_tokens=["<s>"], **given_options)
    learned = reference.train(
        texts, reference.Vocabulary(reference.byte_tokens(), pattern=PATTERN), vocab_size=350, special_tokens=["<s>"],
        **reference_options,
    )  # fmt: skip
    vocabulary = tokenizer.vocabulary
    assert vocabulary.merges == learned.vocabulary.merges
    assert dict(vocabulary.tokens) == dict(learned.vocabulary.tokens)
    assert vocabulary.pattern.stages == learned.vocabulary.pattern
    assert tokenizer.special_tokens == {"<s>": 349}
    record = tokenizer.training_record
    assert record is not None
    assert (record.merges, record.stop) == (len(learned.merges), learned.stop)
    sizes = {point.vocab_size: point.tokens for point in record.curve}
    assert sizes == {size: learned.lengths[size - 257] for size in sizes}
    for text in [*texts, "中文分词的 tokenizer of the theme, C++的"]:
        assert tokenizer.encode(text) == reference.encode(text, learned.vocabulary)
    assert TrainingRecord.from_json(record.to_json()) == record


@pytest.fixture
def two_languages(tmp_path: Path) -> dict[str, Path]:
    lines = {"zh": CHINESE.splitlines(), "en": ENGLISH.splitlines()}
    sides = {
        "zh": ["今天天气很好。", "他们在学校里学习。"],
        "en": ["The weather is fine today.", "They study at school."],
    }
    paths = {}
    for name in lines:
        paths[name], paths[f"side-{name}"] = tmp_path / f"{name}.txt", tmp_path / f"side-{name}.txt"
        paths[name].write_text("\n".join(lines[name]), "utf-8")
        paths[f"side-{name}"].write_text("\n".join(sides[name]) + "\n", "utf-8")
    return paths


@pytest.mark.parametrize("seeds", [(), ("分词器",)])
def test_balanced_training_equals_the_specification(two_languages: dict[str, Path], seeds: tuple[str, ...]) -> None:
    sources = [two_languages["zh"], two_languages["en"]]
    balance = {str(two_languages[name]): str(two_languages[f"side-{name}"]) for name in ("en", "zh")}
    tokenizer = train(sources, num_merges=70, pattern=PATTERN, balance=balance, seed_tokens=seeds)
    learned = reference.train(
        [], reference.Vocabulary(reference.byte_tokens(), pattern=PATTERN), num_merges=70, seed_tokens=seeds,
        balance=[
            ([two_languages[name].read_text("utf-8")], two_languages[f"side-{name}"].read_text("utf-8").splitlines())
            for name in ("zh", "en")
        ],
    )  # fmt: skip
    assert tokenizer.vocabulary.merges == learned.vocabulary.merges
    record = tokenizer.training_record
    assert record is not None
    assert record.curve[-1].tokens == learned.lengths[-1]
    assert record.seed_merges == sum(language.merges for language in record.languages) * -1 + 70
    for language in record.languages:
        lines = Path(language.parallel).read_text("utf-8").splitlines()
        assert (language.tokens, language.lines) == (sum(map(tokenizer.count, lines)), 2)
    assert {language.path for language in record.languages} == set(balance)
    assert TrainingRecord.from_json(record.to_json()) == record


def test_the_order_of_the_sources_has_no_say(two_languages: dict[str, Path]) -> None:
    balance = {str(two_languages[name]): str(two_languages[f"side-{name}"]) for name in ("zh", "en")}
    sources = [two_languages["zh"], two_languages["en"]]
    one = train(sources, 450, balance=balance)
    other = train(sources[::-1], 450, balance=dict(reversed(balance.items())))
    assert one.vocabulary == other.vocabulary


def test_the_sources_of_languages_are_named_as_other_sources_are(two_languages: dict[str, Path]) -> None:
    """Globs and folders, as ``str`` or ``Path``, in any iterable."""
    for name in ("zh", "en"):
        folder = two_languages[name].parent / f"texts-{name}"
        folder.mkdir()
        shutil.copy(two_languages[name], folder / "a.txt")
        (folder / "b.txt").write_text("结束 end\n", "utf-8")
    parent = two_languages["zh"].parent
    folders = [str(parent / f"texts-{name}") for name in ("zh", "en")]
    sides = [str(two_languages[f"side-{name}"]) for name in ("zh", "en")]
    wanted = train(list(map(Path, folders)), 450, balance=dict(zip(folders, sides, strict=True)))
    globs = [f"{folder}/?.txt" for folder in folders]
    for sources in ([Path(globs[0]), globs[1]], map(Path, globs), (Path(globs[0]), Path(globs[1]))):
        found = train(sources, 450, balance=dict(zip(globs, sides, strict=True)))  # type: ignore[arg-type]  # mixed
        assert found.vocabulary == wanted.vocabulary
    for texts in (["one", "two"], globs, [Path(globs[0]), b"bytes"]):
        with pytest.raises(TrainingError, match="name the sources, each a language, as Path objects"):
            train(texts, 450, balance=dict(zip(globs, sides, strict=True)))  # type: ignore[arg-type]


def test_balancing_closes_the_gap_between_the_sides(two_languages: dict[str, Path]) -> None:
    balance = {str(two_languages[name]): str(two_languages[f"side-{name}"]) for name in ("zh", "en")}
    sources = [two_languages["zh"], two_languages["en"]]

    def gap(tokenizer: Tokenizer) -> int:
        zh, en = (
            sum(map(tokenizer.count, two_languages[f"side-{name}"].read_text("utf-8").splitlines()))
            for name in ("zh", "en")
        )
        return abs(zh - en)

    assert gap(train(sources, 330, balance=balance)) < gap(train(sources, 330))


# ---- off by default ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "digest"),
    [
        ({}, "0c530867b0257433ab9e65ec2e4d86a9bdce5a2d9dffd475302d18d2562a788c"),
        (
            {"special_tokens": ["<|endoftext|>"], "byte_order": "gpt2", "max_token_bytes": 12},
            "830b23758f5b765de00a90e8ccba67279a1e328b1f07a4ffffae7643dba57923",
        ),
    ],
)
def test_without_an_option_it_is_plain_bpe_as_it_was(options: dict[str, Any], digest: str) -> None:
    """The digests are of the merges before there were any of these options."""
    off = {
        "utf8_safe": False, "balance": None, "superwords": None, "superword_pattern": None, "protect": (),
        "seed_tokens": (),
    }  # fmt: skip
    plain = train(TINY / "train", 2000, **options)
    same = train(TINY / "train", 2000, **options, **off)
    assert plain.vocabulary == same.vocabulary
    assert hashlib.sha256(np.array(plain.vocabulary.merges, dtype="<u4").tobytes()).hexdigest() == digest
    assert plain.vocabulary.pattern == get_pattern("llama3")


# ---- what each promises ------------------------------------------------------------------------------------------------


def test_utf8_safe_tokens_are_whole_characters_or_one_piece() -> None:
    tokens = train(TINY / "train", 3000, utf8_safe=True).vocabulary.tokens
    assert all(reference.may_be_added(token) for token in tokens.values() if len(token) > 1)
    plain = train(TINY / "train", 3000).vocabulary.tokens
    assert not all(reference.may_be_added(token) for token in plain.values() if len(token) > 1)


@settings(max_examples=150)
@given(
    st.lists(st.text("ab+.", min_size=1, max_size=4), min_size=1, max_size=4, unique=True),
    st.text("ab+. 中", max_size=30),
)
@example(["a", "ab", "b+"], "ab+b+ab")
def test_protected_strings_are_pretokens_as_the_specification_says(strings: list[str], text: str) -> None:
    stages = (r"[ab]+|[^ab]+",)
    protected = Pattern(stages).protecting(strings)
    assert protected.stages == reference.protecting(stages, strings)
    pieces = Pretokenizer(protected).split(text)
    assert pieces == reference.split_pretokens(text.encode(), protected.stages)
    isolated = reference.cut_special_tokens(text.encode(), strings)
    edges = [0, *accumulate(map(len, pieces))]
    for begin, end, found in isolated:
        if found is not None:
            assert edges[edges.index(begin) + 1] == end  # a pretoken of its own, and whole
    for begin, end, found in isolated:
        if found is None:  # what stands between is cut as it would be alone
            inside = [edge for edge in edges if begin <= edge <= end]
            alone = Pretokenizer(Pattern(stages)).split(text.encode()[begin:end])
            assert inside == [begin, *(begin + at for at in accumulate(map(len, alone)))]


def test_no_token_holds_a_protected_string() -> None:
    protect = ["的", "the", " the", "token"]
    tokenizer = train(TINY / "train", 3000, protect=protect)
    for token in tokenizer.vocabulary.tokens.values():
        for string in protect:
            assert string.encode() not in token or token.decode() in protect
    text = "那么tokenizer的词表 the theme"
    assert b"|".join(tokenizer.tokens(text)).decode("utf-8", "replace").count("|") > text.count(" ")
    joined = [0, *accumulate(map(len, tokenizer.tokens(text)))]
    at = len("那么tokenizer".encode())
    assert {at, at + 3} <= set(joined)


@pytest.mark.parametrize("pattern", ["llama3", "gpt2", "o200k", "qwen2", "deepseek-v2"])
def test_named_patterns_protect_without_the_regex_package(pattern: str) -> None:
    protected = get_pattern(pattern).protecting(["C++", "[C@@H]", "的", "a^b$", "\\n", "x|y", "`{}`"])
    pretokenizer = Pretokenizer(protected)
    assert pretokenizer.automata is not None
    assert protected.spelling("oniguruma")
    text = "we use C++, [C@@H]的a^b$x|y\\n`{}`"
    wanted = {b"C++", b"[C@@H]", "的".encode(), b"a^b$", b"x|y", b"\\n", b"`{}`"}
    assert wanted <= set(pretokenizer.split(text))
    assert pretokenizer.split(text) == reference.split_pretokens(text.encode(), protected.stages)


def test_more_strings_than_a_pattern_can_hold_are_refused() -> None:
    strings = [chr(0x4E00 + place) for place in range(200)]
    with pytest.raises(PatternError, match=r"^200 strings .* 120 classes of characters"):
        train(["text"], 300, protect=strings)


def test_a_pattern_with_flags_for_all_of_it_cannot_protect() -> None:
    with pytest.raises(PatternError, match="flags"):
        Pattern((r"(?i)a+|[^a]+",)).protecting(["x"])


def test_protected_seeds_are_tokens_that_no_merge_touches() -> None:
    strings = [*"0123456789", "C++", "的", "中文"]
    tokenizer = train(TINY / "train", 1500, protect=strings, seed_tokens=strings)
    text = "12 C++的中文中文C++2024 的"
    tokens = [token.decode() for token in tokenizer.tokens(text)]
    assert [token for token in tokens if token in strings] == [
        "1",
        "2",
        "C++",
        "的",
        "中文",
        "中文",
        "C++",
        *"2024",
        "的",
    ]


@pytest.mark.parametrize("utf8_safe", [False, True])
@pytest.mark.parametrize("vocab_size", [300, 700, 2000])
def test_seed_tokens_are_there_and_reached(utf8_safe: bool, vocab_size: int) -> None:
    seeds = ["分词器训练", " byte-pair", "😀", "的", "字节对编码", " tokenizers"]
    seeds = [seed for seed in seeds if len(Pretokenizer("llama3").split(seed)) == 1]
    assert len(seeds) == 5
    tokenizer = train(TINY / "train", vocab_size, seed_tokens=seeds, utf8_safe=utf8_safe)
    for seed in seeds:
        assert tokenizer.encode(seed) == [tokenizer.vocabulary.ids[seed.encode()]]
    record = tokenizer.training_record
    assert record is not None
    assert tokenizer.vocab_size == vocab_size
    assert 0 < record.seed_merges <= sum(len(seed.encode()) - 1 for seed in seeds)


def test_seed_tokens_leave_all_earlier_merges_alone() -> None:
    plain = train(TINY / "train", 1500).vocabulary.merges
    seeded = train(TINY / "train", 1500, seed_tokens=["分词器训练", "tokenizers"])
    record = seeded.training_record
    assert record is not None
    same = len(plain or ()) - record.seed_merges
    assert (seeded.vocabulary.merges or ())[:same] == (plain or ())[:same]


def test_superwords_span_words_and_begin_where_asked() -> None:
    tokenizer = train(TINY / "train", 1200, superwords=1000, special_tokens=["<s>"])
    first = train(TINY / "train", 1000, special_tokens=["<s>"])
    merges = tokenizer.vocabulary.merges
    assert merges is not None
    assert merges[:743] == first.vocabulary.merges
    record = tokenizer.training_record
    assert record is not None
    assert record.superwords is not None
    assert record.superwords.begins_at == 1000
    assert record.superwords.distinct_pretokens != record.distinct_pretokens
    later = [tokenizer.vocabulary.tokens[256 + place] for place in range(743, len(merges))]
    assert sum(b" " in token[1:] for token in later) > 20
    assert tokenizer.vocabulary.pattern == get_pattern(SUPERWORD_PATTERN)
    text = ENGLISH[:500]
    assert tokenizer.count(text) < first.count(text)
    curve = {point.vocab_size: point.tokens for point in record.curve}
    assert curve[1000] == sum(tokenizer.truncated(1000).count(text) for text in _documents(TINY / "train"))
    assert curve[1200] == sum(tokenizer.count(text) for text in _documents(TINY / "train"))


def _documents(folder: Path) -> list[str]:
    return [path.read_text("utf-8") for path in sorted(folder.glob("*.txt"))]


# ---- files that other libraries read ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "as_ranks"),
    [
        ({"utf8_safe": True}, True),
        ({"seed_tokens": ["分词器训练", " tokenizers"]}, True),
        ({"protect": ["的", "C++"]}, "stages"),
        ({"superwords": 900}, "between its matches"),
        ({"superwords": 900, "protect": ["的"], "utf8_safe": True, "seed_tokens": ["of the"]}, "stages"),
    ],
)
def test_files_give_the_same_ids_or_say_why_not(options: dict[str, Any], as_ranks: bool | str, tmp_path: Path) -> None:
    tokenizer = train(TINY / "train", 1000, special_tokens=["<|end|>"], **options)
    saved = bbpe.save(tokenizer, tmp_path / "out")
    texts = ["我用C++的分词器训练 tokenizers, of the  end.\n\n的的 ", *TEXTS[:40], "😀é\n"]
    expected = [tokenizer.encode(text) for text in texts]
    loaded = bbpe.load(tmp_path / "out")
    assert [loaded.encode(text) for text in texts] == expected
    assert loaded.vocabulary == tokenizer.vocabulary
    assert loaded.training_record == tokenizer.training_record
    theirs = tokenizers.Tokenizer.from_file(str(tmp_path / "out" / "tokenizer.json"))
    assert [theirs.encode(text, add_special_tokens=False).ids for text in texts] == expected
    if as_ranks is True:
        assert not saved.left_out
        ranks = load_tiktoken_bpe(str(tmp_path / "out" / "vocab.tiktoken"))
        spelled = tokenizer.vocabulary.pattern.spelling("tiktoken")
        assert isinstance(spelled, str)
        encoding = tiktoken.Encoding("out", pat_str=spelled, mergeable_ranks=ranks, special_tokens={})
        assert [encoding.encode_ordinary(text) for text in texts] == expected
    else:
        assert str(as_ranks) in saved.left_out["vocab.tiktoken"]


# ---- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"superword_pattern": "gpt2"}, "without superwords"),
        ({"superwords": 1000}, "begin earlier"),
        ({"superwords": 900, "min_pretoken_count": 2}, "min_pretoken_count does not go with superwords"),
        ({"superwords": 900, "resume": "x"}, "name files"),
        ({"seed_tokens": ["ab"], "resume": "x"}, "name files"),
        ({"seed_tokens": ["a b"]}, "cuts it into 'a', ' b'"),
        ({"seed_tokens": [""]}, "empty"),
        ({"seed_tokens": ["a<s>"], "special_tokens": ["<s>"]}, "holds the special token"),
        ({"seed_tokens": ["tokenizer"], "max_token_bytes": 5}, "at most 5"),
        ({"seed_tokens": ["tokenizer"], "max_pretoken_bytes": 5}, "at most 5"),
        ({"seed_tokens": ["e\u0301"], "normalizer": "NFC"}, "the form that the normalizer NFC makes"),
        ({"seed_tokens": ["a" * 900]}, "899 merges, and 744 may be learned"),
        ({"protect": ["<s>x"], "special_tokens": ["<s>"]}, "special token"),
        ({"protect": ["\ud800"]}, "lone surrogate"),
        ({"protect": ["a"], "seed_tokens": ["ab"]}, "protect it as well"),
        ({"balance": {"x": "y"}}, "two languages or more"),
        ({"balance": {"x": "y", "z": "w"}, "weights": {"x": "1", "z": "1"}}, "balance does not go with weights"),
        ({"balance": {"x": "y", "z": "w"}, "sample": 10}, "balance does not go with sample"),
        ({"balance": {"x": "y", "z": "w"}, "superwords": 900}, "balance does not go with superwords"),
        ({"balance": {"x": "y", "z": "w"}, "min_pretoken_count": 2}, "balance does not go with min_pretoken_count"),
        ({"balance": {"x": "y", "z": "w"}}, "balance is for files"),
    ],
)
def test_contradictions_are_refused_before_anything_is_read(options: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        train(["the text " * 9], 1000, **options)


def test_what_cannot_be_read_twice_or_was_counted_already_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="an iterator gives it once"):
        train(iter(["abab"]), 300, superwords=260)
    counts = count_pretokens(["abab"])
    for options in ({"superwords": 260}, {"protect": ["a"]}, {"balance": {"a": "b", "c": "d"}}):
        with pytest.raises(TrainingError, match="Counts already"):
            train(counts, 300, **options)  # type: ignore[arg-type]
    with pytest.raises(TrainingError, match="use train"):
        learn(counts, None, TrainingOptions(vocab_size=300, superwords=260))
    table = tmp_path / "counts.tsv"
    table.write_text("abab\t3\n")
    with pytest.raises(TrainingError, match="is a count file"):
        train(table, 300, superwords=260)


def test_sides_that_are_not_parallel_are_refused(two_languages: dict[str, Path], tmp_path: Path) -> None:
    sources = [two_languages["zh"], two_languages["en"]]
    zh, en = map(str, sources)
    short, empty, special = tmp_path / "short.txt", tmp_path / "empty.txt", tmp_path / "special.txt"
    short.write_text("one line\n")
    empty.write_text("")
    special.write_text("<s>\n")
    for balance, message in (
        ({zh: str(two_languages["side-zh"]), en: str(short)}, "2 lines and .* has 1"),
        ({zh: str(empty), en: str(empty)}, "no text in it"),
        ({zh: str(special), en: str(special)}, "nothing can be measured"),
        ({zh: str(short), "other": str(short)}, "other, which is no source"),
        ({zh: str(short), en: str(tmp_path / "none.txt")}, "none.txt"),
    ):
        with pytest.raises(bbpe.BbpeError, match=message):
            train(sources, 300, balance=balance, special_tokens=["<s>"])
    with pytest.raises(TrainingError, match="no side of the parallel text"):
        train([*sources, short], 300, balance={zh: str(short), en: str(short)})


def test_a_seed_that_something_stands_in_the_way_of_is_an_error() -> None:
    counts = count_pretokens(["xyxy " * 9], special_tokens=["ab"])
    base = train(["xy " * 9], 257).vocabulary.replace(special_tokens=[bbpe.SpecialToken("ab", 900)])
    learn(counts, base, TrainingOptions(num_merges=3, seed_tokens=("abc",)))
    with pytest.raises(TrainingError, match="cannot be made"):
        learn(counts, base, TrainingOptions(num_merges=3, seed_tokens=("ab",)))


def test_seed_tokens_of_an_extension() -> None:
    counts = count_pretokens(TEXTS)
    base = train(TEXTS, 400).vocabulary
    extended, record = learn(counts, base, TrainingOptions(num_merges=50, seed_tokens=("分词器", "tokenizers")))
    tokenizer = Tokenizer(extended)
    assert len(tokenizer.encode("分词器")) == len(tokenizer.encode("tokenizers")) == 1
    assert record.seed_merges > 0
    assert (extended.merges or ())[:144] == base.merges


# ---- the command line --------------------------------------------------------------------------------------------------


def test_the_options_on_the_command_line(
    two_languages: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seeds, protect = tmp_path / "seeds.txt", tmp_path / "protect.txt"
    seeds.write_text("分词器\n\n tokens\r\n", "utf-8")
    protect.write_text("的\n", "utf-8")
    zh, en = str(two_languages["zh"]), str(two_languages["en"])
    out = tmp_path / "balanced"
    arguments = ["train", zh, en, "--vocab", "400", "-o", str(out), "--json", "--utf8-safe"]
    arguments += ["--balance", f"{zh}={two_languages['side-zh']}", "--balance", f"{en}={two_languages['side-en']}"]
    arguments += ["--seed-tokens", str(seeds), "--protect", str(protect)]
    assert run(arguments) == 0
    printed = capsys.readouterr()
    result = json.loads(printed.out)
    assert [language["path"] for language in result["languages"]] == [zh, en]
    assert "2 seed tokens" in printed.err
    record = json.loads((out / "training.json").read_text("utf-8"))
    assert record["options"]["seed_tokens"] == ["分词器", " tokens"]
    assert record["options"]["protect"] == ["的"]
    assert record["options"]["utf8_safe"] is True
    assert len(record["languages"]) == 2
    tokenizer = bbpe.load(out)
    assert len(tokenizer.encode("分词器")) == len(tokenizer.encode(" tokens")) == 1
    out = tmp_path / "superwords"
    assert run(["train", en, "--vocab", "400", "--superwords", "0.3k", "-o", str(out)]) == 0
    assert "superwords from 300 entries on" in capsys.readouterr().err
    assert bbpe.load(out).pattern.stages == (SUPERWORD_PATTERN,)
    assert run(["train", en, "--vocab", "400", "--balance", "x", "-o", str(tmp_path / "no")]) == 2
    assert run(["train", en, "--vocab", "400", "--protect", str(tmp_path / "none"), "-o", str(tmp_path / "no")]) == 1
    assert "cannot be read" in capsys.readouterr().err
