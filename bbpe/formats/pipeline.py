"""The pipeline of a ``tokenizer.json`` that ``tokenizers`` has to run: checked, and taken apart into an ``EngineModel``.

``tokenizer_json.py`` reads what bbpe encodes itself, and hands over here what a ``Vocabulary`` cannot say: BPE over
characters, WordPiece, Unigram, and byte-level BPE whose text is cut or changed in a way that no pattern says. What the
file says is checked first (components that are known, merges of tokens that exist, finite scores, normalizers that do
not blow a text up); then ``tokenizers`` gets a file of its own, without special tokens, template, truncation and
padding, which are bbpe's to add.

Special tokens in a text are plain text. Where the model lists them they are taken out; those that have to stay (the
unknown token, entries of a Unigram, whose ids are places) get a spelling that ends in U+10FFFF, a noncharacter that no
text for interchange holds.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from bbpe.engines import UNREACHABLE, Algorithm, EngineModel
from bbpe.errors import FormatError
from bbpe.formats.byte_text import is_spelling, to_bytes
from bbpe.formats.charsmap import check_charsmap
from bbpe.formats.files import expect, member
from bbpe.vocabulary import MAX_ID, SpecialToken, Template

SPACE = "\u2581"
_MAX_NESTING = 16  # of Sequence in Sequence
_MAX_COMPONENTS = 64
_MAX_EXPRESSION = 1 << 16  # characters of a regular expression
_MAX_GROWTH = 1 << 12  # by how much all normalizers together may lengthen a text
_MAX_SCORE = 1e15

_BYTE_LEVEL = "add_prefix_space trim_offsets use_regex"
_METASPACE = "replacement add_prefix_space prepend_scheme split str_rep"
# What tokenizers knows: the keys of each component, beside its type. An unknown key may be a damaged one, whose value is
# then silently the default.
_NORMALIZERS: Mapping[str, str] = {
    "BertNormalizer": "clean_text handle_chinese_chars strip_accents lowercase",
    "ByteLevel": "",
    "Lowercase": "",
    "NFC": "",
    "NFD": "",
    "NFKC": "",
    "NFKD": "",
    "Nmt": "",
    "Precompiled": "precompiled_charsmap",
    "Prepend": "prepend",
    "Replace": "pattern content",
    "Strip": "strip_left strip_right",
    "StripAccents": "",
}
_PRE_TOKENIZERS: Mapping[str, str] = {
    "BertPreTokenizer": "",
    "ByteLevel": _BYTE_LEVEL,
    "CharDelimiterSplit": "delimiter",
    "Digits": "individual_digits",
    "Metaspace": _METASPACE,
    "Punctuation": "behavior",
    "Split": "pattern behavior invert",
    "UnicodeScripts": "",
    "Whitespace": "",
    "WhitespaceSplit": "",
}
_DECODERS: Mapping[str, str] = {
    "BPEDecoder": "suffix",
    "ByteFallback": "",
    "ByteLevel": _BYTE_LEVEL,
    "Fuse": "",
    "Metaspace": _METASPACE,
    "Replace": "pattern content",
    "Strip": "content start stop",
    "WordPiece": "prefix cleanup",
}
_MODELS: Mapping[str, str] = {
    "BPE": "dropout unk_token continuing_subword_prefix end_of_word_suffix fuse_unk byte_fallback ignore_merges vocab "
    "merges",
    "Unigram": "unk_id byte_fallback vocab",
    "WordPiece": "unk_token continuing_subword_prefix max_input_chars_per_word vocab",
}
_FILE = "version truncation padding added_tokens normalizer pre_tokenizer post_processor decoder model"


# --- components ---


def kind_of(component: Any, place: str) -> str:
    """The ``type`` of a component.

    Raises:
        FormatError: It is no object, or has none.
    """
    expect(component, dict, place)
    kind: str = member(component, "type", str, place)
    return kind


def check_keys(container: Mapping[str, Any], known: str, place: str) -> None:
    """Refuse keys that are not known: a damaged name would be its value's default in silence.

    Raises:
        FormatError: There is one.
    """
    for key in container.keys() - known.split():
        raise FormatError(f"{place}: {key[:80]!r} is no key that bbpe knows there; it knows {known}")


def check_file(data: Mapping[str, Any], where: str) -> None:
    """Check a file's components for being known, and their keys, whoever runs them.

    Raises:
        FormatError: One is not.
    """
    check_keys(data, _FILE, where)
    for key, members, known in (
        ("normalizer", "normalizers", _NORMALIZERS),
        ("pre_tokenizer", "pretokenizers", _PRE_TOKENIZERS),
        ("decoder", "decoders", _DECODERS),
    ):
        place = f"{where}: {key}"
        for kind, part in flattened(data.get(key), place, members):
            if kind not in known:
                raise FormatError(f"{place}: {kind[:80]!r} is unknown; known: {', '.join(sorted(known))}")
            check_keys(part, f"type {known[kind]}", f"{place}: {kind}")


def check_model(model: Mapping[str, Any], kind: str, place: str) -> None:
    """Check a model's keys.

    Raises:
        FormatError: One is not known.
    """
    check_keys(model, f"type {_MODELS[kind]}", place)


def flag(container: Mapping[str, Any], key: str, place: str, default: bool = False) -> bool:
    """A truth value that may be missing or null."""
    value = container.get(key, default)
    return default if value is None else bool(expect(value, bool, f"{place}.{key}"))


def flattened(
    component: Any, place: str, members: str = "pretokenizers", depth: int = 0
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The components of a ``Sequence``, nested or not, each with its type.

    Raises:
        FormatError: One is no component, or they nest without end.
    """
    if component is None:
        return
    if kind_of(component, place) != "Sequence":
        yield component["type"], component
        return
    check_keys(component, f"type {members}", place)
    if depth == _MAX_NESTING:
        raise FormatError(f"{place}: Sequence nested more than {_MAX_NESTING} deep")
    for index, inner in enumerate(member(component, members, list, place)):
        yield from flattened(inner, f"{place}.{members}[{index}]", members, depth + 1)


# --- the model ---


def engine_model(
    data: Mapping[str, Any],
    where: str,
    *,
    kind: str,
    special_tokens: Sequence[SpecialToken],
    template: Template,
    pairs: Sequence[tuple[str, str]] | None,
    reason: str,
) -> EngineModel:
    """What ``EngineTokenizer`` takes.

    Args:
        data: The file; its model's vocabulary is distinct texts with distinct ids, or a Unigram's list.
        where: The file, for messages.
        kind: ``"BPE"``, ``"WordPiece"`` or ``"Unigram"``.
        special_tokens: All of its added tokens.
        template: Ids around a text.
        pairs: The merges of a BPE, checked to be of tokens that exist; None for another algorithm.
        reason: Why bbpe's own encoder does not run it.

    Raises:
        FormatError: A component is unknown or unsound, or the parts contradict one another.
    """
    components = _checked_components(data, where)
    model = data["model"]
    byte_level = any(kind == "ByteLevel" for kind, _ in components)
    byte_fallback = flag(model, "byte_fallback", f"{where}: model")
    special = {token.content: token for token in special_tokens}
    algorithm: Algorithm
    if pairs is not None:
        algorithm = "byte-level bpe" if byte_level else "bpe"
        texts, unknown, reduced = _bpe(model, pairs, special, f"{where}: model")
    elif kind == "Unigram":
        algorithm = "unigram"
        texts, unknown, reduced = _unigram(model, special, f"{where}: model")
    else:
        algorithm = "wordpiece"
        texts, unknown, reduced = _wordpiece(model, special, f"{where}: model")
    pieces = {id: text for text, id in texts.items()}
    for token in special_tokens:
        if not 0 <= token.id <= MAX_ID or pieces.setdefault(token.id, token.content) != token.content:
            raise FormatError(
                f"{where}: special token {token.content[:80]!r} has id {token.id}, which is another token's"
            )
    speller = _Speller(model, components, byte_level, byte_fallback)
    contents = {token.id for token in special_tokens}
    kept = {key: data.get(key) for key in ("normalizer", "pre_tokenizer", "decoder")}
    engine_data: dict[str, Any] = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        **kept,
        "post_processor": None,
        "model": reduced,
    }
    return EngineModel(
        engine="tokenizers",
        algorithm=algorithm,
        data=json.dumps(engine_data, separators=(",", ":")).encode(),
        pieces=pieces,
        tokens={id: text.encode() if id in contents else speller.bytes_of(text) for id, text in pieces.items()},
        special_tokens=tuple(sorted(special_tokens, key=lambda token: token.id)),
        template=template,
        unknown_id=unknown,
        byte_fallback=byte_fallback,
        reason=reason,
    )


def _checked_components(data: Mapping[str, Any], where: str) -> list[tuple[str, dict[str, Any]]]:
    """All components, with numbers that cost no more than they should."""
    found: list[tuple[str, dict[str, Any]]] = []
    growth = 1
    for key, members in (
        ("normalizer", "normalizers"),
        ("pre_tokenizer", "pretokenizers"),
        ("decoder", "decoders"),
    ):
        place = f"{where}: {key}"
        for kind, part in flattened(data.get(key), place, members):
            if len(found) == _MAX_COMPONENTS:
                raise FormatError(f"{place}: more than {_MAX_COMPONENTS} components")
            found.append((kind, part))
            if kind in ("Replace", "Split"):
                _check_pattern(member(part, "pattern", dict, place), f"{place}.{kind}.pattern")
            if kind in ("Replace", "Prepend"):
                added = member(part, "content" if kind == "Replace" else "prepend", str, place)
                growth *= max(1, len(added))
            elif kind == "Precompiled":
                _check_precompiled(member(part, "precompiled_charsmap", str, place), f"{place}.precompiled_charsmap")
        if growth > _MAX_GROWTH:
            raise FormatError(f"{place}: may lengthen a text {growth:,} times; at most {_MAX_GROWTH:,}")
    return found


def _check_pattern(pattern: dict[str, Any], place: str) -> None:
    if len(pattern) != 1 or next(iter(pattern)) not in ("String", "Regex"):
        raise FormatError(f"{place}: expected String or Regex")
    ((kind, said),) = pattern.items()
    if len(expect(said, str, f"{place}.{kind}")) > _MAX_EXPRESSION or not said:
        raise FormatError(f"{place}.{kind}: {len(said):,} characters; expected 1 to {_MAX_EXPRESSION:,}")


def _check_precompiled(encoded: str, place: str) -> None:
    try:
        table = base64.b64decode(encoded.encode(), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise FormatError(f"{place}: not base64: {error}") from None
    check_charsmap(table, place)


# --- the three algorithms: texts with ids, the unknown token's id, and the model without special tokens ---


def _bpe(
    model: Mapping[str, Any], pairs: Sequence[tuple[str, str]], special: Mapping[str, SpecialToken], place: str
) -> tuple[dict[str, int], int | None, dict[str, Any]]:
    texts: dict[str, int] = dict(model["vocab"])
    merged = {*chain.from_iterable(pairs), *(left + right for left, right in pairs)}
    _check_ids(texts, special, place)
    kept = {
        text: id for text, id in texts.items() if text not in special or len(text) == 1 or text in merged
    }  # those that merges have to do with are ordinary tokens too
    unknown, spelling = _unknown(model, texts, kept, place)
    if _mark(model, "continuing_subword_prefix", place):
        raise FormatError(f"{place}.continuing_subword_prefix: bbpe knows no vocabulary that merges that way")
    reduced = {
        "type": "BPE",
        "dropout": None,
        "unk_token": spelling,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": _mark(model, "end_of_word_suffix", place),
        "fuse_unk": flag(model, "fuse_unk", place),
        "byte_fallback": flag(model, "byte_fallback", place),
        "ignore_merges": flag(model, "ignore_merges", place),
        "vocab": kept,
        "merges": [list(pair) for pair in pairs],
    }
    return texts, unknown, reduced


def _wordpiece(
    model: Mapping[str, Any], special: Mapping[str, SpecialToken], place: str
) -> tuple[dict[str, int], int | None, dict[str, Any]]:
    texts: dict[str, int] = dict(model["vocab"])
    _check_ids(texts, special, place)
    kept = {text: id for text, id in texts.items() if text not in special}
    if model.get("unk_token") is None:
        raise FormatError(f"{place}.unk_token: missing; a WordPiece has an unknown token")
    unknown, spelling = _unknown(model, texts, kept, place)
    longest = model.get("max_input_chars_per_word", 100)
    if not 0 <= expect(longest, int, f"{place}.max_input_chars_per_word") <= 10_000:  # words cost their square
        raise FormatError(f"{place}.max_input_chars_per_word: {longest}; expected at most 10,000")
    reduced = {
        "type": "WordPiece",
        "unk_token": spelling,
        "continuing_subword_prefix": _mark(model, "continuing_subword_prefix", place) or "",
        "max_input_chars_per_word": longest,
        "vocab": kept,
    }
    return texts, unknown, reduced


def _unigram(
    model: Mapping[str, Any], special: Mapping[str, SpecialToken], place: str
) -> tuple[dict[str, int], int | None, dict[str, Any]]:
    entries: list[tuple[str, float]] = []
    texts: dict[str, int] = {}
    for id, entry in enumerate(expect(model.get("vocab"), list, f"{place}.vocab")):
        here = f"{place}.vocab[{id}]"
        expect(entry, list, here)
        if len(entry) != 2 or type(entry[0]) is not str or type(entry[1]) not in (float, int):
            raise FormatError(f"{here}: expected a text and a score")
        text, score = entry
        if not math.isfinite(score) or abs(score) > _MAX_SCORE:
            raise FormatError(f"{here}: score {score} is no score")
        if texts.setdefault(text, id) != id:
            raise FormatError(f"{here}: {text!r} stands there twice, as {texts[text]} and {id}")
        entries.append((text, float(score)))
    if not entries:
        raise FormatError(f"{place}.vocab: empty")
    _check_texts(texts, place)
    _check_ids(texts, special, place)
    unknown = model.get("unk_id")
    if unknown is not None and not 0 <= expect(unknown, int, f"{place}.unk_id") < len(entries):
        raise FormatError(f"{place}.unk_id: {unknown}; the vocabulary has {len(entries):,} entries")
    hidden = {id for text, id in texts.items() if text in special or id == unknown}
    reduced = {
        "type": "Unigram",
        "unk_id": unknown,
        "byte_fallback": flag(model, "byte_fallback", place),
        "vocab": [[text + UNREACHABLE if id in hidden else text, score] for id, (text, score) in enumerate(entries)],
    }
    return texts, unknown, reduced


def _check_texts(texts: Mapping[str, int], place: str) -> None:
    for text in texts:
        try:
            text.encode()
        except UnicodeEncodeError:
            raise FormatError(f"{place}.vocab[{text!r}]: holds a lone surrogate") from None


def _check_ids(texts: Mapping[str, int], special: Mapping[str, SpecialToken], place: str) -> None:
    _check_texts(texts, place)
    for text, id in texts.items():
        if not 0 <= id <= MAX_ID:
            raise FormatError(f"{place}.vocab[{text!r}]: id {id}; expected 0 to {MAX_ID}")
        if text in special and special[text].id != id:
            raise FormatError(
                f"{place}.vocab[{text!r}]: id {id}, but the special token of this name has {special[text].id}"
            )


def _unknown(
    model: Mapping[str, Any], texts: Mapping[str, int], kept: dict[str, int], place: str
) -> tuple[int | None, str | None]:
    """The unknown token's id, and its spelling in ``kept``, in which no text finds it."""
    spelling = model.get("unk_token")
    if spelling is None:
        return None, None
    if expect(spelling, str, f"{place}.unk_token") not in texts:
        raise FormatError(f"{place}.unk_token: {spelling!r} is no token")
    kept.pop(spelling, None)
    kept[spelling + UNREACHABLE] = texts[spelling]
    return texts[spelling], spelling + UNREACHABLE


def _mark(model: Mapping[str, Any], key: str, place: str) -> str | None:
    value = model.get(key)
    return None if value is None else str(expect(value, str, f"{place}.{key}"))


class _Speller:
    """What bytes a piece stands for, by what the components say of spaces and bytes."""

    def __init__(
        self, model: Mapping[str, Any], components: list[tuple[str, dict[str, Any]]], byte_level: bool, fallback: bool
    ) -> None:
        self._byte_level = byte_level
        self._fallback = fallback
        self._space = next(
            (
                mark
                for kind, part in components
                for key in ("replacement", "content", "prepend")
                if kind in ("Metaspace", "Replace", "Prepend") and (mark := part.get(key)) == SPACE
            ),
            None,
        )
        self._prefix = model.get("continuing_subword_prefix") or ""
        self._suffix = model.get("end_of_word_suffix") or ""

    def bytes_of(self, piece: str) -> bytes:
        """The bytes of one piece; where a mark says that a word ends with it, with a space."""
        if self._suffix and piece.endswith(self._suffix):
            piece = piece[: -len(self._suffix)] + ("Ġ" if self._byte_level else " ")
        elif self._prefix:
            piece = piece.removeprefix(self._prefix)
        if self._byte_level and is_spelling(piece):
            return to_bytes(piece)
        if self._fallback and len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">"):
            try:
                return bytes([int(piece[3:5], 16)])
            except ValueError:
                pass
        return (piece if self._space is None else piece.replace(self._space, " ")).encode()
