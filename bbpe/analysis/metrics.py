"""What is measured of a tokenizer on a text: each metric a pure function of counts, with formula, unit and source.

What it does: arithmetic. Every ratio is a ratio of corpus totals, never a mean of ratios: the mean over lines of tokens
per character gives a short line the weight of a long one, and tells nobody what a corpus costs.

What it does not: encode or read anything (``comparison.py`` counts), or price a vocabulary (``cost.py``).

T is a tokenizer, x a document, |T(x)| its tokens, |x|_c its characters (code points), |x|_b its bytes of UTF-8. Sums run
over all documents of a corpus.

Sources: (1) Petrov et al. 2023, "Language Model Tokenizers Introduce Unfairness Between Languages", arXiv 2305.15425.
(2) Dagan et al. 2024, "Getting the most out of your tokenizer", arXiv 2402.01035. (3) Zouhar et al. 2023, "Tokenization
and the Noiseless Channel", arXiv 2306.16842. (4) Cognetta et al. 2024, "Two Counterexamples to Tokenization and the
Noiseless Channel", arXiv 2402.14614. (5) Rust et al. 2021, "How Good is Your Tokenizer?", arXiv 2012.15613. (6) STRR,
arXiv 2510.09947. (7) Foroutan et al. 2025, "Parity-Aware Byte-Pair Encoding", arXiv 2508.04796.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "RENYI_POWER",
    "bytes_per_token",
    "characters_per_token",
    "continued_share",
    "cut_character_share",
    "digit_policy",
    "fertility",
    "gini",
    "histogram",
    "invalid_token_share",
    "nsl",
    "parity",
    "rate",
    "renyi_efficiency",
    "renyi_entropy",
    "single_token_retention",
    "tokens_per_character",
    "tokens_per_document",
    "tokens_per_line",
    "unknown_share",
    "utilisation",
]

RENYI_POWER = 2.5
"""The power that source (3) found to go best with the quality of translation."""

Counts = npt.NDArray[np.int64]


def tokens_per_character(tokens: int, characters: int) -> float:
    """Σ|T(x)| ÷ Σ|x|_c, in tokens per code point. The "average token count" of Chinese articles: Llama 2 has 1.45.

    >>> tokens_per_character(145, 100)
    1.45
    """
    return tokens / characters


def characters_per_token(tokens: int, characters: int) -> float:
    """Σ|x|_c ÷ Σ|T(x)|, in code points per token. A tokenizer that loses text has a good one: see ``lossless``."""
    return characters / tokens


def bytes_per_token(tokens: int, bytes: int) -> float:
    """Σ|x|_b ÷ Σ|T(x)|, in bytes of UTF-8 per token.

    The one unit that is the same in all scripts: a Chinese character is 3 bytes, an English letter 1.
    """
    return bytes / tokens


def tokens_per_document(tokens: int, documents: int) -> float:
    """Σ|T(x)| ÷ documents."""
    return tokens / documents


def tokens_per_line(tokens: int, lines: int) -> float:
    """Σ|T(x)| ÷ lines that hold text: the "average token count" of the tables over a parallel corpus."""
    return tokens / lines


def nsl(tokens: int, baseline_tokens: int) -> float:
    """Normalized sequence length: Σ|T(x)| ÷ Σ|β(x)| for a named baseline β; below 1 is shorter. Source (2)."""
    return tokens / baseline_tokens


def parity(tokens: int, other_tokens: int) -> float:
    """Σ|T(a)| ÷ Σ|T(b)| over texts a and b that say the same; 1 is fair. Source (1), where it is called premium."""
    return tokens / other_tokens


def gini(costs: Sequence[float]) -> float:
    """Inequality over languages: Σ_i Σ_j |c_i − c_j| ÷ (2 n² μ); 0 is equal, (n − 1)/n is all in one. Source (7).

    Args:
        costs: One for each language: tokens of the same content, so of parallel text.

    >>> gini([1, 1, 1]), gini([0, 0, 3])
    (0.0, 0.6666666666666666)
    """
    values = np.sort(np.asarray(costs, dtype=np.float64))
    n = len(values)
    # Of sorted values Σ_i Σ_j |c_i − c_j| is 2 Σ_i (2i − n − 1) c_i, with i from 1.
    return float(((2 * np.arange(1, n + 1) - n - 1) * values).sum() / (n * values.sum()))


def fertility(word_tokens: int, words: int) -> float:
    """Σ|T(w)| ÷ words, in tokens per word; every occurrence of a word counts. Source (5).

    Means nothing without the rule that says what a word is: see ``words.py``.
    """
    return word_tokens / words


def continued_share(continued: int, words: int) -> float:
    """Σ 1[|T(w)| ≥ 2] ÷ words: the share of words, as they occur, that are cut. Source (5)."""
    return continued / words


def single_token_retention(single: int, forms: int) -> float:
    """Σ 1[|T(w_i)| = 1] ÷ n over n distinct words: a share, each word once. Source (6)."""
    return single / forms


def unknown_share(unknown: int, tokens: int) -> float:
    """(emitted tokens that stand for text no token covers) ÷ Σ|T(x)|. Such text is lost: source (1) leaves out
    tokenizers with more than a tenth of it, and so should a reader."""
    return unknown / tokens


def cut_character_share(whole: int, characters: int) -> float:
    """1 − (characters that lie whole inside one token) ÷ characters: the share of characters, as they occur, that two
    or more tokens have to spell (or that are lost).

    "A Chinese character is very likely cut into two or more tokens" is a statement about this number; a mean such as
    1.45 tokens per character is not, for whole words pull it down.
    """
    return 1 - whole / characters


def invalid_token_share(invalid: int, tokens: int) -> float:
    """(emitted tokens whose bytes are not valid UTF-8 by themselves) ÷ Σ|T(x)|: what garbles streamed output."""
    return invalid / tokens


def utilisation(used: int, vocab_size: int) -> float:
    """#{t that occurs in the encoded corpus} ÷ |V|. It grows with the corpus: compare only on the same text."""
    return used / vocab_size


def renyi_entropy(counts: Counts, power: float = RENYI_POWER) -> float:
    """H_α = log₂(Σ p_i^α) ÷ (1 − α) in bits, p the shares of the tokens; α = 1 is Shannon's −Σ p log₂ p. Source (3).

    Args:
        counts: Occurrences of each token; zeros do not matter.
        power: α, at least 0.

    >>> renyi_entropy(np.array([1, 1, 1, 1]), 2.5)
    2.0
    """
    used = counts[counts > 0].astype(np.float64)
    shares = used / used.sum()
    if power == 1:
        return float(-(shares * np.log2(shares)).sum())
    return float(np.log2((shares**power).sum()) / (1 - power))


def renyi_efficiency(entropy: float, entries: int) -> float:
    """H_α ÷ log₂ n, a share of the entropy that n equally frequent tokens would have. Source (3).

    Args:
        entropy: Of the tokens, in bits.
        entries: |V|, or the number of distinct tokens observed: two different figures, and both are in use. The second
            does not see tokens that are never used.

    It is not a measure of quality: source (4) raises it at will while the translations get worse.
    """
    return entropy / math.log2(entries) if entries > 1 else 1.0


def rate(amount: int, seconds: float) -> float:
    """An amount per second."""
    return amount / seconds


def digit_policy(tokens_of_runs: Sequence[Sequence[int]]) -> str:
    """How runs of digits are cut.

    Args:
        tokens_of_runs: For several runs of digits, the lengths in digits of their tokens.

    Returns:
        ``"single"``: always one digit a token. ``"up to 3"``: groups from the left, at most three each, and always
        three while there are three. ``"up to 3 from the right"``: the same from the right. ``"learned"``: as merges
        have it. ``"lost"``: a run gives nothing.

    >>> digit_policy([[1, 1, 1, 1]]), digit_policy([[3, 1], [3, 3, 2]]), digit_policy([[1, 3]])
    ('single', 'up to 3', 'up to 3 from the right')
    """
    if not tokens_of_runs or any(not run for run in tokens_of_runs):
        return "lost"
    if all(set(run) == {1} for run in tokens_of_runs):
        return "single"
    if all(set(run[:-1]) <= {3} and run[-1] <= 3 for run in tokens_of_runs):
        return "up to 3"
    if all(set(run[1:]) <= {3} and run[0] <= 3 for run in tokens_of_runs):
        return "up to 3 from the right"
    return "learned"


def histogram(ids: npt.NDArray[Any], id_space: int) -> Counts:
    """Occurrences of each id; int64 of shape (id_space,)."""
    return np.bincount(ids, minlength=id_space).astype(np.int64, copy=False)
