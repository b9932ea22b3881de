"""How many tokens files have.

Counting is encoding without keeping the ids: a byte-level tokenizer goes through ``bulk.encode_corpus``, in bounded
memory and on all cores; one that another library runs takes document by document.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bbpe.analysis.measurement import AnyTokenizer
from bbpe.bulk import encode_corpus
from bbpe.corpus import Progress, Reporter, SourceLike, open_corpus
from bbpe.tokenizer import Allowed, Tokenizer

__all__ = ["Counted", "count_tokens"]


@dataclass(frozen=True, slots=True)
class Counted:
    """What was counted in one file, or in all documents from memory.

    Attributes:
        name: The file.
        documents: Documents in it.
        tokens: Their tokens.
        characters: Their characters, each invalid byte being one (U+FFFD where another library encodes).
        bytes: Their bytes.
        invalid_bytes: Bytes that are no part of valid UTF-8.
    """

    name: str
    documents: int
    tokens: int
    characters: int
    bytes: int
    invalid_bytes: int


class _Nowhere(io.RawIOBase):
    """A stream that keeps nothing."""

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        return memoryview(data).nbytes  # type: ignore[arg-type]


def count_tokens(
    tokenizer: AnyTokenizer,
    source: SourceLike,
    *,
    text_field: str = "text",
    lines: bool = False,
    strict: bool = False,
    threads: int | None = None,
    allowed_special: Allowed = (),
    progress: Callable[[Progress], None] | None = None,
) -> tuple[Counted, ...]:
    """Count the tokens of a source, file by file.

    Args:
        tokenizer: What encodes.
        source: As for :func:`bbpe.corpus.open_corpus`.
        text_field: The field of JSON lines, or the column of Parquet, that holds the text.
        lines: Whether each line of a text file is a document.
        strict: Whether invalid UTF-8 is an error.
        threads: How many encode; None: as many as there are processors. Other libraries' tokenizers use one.
        allowed_special: Special tokens that count as such where they stand in the text, or ``"all"``.
        progress: Called now and then, in the calling thread.

    Raises:
        CorpusError: Something cannot be read, or there is no text in it.
        EncodeError: A special token that the vocabulary has not, or a byte for which it has no token.
    """
    corpus = open_corpus(source, text_field=text_field, lines=lines, strict=strict)
    corpus.close()
    sources: list[tuple[str, SourceLike]] = [(file, Path(file) if file != "-" else file) for file in corpus.files]
    if not sources:
        sources = [(corpus.name, source)]
    found = []
    for name, one in sources:
        if isinstance(tokenizer, Tokenizer):
            written = encode_corpus(
                tokenizer,
                one,
                _Nowhere(),  # type: ignore[arg-type]
                format="bin",
                allowed_special=allowed_special,
                threads=threads,
                text_field=text_field,
                lines=lines,
                strict=strict,
                progress=progress,
            )
            found.append(
                Counted(
                    name, written.documents, written.ids, written.characters, written.bytes, written.invalid_bytes
                )
            )  # fmt: skip
        else:
            found.append(_by_document(tokenizer, name, one, text_field, lines, strict, allowed_special, progress))
    return tuple(found)


def _by_document(
    tokenizer: AnyTokenizer,
    name: str,
    source: SourceLike,
    text_field: str,
    lines: bool,
    strict: bool,
    allowed: Allowed,
    progress: Callable[[Progress], None] | None,
) -> Counted:
    corpus = open_corpus(source, text_field=text_field, lines=lines, strict=strict)
    report = Reporter(corpus, "counting", progress)
    documents = tokens = characters = size = invalid = 0
    try:
        for data in corpus.documents():
            text = data.decode("utf-8", "replace")
            documents += 1
            tokens += tokenizer.count(text, allowed_special=allowed)
            characters += len(text)
            size += len(data)
            invalid += len(data) - len(data.decode("utf-8", "ignore").encode())
            report.now_and_then()
    finally:
        corpus.close()
    return Counted(name, documents, tokens, characters, size, invalid)
