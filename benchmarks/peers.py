"""Adapters of the libraries that train, bbpe among them, called as its users call it; and the list of all peers.

To add a library: subclass `Peer` (and `Encoder`), name it in `PEERS`, name the cells it takes part in in `sweep.py`.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.adapter import Encoder, Ids, Learned, Peer, TrainOptions, published
from benchmarks.encoders import Fastokens, Quicktok, RsBpe, Snaptokens, Splintr, Tiktoken, Tokie, Toktok, Tuetoken
from benchmarks.slices import Slice
from benchmarks.vocabularies import PATTERNS, VOCABULARIES, byte_alphabet, tokenizer_json


def _tokens(merges: list[tuple[bytes, bytes]]) -> list[bytes]:
    return [left + right for left, right in merges]


class _BbpeEncoder(Encoder):
    batch_call = "encode_batch_to_numpy"
    single_call = "encode_to_numpy"

    def batch(self, documents: list[str], threads: int) -> Any:
        return self.tokenizer.encode_batch_to_numpy(documents, threads=threads)

    def batch_ids(self, result: Any) -> Ids:
        return np.asarray(result[0], dtype=np.uint32)

    def single(self, text: str) -> Any:
        return self.tokenizer.encode_to_numpy(text)

    def listed(self, text: str) -> Any:
        return self.tokenizer.encode(text)

    def lists(self, texts: list[str]) -> Any:
        return self.tokenizer.encode_batch(texts, threads=1)

    def number(self, text: str) -> int:
        number: int = self.tokenizer.count(text)
        return number

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
        load = self.imported().load
        known = VOCABULARIES.get(vocabulary)
        if known is None or known.bbpe_pattern is None:
            return _BbpeEncoder(load(vocabulary))
        return _BbpeEncoder(load(known.path, format="tiktoken", pattern=known.bbpe_pattern, special_tokens={}))

    def counter(self, source: Sequence[str] | str, pattern: str, threads: int) -> Callable[[], Any]:
        count_pretokens = self.imported("bbpe.counts").count_pretokens
        return lambda: count_pretokens(source, pattern=pattern, threads=threads)

    def counted(self, result: Any) -> list[npt.NDArray[Any]]:
        return [result.data, result.offsets, result.counts]


class _TokenizersEncoder(Encoder):
    batch_call = "encode_batch_fast, .ids of each"
    single_call = "encode, .ids"

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
        return _TokenizersEncoder(self.imported().Tokenizer.from_file(str(tokenizer_json(published(vocabulary)))))


class _GigatokenEncoder(Encoder):
    batch_call = "encode_batch"
    single_call = "encode"

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
        return lambda: gigatoken.train_bpe(data, options.vocab_size, [], separator=text.separator)

    def learned(self, result: Any) -> Learned:
        merges = [(bytes(left), bytes(right)) for left, right in result[1]]
        return Learned(_tokens(merges), merges)

    def load(self, vocabulary: str) -> Encoder:
        gigatoken = self.imported()
        known = published(vocabulary)
        if not known.from_ranks:
            return _GigatokenEncoder(gigatoken.Tokenizer.from_json(tokenizer_json(known).read_text(encoding="utf-8")))
        return _GigatokenEncoder(gigatoken.Tokenizer.from_tiktoken(known.path, known.scheme, known.special_tokens))


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


class Bpeasy(Peer):
    """bpeasy; says which tokens it learned. Slow where pretokens hardly repeat, as in Chinese."""

    distribution = "bpeasy"
    module = "bpeasy"
    ties = frozenset({"value"})
    patterns = frozenset(PATTERNS)

    def trainer(self, text: Slice, options: TrainOptions) -> Callable[[], Any]:
        bpeasy = self.imported()
        documents = text.documents()
        longest = 1 << 16  # bytes of a token; it wants a limit
        return lambda: bpeasy.train_bpe(iter(documents), PATTERNS[options.pattern], longest, options.vocab_size)

    def learned(self, result: Any) -> Learned:
        ranks = sorted((rank, bytes(token)) for token, rank in result.items())
        return Learned([token for _, token in ranks[256:]], None)


class Gigabpe(Peer):
    """gigabpe; trains with GPT-2's pattern, from files, which it reads inside the timer (the system holds them).

    Its alphabet is the bytes that occur, so it learns some hundred merges more for a vocabulary of the same size; those
    are left out of the comparison.
    """

    distribution = "gigabpe"
    module = "gigabpe"
    ties = frozenset({"gpt2"})
    patterns = frozenset({"gpt2"})

    def trainer(self, text: Slice, options: TrainOptions) -> Callable[[], Any]:
        train = self.imported().train_bpe
        path = [str(text.path)]

        def run() -> Any:
            result = train(path, options.vocab_size, min_frequency=2, pretokenizer="bytelevel", threads=options.threads)
            return result[1], options.vocab_size - 256

        return run

    def learned(self, result: Any) -> Learned:
        byte_of = {character: byte for byte, character in enumerate(byte_alphabet())}

        def token(spelled: str) -> bytes:
            return bytes([byte_of[character] for character in spelled])

        merges = [(token(left), token(right)) for left, right in result[0][: result[1]]]
        return Learned(_tokens(merges), merges)


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
        Snaptokens(),
        Quicktok(),
        Toktok(),
        Tuetoken(),
        Splintr(),
        Bpeasy(),
        Gigabpe(),
    )
}
