"""Hostile files: small vocabulary files of every format, damaged at random, are read or refused, and never read wrongly.

    python -m benchmarks.mutations [--mutants 100000] [--specimen NAME]... [--first-seed 0] [--record]

A mutant is made by its seed from a specimen: bits flipped, bytes cut, repeated or moved, the file truncated; in JSON
also values exchanged for hostile ones (deep nesting, huge numbers, other types, keys that stand twice), in a protobuf
fields dropped, repeated or given other lengths and numbers. It is loaded as a user's file is, by `bbpe.load`. Allowed
are an error of bbpe's own (`BbpeError`), and a tokenizer that encodes and decodes; when the format's own library reads
the same bytes too, its ids have to be the same.

Workers are processes of their own with a limit on memory, so that a crash of native code or a hang is seen, charged to
its seed, and survived. `tests/test_mutations.py` runs a slice.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import math
import os
import random
import selectors
import struct
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bbpe
from bbpe.errors import BbpeError
from benchmarks.parity import always_found
from benchmarks.provenance import commit, machine, moment

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "mutations.jsonl"
TINY = ROOT / "corpora" / "tiny" / "train"
SECONDS = 20  # that one mutant may take before it counts as a hang
MEMORY = 8 << 30  # bytes of address space of a worker

PROBES = (
    "",
    "The quick brown fox don't jump 12345 times.",
    "他们说今天天气很好，一起去公园吧。\n\n  然后 回家",
    "mixed 中文 and English\t١٢٣ é ﬁ ① 𠮷 👩‍👩‍👧",
    " \u3000 \r\n x  y   z ",
    "<s></s> <unk>[UNK][CLS]中<|end|>",
)

Encode = Callable[[str], "list[int]"]


@dataclass(frozen=True, slots=True)
class Specimen:
    """A sound file, or several that belong together.

    Attributes:
        files: Name to contents; the first is what is loaded.
        options: What `bbpe.load` is told.
        oracle: The format's own library, from the folder's first file to a function that encodes; it raises what it
        oracle: The format's own library, from the folder's first file to a function that encodes; it raises what it
            likes where it does not take the file.
        specials: Whether the library can take special tokens for plain text; tokenizers' Unigram finds them anyway.
    """

    files: Mapping[str, bytes]
    options: Mapping[str, Any] = field(default_factory=dict)
    oracle: Callable[[Path, Mapping[str, bytes]], Encode] | None = None
    specials: bool = True


# --- specimens ---


def texts() -> list[str]:
    """The corpus that the specimens are trained on, which comes with bbpe."""
    return [path.read_text(encoding="utf-8") for path in sorted(TINY.glob("*.txt"))]


def specimens(only: str | None = None) -> dict[str, Specimen]:
    """All of them by name, or at least the one that is named; made anew, always the same."""
    from bbpe.formats import gguf_file, tiktoken_file, tokenizer_json, vocab_merges

    made: dict[str, Specimen] = {}
    vocabulary = bbpe.train(texts(), vocab_size=420, special_tokens=["<|end|>", "<s>"]).vocabulary
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        tiktoken_file.write(vocabulary, folder / "a.tiktoken")
        made["tiktoken"] = Specimen(
            {file: (folder / file).read_bytes() for file in ("a.tiktoken", "a.tiktoken.json")}, {}, _tiktoken
        )
        made["tiktoken, no sidecar"] = Specimen(
            {"a.tiktoken": (folder / "a.tiktoken").read_bytes()},
            {"pattern": "llama3", "special_tokens": {"<s>": 900}},
            _tiktoken,
        )
        tokenizer_json.write(vocabulary, folder / "tokenizer.json")
        data = json.loads((folder / "tokenizer.json").read_bytes())
        made["tokenizer.json"] = Specimen({"tokenizer.json": _compact(data)}, {}, _tokenizers)
        data["pre_tokenizer"] = {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Punctuation", "behavior": "Contiguous"},
                {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
                {"type": "Digits", "individual_digits": False},
                {"type": "Split", "pattern": {"Regex": "[0-9][0-9]"}, "behavior": "Isolated", "invert": False},
            ],
        }
        made["tokenizer.json, cut inside characters"] = Specimen({"tokenizer.json": _compact(data)}, {}, _tokenizers)
        vocab_merges.write(vocabulary, folder)
        made["vocab+merges"] = Specimen(
            {file: (folder / file).read_bytes() for file in ("vocab.json", "merges.txt", "merges.txt.json")}
        )
        made["vocab+merges, no sidecar"] = Specimen(
            {file: (folder / file).read_bytes() for file in ("vocab.json", "merges.txt")}, {"pattern": "gpt2"}, _pair
        )
        gguf_file.write(vocabulary, folder / "a.gguf")
        made["gguf"] = Specimen({"a.gguf": (folder / "a.gguf").read_bytes()})
    made["tekken"] = Specimen({"tekken.json": _tekken_file(vocabulary)}, {}, _tekken)
    for kind, charsmap in (("bpe", "identity"), ("unigram", "identity"), ("unigram", "nmt_nfkc")):
        name = f"sentencepiece, {kind}, {charsmap}"
        if only in (None, name):
            made[name] = Specimen({"tokenizer.model": sentencepiece_model(kind, charsmap)}, {}, _sentencepiece)
    made["piece-list"] = Specimen(
        {"pieces.txt": b"".join(base64.b64encode(token) + b"\n" for token in vocabulary.tokens.values())}
    )
    if only in made:
        return made
    for kind, data in foreign_tokenizer_json().items():
        made[f"tokenizer.json, {kind}"] = Specimen(
            {"tokenizer.json": _compact(data)}, {}, _tokenizers, specials=kind != "unigram"
        )
        if kind == "wordpiece":
            words = sorted(data["model"]["vocab"], key=data["model"]["vocab"].__getitem__)
            made["wordpiece"] = Specimen(
                {"vocab.txt": "".join(word + "\n" for word in words).encode()}, {"lowercase": True}, _wordpiece
            )
            made["gguf, wordpiece"] = Specimen({"a.gguf": _wordpiece_gguf(words)})
    return made


def _wordpiece_gguf(words: Sequence[str]) -> bytes:
    """The words as llama.cpp's converter writes them."""
    import gguf

    special = [word.startswith("[") and word.endswith("]") for word in words]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.gguf"
        writer = gguf.GGUFWriter(path, "bert")
        writer.add_tokenizer_model("bert")
        writer.add_token_list(
            [
                word if alone else word[2:] if word.startswith("##") else f"▁{word}"
                for word, alone in zip(words, special, strict=True)
            ]
        )
        writer.add_token_types([3 if alone else 1 for alone in special])
        writer.add_unk_token_id(words.index("[UNK]"))
        writer.add_bos_token_id(words.index("[CLS]"))
        writer.add_sep_token_id(words.index("[SEP]"))
        writer.add_bool("tokenizer.ggml.normalizer.lowercase", True)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.close()
        return path.read_bytes()


def _compact(data: Any) -> bytes:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()


def _tekken_file(vocabulary: bbpe.Vocabulary) -> bytes:
    tokens = list(vocabulary.tokens.values())
    entries = [
        {
            "rank": rank,
            "token_bytes": base64.b64encode(token).decode(),
            "token_str": token.decode("utf-8", "replace"),
        }
        for rank, token in enumerate(tokens)
    ]
    config = {
        "pattern": vocabulary.pattern.spelling("tiktoken"),
        "num_vocab_tokens": len(tokens),
        "default_vocab_size": len(tokens) - 10 + 30,
        "default_num_special_tokens": 30,
        "version": "v3",
    }
    return _compact({"config": config, "vocab": entries})


def sentencepiece_model(kind: str, normalization: str) -> bytes:
    """A model that sentencepiece trains on the corpus; the same every time."""
    import io

    from sentencepiece import SentencePieceTrainer

    model = io.BytesIO()
    lines = [line for text in texts() for line in text.splitlines() if 0 < len(line.encode()) < 4000]
    SentencePieceTrainer.train(
        sentence_iterator=iter(lines[:120]),
        model_writer=model,
        model_type=kind,
        vocab_size=1800 if kind == "bpe" else 1200,
        byte_fallback=kind == "bpe",
        normalization_rule_name=normalization,
        character_coverage=0.98,
        hard_vocab_limit=False,
        user_defined_symbols=["<n>"],
        control_symbols=["<pad>"],
        num_threads=1,
        minloglevel=2,
    )
    return model.getvalue()


def foreign_tokenizer_json() -> dict[str, dict[str, Any]]:
    """tokenizer.json of the algorithms that bbpe does not run itself, trained by tokenizers on the corpus."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    special = ["<unk>", "<s>", "</s>"]
    lines = [line for text in texts() for line in text.splitlines()][:120]
    bpe = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    bpe.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    bpe.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    bpe.train_from_iterator(
        lines, trainers.BpeTrainer(vocab_size=1200, special_tokens=special + bytes_, show_progress=False)
    )
    data = json.loads(bpe.to_str())
    data["added_tokens"] = data["added_tokens"][:3]  # the bytes are tokens of the model only
    unigram = Tokenizer(models.Unigram())
    unigram.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace("``", '"')])
    unigram.pre_tokenizer = pre_tokenizers.Metaspace()
    unigram.decoder = decoders.Metaspace()
    unigram.train_from_iterator(
        lines, trainers.UnigramTrainer(vocab_size=1200, special_tokens=special, unk_token="<unk>", show_progress=False)
    )
    unigram.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 2)])
    wordpiece = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    wordpiece.normalizer = normalizers.BertNormalizer(lowercase=True)
    wordpiece.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    wordpiece.decoder = decoders.WordPiece()
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    wordpiece.train_from_iterator(
        lines, trainers.WordPieceTrainer(vocab_size=1200, special_tokens=names, show_progress=False)
    )
    wordpiece.add_tokens([AddedToken("<extra>", special=True, normalized=False)])
    return {"bpe": data, "unigram": json.loads(unigram.to_str()), "wordpiece": json.loads(wordpiece.to_str())}


# --- oracles ---


def _tiktoken(path: Path, files: Mapping[str, bytes]) -> Encode:
    import tiktoken

    ranks = {}
    for line in path.read_bytes().splitlines():
        if line:
            token, rank = line.split()
            ranks[base64.b64decode(token)] = int(rank)
    pattern = bbpe.get_pattern("llama3").spelling("tiktoken")
    if "a.tiktoken.json" in files:  # bbpe's own format: the spelling in it is what it says
        pattern = json.loads(path.with_name("a.tiktoken.json").read_bytes())["pattern"]["tiktoken"]
    encoding = tiktoken.Encoding("oracle", pat_str=str(pattern), mergeable_ranks=ranks, special_tokens={})
    return encoding.encode_ordinary


def _tekken(path: Path, files: Mapping[str, bytes]) -> Encode:
    import tiktoken

    data = json.loads(path.read_bytes())
    config = data["config"]
    special = config["default_num_special_tokens"]
    used = config["default_vocab_size"] - special
    if not 0 <= used <= len(data["vocab"]):
        raise ValueError("mistral-common asserts this")
    ranks = {base64.b64decode(entry["token_bytes"]): entry["rank"] for entry in data["vocab"][:used]}
    if sorted(ranks.values()) != list(range(used)):
        raise ValueError("mistral-common asserts this")
    encoding = tiktoken.Encoding("oracle", pat_str=config["pattern"], mergeable_ranks=ranks, special_tokens={})
    return lambda text: [id + special for id in encoding.encode_ordinary(text)]


def _tokenizers(path: Path, files: Mapping[str, bytes]) -> Encode:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.encode_special_tokens = True
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda text: list(tokenizer.encode(text, add_special_tokens=False).ids)


def _pair(path: Path, files: Mapping[str, bytes]) -> Encode:
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.BPE.from_file(str(path), str(path.with_name("merges.txt"))))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return lambda text: list(tokenizer.encode(text, add_special_tokens=False).ids)


def _sentencepiece(path: Path, files: Mapping[str, bytes]) -> Encode:
    from sentencepiece import SentencePieceProcessor

    processor = SentencePieceProcessor()
    processor.LoadFromSerializedProto(path.read_bytes())
    return lambda text: list(processor.encode(text))


def _wordpiece(path: Path, files: Mapping[str, bytes]) -> Encode:
    from tokenizers import BertWordPieceTokenizer

    tokenizer = BertWordPieceTokenizer(str(path), lowercase=True)._tokenizer
    tokenizer.encode_special_tokens = True
    return lambda text: list(tokenizer.encode(text, add_special_tokens=False).ids)


# --- mutants ---

_HOSTILE_BYTES = (0, 0x0A, 0x20, 0x22, 0x2C, 0x3A, 0x5B, 0x5D, 0x7B, 0x7D, 0x7F, 0x80, 0xC0, 0xED, 0xFF)


def mutate(data: bytes, source: random.Random) -> bytes:
    """A mutant of a file."""
    if source.random() < 0.3:  # one byte, so that what is read is often still a vocabulary, but another
        result = bytearray(data)
        at = source.randrange(len(result))
        result[at] = source.choice((result[at] ^ 1 << source.randrange(8), source.choice(data), source.randrange(256)))
        return bytes(result)
    if source.random() < 0.5:
        with contextlib.suppress(ValueError, RecursionError):
            if data[:1] == b"{":
                return _mutate_json(json.loads(data), source)
            if data[:1] == b"\n":
                return _mutate_message(data, source)
    return _mutate_bytes(data, source)


def _mutate_bytes(data: bytes, source: random.Random) -> bytes:
    result = bytearray(data)
    for _ in range(source.choice((1, 1, 1, 2, 4))):
        at = source.randrange(len(result)) if source.random() < 0.7 else source.randrange(min(400, len(result)))
        length = source.choice((1, 1, 2, 4, 8, 40, 400))
        kind = source.randrange(7)
        if kind == 0:
            result[at] ^= 1 << source.randrange(8)
        elif kind == 1:
            result[at] = source.choice(_HOSTILE_BYTES)
        elif kind == 2:
            del result[at : at + length]
        elif kind == 3:
            result[at:at] = result[at : at + length]
        elif kind == 4:
            other = source.randrange(len(result))
            result[at : at + length] = result[other : other + length]
        elif kind == 5:
            result[at:at] = bytes(source.choice(_HOSTILE_BYTES) for _ in range(length))
        else:
            del result[at:]
        if not result:
            return b"\x00"
    return bytes(result)


def _hostile_value(source: random.Random) -> Any:
    """A value that a JSON file should not hold there."""
    kind = source.randrange(16)
    if kind == 0:
        value: Any = "x"
        for _ in range(source.choice((20, 400))):
            value = [value] if source.random() < 0.5 else {"type": "Sequence", "normalizers": [value]}
        return value
    return (
        None, True, False, 0, -1, 1, 2**31, 2**32 - 1, 2**63, 10**30, 1.5, -1e308, "", "\x00", "\ud800", [], {},
        "a" * 5000, "▁", "<s>", [[]], {"type": "Sequence"}, {"String": ""}, {"Regex": "(a*)*b"}, {"Regex": "(?:" * 300},
        "NFC", "Lowercase", "ByteLevel", "Isolated", "Removed", float("nan"), [1, 2], ["a", "b"], "a b",
    )[source.randrange(34)]  # fmt: skip


def _mutate_json(data: Any, source: random.Random) -> bytes:
    """One to three nodes of a JSON value exchanged, dropped, repeated or moved."""
    for _ in range(source.choice((1, 1, 2, 3))):
        # Down from the root, at random: the few keys near it are met as often as the many tokens.
        parent, key, node = None, None, data
        for _ in range(source.choice((1, 2, 2, 3, 3, 4, 6))):
            if isinstance(node, dict) and node:
                parent, key = node, source.choice(list(node))
            elif isinstance(node, list) and node:
                parent, key = node, source.randrange(len(node))
            else:
                break
            node = parent[key]
        if parent is None:
            continue
        kind = source.randrange(6)
        if kind <= 2:
            parent[key] = _hostile_value(source)
        elif kind == 3:
            del parent[key]
        elif isinstance(parent, list):
            parent.insert(source.randrange(len(parent) + 1), node)
        else:
            other = source.choice(list(parent))
            parent[key], parent[other] = parent[other], parent[key]
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    if source.random() < 0.1 and '"' in text:  # a key that stands twice
        text = text.replace('{"', '{"type":"BPE","type":"NFC","', 1)
    return text.encode("utf-8", "surrogatepass")


def _mutate_message(data: bytes, source: random.Random) -> bytes:
    """Fields of a protobuf dropped, repeated, moved, or with other numbers, types and values."""
    from bbpe import protobuf

    found = [
        (number, wire, data[begin:end] if wire != protobuf.VARINT else begin)
        for number, wire, begin, end in protobuf.fields(data)
    ]
    for _ in range(source.choice((1, 1, 2, 4))):
        at = source.randrange(len(found)) if source.random() < 0.6 else -1 - source.randrange(min(4, len(found)))
        number, wire, value = found[at]
        kind = source.randrange(6)
        if kind == 0 and len(found) > 1:
            del found[at]
        elif kind == 1:
            found.insert(source.randrange(len(found) + 1), found[at])
        elif kind == 2:
            found[at] = (source.choice((1, 2, 3, 4, 5, 6, 200)), wire, value)
        elif wire == protobuf.BYTES:
            with contextlib.suppress(protobuf.WireError):
                found[at] = (number, wire, _mutate_inner(bytes(value), source))
    return b"".join(_field(*entry) for entry in found)


def _mutate_inner(message: bytes, source: random.Random) -> bytes:
    """The same, of a piece or a specification."""
    from bbpe import protobuf

    found = [
        (number, wire, message[begin:end] if wire != protobuf.VARINT else begin)
        for number, wire, begin, end in protobuf.fields(message)
    ]
    if not found:
        return protobuf.write_integer(3, source.randrange(9))
    at = source.randrange(len(found))
    number, wire, value = found[at]
    if wire == protobuf.VARINT:
        value = source.choice((0, 1, 2, 3, 4, 5, 6, 7, 2**31, 2**64 - 1))
    elif wire == protobuf.FIXED32:
        value = struct.pack("<f", source.choice((math.nan, math.inf, -math.inf, 3e38, -3e38, 1e-40, 0.0, 1.0)))
    elif source.random() < 0.7:
        value = _mutate_bytes(value, source) if value else b"\xff"
    else:
        value = source.choice((b"", b"\0", "▁".encode() * 2000, b"<0x00>", b"<unk>", b"\xff", b"\xed\xa0\x80", b"a"))
    found[at] = (source.choice((number, number, number, 1, 2, 3, 9)), wire, value)
    return b"".join(_field(*entry) for entry in found)


def _field(number: int, wire: int, value: Any) -> bytes:
    from bbpe import protobuf

    if wire == protobuf.VARINT:
        return protobuf.write_integer(number, value)
    if wire == protobuf.BYTES:
        return protobuf.write_bytes(number, bytes(value))
    return protobuf.write_varint(number << 3 | wire) + bytes(value)


# --- one mutant ---


def outcome(specimen: Specimen, seed: int, folder: Path) -> str:
    """What becomes of a mutant: `refused`, `same ids`, `no second opinion`, or what is wrong with it."""
    source = random.Random(seed)
    damaged = source.choice(list(specimen.files))
    for name, content in specimen.files.items():
        (folder / name).write_bytes(mutate(content, source) if name == damaged else content)
    return judge(specimen, folder)


def judge(specimen: Specimen, folder: Path) -> str:
    """The same of the files as they lie in a folder."""
    path = folder / next(iter(specimen.files))
    try:
        tokenizer = bbpe.load(path, **specimen.options)
    except BbpeError as error:
        return (
            "refused" if "\n" not in str(error) and len(str(error)) < 2000 else f"WRONG: message {str(error)[:200]!r}"
        )
    except Exception as error:
        return f"WRONG: {type(error).__name__}: {error}"
    try:
        ours = [_attempt(tokenizer, probe, specimen.oracle is _tokenizers) for probe in PROBES]
    except Exception as error:
        return f"WRONG: {type(error).__name__}: {error}"
    if specimen.oracle is None:
        return "no second opinion"
    try:
        encode = specimen.oracle(path, specimen.files)
        theirs: list[Any] = [encode(probe) for probe in PROBES]
    except BaseException as error:
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise
        return "no second opinion"
    # An added token that is not special cuts a text in two; what its library does to either side is not what bbpe does.
    cut = isinstance(tokenizer, bbpe.EngineTokenizer) and always_found(tokenizer)
    compared = PROBES if specimen.specials and not cut else PROBES[:-1]
    # Where bbpe says that the vocabulary has no token for a byte, nothing is silent, whatever the library leaves out.
    different = next((n for n in range(len(compared)) if type(ours[n]) is list and ours[n] != theirs[n]), None)
    if different is None:
        return "same ids"
    return f"WRONG: probe {different}: {str(ours[different])[:150]}, its library {str(theirs[different])[:150]}"


def _attempt(tokenizer: bbpe.Tokenizer | bbpe.EngineTokenizer, text: str, added: bool) -> list[int] | str:
    """The ids, or bbpe's own complaint about the text (a byte without a token).

    `added`: the library always finds added tokens that are not special, so they are allowed.
    """
    allowed = always_found(tokenizer) if added else frozenset()
    try:
        ids = tokenizer.encode(text, allowed_special=allowed)
    except BbpeError as error:
        return str(error)
    tokenizer.decode(ids)
    return ids


# --- workers ---


def work(name: str, seeds: range) -> None:
    """Run mutants and print one line for each; in a process of its own."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    warnings.simplefilter("ignore")
    specimen = specimens(name)[name]
    with tempfile.TemporaryDirectory() as folder:
        for seed in seeds:
            if os.environ.get("BBPE_MUTATIONS_CRASH_AT") == str(seed):  # for the test of this harness
                os.abort()
            print(json.dumps([seed, outcome(specimen, seed, Path(folder))]), flush=True)
    print(json.dumps(["peak", peak_memory()]), flush=True)


def peak_memory() -> int:
    """The most memory that this process had, in bytes. (`getrusage` counts what its parent had when it forked.)"""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def results(name: str, seeds: range) -> Iterator[tuple[int, str]]:
    """What became of each mutant; a worker that dies or hangs is charged to its seed and replaced."""
    at = seeds.start
    while at < seeds.stop:
        command = [sys.executable, "-m", "benchmarks.mutations", "--work", name, "--first-seed", str(at)]
        command += ["--mutants", str(seeds.stop - at)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TOKENIZERS_PARALLELISM": "false"}
        worker = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT, env=environment)
        assert worker.stdout is not None
        with worker, selectors.DefaultSelector() as selector:
            selector.register(worker.stdout, selectors.EVENT_READ)
            while True:
                # The first line waits for the specimens to be made, and any for a busy machine.
                if not selector.select(SECONDS * 3):
                    worker.kill()
                    yield at, f"WRONG: hangs for {SECONDS * 3} seconds"
                    at += 1
                    break
                line = worker.stdout.readline()
                if not line:
                    worker.wait()
                    if at < seeds.stop:
                        yield at, f"WRONG: the process ends with status {worker.returncode}"
                        at += 1
                    break
                number, said = json.loads(line)
                if number == "peak":
                    yield -1, str(said)
                    continue
                yield number, said
                at = number + 1


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mutations", description=__doc__.split("\n\n")[0])
    parser.add_argument("--mutants", type=int, default=100_000, help="of all specimens together")
    parser.add_argument("--specimen", action="append", help="all when none is named")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--record", action="store_true", help=f"append the counts to {RESULTS.name}")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.work:
        work(chosen.work, range(chosen.first_seed, chosen.first_seed + chosen.mutants))
        return 0
    names = chosen.specimen or list(specimens())
    each = -(-chosen.mutants // len(names))
    wrong = total = 0
    for name in names:
        counts: Counter[str] = Counter()
        peak = 0
        for seed, said in results(name, range(chosen.first_seed, chosen.first_seed + each)):
            if seed < 0:
                peak = max(peak, int(said))
                continue
            counts[said.partition(":")[0]] += 1
            total += 1
            if said.startswith("WRONG"):
                wrong += 1
                print(f"  {name}, seed {seed}: {said}", flush=True)
        if chosen.record:
            record = {"specimen": name, "first_seed": chosen.first_seed, "mutants": counts.total(), **counts}
            record |= {"peak_memory": peak, "commit": commit(), "moment": moment(), "machine": machine()}
            with RESULTS.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
        shown = ", ".join(f"{count:,} {kind}" for kind, count in counts.most_common())
        print(f"{name:40} {shown}; peak memory {peak / 1e6:.0f} MB", flush=True)
    print(f"{total:,} mutants, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
