"""Read and write the vocabulary of a GGUF file, llama.cpp's container: a byte-level BPE, which it calls ``gpt2``.

**Read** by this module alone: only the keys at the head of the file are looked at, never the tensors, so a model of many
gigabytes is read as fast as its vocabulary. Nothing is believed before it is checked: every count and length against the
bytes that are left, arrays not nested, no key twice. ``tokenizer.ggml.tokens`` are spelled as in ``byte_text.py``, the
merges as in ``merges.txt``; a token's type tells special ones (control 3, unknown 2, user-defined 4) and fillers of
unused ids (5), which are left out. ``tokenizer.ggml.pre`` names the pattern, or rather the code of llama.cpp, whose
pattern is taken (``llama_cpp.py``) unless the caller names another. Beginning and end tokens become the template where
the file says that they are added. SentencePiece vocabularies (``llama``, ``t5``) become models for the library
sentencepiece, of the same pieces and scores (llama.cpp's own code differs from it after a user-defined piece, where it
puts the space prefix again). WordPiece (``bert``), which has ``▁`` before what begins a word there and nothing before
what continues one, becomes BERT's own tokenizer again, of the same words, whether it lowers case and strips accents as
the file says (``tokenizer.ggml.normalizer.…``; both where it says nothing, as llama.cpp does). On text of our corpora
llama.cpp's own code gives the same ids; it differs from BERT's where it strips every mark and leaves Hangul composed, in
taking U+000B, U+000C and U+0085 for spaces, in words of more than 100 characters and in newer punctuation. Others
(``rwkv``, ``gemma4`` …) are refused by name.

**Written** through the ``gguf`` package, which writes a file of keys without tensors: a vocabulary that llama.cpp loads
(``vocab_only``) and that its tools can copy into a model. A rank table is written as all its splits. Ids without a token
get fillers ``[PADid]``, for ids have no holes there. What llama.cpp cannot do is refused: a pattern that none of its
pre-tokenizers is, a normalizer (it has none for BPE), special tokens that take white space along, pretokens taken whole
under a name that does not do so, unless every token is made by merges anyway.

Sources: ``docs/gguf.md`` of ggml-org/ggml (versions 2 and 3); ``src/llama-vocab.cpp`` of ggml-org/llama.cpp.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from bbpe.engines import EngineModel
from bbpe.errors import FormatError, MissingExtraError, PatternError
from bbpe.formats import wordpiece_text
from bbpe.formats.byte_text import is_spelling, to_bytes, to_text
from bbpe.formats.equivalence import unmade_tokens
from bbpe.formats.files import decode_utf8, is_compressed, read_bytes, shortened
from bbpe.formats.llama_cpp import Match, PreTokenizer, harmless_long_s, matching, pre_tokenizers
from bbpe.formats.sentencepiece_model import BPE, UNIGRAM, Piece, engine_model, parse, piece_model, with_special
from bbpe.formats.sidecar import build, special_tokens_from_caller
from bbpe.formats.tokenizer_json import ids_of_pairs, ordinary_tokens, spelled_tokens
from bbpe.patterns import Pattern, Pretokenizer
from bbpe.vocabulary import SpecialToken, Template, Vocabulary

MAGIC = b"GGUF"
MAX_HEAD_BYTES = 512 << 20  # of keys and values; a vocabulary of 250,000 tokens and as many merges takes 12 MB
MAX_KEYS = 1 << 16
MAX_STRINGS = 1 << 23  # in all arrays together
MAX_FILLERS = 1 << 20
ARCHITECTURE = "llama"  # llama.cpp reads no vocabulary without one, and looks at nothing else of it
_VERSIONS = (2, 3)
_FIRST_READ = 16 << 20
_DEFAULT_BEGINNING = _DEFAULT_END = 11  # llama.cpp's ids for a model "gpt2" that names none: those of GPT-2's ","
_DEFAULT_WORDS = {"beginning": 101, "separator": 102, "unknown": 100}  # llama.cpp's ids for a model "bert"
_WORD_START = "▁"
_OTHER_MODELS = {
    "rwkv": "RWKV's",
    "plamo2": "PLaMo 2's",
    "gemma4": "a BPE of text",
    "none": "no",
}

_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED, _UNUSED, _BYTE = range(1, 7)
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9

_PREFIX = "tokenizer.ggml."
MODEL, PRE, TOKENS, TYPES, MERGES = (_PREFIX + key for key in ("model", "pre", "tokens", "token_type", "merges"))
BEGINNING_ID, END_ID, PADDING_ID = (_PREFIX + key + "_token_id" for key in ("bos", "eos", "padding"))
ADD_BEGINNING, ADD_END = (_PREFIX + f"add_{key}_token" for key in ("bos", "eos"))
SCORES, SPACE_PREFIX, EXTRA_SPACES, CHARSMAP = (
    _PREFIX + key for key in ("scores", "add_space_prefix", "remove_extra_whitespaces", "precompiled_charsmap")
)
LOWERCASE, ACCENTS = (_PREFIX + f"normalizer.{key}" for key in ("lowercase", "strip_accents"))
UNKNOWN_ID, SEPARATOR_ID, CLASS_ID = (_PREFIX + f"{key}_token_id" for key in ("unknown", "seperator", "cls"))
ADD_SEPARATOR = _PREFIX + "add_sep_token"
_NAME = "general.name"


# --- the container ---


def is_gguf(path: Path) -> bool:
    """Whether a file begins as GGUF does; false where it cannot be opened."""
    try:
        with open(path, "rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except (OSError, ValueError):
        return False


class _Head:
    """The head of a file, read as far as it is asked for, with a place in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.at = 0
        self._file: Any = None
        if is_compressed(path):
            self.data = read_bytes(path)
            self.size = len(self.data)
            return
        try:
            self._file = open(path, "rb")  # noqa: SIM115 - closed by read_keys
            self.size = os.fstat(self._file.fileno()).st_size
        except (OSError, ValueError) as error:
            raise FormatError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
        self.data = b""

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def left(self) -> int:
        return self.size - self.at

    def skip(self, count: int, what: str) -> int:
        """Move past ``count`` bytes, which have to be there; where they begin."""
        begin, end = self.at, self.at + count
        if end > self.size:
            raise FormatError(
                f"{self.path}: {what} at byte {begin:,} takes {count:,} bytes, but {self.left():,} are left: truncated "
                "or damaged"
            )
        if end > MAX_HEAD_BYTES:
            raise FormatError(
                f"{self.path}: {what} at byte {begin:,}: keys and values take over {MAX_HEAD_BYTES:,} bytes"
            )
        if end > len(self.data):
            self._read_to(end)
        self.at = end
        return begin

    def _read_to(self, end: int) -> None:
        wanted = max(end, min(self.size, max(2 * len(self.data), _FIRST_READ)))
        try:
            more = self._file.read(wanted - len(self.data))
        except OSError as error:
            raise FormatError(f"{self.path}: cannot be read: {error.strerror}") from None
        self.data += more
        if len(self.data) < end:
            raise FormatError(f"{self.path}: ends at byte {len(self.data):,} while it is read")


@dataclass(frozen=True, slots=True)
class _Skipped:
    """A value that nobody asked for."""

    kind: str


def read_keys(path: Path, wanted: frozenset[str]) -> dict[str, Any]:
    """Some of the keys of a GGUF file: numbers, strings, and lists of either.

    Args:
        path: The file; ``.gz`` and ``.xz`` are read too.
        wanted: Whose values to keep; those of other keys are checked for their size and passed over.

    Returns:
        Key to value, of the keys that are there.

    Raises:
        FormatError: Not GGUF, of an unknown version, truncated or damaged; the message names the place.
    """
    head = _Head(path)
    try:
        return _Reader(head).keys(wanted)
    finally:
        head.close()


class _Reader:
    """Reads keys and values, of one byte order."""

    def __init__(self, head: _Head) -> None:
        self._head = head
        self._strings = 0
        begin = head.skip(8, "the magic and the version")
        if head.data[begin : begin + 4] != MAGIC:
            raise FormatError(f"{head.path}: begins with {head.data[:4]!r}, not with {MAGIC!r}")
        self._order = "<"
        (version,) = struct.unpack_from("<I", head.data, begin + 4)
        if not version & 0xFFFF:  # written on a big-endian machine
            self._order = ">"
            (version,) = struct.unpack_from(">I", head.data, begin + 4)
        if version not in _VERSIONS:
            known = " and ".join(map(str, _VERSIONS))
            raise FormatError(f"{head.path}: GGUF version {version}; bbpe reads versions {known}")

    def keys(self, wanted: frozenset[str]) -> dict[str, Any]:
        head = self._head
        self._number("Q", "the number of tensors")
        count = self._number("Q", "the number of keys")
        if count > min(MAX_KEYS, head.left() // 13):  # a key takes a length, a kind and a byte at least
            raise FormatError(f"{head.path}: {count:,} keys in {head.left():,} bytes")
        found: dict[str, Any] = {}
        seen: set[bytes] = set()
        for index in range(count):
            raw = self._bytes(f"key {index}", 65_535)
            if raw in seen:
                raise FormatError(f"{head.path}: key {raw[:80]!r} stands twice")
            seen.add(raw)
            key = decode_utf8(raw, head.path)
            value = self._value(key if key.isprintable() and len(key) <= 100 else repr(key[:80]), key in wanted)
            if key in wanted:
                found[key] = value
        return found

    def _number(self, code: str, what: str) -> Any:
        begin = self._head.skip(struct.calcsize("<" + code), what)
        return struct.unpack_from(self._order + code, self._head.data, begin)[0]

    def _bytes(self, what: str, limit: int) -> bytes:
        length = self._number("Q", what)
        if length > limit:
            raise FormatError(f"{self._head.path}: {what} is {length:,} bytes long")
        begin = self._head.skip(length, what)
        return self._head.data[begin : begin + length]

    def _value(self, key: str, keep: bool) -> Any:
        head = self._head
        kind = self._number("I", f"the kind of {key}")
        if kind in _SCALARS:
            if kind == 7:
                number = self._number("B", key)
                if number > 1:
                    raise FormatError(f"{head.path}: {key}: {number} is neither true nor false")
                return bool(number)
            return self._number(_SCALARS[kind], key)
        if kind == _STRING:
            text = self._bytes(key, head.left())
            return self._text(text, key) if keep else _Skipped("string")
        if kind == _ARRAY:
            return self._array(key, keep)
        raise FormatError(f"{head.path}: {key} is of unknown kind {kind}")

    def _text(self, data: bytes, place: str) -> str:
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise FormatError(f"{self._head.path}: {place}: byte {error.start} of {data[:60]!r} is not UTF-8") from None

    def _array(self, key: str, keep: bool) -> Any:
        head = self._head
        kind = self._number("I", f"the kind of {key}")
        count = self._number("Q", f"the length of {key}")
        if kind in _SCALARS:
            size = struct.calcsize("<" + _SCALARS[kind])
            if count > head.left() // size:
                raise FormatError(
                    f"{head.path}: {key}: {count:,} numbers in {head.left():,} bytes: truncated or damaged"
                )
            begin = head.skip(count * size, key)
            if not keep:
                return _Skipped("array")
            if count > MAX_STRINGS:
                raise FormatError(f"{head.path}: {key}: {count:,} numbers; a vocabulary has at most {MAX_STRINGS:,}")
            return list(struct.unpack_from(f"{self._order}{count}{_SCALARS[kind]}", head.data, begin))
        if kind == _STRING:
            return self._strings_of(key, count, keep)
        if kind == _ARRAY:
            raise FormatError(f"{head.path}: {key}: an array of arrays; no key of a vocabulary has one")
        raise FormatError(f"{head.path}: {key}: an array of unknown kind {kind}")

    def _strings_of(self, key: str, count: int, keep: bool) -> Any:
        """An array of strings; one loop without calls, for a vocabulary has half a million of them."""
        head = self._head
        self._strings += count
        if count > head.left() // 8 or self._strings > MAX_STRINGS:
            raise FormatError(f"{head.path}: {key}: {count:,} strings in {head.left():,} bytes: truncated or damaged")
        unpack = struct.Struct(self._order + "Q").unpack_from
        strings: list[bytes] = []
        at = head.at
        known = len(head.data)
        for index in range(count):
            if at + 8 <= known:
                (length,) = unpack(head.data, at)
                end = at + 8 + length
                if end <= known:
                    if keep:
                        strings.append(head.data[at + 8 : end])
                    at = end
                    continue
            head.at = at  # the slow way, at the edge of what has been read and where something is wrong
            string = self._bytes(f"{key}[{index}]", head.left())
            if keep:
                strings.append(string)
            at = head.at
            known = len(head.data)
        head.at = at
        if not keep:
            return _Skipped("array")
        try:
            return [string.decode() for string in strings]
        except UnicodeDecodeError:
            return [self._text(string, f"{key}[{index}]") for index, string in enumerate(strings)]


def _get(keys: Mapping[str, Any], key: str, kind: type, path: Path, default: Any = None) -> Any:
    """A value, once it is of its type; the default where the key is not there."""
    value = keys.get(key)
    if value is None:
        return default
    if type(value) is not kind:
        shown = value.kind if isinstance(value, _Skipped) else type(value).__name__
        raise FormatError(f"{path}: {key}: {shown}; expected {kind.__name__}")
    return value


def _list(keys: Mapping[str, Any], key: str, kind: type, path: Path) -> list[Any]:
    values: list[Any] = _get(keys, key, list, path, [])
    if values and type(values[0]) is not kind:  # GGUF arrays hold one kind
        raise FormatError(f"{path}: {key}: a list of {type(values[0]).__name__}; expected {kind.__name__}")
    return values


# --- reading ---

_WANTED = frozenset(
    (
        *(MODEL, PRE, TOKENS, TYPES, MERGES, BEGINNING_ID, END_ID, ADD_BEGINNING, ADD_END, _NAME),
        *(SCORES, SPACE_PREFIX, EXTRA_SPACES, CHARSMAP),
        *(LOWERCASE, ACCENTS, UNKNOWN_ID, SEPARATOR_ID, CLASS_ID, ADD_SEPARATOR),
    )
)


def read(
    path: Path, *, pattern: Pattern | None = None, special_tokens: Mapping[str, int] | None = None
) -> Vocabulary | EngineModel:
    """Read the vocabulary of a GGUF file, tensors or not.

    Args:
        path: The file; ``.gz`` and ``.xz`` are read too. Of a model in several files, the first.
        pattern: Used instead of llama.cpp's code for the file's ``tokenizer.ggml.pre``.
        special_tokens: ``{content: id}``, used instead of what the types of the tokens say.

    Raises:
        FormatError: Damaged, of an algorithm that bbpe does not read from GGUF, or of a pre-tokenizer that no pattern
            says.
    """
    keys = read_keys(path, _WANTED)
    if keys.get(MODEL) in ("llama", "t5"):
        if pattern is not None:
            raise FormatError(f"{path}: a SentencePiece vocabulary has no pattern; leave pattern out")
        return _pieces(keys, path, special_tokens)
    if keys.get(MODEL) == "bert":
        if pattern is not None:
            raise FormatError(f"{path}: a WordPiece has no pattern; leave pattern out")
        return _words(keys, path, special_tokens)
    return from_keys(keys, path, pattern=pattern, special_tokens=special_tokens)


def from_keys(
    keys: Mapping[str, Any],
    path: Path,
    *,
    pattern: Pattern | None = None,
    special_tokens: Mapping[str, int] | None = None,
) -> Vocabulary:
    """As :func:`read`, of a byte-level vocabulary, from the keys and their values."""
    _check_model(keys, path)
    pre = _pre_tokenizer(_get(keys, PRE, str, path, "default"), path, pattern)
    texts, types = _texts(keys, path)
    special = _special_tokens(texts, types) if special_tokens is None else special_tokens_from_caller(special_tokens)
    pairs = _pairs(_list(keys, MERGES, str, path), path)
    merges = ids_of_pairs(pairs, texts, f"{path}: {MERGES}")
    if pattern is None:
        pattern = pre.pattern
    tokens = ordinary_tokens(
        _without_fillers(texts, types, pairs, pre.whole_pretoken, pattern),
        pairs,
        {token.content: token for token in special},
        f"{path}: {TOKENS}",
    )
    return build(
        path,
        tokens=tokens,
        merges=merges,
        special_tokens=special,
        pattern=pattern,
        whole_pretoken=pre.whole_pretoken,
        template=_template(keys, pre, path),
        name=_get(keys, _NAME, str, path) or None,
    )


def _check_model(keys: Mapping[str, Any], path: Path) -> None:
    if MODEL not in keys:
        raise FormatError(f"{path}: a GGUF file without a vocabulary ({MODEL} is missing)")
    model = _get(keys, MODEL, str, path)
    if model != "gpt2":
        kind = _OTHER_MODELS.get(model, "an unknown")
        raise FormatError(
            f"{path}: holds {kind} vocabulary ({MODEL} is {shortened(model)!r}); of GGUF files bbpe reads byte-level BPE "
            "(gpt2), SentencePiece (llama, t5) and WordPiece (bert). Load the model's own tokenizer.json or vocab.txt instead"
        )
    for key in (TOKENS, MERGES):
        if key not in keys:
            raise FormatError(f"{path}: {key} is missing")


def _pre_tokenizer(name: str, path: Path, pattern: Pattern | None) -> PreTokenizer:
    found = pre_tokenizers().get(name)
    if found is None:
        if pattern is None:
            raise FormatError(
                f"{path}: {PRE} is {shortened(name)!r}, whose pattern bbpe does not know: pass pattern='llama3' (a name "
                "or a regex)"
            )
        return PreTokenizer(name, (), why_not="unknown")
    if not found.stages and pattern is None:
        raise FormatError(f"{path}: {PRE} is {name!r}, which no pattern says: {found.why_not}")
    return found


def _texts(keys: Mapping[str, Any], path: Path) -> tuple[dict[str, int], list[int]]:
    """Text to id, and the type of each id. Empty texts are left out: llama.cpp gives them a name of its own."""
    texts = _list(keys, TOKENS, str, path)
    types = _list(keys, TYPES, int, path) or [_NORMAL] * len(texts)
    if len(types) < len(texts):
        raise FormatError(f"{path}: {TYPES} has {len(types):,} entries for {len(texts):,} tokens")
    ids = {text: id for id, text in enumerate(texts) if text}
    if len(ids) != len(texts) - texts.count(""):
        seen: dict[str, int] = {}
        for id, text in enumerate(texts):
            if text and seen.setdefault(text, id) != id:
                raise FormatError(f"{path}: {TOKENS}[{id}]: {text[:80]!r}, as token {seen[text]} already")
    return ids, types


def _special_tokens(texts: Mapping[str, int], types: list[int]) -> tuple[SpecialToken, ...]:
    return tuple(
        SpecialToken(text, id, special=types[id] != _USER_DEFINED)
        for text, id in texts.items()
        if types[id] in (_UNKNOWN, _CONTROL, _USER_DEFINED)
    )


def _pairs(merges: list[str], path: Path) -> list[tuple[str, str]]:
    pairs = [tuple(merge.split(" ")) for merge in merges]
    if set(map(len, pairs)) - {2}:
        for index, pair in enumerate(pairs):
            if len(pair) != 2:
                raise FormatError(
                    f"{path}: {MERGES}[{index}]: {merges[index][:80]!r}; expected two tokens with a space"
                )
    return [(left, right) for left, right in pairs]


def _without_fillers(
    texts: Mapping[str, int], types: list[int], pairs: list[tuple[str, str]], whole: bool, pattern: Pattern
) -> dict[str, int]:
    """The texts but those of unused ids that no text can become."""
    unused = [text for text, id in texts.items() if types[id] == _UNUSED]
    if not unused:
        return dict(texts)
    merged = {*chain.from_iterable(pairs), *(left + right for left, right in pairs)}
    pretokenizer = Pretokenizer(pattern) if whole else None
    fillers = {
        text
        for text in unused
        if not is_spelling(text)
        or (len(text) > 1 and text not in merged and not (pretokenizer and _is_one_pretoken(text, pretokenizer)))
    }
    return {text: id for text, id in texts.items() if text not in fillers}


def _is_one_pretoken(text: str, pretokenizer: Pretokenizer) -> bool:
    spelled = to_bytes(text)
    return pretokenizer.split(spelled) == [spelled]


def _template(keys: Mapping[str, Any], pre: PreTokenizer, path: Path) -> Template:
    sides: list[tuple[int, ...]] = []
    for add, id, by_default, otherwise in (
        (ADD_BEGINNING, BEGINNING_ID, pre.adds_beginning, _DEFAULT_BEGINNING),
        (ADD_END, END_ID, False, _DEFAULT_END),
    ):
        added = _get(keys, add, bool, path, by_default)
        sides.append((_get(keys, id, int, path, otherwise),) if added else ())
    return Template(*sides)


def _pieces(keys: Mapping[str, Any], path: Path, special_tokens: Mapping[str, int] | None) -> EngineModel:
    """A SentencePiece model of the same pieces and scores; BPE for ``llama``, Unigram for ``t5``."""
    unigram = keys[MODEL] == "t5"
    texts, types = _texts(keys, path)
    scores = _list(keys, SCORES, float, path)
    if len(scores) < len(types):
        raise FormatError(f"{path}: {SCORES} has {len(scores):,} entries for {len(types):,} tokens")
    by_id = {id: text for text, id in texts.items()}
    pieces = []
    for id, kind in enumerate(types[: len(_list(keys, TOKENS, str, path))]):
        if id not in by_id:
            raise FormatError(f"{path}: {TOKENS}[{id}] is empty")
        pieces.append(Piece(by_id[id], scores[id], kind if _NORMAL <= kind <= _BYTE else _NORMAL))
    model = piece_model(
        pieces,
        model_type=UNIGRAM if unigram else BPE,
        byte_fallback=any(piece.kind == _BYTE for piece in pieces),
        add_dummy_prefix=_get(keys, SPACE_PREFIX, bool, path, True),
        remove_extra_whitespaces=_get(keys, EXTRA_SPACES, bool, path, False),
        charsmap=bytes(number & 0xFF for number in _list(keys, CHARSMAP, int, path)),
        normalization="GGUF",
    )
    checked = parse(model.serialized(), path)  # all that the library relies on
    sides: list[tuple[int, ...]] = []
    for add, role, by_default, otherwise in (
        (ADD_BEGINNING, BEGINNING_ID, not unigram, 1),
        (ADD_END, END_ID, unigram, 1 if unigram else 2),
    ):
        added = _get(keys, add, bool, path, by_default)
        sides.append((_get(keys, role, int, path, otherwise),) if added else ())
    found = engine_model(with_special(checked, special_tokens or {}, path), path)
    return found.replace(template=Template(*sides), name=_get(keys, _NAME, str, path) or None)


def _words(keys: Mapping[str, Any], path: Path, special_tokens: Mapping[str, int] | None) -> EngineModel:
    """BERT's tokenizer over the words, each with ``##`` again where it continues one."""
    texts, types = _texts(keys, path)
    by_id = {id: text for text, id in texts.items()}
    roles = {
        "beginning": _get(keys, BEGINNING_ID, int, path, _get(keys, CLASS_ID, int, path, _DEFAULT_WORDS["beginning"])),
        "separator": _get(keys, SEPARATOR_ID, int, path, _DEFAULT_WORDS["separator"]),
        "unknown": _get(keys, UNKNOWN_ID, int, path, _DEFAULT_WORDS["unknown"]),
    }
    words: dict[str, int] = {}
    for id, text in by_id.items():
        if types[id] == _UNUSED:
            continue
        word = _word(text, types[id])
        if words.setdefault(word, id) != id:
            raise FormatError(f"{path}: {TOKENS}[{id}]: {word[:80]!r}, as token {words[word]} already")
    spelled = {id: word for word, id in words.items()}
    unknown = spelled.get(roles["unknown"])
    if unknown is None:
        raise FormatError(f"{path}: the unknown token has id {roles['unknown']}, which is no token of this vocabulary")
    if special_tokens is not None:
        special = special_tokens_from_caller(special_tokens)
    else:
        named = {words[content] for content in wordpiece_text.SPECIAL if content in words}
        special = tuple(
            SpecialToken(word, id, special=types[id] != _USER_DEFINED)
            for word, id in words.items()
            if types[id] in (_UNKNOWN, _CONTROL, _USER_DEFINED) or id in named
        )
    lowercase = _get(keys, LOWERCASE, bool, path, True)
    around = (("beginning", ADD_BEGINNING), ("separator", ADD_SEPARATOR))
    template = Template(*((roles[role],) if _get(keys, add, bool, path, True) else () for role, add in around))
    found = wordpiece_text.bert_model(
        words,
        str(path),
        {"lowercase": lowercase, "accents": _get(keys, ACCENTS, bool, path, lowercase)},
        special,
        unknown=unknown,
        template=template,
    )
    return found.replace(name=_get(keys, _NAME, str, path) or None)


def _word(text: str, kind: int) -> str:
    """A token as vocab.txt has it. Older converters left all texts in brackets as they are, not only special ones."""
    if kind in (_UNKNOWN, _CONTROL) or (text.startswith("[") and text.endswith("]") and len(text) > 2):
        return text
    begins = text.startswith(_WORD_START) and len(text) > 1  # by itself it continues: no word is empty
    return text[1:] if begins else wordpiece_text.PREFIX + text


# --- writing ---


@dataclass(frozen=True, slots=True)
class Roles:
    """What llama.cpp wants to know of special tokens and a ``Vocabulary`` does not say, by their contents.

    Attributes:
        beginning: The token that begins a text; None for the template's.
        end: The token that ends one, at which generation stops; None for the template's.
        padding: The padding token.
    """

    beginning: str | None = None
    end: str | None = None
    padding: str | None = None


def write(vocabulary: Vocabulary, path: Path, *, roles: Roles | None = None, match: Match | None = None) -> None:
    """Write a vocabulary, read the file again, and compare.

    Args:
        vocabulary: What to write.
        path: The file.
        roles: Which special tokens begin, end and pad a text.
        match: What :func:`pre_tokenizer_for` gave for this vocabulary, where that has been asked.

    Raises:
        FormatError: llama.cpp cannot say this vocabulary exactly; the message says why.
        MissingExtraError: The ``gguf`` package is not installed.
        OSError: The file cannot be written.
    """
    gguf = _gguf()
    match = match or pre_tokenizer_for(vocabulary)
    ids = _role_ids(vocabulary, roles or Roles())
    texts, types = _spelled_with_fillers(vocabulary)
    spelled = {id: to_text(token) for id, token in vocabulary.tokens.items()}
    from bbpe.training import as_merge_list  # here, since reading most formats needs no trainer

    listed = as_merge_list(vocabulary)
    if not listed.merges:
        raise FormatError("GGUF cannot say a vocabulary without merges: llama.cpp wants one at least")
    writer = gguf.GGUFWriter(path, ARCHITECTURE)
    if vocabulary.name:
        writer.add_name(vocabulary.name)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(match.name)
    writer.add_token_list(texts)
    writer.add_token_types(types)
    writer.add_token_merges([f"{spelled[left]} {spelled[right]}" for left, right in listed.merges or ()])
    for key, id in ids.items():
        writer.add_uint32(key, id)
    writer.add_add_bos_token(bool(vocabulary.template.before))
    writer.add_add_eos_token(bool(vocabulary.template.after))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    if read(path, pattern=vocabulary.pattern) != as_written(listed, match):
        raise FormatError("what was written reads back as another vocabulary: GGUF cannot say this one")


def _gguf() -> Any:
    try:
        import gguf
    except ImportError:
        raise MissingExtraError("writing GGUF needs the package gguf: pip install 'bbpe[gguf]'") from None
    return gguf


def as_written(vocabulary: Vocabulary, match: Match) -> Vocabulary:
    """A merge list as it is read back: with the flags that GGUF has."""
    return vocabulary.replace(
        whole_pretoken=match.whole_pretoken,
        special_tokens=[SpecialToken(token.content, token.id, token.special) for token in vocabulary.special_tokens],
    )


def pre_tokenizer_for(
    vocabulary: Vocabulary, name: str | None = None, unmade: Callable[[Vocabulary], Sequence[int]] = unmade_tokens
) -> Match:
    """The value of ``tokenizer.ggml.pre`` under which llama.cpp gives every text the ids that bbpe gives it, but for
    what ``Match.exact`` says.

    Args:
        vocabulary: What is to be written.
        name: Only this value.
        unmade: Gives the ids of tokens that no merges make, when they are asked for.

    Raises:
        FormatError: There is none, or GGUF cannot say something else of the vocabulary; the message says why.
    """
    if vocabulary.normalizer is not None:
        raise FormatError(
            f"llama.cpp does not normalize text ({vocabulary.normalizer}) before such a vocabulary; without its "
            "normalizer (drop_normalizer, --drop-normalizer) the ids are the same for normalized text only"
        )
    for special in vocabulary.special_tokens:
        for flag in ("lstrip", "rstrip", "single_word"):
            if getattr(special, flag):
                raise FormatError(f"GGUF cannot say {flag} of special token {special.content!r}")
    matches = [match for match in matching(vocabulary.pattern) if name in (None, match.name)]
    if not matches:
        raise FormatError(_no_pre_tokenizer(vocabulary.pattern))
    # Under the same rule for whole pretokens if there is a name for that, else under the other where that is the same.
    clash = _special_pretoken(vocabulary)
    same = [match for match in matches if match.whole_pretoken == vocabulary.whole_pretoken]
    if same and not (vocabulary.whole_pretoken and clash):
        return same[0]
    other = [match for match in matches if match.whole_pretoken != vocabulary.whole_pretoken]
    lost = unmade(vocabulary)
    if other and not lost and not (other[0].whole_pretoken and clash):
        return other[0]
    if clash:
        reason = (
            f"special token {clash!r} is one pretoken, which {(same or other)[0].name} takes for the special token even "
            "where special tokens are plain text"
        )
    elif vocabulary.whole_pretoken:
        reason = f"{other[0].name} does not take pretokens whole"
    else:
        reason = f"{other[0].name} takes pretokens whole, which the vocabulary does not"
    also = f", and {len(lost):,} tokens are made by no merges (the first is {lost[0]})" if lost else ""
    raise FormatError(f"llama.cpp has no pre-tokenizer for this vocabulary: {reason}{also}")


def _no_pre_tokenizer(pattern: Pattern) -> str:
    text = f"llama.cpp has no pre-tokenizer that cuts text as pattern {shortened(pattern)} does"
    try:
        published = pattern.spelling("llama.cpp")
    except PatternError:
        return f"{text}; with the pattern of one that it has (pre=, --pre NAME) it is another vocabulary, which can be written"
    return (
        f"{text}: {published}, the name for it, {_DIFFERENCES.get(str(published), 'does something else')}. With "
        f"llama.cpp's own pattern instead (pre={published!r}, --pre {published}) it is another vocabulary, which can be "
        "written"
    )


_DIFFERENCES = {
    "gpt-4o": "takes every letter but a-z for upper case, every letter but A-Z for lower case, and no mark for either",
    "tekken": "takes every letter but a-z for upper case, every letter but A-Z for lower case, and no mark for either",
    "deepseek-llm": "does not take U+3000 for punctuation, nor other white space for Asian",
}


def _special_pretoken(vocabulary: Vocabulary) -> str | None:
    """A special token, no ordinary one, that a pretoken of ordinary text may be spelled as."""
    pretokenizer = Pretokenizer(vocabulary.pattern)
    for special in vocabulary.special_tokens:
        content = special.content
        if is_spelling(content) and special.id not in vocabulary.tokens and _is_one_pretoken(content, pretokenizer):
            return content
    return None


def _role_ids(vocabulary: Vocabulary, roles: Roles) -> dict[str, int]:
    """Key to id of the roles that are known."""
    contents = {special.content: special.id for special in vocabulary.special_tokens}
    found: dict[str, int] = {}
    for key, content, side, name in (
        (BEGINNING_ID, roles.beginning, vocabulary.template.before, "begin"),
        (END_ID, roles.end, vocabulary.template.after, "end"),
        (PADDING_ID, roles.padding, (), "pad"),
    ):
        if len(side) > 1:
            raise FormatError(f"GGUF cannot say that {len(side)} tokens {name} a text ({', '.join(map(str, side))})")
        if content is not None:
            if content not in contents:
                raise FormatError(f"{content!r}, said to {name} a text, is no special token of this vocabulary")
            if side and side[0] != contents[content]:
                raise FormatError(f"{content!r} is said to {name} a text, but the template has id {side[0]} there")
            found[key] = contents[content]
        elif side:
            found[key] = side[0]
    return found


def _spelled_with_fillers(vocabulary: Vocabulary) -> tuple[list[str], list[int]]:
    """Text and type of every id.

    Raises:
        FormatError: Too many ids have no token.
    """
    fillers = vocabulary.id_space - vocabulary.vocab_size
    if fillers > MAX_FILLERS:
        raise FormatError(f"{fillers:,} ids have no token; GGUF has no holes, and bbpe fills at most {MAX_FILLERS:,}")
    spelled = spelled_tokens(vocabulary)
    by_id = {id: text for text, id in spelled.items()}
    special = {token.id: token.special for token in vocabulary.special_tokens}
    texts: list[str] = []
    types: list[int] = []
    for id in range(vocabulary.id_space):
        text = by_id.get(id)
        if text is None:
            # A space is no character of the spelling of bytes, so that no pretoken is ever a filler that has one.
            text = f"[PAD{id}]" if f"[PAD{id}]" not in spelled else f"[PAD {id}]"
            types.append(_UNUSED)
        else:
            types.append(_NORMAL if id not in special else _CONTROL if special[id] else _USER_DEFINED)
        texts.append(text)
    return texts, types


def notes(vocabulary: Vocabulary, match: Match, roles: Roles) -> tuple[str, ...]:
    """What a user of the written file should know, a sentence each."""
    said = []
    fillers = vocabulary.id_space - vocabulary.vocab_size
    if fillers:
        said.append(f"{fillers:,} ids have no token; each got a filler [PADid], marked unused")
    if not match.exact and not harmless_long_s(vocabulary):
        said.append(
            f"llama.cpp's {match.name} does not take the letter ſ (U+017F) for an s: text with an apostrophe, ſ and a "
            "letter in a row may get other ids there"
        )
    if any(token.normalized for token in vocabulary.special_tokens):
        said.append("GGUF does not keep which special tokens are looked for in normalized text; it changes no ids")
    if roles.end is None and not vocabulary.template.after:
        said.append(
            f"no end token is known, and llama.cpp then stops at id {_DEFAULT_END}: name it (end=, --eos) before the "
            "file becomes part of a model"
        )
    return tuple(said)
