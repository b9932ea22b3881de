"""``inspect``: everything there is to know about one vocabulary, in one record; and ``look_up`` for single tokens.

The parts are measured in ``makeup.py``, ``coverage.py``, ``health.py``, ``usage.py`` and ``against.py``; this module runs
those that were asked for, each table only once. Nothing here is shown: ``report/inspection_report.py`` makes a report of it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import regex

from bbpe.analysis.against import Difference, compare_vocabularies
from bbpe.analysis.coverage import Coverage, cover_chinese
from bbpe.analysis.entries import Entries, TokenKind, entries_of
from bbpe.analysis.health import Fault, FaultList, Health, find_faults
from bbpe.analysis.makeup import Makeup, make_up
from bbpe.analysis.merge_forest import MergeForest, Node
from bbpe.analysis.usage import JUNK_COUNT, JUNK_IOS, Usage, cheapest_to_remove, find_junk, measure_usage
from bbpe.corpus import Progress, SourceLike
from bbpe.engines import EngineTokenizer
from bbpe.errors import BbpeError
from bbpe.io import load
from bbpe.tokenizer import Tokenizer

AnyTokenizer = Tokenizer | EngineTokenizer


@dataclass(frozen=True, slots=True)
class OnCorpus:
    """What a corpus says about a vocabulary.

    Attributes:
        usage: The counts.
        not_utf8: Tokens of the encoded corpus that are not valid UTF-8.
        used: Ordinary tokens that stand in it.
        removable: (id, the most tokens that its removal would add), the cheapest first; empty for other libraries.
    """

    usage: Usage
    not_utf8: int
    used: int
    removable: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Inspection:
    """What is inside a vocabulary, and what is wrong with it.

    Attributes:
        name: What it is called.
        makeup: What it is made of.
        coverage: How it covers Chinese.
        health: Its faults; on a corpus also what is unused and what is junk.
        corpus: What the corpus says; None without one.
        difference: How another vocabulary differs from it; None without one.
        seconds: How long each part took.
    """

    name: str
    makeup: Makeup
    coverage: Coverage
    health: Health
    corpus: OnCorpus | None
    difference: Difference | None
    seconds: dict[str, float]

    @property
    def entries(self) -> Entries:
        """Its entries."""
        return self.makeup.entries


@dataclass(frozen=True, slots=True)
class Found:
    """A token that was looked up.

    Attributes:
        id: Its id.
        token: Its bytes.
        kind: What kind of token it is.
        tree: The merges that build it; None for special tokens and for other libraries.
    """

    id: int
    token: bytes
    kind: TokenKind
    tree: Node | None


@dataclass(frozen=True, slots=True)
class LookUp:
    """Tokens that were looked up.

    Attributes:
        name: The vocabulary.
        found: By id (by place in the text, for a text of several tokens); no more than the limit.
        total: How many there are.
    """

    name: str
    found: tuple[Found, ...]
    total: int


def inspect(
    tokenizer: AnyTokenizer | str | os.PathLike[str],
    *,
    corpus: SourceLike | None = None,
    against: AnyTokenizer | str | os.PathLike[str] | None = None,
    name: str | None = None,
    against_name: str | None = None,
    threads: int | None = None,
    text_field: str = "text",
    lines: bool = False,
    strict: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> Inspection:
    """Look into a vocabulary.

    Args:
        tokenizer: A tokenizer, or what ``load`` takes.
        corpus: Text to count its tokens on; what ``open_corpus`` takes.
        against: Another vocabulary, B, to be compared with this one, A.
        name: What to call it in the report.
        against_name: What to call the other one.
        threads: How many to use on the corpus; None: one for each processor.
        text_field: As for ``open_corpus``.
        lines: As for ``open_corpus``.
        strict: As for ``open_corpus``.
        progress: Called now and then with how much of the corpus has been read.

    Raises:
        BbpeError: Something cannot be loaded, read or encoded.

    >>> import bbpe
    >>> found = bbpe.inspect(bbpe.train(["low lower lowest", "new newer newest"], num_merges=8))
    >>> found.makeup.kinds["merge"], len(found.health["unreachable_by_pattern"])
    (8, 0)
    """
    clock = _Clock()
    loaded, name = _loaded(tokenizer, name)
    other, against_name = (None, None) if against is None else _loaded(against, against_name)
    clock.lap("load")
    entries = entries_of(loaded, name)
    makeup = make_up(loaded, entries)
    clock.lap("make-up")
    forest = MergeForest.of(loaded) if isinstance(loaded, Tokenizer) else None
    health = find_faults(loaded, entries, forest)
    clock.lap("faults")
    on_corpus = None
    if corpus is not None:
        usage = measure_usage(
            loaded, corpus, threads=threads, text_field=text_field, lines=lines, strict=strict, progress=progress
        )
        on_corpus = _on_corpus(usage, entries, health, forest)
        health = _with_corpus_lists(health, usage, entries, forest)
        clock.lap("corpus")
    coverage = cover_chinese(
        loaded,
        entries,
        characters=None if on_corpus is None else on_corpus.usage.character_counts,
        used=None if on_corpus is None else on_corpus.usage.counts,
    )
    clock.lap("coverage")
    difference = None
    if other is not None:
        difference = compare_vocabularies(loaded, other, entries.name, against_name)
        clock.lap("against")
    return Inspection(entries.name, makeup, coverage, health, on_corpus, difference, clock.laps)


class _Clock:
    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._at = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name] = now - self._at
        self._at = now


def _loaded(tokenizer: AnyTokenizer | str | os.PathLike[str], name: str | None) -> tuple[AnyTokenizer, str | None]:
    if isinstance(tokenizer, Tokenizer | EngineTokenizer):
        return tokenizer, name
    return load(tokenizer), name or os.fspath(tokenizer)


def _on_corpus(usage: Usage, entries: Entries, health: Health, forest: MergeForest | None) -> OnCorpus:
    ids = np.fromiter(entries.tokens, dtype=np.int64, count=len(entries.tokens))
    pieces = [fault.id for name in ("not_utf8_starts", "not_utf8_ends") for fault in health[name].faults]
    return OnCorpus(
        usage,
        int(usage.counts[pieces].sum()),
        usage.used(ids),
        () if forest is None else cheapest_to_remove(usage, forest, entries),
    )


def _with_corpus_lists(health: Health, usage: Usage, entries: Entries, forest: MergeForest | None) -> Health:
    unused = tuple(
        Fault(id, token, entries.kinds[id], "does not stand in the corpus")
        for id, token in entries.tokens.items()
        if not usage.counts[id]
    )
    lists = [
        *health.lists,
        FaultList(
            "unused",
            "unused on the corpus",
            "A small corpus uses few tokens; a large one of the kind that the model will see shows which stay untrained.",
            "corpus",
            unused,
            minor=True,
        ),
    ]
    missing = dict(health.not_applicable)
    if forest is None:
        missing["junk from training"] = "no merges are known"
    else:
        tokens = entries.tokens
        junk = tuple(
            Fault(
                junk.id,
                forest.vocabulary.tokens[junk.id],
                entries.kinds[junk.id],
                f"{junk.ios:.1%} of {junk.occurrences:,} occurrences are inside token {junk.into}",
            )
            for junk in find_junk(usage, forest)
            if junk.id in tokens
        )
        lists.append(
            FaultList(
                "junk",
                "junk from training",
                f"Steps of merging that survive almost only inside one longer token: IoS of {JUNK_IOS} or more on the "
                f"corpus, of tokens that stand there {JUNK_COUNT} times or more. The highest IoS first.",
                "corpus",
                junk,
                minor=True,
            )
        )
    return Health(tuple(lists), health.reachability, health.canonical, missing)


# ---- Single tokens ----


def look_up(
    tokenizer: AnyTokenizer | str | os.PathLike[str],
    *,
    search: str | None = None,
    id: int | None = None,
    token: str | None = None,
    limit: int | None = None,
) -> LookUp:
    """Find tokens by a regular expression, an id, or their text.

    Args:
        tokenizer: A tokenizer, or what ``load`` takes.
        search: A regular expression, searched for in the text of every token (bytes that are no text as U+FFFD).
        id: An id.
        token: A token's text; where it is none, the tokens that the text is encoded to.
        limit: No more than so many.

    Raises:
        BbpeError: The expression does not compile, or there is no such id.
        ValueError: Not exactly one of the three was given.

    >>> from bbpe import Tokenizer, Vocabulary, get_pattern
    >>> tokens = {**{i: bytes([i]) for i in range(256)}, 256: b"ab", 257: b"abc"}
    >>> tok = Tokenizer(Vocabulary(tokens, merges=[(97, 98), (256, 99)], pattern=get_pattern("llama3")))
    >>> found = look_up(tok, token="abc").found[0]
    >>> found.id, [part.id for part in found.tree.parts]
    (257, [256, 99])
    """
    if sum(value is not None for value in (search, id, token)) != 1:
        raise ValueError("give one of search, id and token")
    loaded, name = _loaded(tokenizer, None)
    entries = entries_of(loaded, name)
    ids = _matching(loaded, entries, search, id, token)
    forest = MergeForest.of(loaded) if isinstance(loaded, Tokenizer) and ids else None
    found = []
    for each in ids[:limit]:
        if each in entries.special:
            content = entries.special[each].encode()
            found.append(Found(each, content, entries.kinds[each], None))
        else:
            tree = None if forest is None else forest.tree(each)
            found.append(Found(each, entries.tokens[each], entries.kinds[each], tree))
    return LookUp(entries.name, tuple(found), len(ids))


class LookUpError(BbpeError, ValueError):
    """What was looked for cannot be."""


def _matching(
    tokenizer: AnyTokenizer, entries: Entries, search: str | None, id: int | None, token: str | None
) -> list[int]:
    if id is not None:
        if id not in entries.kinds:
            last = entries.id_space - 1
            raise LookUpError(f"{entries.name} has no token {id}: its ids go from 0 to {last:,}, holes aside")
        return [id]
    if token is not None:
        data = token.encode("utf-8", "surrogatepass")
        same = [each for each, known in entries.tokens.items() if known == data]
        same += [each for each, content in entries.special.items() if content == token]
        return same or tokenizer.encode(token)
    assert search is not None
    try:
        expression = regex.compile(search)
    except regex.error as error:
        raise LookUpError(f"{search!r} is no regular expression: {error}") from None
    texts = {each: known.decode("utf-8", "replace") for each, known in entries.tokens.items()} | dict(entries.special)
    return sorted(each for each, text in texts.items() if expression.search(text))
