"""Tokens that somebody wants: a word list with frequencies, or another vocabulary's tokens.

Both go the same way as a corpus: each wanted token is a pretoken with a weight, and merges are learned until every one
of them is a single token. What has to be added on the way and was not asked for is a *helper*.
"""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from bbpe.corpus import open_corpus
from bbpe.errors import TrainingError
from bbpe.tokenizer import Tokenizer

if TYPE_CHECKING:
    from bbpe.corpus import SourceLike
    from bbpe.extension.bases import Base

WordsLike: TypeAlias = "str | os.PathLike[str] | Mapping[str, int] | Iterable[tuple[str, int]]"
MAX_WEIGHT = 2**40
_SHOWN = 8  # words in a message


@dataclass(frozen=True, slots=True)
class Targets:
    """The wanted tokens, sorted out.

    Attributes:
        kind: ``"words"`` or ``"tokens"``.
        weights: Those that have to be made: token to weight.
        given: Entries of the list, each distinct one once.
        already: How many are single tokens of the base.
        cut: Those that the pattern cuts, so that no text can make them one token.
        duplicates: Words that stood in the list several times; their frequencies are added up.
        left_out: Tokens of the other vocabulary that are no text: pieces of characters.
        donor_ids: Token to its id in the other vocabulary, of all its tokens, those included that are no text.
    """

    kind: str
    weights: Mapping[bytes, int]
    given: int
    already: int
    cut: tuple[str, ...]
    duplicates: tuple[str, ...]
    left_out: int = 0
    donor_ids: Mapping[bytes, int] = field(default_factory=dict)

    def to_make(self) -> Mapping[bytes, int]:
        """The weights.

        Raises:
            TrainingError: There is nothing to make.
        """
        if not self.weights:
            shown = f" ({', '.join(map(repr, self.cut[:_SHOWN]))}{' …' if len(self.cut) > _SHOWN else ''})"
            raise TrainingError(
                f"there is nothing to add: of {self.given:,} {self.kind} {self.already:,} are tokens of the base "
                f"already and {len(self.cut):,} are cut by its pattern{shown if self.cut else ''}"
            )
        return self.weights


def read_words(source: WordsLike) -> Iterator[tuple[str, int]]:
    """The words of a list and their frequencies.

    A file has one ``word<TAB>frequency`` a line, in UTF-8; empty lines are passed over.

    Raises:
        TrainingError: A line that is something else; with its number.
    """
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise TrainingError(f"{path}: the word list cannot be read: {error.strerror or error}") from None
        for number, line in enumerate(data.removeprefix(codecs.BOM_UTF8).split(b"\n"), 1):
            line = line.removesuffix(b"\r")
            if not line:
                continue
            try:
                word, _, frequency = line.decode().rpartition("\t")
            except UnicodeDecodeError as error:
                raise TrainingError(f"{path}:{number}: no valid UTF-8: {error.reason}") from None
            if not word or "\t" in word or not frequency.isascii() or not frequency.strip().isdigit():
                raise TrainingError(
                    f"{path}:{number}: {line.decode()[:60]!r}; expected a word, a tab and its frequency, as 中文<TAB>120"
                )
            yield _checked(word, int(frequency), f"{path}:{number}")
        return
    items = source.items() if isinstance(source, Mapping) else source
    for place, item in enumerate(items):
        if not isinstance(item, tuple) or len(item) != 2 or not isinstance(item[0], str) or type(item[1]) is not int:
            raise TypeError(f"word {place} is {item!r}; words are pairs of a str and its frequency")
        yield _checked(item[0], item[1], f"word {place}")


def _checked(word: str, frequency: int, place: str) -> tuple[str, int]:
    if not word:
        raise TrainingError(f"{place}: an empty word")
    if not 1 <= frequency <= MAX_WEIGHT:
        raise TrainingError(f"{place}: the frequency of {word[:40]!r} is {frequency}; expected 1 to 2**40")
    return word, frequency


def words(source: WordsLike, base: Base[Any]) -> Targets:
    """Sort out a word list.

    Raises:
        TrainingError: A broken line, or no words at all.
    """
    weights: dict[str, int] = {}
    duplicates: dict[str, None] = {}
    for word, frequency in read_words(source):
        word = base.normalized(word)
        if word in weights:
            duplicates[word] = None
        weights[word] = weights.get(word, 0) + frequency
    if not weights:
        raise TrainingError("the word list is empty; give lines of a word, a tab and its frequency")
    return _sorted_out("words", weights, base, tuple(duplicates))


def tokens_of(
    donor: Any, base: Base[Any], source: SourceLike | None, *, text_field: str = "text", lines: bool = False
) -> Targets:
    """Sort out the tokens of another vocabulary.

    Args:
        donor: A tokenizer, bbpe's own or one that another library runs, or an iterable of tokens, str or bytes, the
            most frequent first.
        base: What is to be extended.
        source: Text on which the donor's tokens are counted: their weights. None: by their place in the vocabulary,
            the *n*-th weighs 1/n of the first (Zipf), as trained vocabularies put frequent tokens first.
        text_field: As for a corpus.
        lines: As for a corpus.

    Raises:
        TrainingError: The vocabulary has no tokens.
    """
    known: list[tuple[int, bytes]]
    if isinstance(donor, Tokenizer):
        vocabulary = donor.vocabulary
        order = vocabulary.ranks if vocabulary.ranks is not None else vocabulary.tokens
        known = [(id, vocabulary.tokens[id]) for id in order]
    elif hasattr(donor, "pieces"):
        special = set(donor.special_tokens.values())
        known = [(id, donor.token(id)) for id in donor.pieces if id not in special and id != donor.unknown_id]
    else:
        known = list(enumerate(token.encode() if isinstance(token, str) else token for token in donor))
    frequencies: Mapping[int, int] = {}
    if source is not None:
        if not hasattr(donor, "encode_batch_to_numpy"):
            raise TrainingError("tokens_from is a list, which cannot be counted on a corpus; leave the corpus out")
        frequencies = _frequencies(donor, source, text_field, lines)
    left_out = 0
    weights: dict[str, int] = {}
    for place, (id, token) in enumerate(known):
        if len(token) < 2:
            continue
        try:
            text = token.decode()
        except UnicodeDecodeError:
            left_out += 1
            continue
        text = base.normalized(text)
        weight = frequencies.get(id, 0) + 1 if source is not None else max(1, len(known) // (place + 1))
        weights[text] = weights.get(text, 0) + weight
    if not weights:
        raise TrainingError("tokens_from: that vocabulary has no tokens of more than one byte")
    # A list has places, no rows: only a vocabulary's ids say where a token could be copied from.
    rows = {token: id for id, token in known} if hasattr(donor, "vocab_size") else {}
    return replace(_sorted_out("tokens", weights, base, ()), left_out=left_out, donor_ids=rows)


def _frequencies(donor: Any, source: SourceLike, text_field: str, lines: bool) -> dict[int, int]:
    found: dict[int, int] = {}
    corpus = open_corpus(source, text_field=text_field, lines=lines)
    try:
        for document in corpus.documents():
            ids, times = np.unique(donor.encode_to_numpy(document.decode("utf-8", "replace")), return_counts=True)
            for id, count in zip(ids.tolist(), times.tolist(), strict=True):
                found[id] = found.get(id, 0) + count
    finally:
        corpus.close()
    return found


def _sorted_out(kind: str, weights: dict[str, int], base: Base[Any], duplicates: tuple[str, ...]) -> Targets:
    """Take away what is a token already, and what the base cuts."""
    texts = [text.encode() for text in weights]
    made: dict[bytes, int] = {}
    cut: list[str] = []
    already = 0
    for (text, weight), data, is_cut, size in zip(
        weights.items(), texts, base.cut(texts), base.sizes(texts), strict=True
    ):
        if is_cut:
            cut.append(text)
        elif size == 1:
            already += 1
        else:
            made[data] = weight
    return Targets(kind, made, len(weights), already, tuple(cut), duplicates)
