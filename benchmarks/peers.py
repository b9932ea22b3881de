"""One adapter a library: how each is told to train, load, encode and decode, in the fastest call it offers for the job.

An adapter does three things apart from one another, so that `measure.py` can time the middle one alone: get its input
ready, do the work, turn the result into a common form for comparison. What a library cannot do is an `Unsupported`.
bbpe is one adapter among the others and is called as its users call it.

To add a library: subclass `Peer` (and `Encoder`), name it in `PEERS`, name the cells it takes part in in `sweep.py`.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from benchmarks.slices import SEPARATOR, Slice
from benchmarks.vocabularies import PATTERNS, VOCABULARIES, RankVocabulary, byte_alphabet, tokenizer_json

Ids = npt.NDArray[np.uint32]


class Unsupported(Exception):
    """The library has no such task, or not with these options."""


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """What every library is asked to learn.

    Attributes:
        pattern: a name in `PATTERNS`.
        vocab_size: entries, the 256 bytes included; no special tokens.
        ties: the order of the bytes' ids, which decides ties: `value`, or `gpt2` as in OpenAI's and Hugging Face's
            files. A library knows one of the two; bbpe is measured in the one that it is compared with.
        threads: threads it may use.
    """

    pattern: str
    vocab_size: int
    ties: str
    threads: int


@dataclass(frozen=True, slots=True)
class Learned:
    """A trained vocabulary for comparison: tokens in the order learned, bytes left out, and the merges if known."""

    tokens: list[bytes]
    merges: list[tuple[bytes, bytes]] | None


class Encoder:
    """A loaded vocabulary. `batch` and `single` return what the library returns; `*_ids` read it after the timer."""

    batch_call: ClassVar[str]
    single_call: ClassVar[str]

    def batch(self, documents: list[str], threads: int) -> Any:
        """All documents in the library's best way of doing many."""
        raise Unsupported("no batch call")

    def single(self, text: str) -> Any:
        """One text, to a numpy array where the library has that, else to a list."""
        raise Unsupported("no call for one text")

    def listed(self, text: str) -> Any:
        """One text, to a list of ids."""
        raise Unsupported("no call for one text")

    def batch_ids(self, result: Any) -> Ids:
        """The ids of what `batch` returned, one document after another."""
        return _joined(result)

    def decode_array(self, ids: Ids) -> bytes:
        """Ids in an array to bytes."""
        raise Unsupported("decodes no array")

    def decode_list(self, ids: list[int]) -> str:
        """Ids in a list to text."""
        raise Unsupported("decodes no list")


class Peer:
    """A library under measurement."""

    distribution: ClassVar[str]
    module: ClassVar[str]
    ties: ClassVar[frozenset[str]] = frozenset()
    patterns: ClassVar[frozenset[str]] = frozenset()

    def imported(self, module: str | None = None) -> Any:
        """The library, or a module of it, imported when first wanted: most processes measure one of the others."""
        return import_module(module or self.module)

    def environment(self, threads: int) -> dict[str, str]:
        """Environment variables to set before the library is imported."""
        return {"RAYON_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "true" if threads > 1 else "false"}

    def trainer(self, text: Slice, options: TrainOptions) -> Callable[[], Any]:
        """The training run, its input already in memory in the form that the library takes."""
        raise Unsupported(f"{self.distribution} does not train")

    def learned(self, result: Any) -> Learned | None:
        """What the run learned; None where the algorithm is another, so that there is nothing to compare."""
        raise NotImplementedError

    def load(self, vocabulary: str) -> Encoder:
        """Load a published vocabulary from its file."""
        raise Unsupported(f"{self.distribution} does not load {vocabulary}")

    def counter(self, source: Sequence[str] | str, pattern: str, threads: int) -> Callable[[], Any]:
        """Count the pretokens of documents, or of a file named by its path."""
        raise Unsupported(f"{self.distribution} does not count pretokens")

    def counted(self, result: Any) -> list[npt.NDArray[Any]]:
        """Arrays that hold all there is of a count."""
        raise NotImplementedError


def _joined(arrays: Sequence[Any]) -> Ids:
    return np.concatenate([np.asarray(array, dtype=np.uint32) for array in arrays])


def _tokens(merges: list[tuple[bytes, bytes]]) -> list[bytes]:
    return [left + right for left, right in merges]


class _BbpeEncoder(Encoder):
    batch_call = "encode_batch_to_numpy"
    single_call = "encode_to_numpy"

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    def batch(self, documents: list[str], threads: int) -> Any:
        return self.tokenizer.encode_batch_to_numpy(documents, threads=threads)

    def batch_ids(self, result: Any) -> Ids:
        return np.asarray(result[0], dtype=np.uint32)

    def single(self, text: str) -> Any:
        return self.tokenizer.encode_to_numpy(text)

    def listed(self, text: str) -> Any:
        return self.tokenizer.encode(text)

    def decode_array(self, ids: Ids) -> bytes:
        data: bytes = self.tokenizer.decode_bytes(ids)
        return data

    def decode_list(self, ids: list[int]) -> str:
        text: str = self.tokenizer.decode(ids)
        return text


class Bbpe(Peer):
    """bbpe, from the checkout or as installed."""

    distribution = "bbpe"
    module = "bbpe"
    ties = frozenset({"value", "gpt2"})
    patterns = frozenset(PATTERNS)

    def trainer(self, text: Slice, options: TrainOptions) -> Callable[[], Any]:
        train = self.imported().train  # an attribute that may import more, which is no part of training
        documents = text.documents()
        return lambda: train(
            documents,
            options.vocab_size,
            pattern=options.pattern,
            byte_order=options.ties,
            threads=options.threads,
        )

    def learned(self, result: Any) -> Learned:
        vocabulary = result.vocabulary
        tokens = vocabulary.tokens
        merges = [(tokens[left], tokens[right]) for left, right in vocabulary.merges]
        return Learned(_tokens(merges), merges)

    def load(self, vocabulary: str) -> Encoder:
        bbpe = self.imported()
        return _BbpeEncoder(bbpe.load(vocabulary))

    def counter(self, source: Sequence[str] | str, pattern: str, threads: int) -> Callable[[], Any]:
        count_pretokens = self.imported("bbpe.counts").count_pretokens
        return lambda: count_pretokens(source, pattern=pattern, threads=threads)

    def counted(self, result: Any) -> list[npt.NDArray[Any]]:
        return [result.data, result.offsets, result.counts]


class _TokenizersEncoder(Encoder):
    batch_call = "encode_batch_fast, .ids of each"
    single_call = "encode, .ids"

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    def batch(self, documents: list[str], threads: int) -> Any:
        # The ids stay in Rust until `.ids` copies them out: they are what is asked for, so that is part of the work.
        return [encoding.ids for encoding in self.tokenizer.encode_batch_fast(documents, add_special_tokens=False)]

    def single(self, text: str) -> Any:
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def listed(self, text: str) -> Any:
        return self.single(text)

    def decode_list(self, ids: list[int]) -> str:
        text: str = self.tokenizer.decode(ids, skip_special_tokens=False)
        return text


class Tokenizers(Peer):
    """Hugging Face tokenizers."""

    distribution = "tokenizers"
    module = "tokenizers"
    ties = frozenset({"gpt2"})
    patterns = frozenset(PATTERNS)

    def trainer(self, text: Slice, options: TrainOptions) -> Callable[[], Any]:
        tokenizers = self.imported()
        pre_tokenizers = self.imported("tokenizers.pre_tokenizers")
        documents = text.documents()
        tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
        split = pre_tokenizers.Split(tokenizers.Regex(PATTERNS[options.pattern]), "isolated", invert=False)
        byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
        trainer = tokenizers.trainers.BpeTrainer(
            vocab_size=options.vocab_size,
            min_frequency=2,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )

        def run() -> Any:
            tokenizer.train_from_iterator(documents, trainer=trainer, length=len(documents))
            return tokenizer

        return run

    def learned(self, result: Any) -> Learned:
        byte_of = {character: byte for byte, character in enumerate(byte_alphabet())}

        def token(spelled: str) -> bytes:
            return bytes([byte_of[character] for character in spelled])

        pairs = json.loads(result.to_str())["model"]["merges"]
        merges = [(token(left), token(right)) for left, right in pairs]
        return Learned(_tokens(merges), merges)

    def load(self, vocabulary: str) -> Encoder:
        return _TokenizersEncoder(self.imported().Tokenizer.from_file(str(tokenizer_json(_known(vocabulary)))))


class _TiktokenEncoder(Encoder):
    batch_call = "encode_to_numpy of each"
    single_call = "encode_to_numpy"

    def __init__(self, encoding: Any) -> None:
        self.encoding = encoding

    def batch(self, documents: list[str], threads: int) -> Any:
        if threads > 1:  # its own batch call, a pool of Python threads around the call that returns a list
            return self.encoding.encode_ordinary_batch(documents, num_threads=threads)
        encode = self.encoding.encode_to_numpy  # the quickest of its calls for one document
        return [encode(document, disallowed_special=()) for document in documents]

    def single(self, text: str) -> Any:
        return self.encoding.encode_to_numpy(text, disallowed_special=())

    def listed(self, text: str) -> Any:
        return self.encoding.encode_ordinary(text)

    def decode_array(self, ids: Ids) -> bytes:
        data: bytes = self.encoding.decode_bytes(ids.tolist())  # twice as quick as reading the array itself
        return data

    def decode_list(self, ids: list[int]) -> str:
        text: str = self.encoding.decode(ids)
        return text


class Tiktoken(Peer):
    """OpenAI's tiktoken; its own training is for teaching and is not measured."""

    distribution = "tiktoken"
    module = "tiktoken"

    def load(self, vocabulary: str) -> Encoder:
        tiktoken = self.imported()
        known = _known(vocabulary)
        return _TiktokenEncoder(
            tiktoken.Encoding(
                known.name,
                pat_str=known.pattern,
                mergeable_ranks=known.ranks(),
                special_tokens=known.special_tokens,
            )
        )


class _GigatokenEncoder(Encoder):
    batch_call = "encode_batch"
    single_call = "encode"

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    def batch(self, documents: list[str], threads: int) -> Any:
        return self.tokenizer.encode_batch(documents, parallel=threads > 1)

    def batch_ids(self, result: Any) -> Ids:
        return np.asarray(result.layout.content.data, dtype=np.uint32)

    def single(self, text: str) -> Any:
        return self.tokenizer.encode(text)

    def listed(self, text: str) -> Any:
        return self.tokenizer.encode(text).tolist()

    def decode_array(self, ids: Ids) -> bytes:
        data: bytes = self.tokenizer.decode(ids)
        return data

    def decode_list(self, ids: list[int]) -> str:
        data: bytes = self.tokenizer.decode(ids)
        return data.decode("utf-8", "replace")


class Gigatoken(Peer):
    """gigatoken; trains with GPT-2's pattern only."""

    distribution = "gigatoken"
    module = "gigatoken"
    ties = frozenset({"gpt2"})
    patterns = frozenset({"gpt2"})

    def trainer(self, text: Slice, options: TrainOptions) -> Callable[[], Any]:
        gigatoken = self.imported()
        data = text.data()
        return lambda: gigatoken.train_bpe(data, options.vocab_size, [], separator=SEPARATOR)

    def learned(self, result: Any) -> Learned:
        merges = [(bytes(left), bytes(right)) for left, right in result[1]]
        return Learned(_tokens(merges), merges)

    def load(self, vocabulary: str) -> Encoder:
        gigatoken = self.imported()
        known = _known(vocabulary)
        return _GigatokenEncoder(gigatoken.Tokenizer.from_tiktoken(known.path, known.scheme, known.special_tokens))


class _FastokensEncoder(Encoder):
    batch_call = "encode_batch_flat"
    single_call = "encode_ordinary, .ids"

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    def batch(self, documents: list[str], threads: int) -> Any:
        ids, offsets = self.tokenizer.encode_batch_flat(documents, split_special_tokens=True)
        return np.frombuffer(ids, np.uint32), np.frombuffer(offsets, np.uint64)

    def batch_ids(self, result: Any) -> Ids:
        ids: Ids = result[0]
        return ids

    def single(self, text: str) -> Any:
        return self.tokenizer.encode_ordinary(text).ids

    def listed(self, text: str) -> Any:
        return self.single(text)

    def decode_list(self, ids: list[int]) -> str:
        text: str = self.tokenizer.decode(ids)
        return text


class Fastokens(Peer):
    """fastokens; heeds no thread setting, so `measure.py` pins the process to as many CPUs as threads."""

    distribution = "fastokens"
    module = "fastokens"

    def load(self, vocabulary: str) -> Encoder:
        fastokens = self.imported()
        known = _known(vocabulary)
        return _FastokensEncoder(
            fastokens.Tokenizer.from_tiktoken(
                str(known.path), pattern=known.oniguruma, special_tokens=known.special_tokens
            )
        )


class _TokieEncoder(Encoder):
    batch_call = "encode_batch_flat"
    single_call = "encode, .ids"

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    def batch(self, documents: list[str], threads: int) -> Any:
        return self.tokenizer.encode_batch_flat(documents, add_special_tokens=False)

    def batch_ids(self, result: Any) -> Ids:
        return np.asarray(result[0], dtype=np.uint32)

    def single(self, text: str) -> Any:
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def listed(self, text: str) -> Any:
        return self.single(text)

    def decode_array(self, ids: Ids) -> bytes:
        data: bytes = self.tokenizer.decode_bytes(ids.tolist())
        return data

    def decode_list(self, ids: list[int]) -> str:
        text: str = self.tokenizer.decode(ids)
        return text


class Tokie(Peer):
    """tokie."""

    distribution = "tokie"
    module = "tokie"

    def load(self, vocabulary: str) -> Encoder:
        tokie = self.imported()
        return _TokieEncoder(tokie.Tokenizer.from_json(str(tokenizer_json(_known(vocabulary)))))


class _RsBpeEncoder(Encoder):
    batch_call = "encode of each"
    single_call = "encode"

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    def batch(self, documents: list[str], threads: int) -> Any:
        if threads > 1:
            return self.tokenizer.encode_batch(documents)[0]
        encode = self.tokenizer.encode
        return [encode(document) for document in documents]

    def single(self, text: str) -> Any:
        return self.tokenizer.encode(text)

    def listed(self, text: str) -> Any:
        return self.single(text)

    def decode_list(self, ids: list[int]) -> str:
        text: str = self.tokenizer.decode(ids)
        return text


class RsBpe(Peer):
    """rs-bpe, the `bpe` crate of rust-gems; its vocabularies are built in."""

    distribution = "rs-bpe"
    module = "rs_bpe"

    def load(self, vocabulary: str) -> Encoder:
        openai = self.imported("rs_bpe.bpe").openai
        if not hasattr(openai, vocabulary):
            raise Unsupported(f"rs-bpe has cl100k_base and o200k_base built in, not {vocabulary}")
        return _RsBpeEncoder(getattr(openai, vocabulary)())


class Rustbpe(Peer):
    """rustbpe (nanochat's trainer); says which tokens it learned, not from which pairs."""

    distribution = "rustbpe"
    module = "rustbpe"
    ties = frozenset({"value"})
    patterns = frozenset(PATTERNS)

    def trainer(self, text: Slice, options: TrainOptions) -> Callable[[], Any]:
        rustbpe = self.imported()
        documents = text.documents()
        tokenizer = rustbpe.Tokenizer()

        def run() -> Any:
            tokenizer.train_from_iterator(iter(documents), options.vocab_size, pattern=PATTERNS[options.pattern])
            return tokenizer

        return run

    def learned(self, result: Any) -> Learned:
        ranks = sorted((rank, bytes(token)) for token, rank in result.get_mergeable_ranks())
        return Learned([token for _, token in ranks[256:]], None)


class Ffbpe(Peer):
    """ffbpe, byte unit."""

    distribution = "ffbpe"
    module = "ffbpe"
    ties = frozenset({"value"})
    patterns = frozenset(PATTERNS)

    def trainer(self, text: Slice, options: TrainOptions) -> Callable[[], Any]:
        ffbpe = self.imported()
        documents = text.documents()
        counter = ffbpe.PreTokenizer([], pat_str=PATTERNS[options.pattern]).word_counter()
        trainer = ffbpe.BpeTrainer([], unit="byte", bigram_cutoff_freq=2)

        def run() -> Any:
            counter.add_source(documents)
            trainer.add_word_counter(counter)
            trainer.train(options.vocab_size)
            return trainer

        return run

    def learned(self, result: Any) -> Learned:
        ranks = sorted((rank, bytes(token)) for token, rank in result.vocab.items())
        return Learned([token for _, token in ranks[256:]], None)


class Sentencepiece(Peer):
    """sentencepiece BPE with byte fallback: merges characters, not bytes, and has no regular expression.

    Another algorithm with another result, measured because it is what many train with. Fed line by line, as it is
    meant to be; nothing is normalized away, no line is too long.
    """

    distribution = "sentencepiece"
    module = "sentencepiece"
    ties = frozenset({"gpt2", "value"})
    patterns = frozenset(PATTERNS)

    def trainer(self, text: Slice, options: TrainOptions) -> Callable[[], Any]:
        sentencepiece = self.imported()
        lines = [line for document in text.documents() for line in document.split("\n") if line]
        longest = max(len(line.encode()) for line in lines)
        model = io.BytesIO()

        def run() -> Any:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(lines),
                model_writer=model,
                model_type="bpe",
                vocab_size=options.vocab_size,
                byte_fallback=True,
                character_coverage=0.9995,
                normalization_rule_name="identity",
                remove_extra_whitespaces=False,
                max_sentence_length=longest + 1,
                num_threads=options.threads,
                minloglevel=2,
            )
            return model

        return run

    def learned(self, result: Any) -> None:
        return None


def _known(vocabulary: str) -> RankVocabulary:
    if vocabulary not in VOCABULARIES:
        raise Unsupported(f"no rank file known for {vocabulary}; known: {', '.join(VOCABULARIES)}")
    return VOCABULARIES[vocabulary]


PEERS: dict[str, Peer] = {
    peer.distribution: peer
    for peer in (
        Bbpe(),
        Tokenizers(),
        Gigatoken(),
        Rustbpe(),
        Ffbpe(),
        Sentencepiece(),
        Tiktoken(),
        Fastokens(),
        Tokie(),
        RsBpe(),
    )
}
