"""Conversion from format to format: what is said, what is refused, what is reported, and that nothing half-checked stays."""

from __future__ import annotations

import itertools
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from llama_cpp_oracle import LlamaCpp

import bbpe.conversion
import bbpe.formats.equivalence
from bbpe import io
from bbpe.conversion import Changes, check_texts, convert
from bbpe.errors import FormatError, MissingExtraError, OutputError
from bbpe.formats.equivalence import listed_merges, merges_alone, rank_report, unmade_tokens
from bbpe.formats.gguf_file import Roles, pre_tokenizer_for
from bbpe.formats.llama_cpp import harmless_long_s
from bbpe.patterns import get_pattern
from bbpe.tokenizer import Tokenizer
from bbpe.training import train
from bbpe.vocabulary import SpecialToken, Template, Vocabulary

SEED = 20_261_121
TINY = Path(__file__).parent.parent / "corpora" / "tiny"
SPECIAL = ["<|endoftext|>", "<|中文|>"]
TARGETS = ["out", "out.json", "out.tiktoken", "vocab.json", "merges.txt", "out.gguf"]
LLAMA3 = get_pattern("llama3")
BYTES = {byte: bytes([byte]) for byte in range(256)}


@pytest.fixture(scope="module")
def trained() -> Tokenizer:
    return train(TINY / "train", 1200, special_tokens=SPECIAL)


@pytest.fixture(scope="module")
def folder(trained: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained") / "tiny"
    io.save(trained, out)
    return out


def saved(vocabulary: Vocabulary, path: Path) -> Path:
    io.save(Tokenizer(vocabulary), path)
    return path


def eval_texts() -> list[str]:
    return [path.read_text("utf-8") for path in sorted((TINY / "eval").rglob("*.txt"))]


# --- from everything to everything ---


@pytest.mark.parametrize(
    ("first", "second"),
    [*itertools.pairwise([*TARGETS, TARGETS[0]]), *itertools.pairwise([*TARGETS[::2], *TARGETS[1::2]])],
)
def test_there_and_on_and_the_ids_stay(
    folder: Path, trained: Tokenizer, tmp_path: Path, first: str, second: str
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    one = convert(folder, tmp_path / "a" / first)
    two = convert(tmp_path / "a" / first, tmp_path / "b" / second)
    for done in (one, two):
        assert done.verification is not None
        assert done.verification.texts > 4000
        assert (done.vocab_size, done.unreachable) == (1200, 0)
        assert all(path.exists() for path in done.files)
    assert sorted(path.name for path in (tmp_path / "b").rglob("*") if path.is_file()) == sorted(
        path.name for path in two.files
    )
    again = io.load(tmp_path / "b" / second)
    for text in eval_texts():
        assert again.encode(text) == trained.encode(text)
    assert again.special_tokens == trained.special_tokens


def test_the_target_names_its_format_or_the_caller_does(folder: Path, tmp_path: Path) -> None:
    assert convert(folder, tmp_path / "a.gguf", verify=False).format == "gguf"
    assert convert(folder, tmp_path / "b", verify=False).format == "directory"
    assert convert(folder, tmp_path / "c", target_format="tiktoken", verify=False).format == "tiktoken"
    assert convert(tmp_path / "c", tmp_path / "d", source_format="tiktoken", target_format="gguf").format == "gguf"
    assert io.load(tmp_path / "d").vocab_size == 1200


# --- what is reported ---


def test_ranks_as_canonical_merges_where_that_is_proven(tmp_path: Path) -> None:
    """Every token has a canonical split, so ``t he`` is not written although ``he`` is a token."""
    table = Vocabulary({**BYTES, 256: b"th", 257: b"the", 258: b"he"}, pattern=LLAMA3, whole_pretoken=True)
    done = convert(saved(table, tmp_path / "in.tiktoken"), tmp_path / "out.json")
    assert (done.read_as, done.written_as, done.merges) == ("ranks", "merges", 3)
    assert done.ranks is not None
    assert (done.ranks.tokens, done.ranks.splits, done.ranks.without_canonical) == (3, 4, 0)
    assert io.load(tmp_path / "out.json").vocabulary.merges == ((116, 104), (256, 101), (104, 101))


def test_ranks_as_all_splits_where_some_token_has_no_canonical_one(tmp_path: Path) -> None:
    """``abcd`` = a bcd only, but its bytes become ab c d by lower ranks: three parts, no canonical split, unreachable."""
    table = Vocabulary(
        {**BYTES, 256: b"ab", 257: b"bc", 258: b"bcd", 259: b"abcd"}, pattern=LLAMA3, whole_pretoken=True
    )
    done = convert(saved(table, tmp_path / "in.tiktoken"), tmp_path / "out.json")
    assert done.ranks is not None
    assert done.ranks.canonical is None
    assert (done.ranks.splits, done.merges) == (4, 4)
    assert (done.ranks.without_canonical, done.ranks.unreachable, done.ranks.unreachable_by_canonical) == (1, 1, 1)
    assert unmade_tokens(table) == (259,)
    assert io.load(tmp_path / "out.json").encode("abcd xabcd") == Tokenizer(table).encode("abcd xabcd")


def test_canonical_merges_alone_may_lose_more_than_ranks_do() -> None:
    """By ranks, ``abc`` is a + bc: bc (rank 257) comes after ab's absence; the token that loses is found by running both.

    ``xyz`` (258) is made of xy (256) + z. ``wxyz`` (259): w x y z -> w xy z -> w xyz -> wxyz, canonical. Give ``wxyz`` a
    lower rank than ``xyz``: then lower ranks leave w xy z, three parts, while by ranks the run goes on to xyz and joins.
    """
    table = Vocabulary({**BYTES, 256: b"xy", 257: b"wxyz", 258: b"xyz"}, pattern=LLAMA3)
    report = rank_report(table)
    assert (report.without_canonical, report.unreachable, report.unreachable_by_canonical) == (1, 0, 1)
    assert unmade_tokens(table) == ()
    assert merges_alone(table) == listed_merges(table)


def test_canonical_merges_are_the_same_encoder_as_ranks() -> None:
    """On every text over three letters up to six long, for tables drawn by chance, of which some have them all."""
    draw = random.Random(SEED)
    texts = ["".join(letters) for length in range(1, 7) for letters in itertools.product("abc", repeat=length)]
    proven = 0
    for _ in range(80):
        tokens = dict(BYTES)
        letters = [b"a", b"b", b"c"]
        while len(letters) < 9:
            token = draw.choice(letters) + draw.choice(letters)
            if len(token) <= 5 and token not in letters:
                tokens[len(tokens)] = token
                letters.append(token)
        table = Vocabulary(tokens, pattern=get_pattern(r"[^x]+|x"))
        report = rank_report(table)
        assert (report.canonical is None) == bool(report.without_canonical)
        if report.canonical is not None:
            proven += 1
            merges = table.replace(merges=report.canonical, ranks=None)
            assert Tokenizer(table).encode_batch(texts) == Tokenizer(merges).encode_batch(texts)
    assert 10 < proven < 80


def test_llama_cpp_is_reported_whatever_the_target(folder: Path, tmp_path: Path) -> None:
    done = convert(folder, tmp_path / "out.json")
    assert (done.llama_cpp.pre, done.llama_cpp.reason) == ("dbrx", None)
    assert done.llama_cpp.check_hash is not None
    assert len(done.llama_cpp.check_hash) == 64
    assert done.llama_cpp.published == ()  # nobody published it
    other = saved(io.load(folder).vocabulary.replace(pattern=get_pattern("o200k")), tmp_path / "o")
    done = convert(other, tmp_path / "p", verify=False)
    assert done.llama_cpp.pre is None
    assert "gpt-4o" in str(done.llama_cpp.reason)


def test_notes_say_what_a_user_should_know(folder: Path, tmp_path: Path) -> None:
    notes = convert(folder, tmp_path / "a.gguf").notes
    assert any("no end token" in note for note in notes)
    assert not any("U+017F" in note for note in notes)  # no token of it bridges the ſ
    done = convert(folder, tmp_path / "b.gguf", changes=Changes(roles=Roles(end="<|endoftext|>")))
    assert done.notes == ()
    (note,) = convert(folder, tmp_path / "vocab.json").notes
    assert "assumes GPT-2's" in note
    holes = io.load(folder).vocabulary.replace(special_tokens=[SpecialToken("<s>", 1300, normalized=True)])
    notes = convert(saved(holes, tmp_path / "h"), tmp_path / "h.gguf").notes
    assert any("ids have no token; each got a filler" in note for note in notes)
    assert any("normalized text" in note for note in notes)


# --- what is refused ---


@pytest.mark.parametrize(
    ("changes", "target", "message"),
    [
        ({}, "out.model", "a SentencePiece model cannot say a byte-level vocabulary"),
        ({"normalizer": "NFC"}, "out.tiktoken", "cannot say the normalizer NFC"),
        ({"normalizer": "NFC"}, "out.gguf", "does not normalize"),
        ({"pattern": get_pattern("deepseek-v2")}, "out.tiktoken", "stages"),
        ({"pattern": get_pattern("cl100k")}, "out.gguf", "no pre-tokenizer"),
        ({"merges": [(98, 99), (97, 98)], "tokens": {**BYTES, 256: b"ab", 257: b"bc"}}, "out.tiktoken",
         "token 257 .* is merged before token 256"),
        ({"merges": None, "ranks": [*range(256), 257, 256], "tokens": {**BYTES, 256: b"ab", 257: b"bc"}}, "out.tiktoken",
         "ids do not follow ranks"),
        ({"tokens": {id: token for id, token in BYTES.items() if id != 65}, "merges": []}, "out.tiktoken", "byte 0x41"),
        ({"special_tokens": [SpecialToken("<m>", 300, lstrip=True)]}, "out.tiktoken", "lstrip"),
        ({"special_tokens": [SpecialToken("<m>", 300, lstrip=True)]}, "out.gguf", "lstrip"),
    ],
)  # fmt: skip
def test_what_the_target_cannot_say_is_refused_and_nothing_is_written(
    tmp_path: Path, changes: dict[str, Any], target: str, message: str
) -> None:
    arguments: dict[str, Any] = {"tokens": {**BYTES, 256: b"ab"}, "merges": [(97, 98)], "pattern": LLAMA3, **changes}
    vocabulary = Vocabulary(**arguments)
    source = tmp_path / "in"
    source.mkdir()
    # Ranks that do not follow ids come from no file that bbpe writes as they are.
    loaded = Tokenizer(vocabulary)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bbpe.conversion, "load", lambda *_, **__: loaded)
        with pytest.raises(FormatError, match=message):
            convert(source, tmp_path / target)
    assert sorted(tmp_path.rglob("*")) == [source]


@pytest.mark.parametrize("name", ["sentencepiece", "wordpiece", "yaml"])
def test_formats_that_are_not_written(folder: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(FormatError, match=r"SentencePiece|is unknown|read, not written"):
        convert(folder, tmp_path / "out", target_format=name)


def test_only_byte_level_vocabularies_are_converted(folder: Path, tmp_path: Path) -> None:
    class Engine:
        engine = "sentencepiece"
        algorithm = "bpe"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bbpe.conversion, "load", lambda *_, **__: Engine())
        with pytest.raises(FormatError, match="a bpe vocabulary, which sentencepiece runs; only byte-level"):
            convert("llama2", tmp_path / "out.json")


def test_an_output_that_exists_is_kept(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.gguf"
    target.write_bytes(b"precious")
    with pytest.raises(OutputError, match="exists already"):
        convert(folder, target)
    assert target.read_bytes() == b"precious"
    convert(folder, target, force=True)
    assert target.read_bytes()[:4] == b"GGUF"


# --- what the caller changes ---


def test_the_normalizer_may_be_left_out_and_that_is_said(trained: Tokenizer, tmp_path: Path) -> None:
    source = saved(trained.vocabulary.replace(normalizer="NFC"), tmp_path / "in")
    for target in ("out.gguf", "out.tiktoken"):
        done = convert(source, tmp_path / target, changes=Changes(drop_normalizer=True))
        assert any("NFC is left out" in note for note in done.notes)
        assert io.load(tmp_path / target).encode("e\u0301") == trained.encode("e\u0301")
    kept = convert(source, tmp_path / "out.json", changes=Changes(drop_normalizer=True))  # it can say it
    assert kept.notes == ()
    assert io.load(tmp_path / "out.json").vocabulary.normalizer == "NFC"


def test_llama_cpps_pattern_may_be_taken_instead(trained: Tokenizer, tmp_path: Path) -> None:
    source = saved(trained.vocabulary.replace(pattern=get_pattern("o200k")), tmp_path / "in")
    with pytest.raises(FormatError, match="--pre gpt-4o"):
        convert(source, tmp_path / "out.gguf")
    done = convert(source, tmp_path / "out.gguf", changes=Changes(pre="gpt-4o"))
    assert any("llama.cpp's for 'gpt-4o', not o200k" in note for note in done.notes)
    assert io.load(tmp_path / "out.gguf").pattern != get_pattern("o200k")
    with pytest.raises(FormatError, match=r"'gpt-9' is no pre-tokenizer of llama\.cpp; known: llama-bpe, "):
        convert(source, tmp_path / "x.gguf", changes=Changes(pre="gpt-9"))
    with pytest.raises(FormatError, match="GGUF files only"):
        convert(source, tmp_path / "x.json", changes=Changes(pre="gpt-4o"))


def test_llama_cpps_rule_for_whole_pretokens_may_be_taken_instead(tmp_path: Path) -> None:
    """As of GLM-4.6: a special token is a pretoken, and a token is made by no merges."""
    vocabulary = Vocabulary(
        {**BYTES, 256: b"zz", 257: b"ab"},
        merges=[(97, 98)],
        pattern=LLAMA3,
        whole_pretoken=True,
        special_tokens=[SpecialToken("word", 258)],
    )
    source = saved(vocabulary, tmp_path / "in.json")
    with pytest.raises(FormatError, match="'word' is one pretoken"):
        convert(source, tmp_path / "out.gguf")
    done = convert(source, tmp_path / "out.gguf", changes=Changes(pre="chatglm-bpe"))
    assert any("not taken whole, as llama.cpp's 'chatglm-bpe' has it: ids may differ" in note for note in done.notes)
    assert LlamaCpp(tmp_path / "out.gguf").encode("zz word ab") == io.load(tmp_path / "out.gguf").encode("zz word ab")


def test_one_of_several_names_may_be_asked_for(folder: Path, tmp_path: Path) -> None:
    done = convert(folder, tmp_path / "out.gguf", changes=Changes(pre="llama-bpe", roles=Roles(end=SPECIAL[0])))
    assert done.notes == ()  # it does the same
    assert io.load(tmp_path / "out.gguf").vocabulary.whole_pretoken
    with pytest.raises(FormatError, match="is no special token"):
        convert(folder, tmp_path / "x.gguf", changes=Changes(roles=Roles(end="<nobody>")))


# --- verification ---


@pytest.mark.parametrize("target", TARGETS)
def test_a_failed_comparison_leaves_no_output(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    """What is written is another vocabulary than what was to be said: one whose merges th and he have changed places."""

    def other(vocabulary: Vocabulary) -> Vocabulary:
        merges = list(listed_merges(vocabulary))
        tokens = {**vocabulary.tokens}
        first, second = (vocabulary.ids[vocabulary.tokens[a] + vocabulary.tokens[b]] for a, b in merges[:2])
        tokens[first], tokens[second] = tokens[second], tokens[first]
        by_bytes = {token: id for id, token in tokens.items()}
        swapped = [tuple(by_bytes[vocabulary.tokens[side]] for side in pair) for pair in merges]
        return vocabulary.replace(tokens=tokens, merges=swapped)

    real = bbpe.conversion._write
    monkeypatch.setattr(
        bbpe.conversion, "_write", lambda vocabulary, *rest: real(_sorted_for(other(vocabulary), target), *rest)
    )
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(
        FormatError, match=r"comparison failed, nothing is left: .* to bbpe and|reads another vocabulary"
    ):
        convert(folder, tmp_path / target)
    assert sorted(tmp_path.rglob("*")) == before
    assert convert(folder, tmp_path / target, verify=False).verification is None  # what --no-verify is for


def _sorted_for(vocabulary: Vocabulary, target: str) -> Vocabulary:
    """For .tiktoken, where merges follow ids: the ranks, which are swapped then."""
    return vocabulary.replace(merges=None, whole_pretoken=True) if target.endswith("tiktoken") else vocabulary


def test_a_missing_library_is_named(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(MissingExtraError, match=r"bbpe\[compare\].*--no-verify"):
        convert(folder, tmp_path / "out.json")
    assert not list(tmp_path.iterdir())
    assert convert(folder, tmp_path / "out.json", verify=False).verification is None
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(MissingExtraError, match=r"bbpe\[gguf\]"):
        convert(folder, tmp_path / "out.gguf")


def test_the_texts_of_a_check_hold_every_token_and_are_the_same_each_time(trained: Tokenizer) -> None:
    texts = check_texts(trained.vocabulary)
    assert texts == check_texts(trained.vocabulary)
    assert {token.decode() for token in trained.vocabulary.tokens.values() if _is_text(token)} <= set(texts)
    joined = "".join(texts)
    for piece in ("中文", "Hello", "1234", "\r\n", "def f(x)", "👩\u200d👩\u200d👧", "'RE", "\u3000"):
        assert piece in joined


def _is_text(token: bytes) -> bool:
    try:
        token.decode()
    except UnicodeDecodeError:
        return False
    return True


def test_bytes_without_a_token_are_left_out_of_the_check(tmp_path: Path) -> None:
    """As BLOOM, which lacks 14 bytes: texts that need them are not compared, the others are."""
    tokens = {id: token for id, token in BYTES.items() if id not in (0, 0x7F, 0xC0, 0xFF)}
    vocabulary = Vocabulary({**tokens, 256: b"ab"}, merges=[(97, 98)], pattern=LLAMA3)
    done = convert(saved(vocabulary, tmp_path / "in"), tmp_path / "out.json")
    assert done.verification is not None
    assert 3000 < done.verification.texts < len(check_texts(vocabulary))


def test_templates_survive_where_the_format_has_them(trained: Tokenizer, tmp_path: Path) -> None:
    begin = trained.special_tokens[SPECIAL[0]]
    source = saved(trained.vocabulary.replace(template=Template((begin,), (begin,))), tmp_path / "in")
    for target in TARGETS:
        (tmp_path / "on").mkdir(exist_ok=True)
        convert(source, tmp_path / "on" / target, force=True, verify=False)
        again = io.load(tmp_path / "on" / target)
        assert again.encode("the", add_template=True) == [begin, *trained.encode("the"), begin]


# --- published vocabularies ---


def test_llama3_becomes_merges_as_its_publisher_wrote_them(bbpe_home: Path) -> None:
    """The known counts: 280,147 splits, 678 tokens without a canonical split, 588 unreachable, 695 by canonical merges."""
    report = rank_report(io.load("llama3").vocabulary)
    assert report.canonical is None
    assert (report.tokens, report.splits) == (127_744, 280_147)
    assert (report.without_canonical, report.unreachable, report.unreachable_by_canonical) == (678, 588, 695)


def test_gpt2_to_tiktoken_and_to_gguf(bbpe_home: Path, read_corpus: Callable[..., bytes], tmp_path: Path) -> None:
    source = bbpe_home / "vocabs" / "gpt2"
    done = convert(source, tmp_path / "out.tiktoken", pattern="gpt2", verify=False)
    assert (done.read_as, done.written_as, done.unreachable) == ("merges", "ranks", 0)
    assert done.llama_cpp.published == ("gpt-2",)
    table = (bbpe_home / "vocabs" / "r50k_base" / "gpt2.tiktoken").read_bytes()
    assert (tmp_path / "out.tiktoken").read_bytes() == table
    back = convert(tmp_path / "out.tiktoken", tmp_path / "out.gguf", verify=False)
    assert (back.read_as, back.merges) == ("merges", 50_000)  # the sidecar says that it was a merge list
    oracle, tokenizer = LlamaCpp(tmp_path / "out.gguf"), io.load("r50k_base")
    for name in ("zh-web.txt", "en-web.txt"):
        text = read_corpus(name, 50_000).decode()
        assert oracle.encode(text) == tokenizer.encode(text)


def test_qwen2_is_not_written_as_gguf_in_silence(bbpe_home: Path) -> None:
    vocabulary = io.load("qwen2").vocabulary
    with pytest.raises(FormatError, match="--drop-normalizer"):
        pre_tokenizer_for(vocabulary)
    match = pre_tokenizer_for(vocabulary.replace(normalizer=None))
    assert (match.name, match.whole_pretoken, match.exact) == ("qwen2", False, False)
    assert harmless_long_s(vocabulary)  # so no text gets other ids for that


def test_an_output_that_cannot_be_is_found_before_the_work(folder: Path, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bbpe.conversion, "load", None)  # called, it would raise a TypeError
        (tmp_path / "there").mkdir()
        for target in ("there", "missing/out.json", "missing/out"):
            with pytest.raises(OutputError):
                convert(folder, tmp_path / target)


def test_tokens_too_long_to_find_out_which_are_reached(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bbpe.formats.equivalence, "MAX_WORK", 100)
    assert convert(folder, tmp_path / "out.json", verify=False).unreachable is None
