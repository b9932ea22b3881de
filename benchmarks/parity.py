"""Parity: every published vocabulary at hand gives the ids that its own library gives, on all of the corpora.

    python -m benchmarks.parity run [--vocabulary NAME]... [--corpus NAME]... [--megabytes N]
    python -m benchmarks.parity render

`run` appends one JSON line for each vocabulary and corpus to `benchmarks/results/parity.jsonl` and leaves out what is
recorded already (`--again` does it anew); `render` writes `benchmarks/parity.md`. `tests/test_parity.py` runs a slice.

The oracle of a vocabulary is its own library, given the published file by that library's usual loader, or what the
publisher's own code builds from it (said in `oracle`); nothing of bbpe has a part in it. Special tokens in a text are
plain text on both sides, but for added tokens that their file does not call special: tokenizers always finds those, so
they are allowed in bbpe (`always_found`).

Texts are pieces of about 20,000 characters, cut at line ends, with their newlines; of the parallel set each file is one
text and each of its lines another. A vocabulary that gives every text back is lossless; of any other the table shows
what it made of some place in some text.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import hashlib
import json
import lzma
import sys
import tempfile
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import bbpe
from benchmarks.provenance import REPOSITORY, commit, machine, moment, version
from benchmarks.slices import MEGABYTE, find_corpus
from benchmarks.vocabularies import PATTERNS
from benchmarks.vocabularies import VOCABULARIES as RANKED

RESULTS = REPOSITORY / "benchmarks" / "results" / "parity.jsonl"
PAGE = REPOSITORY / "benchmarks" / "parity.md"
CORPORA = ("zh-web", "en-web", "zh-classical", "mixed-zh-en", "emoji-social", "zh-small", "en-small", "ntrex")
TEXT_CHARACTERS = 20_000


class Encode(Protocol):
    """A library at work on texts; special tokens in them are plain text, but for those in `allowed`."""

    def __call__(self, texts: Sequence[str], allowed: frozenset[str] = frozenset()) -> list[list[int]]: ...


Specials = Mapping[str, int]
Build = Callable[[Path, Specials], Encode]
"""An oracle from a published file and the special tokens to find where they are allowed; a file may name its own."""

NONE: Specials = {}


# --- oracles: from a published file to a function that encodes ---


def tiktoken_ranks(pattern: str, first_id: int = 0, prepare: Callable[[str], str] | None = None) -> Build:
    """tiktoken over a rank file, as its publisher builds it."""

    def build(path: Path, specials: Specials) -> Encode:
        lines = unpacked(path).read_bytes().splitlines()
        ranks = {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in lines if line)}
        return _tiktoken(pattern, ranks, first_id, prepare, specials)

    return build


def _tiktoken(
    pattern: str, ranks: dict[bytes, int], first_id: int, prepare: Callable[[str], str] | None, specials: Specials
) -> Encode:
    import tiktoken

    # Where ordinary ids are counted from another number than ranks, special tokens go behind all ranks for the while.
    behind = max(ranks.values()) + 1 if first_id else 0
    moved = {content: id + behind for content, id in specials.items()}
    encoding = tiktoken.Encoding("oracle", pat_str=pattern, mergeable_ranks=ranks, special_tokens=moved)

    def encode(texts: Sequence[str], allowed: frozenset[str] = frozenset()) -> list[list[int]]:
        prepared = list(texts) if prepare is None else [prepare(text) for text in texts]
        if allowed:
            found = [encoding.encode(text, allowed_special=allowed, disallowed_special=()) for text in prepared]
        elif sum(map(len, prepared)) < 1000 * len(prepared):  # a thread costs more than a short text
            found = list(map(encoding.encode_ordinary, prepared))
        else:
            found = encoding.encode_ordinary_batch(prepared, num_threads=2)
        if not first_id:
            return found
        return [[id + first_id if id < behind else id - behind for id in ids] for ids in found]

    return encode


def nfc(text: str) -> str:
    """QwenTokenizer normalizes before it encodes (tokenization_qwen.py)."""
    return unicodedata.normalize("NFC", text)


def mistral_common(path: Path, specials: Specials = NONE) -> Encode:
    """tiktoken over tekken.json, as mistral_common.tokens.tokenizers.tekken builds it."""
    data = json.loads(unpacked(path).read_text(encoding="utf-8"))
    config = data["config"]
    special = config["default_num_special_tokens"]
    used = data["vocab"][: config["default_vocab_size"] - special]
    ranks = {base64.b64decode(entry["token_bytes"]): entry["rank"] for entry in used}
    return _tiktoken(config["pattern"], ranks, special, None, specials)


def stages_and_tiktoken(path: Path, specials: Specials = NONE) -> Encode:
    """tokenizers cuts by several expressions, one after another, as the publisher's tokenizer.json does; tiktoken
    merges each pretoken. The expressions are those of the manifest beside the file."""
    import tiktoken
    from tokenizers import Regex, pre_tokenizers

    manifest = json.loads((path.parent.parent / "MANIFEST.json").read_text(encoding="utf-8"))
    stages = next(entry["pretokenizer"] for entry in manifest if entry["name"] == path.parent.name)
    ranks = {base64.b64decode(a): int(b) for a, b in (line.split() for line in path.read_bytes().splitlines())}
    cutter = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(stage), "isolated") for stage in stages])
    whole = tiktoken.Encoding("oracle", pat_str=r"[\s\S]+", mergeable_ranks=ranks, special_tokens={})

    @lru_cache(maxsize=1 << 18)
    def ids_of(pretoken: str) -> list[int]:
        return whole.encode_ordinary(pretoken)

    def encode(texts: Sequence[str], allowed: frozenset[str] = frozenset()) -> list[list[int]]:
        if allowed:
            raise ValueError("its publisher names no special tokens")
        return [[id for pretoken, _ in cutter.pre_tokenize_str(text) for id in ids_of(pretoken)] for text in texts]

    return encode


def tokenizers_file(path: Path, specials: Specials = NONE) -> Encode:
    """tokenizers' own loader of tokenizer.json, which names its special tokens itself."""
    from tokenizers import Tokenizer

    return _tokenizers(Tokenizer.from_file(str(unpacked(path))))


def _tokenizers(tokenizer: Any, renumbered: Mapping[int, int] | None = None) -> Encode:
    added = tokenizer.get_added_tokens_decoder().values()
    every = frozenset(token.content for token in added)

    def encode(texts: Sequence[str], allowed: frozenset[str] = frozenset()) -> list[list[int]]:
        if allowed and allowed != every:
            raise ValueError("tokenizers finds all special tokens or none")
        tokenizer.encode_special_tokens = not allowed  # in its words: special tokens in a text are encoded as text
        found: list[list[int]] = [
            encoding.ids for encoding in tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        ]
        return [[renumbered.get(id, id) for id in ids] for ids in found] if allowed and renumbered else found

    return encode


def tokenizers_pair(expression: str | None = None) -> Build:
    """tokenizers' own loader of vocab.json + merges.txt; GPT-2's pattern, or the publisher's expression."""

    def build(path: Path, specials: Specials) -> Encode:
        from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers

        merges = next(iter(path.parent.glob("merges.txt*")))
        tokenizer = Tokenizer(models.BPE.from_file(str(unpacked(path)), str(unpacked(merges))))
        if expression is None:
            tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
        else:
            tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
                [
                    pre_tokenizers.Split(Regex(expression), "isolated"),
                    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
                ]
            )
        tokenizer.add_special_tokens([AddedToken(content, normalized=False) for content in specials])
        # tokenizers numbers by itself those that are not in vocab.json (Aquila's are in a file of their own).
        numbers = {tokenizer.token_to_id(content): id for content, id in specials.items()}
        return _tokenizers(tokenizer, {number: id for number, id in numbers.items() if number != id})

    return build


def bert(lowercase: bool) -> Build:
    """tokenizers' own loader of WordPiece's vocab.txt."""

    def build(path: Path, specials: Specials) -> Encode:
        from tokenizers import BertWordPieceTokenizer

        return _tokenizers(BertWordPieceTokenizer(str(path), lowercase=lowercase)._tokenizer)

    return build


def sentencepiece_file(path: Path, specials: Specials = NONE) -> Encode:
    """sentencepiece's own loader; it always finds the pieces that the model calls user-defined, and no others."""
    from sentencepiece import SentencePieceProcessor

    processor = SentencePieceProcessor(model_file=str(path))

    def encode(texts: Sequence[str], allowed: frozenset[str] = frozenset()) -> list[list[int]]:
        if allowed:
            raise ValueError("sentencepiece finds no special tokens in a text")
        ids: list[list[int]] = processor.encode(list(texts), num_threads=2)
        return ids

    return encode


# --- vocabularies ---


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """A published vocabulary, how bbpe loads it, and its oracle.

    Attributes:
        name: Its folder in `$BBPE_HOME/vocabs`.
        file: What the oracle reads there.
        oracle: Library, and how it is given the file.
        build: Makes the oracle.
        options: What `bbpe.load` is told beside the path.
    """

    name: str
    file: str
    oracle: str
    build: Build
    options: dict[str, Any] = field(default_factory=dict)

    def load(self, home: Path) -> bbpe.Tokenizer | bbpe.EngineTokenizer:
        """bbpe's tokenizer of the file."""
        return bbpe.load(home / "vocabs" / self.name / self.file, **self.options)

    def oracle_of(self, home: Path, specials: Specials = NONE) -> Encode:
        """The library's; `specials` are found where they are allowed."""
        return self.build(home / "vocabs" / self.name / self.file, specials)


_RANKS = "tiktoken over the published ranks"
_JSON = "tokenizers, Tokenizer.from_file"
_PAIR = "tokenizers, BPE.from_file"
_MODEL = "sentencepiece, SentencePieceProcessor(model_file=…)"
_BLOOM = r" ?[^(\s|[.,!?…。，、।۔،])]+"

VOCABULARIES = {
    vocabulary.name: vocabulary
    for vocabulary in (
        Vocabulary("cl100k_base", "cl100k_base.tiktoken", _RANKS, tiktoken_ranks(RANKED["cl100k_base"].pattern)),
        Vocabulary("o200k_base", "o200k_base.tiktoken", _RANKS, tiktoken_ranks(RANKED["o200k_base"].pattern)),
        Vocabulary("r50k_base", "gpt2.tiktoken", _RANKS, tiktoken_ranks(PATTERNS["gpt2"])),
        Vocabulary("llama3", "tokenizer.model", _RANKS, tiktoken_ranks(PATTERNS["llama3"])),
        Vocabulary(
            "qwen",
            "qwen.tiktoken",
            f"{_RANKS}, after NFC (QwenTokenizer)",
            tiktoken_ranks(RANKED["qwen"].pattern, prepare=nfc),
        ),
        Vocabulary(
            "deepseek-v2",
            "deepseekv2.tiktoken",
            "tokenizers' Split by the published expressions, then tiktoken over the published ranks",
            stages_and_tiktoken,
            {"pattern": "deepseek-v2", "special_tokens": {}},
        ),
        Vocabulary("mistral-tekken", "tekken_240718.json.xz", "tiktoken, as mistral-common builds it", mistral_common),
        Vocabulary("gpt2", "vocab.json", _PAIR, tokenizers_pair(), {"pattern": "gpt2"}),
        Vocabulary("aquila", "vocab.json", _PAIR, tokenizers_pair(), {"pattern": "gpt2"}),
        Vocabulary(
            "bloom", "vocab.json.xz", f"{_PAIR}, BLOOM's expression", tokenizers_pair(_BLOOM), {"pattern": "bloom"}
        ),
        Vocabulary("qwen2", "qwen2.json.xz", _JSON, tokenizers_file),
        Vocabulary("glm-4.6", "glm-4.6.json.xz", _JSON, tokenizers_file),
        Vocabulary("gpt-neox-20b", "20B_tokenizer.json", _JSON, tokenizers_file),
        Vocabulary("falcon", "tokenizer.json", _JSON, tokenizers_file),
        Vocabulary("chatglm3-6b", "tokenizer.json.xz", _JSON, tokenizers_file),
        Vocabulary("t5-small", "tokenizer.json", _JSON, tokenizers_file),
        Vocabulary("llama2", "tokenizer.model", _MODEL, sentencepiece_file),
        Vocabulary("chinese-llama", "tokenizer.model", _MODEL, sentencepiece_file),
        Vocabulary("chinese-llama-2", "tokenizer.model", _MODEL, sentencepiece_file),
        Vocabulary("chinese-llama-sp", "chinese_sp.model", _MODEL, sentencepiece_file),
        Vocabulary("mistral-v1", "tokenizer.model.v1", _MODEL, sentencepiece_file),
        Vocabulary("internlm", "tokenizer_internlm.model", _MODEL, sentencepiece_file),
        Vocabulary("internlm2", "tokenizer_internlm2.model", _MODEL, sentencepiece_file),
        Vocabulary("yuan-2.0", "tokenizer.model", _MODEL, sentencepiece_file),
        Vocabulary("chatglm-6b", "ice_text.model", _MODEL, sentencepiece_file),
        Vocabulary("cpm-1", "chinese_vocab.model", _MODEL, sentencepiece_file),
        Vocabulary(
            "bert-base-uncased",
            "google_uncased_en_vocab.txt",
            "tokenizers, BertWordPieceTokenizer(lowercase=True)",
            bert(True),
            {"lowercase": True},
        ),
        Vocabulary(
            "bert-base-chinese",
            "google_zh_vocab.txt",
            "tokenizers, BertWordPieceTokenizer(lowercase=False)",
            bert(False),
            {"lowercase": False},
        ),
    )
}
"""All but Baichuan 2's list, which has no scores: nobody can encode with it."""


def unpacked(path: Path) -> Path:
    """The file itself, or a decompressed copy of a `.gz` or `.xz` in a folder that goes with the process."""
    opener = {".gz": gzip.open, ".xz": lzma.open}.get(path.suffix)
    if opener is None:
        return path
    copy = Path(_temporary().name) / f"{path.parent.name}-{path.stem}"
    if not copy.exists():
        with opener(path, "rb") as file:
            copy.write_bytes(file.read())
    return copy


@lru_cache(maxsize=1)
def _temporary() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="bbpe-parity-")


# --- comparison ---


def always_found(tokenizer: bbpe.Tokenizer | bbpe.EngineTokenizer) -> frozenset[str]:
    """Added tokens that their file does not call special (GPT-NeoX's runs of spaces): tokenizers finds them anyway."""
    said = tokenizer.vocabulary if isinstance(tokenizer, bbpe.Tokenizer) else tokenizer.model
    return frozenset(token.content for token in said.special_tokens if not token.special)


def texts_of(data: str) -> Iterator[str]:
    """Pieces of about `TEXT_CHARACTERS`, whole lines with their newlines; a longer line is one piece."""
    lines: list[str] = []
    size = 0
    for line in data.splitlines(keepends=True):
        lines.append(line)
        size += len(line)
        if size >= TEXT_CHARACTERS:
            yield "".join(lines)
            lines, size = [], 0
    if lines:
        yield "".join(lines)


def read_text(path: Path, limit: int | None) -> str:
    """A corpus, plain or `.zst`, or its first `limit` bytes."""
    if path.suffix != ".zst":
        with path.open("rb") as file:
            return file.read(-1 if limit is None else limit).decode("utf-8", "strict" if limit is None else "ignore")
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    with zstd.open(path, "rb") as file:
        return file.read(-1 if limit is None else limit).decode("utf-8", "strict" if limit is None else "ignore")


def corpus_texts(name: str, limit: int | None = None) -> list[str]:
    """The texts of a corpus, or of its first `limit` bytes."""
    if name != "ntrex":
        return list(texts_of(read_text(find_corpus(name), limit)))
    files = sorted((find_corpus("zh-small").parent / "ntrex").glob("*.txt"))
    contents = [file.read_text(encoding="utf-8") for file in files]
    return contents + [line for content in contents for line in content.split("\n")]


@dataclass(slots=True)
class Comparison:
    """What came of encoding texts with both.

    Attributes:
        texts, bytes, ids: How much.
        different: Texts whose ids differ.
        first: The first of these: which text, which id, and both libraries' ids there.
        returned: Texts that decoding gave back exactly.
        loss: What decoding made of some place of another text: `(before, after)`.
        digest: sha256 of all ids, as little-endian uint32, a text's number of ids before it.
    """

    texts: int = 0
    bytes: int = 0
    ids: int = 0
    different: int = 0
    first: str = ""
    returned: int = 0
    loss: tuple[str, str] | None = None
    digest: str = ""


def compare(tokenizer: bbpe.Tokenizer | bbpe.EngineTokenizer, oracle: Encode, texts: Sequence[str]) -> Comparison:
    """Encode texts with both and compare every id; decode ours and compare every character."""
    import numpy as np

    result = Comparison()
    digest = hashlib.sha256()
    allowed = always_found(tokenizer)
    for start in range(0, len(texts), 256):
        batch = list(texts[start : start + 256])
        mine = tokenizer.encode_batch(batch, allowed_special=allowed)
        for text, ids, expected in zip(batch, mine, oracle(batch), strict=True):
            number = result.texts
            result.texts += 1
            result.bytes += len(text.encode())
            result.ids += len(ids)
            digest.update(np.array([len(ids), *ids], dtype="<u4").tobytes())
            if ids != expected:
                result.different += 1
                if not result.first:
                    at = next(
                        (n for n, (a, b) in enumerate(zip(ids, expected, strict=False)) if a != b),
                        min(len(ids), len(expected)),
                    )
                    result.first = f"text {number}, id {at}: {ids[at : at + 5]}, oracle {expected[at : at + 5]}"
            back = tokenizer.decode(ids)
            if back == text:
                result.returned += 1
            elif result.loss is None:
                result.loss = difference(text, back)
    result.digest = digest.hexdigest()
    return result


def difference(text: str, back: str) -> tuple[str, str]:
    """The first place where two texts differ, with a little of what stands around it.

    >>> difference("one Two three", "one two three")
    ('one Two three', 'one two three')
    """
    at = next((n for n, (a, b) in enumerate(zip(text, back, strict=False)) if a != b), min(len(text), len(back)))
    begin = max(0, at - 6)
    return text[begin : at + 12], back[begin : at + 12]


# --- runs ---


def run(names: Iterable[str], corpora: Iterable[str], megabytes: float | None, again: bool, home: Path) -> int:
    """Compare, append a record for each pair, say what came of it; returns how many differ."""
    done = {(row["vocabulary"], row["corpus"]): row for row in read_rows()}
    failures = 0
    limit = None if megabytes is None else int(megabytes * MEGABYTE)
    for name in names:
        vocabulary = VOCABULARIES[name]
        wanted = [
            corpus
            for corpus in corpora
            if again or (name, corpus) not in done or _less(done[name, corpus]["part"], limit)
        ]
        if not wanted:
            continue
        tokenizer, oracle = vocabulary.load(home), vocabulary.oracle_of(home)
        for corpus in wanted:
            began = time.perf_counter()
            found = compare(tokenizer, oracle, corpus_texts(corpus, limit))
            record = {
                "vocabulary": name,
                "algorithm": getattr(tokenizer, "algorithm", "byte-level bpe"),
                "engine": tokenizer.engine,
                "oracle": vocabulary.oracle,
                "corpus": corpus,
                "part": "all" if limit is None or corpus == "ntrex" else f"first:{megabytes:g}MB",
                "always_found": len(always_found(tokenizer)),
                "texts": found.texts,
                "bytes": found.bytes,
                "ids": found.ids,
                "different": found.different,
                "first_difference": found.first,
                "returned": found.returned,
                "loss": found.loss,
                "ids_sha256": found.digest,
                "seconds": round(time.perf_counter() - began, 1),
                "versions": {library: version(library) for library in ("tiktoken", "tokenizers", "sentencepiece")},
                "commit": commit(),
                "moment": moment(),
                "machine": machine(),
            }
            with RESULTS.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record, ensure_ascii=False) + "\n")
            failures += found.different > 0
            verdict = "equal" if not found.different else f"DIFFERENT: {found.first}"
            print(f"{name:18} {corpus:13} {found.bytes / MEGABYTE:7.2f} MB {found.ids:11,} ids  {verdict}", flush=True)
    return failures


def _less(part: str, limit: int | None) -> bool:
    """Whether a recorded part is smaller than what is asked for."""
    if part == "all":
        return False
    return limit is None or float(part.removeprefix("first:").removesuffix("MB")) * MEGABYTE < limit


def read_rows() -> list[dict[str, Any]]:
    """The records; of a vocabulary and corpus recorded twice, the later one."""
    if not RESULTS.exists():
        return []
    rows = [json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines() if line.endswith("}")]
    return list({(row["vocabulary"], row["corpus"]): row for row in rows}.values())


# --- the page ---


def render() -> str:
    """The page of the records."""
    rows = read_rows()
    by_name = {name: [row for row in rows if row["vocabulary"] == name] for name in VOCABULARIES}
    lines = [
        "# Parity with each vocabulary's own library",
        "",
        "<!-- Written by `python -m benchmarks.parity render` from results/parity.jsonl; do not edit. -->",
        "",
        "Caveats first. Where a vocabulary is run by another library (`sentencepiece`, `tokenizers`), equality shows that",
        "bbpe reads the file, hands it over and keeps special tokens out rightly, not that the algorithm was written twice.",
        "Special tokens in a text are plain text on both sides; where a file has added tokens that it does not call",
        "special, tokenizers always finds them, and they are allowed in bbpe (the number is in the table). Baichuan 2's",
        "list of pieces has no scores, so nobody can encode with it: it can be looked at, and has no row here.",
        "T5: tokenizers' Unigram finds special tokens in a text even when told to take them for text (`<pad>`, `<unk>` in",
        "a few web pages), which sentencepiece, for which T5's pieces were made, never does; bbpe takes them for text there",
        "too, and that is where the ids differ.",
        "",
        _versions(rows),
        "",
        "| vocabulary | algorithm | run by | oracle | bytes compared | ids | texts that differ |",
        "|---|---|---|---|---:|---:|---:|",
    ]
    for name, vocabulary in VOCABULARIES.items():
        found = by_name[name]
        if not found:
            lines.append(f"| {name} | | | {vocabulary.oracle} | not run | | |")
            continue
        first = found[0]
        size, ids, different, texts = (sum(row[key] for row in found) for key in ("bytes", "ids", "different", "texts"))
        added = f" ({first['always_found']} added tokens allowed)" if first["always_found"] else ""
        lines.append(
            f"| {name} | {first['algorithm']} | {first['engine']} | {vocabulary.oracle}{added} "
            f"| {size / MEGABYTE:.1f} MB | {ids:,} | {different} of {texts:,} |"
        )
    lines += ["", "## How much of which corpus", "", "MB compared; **bold** is all of it.", ""]
    lines.append("| vocabulary | " + " | ".join(CORPORA) + " |")
    lines.append("|---|" + "---:|" * len(CORPORA))
    for name, found in by_name.items():
        cells = {row["corpus"]: row for row in found}
        lines.append(f"| {name} | " + " | ".join(_cell(cells.get(corpus)) for corpus in CORPORA) + " |")
    lines += [
        "",
        "## Round trip",
        "",
        "Texts that decoding gave back exactly, and of the first one that it did not, the first place that changed.",
        "",
        "| vocabulary | given back | a loss: the text | what came back |",
        "|---|---:|---|---|",
    ]
    for name, found in by_name.items():
        texts, returned = sum(row["texts"] for row in found), sum(row["returned"] for row in found)
        loss = next((row["loss"] for row in found if row["loss"]), None)
        if found:
            shown = "lossless | |" if loss is None else " | ".join(_shown(*loss)) + " |"
            lines.append(f"| {name} | {returned:,} of {texts:,} | {shown}")
    return "\n".join(lines) + "\n"


def _cell(row: dict[str, Any] | None) -> str:
    if row is None:
        return "–"
    size = f"{row['bytes'] / MEGABYTE:.1f}"
    if row["different"]:
        size += f" ({row['different']} differ)"
    return f"**{size}**" if row["part"] == "all" else size


def _shown(before: str, after: str) -> tuple[str, str]:
    """A loss for a table; what looks the same in both forms is named by its code points."""
    if nfc(before) != nfc(after):
        return f"`{_visible(before)}`", f"`{_visible(after)}`"
    at = next(n for n, (a, b) in enumerate(zip(before, after, strict=False)) if a != b)
    codes = [" ".join(f"U+{ord(character):04X}" for character in text[at : at + 2]) for text in (before, after)]
    return f"{codes[0]} (no NFC)", codes[1]


def _visible(text: str) -> str:
    """White space as signs, so that a table shows it."""
    signs = {"\n": "⏎", "\t": "⇥", " ": "␣", "|": "¦", "`": "′"}
    return "".join(
        signs.get(character, character if character.isprintable() else f"<{ord(character):X}>") for character in text
    )


def _versions(rows: list[dict[str, Any]]) -> str:
    found = {f"{library} {number}" for row in rows for library, number in row["versions"].items() if number is not None}
    commits = {str(row["commit"]) for row in rows}
    return f"Compared with {', '.join(sorted(found))}; bbpe at {', '.join(sorted(commits))}."


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.parity", description=__doc__.split("\n\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run", help="compare and record")
    running.add_argument("--vocabulary", action="append", choices=list(VOCABULARIES), help="all when none is named")
    running.add_argument("--corpus", action="append", choices=CORPORA, help="all when none is named")
    running.add_argument("--megabytes", type=float, help="only the first N of each corpus")
    running.add_argument("--again", action="store_true", help="also what is recorded already")
    commands.add_parser("render", help="write benchmarks/parity.md")
    chosen = parser.parse_args(arguments)
    if chosen.command == "render":
        PAGE.write_text(render(), encoding="utf-8")
        return 0
    home = find_corpus("zh-small").parent.parent
    return (
        1
        if run(chosen.vocabulary or VOCABULARIES, chosen.corpus or CORPORA, chosen.megabytes, chosen.again, home)
        else 0
    )


if __name__ == "__main__":
    sys.exit(main())
