"""What a vocabulary costs: published sizes, and identities between the formulas."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bbpe.analysis.cost import body_parameters, break_even, embedding_cost, padded, saving
from bbpe.errors import ComparisonError

GEMMA_BODY = 7_751_245_824


def test_gemma_7b() -> None:
    """256,000 pieces in 256,128 rows of width 3,072; the account of the seed articles, to the last parameter."""
    assert body_parameters(28, 3072, 16 * 256, 24_576) == GEMMA_BODY == (50_331_648 + 226_492_416 + 6_144) * 28
    untied = embedding_cost(256_001, 3072, pad_to=128, body=GEMMA_BODY)
    assert untied.rows == 256_128
    assert untied.parameters == 2 * 786_825_216
    assert untied.total_parameters == 9_324_896_256
    tied = embedding_cost(256_001, 3072, tied=True, pad_to=128, body=GEMMA_BODY)
    assert tied.parameters == 786_825_216
    assert tied.total_parameters == 8_538_071_040


def test_llama_2_7b_and_qwen_7b() -> None:
    """Section 9.3 of the research notes."""
    llama = embedding_cost(32_000, 4096, body=6_738_415_616 - 262_144_000)
    assert llama.parameters == 262_144_000
    assert llama.share == pytest.approx(0.039, abs=0.0005)
    assert embedding_cost(151_851, 4096, pad_to=128).parameters == 1_244_659_712


def test_memory_by_dtype() -> None:
    cost = embedding_cost(1000, 64, tied=True)
    assert cost.parameters == 64_000
    assert cost.memory == {"float32": 256_000, "bfloat16": 128_000, "float16": 128_000, "int8": 64_000, "int4": 32_000}
    assert cost.total_parameters is None
    assert cost.share is None


@given(st.integers(1, 10**6), st.integers(1, 1024))
def test_padding_is_the_next_multiple(rows: int, multiple: int) -> None:
    found = padded(rows, multiple)
    assert found % multiple == 0
    assert rows <= found < rows + multiple


@given(
    st.integers(1000, 300_000), st.integers(1000, 300_000), st.sampled_from([1024, 4096]), st.integers(10**8, 10**10)
)
def test_at_the_break_even_the_compute_is_equal(rows: int, baseline: int, d_model: int, body: int) -> None:
    """n(1 − δ)(N + dV) = n(N + dV₀) where δ is the break-even; a little more saved is cheaper, a little less dearer."""
    share = break_even(rows, baseline, d_model, body)
    n = 10**9
    tokens = round(n * (1 - share))
    found = saving(tokens, n, rows=rows, baseline_rows=baseline, d_model=d_model, body=body)
    assert found.break_even_share == share
    assert found.compute_ratio == pytest.approx(1, abs=1e-8)
    cheaper = saving(tokens - 10**6, n, rows=rows, baseline_rows=baseline, d_model=d_model, body=body)
    assert cheaper.compute_ratio is not None
    assert cheaper.compute_ratio < 1


def test_saving_by_hand() -> None:
    """80 of 100 tokens; 10 + 2·5 = 20 against 10 + 2·2 = 14 per token: 1,600 against 1,400 multiplications."""
    found = saving(80, 100, rows=5, baseline_rows=2, d_model=2, body=10)
    assert (found.saved_tokens, found.saved_share) == (20, 0.2)
    assert found.break_even_share == 2 * 3 / 20
    assert found.compute_ratio == 1600 / 1400
    assert found.inference_flops_saved == 2 * (1400 - 1600)
    assert found.training_flops_saved == 6 * (1400 - 1600)


def test_without_a_body_only_tokens_are_told() -> None:
    found = saving(80, 100, rows=5, baseline_rows=2, d_model=2)
    assert found.saved_tokens == 20
    assert found.compute_ratio is found.break_even_share is found.training_flops_saved is None


@pytest.mark.parametrize(("name", "value"), [("d_model", 0), ("pad_to", -1), ("body", 0)])
def test_sizes_that_no_model_has_are_refused(name: str, value: int) -> None:
    with pytest.raises(ComparisonError, match=r"is -?\d; expected at least 1"):
        embedding_cost(100, **{"d_model": 8, name: value})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="d_model is an integer"):
        embedding_cost(100, 8.5)  # type: ignore[arg-type]
