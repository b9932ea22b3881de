"""The same script against a fast tokenizer of transformers and against bbpe in its shape: equal results."""

from __future__ import annotations

import copy
import json
import pickle
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bbpe
from bbpe.adapters.batch_encoding import BatchEncoding
from bbpe.adapters.fast_tokenizer import FastTokenizer, as_transformers
from bbpe.adapters.post_processing import PostProcessor, truncated
from bbpe.errors import EncodeError, FormatError, MissingExtraError
from bbpe.tokenizer import Tokenizer
from bbpe.vocabulary import SpecialToken, Template

TINY = Path(__file__).parent.parent / "corpora" / "tiny"
SPECIALS = ["<|begin|>", "<|end|>", "<pad>", "<mask>", "<unk>"]
NAMED = {
    "bos_token": "<|begin|>",
    "eos_token": "<|end|>",
    "pad_token": "<pad>",
    "mask_token": "<mask>",
    "unk_token": "<unk>",
}
TEXTS = [
    "hello world",
    "中文字符 and English, 123456!\n\n  indented\n",
    "",
    " leading and trailing  ",
    "😀👩‍👩‍👧‍👦 ｶﾞ don't",
    "a<|end|>b <mask> c",
    "<|begin|>",
    "长" * 40,
    "\r\n \t x\u3000y",
]


class Pair:
    """transformers' tokenizer and bbpe's over one vocabulary, and what both are made with."""

    def __init__(self, theirs: Any, ours: FastTokenizer) -> None:
        self.theirs, self.ours = theirs, ours

    def same(self, call: Callable[[Any], Any]) -> None:
        """One call, the same from both: values, or the type of what is raised."""
        theirs, ours = outcome(call, self.theirs), outcome(call, self.ours)
        if isinstance(theirs, dict) and isinstance(ours, dict):
            for name in theirs.keys() | ours.keys():
                assert theirs.get(name) == ours.get(name), name
        assert theirs == ours

    def both(self, act: Callable[[Any], Any]) -> None:
        """One change, made to both."""
        act(self.theirs)
        act(self.ours)


def outcome(call: Callable[[Any], Any], tokenizer: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return plain(call(tokenizer))
        except BaseException as error:  # tokenizers raises bare ones, and panics
            if isinstance(error, Exception) or type(error).__name__ == "PanicException":
                return "raised"
            raise


def plain(value: Any) -> Any:
    """Lists and numbers, with the dtype of arrays."""
    if isinstance(value, Mapping):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, np.ndarray):
        rows = [plain(each) for each in value] if value.dtype == object else value.tolist()
        return str(value.dtype), rows
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return value


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders that bbpe saved: without a template, and with one."""
    base = tmp_path_factory.mktemp("tokenizers")
    trained = bbpe.train(TINY / "train", 1300, special_tokens=SPECIALS)
    ids = trained.special_tokens
    template = Template((ids["<|begin|>"],), (ids["<|end|>"],))
    templated = Tokenizer(trained.vocabulary.replace(template=template))
    flags = [
        SpecialToken("<|begin|>", 1295),
        SpecialToken("<|end|>", 1296, special=False),
        SpecialToken("<pad>", 1297),
        SpecialToken("<mask>", 1298, lstrip=True),
        SpecialToken("<unk>", 1299, rstrip=True),
    ]
    flagged = Tokenizer(trained.vocabulary.replace(special_tokens=flags))
    for name, tokenizer in (("plain", trained), ("templated", templated), ("flagged", flagged)):
        bbpe.save(tokenizer, base / name)
    return {path.name: path for path in base.iterdir()}


@pytest.fixture(params=["plain", "templated", "flagged", "trimmed", "roberta"])
def pair(request: pytest.FixtureRequest, folders: dict[str, Path], tmp_path: Path) -> Pair:
    """Both over one folder."""
    transformers = pytest.importorskip("transformers")
    if request.param in folders:
        folder = folders[request.param]
    else:
        folder = tmp_path
        record = json.loads((folders["plain"] / "tokenizer.json").read_text("utf-8"))
        begin, end = (record["model"]["vocab"][token] for token in ("<|begin|>", "<|end|>"))
        trims = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
        if request.param == "trimmed":
            pieces = [
                {"SpecialToken": {"id": "<|begin|>", "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": "<|end|>", "type_id": 0}},
                {"Sequence": {"id": "B", "type_id": 1}},
            ]
            special = {
                name: {"id": name, "ids": [id], "tokens": [name]}
                for name, id in (("<|begin|>", begin), ("<|end|>", end))
            }
            template = {"type": "TemplateProcessing", "single": pieces[:2], "pair": pieces, "special_tokens": special}
            record["post_processor"] = {"type": "Sequence", "processors": [trims, template]}
        else:
            record["post_processor"] = {
                "type": "RobertaProcessing",
                "sep": ["<|end|>", end],
                "cls": ["<|begin|>", begin],
                "trim_offsets": True,
                "add_prefix_space": False,
            }
        (folder / "tokenizer.json").write_text(json.dumps(record), "utf-8")
    theirs = transformers.PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), **NAMED)
    return Pair(theirs, as_transformers(folder, **NAMED))


CALLS: list[dict[str, Any]] = [
    {},
    {"add_special_tokens": False},
    {"padding": True},
    {"padding": "longest", "padding_side": "left", "pad_to_multiple_of": 8},
    {"padding": "max_length", "max_length": 12},
    {"padding": "max_length", "max_length": 12, "truncation": True},
    {"padding": True, "truncation": True, "max_length": 7, "return_tensors": "np"},
    {"padding": True, "max_length": 7},
    {"max_length": 6},
    {"truncation": "only_first", "max_length": 9},
    {"truncation": "longest_first", "max_length": 2},
    {"truncation": True},
    {"padding": "max_length"},
    {"padding": "do_not_pad", "truncation": "do_not_truncate", "max_length": 3},
    {"padding": True, "truncation": True, "max_length": 9, "pad_to_multiple_of": 8},
    {"truncation": True, "max_length": 1},
    {"padding": "widest"},
    {"truncation": "only_third", "max_length": 5},
    {"return_attention_mask": False, "return_token_type_ids": True},
    {"split_special_tokens": True},
    {"return_length": True, "return_tensors": "np"},
]
EVERYTHING = {
    "return_offsets_mapping": True,
    "return_special_tokens_mask": True,
    "return_token_type_ids": True,
    "return_length": True,
}


@pytest.mark.parametrize("options", CALLS, ids=str)
def test_calls(pair: Pair, options: dict[str, Any]) -> None:
    pairs = TEXTS[3:] + TEXTS[:3]
    cut = options.get("truncation") != "do_not_truncate"
    if cut and options.get("max_length", 99) < pair.ours.num_special_tokens_to_add(pair=True):
        # There tokenizers leaves out the truncation in silence (its limit is below zero, and wraps).
        with pytest.raises(ValueError, match="special tokens stand around the text"):
            pair.ours(TEXTS, pairs, **options)
        return
    for more in ({}, EVERYTHING):
        both = {**more, **options}
        pair.same(lambda tok, both=both: tok(TEXTS, **both))
        pair.same(lambda tok, both=both: tok(TEXTS, pairs, **both))
        pair.same(lambda tok, both=both: tok(list(zip(TEXTS, pairs, strict=True)), **both))
        for text in TEXTS[:4]:
            pair.same(lambda tok, both=both, text=text: tok(text, **both))
            pair.same(lambda tok, both=both, text=text: tok(text, TEXTS[1], **both))
    pair.same(lambda tok: tok.encode(TEXTS[1], **options))
    pair.same(lambda tok: tok.encode(TEXTS[1], TEXTS[5], **options))


@pytest.mark.parametrize("side", ["left", "right"])
def test_truncation_of_pairs(pair: Pair, side: str) -> None:
    """Every strategy, both sides, limits from nothing to more than there is."""
    pair.both(lambda tok: setattr(tok, "truncation_side", side))
    for strategy in ("longest_first", "only_first", "only_second"):
        for limit in (4, 5, 8, 13, 20, 40, 100):
            for first, second in ((0, 1), (1, 0), (7, 7), (2, 1), (1, 2)):
                pair.same(
                    lambda tok, strategy=strategy, limit=limit, first=first, second=second: tok(
                        TEXTS[first], TEXTS[second], truncation=strategy, max_length=limit, **EVERYTHING
                    )
                )


def test_tokens_and_sequences(pair: Pair) -> None:
    texts = [text for text in TEXTS if "<mask>" not in text]  # transformers spells it with the white space it takes
    for options in ({}, {"add_special_tokens": False}, {"padding": True}):
        for index in range(len(texts)):
            pair.same(lambda tok, options=options, index=index: tok(texts, texts, **options).tokens(index))
            pair.same(lambda tok, options=options, index=index: tok(texts, texts, **options).sequence_ids(index))
    pair.same(lambda tok: tok.tokenize(TEXTS[1]))
    pair.same(lambda tok: tok.tokenize(TEXTS[1], pair=TEXTS[0], add_special_tokens=True))
    pair.same(lambda tok: tok(TEXTS).attention_mask)


def test_decoding(pair: Pair) -> None:
    ids = pair.theirs(TEXTS, padding=True)["input_ids"]
    for skip in (False, True):
        pair.same(lambda tok, skip=skip: tok.batch_decode(ids, skip_special_tokens=skip))
        pair.same(lambda tok, skip=skip: tok.batch_decode(np.array(ids), skip_special_tokens=skip))
        pair.same(lambda tok, skip=skip: tok.decode(ids[1], skip_special_tokens=skip))
        pair.same(lambda tok, skip=skip: tok.decode(np.array(ids[4])[2:-1], skip_special_tokens=skip))
        pair.same(lambda tok, skip=skip: tok.decode(ids, skip_special_tokens=skip))
        pair.same(lambda tok, skip=skip: tok.convert_ids_to_tokens(ids[1], skip_special_tokens=skip))
    for odd in (65, [], [10**6, 65], [65, -1], np.array([], np.int64)):
        pair.same(lambda tok, odd=odd: tok.decode(odd))
    pair.same(lambda tok: tok.convert_ids_to_tokens([0, 300, 1296, 10**6]))
    pair.same(lambda tok: tok.convert_ids_to_tokens(300))
    spelled = pair.theirs.convert_ids_to_tokens(ids[1])
    pair.same(lambda tok: tok.convert_tokens_to_ids(spelled))
    pair.same(lambda tok: tok.convert_tokens_to_ids(["<mask>", "no such token", "中"]))
    pair.same(lambda tok: tok.convert_tokens_to_ids("<mask>"))
    pair.same(lambda tok: tok.convert_tokens_to_string(pair.theirs.tokenize(TEXTS[4])))


def test_what_it_is(pair: Pair) -> None:
    for name in (*NAMED, "sep_token", "cls_token"):
        pair.same(lambda tok, name=name: (getattr(tok, name), getattr(tok, f"{name}_id")))
    pair.same(lambda tok: (len(tok), tok.vocab_size, tok.is_fast, bool(tok), tok.padding_side, tok.truncation_side))
    pair.same(lambda tok: (tok.model_input_names, tok.special_tokens_map, tok.pad_token_type_id))
    pair.same(lambda tok: (tok.all_special_tokens, tok.all_special_ids, tok.extra_special_tokens))
    pair.same(lambda tok: sorted(tok.get_vocab().items()))
    pair.same(lambda tok: tok.get_added_vocab())
    pair.same(lambda tok: (tok.num_special_tokens_to_add(), tok.num_special_tokens_to_add(pair=True)))
    ids = pair.theirs(TEXTS[5])["input_ids"]
    pair.same(lambda tok: tok.get_special_tokens_mask(ids, already_has_special_tokens=True))
    pair.same(lambda tok: tok.get_special_tokens_mask(ids))
    pair.same(lambda tok: tok.model_max_length)


def test_named_tokens_are_set_and_added(pair: Pair) -> None:
    pair.both(lambda tok: setattr(tok, "pad_token", tok.eos_token))
    pair.both(lambda tok: setattr(tok, "cls_token_id", 300))
    pair.same(lambda tok: (tok.pad_token_id, tok.cls_token, tok(TEXTS, padding=True)))
    pair.both(lambda tok: setattr(tok, "pad_token", None))
    pair.same(lambda tok: tok(TEXTS, padding=True))
    pair.both(lambda tok: tok.add_special_tokens({"pad_token": "[PAD]", "sep_token": "<|end|>"}))
    pair.same(lambda tok: tok.add_special_tokens({"extra_special_tokens": ["<|x|>", "<|y|>"]}))
    pair.same(lambda tok: tok.add_tokens(["newword"]))
    pair.same(lambda tok: (len(tok), tok.pad_token_id, tok.all_special_tokens, tok.all_special_ids))
    pair.same(lambda tok: tok(["a[PAD]b<|x|> newword", "c"], padding=True))
    pair.same(lambda tok: tok.decode([1300, 1301, 1302, 1303, 65], skip_special_tokens=True))
    pair.same(lambda tok: tok.add_special_tokens({"token": "x"}))


def test_pad(pair: Pair) -> None:
    batch = [pair.theirs(text, return_special_tokens_mask=True) for text in TEXTS[:5]]
    features = [dict(each.items()) for each in batch]
    columns = {name: [each[name] for each in features] for name in features[0]}
    for side in ("right", "left"):
        pair.both(lambda tok, side=side: setattr(tok, "padding_side", side))
        for options in (
            {},
            {"return_tensors": "np"},
            {"pad_to_multiple_of": 8},
            {"padding": "max_length", "max_length": 60},
            {"padding": "max_length"},
            {"padding": False},
            {"return_attention_mask": False},
            {"padding_side": "left"},
        ):
            pair.same(lambda tok, options=options: tok.pad(copy.deepcopy(features), **options))
            pair.same(lambda tok, options=options: tok.pad(copy.deepcopy(columns), **options))
            pair.same(lambda tok, options=options: tok.pad(dict(features[1]), **options))
            pair.same(
                lambda tok, options=options: tok.pad([{"input_ids": f["input_ids"]} for f in features], **options)
            )
    arrays = [{"input_ids": np.array(each["input_ids"], np.int64)} for each in features[:2]]
    pair.same(lambda tok: tok.pad(copy.deepcopy(arrays)))
    for wrong in ([], {}, [{"ids": [1]}], {"input_ids": []}, {"input_ids": [[1], [2]], "x": [[1]]}):
        if wrong == {"input_ids": [[1], [2]], "x": [[1]]}:
            with pytest.raises(ValueError, match="different batch size"):  # an assertion in transformers
                pair.ours.pad(wrong)
        elif wrong:
            pair.same(lambda tok, wrong=wrong: tok.pad(wrong))
    pair.both(lambda tok: setattr(tok, "pad_token", None))
    pair.same(lambda tok: tok.pad(copy.deepcopy(features)))


def test_data_collators_work(pair: Pair) -> None:
    from transformers import (
        DataCollatorForLanguageModeling,
        DataCollatorForSeq2Seq,
        DataCollatorForTokenClassification,
        DataCollatorWithPadding,
    )

    texts = [TEXTS[1], TEXTS[0], TEXTS[5], TEXTS[3]]
    features = [pair.theirs(text, return_special_tokens_mask=True, return_offsets_mapping=True) for text in texts]
    mine = [pair.ours(text, return_special_tokens_mask=True, return_offsets_mapping=True) for text in texts]
    assert plain(features) == plain(mine)
    rows = [{"input_ids": each["input_ids"], "labels": each["input_ids"][::-1]} for each in mine]
    masked = [{name: each[name] for name in ("input_ids", "attention_mask", "special_tokens_mask")} for each in mine]

    def with_padding(tok: Any) -> Any:
        return DataCollatorWithPadding(tok, pad_to_multiple_of=8, return_tensors="np")(copy.deepcopy(masked))

    def causal(tok: Any) -> Any:
        return DataCollatorForLanguageModeling(tok, mlm=False, return_tensors="np")(copy.deepcopy(masked))

    def masking(tok: Any) -> Any:
        collator = DataCollatorForLanguageModeling(tok, mlm_probability=0.4, return_tensors="np", seed=3)
        bare = [{"input_ids": each["input_ids"]} for each in masked]
        return [collator(copy.deepcopy(masked)), collator(bare)]

    def token_labels(tok: Any) -> Any:
        return DataCollatorForTokenClassification(tok, return_tensors="np")(copy.deepcopy(rows))

    def sequences(tok: Any) -> Any:
        return DataCollatorForSeq2Seq(tok, return_tensors="np")(copy.deepcopy(rows))

    def lists(tok: Any) -> Any:
        return DataCollatorForLanguageModeling(tok, mlm=False, return_tensors="np")(
            [np.array(each["input_ids"]) for each in rows]
        )

    for work in (with_padding, causal, masking, token_labels, sequences, lists):
        assert plain(work(pair.theirs)) == plain(work(pair.ours)), work
        pair.same(work)


def test_without_a_mask_token_the_collator_says_so(folders: dict[str, Path]) -> None:
    transformers = pytest.importorskip("transformers")
    with pytest.raises(ValueError, match="does not have a mask token"):
        transformers.DataCollatorForLanguageModeling(as_transformers(folders["plain"]))


# --- rows and what can be asked of them -------------------------------------------------------------------------------


@pytest.mark.parametrize(("side", "limit", "stride"), [("right", 4, 0), ("left", 5, 1), ("right", 9, 3)])
def test_what_truncation_cuts_off_makes_rows(pair: Pair, side: str, limit: int, stride: int) -> None:
    """As for questions and answers: a text in windows that overlap, each with the number of its sample."""
    pair.both(lambda tok: setattr(tok, "truncation_side", side))
    shared = {"return_overflowing_tokens": True, "max_length": limit, "stride": stride, **EVERYTHING}
    for options in ({"truncation": True}, {"truncation": "only_second", "padding": "max_length"}, {"padding": True}):
        pair.same(lambda tok, options=options: tok(TEXTS, **options, **shared))
        pair.same(lambda tok, options=options: tok(TEXTS[7], **options, **shared))
        if limit > 4:  # room for the template of a pair
            pair.same(lambda tok, options=options: tok(TEXTS, TEXTS[::-1], **options, **shared))
        for text in TEXTS[1:]:  # only_second: not all are long enough
            pair.same(lambda tok, options=options, text=text: tok(TEXTS[0], text, **options, **shared))
    rows = pair.ours(TEXTS[7], truncation=True, **shared)
    assert len(rows.input_ids) > 5
    assert set(rows.overflow_to_sample_mapping) == {0}


def asked(tok: Any, *arguments: Any, **options: Any) -> Any:
    """Everything that can be asked of the rows of a call, but the spelling of tokens that take white space."""
    batch = tok(*arguments, **options)
    found: list[Any] = [dict(batch), batch.n_sequences, batch.is_fast]
    for number, row in enumerate(batch.encodings):
        tokens = range(len(row.ids))
        sequences = sorted(set(batch.sequence_ids(number)) - {None})
        found.append([batch.word_ids(number), batch.sequence_ids(number)])
        found.append([row.ids, row.type_ids, row.offsets, row.attention_mask, row.special_tokens_mask, len(row)])
        for ask in (batch.token_to_chars, batch.token_to_word, batch.token_to_sequence):
            found += [ask(number, token) for token in tokens]
        for ask in (batch.char_to_token, batch.char_to_word, batch.word_to_tokens):
            found += [ask(number, place, sequence) for place in range(25) for sequence in sequences]
        words = {(word, at) for word, at in zip(batch.word_ids(number), batch.sequence_ids(number), strict=True)}
        found.append([batch.word_to_chars(number, word, at) for word, at in sorted(words - {(None, None)})])
    return found


WORDS = [["hello", "world", " and"], ["中文", "字符", "a<|end|>b"], [], ["", "x", " <mask> y"], ["the", "quick", "fox"]]


@pytest.mark.parametrize(
    "options",
    [{}, {"padding": True, "padding_side": "left", "truncation": True, "max_length": 9, "stride": 1}, EVERYTHING],
    ids=str,
)
def test_words_and_the_ways_between_characters_words_and_tokens(pair: Pair, options: dict[str, Any]) -> None:
    pair.same(lambda tok: asked(tok, TEXTS, **options))
    pair.same(lambda tok: asked(tok, TEXTS, TEXTS[::-1], **options))
    pair.same(lambda tok: asked(tok, TEXTS[1], TEXTS[4], **options))
    for words in (WORDS, WORDS[0], list(zip(WORDS, WORDS[::-1], strict=True))):
        pair.same(lambda tok, words=words: asked(tok, words, is_split_into_words=True, **options))
    pair.same(lambda tok: asked(tok, WORDS, WORDS[::-1], is_split_into_words=True, **options))
    pair.same(lambda tok: asked(tok, WORDS[0], WORDS[1], is_split_into_words=True, **options))
    assert not isinstance(outcome(lambda tok: asked(tok, TEXTS, TEXTS[::-1], **options), pair.ours), str)


def test_pretokens(folders: dict[str, Path]) -> None:
    tok = as_transformers(folders["flagged"]).tokenizer
    text = "don't  中文 <mask><|end|>x"
    assert tok.pretokens(text, allowed_special="all") == [
        b"don", b"'t", b" ", " 中文".encode(), b"<mask>", b"<|end|>", b"x",
    ]  # fmt: skip
    assert b"".join(tok.pretokens(text)) == text.encode()
    with pytest.raises(EncodeError, match="lone surrogate"):
        tok.pretokens("\ud800")
    with pytest.raises(TypeError, match="text is str, not bytes"):
        tok.pretokens(b"a")  # type: ignore[arg-type]


def test_what_are_no_words(pair: Pair) -> None:
    for wrong in ("a", 5, [5], [["a", 5]], ["a", ["b"]], None, [["a"], 5]):
        pair.same(lambda tok, wrong=wrong: tok(wrong, is_split_into_words=True))


def test_targets(pair: Pair) -> None:
    for options in ({}, {"max_target_length": 3}, {"max_length": 5, "max_target_length": 4, "truncation": True}):
        pair.same(lambda tok, options=options: tok(TEXTS, text_target=TEXTS[::-1], **options))
        pair.same(lambda tok, options=options: tok(text_target=TEXTS[::-1], **options))
        pair.same(lambda tok, options=options: tok(TEXTS[0], text_target=TEXTS[1], **options))


def test_preprocessing_for_questions_and_answers(pair: Pair) -> None:
    """The loop of transformers' own example: the answer's characters to its first and last token, in every window."""
    question, context = "hello world", "the quick brown fox jumps over 中文字符 and so on and on " * 2
    answer = context.index("中文字符"), context.index("中文字符") + 4

    def positions(tok: Any) -> Any:
        rows = tok(
            [question],
            [context],
            truncation="only_second",
            max_length=20,
            stride=5,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
            padding="max_length",
        )
        found = []
        for number, offsets in enumerate(rows["offset_mapping"]):
            sequence = rows.sequence_ids(number)
            first = sequence.index(1)
            last = len(sequence) - 1 - sequence[::-1].index(1)
            inside = offsets[first][0] <= answer[0] and offsets[last][1] >= answer[1]
            found.append(
                (rows.char_to_token(number, answer[0], 1), rows.char_to_token(number, answer[1] - 1, 1), inside)
            )
        return found

    pair.same(positions)
    assert any(inside for *_, inside in positions(pair.ours))


# --- chats ------------------------------------------------------------------------------------------------------------

CHAT = """{%- if tools %}{{ '<|begin|>tools ' + tools | tojson(indent=1) }}
{% endif %}
{%- for message in messages %}
    {%- if message.role not in ['system', 'user', 'assistant'] %}
        {{- raise_exception('no role ' + message.role) }}
    {%- endif %}
    {{- '<|begin|>' + message['role'] + ':' }}
    {%- if message.role == 'assistant' %}
        {%- if message.reasoning_content is defined %}{{ '(' + message.reasoning_content + ')' }}{% endif %}
        {%- generation %}{{ message['content'] }}{{ eos_token }}{% endgeneration %}
    {%- else %}
        {{- message['content'] | trim }}{{ eos_token }}
    {%- endif %}
    {%- if loop.index > 4 %}{% break %}{% endif %}
{%- endfor %}
{%- if documents %}{{ documents[0].title }}{% endif %}
{%- if add_generation_prompt %}{{ '<|begin|>assistant:' + (mood or '') }}{% endif %}"""
TALK = [
    {"role": "system", "content": "Be <b>brief</b> & kind.", "name": None},
    {"role": "user", "content": "  床前明月光? "},
    {"role": "assistant", "content": "疑是地上霜。", "thinking": "Li Bai"},
    {"role": "user", "content": "and then"},
    {"role": "assistant", "content": "举头望明月 low lower"},
]
TOOL = {"type": "function", "function": {"name": "moon", "parameters": {"type": "object", "properties": {"数": {}}}}}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"tokenize": False},
        {"tokenize": False, "add_generation_prompt": True, "mood": "gladly "},
        {"tokenize": False, "tools": [TOOL], "documents": [{"title": "T", "text": "t"}]},
        {"tokenize": False, "continue_final_message": True},
        {"tokenize": False, "continue_final_message": "reasoning_content"},
        {"continue_final_message": True, "add_generation_prompt": True},
        {"return_dict": False},
        {"return_assistant_tokens_mask": True},
        {"return_assistant_tokens_mask": True, "max_length": 30, "truncation": True},
        {"return_assistant_tokens_mask": True, "padding": True, "return_tensors": "np"},
        {"return_assistant_tokens_mask": True, "return_dict": False},
        {"padding": "max_length", "max_length": 120, "tokenizer_kwargs": {"return_offsets_mapping": True}},
        {"chat_template": "{{ messages[0].content }}{{ bos_token }}", "tokenize": False},
        {"chat_template": "{% for", "tokenize": False},
        {"chat_template": "{{ messages.__class__.__mro__ }}", "tokenize": False},
        {"chat_template": "{{ messages.append(1) }}", "tokenize": False},
    ],
    ids=str,
)
def test_chats(pair: Pair, options: dict[str, Any]) -> None:
    pair.both(lambda tok: setattr(tok, "chat_template", CHAT))
    last_of_assistant = options.get("continue_final_message") == "reasoning_content"
    talks = [TALK[:3], TALK] if not last_of_assistant else [TALK[:3], TALK[:3]]
    for talk in (*talks, talks):
        pair.same(lambda tok, talk=talk: tok.apply_chat_template(copy.deepcopy(talk), **options))
    pair.same(lambda tok: tok.apply_chat_template([], **options))
    pair.same(lambda tok: tok.apply_chat_template([{"role": "owl", "content": "hoot"}], **options))
    pair.same(lambda tok: tok.apply_chat_template(["hello"], **options))


def test_named_templates_and_what_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    tok = as_transformers(folders["plain"], **NAMED)
    with pytest.raises(ValueError, match=r"no chat template; pass chat_template='\.\.\.'"):
        tok.apply_chat_template(TALK)
    tok.chat_template = {"tool_use": "tools!", "rag": "{{ messages[0].content }}"}
    with pytest.raises(ValueError, match="name one of 'rag', 'tool_use'"):
        tok.apply_chat_template(TALK, tokenize=False)
    assert tok.apply_chat_template(TALK, tokenize=False, tools=[TOOL]) == "tools!"
    assert tok.apply_chat_template(TALK, tokenize=False, chat_template="rag") == "Be <b>brief</b> & kind."
    with pytest.raises(TypeError, match="tool 0 is function; give its JSON schema"):
        tok.apply_chat_template(TALK, tools=[test_chats])  # type: ignore[list-item]
    with pytest.raises(TypeError, match=r"message 0: array\(\[1\]\) is no JSON"):
        tok.apply_chat_template([{"role": "user", "content": np.array([1])}], chat_template="rag")
    with pytest.raises(TypeError, match="takes no 'sanitize_control_tokens'"):
        tok.apply_chat_template(TALK, chat_template="rag", sanitize_control_tokens=True)


# --- saved ------------------------------------------------------------------------------------------------------------


def test_a_saved_folder_is_loaded_by_both(pair: Pair, tmp_path: Path) -> None:
    """With the checkpoint of a model in it, whose files stay; written again over itself."""
    from transformers import AutoTokenizer

    for chat in (CHAT, {"default": CHAT, "rag": "{{ messages[0].content }}"}):
        tok = copy.copy(pair.ours)
        tok.chat_template, tok.padding_side, tok.model_max_length = chat, "left", 40
        tok.add_special_tokens({"extra_special_tokens": ["<new>"]})
        (tmp_path / "model.safetensors").write_bytes(b"weights")
        written = tok.save_pretrained(tmp_path)
        assert all(Path(path).exists() for path in written)
        theirs, ours = AutoTokenizer.from_pretrained(tmp_path), as_transformers(tmp_path)
        both = Pair(theirs, ours)
        for same in (tok, theirs):
            mixed = Pair(same, ours)
            mixed.same(
                lambda each: each([*TEXTS, "a<new>b"], TEXTS[:1] * 10, padding=True, truncation=True, **EVERYTHING)
            )
            mixed.same(lambda each: (len(each), each.special_tokens_map, each.padding_side, each.model_max_length))
            mixed.same(lambda each: each.apply_chat_template(TALK))
        if isinstance(chat, str):  # of several, AutoTokenizer reads the default from a local folder
            both.same(lambda each: each.chat_template)
        assert ours.chat_template == chat
        (tmp_path / "chat_template.jinja").unlink()
    assert (tmp_path / "model.safetensors").read_bytes() == b"weights"
    unchanged = as_transformers(bbpe.load(Path(written[0])), **NAMED)
    unchanged.save_pretrained(tmp_path / "deep" / "folder")
    assert plain(as_transformers(tmp_path / "deep" / "folder")(TEXTS)) == plain(unchanged(TEXTS))
    around = as_transformers(tmp_path, **NAMED, add_bos_token=True)
    around.save_pretrained(tmp_path / "around")
    assert as_transformers(tmp_path / "around")("a")["input_ids"] == around("a")["input_ids"]


# --- published vocabularies -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["qwen2", "gpt-neox-20b"])
def test_published_files(name: str, bbpe_home: Path, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    from bbpe.formats.files import read_bytes
    from bbpe.holdings import locate

    (tmp_path / "tokenizer.json").write_bytes(read_bytes(locate(name).path))
    theirs = transformers.PreTrainedTokenizerFast(tokenizer_file=str(tmp_path / "tokenizer.json"))
    pair = Pair(theirs, as_transformers(tmp_path / "tokenizer.json"))
    special = next(iter(pair.ours.tokenizer.special_tokens))
    pair.both(lambda tok: setattr(tok, "pad_token", special))
    texts = [*TEXTS[:4], TEXTS[7], f"a{special}b  {special} "]
    for options in ({}, {"padding": True, "truncation": True, "max_length": 16, **EVERYTHING}):
        pair.same(lambda tok, options=options: tok(texts, **options))
        pair.same(lambda tok, options=options: tok(texts, texts[::-1], **options))
    ids = theirs(texts)["input_ids"]
    for skip in (False, True):
        pair.same(lambda tok, skip=skip: tok.batch_decode(ids, skip_special_tokens=skip))
    pair.same(lambda tok: (len(tok), tok.vocab_size, tok.num_special_tokens_to_add(pair=True)))


# --- folders and options ----------------------------------------------------------------------------------------------


def test_what_a_folder_says_is_taken(folders: dict[str, Path], tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    for name in ("tokenizer.json",):
        (tmp_path / name).write_bytes((folders["plain"] / name).read_bytes())
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": {"content": "<|begin|>", "lstrip": False, "__type": "AddedToken"},
        "eos_token": "<|end|>",
        "pad_token": "<pad>",
        "additional_special_tokens": ["<mask>"],
        "model_max_length": 11,
        "padding_side": "left",
        "truncation_side": "left",
        "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
        "add_bos_token": True,
    }
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    pair = Pair(transformers.AutoTokenizer.from_pretrained(tmp_path), as_transformers(tmp_path))
    for options in ({}, {"padding": True, "truncation": True}, {"padding": "max_length", **EVERYTHING}):
        pair.same(lambda tok, options=options: tok(TEXTS, **options))
        pair.same(lambda tok, options=options: tok(TEXTS, TEXTS, **options))
    pair.same(lambda tok: (tok.special_tokens_map, tok.extra_special_tokens, tok.all_special_ids, tok.model_max_length))
    assert as_transformers(tmp_path, padding_side="right").padding_side == "right"
    for around in ({"add_bos_token": True}, {"add_eos_token": True}, {"add_bos_token": True, "add_eos_token": True}):
        theirs = transformers.PreTrainedTokenizerFast(
            tokenizer_file=str(tmp_path / "tokenizer.json"), **NAMED, **around
        )
        pair = Pair(theirs, as_transformers(folders["plain"] / "tokenizer.json", **NAMED, **around))
        pair.same(lambda tok: tok(TEXTS, TEXTS, **EVERYTHING))
    config["pad_token"] = "[PAD]"
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(FormatError, match=r"pad_token is '\[PAD\]', which is no token of the vocabulary"):
        as_transformers(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text("[]")
    with pytest.raises(FormatError, match=r"tokenizer_config\.json: no JSON object"):
        as_transformers(tmp_path)


def test_a_tokenizer_in_memory_is_as_the_folder_it_is_saved_in(folders: dict[str, Path]) -> None:
    for folder in folders.values():
        tokenizer = bbpe.load(folder)
        assert isinstance(tokenizer, Tokenizer)
        memory, loaded = (as_transformers(each, pad_token="<pad>") for each in (tokenizer, folder))
        options = {"padding": True, **EVERYTHING}
        assert plain(memory(TEXTS, TEXTS[::-1], **options)) == plain(loaded(TEXTS, TEXTS[::-1], **options))
        assert memory.vocab_size == loaded.vocab_size == len(loaded)


def test_copies(folders: dict[str, Path]) -> None:
    tok = as_transformers(folders["templated"], **NAMED)
    for other in (copy.copy(tok), copy.deepcopy(tok), pickle.loads(pickle.dumps(tok))):
        assert plain(other(TEXTS, padding=True)) == plain(tok(TEXTS, padding=True))
    batch = tok(TEXTS[:2], padding=True, return_tensors="np")
    again = pickle.loads(pickle.dumps(batch))
    assert plain(again) == plain(batch)
    assert copy.copy(again).input_ids.shape == batch.input_ids.shape


def test_what_is_not_there_says_so(folders: dict[str, Path]) -> None:
    tok = as_transformers(folders["plain"], **NAMED)
    with pytest.raises(TypeError, match="unexpected keyword argument 'return_tensor'"):
        tok("a", return_tensor="np")  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="a list of words or of such lists, not str"):
        tok("a", is_split_into_words=True)
    with pytest.raises(ValueError, match=r"stride is 5; a row has room for 4 tokens"):
        tok("a", truncation=True, max_length=4, stride=5)
    with pytest.raises(ValueError, match=r"stride is 2; it has to be less than the 2 tokens"):
        tok("one two three four", truncation=True, max_length=2, stride=2, return_overflowing_tokens=True)
    with pytest.raises(ValueError, match="either `text` or `text_target`"):
        tok()
    with pytest.raises(TypeError, match="save_pretrained takes no push_to_hub=True"):
        tok.save_pretrained("x", push_to_hub=True)
    with pytest.raises(KeyError, match="rows by number"):
        tok.pad({"input_ids": [[1]]})[0]
    with pytest.raises(EncodeError, match="lone surrogate"):
        tok("\ud800")
    with pytest.raises(TypeError, match="text 1 is neither"):
        tok(["a", 5])
    with pytest.raises(ValueError, match="max_length is 1, but 2 special tokens"):
        as_transformers(folders["templated"])("a b", max_length=1)
    with pytest.raises(ValueError, match="'np' or 'pt'"):
        tok("a", return_tensors="jax")
    with pytest.raises(AttributeError, match="no 'labels'"):
        _ = tok("a").labels
    with pytest.raises(ValueError, match="what a call of the tokenizer returned"):
        tok.pad({"input_ids": [[1]]}).tokens()
    with pytest.raises(TypeError, match="takes no 'fun_token'"):
        as_transformers(folders["plain"], fun_token="x")
    with pytest.raises(TypeError, match="as_transformers loads names"):
        FastTokenizer("qwen2")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="decode takes no 'spaces'"):
        tok.decode([1], spaces=True)
    try:
        import torch  # noqa: F401
    except ImportError:
        with pytest.raises(MissingExtraError, match="needs PyTorch"):
            tok("a", return_tensors="pt")
    with pytest.raises(FormatError, match=r"post_processor of tokenizer\.json is damaged"):
        PostProcessor.of_json({"type": "TemplateProcessing", "single": [{}]}, Template())
    assert truncated((3, 4), 0, "longest_first") == (0, 0)
    assert BatchEncoding().data == {}


def test_another_librarys_tokenizer_is_refused(bbpe_home: Path) -> None:
    with pytest.raises(FormatError, match="run by sentencepiece"):
        as_transformers("llama2")


def test_what_is_no_id_is_refused_with_its_position(folders: dict[str, Path]) -> None:
    """transformers makes ints of them; an id that is in no vocabulary is passed over, as there."""
    tok = as_transformers(folders["plain"])
    for call, where in (
        (tok.decode, ""),
        (tok.batch_decode, ""),
        (tok.convert_ids_to_tokens, ""),
        (lambda ids: tok.batch_decode([[65], ids]), "list 1: "),
    ):
        for wrong, kind, words in (
            ([65, -1], OverflowError, "id -1 at position 1"),
            ([65, 2**70], OverflowError, "id 1180591620717411303424 at position 1"),
            (np.array([65, 2**32 + 65]), OverflowError, "id 4294967361 at position 1"),
            ([65, 1.0], TypeError, "position 1 is 1.0"),
            ([65, True], TypeError, "position 1 is True"),
            ([65, None], TypeError, "position 1 is None"),
            ([65, "66"], TypeError, "position 1 is '66'"),
        ):
            with pytest.raises(kind) as raised:  # type: ignore[call-overload]
                call(wrong)
            assert words in str(raised.value)
            assert where in str(raised.value)
        for wrong, words in (
            (np.array([65.0]), "float64"),
            (np.array([True]), "bool"),
            (np.array(["65"]), "<U2"),
            (np.ma.array([65, 66], mask=[False, True]), "masked"),
        ):
            with pytest.raises(TypeError, match=words):
                call(wrong)
        assert "A" in str(call([65, 999_999]))
    for wrong in ("AB", b"AB", {65: 1}, {65}, None, 1.5):
        for call in (tok.decode, tok.convert_ids_to_tokens):
            with pytest.raises(TypeError, match="ids are a sequence of integers, not"):
                call(wrong)
    assert tok.decode(np.array([65, 66], ">i2")) == tok.decode(np.array(65)) + "B" == "AB"
