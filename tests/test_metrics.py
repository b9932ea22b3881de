"""Metrics: each on numbers that can be worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bbpe.analysis import metrics
from bbpe.analysis.words import words_of


def counts(*values: int) -> npt.NDArray[np.int64]:
    return np.array(values, dtype=np.int64)


def test_ratios_of_totals() -> None:
    assert metrics.tokens_per_character(30, 20) == 1.5
    assert metrics.characters_per_token(30, 60) == 2.0
    assert metrics.bytes_per_token(30, 90) == 3.0
    assert metrics.tokens_per_document(30, 4) == 7.5
    assert metrics.tokens_per_line(30, 5) == 6.0
    assert metrics.nsl(30, 40) == 0.75
    assert metrics.parity(90, 45) == 2.0
    assert metrics.rate(10, 4.0) == 2.5


def test_gini_of_hand_worked_costs() -> None:
    """c = (1, 3): Σ|ci − cj| = 2·2 = 4; 2 n² μ = 2·4·2 = 16; so 1/4."""
    assert metrics.gini([1, 3]) == 0.25
    assert metrics.gini([5, 5, 5, 5]) == 0
    assert metrics.gini([0, 0, 0, 8]) == 0.75


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=12))
def test_gini_is_its_definition(costs: list[int]) -> None:
    n, mean = len(costs), sum(costs) / len(costs)
    by_definition = sum(abs(a - b) for a in costs for b in costs) / (2 * n * n * mean)
    assert metrics.gini(costs) == pytest.approx(by_definition, abs=1e-9)
    assert metrics.gini([7 * cost for cost in costs]) == pytest.approx(metrics.gini(costs), abs=1e-9)


def test_words_cut_and_kept() -> None:
    """Three words of 1, 2 and 4 tokens that occur 5, 3 and 2 times: 5 + 6 + 8 = 19 tokens of 10 words."""
    assert metrics.fertility(19, 10) == 1.9
    assert metrics.continued_share(3 + 2, 10) == 0.5
    assert metrics.single_token_retention(1, 3) == pytest.approx(1 / 3)


def test_shares() -> None:
    assert metrics.cut_character_share(25, 100) == 0.75
    assert metrics.invalid_token_share(3, 12) == 0.25
    assert metrics.utilisation(50, 200) == 0.25
    assert metrics.unknown_share(1, 8) == 0.125


def test_renyi_entropy_by_hand() -> None:
    """p = (1/2, 1/4, 1/4). Shannon: 1/2·1 + 2·1/4·2 = 1.5. Power 2: −log₂(1/4 + 1/16 + 1/16) = log₂(8/3)."""
    tokens = counts(2, 0, 1, 1)
    assert metrics.renyi_entropy(tokens, 1) == pytest.approx(1.5)
    assert metrics.renyi_entropy(tokens, 2) == pytest.approx(math.log2(8 / 3))
    assert metrics.renyi_entropy(tokens, 0) == pytest.approx(math.log2(3))


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=30).filter(any), st.floats(0.1, 5))
def test_renyi_entropy_falls_with_its_power_and_is_at_most_the_logarithm(values: list[int], power: float) -> None:
    tokens = counts(*values)
    entropy = metrics.renyi_entropy(tokens, power) if power != 1 else metrics.renyi_entropy(tokens, 1)
    assert metrics.renyi_entropy(tokens, power + 1) <= entropy + 1e-9
    observed = int((tokens > 0).sum())
    assert metrics.renyi_efficiency(entropy, observed) <= 1 + 1e-9


def test_renyi_efficiency_of_all_entries_sees_those_never_used() -> None:
    entropy = metrics.renyi_entropy(counts(1, 1, 1, 1))
    assert metrics.renyi_efficiency(entropy, 4) == pytest.approx(1.0)
    assert metrics.renyi_efficiency(entropy, 16) == pytest.approx(0.5)
    assert metrics.renyi_efficiency(0.0, 1) == 1.0


@pytest.mark.parametrize(
    ("runs", "policy"),
    [
        ([[1], [1, 1], [1, 1, 1]], "single"),
        ([[1], [2], [3], [3, 1], [3, 3, 2]], "up to 3"),
        ([[1], [2], [3], [1, 3], [2, 3, 3]], "up to 3 from the right"),
        ([[1], [2], [2, 2]], "learned"),
        ([[4], [5]], "learned"),
        ([[1], []], "lost"),
        ([], "lost"),
    ],
)
def test_digit_policy(runs: list[list[int]], policy: str) -> None:
    assert metrics.digit_policy(runs) == policy


def test_histogram_has_a_place_for_every_id() -> None:
    ids = np.array([3, 1, 3], dtype=np.uint32)
    assert metrics.histogram(ids, 6).tolist() == [0, 1, 0, 2, 0, 0]
    assert metrics.histogram(ids[:0], 2).tolist() == [0, 0]


# --- words ------------------------------------------------------------------------------------------------------------


def test_a_word_carries_the_space_before_it() -> None:
    found = words_of(["The cat's hat; the hat (2019)"])
    assert dict(zip(found.forms, found.occurrences, strict=True)) == {
        "The": 1,
        " cat's": 1,
        " hat": 2,
        " the": 1,
        "2019": 1,
    }


def test_chinese_is_never_split_at_spaces() -> None:
    """One clause is not one word."""
    found = words_of(["我们去北京", "我们的 GPU"])
    assert dict(zip(found.forms, found.occurrences, strict=True)) == {
        "我": 2,
        "们": 2,
        "去": 1,
        "北": 1,
        "京": 1,
        "的": 1,
        " GPU": 1,
    }


def test_scripts_without_spaces_go_by_letters_with_their_marks() -> None:
    assert set(words_of(["かな カナ ภาษา ที่นี่"]).forms) == {"か", "な", "カ", "ナ", "ภ", "า", "ษ", "ที่", "นี่"}


def test_marks_do_not_break_words() -> None:
    assert set(words_of(["हिन्दी cafe\u0301"]).forms) == {"हिन्दी", " cafe\u0301"}


def test_words_by_jieba() -> None:
    pytest.importorskip("jieba")
    found = words_of(["我爱北京天安门 and GPU"], "jieba")
    assert set(found.forms) == {"我", "爱", "北京", "天安门", " and", " GPU"}
    assert found.rule.startswith("jieba 0.")


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown word rule 'icu'; known: characters, jieba"):
        words_of(["a"], "icu")  # type: ignore[arg-type]
