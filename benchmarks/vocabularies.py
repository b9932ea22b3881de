"""Published vocabularies as the peers want them: a rank file, its pattern, its special tokens, and a tokenizer.json.

bbpe loads a vocabulary by its catalogue name; the peers are told here what a rank file does not say, in the spelling
of each dialect, so that no adapter leans on bbpe for what it is compared with. The tokenizer.json is made from the
rank file into the scratch folder and is never committed. Where a vocabulary is published as a tokenizer.json whose merge
list says no more than the ranks (every split of every token), its rank file is made there too; the exactness campaign,
`parity.py`, is what checks vocabularies, this is for speed.
"""

from __future__ import annotations

import base64
import json
import lzma
import os
from dataclasses import dataclass
from pathlib import Path

from benchmarks.slices import Part, cut_slice, replacing, scratch

PATTERNS = {
    "gpt2": r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    "llama3": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+",
}
"""Patterns for training, in a spelling that tokenizers, rustbpe, ffbpe and tiktoken read alike."""


@dataclass(frozen=True, slots=True)
class RankVocabulary:
    """A vocabulary published as a rank file, and what the file leaves out.

    Attributes:
        name: the catalogue's name, which is what `bbpe.load` is given.
        file: path below `$BBPE_HOME/vocabs`, a rank file or an `.xz` of a tokenizer.json; empty: trained here.
        pattern: the pattern as its publisher spells it for tiktoken.
        oniguruma: the same pattern for tokenizer.json, whose engine reads `{1,3}+` and `$` otherwise.
        scheme: gigatoken's name for the pattern.
        special_tokens: content to id.
        normalizer: a tokenizer.json's, where it has one. The peers that read rank files do not normalize.
        bbpe_pattern: where every library, bbpe too, is given the ranks under another pattern than their own, its name.
        from_ranks: False where some tokens' bytes do not merge into them by rank, which gigatoken and fastokens refuse
            in a rank file; they get the tokenizer.json.
    """

    name: str
    file: str
    pattern: str
    oniguruma: str
    scheme: str
    special_tokens: dict[str, int]
    normalizer: str | None = None
    bbpe_pattern: str | None = None
    from_ranks: bool = True

    @property
    def path(self) -> Path:
        """The rank file, as published or made now or by an earlier run.

        Raises:
            FileNotFoundError: `BBPE_HOME` is unset or lacks the file.
        """
        if not self.file:
            return _trained()
        if self.file.endswith(".xz"):
            return _ranks_of_json(self.name, self.published)
        return self.published

    @property
    def published(self) -> Path:
        """The file as it was published."""
        home = os.environ.get("BBPE_HOME")
        if home is None:
            raise FileNotFoundError("BBPE_HOME is not set; it names the folder that holds vocabs/ and corpora/")
        path = Path(home) / "vocabs" / self.file
        if not path.is_file():
            raise FileNotFoundError(f"no rank file of {self.name} at {path}")
        return path

    def ranks(self) -> dict[bytes, int]:
        """Token to rank, ascending."""
        lines = self.path.read_bytes().splitlines()
        return {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in lines if line)}


# Sources: openai/tiktoken tiktoken_ext/openai_public.py at 4e71bbe; Qwen/Qwen-7B tokenization_qwen.py.
_CL100K = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]"
    r"|\s+(?!\S)|\s"
)
_CL100K_ONIGURUMA = PATTERNS["llama3"]
_O200K = "|".join(
    (
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    )
)
_QWEN = (  # also Qwen2's
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

VOCABULARIES = {
    vocabulary.name: vocabulary
    for vocabulary in (
        RankVocabulary(
            "cl100k_base",
            "cl100k_base/cl100k_base.tiktoken",
            _CL100K,
            _CL100K_ONIGURUMA,
            "cl100k",
            {
                "<|endoftext|>": 100257,
                "<|fim_prefix|>": 100258,
                "<|fim_middle|>": 100259,
                "<|fim_suffix|>": 100260,
                "<|endofprompt|>": 100276,
            },
        ),
        RankVocabulary(
            "o200k_base",
            "o200k_base/o200k_base.tiktoken",
            _O200K,
            _O200K,
            "o200k",
            {"<|endoftext|>": 199999, "<|endofprompt|>": 200018},
        ),
        RankVocabulary(
            "qwen",
            "qwen/qwen.tiktoken",
            _QWEN,
            _QWEN,
            "qwen2",
            {"<|endoftext|>": 151643, "<|im_start|>": 151644, "<|im_end|>": 151645},
        ),
        RankVocabulary(
            "qwen2",
            "qwen/qwen.tiktoken",  # Qwen2's tokens and ids are the same
            _QWEN,
            _QWEN,
            "qwen2",
            {"<|endoftext|>": 151643, "<|im_start|>": 151644, "<|im_end|>": 151645},
            normalizer="NFC",
        ),
        RankVocabulary(
            "glm-4.6",
            "glm-4.6/glm-4.6.json.xz",
            PATTERNS["llama3"],
            PATTERNS["llama3"],
            "cl100k",
            {},
            from_ranks=False,
        ),
        # Its own pattern cuts in six passes, which tiktoken and gigatoken cannot do; so the ranks, which are what makes
        # a vocabulary slow or quick, are measured under a pattern that everybody has.
        RankVocabulary(
            "deepseek-v2",
            "deepseek-v2/deepseekv2.tiktoken",
            PATTERNS["llama3"],
            PATTERNS["llama3"],
            "cl100k",
            {},
            bbpe_pattern="llama3",
        ),
        RankVocabulary("bbpe-64k", "", PATTERNS["llama3"], PATTERNS["llama3"], "cl100k", {}, bbpe_pattern="llama3"),
    )
}


def _ranks_of_json(name: str, published: Path) -> Path:
    """The rank file of a packed tokenizer.json of byte-level BPE whose ids are its ranks."""
    state = published.stat()
    path = scratch() / f"{name}-{state.st_size}-{state.st_mtime_ns}.tiktoken"
    if not path.exists():
        model = json.loads(lzma.decompress(published.read_bytes()))["model"]
        byte_of = {character: byte for byte, character in enumerate(byte_alphabet())}
        tokens = sorted(
            (id, bytes([byte_of[character] for character in token])) for token, id in model["vocab"].items()
        )
        with replacing(path) as beside:
            beside.write_bytes(b"".join(base64.b64encode(token) + b" %d\n" % id for id, token in tokens))
    return path


def _trained() -> Path:
    """A vocabulary of 64,000 trained by bbpe on 30 MB of Chinese and as much English, as a rank file."""
    path = scratch() / "bbpe-64k-of-zh-web-and-en-web.tiktoken"
    if not path.exists():
        import bbpe

        part = Part("first", 30_000_000)
        documents = [text for corpus in ("zh-web", "en-web") for text in cut_slice(corpus, part).documents()]
        tokens = bbpe.train(documents, 64_000, pattern="llama3").vocabulary.tokens
        with replacing(path) as beside:
            beside.write_bytes(b"".join(base64.b64encode(tokens[id]) + b" %d\n" % id for id in sorted(tokens)))
    return path


def byte_alphabet() -> list[str]:
    """The character that stands for each byte in tokenizer.json, vocab.json and merges.txt.

    >>> byte_alphabet()[32]
    'Ġ'
    """
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    moved = (byte for byte in range(256) if byte not in set(printable))
    codes = {byte: byte for byte in printable} | {byte: 256 + place for place, byte in enumerate(moved)}
    return [chr(codes[byte]) for byte in range(256)]


def tokenizer_json(vocabulary: RankVocabulary, *, special_tokens: bool = True) -> Path:
    """The vocabulary as a tokenizer.json in the scratch folder, made now or by an earlier run.

    Without its special tokens for libraries that take no hole among the ids: plain text never becomes one.

    Every split of a token into two tokens is a merge, at the token's rank, in the order in which transformers' own
    conversion writes them. Special tokens stand in `model.vocab` as well as in `added_tokens`: in the latter alone,
    the ids after a hole are given out anew.
    """
    state = vocabulary.path.stat()
    plain = "" if special_tokens else ".plain"
    path = scratch() / f"{vocabulary.name}-{state.st_size}-{state.st_mtime_ns}{plain}.tokenizer.json"
    if path.exists():
        return path
    ranks = vocabulary.ranks()
    special = vocabulary.special_tokens if special_tokens else {}
    alphabet = byte_alphabet()

    def spelled(token: bytes) -> str:
        return "".join([alphabet[byte] for byte in token])

    merges: list[list[str]] = []
    for token in ranks:
        splits = [(token[:at], token[at:]) for at in range(1, len(token))]
        known = [(ranks[left], ranks[right], left, right) for left, right in splits if left in ranks and right in ranks]
        merges += [[spelled(left), spelled(right)] for _, _, left, right in sorted(known)]
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    split = {"type": "Split", "pattern": {"Regex": vocabulary.oniguruma}, "behavior": "Isolated", "invert": False}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    content = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": i, "content": text, **flags} for text, i in special.items()],
        "normalizer": {"type": vocabulary.normalizer} if vocabulary.normalizer else None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": True,
            "vocab": {spelled(token): rank for token, rank in ranks.items()} | special,
            "merges": merges,
        },
    }
    with replacing(path) as beside:
        beside.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return path
