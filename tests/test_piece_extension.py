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
    UNUSED,
    USER_DEFINED,
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
        if all(part < len(texts) and model.pieces[part].kind == BYTE for part in parts):
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


# --- the other ways in, the same limits ------------------------------------------------------------------------------------


def texts_of(extension: bbpe.Extension) -> list[str]:
    return [token.token or "" for token in extension.report.added]


def inside(extension: bbpe.Extension, text: str) -> list[int]:
    """The ids of a text behind another character, so that no space is put before it."""
    assert isinstance(extension.tokenizer, EngineTokenizer)
    lead = extension.tokenizer.encode("\n")
    ids = extension.tokenizer.encode("\n" + text)
    assert ids[: len(lead)] == lead
    return ids[len(lead) :]


def test_every_word_of_a_list_becomes_one_piece(base: EngineTokenizer, tmp_path: Path) -> None:
    path = tmp_path / "words.tsv"
    path.write_text("词元化\t30\n中文分词\t20\n词元\t5\nthe\t3\niPhone手机\t2\n词元化\t1\n新 词\t1\n", "utf-8")
    made = bbpe.extend(base, words=path)
    targets = made.report.targets
    assert targets is not None
    assert made.report.stop == "targets"
    assert (targets.given, targets.made, targets.already) == (6, 5, 1)
    assert (targets.duplicates, targets.cut, targets.incomplete) == (("词元化",), (), ())
    words = ("词元化", "中文分词", "词元", "iPhone手机", "新 词")
    for word in words:
        (id,) = inside(made, word)
        assert made.tokenizer.token(id).decode() == word
    assert {token.token for token in made.report.added if not token.helper} == set(words)
    assert {token.token for token in made.report.added if token.helper} == set(targets.helpers)
    few = bbpe.extend(base, words={"词元化": 3, "分词": 2}, add=3).report
    assert few.stop == "add"
    assert few.targets is not None
    assert few.targets.incomplete


@given(st.dictionaries(st.text("ab的词元é ", min_size=1, max_size=5), st.integers(1, 9), min_size=1, max_size=6))
@settings(max_examples=40, deadline=None)
def test_any_word_can_be_a_piece(words: dict[str, int]) -> None:
    base = EngineTokenizer(engine_model(model_of(["▁", "的", "元", "a", "b", "ab"]), Path("base")))
    known = {piece.replace("▁", " ") for piece in base.pieces.values()}
    if known.issuperset(words):
        with pytest.raises(TrainingError, match="there is nothing to add"):
            bbpe.extend(base, words=words)
        return
    report = bbpe.extend(base, words=words).report
    assert report.targets is not None
    assert report.targets.given == report.targets.made + report.targets.already + len(report.targets.incomplete)
    assert set(words) - known <= {token.token for token in report.added}


def test_tokens_of_another_vocabulary_and_the_rows_that_they_had(base: EngineTokenizer) -> None:
    donor = bbpe.train(ZH, 500)
    made = bbpe.extend(base, tokens_from=donor, script="Han", guard=[ZH])
    assert made.report.targets is not None
    assert made.report.targets.kind == "tokens"
    known = donor.vocabulary.ids
    wanted = {token.decode() for token in known if regex.fullmatch(r"\p{Han}+", _text(token))}
    assert wanted - set(texts_of(made)) <= {text for text in wanted if len(inside(made, text)) == 1}
    donors = made.plan.donor_ids
    assert set(donors) == {token.id for token in made.report.added if (token.token or "").encode() in known}
    assert all(donor.token(taken).decode() == made.tokenizer.token(id).decode() for id, taken in donors.items())
    pieces = bbpe.extend(base, ZH, add=40)
    other = bbpe.extend(base, tokens_from=pieces.tokenizer)
    assert set(texts_of(other)) == set(texts_of(pieces))
    assert all(pieces.tokenizer.token(taken) == other.tokenizer.token(id) for id, taken in other.plan.donor_ids.items())
    assert not bbpe.extend(base, tokens_from=["词元"]).plan.donor_ids  # a list has no rows


def _text(token: bytes) -> str:
    return token.decode("utf-8", "replace")


def test_the_marginal_gain_ends_it(base: EngineTokenizer, extension: bbpe.Extension) -> None:
    saved = [token.count for token in extension.report.added]
    wanted = saved[99] * 1e6 / extension.report.corpora[0].characters
    made = bbpe.extend(base, ZH, until_gain=wanted)
    assert made.report.stop == "until_gain"
    assert texts_of(made) == texts_of(extension)[: sum(count >= saved[99] for count in saved)]
    assert bbpe.extend(base, ZH, add=30, until_gain=wanted).report.stop == "add"
    gains = [point.gain for point in made.report.curve[1:]]
    assert gains == sorted(gains, reverse=True)
    assert made.report.curve[0].tokens - made.report.curve[-1].tokens == sum(saved[: len(made.report.added)])


def test_limits_and_frozen_scripts(base: EngineTokenizer) -> None:
    plain = texts_of(bbpe.extend(base, [ZH, EN], add=300))
    assert any(regex.search(r"\p{Latin}", text) for text in plain)
    word = next(text for text in plain if regex.fullmatch(r"\p{Han}{2}", text))
    assert not any(word in text for text in texts_of(bbpe.extend(base, ZH, add=300, deny=[word])))
    frozen = bbpe.extend(base, [ZH, EN], add=300, freeze_scripts="Latin")
    assert not any(regex.search(r"\p{Latin}", text) for text in texts_of(frozen))
    for word in set(regex.findall(r"\p{Latin}+", EN.read_text("utf-8"))):
        assert frozen.tokenizer.encode(word) == base.encode(word)
    short = bbpe.extend(base, ZH, add=5000, max_token_bytes=6)
    assert max(len(text.encode()) for text in texts_of(short)) == 6
    assert texts_of(bbpe.extend(base, ["词éé"] * 9, add=9, max_token_bytes=2)) == ["é"]
    often = bbpe.extend(base, ZH, add=5000, min_count=20)
    text = ZH.read_text("utf-8")
    assert often.report.stop == "min_count"
    assert min(text.count(piece) for piece in texts_of(often)) >= 20
    with pytest.raises(TrainingError, match="no new merges to learn"):  # 57 bytes, but it occurs 19 times
        bbpe.extend(base, ["鿿" * 19], add=5, min_count=20)


def test_what_is_read_once_is_checked_by_its_pretokens(base: EngineTokenizer) -> None:
    lines = ZH.read_text("utf-8").splitlines()
    once, twice = bbpe.extend(base, iter(lines), add=60), bbpe.extend(base, lines, add=60)
    assert texts_of(once) == texts_of(twice)
    (row,) = once.report.corpora
    assert row.documents_changed is None
    assert row.tokens_before == once.report.curve[0].tokens
    assert row.tokens_after <= once.report.curve[-1].tokens
    counted = bbpe.count_pretokens(lines, pattern=WORDS)
    assert texts_of(bbpe.extend(base, counted, add=60)) == texts_of(twice)
    with pytest.raises(TrainingError, match="a SentencePiece base has none: give the corpus itself"):
        bbpe.extend(base, bbpe.count_pretokens(lines), add=60)


def test_documents_are_counted_one_by_one(base: EngineTokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    documents = ["词元词元\n词元", "plain text", "词元", "", "\n\n词\n"]
    first = bbpe.extend(base, documents, add=3).report
    (row,) = first.corpora
    assert (row.documents, row.documents_changed) == (5, 3)
    added = {token.token: token for token in first.added}
    assert (added["词元"].occurrences, added["词元"].documents) == (4, 2)
    monkeypatch.setattr(piece_base, "_LINES", 2)
    assert bbpe.extend(base, documents, add=3).report == first


# --- ids -------------------------------------------------------------------------------------------------------------------


def test_places_between_are_control_pieces_with_the_models_names(base: EngineTokenizer, tmp_path: Path) -> None:
    rows = len(base)
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"vocab_size": rows + 8}))
    (folder / "added_tokens.json").write_text(json.dumps({"<pad>": rows + 1, "<s>": rows + 2}))
    made = bbpe.extend(base, ZH, add=20, ids_from=folder, pad_to_multiple=64)
    assert made.plan.new_ids == tuple(range(rows + 8, rows + 28))
    assert made.plan.new_rows % 64 == 0
    assert "8 rows between" in made.report.warnings[0]
    assert made.tokenizer.special_tokens["<pad>"] == rows + 1
    assert made.tokenizer.pieces[rows + 2] == f"<|unused_{rows + 2}|>"  # that name is another piece's
    assert texts_of(made) == texts_of(bbpe.extend(base, ZH, add=20))
    made.save(tmp_path / "out")
    loaded = bbpe.load(tmp_path / "out" / "tokenizer.model")
    fast = pytest.importorskip("tokenizers").Tokenizer.from_file(str(tmp_path / "out" / "tokenizer.json"))
    for line in [*ZH.read_text("utf-8").splitlines()[:50], f"<|unused_{rows}|> is text"]:
        assert loaded.encode(line) == made.tokenizer.encode(line)
        assert "unused" in line or fast.encode(line, add_special_tokens=False).ids == loaded.encode(line)
    assert rows not in loaded.encode(f"<|unused_{rows}|>")
    assert bbpe.extend(base, ZH, add=2, ids_from=rows + 5).plan.new_ids == (rows + 5, rows + 6)


def test_unused_and_reserved_pieces_are_taken_over() -> None:
    model = model_of(["th", "a", "b", "▁"])
    last = len(model.pieces)
    pieces = [*model.pieces, Piece("<reserved_0>", 0.0, CONTROL), Piece("<|im_end|>", 0.0, CONTROL)]
    pieces += [Piece("<reserved_1>", 0.0, CONTROL), Piece("zz", -9.0, UNUSED)]
    base = EngineTokenizer(engine_model(piece_model(pieces, model_type=BPE, byte_fallback=True), Path("x")))
    made = bbpe.extend(base, ["词元词元"], add=3, reuse_reserved=True)
    assert made.plan.new_ids == (last, last + 2, last + 3) == made.report.ids_reused
    assert [made.tokenizer.pieces[id] for id in made.plan.new_ids] == ["词", "元", "词元"]
    assert made.report.special_tokens_replaced == ("<reserved_0>", "<reserved_1>")
    assert made.plan.new_rows == made.plan.old_rows == len(base) == len(made.tokenizer)
    assert set(made.tokenizer.special_tokens) == {"<unk>", "<s>", "</s>", "<|im_end|>"}
    with pytest.raises(TrainingError, match="only 3 ids are reserved"):
        bbpe.extend(base, ["词元词元"], add=4, reuse_reserved=True)


def test_user_defined_pieces_stand_alone_and_control_pieces_are_no_words() -> None:
    model = model_of(["a", "b", "▁"])
    pieces = [*model.pieces, Piece("x", 0.0, USER_DEFINED)]
    base = EngineTokenizer(engine_model(piece_model(pieces, model_type=BPE, byte_fallback=True), Path("x")))
    made = bbpe.extend(base, ["axb axb ab xx"] * 3, add=9)
    assert not any("x" in text for text in texts_of(made))
    assert " ab" in texts_of(made)
    report = bbpe.extend(base, words={"<s>": 5, "ab": 1}).report
    assert report.targets is not None
    assert report.targets.incomplete == ("<s>",)


def test_pieces_of_the_base_that_no_text_gives_stay_so() -> None:
    """``abc`` and ``词元字`` have no split that comes about; ``ab`` would be one, and change texts in silence."""
    base = EngineTokenizer(engine_model(model_of(["▁", "a", "b", "c", "abc", "词", "词元字"]), Path("base")))
    unreachable = tuple(id for id, piece in base.pieces.items() if piece in ("abc", "词元字"))
    documents = ["ab abc 词元 词元字 bc"] * 9
    report = bbpe.extend(base, documents, add=50).report
    assert report.base_unreachable == unreachable
    added = {token.token for token in report.added}
    assert added.isdisjoint({"ab", "bc", "词元", "元字", "字"})
    assert {"元", " ab", " bc"} <= added
    targets = bbpe.extend(base, words={"ab": 1, "元": 1}).report.targets
    assert targets is not None
    assert targets.incomplete == ("ab",)


@pytest.mark.parametrize("name", ["chinese-llama-2", "internlm", "mistral-v1"])
def test_published_models_are_extended(bbpe_home: Path, read_corpus: Callable[..., bytes], name: str) -> None:
    zh = read_corpus("zh-small.txt", 100_000).decode().splitlines()
    en = (bbpe_home / "corpora" / "ntrex" / "eng.txt").read_text("utf-8").splitlines()[:100]
    made = bbpe.extend(name, zh, add=200, script="Han", guard={"en": en})
    zh_row, en_row = made.report.corpora
    assert zh_row.tokens_after < 0.99 * zh_row.tokens_before
    assert en_row.documents_changed == 0
    if name == "chinese-llama-2":  # all of its own pieces have one score, which no order of merges can say
        assert len(made.report.base_unreachable) > 600
        assert "equal scores" in made.left_out["tokenizer.json"]
        assert made.left_out["tokenizer.json"] in made.report.guarantees["tokenizer.json"]
    else:
        assert not made.left_out


def test_an_extension_is_a_base_too(extension: bbpe.Extension) -> None:
    first = extension.tokenizer
    again = bbpe.extend(first, [ZH, EN], add=100, guard=[EN])
    assert again.plan.new_ids == tuple(range(len(first), len(first) + 100))
    assert [again.tokenizer.token(id) for id in range(len(first))] == [first.token(id) for id in range(len(first))]
    assert set(texts_of(again)).isdisjoint(texts_of(extension))
    new = set(again.plan.new_ids)
    for line in [*ZH.read_text("utf-8").splitlines(), *EN.read_text("utf-8").splitlines()]:
        before, after = first.encode(line), again.tokenizer.encode(line)
        assert (before == after) == new.isdisjoint(after)


def test_the_command_takes_every_way_and_limit(
    base: EngineTokenizer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tokenizer.model").write_bytes(base.model.data)
    (tmp_path / "words.tsv").write_text("词元\t3\n中文分词\t1\n", "utf-8")
    bbpe.save(bbpe.train(ZH, 400), tmp_path / "donor")
    common = ["extend", str(tmp_path / "tokenizer.model"), "-q", "-o", str(tmp_path / "out"), "--force", "--json"]
    for ways in (
        ["--words", str(tmp_path / "words.tsv")],
        ["--tokens-from", str(tmp_path / "donor"), "--add", "60", "--max-chars", "3"],
        [str(ZH), "--until-gain", "2000", "--freeze-script", "Latin", "--deny", "的", "--min-count", "5"],
        [str(ZH), "--add", "9", "--ids-from", "400", "--pad-to-multiple", "64", "--guard", str(EN)],
    ):
        assert run([*common, *ways]) == 0
        result = json.loads(capsys.readouterr().out)
        loaded = bbpe.load(tmp_path / "out" / "tokenizer.model")
        assert result["vocab_size"] == len(loaded) >= len(base) + result["added"]
    assert (result["first_id"], result["last_id"], result["rows"]) == (400, 408, 448)
    for refused, message in (
        ([str(ZH), "--add", "9", "--no-utf8-safe"], "pieces are whole characters"),
        ([str(ZH), "--add", "9", "--script", "Chinese"], "unknown script"),
        ([str(ZH)], "neither add nor until_gain"),
        (["--words", str(tmp_path / "none.tsv")], "cannot be read"),
    ):
        assert run([*common, *refused]) == 1
        assert message in capsys.readouterr().err


def test_a_piece_too_long_to_be_read_again_is_refused(base: EngineTokenizer) -> None:
    with pytest.raises(TrainingError, match=r"a piece would have 4,800 bytes .* set max_token_bytes"):
        bbpe.extend(base, words={"词" * 1600: 1})
    assert bbpe.extend(base, words={"词" * 1600: 1}, max_token_bytes=300).report.stop == "targets"


def test_a_changed_old_piece_is_found_out(base: EngineTokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    extended = PieceBase.extended

    def with_change(self: PieceBase, *arguments: Any) -> PieceModel:
        made = extended(self, *arguments)
        changed = [piece._replace(score=-1e6) if id == 259 else piece for id, piece in enumerate(made.pieces)]
        return piece_base.replace(made, pieces=tuple(changed))

    monkeypatch.setattr(PieceBase, "extended", with_change)
    with pytest.raises(GuaranteeError, match="old piece 259 was"):
        bbpe.extend(base, ZH, add=20)


def test_a_checkpoint_is_rewritten_for_pieces_too(base: EngineTokenizer, tmp_path: Path) -> None:
    np = pytest.importorskip("numpy")
    safetensors = pytest.importorskip("safetensors.numpy")
    model = tmp_path / "model"
    model.mkdir()
    (model / "tokenizer.model").write_bytes(base.model.data)
    rows = len(base)
    matrix = np.random.default_rng(3).standard_normal((rows, 4)).astype(np.float32)
    safetensors.save_file({"model.embed_tokens.weight": matrix}, model / "model.safetensors", metadata={"format": "pt"})
    config = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": rows, "hidden_size": 4}
    (model / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": True}), "utf-8")
    arguments = ["extend", str(model / "tokenizer.model"), str(ZH), "--add", "30", "--model", str(model)]
    assert run([*arguments, "-o", str(tmp_path / "out"), "-q"]) == 0
    after = safetensors.load_file(tmp_path / "out" / "model.safetensors")["model.embed_tokens.weight"]
    assert after.shape == (rows + 30, 4)
    assert np.array_equal(after[:rows], matrix)
    report = ExtensionReport.from_json((tmp_path / "out" / "extension.json").read_text("utf-8"))
    for id in report.plan.new_ids:
        np.testing.assert_allclose(after[id], matrix[list(report.plan.parts(id))].mean(axis=0), rtol=1e-5, atol=1e-6)
    assert len(bbpe.load(tmp_path / "out")) == rows + 30
