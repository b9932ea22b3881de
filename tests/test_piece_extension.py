"""SentencePiece bases: characters and merges by what they save, falling scores, text cut coarser and never elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

import bbpe
from bbpe import Counts, EngineTokenizer, reference
from bbpe.cli import run
from bbpe.errors import BbpeError, GuaranteeError, TrainingError
from bbpe.extension import ExtensionOptions, ExtensionReport, piece_base
from bbpe.extension.piece_base import WORDS, PieceBase
from bbpe.formats.sentencepiece_model import (
    BPE,
    BYTE,
    CONTROL,
    NORMAL,
    UNKNOWN,
    Piece,
    PieceModel,
    engine_model,
    parse,
    piece_model,
)

pytest.importorskip("sentencepiece")
TINY = Path(__file__).parent.parent / "corpora" / "tiny"
ZH, EN = TINY / "train" / "zh.txt", TINY / "train" / "en.txt"


def model_of(pieces: list[str]) -> PieceModel:
    start = [Piece("<unk>", 0.0, UNKNOWN), Piece("<s>", 0.0, CONTROL), Piece("</s>", 0.0, CONTROL)]
    start += [Piece(f"<0x{byte:02X}>", 0.0, BYTE) for byte in range(256)]
    start += [Piece(text, -float(place), NORMAL) for place, text in enumerate(pieces)]
    return piece_model(start, model_type=BPE, byte_fallback=True)


@pytest.fixture(scope="module")
def base() -> EngineTokenizer:
    """A base of English words and a few Chinese characters."""
    words = ["th", "the", "▁the", "in", "an", "er", "▁t", "▁a", "on"]
    characters = [*sorted(set(EN.read_text("utf-8")) - {"\n", " "}), "▁", "的", "一", "是", "。", "，"]
    return EngineTokenizer(engine_model(model_of(words + characters), Path("base")))


@pytest.fixture(scope="module")
def extension(base: EngineTokenizer) -> bbpe.Extension:
    return bbpe.extend(base, ZH, add=300, guard={"English": EN})


@given(
    st.dictionaries(st.text("ab的词元é", min_size=1, max_size=6), st.integers(1, 4), min_size=1, max_size=7),
    st.integers(1, 12),
)
@settings(max_examples=60, deadline=None)
def test_what_is_added_equals_the_specification(counted: dict[str, int], add: int) -> None:
    model = model_of(["的", "元", "a", "b", "ab"])
    counts = Counts.from_items({text.encode(): count for text, count in counted.items()}, pattern=WORDS)
    base = PieceBase(EngineTokenizer(engine_model(model, Path("base"))))
    learned = base.learn(counts, add, 2, 0, ExtensionOptions(add=add), None)
    texts = [piece.text if piece.kind != BYTE else "" for piece in model.pieces]
    added: list[str] = []
    for parts in learned.parts:
        if all(model.pieces[part].kind == BYTE for part in parts if part < len(model.pieces)) and max(parts) < len(texts):
            added.append(bytes(int(model.pieces[part].text[3:5], 16) for part in parts).decode())
        else:
            added.append("".join((texts + added)[part] for part in parts))
    pieces = [piece.text for piece in model.pieces]
    sequences = [(_segment(data.decode()), count) for data, count in counts.items()]
    assert added == reference.learn_pieces(sequences, pieces, add)
    assert learned.tokens[0] == sum(count * sum(map(_size, sequence)) for sequence, count in sequences)


def _size(symbol: str) -> int:
    return 1 if symbol in ("的", "元", "a", "b", "ab") else len(symbol.encode())


def _segment(text: str) -> list[str]:
    """As the base does: its one merge is a + b."""
    return reference._joined(list(text), ("a", "b"))


def test_characters_come_before_what_is_made_of_them(extension: bbpe.Extension) -> None:
    known = set("的一是。，")
    for token in extension.report.added:
        assert token.token is not None
        if len(token.token) == 1:
            known.add(token.token)
        assert set(token.token) <= known | set(EN.read_text("utf-8")) | {" "}
    saved = [token.count for token in extension.report.added]
    assert saved == sorted(saved, reverse=True)


def test_scores_fall_and_the_old_pieces_stay(base: EngineTokenizer, extension: bbpe.Extension, tmp_path: Path) -> None:
    extension.save(tmp_path / "out")
    old = parse(base.model.data, Path("old"))
    new = parse((tmp_path / "out" / "tokenizer.model").read_bytes(), Path("new"))
    assert new.pieces[: len(old.pieces)] == old.pieces
    assert (new.trainer, new.normalizer, new.byte_fallback) == (old.trainer, old.normalizer, True)
    scores = [piece.score for piece in new.pieces[len(old.pieces) :]]
    assert len(scores) == 300
    assert scores == sorted(set(scores), reverse=True)
    assert scores[0] < min(piece.score for piece in old.pieces)


def test_what_is_written_is_read_by_sentencepiece_and_tokenizers(extension: bbpe.Extension, tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    sentencepiece = pytest.importorskip("sentencepiece")
    saved = extension.save(tmp_path / "out")
    assert [path.name for path in saved.files] == [
        *("extension.json", "tokenizer.json", "tokenizer.model", "tokenizer_config.json")
    ]
    processor = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "out" / "tokenizer.model"))
    fast = tokenizers.Tokenizer.from_file(str(tmp_path / "out" / "tokenizer.json"))
    for path in sorted(TINY.rglob("*.txt")):
        for line in path.read_text("utf-8").splitlines():
            ids = extension.tokenizer.encode(line)
            assert processor.encode(line) == ids
            assert fast.encode(line, add_special_tokens=False).ids == ids
    assert processor.encode("鿿")[1:] == [3 + byte for byte in "鿿".encode()]  # byte fallback intact
    report = ExtensionReport.from_json((tmp_path / "out" / "extension.json").read_text("utf-8"))
    assert report == extension.report
    with pytest.raises(BbpeError, match="exists"):
        extension.save(tmp_path / "out")


def test_the_report(base: EngineTokenizer, extension: bbpe.Extension) -> None:
    zh, en = extension.report.corpora
    lines = ZH.read_text("utf-8").splitlines(keepends=True)
    assert zh.tokens_before == sum(map(base.count, lines))
    assert zh.tokens_after == sum(map(extension.tokenizer.count, lines)) < 0.75 * zh.tokens_before
    assert en.role == "guard"
    assert extension.plan.new_ids == tuple(range(len(base), len(base) + 300))
    for token in extension.report.added:
        parts = b"".join(base.model.tokens[part] for part in extension.plan.parts(token.id))
        assert parts.decode() == token.token
        assert token.witness.text is not None
        assert token.id in extension.tokenizer.encode(token.witness.text)


def test_a_script_and_a_limit_of_characters(base: EngineTokenizer) -> None:
    made = bbpe.extend(base, ZH, add=200, script="Han", max_chars=2)
    assert all(1 <= len((token.token or "").strip()) <= 2 for token in made.report.added)
    assert not any(character in "，。、" for token in made.report.added for character in token.token or "")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"add": 5, "utf8_safe": False}, "SentencePiece's pieces are whole characters"),
        ({"add": 5, "min_count": 10**6}, "no new merges to learn"),
        ({"add": 5, "ids_from": 30}, "but the base has ids up to"),
        ({"add": 5, "reuse_reserved": True}, "no reserved or unused ids"),
    ],
)
def test_what_is_not_for_pieces(base: EngineTokenizer, options: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        bbpe.extend(base, ZH, **options)


def test_a_base_without_byte_fallback_is_refused() -> None:
    model = piece_model([Piece("<unk>", 0.0, UNKNOWN), Piece("a", -1.0)], model_type=BPE, byte_fallback=False)
    with pytest.raises(TrainingError, match="no byte fallback"):
        bbpe.extend(EngineTokenizer(engine_model(model, Path("x"))), ["a"], add=1)


def test_the_command_takes_a_model_file(
    base: EngineTokenizer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tokenizer.model").write_bytes(base.model.data)
    arguments = ["extend", str(tmp_path / "tokenizer.model"), str(ZH), "--add", "50", "-o", str(tmp_path / "out")]
    assert run(arguments) == 0
    assert "50 added tokens" in capsys.readouterr().out
    assert run([*arguments, "--force"]) == 0
    assert len(bbpe.load(tmp_path / "out" / "tokenizer.model")) == len(base) + 50


def test_pieces_of_scripts_without_spaces_begin_with_none(extension: bbpe.Extension) -> None:
    spaced = [token.token for token in extension.report.added if (token.token or "").startswith(" ")]
    assert not any(regex.search(r"\p{Han}", text or "") for text in spaced)


def test_scores_like_chinese_llamas_are_found_out(base: EngineTokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    """All new pieces with one high score merge before the base's own: text is then cut in new places."""
    with_falling = PieceBase.extended

    def with_equal(self: PieceBase, *arguments: Any) -> PieceModel:
        made = with_falling(self, *arguments)
        first = len(self.model.pieces)
        equal = [piece._replace(score=1.0) if id >= first else piece for id, piece in enumerate(made.pieces)]
        return piece_base.replace(made, pieces=tuple(equal))

    monkeypatch.setattr(PieceBase, "extended", with_equal)
    with pytest.raises(GuaranteeError, match="cut in a new place"):
        bbpe.extend(base, EN, add=120)


def test_llama_2_learns_chinese_and_keeps_english(
    bbpe_home: Path, read_corpus: Callable[..., bytes], tmp_path: Path
) -> None:
    base = bbpe.load(bbpe_home / "vocabs" / "llama2" / "tokenizer.model")
    assert isinstance(base, EngineTokenizer)
    zh = read_corpus("zh-small.txt", 200_000).decode().splitlines()
    en = (bbpe_home / "corpora" / "ntrex" / "eng.txt").read_text("utf-8").splitlines()[:300]
    made = bbpe.extend(base, zh, add=1000, script="Han", guard={"en": en})
    zh_row, en_row = made.report.corpora
    assert zh_row.tokens_after < 0.7 * zh_row.tokens_before
    assert (en_row.documents, en_row.documents_changed) == (300, 0)
    made.save(tmp_path / "out")
    assert json.loads((tmp_path / "out" / "tokenizer_config.json").read_text("utf-8"))["bos_token"] == "<s>"
    transformers = pytest.importorskip("transformers")
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    for line in [*zh[:100], *en[:50]]:
        assert theirs.encode(line, add_special_tokens=False) == made.tokenizer.encode(line)
