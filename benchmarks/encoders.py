"""Adapters of the libraries that encode and decode, and do not train (or, as tiktoken, only to teach)."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.adapter import Encoder, Ids, Peer, Unsupported, published
from benchmarks.vocabularies import tokenizer_json


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
    remembers = False

    def load(self, vocabulary: str) -> Encoder:
        tiktoken = self.imported()
        known = published(vocabulary)
        return _TiktokenEncoder(
            tiktoken.Encoding(
                known.name,
                pat_str=known.pattern,
                mergeable_ranks=known.ranks(),
                special_tokens=known.special_tokens,
            )
        )


class _FastokensEncoder(Encoder):
    batch_call = "encode_batch_flat"
    single_call = "encode_ordinary, .ids"

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
        known = published(vocabulary)
        if not known.from_ranks:
            return _FastokensEncoder(fastokens.Tokenizer.from_file(str(tokenizer_json(known))))
        return _FastokensEncoder(
            fastokens.Tokenizer.from_tiktoken(
                str(known.path), pattern=known.oniguruma, special_tokens=known.special_tokens
            )
        )


class _TokieEncoder(Encoder):
    batch_call = "encode_batch_flat"
    single_call = "encode, .ids"

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
    remembers = False

    def load(self, vocabulary: str) -> Encoder:
        tokie = self.imported()
        return _TokieEncoder(tokie.Tokenizer.from_json(str(tokenizer_json(published(vocabulary)))))


class _RsBpeEncoder(Encoder):
    batch_call = "encode of each"
    single_call = "encode"

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
    remembers = False

    def load(self, vocabulary: str) -> Encoder:
        openai = self.imported("rs_bpe.bpe").openai
        if not hasattr(openai, vocabulary):
            raise Unsupported(f"rs-bpe has cl100k_base and o200k_base built in, not {vocabulary}")
        return _RsBpeEncoder(getattr(openai, vocabulary)())


class _SnaptokensEncoder(Encoder):
    batch_call = "encode_batch_flat"
    single_call = "encode, .ids"

    def batch(self, documents: list[str], threads: int) -> Any:
        ids, offsets = self.tokenizer.encode_batch_flat(documents)
        return np.frombuffer(ids, np.uint32), np.frombuffer(offsets, np.uint64)

    def batch_ids(self, result: Any) -> Ids:
        ids: Ids = result[0]
        return ids

    def single(self, text: str) -> Any:
        return self.tokenizer.encode(text).ids

    def listed(self, text: str) -> Any:
        return self.single(text)

    def lists(self, texts: list[str]) -> Any:
        return [encoding.ids for encoding in self.tokenizer.encode_batch(texts)]

    def decode_list(self, ids: list[int]) -> str:
        text: str = self.tokenizer.decode(ids)
        return text


class Snaptokens(Peer):
    """snaptokens, a fork of fastokens; refuses ids beyond the number of tokens, so it gets no special tokens."""

    distribution = "snaptokens"
    module = "snaptokens"

    def load(self, vocabulary: str) -> Encoder:
        snaptokens = self.imported()
        path = tokenizer_json(published(vocabulary), special_tokens=False)
        return _SnaptokensEncoder(snaptokens.Tokenizer.from_file(str(path)))


class _QuicktokEncoder(Encoder):
    batch_call = "encode_batch"
    single_call = "encode_ordinary"

    def batch(self, documents: list[str], threads: int) -> Any:
        return self.tokenizer.encode_batch(documents, threads=threads)

    def batch_ids(self, result: Any) -> Ids:
        return np.asarray(result[0], dtype=np.uint32)

    def single(self, text: str) -> Any:
        return self.tokenizer.encode_ordinary(text)

    def listed(self, text: str) -> Any:
        return self.single(text)

    def number(self, text: str) -> int:
        number: int = self.tokenizer.count(text)
        return number

    def decode_array(self, ids: Ids) -> bytes:
        data: bytes = self.tokenizer.decode_bytes(ids.tolist())
        return data

    def decode_list(self, ids: list[int]) -> str:
        text: str = self.tokenizer.decode(ids)
        return text


class Quicktok(Peer):
    """quicktok; its vocabularies are packaged with it."""

    distribution = "quicktok-v1"
    module = "quicktok"

    def load(self, vocabulary: str) -> Encoder:
        if vocabulary not in ("cl100k_base", "o200k_base"):
            raise Unsupported(f"quicktok has no {vocabulary} packaged as it was published")
        return _QuicktokEncoder(self.imported().get_encoding(vocabulary))


class _ToktokEncoder(Encoder):
    batch_call = "Tokenizer.encode_batch_to_numpy (not public)"
    single_call = "Tokenizer.encode_to_numpy (not public)"

    def batch(self, documents: list[str], threads: int) -> Any:
        return self.tokenizer.encode_batch_to_numpy(documents, threads=threads)

    def batch_ids(self, result: Any) -> Ids:
        return np.asarray(result[0], dtype=np.uint32)

    def single(self, text: str) -> Any:
        return self.tokenizer.encode_to_numpy(text, disallowed_special=())

    def listed(self, text: str) -> Any:
        return self.tokenizer.encode_ordinary(text)

    def number(self, text: str) -> int:
        number: int = self.tokenizer.count(text)
        return number

    def decode_array(self, ids: Ids) -> bytes:
        data: bytes = self.tokenizer.decode_bytes(ids.tolist())
        return data

    def decode_list(self, ids: list[int]) -> str:
        text: str = self.tokenizer.decode(ids)
        return text


class Toktok(Peer):
    """toktok; its vocabularies are built in, and it promises to count only: its encoder is reached by a private name."""

    distribution = "toktok-rs"
    module = "toktok"

    def load(self, vocabulary: str) -> Encoder:
        if vocabulary not in ("cl100k_base", "o200k_base"):
            raise Unsupported(f"toktok has cl100k_base and o200k_base built in, not {vocabulary}")
        return _ToktokEncoder(self.imported()._encoding(vocabulary))


class _TuetokenEncoder(Encoder):
    batch_call = "encode_ordinary_to_buffer"
    single_call = "encode_to_bytes"

    def batch(self, documents: list[str], threads: int) -> Any:
        return self.tokenizer.encode_ordinary_to_buffer(documents, num_threads=threads)

    def batch_ids(self, result: Any) -> Ids:
        return np.asarray(result["data"], dtype=np.uint32)

    def single(self, text: str) -> Any:
        return np.frombuffer(self.tokenizer.encode_to_bytes(text), np.uint32)

    def listed(self, text: str) -> Any:
        return self.tokenizer.encode_ordinary(text)

    def number(self, text: str) -> int:
        number: int = self.tokenizer.count_tokens(text)
        return number

    def decode_list(self, ids: list[int]) -> str:
        text: str = self.tokenizer.decode(ids)
        return text


class Tuetoken(Peer):
    """tuetoken; knows special tokens in its other class only, and a hole among the ids stops it."""

    distribution = "tuetoken"
    module = "tuetoken"

    def load(self, vocabulary: str) -> Encoder:
        tuetoken = self.imported()
        path = tokenizer_json(published(vocabulary), special_tokens=False)
        return _TuetokenEncoder(tuetoken.Tokenizer(str(path)))


class _SplintrEncoder(Encoder):
    batch_call = "encode_flat of each"
    single_call = "encode_flat"

    def batch(self, documents: list[str], threads: int) -> Any:
        single = self.single
        return [single(document) for document in documents]

    def single(self, text: str) -> Any:
        return np.frombuffer(self.tokenizer.encode_flat(text), np.uint32)

    def listed(self, text: str) -> Any:
        return self.tokenizer.encode_ordinary(text)

    def decode_array(self, ids: Ids) -> bytes:
        data: bytes = self.tokenizer.decode_bytes(ids.tolist())
        return data

    def decode_list(self, ids: list[int]) -> str:
        text: str = self.tokenizer.decode_lossy(ids)
        return text


class Splintr(Peer):
    """splintr."""

    distribution = "splintr-rs"
    module = "splintr"

    def load(self, vocabulary: str) -> Encoder:
        splintr = self.imported()
        known = published(vocabulary)
        return _SplintrEncoder(
            splintr.Tokenizer.from_bytes(known.path.read_bytes(), known.oniguruma, known.special_tokens)
        )
