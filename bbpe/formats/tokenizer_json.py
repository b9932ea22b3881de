"""Read ``tokenizer.json``, the file of Hugging Face ``tokenizers``, and write it for a byte-level BPE.

Read: what publishers write. Merges as ``"a b"`` or ``["a", "b"]``; the pattern from ``Split``, ``Digits`` and
``ByteLevel`` alone or in a ``Sequence``; special tokens in ``added_tokens`` with or without their place in
``model.vocab``; a template from ``TemplateProcessing``, ``RobertaProcessing`` or ``BertProcessing``. Whatever would
change ids and cannot be held by a ``Vocabulary`` becomes an ``EngineModel`` instead, which ``tokenizers`` runs and
which says why (``pipeline.py``): another algorithm (WordPiece, Unigram, BPE with byte fallback), ``add_prefix_space``,
a normalizer other than NFC, a pre-tokenizer that no pattern can say (Falcon's).
Not kept, because they change no ids of a text: ``truncation``, ``padding``, the template of pairs, ``trim_offsets``.

Written: one spelling, byte for byte the same for equal vocabularies, which is read again and compared before ``write``
returns, by ``tokenizers`` too where it is installed. Two traps. Every special token stands in ``model.vocab`` *and* in
``added_tokens`` with the same id, or readers renumber it onto other tokens' ids where ids have holes (the one
exception is in ``_without_special_pretokens``). And ``tokenizers`` knows no rank tables: those are written as all
their splits (``equivalence.py`` proves that this is exact).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

from bbpe.engines import EngineModel
from bbpe.errors import FormatError, PatternError
from bbpe.formats.byte_text import is_spelling, to_bytes, to_text
from bbpe.formats.equivalence import listed_merges
from bbpe.formats.files import expect, member, parse_json, read_bytes, shortened
from bbpe.formats.pipeline import check_file, check_model, engine_model, flag, flattened
from bbpe.formats.sidecar import build, special_from_record, special_record
from bbpe.patterns import Pattern, Pretokenizer, from_spelling, get_pattern
from bbpe.vocabulary import SpecialToken, Template, Vocabulary

_VERSION = "1.0"
_NEVER_IN_UTF8 = frozenset((0xC0, 0xC1, *range(0xF5, 0x100)))
_BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
_NO_LENGTH_LIMIT = int(1e30)  # transformers' own word for "no limit"


class _Unsayable(FormatError):
    """A sound file says what a ``Vocabulary`` cannot; the message is the reason, without the path."""


def read(
    path: Path, *, pattern: Pattern | None = None, special_tokens: Mapping[str, int] | None = None
) -> Vocabulary | EngineModel:
    """Read a tokenizer: a byte-level BPE as a ``Vocabulary``, anything else as what ``tokenizers`` runs.

    The file carries its pattern and special tokens; ``pattern`` and ``special_tokens`` may repeat them, not change
    them.

    Raises:
        FormatError: The file is damaged, contradicts itself, or holds a component or model that is not known.
    """
    return from_data(parse_json(read_bytes(path), path), path, pattern=pattern, special_tokens=special_tokens)


def from_data(
    data: Any, path: Path, *, pattern: Pattern | None = None, special_tokens: Mapping[str, int] | None = None
) -> Vocabulary | EngineModel:
    """As :func:`read`, from the JSON value."""
    where = str(path)
    expect(data, dict, where)
    if data.get("version", _VERSION) != _VERSION:
        raise FormatError(f"{where}: version: {shortened(repr(data['version']))}; this bbpe reads {_VERSION!r}")
    model = member(data, "model", dict, where)
    kind = _algorithm(model, f"{where}: model")
    check_file(data, where)
    check_model(model, kind, f"{where}: model")
    special = _read_added_tokens(data, where)
    if special_tokens is not None and dict(special_tokens) != {token.content: token.id for token in special.values()}:
        raise FormatError(f"{where}: carries its own special tokens; leave special_tokens out")
    template = _read_template(data.get("post_processor"), f"{where}: post_processor")
    pairs = merges = None
    if kind != "Unigram":
        texts = read_texts(member(model, "vocab", dict, f"{where}: model"), f"{where}: model.vocab")
    if kind == "BPE":
        pairs = _read_pairs(member(model, "merges", list, f"{where}: model"), f"{where}: model.merges")
        merges = ids_of_pairs(pairs, texts, f"{where}: model.merges")
    try:
        if pairs is None or merges is None:
            raise _Unsayable(f"{kind}, no byte-level BPE")
        _check_byte_level(model, data, f"{where}: model")
        read_pattern = _read_pattern(data.get("pre_tokenizer"), f"{where}: pre_tokenizer")
        normalizer = _read_normalizer(data.get("normalizer"), f"{where}: normalizer")
        _check_decoder(data.get("decoder"), f"{where}: decoder")
        tokens = ordinary_tokens(texts, pairs, special, f"{where}: model.vocab")
        unknown = model.get("unk_token")
        if unknown is not None:
            _check_no_unknown(unknown, tokens)
    except _Unsayable as error:
        if pattern is not None:
            raise FormatError(f"{where}: {error}; it has no pattern of bbpe, so leave pattern out") from None
        return engine_model(
            data,
            where,
            kind=kind,
            special_tokens=tuple(special.values()),
            template=template,
            pairs=pairs,
            reason=str(error),
        )
    if pattern is not None and pattern != read_pattern:
        raise FormatError(
            f"{where}: carries its own pattern {read_pattern.name or read_pattern.stages}; leave pattern out"
        )
    return build(
        path,
        tokens=tokens,
        merges=merges,
        special_tokens=special.values(),
        pattern=read_pattern,
        normalizer=normalizer,
        whole_pretoken=flag(model, "ignore_merges", f"{where}: model"),
        template=template,
    )


def _algorithm(model: dict[str, Any], place: str) -> str:
    """``"BPE"``, ``"WordPiece"`` or ``"Unigram"``.

    Raises:
        FormatError: Another one, or ids that are random.
    """
    kind = model.get("type")
    if kind is None:  # older files leave it out; a Unigram's vocab is a list of pieces and scores
        kind = "BPE" if "merges" in model else "Unigram" if type(model.get("vocab")) is list else "WordPiece"
    if kind not in ("BPE", "WordPiece", "Unigram"):
        raise FormatError(
            f"{place}: {str(kind)[:80]!r} is no model that bbpe reads; it reads BPE, WordPiece and Unigram"
        )
    if model.get("dropout"):
        raise FormatError(f"{place}.dropout: {shortened(repr(model['dropout']))} makes ids random; set it to null")
    return str(kind)


def _check_byte_level(model: dict[str, Any], data: dict[str, Any], place: str) -> None:
    """Whether a BPE is over bytes.

    Raises:
        _Unsayable: It is not; with what it is instead.
    """
    if flag(model, "byte_fallback", place):
        raise _Unsayable("BPE over characters with byte fallback (SentencePiece's), no byte-level BPE")
    for key in ("continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(key):
            raise _Unsayable(f"BPE over marked subwords ({key} {model[key]!r}), no byte-level BPE")
    if not any(kind == "ByteLevel" for kind, _ in flattened(data.get("pre_tokenizer"), f"{place}: pre_tokenizer")):
        raise _Unsayable("BPE without a ByteLevel pre-tokenizer, so over characters: no byte-level BPE")


# --- pattern ---


def _read_pattern(component: Any, place: str) -> Pattern:
    """The pattern that a pre-tokenizer stands for; its last part is ``ByteLevel``, which spells bytes as characters."""
    stages: list[str] = []
    parts = list(flattened(component, place))
    removed = False
    for (kind, _), (after, _) in pairwise(parts):
        if kind == "ByteLevel":
            raise _Unsayable(f"its {after} after ByteLevel cuts inside characters, which no pattern can say")
    for kind, part in parts:
        if kind == "ByteLevel":
            if member(part, "add_prefix_space", bool, place):
                raise _Unsayable("ByteLevel with add_prefix_space puts a space before the text; bbpe changes no text")
            if flag(part, "use_regex", place, default=True):
                stages.extend(get_pattern("gpt2").stages)
        elif kind == "Split":
            stage, removes = _read_split(part, place)
            stages.append(stage)
            removed = removed or removes
        elif kind == "Digits":
            stages.append(r"\p{N}" if flag(part, "individual_digits", place) else r"\p{N}+")
        else:
            raise _Unsayable(f"{kind[:80]} is a pre-tokenizer that bbpe has no pattern for")
    pattern = _from_oniguruma(tuple(stages) or (r"[\s\S]+",), place)
    if removed and not pattern.covers_everything:
        raise _Unsayable("Split drops the text between its matches; bbpe keeps all text")
    return pattern


def _read_split(part: dict[str, Any], place: str) -> tuple[str, bool]:
    """The regex of a ``Split``, and whether it drops what lies between matches."""
    said = member(part, "pattern", dict, place)
    if "Regex" in said:
        stage: str = member(said, "Regex", str, f"{place}.pattern")
    else:
        literal = member(said, "String", str, f"{place}.pattern")
        stage = "".join("\\" + character if character in r"\.^$*+?{}[]|()-&~# " else character for character in literal)
    behavior = member(part, "behavior", str, place)
    if behavior == "Isolated":
        return stage, False
    if behavior == "Removed" and flag(part, "invert", place):
        return stage, True
    raise _Unsayable(f"Split with behavior {behavior[:80]!r}; bbpe's patterns isolate their matches")


def _from_oniguruma(stages: tuple[str, ...], place: str) -> Pattern:
    """The pattern that stages in Oniguruma's dialect stand for; a regex is never copied in good faith."""
    try:
        return from_spelling(stages, "oniguruma")
    except PatternError as error:
        raise _Unsayable(f"{place}: {shortened(error)}") from None


# --- other components ---


def _read_normalizer(component: Any, place: str) -> str | None:
    kinds = [kind for kind, _ in flattened(component, place, "normalizers")]
    for kind in kinds:
        if kind != "NFC":
            raise _Unsayable(f"{kind[:80]}: bbpe's own vocabularies normalize by NFC or not at all")
    return "NFC" if kinds else None


def _check_decoder(component: Any, place: str) -> None:
    for kind, _ in flattened(component, place, "decoders"):
        if kind != "ByteLevel":
            raise _Unsayable(f"{kind[:80]}: a byte-level BPE decodes by ByteLevel")


def _read_template(component: Any, place: str) -> Template:
    template = Template()
    for kind, part in flattened(component, place, "processors"):
        if kind == "ByteLevel":
            continue
        if template != Template():
            raise FormatError(f"{place}: more than one template")
        if kind == "TemplateProcessing":
            template = _template_of_processing(part, place)
        elif kind in ("RobertaProcessing", "BertProcessing"):
            ends = []
            for key in ("cls", "sep"):
                pair = member(part, key, list, place)
                if len(pair) != 2:
                    raise FormatError(f"{place}.{key}: expected a token and its id")
                ends.append(expect(pair[1], int, f"{place}.{key}[1]"))
            template = Template((ends[0],), (ends[1],))
        else:
            raise FormatError(f"{place}: {kind[:80]} is unknown")
    return template


def _template_of_processing(part: dict[str, Any], place: str) -> Template:
    known = member(part, "special_tokens", dict, place)
    before: list[int] = []
    after: list[int] = []
    texts = 0
    for index, piece in enumerate(member(part, "single", list, place)):
        here = f"{place}.single[{index}]"
        expect(piece, dict, here)
        if "Sequence" in piece:
            texts += 1
        elif "SpecialToken" in piece:
            name = member(member(piece, "SpecialToken", dict, here), "id", str, here)
            ids = member(member(known, name, dict, f"{place}.special_tokens"), "ids", list, f"{place}.special_tokens")
            (after if texts else before).extend(expect(id, int, f"{place}.special_tokens.{name}.ids") for id in ids)
        else:
            raise FormatError(f"{here}: expected Sequence or SpecialToken")
    if texts != 1:
        raise FormatError(f"{place}.single: the text stands {texts} times; expected once")
    return Template(tuple(before), tuple(after))


# --- tokens and merges (vocab_merges.py reads the same) ---


def _read_added_tokens(data: dict[str, Any], where: str) -> dict[str, SpecialToken]:
    added: dict[str, SpecialToken] = {}
    items = data.get("added_tokens")
    for index, item in enumerate([] if items is None else expect(items, list, f"{where}: added_tokens")):
        place = f"{where}: added_tokens[{index}]"
        token = special_from_record(item, place)
        if token.content in added:
            raise FormatError(f"{place}: {token.content!r} stands there twice")
        added[token.content] = token
    return added


def read_texts(vocab: dict[str, Any], place: str) -> dict[str, int]:
    """The vocabulary as text to id, ids checked for being distinct integers.

    Raises:
        FormatError: They are not; the message names the entry.
    """
    if set(map(type, vocab.values())) - {int}:
        for text, id in vocab.items():
            expect(id, int, f"{place}[{text!r}]")
    if len(set(vocab.values())) != len(vocab):
        owner: dict[int, str] = {}
        for text, id in vocab.items():
            if id in owner:
                raise FormatError(f"{place}: {owner[id]!r} and {text!r} have the same id {id}")
            owner[id] = text
    return vocab


def _read_pairs(merges: list[Any], place: str) -> list[tuple[str, str]]:
    """Merges as pairs of texts; all at once (a published list has 300,000), one by one only to say where a fault is."""
    kinds = set(map(type, merges))
    if kinds <= {str}:
        pairs: list[Any] = [tuple(merge.split(" ")) for merge in merges]
    else:
        pairs = list(map(tuple, merges)) if kinds == {list} else []
    sound = len(pairs) == len(merges) and set(map(len, pairs)) <= {2}
    if sound and set(map(type, chain.from_iterable(pairs))) <= {str}:
        return pairs
    for index, merge in enumerate(merges):
        parts = merge.split(" ") if type(merge) is str else merge
        if type(parts) is not list or list(map(type, parts)) != [str, str]:
            raise FormatError(
                f"{place}[{index}]: {str(merge)[:80]!r}; expected two tokens, as a list or with one space between"
            )
    return [tuple(merge.split(" ") if type(merge) is str else merge) for merge in merges]  # both spellings mixed


def ids_of_pairs(
    pairs: list[tuple[str, str]], texts: Mapping[str, int], place: str, first_line: int | None = None
) -> list[tuple[int, int]]:
    """Merges in text as merges in ids.

    Raises:
        FormatError: A merge of or into what is no token, or the same merge twice; the message says which, as
            ``place[index]`` or, when ``first_line`` gives the line of the first one, as ``place:line``.
    """

    def place_of(index: int) -> str:
        return f"{place}[{index}]" if first_line is None else f"{place}:{first_line + index}"

    try:
        merges = [(texts[left], texts[right]) for left, right in pairs]
        for left, right in pairs:
            texts[left + right]
    except KeyError:
        for index, (left, right) in enumerate(pairs):
            for text in (left, right, left + right):
                if text not in texts:
                    raise FormatError(f"{place_of(index)}: {left!r} + {right!r}: {text!r} is no token") from None
        raise
    if len(set(merges)) != len(merges):
        first: dict[tuple[int, int], int] = {}
        for index, pair in enumerate(merges):
            if pair in first:
                raise FormatError(f"{place_of(index)}: the same merge as {place_of(first[pair])}: {pairs[index]!r}")
            first[pair] = index
    return merges


def ordinary_tokens(
    texts: Mapping[str, int], pairs: list[tuple[str, str]], special: Mapping[str, SpecialToken], place: str
) -> dict[int, bytes]:
    """Id to bytes of every token that is not only a special one.

    A special token is an ordinary one too where it is a single byte or some merge has to do with it.

    Raises:
        FormatError: A token that spells no bytes, or whose id is not the one that the special token of this name has.
    """
    merged: set[str] = set()
    if not special.keys().isdisjoint(texts):
        merged.update(chain.from_iterable(pairs))
        merged.update([left + right for left, right in pairs])
    tokens: dict[int, bytes] = {}
    for text, id in texts.items():
        if text in special:
            if special[text].id != id:
                raise FormatError(
                    f"{place}[{text!r}]: id {id}, but the special token of this name has {special[text].id}"
                )
            if not (len(text) == 1 and is_spelling(text)) and text not in merged:
                continue
        try:
            tokens[id] = to_bytes(text)
        except KeyError as error:
            raise FormatError(
                f"{place}[{text[:80]!r}]: {error.args[0]!r} spells no byte, and it is no special token"
            ) from None
    return tokens


def _check_no_unknown(unknown: Any, tokens: Mapping[int, bytes]) -> None:
    """An unknown token does no harm where every byte of text has a token of its own."""
    present = {token[0] for token in tokens.values() if len(token) == 1}
    for byte in range(256):
        if byte not in present and byte not in _NEVER_IN_UTF8:
            raise _Unsayable(
                f"byte 0x{byte:02X} becomes {str(unknown)[:80]!r}; bbpe's own encoder has no unknown token"
            )


# --- writing ---


def write(vocabulary: Vocabulary, path: Path) -> None:
    """Write a vocabulary, read the file again, and compare.

    Raises:
        FormatError: The format cannot say this vocabulary exactly; the message says why.
        OSError: The file cannot be written.
    """
    merges = listed_merges(vocabulary)
    texts = spelled_tokens(vocabulary)
    in_model: Mapping[str, int] = texts
    if vocabulary.whole_pretoken:
        in_model = _without_special_pretokens(vocabulary, texts)
    path.write_text("".join(_lines(vocabulary, in_model, merges)), encoding="utf-8", newline="\n")
    again = read(path)
    if again != vocabulary.replace(merges=merges, ranks=None):
        raise FormatError("what was written reads back as another vocabulary: tokenizer.json cannot say this one")
    _check_with_tokenizers(path, texts)


def spelled_tokens(vocabulary: Vocabulary) -> dict[str, int]:
    """Text to id of all tokens, special ones as they are, ids ascending.

    Raises:
        FormatError: A special token's text is the spelling of another token's bytes.
    """
    spelled = {to_text(token): id for id, token in vocabulary.tokens.items()}
    for special in vocabulary.special_tokens:
        if spelled.setdefault(special.content, special.id) != special.id:
            raise FormatError(
                f"special token {special.content!r} (id {special.id}) is also how the bytes of token "
                f"{spelled[special.content]} are spelled; tokenizer.json and vocab.json cannot tell them apart"
            )
        if special.id in vocabulary.tokens and to_text(vocabulary.tokens[special.id]) != special.content:
            raise FormatError(
                f"special token {special.content!r} is also the ordinary token {special.id}, "
                "whose bytes are spelled otherwise there"
            )
    return dict(sorted(spelled.items(), key=lambda item: item[1]))


def _without_special_pretokens(vocabulary: Vocabulary, texts: Mapping[str, int]) -> Mapping[str, int]:
    """What ``model.vocab`` holds where pretokens are taken whole: ``tokenizers`` looks them up there, special or not.

    A special token that is a pretoken by itself (GLM-4.6 has ``/nothink``) must not stand there, or it would be found
    where special tokens are plain text. All special tokens are left out then, which readers number rightly only where
    their ids follow the others without a hole.

    Raises:
        FormatError: They do not.
    """
    pretokenizer = Pretokenizer(vocabulary.pattern)
    for special in vocabulary.special_tokens:
        if not is_spelling(special.content) or special.id in vocabulary.tokens:
            continue
        spelled = to_bytes(special.content)
        if pretokenizer.split(spelled) != [spelled]:
            continue
        ordinary = {text: id for text, id in texts.items() if id in vocabulary.tokens}
        if list(texts.values()) == list(range(len(texts))) and list(ordinary.values()) == list(range(len(ordinary))):
            return ordinary
        raise FormatError(
            f"special token {special.content!r}: the pattern makes one pretoken of it, so tokenizers takes it for the "
            "special token even where special tokens are plain text, and its id does not follow the ordinary ids"
        )
    return texts


def _lines(vocabulary: Vocabulary, texts: Mapping[str, int], merges: tuple[tuple[int, int], ...]) -> Iterator[str]:
    """The file, one entry a line, so that two versions of a vocabulary can be compared line by line."""
    spelled = {id: json.dumps(to_text(token), ensure_ascii=False) for id, token in vocabulary.tokens.items()}
    yield '{\n  "version": "1.0",\n  "truncation": null,\n  "padding": null,\n'
    yield '  "added_tokens": ['
    yield ",".join(f"\n    {_dump(special_record(special))}" for special in vocabulary.special_tokens)
    yield "\n  ],\n" if vocabulary.special_tokens else "],\n"
    yield f'  "normalizer": {_dump({"type": vocabulary.normalizer} if vocabulary.normalizer else None)},\n'
    yield f'  "pre_tokenizer": {_dump(_pre_tokenizer(vocabulary.pattern))},\n'
    yield f'  "post_processor": {_dump(_post_processor(vocabulary))},\n'
    yield f'  "decoder": {_dump(_BYTE_LEVEL)},\n'
    yield '  "model": {\n    "type": "BPE",\n    "dropout": null,\n    "unk_token": null,\n'
    yield '    "continuing_subword_prefix": null,\n    "end_of_word_suffix": null,\n    "fuse_unk": false,\n'
    yield f'    "byte_fallback": false,\n    "ignore_merges": {_dump(vocabulary.whole_pretoken)},\n    "vocab": {{'
    yield ",".join(f"\n      {json.dumps(text, ensure_ascii=False)}: {id}" for text, id in texts.items())
    yield '\n    },\n    "merges": ['
    yield ",".join(f"\n      [{spelled[left]}, {spelled[right]}]" for left, right in merges)
    yield "\n    ]\n  }\n}\n" if merges else "]\n  }\n}\n"


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _pre_tokenizer(pattern: Pattern) -> dict[str, Any]:
    try:
        stages = pattern.spelling("oniguruma")
    except PatternError as error:
        raise FormatError(f"tokenizer.json cannot say this pattern: {error}") from None
    splits = [
        {"type": "Split", "pattern": {"Regex": stage}, "behavior": "Isolated", "invert": False} for stage in stages
    ]
    return {"type": "Sequence", "pretokenizers": [*splits, _BYTE_LEVEL]}


def _post_processor(vocabulary: Vocabulary) -> dict[str, Any]:
    template = vocabulary.template
    if template == Template():
        return _BYTE_LEVEL
    names = {special.id: special.content for special in vocabulary.special_tokens}
    names |= {id: to_text(vocabulary.tokens[id]) for id in {*template.before, *template.after} - names.keys()}

    def around(text: str, type_id: int) -> list[dict[str, Any]]:
        return [
            *({"SpecialToken": {"id": names[id], "type_id": type_id}} for id in template.before),
            {"Sequence": {"id": text, "type_id": type_id}},
            *({"SpecialToken": {"id": names[id], "type_id": type_id}} for id in template.after),
        ]

    used = sorted({*template.before, *template.after})
    processing = {
        "type": "TemplateProcessing",
        "single": around("A", 0),
        "pair": around("A", 0) + around("B", 1),
        "special_tokens": {names[id]: {"id": names[id], "ids": [id], "tokens": [names[id]]} for id in used},
    }
    return {"type": "Sequence", "processors": [_BYTE_LEVEL, processing]}


def _check_with_tokenizers(path: Path, texts: Mapping[str, int]) -> None:
    """Where ``tokenizers`` is installed, it has to read the same ids (it renumbers what it does not like, in
    silence)."""
    try:
        from tokenizers import Tokenizer
    except ImportError:
        return
    try:
        loaded = Tokenizer.from_file(str(path)).get_vocab(with_added_tokens=True)
    except Exception as error:  # tokenizers raises bare Exception
        raise FormatError(f"tokenizers cannot read what was written: {error}") from None
    if loaded != texts:
        text, id = next(iter(loaded.items() ^ texts.items()))
        raise FormatError(f"tokenizers reads other ids, for example around {text!r} ({id})")


def write_config(vocabulary: Vocabulary, path: Path) -> None:
    """Write the ``tokenizer_config.json`` with which transformers loads the folder as it is.

    Beginning and end tokens are named only where the template puts exactly one token there: nothing is guessed.
    """
    config: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        "model_max_length": _NO_LENGTH_LIMIT,
    }
    contents = {special.id: special.content for special in vocabulary.special_tokens}
    for key, side in (("bos_token", vocabulary.template.before), ("eos_token", vocabulary.template.after)):
        if len(side) == 1 and side[0] in contents:
            config[key] = contents[side[0]]
    path.write_text(json.dumps(config, ensure_ascii=False, indent=2) + "\n", encoding="utf-8", newline="\n")
