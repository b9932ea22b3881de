"""Comparison: tokenizers × texts → rows. Figures against counting by hand, and what goes wrong."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

import bbpe
from bbpe.analysis import cache as cache_module
from bbpe.analysis import measurement as measurement_module
from bbpe.analysis import workers
from bbpe.analysis.cache import Cache, fingerprint_of_path, fingerprint_of_vocabulary
from bbpe.analysis.comparison import Model, compare
from bbpe.analysis.counting import count_tokens
from bbpe.analysis.difference import difference
from bbpe.analysis.finding import present_vocabularies
from bbpe.analysis.measurement import Measurement, look_at, measure
from bbpe.analysis.probe import PROBE_TEXT, probe
from bbpe.analysis.sizes import measure_sizes
from bbpe.analysis.texts import PART_CHARACTERS, language_of, read_text
from bbpe.corpus import Progress
from bbpe.errors import ComparisonError, CorpusError
from bbpe.tokenizer import Tokenizer
from bbpe.vocabulary import SpecialToken, Vocabulary

ROOT = Path(__file__).parent.parent
TINY = ROOT / "corpora" / "tiny"


@pytest.fixture(scope="module")
def small() -> Tokenizer:
    return bbpe.train(TINY / "train", 600, special_tokens=["<|end|>"])


@pytest.fixture(scope="module")
def large() -> Tokenizer:
    return bbpe.train(TINY / "train", 2000, special_tokens=["<|end|>"])


def byte_tokenizer(pattern: str = "llama3", **changes: object) -> Tokenizer:
    tokens = {id: bytes([id]) for id in range(256)}
    return Tokenizer(Vocabulary(tokens, pattern=bbpe.get_pattern(pattern), **changes))  # type: ignore[arg-type]


# --- figures ----------------------------------------------------------------------------------------------------------


def test_every_figure_of_a_text_that_can_be_counted_by_hand() -> None:
    """Tokens: the 256 bytes, "中", and "中a". 中, 3 bytes of 文, a, space, "中a", line end."""
    tokens = {**{id: bytes([id]) for id in range(256)}, 256: b"\xe4\xb8", 257: "中".encode(), 258: "中a".encode()}
    merges = [(0xE4, 0xB8), (256, 0xAD), (257, 0x61)]
    tokenizer = Tokenizer(Vocabulary(tokens, merges=merges, pattern=bbpe.get_pattern("llama3")))
    found = compare({"hand": tokenizer}, {"zh": ["中文a 中a\n"]}, cache=False)
    row = found.row("hand", "zh")
    # 中 | E6 | 96 | 87 | a | space | 中a | newline
    assert row.tokens == 8
    assert row.tokens_per_character == 8 / 7
    assert row.characters_per_token == 7 / 8
    assert row.bytes_per_token == (3 + 3 + 1 + 1 + 4 + 1) / 8
    assert row.tokens_per_document == row.tokens_per_line == 8
    assert row.cut_han == pytest.approx(1 / 3)
    assert row.invalid_tokens == 3 / 8
    assert row.distinct_tokens == 8
    assert row.utilisation == 8 / 259
    # Words: 中 (1 token), 文 (3), a (1), and " 中" is no word: the second 中 again, and the second a.
    assert row.fertility == (1 + 3 + 1 + 1 + 1) / 5
    assert row.continued_words == 1 / 5
    assert row.single_token_retention == pytest.approx(2 / 3)
    assert row.lossless
    assert row.nsl is None
    assert row.unknown_tokens == 0
    assert found.vocabulary("hand").facts.digits == "single"


def test_ratios_are_of_corpus_totals_not_means_of_ratios() -> None:
    """In bytes: 1 of 1, 150 of 50, 19 of 19. The mean of the ratios is 5/3, the corpus needs 170 for 70."""
    documents = ["a", "不" * 50, "the quick brown fox"]
    row = compare({"t": byte_tokenizer()}, {"x": documents}, cache=False).row("t", "x")
    assert row.tokens_per_character == 170 / 70
    assert row.tokens_per_document == 170 / 3


def test_one_tokenizer_against_another(small: Tokenizer, large: Tokenizer) -> None:
    corpora = {"zh": TINY / "eval" / "zh.txt", "en": TINY / "eval" / "en.txt"}
    found = compare({"small": small, "large": large}, corpora, baseline="small", cache=False)
    for label, path in corpora.items():
        text = path.read_text("utf-8")
        row, base = found.row("large", label), found.row("small", label)
        assert base.nsl == 1
        assert row.nsl == row.tokens / base.tokens < 1
        assert row.tokens == large.count(text)  # a small file is one part
        assert row.renyi_efficiency < row.renyi_efficiency_observed <= 1
        assert row.megabytes_per_second == pytest.approx(len(text.encode()) / row.seconds / 1e6)
    zh = found.row("large", "zh")
    assert zh.cut_han is not None
    assert 0 < zh.cut_han < 1
    english = found.row("large", "en")
    assert english.cut_han is None
    assert found.balances == ()


def test_parallel_texts_have_parity_and_gini(tmp_path: Path, small: Tokenizer) -> None:
    (tmp_path / "zh.txt").write_text("你好\n\n再见\n", "utf-8")
    (tmp_path / "en.txt").write_text("hello\n\nbye\n", "utf-8")
    found = compare({"t": small}, {"zh": tmp_path / "zh.txt", "en": tmp_path / "en.txt"}, parallel=True, cache=False)
    zh, en = (sum(small.count(line) for line in text) for text in (("你好", "再见"), ("hello", "bye")))
    assert found.reference == "en"
    (balance,) = found.balances
    assert balance.parity == {"zh": zh / en, "en": 1.0}
    assert balance.gini == pytest.approx(abs(zh - en) * 2 / (2 * 4 * (zh + en) / 2))
    assert balance.worst == ("zh" if zh > en else "en")
    assert found.row("t", "zh").tokens_per_line == zh / 2


def test_cost_and_saving_stand_beside_the_tokens(small: Tokenizer, large: Tokenizer) -> None:
    model = Model(d_model=64, tied=True, pad_to=128, body=10**6)
    found = compare(
        {"small": small, "large": large}, {"zh": TINY / "eval" / "zh.txt"}, baseline="small", model=model, cache=False
    )
    costs = {cost.tokenizer: cost for cost in found.costs}
    assert costs["large"].embedding.rows == 2048
    assert costs["large"].embedding.parameters == 2048 * 64
    saved = costs["large"].saving
    assert saved is not None
    assert saved.saved_tokens == found.row("small", "zh").tokens - found.row("large", "zh").tokens
    assert saved.break_even_share == 64 * (2048 - 640) / (10**6 + 64 * 2048)
    assert saved.training_flops_saved == 3 * (saved.inference_flops_saved or 0)


def test_an_nfc_vocabulary_is_not_lossless_and_says_where() -> None:
    found = compare({"nfc": byte_tokenizer(normalizer="NFC")}, {"x": ["so: cafe\u0301!"]}, cache=False)
    row = found.row("nfc", "x")
    assert not row.lossless
    assert row.lost is not None
    assert (row.lost.given, row.lost.got) == ("so: cafe\u0301!", "so: caf\xe9!")
    vocab = found.vocabulary("nfc")
    assert not vocab.lossless
    assert [lost.what for lost in vocab.facts.lost] == ["combining marks"]
    plain = compare({"plain": byte_tokenizer()}, {"x": ["so: cafe\u0301!"]}, cache=False)
    assert plain.vocabulary("plain").lossless


@pytest.mark.parametrize(("pattern", "digits"), [("llama3", "up to 3"), ("qwen2", "single"), ("gpt2", "learned")])
def test_digit_policy_follows_the_pattern(pattern: str, digits: str) -> None:
    tokenizer = bbpe.train(["0123456789 1234567890 314159 1314151 20261121 2718 3141592653 12345 42"] * 9,
                           num_merges=40, pattern=pattern)  # fmt: skip
    if pattern == "llama3":  # every group of three has to be a token for the policy to show
        runs = [f"{n:03}" for n in range(1000)] + [f"{n:02}" for n in range(100)]
        tokenizer = bbpe.train([" ".join(runs)] * 3, num_merges=2000, pattern=pattern)
    assert look_at(tokenizer).digits == digits


def test_text_is_measured_in_batches(small: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    text = read_text([f"document {n}: 中文 cafe\u0301" for n in range(50)], "x")
    nfc = Tokenizer(small.vocabulary.replace(normalizer="NFC"))
    whole = [measure(one, text) for one in (small, nfc)]
    monkeypatch.setattr(measurement_module, "_BATCH_CHARACTERS", 100)
    for one, expected in zip((small, nfc), whole, strict=True):
        assert without_times(measure(one, text)) == without_times(expected)
    assert whole[1].changed_parts == 50


def test_a_text_of_which_nothing_is_left_is_told(bbpe_home: Path, small: Tokenizer) -> None:
    """BERT's normalizer removes characters of no width: no ratio has a meaning."""
    found = compare({"bert": "bert-base-uncased", "small": small}, {"x": ["\u200b\u200b"]}, cache=False)
    assert [(one.name, one.reason) for one in found.missing] == [("bert", "not a single token comes out of x")]


def test_long_documents_are_cut_at_line_ends_and_nothing_is_lost(small: Tokenizer) -> None:
    line = "The 快 brown fox.\n"
    document = line * (3 * PART_CHARACTERS // len(line))
    text = read_text([document], "x")
    assert "".join(text.parts) == document
    assert len(text.parts) > 3
    assert all(part.endswith("\n") and len(part) <= PART_CHARACTERS for part in text.parts)
    assert text.facts.documents == 1
    assert text.facts.lines == document.count("\n")
    assert measure(small, text).tokens == small.count(document)
    unbroken = "中" * (2 * PART_CHARACTERS + 5)
    assert "".join(read_text([unbroken], "x").parts) == unbroken


def test_broken_utf8_is_measured_as_replacement_characters_and_told(small: Tokenizer) -> None:
    found = compare({"t": small}, {"x": [b"ab\xff\xfecd \xef\xbf\xbd"]}, cache=False)
    (facts,) = found.texts
    assert facts.invalid_bytes == 2
    assert facts.characters == 8
    assert "2 bytes are no valid UTF-8" in found.warnings[0]


# --- processes, cache, names ------------------------------------------------------------------------------------------


def without_times(measurement: Measurement) -> tuple[object, ...]:
    return tuple(
        getattr(measurement, name) for name in Measurement.__dataclass_fields__ if name != "seconds"
    )  # fmt: skip


def test_processes_give_what_one_gives(small: Tokenizer, large: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "WORTH_PROCESSES", 0)
    text = read_text(TINY / "eval" / "mixed.txt")
    jobs = [workers.Job(name, None, one, True, (0,), "x  y") for name, one in (("s", small), ("l", large))]
    results: list[dict[str, workers.Result]] = []
    for processes in (1, 2):
        found: dict[str, workers.Result] = {}
        workers.run_all(jobs, [text], processes, lambda job, result, found=found: found.update({job.name: result}))
        results.append(found)
    for name in ("s", "l"):
        one, two = (result[name] for result in results)
        assert without_times(one.measurements[0]) == without_times(two.measurements[0])
        assert one.probed == two.probed
        assert one.facts is not None
        assert two.facts is not None
        assert one.facts.gb2312_level_1 == two.facts.gb2312_level_1 > 0


def test_a_script_without_a_main_guard_may_compare(tmp_path: Path) -> None:
    """multiprocessing would run the script again in each process, without end."""
    script = tmp_path / "script.py"
    script.write_text(
        "import bbpe, bbpe.analysis.workers as workers\n"
        "workers.WORTH_PROCESSES = 0\n"
        "a, b = (bbpe.train(['ab ab abc abc'] * 5, num_merges=n) for n in (1, 3))\n"
        "found = bbpe.compare({'a': a, 'b': b}, {'x': ['abc ab']}, threads=2, cache=False)\n"
        "print([row.tokens for row in found.rows])\n",
        "utf-8",
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, env=environment, check=True)
    assert len(done.stdout.splitlines()) == 1


def test_one_vocabulary_more_costs_one(
    tmp_path: Path, small: Tokenizer, large: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[str] = []
    run = workers.run
    monkeypatch.setattr(workers, "run", lambda job, texts: (measured.append(job.name), run(job, texts))[1])
    corpora = {"zh": TINY / "eval" / "zh.txt"}
    first = compare({"small": small}, corpora, cache=tmp_path, threads=1)
    assert measured == ["small"]
    second = compare({"small": small, "large": large}, corpora, cache=tmp_path, threads=1)
    assert measured == ["small", "large"]
    assert second.row("small", "zh") == first.row("small", "zh")
    compare({"other name": large}, corpora, cache=tmp_path, threads=1)
    assert measured == ["small", "large"]
    compare({"small": small}, {"zh": ["另外的字"]}, cache=tmp_path, threads=1)
    assert measured == ["small", "large", "small"]
    compare({"small": small}, corpora, cache=False, threads=1)
    assert measured == ["small", "large", "small", "small"]


def test_a_damaged_cache_counts_as_none(tmp_path: Path, small: Tokenizer) -> None:
    corpora = {"zh": TINY / "eval" / "zh.txt"}
    first = compare({"small": small}, corpora, cache=tmp_path, threads=1)
    files = list(tmp_path.rglob("*.json"))
    assert len(files) == 2
    for content in ("", "[]", '{"tokens": 1}', '{"lost": 3}', "\ud800"):
        for path in files:
            path.write_bytes(content.encode("utf-8", "surrogatepass"))
        again = compare({"small": small}, corpora, cache=tmp_path, threads=1)
        assert again.row("small", "zh").tokens == first.row("small", "zh").tokens
        for path in files:
            json.loads(path.read_bytes())  # written anew


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path, small: Tokenizer) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("x")
    found = compare({"small": small}, {"zh": ["字"]}, cache=blocked, threads=1)
    assert found.row("small", "zh").tokens


def test_the_cache_is_in_home_where_that_may_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BBPE_HOME", str(tmp_path))
    assert cache_module.cache_folder() == tmp_path / "cache"
    locked = tmp_path / "locked"
    locked.mkdir(0o555)
    monkeypatch.setenv("BBPE_HOME", str(locked))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    assert cache_module.cache_folder() == tmp_path / "user" / "bbpe" / "cache"


def test_fingerprints_tell_vocabularies_apart(tmp_path: Path, small: Tokenizer, large: Tokenizer) -> None:
    one = small.vocabulary
    changed = (
        large.vocabulary,
        one.replace(pattern=bbpe.get_pattern("gpt2")),
        one.replace(normalizer="NFC"),
        one.replace(special_tokens=[SpecialToken("<|other|>", 599)]),
        one.replace(whole_pretoken=not one.whole_pretoken),
        one.replace(merges=[*one.merges[1:], one.merges[0]] if one.merges else None),
    )
    found = {fingerprint_of_vocabulary(vocabulary) for vocabulary in (one, *changed)}
    assert len(found) == 1 + len(changed)
    assert fingerprint_of_vocabulary(one.replace(name="other")) in found
    bbpe.save(small, tmp_path / "a")
    bbpe.save(small, tmp_path / "b")
    bbpe.save(large, tmp_path / "c")
    assert fingerprint_of_path(tmp_path / "a") == fingerprint_of_path(tmp_path / "b")
    assert fingerprint_of_path(tmp_path / "a") != fingerprint_of_path(tmp_path / "c")


def test_progress_is_told(small: Tokenizer, large: Tokenizer) -> None:
    told: list[Progress] = []
    compare({"s": small, "l": large}, {"x": ["abc"]}, cache=False, threads=1, progress=told.append)
    assert [(one.done, one.total, one.unit) for one in told] == [(n, 2, "vocabularies") for n in range(3)]


def test_an_unknown_name_gets_the_nearest_ones(
    tmp_path: Path, small: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BBPE_HOME", str(tmp_path))
    expected = r"'cl10k_base'.*did you mean cl100k_base \(not here yet: bbpe vocab get cl100k_base\)"
    with pytest.raises(ComparisonError, match=expected):
        compare(["cl10k_base"], {"x": ["abc"]}, cache=False)
    with pytest.raises(ComparisonError, match=r"'zzzzzz' is no file.*bbpe vocab list"):
        compare(["zzzzzz"], {"x": ["abc"]}, cache=False)
    (tmp_path / "vocabs" / "my-vocab").mkdir(parents=True)
    (tmp_path / "vocabs" / "my-vocab" / "merges.txt").write_text("x")
    with pytest.raises(ComparisonError, match=r"did you mean my-vocab\?"):
        compare(["myvocab"], {"x": ["abc"]}, cache=False)
    with pytest.raises(ComparisonError, match=r"baseline 'smal' is none of the compared.*did you mean small"):
        compare({"small": small}, {"x": ["abc"]}, baseline="smal", cache=False)


def test_a_vocabulary_that_cannot_be_loaded_does_not_stop_the_others(tmp_path: Path, small: Tokenizer) -> None:
    broken = tmp_path / "broken.tiktoken"
    broken.write_text("not base64\n")
    found = compare({"small": small, "broken": broken}, {"x": ["abc"]}, cache=False)
    assert [vocab.name for vocab in found.vocabularies] == ["small"]
    (missing,) = found.missing
    assert missing.name == "broken"
    assert "broken.tiktoken" in missing.reason
    with pytest.raises(ComparisonError, match=r"no vocabulary could be measured: broken: .*broken\.tiktoken"):
        compare({"broken": broken}, {"x": ["abc"]}, cache=False)


def test_a_published_vocabulary_that_is_not_here_says_how_to_get_it(
    tmp_path: Path, small: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BBPE_HOME", str(tmp_path))
    found = compare({"small": small, "o200k": "o200k_base"}, {"x": ["abc"]}, baseline="o200k", cache=False)
    (missing,) = found.missing
    assert "bbpe vocab get o200k_base" in missing.reason
    assert found.baseline is None
    assert "baseline o200k could not be measured" in found.warnings[0]


def test_a_vocabulary_that_lacks_a_byte_of_the_text_is_missing(small: Tokenizer) -> None:
    tokens = {id: bytes([id]) for id in range(256) if id != 0xE4}
    lacking = Tokenizer(Vocabulary(tokens, pattern=bbpe.get_pattern("llama3")))
    found = compare({"small": small, "lacking": lacking}, {"zh": ["中"]}, cache=False)
    assert [one.name for one in found.missing] == ["lacking"]
    assert "0xE4" in found.missing[0].reason


def test_a_process_that_dies_costs_its_vocabulary_only(small: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "WORTH_PROCESSES", 0)
    monkeypatch.setattr(workers.sys, "executable", "/bin/false")
    with pytest.raises(ComparisonError, match="the process that measured it ended with status 1"):
        compare({"a": small, "b": small}, {"x": ["abc"]}, threads=2, cache=False)


def test_a_bug_in_a_process_keeps_its_traceback(small: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "WORTH_PROCESSES", 0)
    jobs = [workers.Job(name, None, small, False, (3,)) for name in ("x", "y")]  # there is no text 3
    with pytest.raises(RuntimeError, match=r"was measured in a process of its own:\n(.|\n)*IndexError"):
        workers.run_all(jobs, [], 2, lambda job, result: None)


def test_arguments_that_make_no_sense(small: Tokenizer) -> None:
    with pytest.raises(TypeError, match="tokenizers is a list"):
        compare("cl100k_base", {"x": ["a"]})
    with pytest.raises(TypeError, match="a tokenizer is a path, a name or a Tokenizer, not int"):
        compare([3], {"x": ["a"]})  # type: ignore[list-item]
    with pytest.raises(ComparisonError, match="no tokenizer given"):
        compare([], {"x": ["a"]})
    with pytest.raises(ComparisonError, match="no corpus given"):
        compare([small], {})
    found = compare([small, small], {"x": ["a"]}, cache=False)
    assert [vocab.name for vocab in found.vocabularies] == ["tokenizer", "tokenizer 2"]


# --- texts ------------------------------------------------------------------------------------------------------------


def test_a_corpus_without_text_is_refused(tmp_path: Path, small: Tokenizer) -> None:
    (tmp_path / "empty.txt").write_bytes(b"")
    (tmp_path / "blank.txt").write_bytes(b" \n\t\n")
    with pytest.raises(CorpusError, match="no text in it"):
        compare([small], [tmp_path / "empty.txt"], cache=False)
    with pytest.raises(CorpusError, match="blank: no text in it but white space"):
        compare([small], [tmp_path / "blank.txt"], cache=False)


def test_files_that_are_not_parallel_are_refused_with_their_numbers_of_lines(tmp_path: Path, small: Tokenizer) -> None:
    (tmp_path / "zh.txt").write_text("一\n二\n三\n", "utf-8")
    (tmp_path / "en.txt").write_text("one\ntwo\n", "utf-8")
    corpora = {"zh": tmp_path / "zh.txt", "en": tmp_path / "en.txt"}
    with pytest.raises(CorpusError, match=r"not parallel.*zh has 3, en has 2"):
        compare([small], corpora, parallel=True, cache=False)
    with pytest.raises(CorpusError, match="at least two files"):
        compare([small], {"zh": tmp_path / "zh.txt"}, parallel=True, cache=False)
    assert compare([small], corpora, lines=True, cache=False).rows


def test_text_of_another_language_than_its_label_says_is_told(small: Tokenizer) -> None:
    found = compare({"t": small}, {"zh": ["This is English text, 12."], "en-web": ["这是中文。"]}, cache=False)
    assert "zh: the label says zh, but 0% of its letters are Han (most are Latin)" in found.warnings[0]
    assert "en-web: the label says en, but 0% of its letters are Latin (most are Han)" in found.warnings[1]
    mixed = compare({"t": small}, {"zh": ["用 Python 和 NumPy 写程序很方便，也很快。"], "notes": ["abc"]}, cache=False)
    assert mixed.warnings == ()


@pytest.mark.parametrize(
    ("label", "language"),
    [("zh", "zh"), ("zho-CN", "zh"), ("zh_web.txt", "zh"), ("English", "en"), ("zhang", None), ("", None)],
)
def test_the_language_that_a_label_begins_with(label: str, language: str | None) -> None:
    assert language_of(label) == language


def test_the_same_documents_have_the_same_hash_however_stored(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("你好\nworld\n", "utf-8")
    (tmp_path / "b.jsonl").write_text(json.dumps({"text": "你好\nworld\n"}), "utf-8")
    one, two = (read_text(tmp_path / name).facts for name in ("a.txt", "b.jsonl"))
    assert one.sha256 == two.sha256
    assert one.sources[0].sha256 != two.sources[0].sha256
    assert read_text(tmp_path / "a.txt", lines=True).facts.sha256 != one.sha256
    assert read_text(["你好", "\nworld\n"], "x").facts.sha256 != read_text(["你好\n", "world\n"], "x").facts.sha256


def test_a_limit_ends_the_reading() -> None:
    documents = [f"document {n} of many" for n in range(100)]
    facts = read_text(documents, "x", limit=200).facts
    assert 190 < facts.bytes <= 200
    assert facts.documents < 15
    # Even within a document: after a line where there is one, else between characters.
    assert "".join(read_text(["ab\ncd\nef"], "x", limit=7).parts) == "ab\ncd\n"
    assert "".join(read_text(["中文字"], "x", limit=7).parts) == "中文"
    assert "".join(read_text(["中文字"], "x", limit=9).parts) == "中文字"
    assert read_text(["中文字", "more"], "x", limit=10).parts == ("中文字", "m")
    assert read_text(["中文字", "中"], "x", limit=10).parts == ("中文字",)


# --- what comes out ---------------------------------------------------------------------------------------------------


def test_rows_as_records_and_as_a_data_frame(small: Tokenizer) -> None:
    found = compare({"t": small}, {"x": ["abc 中"], "y": ["def"]}, cache=False)
    records = found.to_records()
    assert [record["text"] for record in records] == ["x", "y"]
    assert records[0]["lost_given"] is None
    json.dumps(found.to_dict())
    if importlib.util.find_spec("pandas") is not None:
        frame = found.to_dataframe()
        assert frame.shape[0] == 2
        assert list(frame["tokens"]) == [row.tokens for row in found.rows]
    with pytest.raises(KeyError):
        found.row("t", "z")
    with pytest.raises(KeyError):
        found.vocabulary("z")


def test_the_method_says_what_to_repeat(small: Tokenizer) -> None:
    found = compare({"t": small}, {"zh": TINY / "eval" / "zh.txt"}, baseline="t", cache=False)
    (facts,) = found.texts
    assert facts.sha256 in found.method["Corpus zh"]
    assert facts.sources[0].sha256[:16] in found.method["Corpus zh"]
    assert found.method["Words"].startswith("characters")


# --- probe, sizes, difference, counting -------------------------------------------------------------------------------


def test_the_probe_has_all_that_is_difficult() -> None:
    assert "  " in PROBE_TEXT
    assert "123.5" in PROBE_TEXT
    assert "\n" in PROBE_TEXT
    assert "🙂" in PROBE_TEXT
    assert any(character.isupper() for character in PROBE_TEXT)
    assert any("\u4e00" <= character <= "\u9fff" for character in PROBE_TEXT)
    found = probe(byte_tokenizer())
    assert b"".join(piece.token for piece in found.pieces) == PROBE_TEXT.encode()
    assert found.got is None
    assert probe(byte_tokenizer(normalizer="NFC"), "e\u0301").got == "\xe9"


def test_a_curve_of_sizes_is_the_tokens_of_trainings_of_these_sizes(large: Tokenizer) -> None:
    text = read_text(TINY / "eval" / "zh.txt")
    curve = measure_sizes("large", large, [2000, 500, 1000], [text], d_model=8, tied=True)
    assert [row.vocab_size for row in curve.rows] == [500, 1000, 2000]
    for row in curve.rows:
        trained = bbpe.train(TINY / "train", row.vocab_size, special_tokens=["<|end|>"])
        assert row.tokens == trained.count("".join(text.parts))
        assert row.cost is not None
        assert row.cost.parameters == row.vocab_size * 8
    assert curve.rows[0].saved is None
    for before, after in pairwise(curve.rows):
        assert after.saved == 1 - after.tokens / before.tokens > 0
    assert curve.warnings == ()


def test_a_curve_on_the_training_text_is_told(large: Tokenizer) -> None:
    curve = measure_sizes("large", large, [500], [read_text(TINY / "train" / "zh.txt")])
    assert "was part of the text that large was trained on" in curve.warnings[0]


def test_sizes_that_cannot_be_had(large: Tokenizer) -> None:
    text = read_text(["abc"], "x")
    with pytest.raises(ComparisonError, match="vocab_size 3000 is not between"):
        measure_sizes("large", large, [3000], [text])
    with pytest.raises(ComparisonError, match="no sizes"):
        measure_sizes("large", large, [], [text])


def test_counting_file_by_file(tmp_path: Path, small: Tokenizer) -> None:
    (tmp_path / "a.txt").write_text("你好 world\n" * 3, "utf-8")
    (tmp_path / "b.txt").write_bytes(b"x\xffy<|end|>")
    counted = count_tokens(small, tmp_path)
    assert [Path(one.name).name for one in counted] == ["a.txt", "b.txt"]
    assert counted[0].tokens == small.count("你好 world\n" * 3)
    assert counted[1].tokens == len(small.encode_bytes(b"x\xffy<|end|>"))
    assert counted[1].invalid_bytes == 1
    special = count_tokens(small, tmp_path / "b.txt", allowed_special="all")
    assert special[0].tokens == 4
    by_line = count_tokens(small, tmp_path / "a.txt", lines=True)
    assert by_line[0].documents == 3
    assert by_line[0].tokens == 3 * small.count("你好 world")
    assert count_tokens(small, ["ab", "cd"])[0].documents == 2


# --- with published vocabularies --------------------------------------------------------------------------------------


def test_other_libraries_are_measured_the_same_way(bbpe_home: Path) -> None:
    """A SentencePiece vocabulary: bytes for what it lacks, the space that it prefixes not counted with words."""
    found = compare(["llama2", "cl100k_base"], {"zh": ["一个囍字"], "en": ["one word"]}, cache=False)
    row = found.row("llama2", "zh")
    assert row.engine.startswith("sentencepiece ")
    assert row.lossless
    assert row.cut_han == 0.25  # 囍 is spelled in bytes
    assert row.fertility == (1 + 1 + 3 + 1) / 4
    assert found.row("llama2", "en").fertility == 1
    assert found.vocabulary("llama2").facts.algorithm == "bpe"


def test_a_vocabulary_that_loses_text_is_seen_through(bbpe_home: Path) -> None:
    """T5 has no Chinese: a clause is one unknown token, which no other metric may take for compression."""
    row = compare(["t5-small"], {"zh": ["今天天气很好"]}, cache=False).row("t5-small", "zh")
    assert row.tokens_per_character < 0.5
    assert row.unknown_tokens > 0.3
    assert row.cut_han == 1
    assert not row.lossless


def test_all_that_is_present_is_compared_when_nothing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BBPE_HOME", str(tmp_path))
    assert present_vocabularies() == []
    with pytest.raises(ComparisonError, match=r"no vocabulary is present.*bbpe vocab get"):
        compare(None, {"x": ["abc"]}, cache=False)
    (tmp_path / "vocabs").mkdir()
    bbpe.save(byte_tokenizer(), tmp_path / "vocabs" / "mine")
    assert present_vocabularies() == ["mine"]
    assert compare(None, {"x": ["abc"]}, cache=False).row("mine", "x").tokens == 3


def test_reading_a_kept_measurement_gives_it_back(tmp_path: Path, small: Tokenizer) -> None:
    kept = Cache(tmp_path)
    text = read_text(["abc 中 cafe\u0301"], "x")
    tokenizer = byte_tokenizer(normalizer="NFC")
    found = measure(tokenizer, text)
    assert found.lost is not None
    kept.keep_measurement("v", text.facts.sha256, "characters", found)
    assert kept.measurement("v", text.facts.sha256, "characters") == found
    assert kept.measurement("v", text.facts.sha256, "jieba") is None
    assert kept.measurement("w", text.facts.sha256, "characters") is None
    facts = look_at(tokenizer)
    kept.keep_facts("v", facts)
    assert kept.facts("v") == facts


# --- where two tokenizers part ----------------------------------------------------------------------------------------


def reasons(first: Tokenizer, second: Tokenizer, text: str, **options: object) -> list[tuple[str, str]]:
    found = difference(first, second, text, **options)  # type: ignore[arg-type]
    return [(one.text, one.reason) for one in found.differences]


def test_they_part_by_merges(small: Tokenizer, large: Tokenizer) -> None:
    text = (TINY / "eval" / "mixed.txt").read_text("utf-8")
    found = difference(small, large, text, names=("small", "large"))
    assert found.coarser  # a prefix of the merges
    assert set(found.reasons) == {"merges"}
    assert sum(found.reasons.values()) == len(found.differences) > 10
    data = text.encode()
    at = 0
    for one in found.differences:
        assert at <= one.start < one.end
        at = one.end
        assert b"".join(cut.token for cut in one.first) == b"".join(cut.token for cut in one.second)
        assert b"".join(cut.token for cut in one.first) == data[one.start : one.end]
        assert len(one.second) < len(one.first)
        assert one.explanation.startswith("large has the token ")
    saved = sum(len(one.first) - len(one.second) for one in found.differences)
    assert found.first_tokens - found.second_tokens == saved


def test_they_part_by_pattern() -> None:
    """All digits are known, "123" is a token of both; only one pattern keeps it together."""
    tokens = {**{id: bytes([id]) for id in range(256)}, 256: b"12", 257: b"123"}
    merges = [(0x31, 0x32), (256, 0x33)]
    three, single = (
        Tokenizer(Vocabulary(tokens, merges=merges, pattern=bbpe.get_pattern(name))) for name in ("llama3", "qwen2")
    )
    assert reasons(three, single, "a 123 b") == [("123", "pattern")]
    found = difference(three, single, "a 123 b", names=("three", "single"))
    assert "three: llama3, single: qwen2" in found.differences[0].explanation
    assert (found.differences[0].line, found.differences[0].column) == (1, 3)


def test_they_part_by_pattern_and_merges_at_once() -> None:
    tokens = {**{id: bytes([id]) for id in range(256)}, 256: b"12", 257: b"123"}
    first = Tokenizer(Vocabulary(tokens, merges=[(0x31, 0x32), (256, 0x33)], pattern=bbpe.get_pattern("llama3")))
    other = {**{id: bytes([id]) for id in range(256)}, 256: b"23"}
    # "1234": the first makes 123|4. With gpt2's pattern it would too; the second makes 1|23|4 by its merges.
    second = Tokenizer(Vocabulary(other, merges=[(0x32, 0x33)], pattern=bbpe.get_pattern("gpt2")))
    assert reasons(first, second, "1234") == [("123", "merges")]
    # Of six digits the first makes 12|3 45|6 at edges of threes; without them, other pairs; the second knows 34.
    sixth = {**{id: bytes([id]) for id in range(256)}, 256: b"34"}
    crossing = Tokenizer(Vocabulary(sixth, merges=[(0x33, 0x34)], pattern=bbpe.get_pattern("gpt2")))
    ((_, reason),) = reasons(byte_tokenizer("llama3"), crossing, "1234")
    assert reason == "merges"


def test_they_part_by_normalizer() -> None:
    plain, nfc = byte_tokenizer(), byte_tokenizer(normalizer="NFC")
    ((text, reason),) = reasons(plain, nfc, "x cafe\u0301 y")
    assert reason == "normalizer"
    assert "\u0301" in text
    found = difference(plain, nfc, "x cafe\u0301 y", names=("plain", "nfc"))
    assert found.differences[0].explanation.startswith("nfc normalizes to NFC")


def test_they_part_by_a_special_token() -> None:
    end = SpecialToken("<end>", 256)
    plain, special = byte_tokenizer(), byte_tokenizer(special_tokens=[end])
    assert reasons(plain, special, "a<end>b") == []  # plain text unless it is allowed
    assert reasons(plain, special, "a<end>b", allowed_special="all") == [("<end>", "special token")]
    found = difference(plain, special, "a<end>b", names=("plain", "special"), allowed_special=["<end>"])
    assert found.differences[0].explanation == "'<end>' is a special token of special, not of plain"
    with pytest.raises(ComparisonError, match="special token of neither"):
        difference(plain, special, "x", allowed_special=["<other>"])


def test_lines_and_columns_are_of_characters(small: Tokenizer, large: Tokenizer) -> None:
    text = "~\n~\n~中文字 " + "中国人民" * 3
    found = difference(byte_tokenizer(), large, text)
    assert {one.line for one in found.differences} == {3}
    for one in found.differences:
        assert text.split("\n")[2][one.column - 1 :].startswith(one.text.strip("\ufffd"))


def test_the_same_tokenizer_never_parts_from_itself(large: Tokenizer) -> None:
    text = (TINY / "eval" / "mixed.txt").read_text("utf-8")
    found = difference(large, large, text)
    assert found.differences == ()
    assert found.coarser
    assert difference(large, large, "").differences == ()


def test_they_part_by_what_another_library_does_to_text(bbpe_home: Path) -> None:
    """T5 does not know Chinese; Llama 2's prefixed space is no difference."""
    llama = bbpe.load("llama2")
    found = difference(bbpe.load("t5-small"), llama, "word 天", names=("t5", "llama2"))
    assert found.differences[-1].reason == "normalizer"
    assert "writes its unknown token" in found.differences[-1].explanation
    assert difference(llama, bbpe.load("cl100k_base"), "Hello world").differences == ()
    # Where T5's library leaves the space between two tokens, that is no difference either.
    found = difference(
        bbpe.load("t5-small"), bbpe.load("cl100k_base"), "Hello 1234, world. The cat", names=("t5", "cl")
    )
    assert [one.text for one in found.differences] == [" 1234"]


@pytest.mark.parametrize("names", [("cl100k_base", "qwen"), ("llama3", "o200k_base")])
def test_published_vocabularies_on_real_text(
    bbpe_home: Path, read_corpus: Callable[..., bytes], names: tuple[str, str]
) -> None:
    """Differences and the rest together are both tokenizations."""
    text = read_corpus("mixed-zh-en.txt", 20_000).decode()
    first, second = (bbpe.load(name) for name in names)
    found = difference(first, second, text, names=names)
    assert {"pattern", "merges"} <= set(found.reasons)
    same = found.first_tokens - sum(len(one.first) for one in found.differences)
    assert same == found.second_tokens - sum(len(one.second) for one in found.differences)
    assert found.different_bytes < found.bytes
