"""The harness's own arithmetic: slices end where documents end, ratios are taken within a round, pages fill in."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.goals import BEST, GOALS
from benchmarks.measure import digest_of_ids, digest_of_tokens, timed
from benchmarks.pathological import CASES
from benchmarks.render import BLOCKS, PAGE, best, filled, number
from benchmarks.results import cells, equality, ratio, read_results
from benchmarks.slices import Part, cut_slice
from benchmarks.sweep import FULL, Sweep, plan
from benchmarks.vocabularies import byte_alphabet

DOCUMENTS = [f"文档 {place}\nline" * (1 + place % 5) for place in range(300)]


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A corpus of 300 small documents, and a scratch folder of its own."""
    monkeypatch.setenv("BBPE_BENCH_CACHE", str(tmp_path / "scratch"))
    path = tmp_path / "corpus.txt"
    path.write_text("\n\n".join(DOCUMENTS) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("size", [1, 20, 500, 3000])
def test_the_first_part_is_the_fewest_documents_that_reach_its_size(corpus: Path, size: int) -> None:
    documents = cut_slice(str(corpus), Part("first", size)).documents()
    assert documents == DOCUMENTS[: len(documents)]
    assert len("\n\n".join(documents).encode()) >= size > len("\n\n".join(documents[:-1]).encode())


@pytest.mark.parametrize("size", [100, 500, 3000])
def test_the_last_part_is_the_most_documents_within_its_size(corpus: Path, size: int) -> None:
    documents = cut_slice(str(corpus), Part("last", size)).documents()
    assert documents == DOCUMENTS[-len(documents) :]
    # One byte is the file's last newline, which belongs to no document.
    assert len("\n\n".join(documents).encode()) <= size - 1
    assert len("\n\n".join(DOCUMENTS[-len(documents) - 1 :]).encode()) > size - 1


def test_a_part_larger_than_the_corpus_is_the_corpus(corpus: Path) -> None:
    for end in ("first", "last"):
        assert cut_slice(str(corpus), Part.parse(f"{end}:1GB")).documents() == DOCUMENTS


def test_the_separator_may_straddle_two_blocks(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [Part("first", 500), Part("last", 500)]
    expected = [cut_slice(str(corpus), part).documents() for part in parts]
    for block in (1, 2, 7):
        monkeypatch.setattr("benchmarks.slices._BLOCK", block)
        monkeypatch.setenv("BBPE_BENCH_CACHE", str(corpus.parent / f"blocks of {block}"))
        assert [cut_slice(str(corpus), part).documents() for part in parts] == expected


def test_digests_are_what_they_say() -> None:
    data = (1).to_bytes(4, "little") + (70000).to_bytes(4, "little")
    assert digest_of_ids([1, 70000])["ids"] == hashlib.sha256(data).hexdigest()
    assert digest_of_ids(np.array([1, 70000], dtype=">i8")) == digest_of_ids([1, 70000])
    assert digest_of_tokens([b"ab", b"c"]) != digest_of_tokens([b"a", b"bc"])


def test_a_timed_run_says_how_much_memory_it_took() -> None:
    _, took = timed(lambda: np.ones(20_000_000, dtype=np.uint8).sum())
    assert took.rss_peak - took.rss_before > 15_000_000


def record(turn: int, library: str, seconds: float, **extra: Any) -> dict[str, Any]:
    """A record with what the arithmetic reads."""
    return {
        "round": turn,
        "cell": "encode/zh/cl100k_base/cold",
        "key": f"encode --library {library}",
        "library": library,
        "task": "encode",
        "cpu_seconds": seconds,
        "rss_before": 1,
        "rss_peak": 3,
        "digest": {"ids": "same", "number": 3},
    } | extra


def test_a_ratio_is_taken_within_each_round() -> None:
    times = {"tiktoken": [10.0, 22.0, 12.0], "bbpe": [1.0, 2.0, 1.5]}
    records = [record(turn, name, times[name][turn]) for name in times for turn in range(3)]
    cell = cells([*records, record(3, "tiktoken", 99.0)])["encode/zh/cl100k_base/cold"]
    base, peer = cell.bbpe, cell.of("tiktoken")
    assert base is not None
    assert peer is not None
    assert cell.runs[0] is base
    found = ratio(peer, base, "cpu_seconds")
    assert found is not None
    assert (found.median, found.low, found.high) == (10.0, 8.0, 11.0)


@pytest.mark.parametrize(
    ("digests", "verdict"),
    [
        ([{"ids": "same", "number": 3}] * 2, "yes"),
        ([{"ids": "other", "number": 3}] * 2, "**no**"),
        ([{"ids": "same", "number": 3}, {"ids": "other", "number": 3}], "**differs from round to round**"),
    ],
)
def test_a_result_that_differs_is_said_to(digests: list[dict[str, object]], verdict: str) -> None:
    records = [record(turn, "bbpe", 1.0) for turn in range(2)]
    records += [record(turn, "tiktoken", 1.0, digest=digests[turn]) for turn in range(2)]
    cell = cells(records)["encode/zh/cl100k_base/cold"]
    peer = cell.of("tiktoken")
    assert peer is not None
    assert equality(peer, cell.bbpe) == verdict


def test_merges_are_compared_where_both_tell_them_and_tokens_otherwise() -> None:
    both = {"merges": "m", "tokens": "t", "number": 2}
    records = [
        record(1, "bbpe", 1.0, digest=both, task="train"),
        record(1, "tokenizers", 1.0, digest=both | {"merges": "other"}, task="train"),
        record(1, "rustbpe", 1.0, digest={"tokens": "t", "number": 2}, task="train"),
        record(1, "sentencepiece", 1.0, digest={}, task="train"),
    ]
    cell = cells(records)["encode/zh/cl100k_base/cold"]
    verdicts = {runs.library: equality(runs, cell.bbpe) for runs in cell.runs}
    assert verdicts == {
        "bbpe": "–",
        "tokenizers": "**no**",
        "rustbpe": "yes (tokens)",
        "sentencepiece": "other algorithm",
    }


def test_a_failure_is_shown_until_the_same_run_succeeds() -> None:
    failed = record(1, "tiktoken", 0.0, failed="out of memory")
    name = "encode/zh/cl100k_base/cold"
    assert cells([failed])[name].runs[0].failures == ("out of memory",)
    assert cells([failed, record(1, "tiktoken", 1.0)])[name].runs[0].failures == ()


def test_a_half_line_at_the_end_is_left_out_and_taken_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.provenance.commit", lambda: "c")
    monkeypatch.setattr("benchmarks.provenance.machine", lambda: "m")
    path = tmp_path / "results.jsonl"
    whole = json.dumps(record(1, "bbpe", 1.0, commit="c", machine="m")) + "\n"
    path.write_text(whole + whole[:20], encoding="utf-8")
    assert len(read_results(path)) == 1
    sweep = Sweep(path, timeout=1)
    assert len(sweep.done) == 1
    assert path.read_text(encoding="utf-8") == whole


def test_a_file_of_another_commit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.provenance.commit", lambda: "new")
    path = tmp_path / "results.jsonl"
    path.write_text(json.dumps(record(1, "bbpe", 1.0, commit="old", machine="m")) + "\n", encoding="utf-8")
    with pytest.raises(SystemExit, match="another commit: old"):
        Sweep(path, timeout=1)


def test_cells_have_names_of_their_own_and_measurements_of_their_own() -> None:
    every = list(plan({"zh": "zh-web", "en": "en-web"}, FULL, ["cl100k_base", "o200k_base"]))
    assert len({cell.name for cell in every}) == len(every)
    for cell in every:
        assert len({measurement.key for measurement in cell.measurements}) == len(cell.measurements)


def test_every_goal_speaks_of_a_cell_and_a_library_in_it() -> None:
    libraries: dict[str, set[str]] = {}
    for cell in plan({"zh": "zh-web", "en": "en-web"}, FULL, ["cl100k_base", "o200k_base"]):
        for name in cell.names:
            libraries.setdefault(name, set()).update(measurement.library for measurement in cell.measurements)
    for goal in GOALS:
        assert "bbpe" in libraries[goal.cell]
        assert goal.peer in ("", BEST) or goal.peer in libraries[goal.peer_cell or goal.cell]


def test_a_record_in_parts_is_as_many_cells() -> None:
    parts = {state: {"cpu_seconds": seconds} for state, seconds in (("cold", 2.0), ("hot", 1.0))}
    whole = record(1, "bbpe", 3.0, cell="encode/zh/x", parts=parts)
    failed = record(1, "tiktoken", 0.0, cell="encode/zh/x", failed="no room", part_names=["cold", "hot"])
    found = cells([whole, failed])
    assert list(found) == ["encode/zh/x/cold", "encode/zh/x/hot"]
    for state, seconds in (("cold", 2.0), ("hot", 1.0)):
        base = found[f"encode/zh/x/{state}"].bbpe
        assert base is not None
        assert base.spread("cpu_seconds").median == seconds
        assert found[f"encode/zh/x/{state}"].runs[1].failures == ("no room",)


def test_what_is_only_counted_is_compared_by_its_number() -> None:
    records = [record(1, "bbpe", 1.0), record(1, "toktok-rs", 1.0, digest={"number": 3})]
    records.append(record(1, "tuetoken", 1.0, digest={"number": 4}))
    cell = cells(records)["encode/zh/cl100k_base/cold"]
    assert [equality(runs, cell.bbpe) for runs in cell.runs] == ["–", "yes (number)", "**no**"]
    quickest = best(cell, "cpu_seconds")
    assert quickest is not None
    assert quickest.library == "toktok-rs"


def test_the_text_before_a_part_ends_where_the_part_begins(corpus: Path) -> None:
    end, before = (cut_slice(str(corpus), Part("last", 500), before=before).documents() for before in (False, True))
    assert before + end == DOCUMENTS[-len(before + end) :]
    assert before


def test_a_mixture_holds_both_corpora_evenly(corpus: Path) -> None:
    other = corpus.with_name("other.txt")
    other.write_text("\n\n".join(f"other {place}" for place in range(100)), encoding="utf-8")
    documents = cut_slice(f"{corpus}+{other}", Part("first", 100_000)).documents()
    assert sorted(documents) == sorted(DOCUMENTS + [f"other {place}" for place in range(100)])
    assert sum("other" in document for document in documents[: len(documents) // 2]) == 50


def test_pathological_texts_are_the_same_in_every_run_and_as_long_as_they_say() -> None:
    assert len(CASES) == 12
    for name, made in CASES.items():
        size = len(made().encode())
        assert size == len(made().encode())
        assert abs(size - (1_000_000 if name.endswith("1M") else 100_000)) < 10


def test_the_page_has_the_markers_of_every_block_and_filling_it_twice_changes_nothing() -> None:
    page = filled(PAGE.read_text(encoding="utf-8"), {})
    assert filled(page, {}) == page
    for name in BLOCKS:
        assert page.count(f"<!-- begin: {name} -->") == 1


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.03456, "0.0346"), (3.456, "3.46"), (34.56, "34.6"), (345.6, "346"), (34567.8, "34568")],
)
def test_three_digits_are_shown(value: float, text: str) -> None:
    assert number(value) == text


def test_the_byte_alphabet_is_that_of_published_files() -> None:
    alphabet = byte_alphabet()
    assert len(set(alphabet)) == 256
    assert (alphabet[0], alphabet[10], alphabet[32], alphabet[65], alphabet[255]) == ("Ā", "Ċ", "Ġ", "A", "ÿ")
