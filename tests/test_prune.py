"""A pruned vocabulary keeps what the corpus needs, and everything that it keeps can still be reached."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import ANYTHING, tokenizer_of, vocabularies

import bbpe
from bbpe import PruningReport, SpecialToken, Template, Tokenizer, Vocabulary, get_pattern, reference
from bbpe.embeddings import EmbeddingPlan, select_rows
from bbpe.errors import BbpeError, FormatError, GuaranteeError, TrainingError
from bbpe.extension import pruning
from bbpe.extension.guarantees import made_by_merges

TINY = Path(__file__).parent.parent / "corpora" / "tiny"
ZH, EN = TINY / "train" / "zh.txt", TINY / "train" / "en.txt"


@pytest.fixture(scope="module")
def base() -> Tokenizer:
    return bbpe.train([ZH, EN], 1500, special_tokens=["<s>", "</s>"])


def test_only_leaves_go_and_the_least_frequent_first() -> None:
    """``ab`` 5 times, ``cd`` 3, ``abc`` 2 times, of which ``abc`` takes an ``ab`` each.

    Leaves are ``cd`` (3) and ``abc`` (2): ``abc`` goes, and gives its 2 to ``ab``, which is a leaf now, with 3 + 2.
    Then ``cd`` (3) goes before ``ab`` (5).
    """
    tokens = {97: b"a", 98: b"b", 99: b"c", 100: b"d", 200: b"ab", 201: b"abc", 202: b"cd"}
    tokens.update({byte: bytes([byte]) for byte in range(200) if byte not in tokens})
    merges = [(97, 98), (200, 99), (99, 100)]
    base = Tokenizer(Vocabulary(tokens, merges=merges, pattern=get_pattern("llama3")))
    corpus = ["ab"] * 3 + ["abc"] * 2 + ["cd"] * 3
    first = bbpe.prune(base, corpus, 202)
    assert [(token.id, token.count) for token in first.report.removed] == [(201, 2)]
    two = bbpe.prune(base, corpus, 201)
    assert [(token.id, token.token, token.count) for token in two.report.removed] == [(201, "abc", 2), (202, "cd", 3)]
    assert two.tokenizer.tokens("abcd") == [b"ab", b"c", b"d"]
    assert two.old_ids == (*range(200), 200)
    row = two.report.corpus
    assert (row.documents, row.documents_changed, row.tokens_before, row.tokens_after) == (8, 5, 8, 13)


@given(vocabularies(b"ab"), st.lists(st.text("ab", min_size=1, max_size=9), min_size=1, max_size=5), st.data())
@settings(max_examples=80)
def test_whatever_is_kept_stays_reachable(
    made: reference.Vocabulary, documents: list[str], data: st.DataObject
) -> None:
    made = reference.replace(made, pattern=ANYTHING)
    least = sum(len(token) == 1 for token in made.tokens.values())
    keep = data.draw(st.integers(least, max(least, len(made) - 1)))
    if keep >= len(made):
        return
    pruned = bbpe.prune(tokenizer_of(made), documents, keep)
    kept = {new: made.tokens[old] for new, old in enumerate(pruned.old_ids)}
    assert dict(pruned.tokenizer.vocabulary.tokens) == kept
    assert len(kept) == keep
    plain = reference.replace(made, whole_pretoken=False)
    smaller = pruned.tokenizer.vocabulary.replace(whole_pretoken=False)
    for new, old in enumerate(pruned.old_ids):
        token = made.tokens[old]
        if reference.encode_pretoken(token, plain) == [old]:
            assert Tokenizer(smaller).encode_bytes(token) == [new]
    text = data.draw(st.text("ab", max_size=12))
    before, after = reference.encode(text, made), pruned.tokenizer.encode(text)
    if set(before) <= set(pruned.old_ids):
        assert [pruned.old_ids[id] for id in after] == before


def test_what_the_corpus_never_uses_costs_nothing(base: Tokenizer) -> None:
    text = "\n".join(ZH.read_text("utf-8").splitlines()[:40])
    used = len(set(base.encode(text)))
    pruned = bbpe.prune(base, [text], base.vocab_size - 300)
    assert used < 700
    row = pruned.report.corpus
    assert (row.tokens_before, row.tokens_after, row.documents_changed) == (base.count(text),) * 2 + (0,)
    assert {token.count for token in pruned.report.removed} == {0}


def test_special_tokens_template_and_record(base: Tokenizer, tmp_path: Path) -> None:
    told = Tokenizer(base.vocabulary.replace(template=Template((1498,), (1499,))))
    pruned = bbpe.prune(told, EN, 1000)
    vocabulary = pruned.tokenizer.vocabulary
    assert pruned.tokenizer.special_tokens == {"<s>": 998, "</s>": 999}
    assert vocabulary.template == Template((998,), (999,))
    assert pruned.old_ids[998:] == (1498, 1499)
    assert sorted(pruned.old_ids) == list(pruned.old_ids)
    assert made_by_merges(pruned.tokenizer)[1] == []
    text = pruned.report.to_json()
    assert PruningReport.from_json(text) == pruned.report
    assert bbpe.prune(told, EN, 1000, threads=1).report.to_json() == text
    pruned.save(tmp_path / "out")
    assert (tmp_path / "out" / "pruning.json").read_text("utf-8") == text
    loaded = bbpe.load(tmp_path / "out")
    assert loaded.encode(EN.read_text("utf-8")) == pruned.tokenizer.encode(EN.read_text("utf-8"))
    for broken in (
        "[]",
        "{}",
        '{"format": "bbpe-extension"}',
        text.replace('"format_version": 1', '"format_version": 7'),
    ):
        with pytest.raises(FormatError):
            PruningReport.from_json(broken)


def test_pruned_and_extended_at_constant_size(base: Tokenizer) -> None:
    """The rows of the matrix follow both steps: a new token's row is the mean of rows of the first matrix."""
    smaller = bbpe.prune(base, ZH, 1200)
    made = bbpe.extend(smaller.tokenizer, ZH, add=300)
    assert len(made.tokenizer) == len(base)
    assert made.tokenizer.id_space == base.id_space
    assert made.report.corpora[0].tokens_after < base.count(ZH.read_text("utf-8"))
    matrix = np.arange(1500 * 2, dtype=np.float32).reshape(1500, 2)
    rows = made.plan.initialise(select_rows(matrix, smaller.old_ids))
    assert rows.shape == (1500, 2)
    id = made.plan.new_ids[7]
    mean = matrix[[smaller.old_ids[part] for part in made.plan.parts(id)]].mean(axis=0)
    np.testing.assert_allclose(rows[id], mean, rtol=1e-6)
    word = next(token for token in base.vocabulary.tokens.values() if token.startswith(b" th"))
    new_id = smaller.tokenizer.vocabulary.ids.get(word)
    assert new_id is None or rows[new_id].tolist() == matrix[base.vocabulary.ids[word]].tolist()
    assert isinstance(made.plan, EmbeddingPlan)


def test_a_special_token_that_is_a_token_too_stays(base: Tokenizer) -> None:
    id, token = next((id, token) for id, token in reversed(base.vocabulary.tokens.items()) if token.isalpha())
    told = Tokenizer(base.vocabulary.replace(special_tokens=[SpecialToken(token.decode(), id)]))
    assert id in bbpe.prune(told, ZH, 400).old_ids


@pytest.mark.parametrize(("keep", "message"), [(257, "at least 258"), (1500, "fewer than the 1,500"), (9999, "fewer")])
def test_keep_out_of_range(base: Tokenizer, keep: int, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        bbpe.prune(base, ZH, keep)


def test_bad_input(base: Tokenizer, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="keep is an integer"):
        bbpe.prune(base, ZH, 1000.5)  # type: ignore[arg-type]
    with pytest.raises(TrainingError, match="can be read only once"):
        bbpe.prune(base, iter(["a"]), 1000)
    with pytest.raises(BbpeError):
        bbpe.prune(base, tmp_path / "none", 1000)
    with pytest.raises(BbpeError):
        bbpe.prune(base, [""], 1000)


def test_a_token_that_would_be_lost_is_found_out(base: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Taking the most frequent tokens, leaves or not, breaks what is made of them."""

    def any_token(vocabulary: Vocabulary, frequencies: object, wanted: int) -> list[tuple[int, int]]:
        return [(id, 0) for id in list(vocabulary.tokens)[256 : 256 + wanted]]

    monkeypatch.setattr(pruning, "_leaves", any_token)
    with pytest.raises(GuaranteeError, match="could not be reached any more"):
        bbpe.prune(base, ZH, 1490)
