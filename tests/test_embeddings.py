"""The rows that an extended vocabulary starts with, against plain Python's means and against ml_dtypes."""

from __future__ import annotations

import json
import math
import os
import random
import re
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bbpe
from bbpe import embeddings, save, train
from bbpe.embeddings import METHODS, EmbeddingPlan, bits_to_float32, float32_to_bits, select_rows
from bbpe.errors import VocabularyError

PLAN = EmbeddingPlan.of({20: [3, 5], 21: [7], 22: [1, 2, 3, 4], 9: [6, 6, 5]}, old_rows=20)  # 9 was a reserved id


def matrix(rows: int = 20, width: int = 6, dtype: Any = np.float32, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=(rows, width)).astype(dtype)


def bfloat16() -> Any:
    return pytest.importorskip("ml_dtypes").bfloat16


# --- the plan ---


def test_a_plan_knows_the_parts_of_each_new_id() -> None:
    assert PLAN.new_ids == (9, 20, 21, 22)
    assert (PLAN.old_rows, PLAN.new_rows) == (20, 23)
    assert {id: list(PLAN.parts(id)) for id in PLAN.new_ids} == {20: [3, 5], 21: [7], 22: [1, 2, 3, 4], 9: [6, 6, 5]}
    for id in (0, 8, 10, 23, -1):
        with pytest.raises(VocabularyError, match=f"id {id} is not one of the 4 new ids"):
            PLAN.parts(id)


def test_a_plan_goes_through_json_unchanged() -> None:
    plan = EmbeddingPlan.of(dict(zip(PLAN.new_ids, PLAN.token_parts, strict=True)), old_rows=20, donor_ids={21: 400})
    assert EmbeddingPlan.from_json(plan.to_json()) == plan
    assert EmbeddingPlan.from_record(json.loads(json.dumps(plan.to_record()))) == plan
    empty = EmbeddingPlan.of({}, old_rows=20, new_rows=24)
    assert EmbeddingPlan.from_json(empty.to_json()) == empty
    assert plan.to_json().count("\n") == 2 + 2 + 6 + 3  # one line a token


def test_numpy_integers_become_plain_ones() -> None:
    ids = np.array([3, 5], dtype=np.uint32)
    plan = EmbeddingPlan.of({np.int64(20): ids}, old_rows=np.int64(20))
    assert EmbeddingPlan.from_json(plan.to_json()) == plan
    assert type(plan.parts(20)[0]) is int


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no embedding plan"),
        ("[]", "it is no object"),
        ("{}", "old_rows|parts"),
        ('{"old_rows": 20, "new_rows": 21, "parts": {"20": [1.5]}}', "1.5 is no integer"),
        ('{"old_rows": 20, "new_rows": 21, "parts": {"20": [true]}}', "True is no integer"),
        ('{"old_rows": 20, "new_rows": 21, "parts": {"x": [1]}}', "no embedding plan"),
        ('{"old_rows": 20, "new_rows": 21, "parts": {"20": []}}', "new id 20 has no parts"),
        ('{"old_rows": 20, "new_rows": 21, "parts": {"20": [20]}}', "part 20 of new id 20 is no id of the base"),
        ('{"old_rows": 20, "new_rows": 21, "parts": {"20": [-1]}}', "part -1 of new id 20"),
        ('{"old_rows": 20, "new_rows": 21, "parts": {"20": [3], "3": [4]}}', "part 3 of new id 20"),
        ('{"old_rows": 20, "new_rows": 21, "parts": {"21": [3]}}', "new id 21 after -1: .* below 21"),
        ('{"old_rows": 20, "new_rows": 19, "parts": {}}', "20 rows cannot have 19"),
        ('{"old_rows": 20, "new_rows": 21, "parts": {"20": [3]}, "donor_ids": {"4": 5}}', "donor id 5 of id 4"),
        ("[" * 100_000, "no embedding plan"),
    ],
)
def test_what_is_no_plan_is_refused(text: str, message: str) -> None:
    with pytest.raises(VocabularyError, match=message):
        EmbeddingPlan.from_json(text)


def test_a_plan_whose_lists_disagree_is_refused() -> None:
    with pytest.raises(VocabularyError, match="2 new ids, but the parts of 1"):
        EmbeddingPlan(20, 22, (20, 21), ((1,),))
    with pytest.raises(VocabularyError, match="new id 20 after 21"):
        EmbeddingPlan(20, 22, (21, 20), ((1,), (2,)))


# --- rows ---


def weights_of(count: int, method: str) -> list[Fraction]:
    """The weights that METHODS describes, exactly."""
    raw = {
        "mean": [Fraction(1)] * count,
        "first": [Fraction(1)] + [Fraction(0)] * (count - 1),
        "last": [Fraction(0)] * (count - 1) + [Fraction(1)],
        "weighted-first": [Fraction(1, 2**place) for place in range(count)],
        "weighted-last": [Fraction(2**place) for place in range(count)],
    }[method]
    return [weight / sum(raw) for weight in raw]


@pytest.mark.parametrize("method", sorted(METHODS.keys() - {"mean+noise"}))
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "bfloat16"])
def test_new_rows_are_the_weighted_mean_rounded_once(method: str, dtype: str) -> None:
    base = matrix(dtype=bfloat16() if dtype == "bfloat16" else dtype)
    result = PLAN.initialise(base, method)
    assert (result.shape, result.dtype) == ((23, 6), base.dtype)
    for id in PLAN.new_ids:
        parts = PLAN.parts(id)
        for column in range(6):
            exact = sum(
                weight * Fraction(float(base[part, column]))
                for weight, part in zip(weights_of(len(parts), method), parts, strict=True)
            )
            found = float(result[id, column])
            expected = float(np.asarray(float(exact), dtype=base.dtype))
            assert found == pytest.approx(expected, rel=1e-15 if dtype == "float64" else 0, abs=1e-16), (id, column)
    old = [id for id in range(20) if id != 9]
    assert result[old].tobytes() == base[old].tobytes()


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_old_rows_stay_and_new_ones_are_in_the_hull_of_the_parts(data: st.DataObject) -> None:
    old = data.draw(st.integers(4, 30))
    padding = data.draw(st.integers(0, 5))
    reserved = data.draw(st.sets(st.integers(0, old - 2), max_size=2))
    usable = st.sampled_from([id for id in range(old) if id not in reserved])
    ids = [*reserved, *data.draw(st.sets(st.integers(old, old + 12), max_size=6))]
    plan = EmbeddingPlan.of(
        {id: data.draw(st.lists(usable, min_size=1, max_size=5)) for id in ids},
        old_rows=old,
        new_rows=old + 13 if data.draw(st.booleans()) else None,
    )
    method = data.draw(st.sampled_from(sorted(METHODS.keys() - {"mean+noise"})))
    base = matrix(old + padding, 3, seed=old)
    result = plan.initialise(base, method)
    assert len(result) == max(old + padding, plan.new_rows)
    kept = [id for id in range(old + padding) if id not in plan.new_ids]
    assert result[kept].tobytes() == base[kept].tobytes()
    for id in plan.new_ids:
        rows = base[list(plan.parts(id))].astype(np.float64)
        assert (result[id] >= rows.min(axis=0) - 1e-6).all()
        assert (result[id] <= rows.max(axis=0) + 1e-6).all()
    mean = base[:old].astype(np.float64).mean(axis=0)
    for id in set(range(old + padding, len(result))) - set(plan.new_ids):
        np.testing.assert_allclose(result[id], mean, rtol=1e-6, atol=1e-7)


def test_small_blocks_give_the_same_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is at work at a time decides no value."""
    random_ids = random.Random(1)
    parts = {20 + at: [random_ids.randrange(20) for _ in range(random_ids.randint(1, 7))] for at in range(500)}
    plan = EmbeddingPlan.of(parts, old_rows=20, new_rows=530)
    base = matrix(24)
    whole = {method: plan.initialise(base, method) for method in METHODS}
    for block in (1, 100, 1000):
        monkeypatch.setattr(embeddings, "_BLOCK", block)
        for method in METHODS:
            np.testing.assert_allclose(plan.initialise(base, method), whole[method], rtol=1e-6)
            if method != "mean+noise":
                assert plan.initialise(base, method)[:520].tobytes() == whole[method][:520].tobytes()


def test_padding_is_taken_first_and_the_rest_of_it_stays() -> None:
    base = matrix(32)
    result = PLAN.initialise(base)
    assert result.shape == (32, 6)
    assert result[23:].tobytes() == base[23:].tobytes()
    np.testing.assert_allclose(result[20], (base[3] + base[5]) / 2, rtol=1e-6)


def test_rows_of_no_token_are_never_likelier_than_the_average_token() -> None:
    """Jensen: the exponential of the mean logit is at most the mean of the exponentials."""
    base = matrix(20, 6) * 3
    plan = EmbeddingPlan.of({25: [1, 2]}, old_rows=20)  # 20 to 24 are a hole
    output = plan.initialise(base).astype(np.float64)
    generator = np.random.default_rng(4)
    for _ in range(50):
        exponentials = np.exp(output @ generator.normal(size=6))
        assert (exponentials[20:25] <= exponentials[:20].mean() * (1 + 1e-5)).all()


def test_rows_may_be_asked_for_but_not_fewer_than_there_are() -> None:
    assert PLAN.initialise(matrix(), rows=64).shape == (64, 6)
    for rows, have in ((22, 20), (31, 32)):
        with pytest.raises(VocabularyError, match=f"{rows} rows are too few: .* needs 23 and the matrix has {have}"):
            PLAN.initialise(matrix(have), rows=rows)


def test_a_bias_is_a_matrix_of_no_width() -> None:
    bias = matrix(20, 1)[:, 0]
    result = PLAN.initialise(bias, rows=24)
    assert result.shape == (24,)
    assert result[20] == pytest.approx((bias[3] + bias[5]) / 2)
    assert result[23] == pytest.approx(bias.mean(), rel=1e-5)


def test_noise_is_seeded_and_as_large_as_it_says() -> None:
    plan = EmbeddingPlan.of({200 + at: [at % 200, (at * 7) % 200] for at in range(400)}, old_rows=200)
    base = matrix(200, 64) * 5 + 3  # neither scale nor mean may matter
    mean = plan.initialise(base, "mean")
    noisy = plan.initialise(base, "mean+noise", seed=7, noise=0.02)
    assert noisy.tobytes() == plan.initialise(base, "mean+noise", seed=7, noise=0.02).tobytes()
    assert noisy.tobytes() != plan.initialise(base, "mean+noise", seed=8, noise=0.02).tobytes()
    drawn = (noisy - mean)[200:].astype(np.float64)
    assert drawn.std() == pytest.approx(0.02 * np.sqrt(base.var(axis=0).mean()), rel=0.02)
    assert abs(drawn.mean()) < 0.01 * drawn.std() * 3
    assert noisy[:200].tobytes() == base.tobytes()
    np.testing.assert_array_equal(plan.initialise(base, "mean+noise", noise=0.0), mean)


def test_noise_tells_tokens_of_the_same_parts_apart_also_in_bfloat16() -> None:
    plan = EmbeddingPlan.of({20: [1, 2], 21: [2, 1]}, old_rows=20)
    base = matrix(20, 64, dtype=bfloat16())
    same = plan.initialise(base, "mean")
    assert same[20].tobytes() == same[21].tobytes()
    noisy = plan.initialise(base, "mean+noise").view(np.uint16)
    assert (noisy[20] != noisy[21]).sum() > 40


def test_tokens_taken_over_are_copied_from_the_donor() -> None:
    plan = EmbeddingPlan.of({20: [1, 2], 21: [2, 1], 22: [3]}, old_rows=20, donor_ids={21: 50, 20: 7})
    base, donor = matrix(20), matrix(60, seed=9)
    result = plan.initialise(base, donor=donor)
    np.testing.assert_array_equal(result[[20, 21]], donor[[7, 50]])
    np.testing.assert_array_equal(result[22], base[3])
    assert plan.initialise(base)[21].tobytes() != result[21].tobytes()  # without a donor: the mean
    half = donor.astype(np.float16)
    np.testing.assert_array_equal(plan.initialise(base, donor=half)[21], half[50])
    bits = float32_to_bits(donor)
    np.testing.assert_array_equal(plan.initialise(base, donor=bits)[21], bits_to_float32(bits)[50])
    for wrong in (matrix(50), matrix(60, 5), matrix(60)[:, 0]):
        with pytest.raises(VocabularyError, match="donor's matrix has shape"):
            plan.initialise(base, donor=wrong)


def test_only_the_rows_that_change_can_be_had() -> None:
    base = matrix(24)
    ids, values = PLAN.new_values(base, rows=30)
    assert ids.tolist() == [9, 20, 21, 22, *range(24, 30)]
    np.testing.assert_array_equal(PLAN.initialise(base, rows=30)[ids], values)


@pytest.mark.parametrize(
    ("base", "options", "message"),
    [
        (matrix(19), {}, "19 rows, but the base vocabulary needs 20"),
        (matrix(), {"method": "median"}, "unknown method 'median'; there are mean, mean.noise, first"),
        (matrix(), {"method": "mean+noise", "noise": -1.0}, "noise -1.0 is no standard deviation"),
        (matrix(), {"method": "mean+noise", "noise": math.nan}, "noise nan"),
        (matrix(), {"seed": -1}, "seed -1 is negative"),
        (matrix(), {"seed": (1, -2)}, "is negative"),
        (matrix().astype(np.int8), {}, "a matrix of int8: .* quantised weights"),
        (matrix()[:, :, None], {}, "must be .rows, width."),
        (matrix(), {"bfloat16_bits": True}, "must come as uint16, not as float32"),
        (np.where(np.arange(120).reshape(20, 6) == 31, np.nan, 1.0), {}, "the row of new id 9 is not finite"),
        (np.full((20, 6), np.inf, dtype=np.float32), {}, "the row of new id 9 is not finite"),
    ],
)
def test_matrices_that_cannot_be_extended_are_refused(base: Any, options: dict[str, Any], message: str) -> None:
    with np.errstate(invalid="ignore"), pytest.raises(VocabularyError, match=message):
        PLAN.initialise(base, **options)


def test_float8_is_refused() -> None:
    dtype = pytest.importorskip("ml_dtypes").float8_e4m3fn
    with pytest.raises(VocabularyError, match="a matrix of float8_e4m3fn"):
        PLAN.initialise(matrix().astype(dtype))


# --- bfloat16 without ml_dtypes ---


def test_bfloat16_bits_are_those_of_ml_dtypes() -> None:
    """All 2¹⁶ patterns widen to the same floats; floats around all of them narrow to the same patterns."""
    dtype = bfloat16()
    patterns = np.arange(1 << 16, dtype=np.uint16)
    wide = bits_to_float32(patterns)
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(wide, patterns.view(dtype).astype(np.float32))
    exact = wide[np.isfinite(wide)].view(np.uint32)
    low = np.random.default_rng(0).integers(0, 1 << 16, size=len(exact), dtype=np.uint32)
    for tail in (0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF, low):  # ties among them
        values = (exact | np.uint32(tail)).view(np.float32)
        np.testing.assert_array_equal(float32_to_bits(values), values.astype(dtype).view(np.uint16))


def test_bits_and_ml_dtypes_give_the_same_rows() -> None:
    base = matrix(22, dtype=bfloat16())
    for method in METHODS:
        bits = PLAN.initialise(base.view(np.uint16), method, rows=30, bfloat16_bits=True)
        assert bits.dtype == np.uint16
        assert bits.tobytes() == PLAN.initialise(base, method, rows=30).tobytes()


# --- pruning ---


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int8])
def test_a_pruned_matrix_has_the_chosen_rows(dtype: Any) -> None:
    base = (matrix() * 10).astype(dtype)
    np.testing.assert_array_equal(select_rows(base, [4, 0, 19, 4]), base[[4, 0, 19, 4]])
    np.testing.assert_array_equal(select_rows(base[:, 0], [4, 0]), base[[4, 0], 0])


def test_a_pruned_matrix_may_be_padded() -> None:
    base = matrix()
    result = select_rows(base, range(10), rows=16)
    np.testing.assert_array_equal(result[:10], base[:10])
    np.testing.assert_allclose(result[10:], np.tile(base[:10].mean(axis=0), (6, 1)), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("ids", "rows", "message"),
    [
        ([], None, "an id map"),
        ([1.5], None, "an id map"),
        ([[1], [2]], None, "an id map"),
        ([3, 20], None, "id 20 of the id map is beyond the matrix, which has 20 rows"),
        ([3, -1], None, "id -1"),
        ([1, 2, 3], 2, "2 rows are too few for 3 ids"),
    ],
)
def test_id_maps_that_do_not_fit_are_refused(ids: Any, rows: int | None, message: str) -> None:
    with pytest.raises(VocabularyError, match=message):
        select_rows(matrix(), ids, rows=rows)


def test_pruned_integers_cannot_be_padded() -> None:
    with pytest.raises(VocabularyError, match="a matrix of int8"):
        select_rows(matrix().astype(np.int8), [1, 2], rows=4)


def test_prune_then_extend_at_constant_size() -> None:
    base = matrix()
    kept = [id for id in range(20) if id not in (11, 13)]
    plan = EmbeddingPlan.of({18: [0, 1], 19: [kept.index(12), 4]}, old_rows=18)
    result = plan.initialise(select_rows(base, kept))
    assert result.shape == base.shape
    np.testing.assert_allclose(result[19], (base[12] + base[4]) / 2, rtol=1e-6)


# --- the page about it ---


def test_every_block_of_the_page_runs_in_order(tmp_path: Path) -> None:
    package = pytest.importorskip("safetensors.numpy")
    root = Path(__file__).parent.parent
    page = (root / "docs" / "embeddings.md").read_text("utf-8")
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert [language for language, _ in blocks] == ["python", "sh", "python", "python", "python"]
    shutil.copytree(root / "corpora" / "tiny", tmp_path / "corpora" / "tiny")
    base = train(["a model speaks English and 中文 a little "] * 3, num_merges=20)
    save(base, tmp_path / "model", format="directory")
    package.save_file(
        {"model.embed_tokens.weight": matrix(280, 8), "lm_head.weight": matrix(280, 8)},
        tmp_path / "model/model.safetensors",
    )
    (tmp_path / "model" / "config.json").write_text('{"vocab_size": 280, "tie_word_embeddings": false}', "utf-8")
    environment = {**os.environ, "PYTHONPATH": str(Path(bbpe.__file__).parent.parent)}
    script = "".join(block for language, block in blocks if language == "python")
    shell = next(block for language, block in blocks if language == "sh").split()
    assert shell.pop(0) == "bbpe"
    printed = ""
    for arguments in (["-c", script], ["-c", "from bbpe.cli import main; main()", *shell]):
        done = subprocess.run(
            [sys.executable, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        printed += done.stdout
    assert "280 rows before, 326 after; ['lm_head.weight', 'model.embed_tokens.weight']" in printed
    assert len(package.load_file(tmp_path / "model-zh-2" / "model.safetensors")["lm_head.weight"]) > 280
    for method in METHODS:
        assert f"`{method}`" in page
