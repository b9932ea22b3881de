"""What an inspection says beside faults: make-up, Chinese coverage, use on a corpus, two vocabularies, single tokens."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import rank_tables, small_texts, texts, tokenizer_of

import bbpe
from bbpe import SpecialToken, Template, Tokenizer, Vocabulary, get_pattern, reference
from bbpe.analysis.against import Difference, compare_vocabularies
from bbpe.analysis.characters import big5, block_lists, gb2312, standard_lists
from bbpe.analysis.coverage import UNKNOWN, cover_chinese
from bbpe.analysis.entries import entries_of, han, scripts_of
from bbpe.analysis.inspection import LookUpError, inspect, look_up
from bbpe.analysis.makeup import describe_pattern, make_up
from bbpe.analysis.merge_forest import MergeForest
from bbpe.analysis.usage import cheapest_to_remove, find_junk, measure_usage, occurrences
from bbpe.report import check_suffix, json_text, markdown
from bbpe.report.inspection_report import inspection_report, look_up_report
from bbpe.unicode import script_of

BYTES = {value: bytes([value]) for value in range(256)}
ZH = Path(__file__).parent.parent / "corpora" / "tiny" / "eval"


def built(*words: str | bytes, pattern: str = "llama3", **changes: object) -> Tokenizer:
    """A vocabulary of bytes and these words, each merged of the longest earlier one at its beginning and what is left."""
    tokens, merges = dict(BYTES), []
    ids = {token: id for id, token in tokens.items()}
    for word in words:
        data = word.encode() if isinstance(word, str) else word
        for end in range(2, len(data) + 1):
            if data[:end] not in ids:
                ids[data[:end]] = len(tokens)
                tokens[len(tokens)] = data[:end]
                merges.append((ids[data[: end - 1]], data[end - 1]))
    return Tokenizer(Vocabulary(tokens, merges=merges, pattern=get_pattern(pattern), **changes))  # type: ignore[arg-type]


# --- characters and scripts -------------------------------------------------------------------------------------------


def test_the_standards_have_as_many_characters_as_they_say() -> None:
    assert (len(gb2312(1)), len(gb2312(2))) == (3755, 3008)
    assert (len(big5(1)), len(big5(2))) == (5401, 7650)
    for listed in (*standard_lists(), *block_lists()):
        assert len(set(listed.characters)) == len(listed.characters), listed.name
        assert all(script_of(character) == "Han" for character in listed.characters[::37]), listed.name
    lists = {listed.name: set(listed.characters) for listed in standard_lists()}
    assert "国" in lists["simplified"]
    assert "國" in lists["traditional"]
    assert not lists["simplified"] & lists["traditional"]
    assert "中" not in lists["simplified"] | lists["traditional"]
    sizes = {listed.name: len(listed) for listed in block_lists()}
    assert sizes["block-4e00"] == 20992
    assert sizes["block-20000"] == 42720


@given(st.lists(texts(2), max_size=6))
def test_the_script_of_a_text_is_that_of_its_letters(some: list[str]) -> None:
    for text, found in zip(some, scripts_of(some), strict=True):
        own = {script_of(character) for character in text} - {"Common", "Inherited", "Unknown"}
        if len(own) == 1:
            assert found == own.pop()
        elif own:
            japanese = own <= {"Han", "Hiragana", "Katakana"}
            assert found == ("Japanese (kana and Han)" if japanese else "mixed scripts")
        elif text.strip() and text.strip().isdecimal():
            assert found == "digits"
        elif text and text.isspace():
            assert found == "white space"
        else:
            assert found in ("punctuation and symbols", "emoji")


# --- make-up ----------------------------------------------------------------------------------------------------------


def test_make_up_counts_what_is_there() -> None:
    special = [SpecialToken("<|end|>", 400), SpecialToken("<|reserved_7|>", 401)]
    tokenizer = built("word", " Word", "123", "中文", "  ", "\n\n\n", special_tokens=special)
    found = make_up(tokenizer)
    made = len(tokenizer.vocabulary.merges or ())
    assert found.kinds == {"byte": 256, "merge": made, "special": 1, "reserved": 1}
    assert found.holes == 402 - 256 - made - 2
    assert sum(found.kinds.values()) + found.holes == tokenizer.id_space
    assert found.missing_bytes == 0
    rows = {row.script: row for row in found.scripts}
    assert sum(map(len, found.scripts)) == 256 + made
    assert [tokenizer.token(id).decode() for id in rows["Han"].longest] == ["中文", "中"]
    assert found.spaces == {1: 1, 2: 1}
    assert found.newlines == {1: 1, 2: 1, 3: 1}
    assert (found.cases.tokens, found.cases.words) == (6, 3)  # wo, wor, word and " Wo", " Wor", " Word"
    assert (found.cases.widest, found.cases.forms) == ("wo", ("wo", " Wo"))
    assert found.digits.numbers == {1: 10, 2: 1, 3: 1}
    assert found.digits.cut == (3, 3, 2)
    assert found.digits.encoded == (3, 1, 1, 1, 1, 1)
    assert found.digits.policy == "groups of up to 3, from the left"
    assert found.lossless == "Decoding gives every text back"
    assert sum(found.by_bytes.values()) == 256 + made


def test_missing_bytes_normalizers_and_templates_are_told() -> None:
    tokens = {id: token for id, token in BYTES.items() if id not in range(0xF5, 0x100)}
    vocabulary = Vocabulary(
        tokens,
        merges=[],
        special_tokens=[SpecialToken("<s>", 300)],
        template=Template(before=(300,)),
        normalizer="NFC",
        pattern=get_pattern("qwen2"),
    )
    found = make_up(Tokenizer(vocabulary))
    assert found.missing_bytes == 11
    assert found.template == "<s> before"
    assert found.normalizer == "Unicode NFC, before the pattern"
    assert found.lossless == "Decoding does not give back combining marks, compatibility ideographs"


@pytest.mark.parametrize(
    ("pattern", "digits", "sentence"),
    [
        (
            "gpt2",
            "one pretoken of any length",
            "English endings ('s, 'll, 're) are pretokens of their own, in lower case only.",
        ),
        ("llama3", "groups of 3", "Words are cut at combining marks, so words of Hindi, Thai and others fall apart."),
        ("qwen2", "Each digit is cut off alone", "A Chinese clause is one pretoken with the punctuation before it."),
        ("o200k", "groups of 3", "Words are cut where lower case turns to upper case."),
        ("bloom", "one pretoken of any length", "What it does not match is a pretoken too."),
    ],
)
def test_patterns_are_told_in_words(pattern: str, digits: str, sentence: str) -> None:
    sentences = describe_pattern(get_pattern(pattern))
    assert digits in sentences[1]
    assert sentence in sentences


# --- coverage ---------------------------------------------------------------------------------------------------------


def test_coverage_of_published_vocabularies(bbpe_home: Path) -> None:
    for name, level1, level2 in (("qwen", 0.999, 0.960), ("llama3", 0.470, 0.006), ("chinese-llama-2", 0.999, 0.902)):
        found = cover_chinese(bbpe.load(name))
        assert (round(found["gb2312-1"].share, 3), round(found["gb2312-2"].share, 3)) == (level1, level2), name


def test_costs_are_what_encoding_takes() -> None:
    tokenizer = built("中国", "的", "国".encode()[:2])
    counted = Counter("中中国龘龘龘你")
    found = cover_chinese(tokenizer, characters=counted)
    assert [(each.character, each.tokens, each.count) for each in found.costly] == [
        ("龘", 3, 3),
        ("你", 3, 1),
        ("国", 2, 1),
    ]
    assert all(each.tokens == len(tokenizer.encode(each.character)) for each in found.costly)
    assert [(words.characters, len(words.ids)) for words in found.words] == [(1, 2), (2, 1)]
    assert found.longer_words == 1
    row = found["gb2312-1"]
    assert row.single == 2
    assert sum(row.costs.values()) == 3755
    assert {character for character in "中国的" if han().fullmatch(character)} == set("中国的")


def test_what_has_no_bytes_is_unknown() -> None:
    vocabulary = Vocabulary(
        {id: token for id, token in BYTES.items() if id < 0x80}, merges=[], pattern=get_pattern("gpt2")
    )
    assert cover_chinese(Tokenizer(vocabulary))["gb2312-1"].costs == {UNKNOWN: 3755}


# --- on a corpus ------------------------------------------------------------------------------------------------------


def test_use_is_counted_and_junk_survives_only_inside_one_token() -> None:
    """``hello`` stands ten times. Its beginnings h, he … are built on the way; ``hel`` also stands once by itself."""
    tokenizer = built("hello", "x")
    documents = ["hello"] * 10 + ["hel", "x", ""]
    usage = measure_usage(tokenizer, documents)
    ids = tokenizer.vocabulary.ids
    assert usage.counts[ids[b"hello"]] == 10
    assert usage.counts[ids[b"hel"]] == 1
    assert usage.tokens == 12
    assert (usage.documents, usage.bytes, usage.characters) == (13, 54, 54)
    assert usage.character_counts["l"] == 21
    forest = MergeForest(tokenizer.vocabulary)
    total, into = occurrences(usage, forest)
    assert total[ids[b"hel"]] == 11
    assert total[ids[b"l"]] == 21
    assert into[ids[b"hel"]] == Counter({ids[b"hell"]: 10})
    junk = {tokenizer.token(each.id): each for each in find_junk(usage, forest)}
    assert junk.keys() == {b"he", b"hel", b"hell"}
    assert junk[b"hel"].ios == pytest.approx(10 / 11)
    assert junk[b"hell"].ios == 1.0
    assert junk[b"hel"].output == 1
    removable = cheapest_to_remove(usage, forest, entries_of(tokenizer))
    assert removable == ((ids[b"hello"], 10),)  # everything else is a part of it, or a byte
    assert usage.curve() == ((1, 10), (2, 1), (3, 1))


@settings(max_examples=30)
@given(
    st.lists(
        st.sampled_from(["low", "lower", "lowest", "new", "newer", " low", "中文", "中", "文"]), min_size=1, max_size=12
    )
)
def test_occurrences_are_the_nodes_of_the_trees_of_the_output(words: list[str]) -> None:
    tokenizer = bbpe.train(["low lower lowest new newer newest 中文 中文"] * 2, num_merges=40)
    text = "".join(words)
    usage = measure_usage(tokenizer, [text])
    forest = MergeForest(tokenizer.vocabulary)
    total, _ = occurrences(usage, forest)
    nodes = Counter(node.id for id in tokenizer.encode(text) for node in forest.tree(id).walk())
    assert {id: int(total[id]) for id in tokenizer.vocabulary.tokens if total[id]} == nodes


def test_an_inspection_on_a_corpus_adds_its_lists() -> None:
    tokenizer = bbpe.train(ZH / "zh.txt", vocab_size=600)
    plain = inspect(tokenizer)
    assert plain.corpus is None
    found = inspect(tokenizer, corpus=[ZH / "en.txt"], name="tiny")
    assert found.name == "tiny"
    assert found.corpus is not None
    unused = {fault.id for fault in found.health["unused"].faults}
    counts = found.corpus.usage.counts
    assert unused == {id for id in tokenizer.vocabulary.tokens if not counts[id]}
    assert found.corpus.used == len(tokenizer.vocabulary.tokens) - len(unused)
    pieces = [id for id, token in tokenizer.vocabulary.tokens.items() if "\ufffd" in token.decode("utf-8", "replace")]
    assert found.corpus.not_utf8 == counts[pieces].sum()
    assert found.corpus.usage.sources[0].path.endswith("en.txt")


# --- two vocabularies -------------------------------------------------------------------------------------------------


def test_qwen_is_cl100k_less_its_numbers_of_several_digits(bbpe_home: Path) -> None:
    found = compare_vocabularies(bbpe.load("cl100k_base"), bbpe.load("qwen"), "cl100k_base", "qwen")
    assert (len(found.removed), len(found.added)) == (1100, 52487)
    assert found.rule is not None
    assert found.rule.exact
    assert found.rule.text == "are two digits or more and nothing else"
    assert found.order_kept
    assert found.added_last
    assert found.relation == "extension of a part"
    holds = {condition.name: condition.holds for condition in found.conditions}
    assert holds["merges"]
    assert not holds["pattern"]
    assert found.verdict.startswith(
        "qwen is cl100k_base less exactly the 1,100 tokens that are two digits or more and nothing else, renumbered in "
        "order, plus 52,487 new tokens behind them. The merges of what is left come first, in order"
    )
    note = next(condition.note for condition in found.conditions if condition.name == "merges")
    assert note == "B makes those among A's tokens that B has first, in order: 98,900, then 52,487 more"


def difference_of(first: Tokenizer, second: Tokenizer) -> Difference:
    return compare_vocabularies(first, second)


def test_a_vocabulary_is_equal_to_itself_in_either_form() -> None:
    trained = bbpe.train(["low lower lowest new newer newest"] * 3, num_merges=20)
    assert difference_of(trained, trained).relation == "equal"
    table = Tokenizer(trained.vocabulary.replace(merges=None, whole_pretoken=True))
    assert difference_of(trained, table).relation == "equal"
    assert difference_of(table, trained).relation == "equal"  # no token depends on the whole-pretoken rule


@settings(max_examples=25)
@given(st.integers(1, 30), st.integers(0, 30), st.lists(texts(6), max_size=6))
def test_an_exact_extension_joins_tokens_and_cuts_none(first: int, more: int, some: list[str]) -> None:
    corpus = ["low lower lowest 中文模型 new newer newest 12 12 12 中文"] * 2
    small, large = bbpe.train(corpus, num_merges=first), bbpe.train(corpus, num_merges=first + more)
    found = difference_of(small, large)
    assert found.relation == ("extension" if len(large) > len(small) else "equal")
    for text in (*some, *corpus):
        ends = {sum(map(len, small.tokens(text)[: n + 1])) for n in range(small.count(text))}
        assert {sum(map(len, large.tokens(text)[: n + 1])) for n in range(large.count(text))} <= ends
    assert difference_of(large, small).relation in ("extension of a part", "equal")


def test_a_token_that_revives_an_old_one_is_still_an_exact_extension() -> None:
    """In the first rank table ``abcd`` is out of reach, for ``bc`` comes first. With ``abc``, of a higher rank than all,
    it is reached: its rank lies among the old ones, and yet it waits for ``abc``."""
    words = [b"a", b"b", b"c", b"d", b"e", b"bc", b"abcd", b"de"]
    pattern = get_pattern("llama3")
    first = Tokenizer(Vocabulary(dict(enumerate(words)), pattern=pattern))
    second = Tokenizer(Vocabulary(dict(enumerate([*words, b"abc"])), pattern=pattern))
    assert first.tokens("abcd") == [b"a", b"bc", b"d"]
    assert second.tokens("abcd") == [b"abcd"]
    assert second.tokens("abcde") == [b"abc", b"de"]
    assert difference_of(first, second).relation == "extension"


def test_merges_in_between_make_no_exact_extension() -> None:
    first = built("bc", "de")
    tokens = dict(first.vocabulary.tokens)
    tokens[258] = b"cd"
    between = first.vocabulary.replace(tokens=tokens, merges=[(98, 99), (99, 100), (100, 101)])
    found = difference_of(first, Tokenizer(between))
    assert found.relation == "other"
    assert "B makes others among A's, such as 'c' + 'd'" in found.verdict
    assert first.tokens("cde") == [b"c", b"de"]
    assert Tokenizer(between).tokens("cde") == [b"cd", b"e"]  # a boundary that A does not have
    swapped = first.vocabulary.replace(merges=[(100, 101), (98, 99)])
    assert "differ from A's from number 1 of 2" in difference_of(first, Tokenizer(swapped)).verdict


@settings(max_examples=40)
@given(
    rank_tables(b"abc", max_tokens=12), rank_tables(b"abc", max_tokens=12), st.lists(small_texts(b"abc", 4), max_size=8)
)
def test_what_is_called_an_exact_extension_never_cuts_a_token(
    first: reference.Vocabulary, second: reference.Vocabulary, some: list[bytes]
) -> None:
    """Any two rank tables, and one made of the first by adding the other's tokens behind."""
    ids = dict(first.tokens)
    for token in second.tokens.values():
        if token not in ids.values():
            ids[max(ids) + 1] = token
    assert first.ranks is not None
    added = reference.Vocabulary(ids, ranks=(*first.ranks, *(id for id in ids if id not in first.tokens)))
    one = tokenizer_of(replace(first, whole_pretoken=False))
    for vocabulary in (added, replace(second, whole_pretoken=False)):
        other = tokenizer_of(vocabulary)
        found = difference_of(one, other)
        if found.relation not in ("equal", "extension"):
            assert vocabulary is not added  # tokens behind all others always extend
            continue
        for text in (*some, *ids.values()):
            whole = [len(b"".join(one.tokens(text.decode())[:n])) for n in range(one.count(text.decode()))]
            mine = [len(b"".join(other.tokens(text.decode())[:n])) for n in range(other.count(text.decode()))]
            assert set(mine) <= set(whole)


def test_what_was_removed_is_told_by_a_rule_only_where_one_fits() -> None:
    whole = built("the", "12", "345", "中文", " new")
    tokens = whole.vocabulary.tokens

    def without(gone: set[bytes]) -> Tokenizer:
        kept = {id: token for id, token in tokens.items() if token not in gone}
        merges = [pair for pair in whole.vocabulary.merges or () if all(id in kept for id in pair) and tokens[pair[0]] + tokens[pair[1]] not in gone]  # fmt: skip
        return Tokenizer(whole.vocabulary.replace(tokens=kept, merges=merges))

    numbers = {token for token in tokens.values() if token.isdigit() and len(token) > 1}
    rule = difference_of(whole, without(numbers)).rule
    assert rule is not None
    assert (rule.text, rule.exact, rule.removed) == ("are two digits or more and nothing else", True, len(numbers))
    han_tokens = {token for token in tokens.values() if token in ("中".encode(), "中文".encode())}
    rule = difference_of(whole, without(han_tokens)).rule
    assert rule is not None
    assert (rule.text, rule.exact) == ("are written in Han", True)
    assert difference_of(whole, without({b"the", b"12", b"\xe4"})).rule is None


def test_moved_and_special_tokens_are_told() -> None:
    first = built("ab", "cd", special_tokens=[SpecialToken("<|a|>", 500)])
    tokens = first.vocabulary.tokens
    swapped = {**tokens, 256: tokens[257], 257: tokens[256]}
    second = Tokenizer(
        first.vocabulary.replace(
            tokens=swapped, merges=[(99, 100), (97, 98)], special_tokens=[SpecialToken("<|a|>", 501)]
        )
    )
    found = difference_of(first, second)
    assert found.moved == ((256, 257), (257, 256))
    assert not found.order_kept
    assert found.special == (("<|a|>", 500, 501),)
    assert "in another order" in found.verdict


# --- single tokens ----------------------------------------------------------------------------------------------------


def test_tokens_are_looked_up_by_text_id_and_expression() -> None:
    tokenizer = built("中国", special_tokens=[SpecialToken("<|end|>", 500)])
    ids = tokenizer.vocabulary.ids
    word = look_up(tokenizer, token="中国").found[0]
    assert (word.id, word.kind) == (ids["中国".encode()], "merge")
    assert word.tree is not None
    assert [part.token for part in word.tree.parts] == ["中国".encode()[:5], "中国".encode()[5:]]
    assert [found.token for found in look_up(tokenizer, token="中国a").found] == ["中国".encode(), b"a"]
    assert look_up(tokenizer, token="<|end|>").found[0].kind == "special"
    assert look_up(tokenizer, id=500).found[0].tree is None
    searched = look_up(tokenizer, search=r"\p{Han}", limit=1)
    assert searched.total == 4  # 中, two that go on inside 国, and 中国
    assert len(searched.found) == 1
    with pytest.raises(LookUpError, match="has no token 400: its ids go from 0 to 500"):
        look_up(tokenizer, id=400)
    with pytest.raises(LookUpError, match="is no regular expression"):
        look_up(tokenizer, search="(")
    with pytest.raises(ValueError, match="give one of"):
        look_up(tokenizer, search="a", id=1)


def test_the_tree_of_a_token_that_no_merge_makes_says_so() -> None:
    vocabulary = Vocabulary({**BYTES, 256: b"ab", 257: b"abc"}, merges=[(97, 98)], pattern=get_pattern("llama3"))
    found = look_up(Tokenizer(vocabulary), id=257)
    tree = found.found[0].tree
    assert tree is not None
    assert not tree.merged
    assert [part.id for part in tree.parts] == [256, 99]
    written = markdown(look_up_report(found, "id 257"))
    assert "no merge makes it; its bytes merge to these parts" in written
    assert "├─ ab  (id 256, rank 0)" in written


# --- other libraries, and the report ----------------------------------------------------------------------------------


def test_other_libraries_are_inspected_as_far_as_sensible(bbpe_home: Path) -> None:
    found = inspect("llama2")
    assert found.makeup.engine == "sentencepiece"
    assert found.makeup.kinds["byte"] == 256
    assert found.coverage.read_off
    assert found.coverage["gb2312-1"].costs == {1: 607, 3: 3148}
    assert {"unreachable by merges", "unreachable by pattern"} <= found.health.not_applicable.keys()
    assert found.health["not_found"].how == "search"
    written = markdown(inspection_report(found))
    assert "Not looked for: unreachable by merges" in written
    assert "SentencePiece's BPE works on characters, not on bytes" in written
    against = inspect("llama2", against="chinese-llama-2").difference
    assert against is not None
    assert (len(against.removed), len(against.moved), len(against.added)) == (0, 0, 23296)
    assert "is not decided, since another library encodes" in against.verdict


def test_the_report_holds_every_faulty_token_with_its_reason() -> None:
    import json

    trained = bbpe.train(ZH / "zh.txt", vocab_size=700, special_tokens=["<|end|>"])
    found = inspect(trained, name="tiny", corpus=[ZH / "zh.txt"], against=bbpe.train(ZH / "zh.txt", vocab_size=800))
    report = inspection_report(found, method={"command": "bbpe inspect tiny"})
    tables = {table.name: table for table in report.tables()}
    for listed in found.health.lists:
        if listed.faults:
            rows = tables[listed.name].rows
            assert [row["id"] for row in rows] == [fault.id for fault in listed.faults]
            assert all(row["why"] and row["kind"] for row in rows)
    assert report.tables()[0].name == "faults"
    assert json.loads(json_text(report))["title"] == "Inside tiny"
    assert report.method["command"] == "bbpe inspect tiny"
    assert "sha256" in report.method[f"corpus {ZH / 'zh.txt'}"]
    assert found.difference is not None
    assert found.difference.relation == "same merges"  # the id of the special token is one of the new merges
    assert "special tokens (1 of A's are not B's, or have another id: <|end|>)" in found.difference.verdict
    assert check_suffix("x.html") == ".html"
