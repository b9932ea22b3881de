"""Read WordPiece's ``vocab.txt``: one token a line, its number is its id, ``##`` where it continues a word.

The file does not say how text is prepared, and the same list gives other ids with lower-casing and without. So that has
to be said: by the caller (``lowercase=``), by the ``tokenizer_config.json`` beside the file (``do_lower_case``), or by
the catalogue; else it is an error. All else is BERT's ``BasicTokenizer``, as ``tokenizers`` has it
(``BertWordPieceTokenizer``): control characters go, Chinese characters stand alone, text is cut at white space and
punctuation, accents go with the capitals, and a word of more than 100 characters is unknown.

Special tokens are BERT's own five, where the list has them, or the caller's. The template ([CLS] … [SEP]) is the
catalogue's to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bbpe.engines import EngineModel
from bbpe.errors import FormatError
from bbpe.formats.files import decode_utf8, expect, parse_json, read_bytes
from bbpe.formats.pipeline import engine_model
from bbpe.formats.sidecar import special_tokens_from_caller
from bbpe.patterns import Pattern
from bbpe.vocabulary import SpecialToken, Template

PREFIX = "##"
UNKNOWN = "[UNK]"
SPECIAL = ("[PAD]", UNKNOWN, "[CLS]", "[SEP]", "[MASK]")
_CONFIG = "tokenizer_config.json"
_MAX_TOKEN = 1024  # characters; a longer line is no token of a word list
_MAX_WORD = 100  # characters, of a word that is looked up at all


def read(
    path: Path,
    *,
    pattern: Pattern | None = None,
    special_tokens: Mapping[str, int] | None = None,
    lowercase: bool | None = None,
) -> EngineModel:
    """Read a word list.

    Args:
        path: The file; ``.gz`` and ``.xz`` are read too.
        pattern: Must be None: BERT's rules cut the text.
        special_tokens: ``{content: id}`` in place of BERT's five.
        lowercase: Whether text is lower-cased and loses its accents.

    Raises:
        FormatError: A damaged line (with its number), or nobody says whether text is lower-cased.
    """
    if pattern is not None:
        raise FormatError(f"{path}: a WordPiece list has no pattern; leave pattern out")
    texts = _parse(decode_utf8(read_bytes(path), path), path)
    prepare = _config_beside(path)
    if lowercase is not None:
        if type(lowercase) is not bool:
            raise TypeError(f"lowercase is True or False, not {lowercase!r}")
        prepare["lowercase"] = lowercase
    if "lowercase" not in prepare:
        raise FormatError(
            f"{path}: a vocab.txt does not say whether text is lower-cased, there is no {_CONFIG} beside it, and its "
            "sha256 is not in the catalogue: pass lowercase=True or lowercase=False"
        )
    if special_tokens is None:
        special = tuple(SpecialToken(content, texts[content]) for content in SPECIAL if content in texts)
    else:
        special = special_tokens_from_caller(special_tokens)
        for token in special:
            if texts.get(token.content) != token.id:
                raise FormatError(f"{path}: {token.content!r} is not id {token.id} there")
    return bert_model(texts, str(path), prepare, special)


def bert_model(
    texts: Mapping[str, int],
    where: str,
    prepare: Mapping[str, Any],
    special: Sequence[SpecialToken],
    *,
    unknown: str = UNKNOWN,
    template: Template | None = None,
) -> EngineModel:
    """BERT's tokenizer over some words.

    Args:
        texts: Text to id, with ``##`` before what continues a word.
        where: The file, for messages.
        prepare: ``lowercase``, and where they are known ``chinese`` (whether such characters stand alone) and
            ``accents`` (whether they are stripped; as ``lowercase`` otherwise).
        special: Its special tokens.
        unknown: The text of the unknown token.
        template: Ids around a text.

    Raises:
        FormatError: The parts contradict one another.
    """
    data = {
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": prepare.get("chinese", True),
            "strip_accents": prepare.get("accents"),
            "lowercase": prepare["lowercase"],
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "decoder": {"type": "WordPiece", "prefix": PREFIX, "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": unknown,
            "continuing_subword_prefix": PREFIX,
            "max_input_chars_per_word": _MAX_WORD,
            "vocab": dict(texts),
        },
    }
    return engine_model(
        data,
        where,
        kind="WordPiece",
        special_tokens=special,
        template=template or Template(),
        pairs=None,
        reason="WordPiece takes the longest token of a word first; no byte-level BPE",
    )


def _parse(text: str, path: Path) -> dict[str, int]:
    """Token to id. A line ends at a newline alone: BERT's Chinese list holds U+2028."""
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    texts: dict[str, int] = {}
    for id, line in enumerate(lines):
        token = line.removesuffix("\r")
        if not token or len(token) > _MAX_TOKEN or "\0" in token:
            raise FormatError(f"{path}:{id + 1}: {token[:60]!r}; expected one token")
        if texts.setdefault(token, id) != id:
            raise FormatError(f"{path}:{id + 1}: {token[:60]!r} stands there twice, first in line {texts[token] + 1}")
    if UNKNOWN not in texts:
        raise FormatError(f"{path}: no {UNKNOWN}; a WordPiece list has one")
    return texts


def _config_beside(path: Path) -> dict[str, Any]:
    """What transformers' configuration in the same folder says of how text is prepared."""
    place = path.with_name(_CONFIG)
    if not place.exists():
        return {}
    config = expect(parse_json(read_bytes(place), place), dict, str(place))
    found = {}
    for key, name in (
        ("do_lower_case", "lowercase"),
        ("tokenize_chinese_chars", "chinese"),
        ("strip_accents", "accents"),
    ):
        if config.get(key) is not None:
            found[name] = expect(config[key], bool, f"{place}: {key}")
    return found
