"""Carry a vocabulary from one format to another, exactly, and check it with the library that the target is for.

:func:`convert` loads, writes beside the target's name, loads what was written with the target's own library, compares
ids on a built-in set of texts, and only then gives the files their name. What the target cannot say exactly is refused
with the reason by its format module. What a caller may change on the way he says himself: the pattern, the normalizer
(:class:`Changes`); the result is then another vocabulary, and that one is carried exactly.

A rank table becomes the canonical merges where that is proven to be the same encoder, else all splits; a merge list
becomes ranks where ids follow the merges (``formats/equivalence.py``). :class:`Conversion` says what was done.
"""

from __future__ import annotations

import base64
import contextlib
import os
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from bbpe.atomic import refuse_input
from bbpe.errors import BbpeError, FormatError, MissingByteError, MissingExtraError
from bbpe.formats import FORMATS, gguf_file, llama_cpp, tokenizer_json, vocab_merges
from bbpe.formats.equivalence import RankReport, listed_merges, rank_report, unmade_tokens
from bbpe.formats.llama_cpp import Match
from bbpe.holdings import TOKENIZER_JSON
from bbpe.io import (
    OUTPUT_FILES,
    TOKENIZER_CONFIG,
    atomic_directory,
    atomic_files,
    format_of_output,
    load,
)
from bbpe.patterns import Pattern
from bbpe.tokenizer import Tokenizer
from bbpe.vocabulary import Vocabulary

DIRECTORY = "directory"
SEED = 20_261_121
_GENERATED = 2_000
_TOGETHER = 2_000


@dataclass(frozen=True, slots=True)
class Changes:
    """What the target is allowed, or asked, to say otherwise.

    Attributes:
        drop_normalizer: Leave the normalizer out where the target cannot say it. Ids stay the same for normalized text.
        pre: For GGUF: this value of ``tokenizer.ggml.pre``, with the pattern and the rule for whole pretokens
            that llama.cpp has for it, where they are others.
        roles: For GGUF: which special tokens begin, end and pad a text.
    """

    drop_normalizer: bool = False
    pre: str | None = None
    roles: gguf_file.Roles = field(default_factory=gguf_file.Roles)


@dataclass(frozen=True, slots=True)
class Verification:
    """The comparison with the target's own library.

    Attributes:
        library: Its name and version.
        compared: What was compared, in words.
        texts: Texts encoded by both.
        ids: Ids that both gave, the same ones.
    """

    library: str
    compared: str
    texts: int
    ids: int


@dataclass(frozen=True, slots=True)
class LlamaCpp:
    """What llama.cpp makes of the vocabulary.

    Attributes:
        pre: The value of ``tokenizer.ggml.pre`` that does what the vocabulary says; None where none does.
        reason: Why none does.
        check_hash: Its converter's ``chkhsh``; None where the vocabulary cannot encode the check text.
        published: The names that its converter picks for this hash; none where it refuses the tokenizer.
    """

    pre: str | None
    reason: str | None
    check_hash: str | None
    published: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Conversion:
    """What :func:`convert` did.

    Attributes:
        source: The path or name that was loaded.
        target: The path as given.
        format: The target's format; ``"directory"`` is tokenizer.json with what transformers needs beside it.
        files: The paths of all files written.
        vocab_size: Entries.
        read_as, written_as: ``"merges"`` or ``"ranks"``.
        merges: Merges written; 0 where ranks were.
        ranks: How a rank table became merges; None where none did.
        unreachable: Tokens that neither merges nor ranks make of their bytes: no text has them, except as a pretoken
            taken whole. None where tokens are too long to find out.
        notes: What a user should know, a sentence each.
        verification: None where it was not asked for.
        llama_cpp: What llama.cpp makes of it.
    """

    source: str
    target: Path
    format: str
    files: tuple[Path, ...]
    vocab_size: int
    read_as: Literal["merges", "ranks"]
    written_as: Literal["merges", "ranks"]
    merges: int
    ranks: RankReport | None
    unreachable: int | None
    notes: tuple[str, ...]
    verification: Verification | None
    llama_cpp: LlamaCpp


def convert(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    source_format: str | None = None,
    target_format: str | None = None,
    pattern: str | Sequence[str] | Pattern | None = None,
    special_tokens: Mapping[str, int] | None = None,
    changes: Changes | None = None,
    force: bool = False,
    verify: bool = True,
) -> Conversion:
    """Convert a byte-level vocabulary to another format.

    Args:
        source: A path or a catalogue name, as ``bbpe.load`` takes it.
        target: A folder (for transformers), ``out.json``, ``out.tiktoken``, ``vocab.json`` or ``merges.txt``, or
            ``out.gguf``.
        source_format: A key of ``bbpe.formats.FORMATS``; told by content when not given.
        target_format: ``"directory"`` or a key of ``FORMATS``; told by the target's name when not given.
        pattern: What the source does not carry: a pattern's name or regex.
        special_tokens: ``{content: id}`` likewise; ``{}`` for none.
        changes: What may be said otherwise.
        force: Replace an output that exists.
        verify: Compare with the target's own library before the files take their name.

    Raises:
        FormatError: The target cannot say this vocabulary exactly, or the comparison failed; nothing is written.
        MissingExtraError: The target's own library is needed and not installed.
        OutputError: The output exists (and ``force`` is false), is the source, or cannot be written.
    """
    changes = changes or Changes()
    path = Path(target)
    chosen = target_format or _format_of_target(target)
    _check_writable(chosen)
    refuse_input(path, [source])
    with contextlib.suppress(_Probed):
        _write_atomically(path, chosen, force, _probe)  # an output that cannot be is found before the work
    tokenizer = load(source, format=source_format, pattern=pattern, special_tokens=special_tokens)
    vocabulary, notes = _changed(_byte_level(tokenizer, source), chosen, changes)
    read_as: Literal["merges", "ranks"] = "merges" if vocabulary.ranks is None else "ranks"
    written_as: Literal["merges", "ranks"] = "ranks" if chosen == "tiktoken" else "merges"
    ranks = rank_report(vocabulary) if vocabulary.ranks is not None and written_as == "merges" else None
    written = vocabulary
    if ranks is not None:
        merges = ranks.canonical if ranks.canonical is not None else listed_merges(vocabulary)
        written = vocabulary.replace(merges=merges, ranks=None)

    unmade = _Unmade(ranks)
    match = gguf_file.pre_tokenizer_for(written, changes.pre, unmade) if chosen == "gguf" else None
    checked: list[Verification] = []

    def fill(file: Path) -> None:
        _write(written, file, chosen, changes.roles, match)
        if verify:
            checked.append(_verify(vocabulary, written, file, chosen, match))

    files = _write_atomically(path, chosen, force, fill)
    return Conversion(
        source=os.fspath(source),
        target=path,
        format=chosen,
        files=files,
        vocab_size=vocabulary.vocab_size,
        read_as=read_as,
        written_as=written_as,
        merges=0 if written.merges is None or written_as == "ranks" else len(written.merges),
        ranks=ranks,
        unreachable=ranks.unreachable if ranks is not None else _count(unmade, vocabulary),
        notes=(*notes, *_notes(written, chosen, changes.roles, match)),
        verification=checked[0] if checked else None,
        llama_cpp=llama_cpp_report(Tokenizer(written), match, unmade),
    )


class _Unmade:
    """The tokens of one vocabulary that no merges make, found when they are first asked for: that takes seconds."""

    def __init__(self, ranks: RankReport | None) -> None:
        self._found: tuple[int, ...] | None = () if ranks is not None and not ranks.unreachable else None

    def __call__(self, vocabulary: Vocabulary) -> tuple[int, ...]:
        if self._found is None:
            self._found = unmade_tokens(vocabulary)
        return self._found


def _count(unmade: _Unmade, vocabulary: Vocabulary) -> int | None:
    try:
        return len(unmade(vocabulary))
    except FormatError:
        return None


class _Probed(Exception):
    """The output could be made; nothing of it is left."""


def _probe(file: Path) -> None:
    raise _Probed


def _format_of_target(target: str | os.PathLike[str]) -> str:
    if Path(target).suffix == ".model":
        return "sentencepiece"
    return format_of_output(target)


def _check_writable(format: str) -> None:
    if format == "sentencepiece":
        raise FormatError(
            "a SentencePiece model cannot say a byte-level vocabulary: its pieces are text, its merges stop at no pattern, "
            "and bytes are only a last resort there; convert to tokenizer.json, .tiktoken, vocab.json + merges.txt or .gguf"
        )
    if format != DIRECTORY and (format not in FORMATS or FORMATS[format].write is None):
        known = "is read, not written" if format in FORMATS else "is unknown"
        raise FormatError(
            f"format {format!r} {known}; bbpe converts to directory, tokenizer.json, tiktoken, vocab+merges and gguf"
        )


def _byte_level(tokenizer: Any, source: str | os.PathLike[str]) -> Vocabulary:
    """The vocabulary of a tokenizer that runs on bbpe's own encoder."""
    if not isinstance(tokenizer, Tokenizer):
        raise FormatError(
            f"{os.fspath(source)}: a {tokenizer.algorithm} vocabulary, which {tokenizer.engine} runs; only byte-level BPE "
            "can be converted: the formats mean bytes, its pieces mean text"
        )
    return tokenizer.vocabulary


def _changed(vocabulary: Vocabulary, format: str, changes: Changes) -> tuple[Vocabulary, list[str]]:
    """The vocabulary with what the caller allows to be changed, and what that was."""
    notes = []
    if format != "gguf" and (changes.pre is not None or changes.roles != gguf_file.Roles()):
        raise FormatError("the pre-tokenizer's name and the roles of special tokens are said in GGUF files only")
    if changes.drop_normalizer and vocabulary.normalizer is not None and format in ("gguf", "tiktoken"):
        notes.append(f"the normalizer {vocabulary.normalizer} is left out: text that it changes gets other ids")
        vocabulary = vocabulary.replace(normalizer=None)
    if changes.pre is not None:
        pre = llama_cpp.pre_tokenizers().get(changes.pre)
        if pre is None:
            raise FormatError(
                f"{changes.pre!r} is no pre-tokenizer of llama.cpp; known: {', '.join(llama_cpp.pre_tokenizers())}"
            )
        if not any(match.name == changes.pre for match in llama_cpp.matching(vocabulary.pattern)):
            notes.append(f"the pattern is llama.cpp's for {changes.pre!r}, not {vocabulary.pattern}: ids may differ")
            vocabulary = vocabulary.replace(pattern=pre.pattern)
        try:
            gguf_file.pre_tokenizer_for(vocabulary, changes.pre)
        except FormatError:
            if pre.whole_pretoken != vocabulary.whole_pretoken:
                rule = "taken whole" if pre.whole_pretoken else "not taken whole"
                notes.append(
                    f"pretokens that are tokens are {rule}, as llama.cpp's {changes.pre!r} has it: ids may differ"
                )
                vocabulary = vocabulary.replace(whole_pretoken=pre.whole_pretoken)
    return vocabulary, notes


def _write(vocabulary: Vocabulary, file: Path, format: str, roles: gguf_file.Roles, match: Match | None) -> None:
    if format == DIRECTORY:
        tokenizer_json.write(vocabulary, file / TOKENIZER_JSON)
        tokenizer_json.write_config(vocabulary, file / TOKENIZER_CONFIG)
    elif format == "gguf":
        gguf_file.write(vocabulary, file, roles=roles, match=match)
    else:
        write = FORMATS[format].write
        assert write is not None  # checked at the start
        write(vocabulary, file)


def _write_atomically(target: Path, format: str, force: bool, fill: Callable[[Path], None]) -> tuple[Path, ...]:
    if format == DIRECTORY or (format == "vocab+merges" and not target.suffix):
        with atomic_directory(target, force, OUTPUT_FILES) as folder:
            fill(folder)
            names = sorted(entry.name for entry in folder.iterdir())
        return tuple(target / name for name in names)
    files = FORMATS[format].files
    assert files is not None  # it is one that is written
    names = list(files(target.name))
    with atomic_files(target, names, force) as folder:
        fill(folder / target.name)
    return tuple(target.with_name(name) for name in names)


def _notes(vocabulary: Vocabulary, format: str, roles: gguf_file.Roles, match: Match | None) -> tuple[str, ...]:
    if match is not None:
        return gguf_file.notes(vocabulary, match, roles)
    if format == "vocab+merges" and vocabulary.pattern.name != "gpt2":
        return (
            f"the pair does not carry its pattern ({vocabulary.pattern}): a program that does not read the sidecar "
            "assumes GPT-2's and gets other ids",
        )
    return ()


def llama_cpp_report(
    tokenizer: Tokenizer, match: Match | None = None, unmade: Callable[[Vocabulary], Sequence[int]] = unmade_tokens
) -> LlamaCpp:
    """What llama.cpp makes of a tokenizer: the pre-tokenizer that does the same, and whether its converter knows it.

    Args:
        tokenizer: The tokenizer.
        match: What ``gguf_file.pre_tokenizer_for`` gave for it, where that has been asked.
        unmade: As that function takes it.
    """
    reason: str | None = None
    try:
        pre: str | None = (match or gguf_file.pre_tokenizer_for(tokenizer.vocabulary, None, unmade)).name
    except FormatError as error:
        pre, reason = None, str(error)
    try:
        digest = llama_cpp.check_hash(lambda text: tokenizer.encode(text, allowed_special="all", add_template=True))
    except BbpeError:  # a byte without a token
        return LlamaCpp(pre, reason, None, ())
    return LlamaCpp(pre, reason, digest, llama_cpp.published_names(digest))


# --- verification ---

_Encode = Callable[[list[str]], list[list[int]]]

_PARTS = (
    *("1", "12", "123", "1234", "12345678901", "3.14", "1,000", "１２３", "٣٤٥", "½", "²", "Ⅷ"),
    *(
        " ",
        "  ",
        "   ",
        "        ",
        "\t",
        "\n",
        "\r\n",
        "\n\n",
        " \n",
        "  \n  ",
        "\n ",
        "\u3000",
        "\u00a0",
        "\x85",
        "\u2028",
    ),
    *("it's", "I'LL", "we've", "'tis", "don’t", "'S", "'RE", "they're!", "x'd", "'", "''"),
    *(
        "hello",
        "Hello",
        "WORLD",
        "the",
        "The",
        "ing",
        "camelCase",
        "snake_case",
        "naïve",
        "Ünïcödé",
        "e\u0301",
        "ﬁ",
        "ǅ",
    ),
    *(
        "中文",
        "今天天气很好",
        "的",
        "，",
        "。",
        "他们说：",
        "「你好」",
        "分词器",
        "㐀𠀀",
        "한국어",
        "ひらがな",
        "カタカナ",
    ),
    *(
        "Привет",
        "ПРИВЕТ",
        "Γειά",
        "שלום",
        "سلام",
        "नमस्ते",
        "ไทย",
        "កាន់តែ",
        "😀",
        "👩\u200d👩\u200d👧",
        "🇨🇳",
        "❤️",
        "\u200b",
    ),
    *(
        "!",
        "?!",
        "...",
        "://",
        "/*",
        "*/",
        "{}",
        "</s>",
        "#",
        "@user",
        "a/b",
        "==",
        "-",
        "\\n",
        "\x00",
        "\x7f",
        "\ufeff",
    ),
    *(
        "def f(x):\n    return x + 1\n",
        "for (int i = 0; i < n; ++i) {",
        '{"键": [1, 2.5e-3, null]}',
        "SELECT * FROM 表;",
    ),
    *("The quick brown fox", "他在2024年花了¥1,234.50买了iPhone 15。", "https://example.com/路径?q=1&r=%E4%BD%A0"),
)


def check_texts(vocabulary: Vocabulary) -> list[str]:
    """The texts on which a conversion is checked: the same for equal vocabularies.

    Every token that is text by itself; tokens in a row, as chance puts them; white space, digits, contractions, Chinese,
    English, other scripts and code, alone and in a row.
    """
    draw = random.Random(SEED)
    alone = []
    for token in vocabulary.tokens.values():
        try:
            alone.append(token.decode())
        except UnicodeDecodeError:
            continue
    together = ["".join(draw.choices(alone, k=draw.randint(2, 12))) for _ in range(_TOGETHER)] if alone else []
    generated = ["".join(draw.choices(_PARTS, k=draw.randint(2, 16))) for _ in range(_GENERATED)]
    return ["", *_PARTS, *alone, *together, *generated]


def _texts_with_special_tokens(vocabulary: Vocabulary) -> list[str]:
    draw = random.Random(SEED + 1)
    contents = [special.content for special in vocabulary.special_tokens]
    if not contents:
        return []
    texts = [text for content in contents[:1000] for text in (content, f"a{content}b", f" {content} \n")]
    return texts + ["".join(draw.choices([*_PARTS, *contents], k=draw.randint(2, 12))) for _ in range(500)]


def _verify(vocabulary: Vocabulary, written: Vocabulary, file: Path, format: str, match: Match | None) -> Verification:
    """Load a written file with its own library and compare ids.

    Args:
        vocabulary: What was to be said; its ids are the right ones.
        written: The same as the format says it: with merges for ranks.
        file: The file or folder.
        format: Its format.
        match: For GGUF: the pre-tokenizer that was written.

    Raises:
        FormatError: An id differs; the message shows the text.
        MissingExtraError: The library is not installed.
    """
    tokenizer = Tokenizer(vocabulary)
    texts = check_texts(vocabulary)
    special: list[str] = []
    if format in (DIRECTORY, "tokenizer.json"):
        # tokenizers takes special tokens in text for what they are, always; so here both do, in every text.
        library, encode = _tokenizers(file / TOKENIZER_JSON if format == DIRECTORY else file)
        texts, special = [], texts + _texts_with_special_tokens(vocabulary)
        compared = "ids"
    elif format == "tiktoken":
        library, encode, encode_special = _tiktoken(vocabulary, file)
        special = _texts_with_special_tokens(vocabulary)
        compared = "ids"
    elif format == "vocab+merges":
        library, encode = _tokenizers_pair(vocabulary, file)
        compared = "ids, with the pattern given"
    else:
        assert match is not None
        library, encode = _gguf(written, file, match)
        texts = [text for text in texts if "'ſ" not in text]  # where llama.cpp parts from the pattern, as noted
        compared = "fields; ids by bbpe from the fields as that library reads them, cut by llama.cpp's pattern"
    count, ids = _compare(lambda given: _encode_all(tokenizer, given, ()), encode, texts, library)
    if special:
        other = encode_special if format == "tiktoken" else encode
        more = _compare(lambda given: _encode_all(tokenizer, given, "all"), other, special, library)
        count, ids = count + more[0], ids + more[1]
    return Verification(library, compared, count, ids)


def _encode_all(tokenizer: Tokenizer, texts: list[str], allowed: Any) -> list[list[int] | None]:
    """The ids of each text; None where a byte of it has no token."""
    try:
        return cast("list[list[int] | None]", tokenizer.encode_batch(texts, allowed_special=allowed))
    except MissingByteError:
        found: list[list[int] | None] = []
        for text in texts:
            try:
                found.append(tokenizer.encode(text, allowed_special=allowed))
            except MissingByteError:
                found.append(None)
        return found


def _compare(
    mine: Callable[[list[str]], list[list[int] | None]], encode: _Encode, texts: list[str], library: str
) -> tuple[int, int]:
    """The number of texts and of ids compared.

    Raises:
        FormatError: They differ.
    """
    pairs = [(text, ids) for text, ids in zip(texts, mine(texts), strict=True) if ids is not None]
    theirs = encode([text for text, _ in pairs])
    for (text, ids), other in zip(pairs, theirs, strict=True):
        if ids != list(other):
            at = next(
                (i for i, (a, b) in enumerate(zip(ids, other, strict=False)) if a != b), min(len(ids), len(other))
            )
            raise FormatError(
                f"the comparison failed, nothing is left: {text[:80]!r} is {_shown(ids, at)} to bbpe and "
                f"{_shown(list(other), at)} to {library}"
            )
    return len(pairs), sum(len(ids) for _, ids in pairs)


def _shown(ids: list[int], at: int) -> str:
    before = "…, " if at > 3 else ""
    after = ", …" if len(ids) > at + 4 else ""
    return f"[{before}{', '.join(map(str, ids[max(0, at - 3) : at + 4]))}{after}]"


def _with_version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return package


def _need_tokenizers() -> Any:
    try:
        import tokenizers
    except ImportError:
        raise MissingExtraError(
            "checking this file needs the package tokenizers: pip install 'bbpe[compare]', or leave the check out "
            "(verify=False, --no-verify)"
        ) from None
    return tokenizers


def _tokenizers(file: Path) -> tuple[str, _Encode]:
    library = _with_version("tokenizers")
    try:
        loaded = _need_tokenizers().Tokenizer.from_file(str(file))
    except MissingExtraError:
        raise
    except Exception as error:  # tokenizers raises bare Exception
        raise FormatError(f"{library} cannot read what was written: {error}") from None
    return library, _batches(loaded)


def _batches(loaded: Any) -> _Encode:
    def encode(texts: list[str]) -> list[list[int]]:
        return [found.ids for found in loaded.encode_batch(texts, add_special_tokens=False)]

    return encode


def _tokenizers_pair(vocabulary: Vocabulary, file: Path) -> tuple[str, _Encode]:
    tokenizers = _need_tokenizers()
    library = _with_version("tokenizers")
    vocab, merges = vocab_merges.paths_of_pair(file, folder=file.is_dir())
    try:
        loaded = tokenizers.Tokenizer(
            tokenizers.models.BPE.from_file(str(vocab), str(merges), ignore_merges=vocabulary.whole_pretoken)
        )
    except Exception as error:  # tokenizers raises bare Exception
        raise FormatError(f"{library} cannot read what was written: {error}") from None
    splits = [
        tokenizers.pre_tokenizers.Split(tokenizers.Regex(stage), "isolated")
        for stage in vocabulary.pattern.spelling("oniguruma")
    ]
    byte_level = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    loaded.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([*splits, byte_level])
    if vocabulary.normalizer == "NFC":
        loaded.normalizer = tokenizers.normalizers.NFC()
    return library, _batches(loaded)


def _ranks(file: Path) -> dict[bytes, int]:
    """As ``tiktoken.load.load_tiktoken_bpe`` reads them, without its cache: that goes by the path, and is never emptied."""
    lines = (line.split() for line in file.read_bytes().splitlines() if line)
    return {base64.b64decode(token): int(rank) for token, rank in lines}


def _tiktoken(vocabulary: Vocabulary, file: Path) -> tuple[str, _Encode, _Encode]:
    import tiktoken

    library = _with_version("tiktoken")
    try:
        loaded = tiktoken.Encoding(
            "converted",
            pat_str=cast(str, vocabulary.pattern.spelling("tiktoken")),
            mergeable_ranks=_ranks(file),
            special_tokens={special.content: special.id for special in vocabulary.special_tokens},
        )
    except Exception as error:  # whatever it says, the file is not what it should be
        raise FormatError(f"{library} cannot read what was written: {error}") from None
    return (
        library,
        lambda texts: loaded.encode_ordinary_batch(texts, num_threads=1),
        lambda texts: loaded.encode_batch(texts, num_threads=1, allowed_special="all"),
    )


def _gguf(vocabulary: Vocabulary, file: Path, match: Match) -> tuple[str, _Encode]:
    """The fields as the gguf package reads them, compared; and a tokenizer of exactly these fields."""
    import gguf

    class Reader(gguf.GGUFReader):
        """With plain views of the mapped file: the memmap views that it takes of every string cost three times as much."""

        @property
        def data(self) -> Any:
            return self._data

        @data.setter
        def data(self, mapped: Any) -> None:
            self._data = np.asarray(mapped)

    library = _with_version("gguf")
    try:
        fields = {key: field.contents() for key, field in Reader(file).fields.items()}
    except Exception as error:  # whatever it says, the file is not what it should be
        raise FormatError(f"{library} cannot read what was written: {error}") from None
    again = gguf_file.from_keys(fields, file)
    if again.replace(pattern=vocabulary.pattern) != gguf_file.as_written(vocabulary, match):
        raise FormatError(f"{library} reads another vocabulary from what was written")
    reread = Tokenizer(again)
    return library, lambda given: cast("list[list[int]]", _encode_all(reread, given, ()))
