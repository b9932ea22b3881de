"""Extending a vocabulary: bbpe beside the two published ways, on the same text and the same number of tokens.

    python -m benchmarks.extension --library bbpe --part first:30MB --add 10000 >> benchmarks/results/extension.jsonl

One process, one library, one JSON line: CPU and wall seconds of learning (and, for bbpe, of the whole command with its
checks), peak memory, and how many tokens the training text and a held-out text have with what was learned.

The published ways are not on the package index, so both are written anew here after their descriptions, plainly, in
Python like the originals, and named for what they are:

- `continued-bpe`: the method of *Teaching Old Tokenizers New Words* (arXiv:2512.03989, taidopurason/tokenizer-extension):
  Hugging Face's tokenizers cut and encode each text with the old vocabulary, pairs of old tokens are counted, and a
  heap and a set of words for each pair go on merging. (Counts here are exact; in the original a word that holds a pair
  twice is forgotten after the first.)
- `add-merges`: the method of Qwen's `add_merges.py`: every word is cut by the old ranks in Python, and for each new
  merge all pairs of all words are counted again. Its input is a word list, here the text's distinct pretokens with
  their counts. On much text it would take hours: `--measured N` learns the first N merges, then takes the others from
  bbpe and learns N more where all but the last are made. A merge costs less the later it comes, for words that have
  become one token are left out; so cutting the words, plus the time of a late merge times all merges, is less than the
  whole takes: `learn_seconds_at_least`.

What is timed: both begin with a tokenizer that is loaded and documents in memory, and end with a list of merges; bbpe
without the checks of the whole command, which `bbpe-command` measures, and the peer without writing its vocabulary.
Pairs of equal count come in another order (ids here, spelling there), and that is all that the merges differ in: with
the peer's loop and the order of ids all 10,000 are the same. It is why the training text has 3 tokens of 6.06 million
more with bbpe's, and held-out text fewer.

Those learn without the rule of whole characters (`utf8_safe=False`), which the published ways do not know.

SentencePiece bases have a comparison of their own: `pieces` extends such a base by `bbpe.extend`, where ASCII stays as
it is (Latin is frozen, the other characters are denied), and `published` measures a vocabulary that somebody made of the
same base by hand (`--base llama2 --published chinese-llama-2`): tokens per character of held-out Chinese, added pieces
that do not come back when their own text is encoded, and English lines that are cut differently.
"""

from __future__ import annotations

import argparse
import heapq
import json
import resource
import sys
import time
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import bbpe
from bbpe.extension.options import ExtensionOptions, native_rules
from bbpe.formats.byte_text import to_bytes
from bbpe.training import TrainingOptions, as_merge_list, learn_merges
from benchmarks import provenance
from benchmarks.measure import _back_free_memory
from benchmarks.slices import Part, Slice, cut_slice, find_corpus

Merges = list[tuple[bytes, bytes]]
HELD_OUT = "ntrex/zho-CN"
ENGLISH = "ntrex/eng"
ASCII_BUT_LETTERS = tuple(chr(code) for code in range(33, 127) if not chr(code).isalpha())


def continued_bpe(tokenizer: Any, documents: list[str], add: int) -> Merges:
    """Learn merges as `continued-bpe` does, on a tokenizer of tokenizers; see the module."""
    counts: Counter[tuple[str, ...]] = Counter()
    for document in documents:
        text = unicodedata.normalize("NFC", document)
        for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text):
            counts[tuple(token.value for token in tokenizer.model.tokenize(word))] += 1
    words = [list(word) for word in counts]
    weights = list(counts.values())
    pairs: dict[tuple[str, str], int] = defaultdict(int)
    where: dict[tuple[str, str], set[int]] = defaultdict(set)
    for number, word in enumerate(words):
        for pair in pairwise(word):
            pairs[pair] += weights[number]
            where[pair].add(number)
    heap = [(-count, pair) for pair, count in pairs.items()]
    heapq.heapify(heap)
    merges: Merges = []
    made: set[str] = set()
    while len(made) < add and heap:
        negative, best = heapq.heappop(heap)
        if pairs.get(best, 0) != -negative or negative == 0:
            continue
        merges.append((to_bytes(best[0]), to_bytes(best[1])))
        made.add(best[0] + best[1])
        changed: dict[tuple[str, str], int] = defaultdict(int)
        for number in where.pop(best):
            word, weight = words[number], weights[number]
            for pair in pairwise(word):
                changed[pair] -= weight
            words[number] = word = _joined(word, best)
            for pair in pairwise(word):
                changed[pair] += weight
                where[pair].add(number)
        for pair, change in changed.items():
            if change:
                pairs[pair] += change
                heapq.heappush(heap, (-pairs[pair], pair))
        pairs.pop(best, None)
    return merges


def _joined(word: list[str], pair: tuple[str, str]) -> list[str]:
    merged: list[str] = []
    at = 0
    while at < len(word):
        if at + 1 < len(word) and (word[at], word[at + 1]) == pair:
            merged.append(pair[0] + pair[1])
            at += 2
        else:
            merged.append(word[at])
            at += 1
    return merged


Cut = dict[tuple[bytes, ...], int]


def cut_words(ranks: dict[bytes, int], words: dict[bytes, int]) -> Cut:
    """The words in pieces, as `add-merges` begins; without those that are a token already."""
    cut: Cut = {}
    for word, count in words.items():
        pieces = _by_ranks(word, ranks)
        if len(pieces) > 1:
            cut[pieces] = cut.get(pieces, 0) + count
    return cut


def add_merges(cut: Cut, add: int) -> Merges:
    """Learn merges as `add-merges` does."""
    merges: Merges = []
    while cut and len(merges) < add:
        pairs: dict[tuple[bytes, bytes], int] = defaultdict(int)
        for pieces, count in cut.items():
            for pair in pairwise(pieces):
                pairs[pair] += count
        best = min(pairs.items(), key=_order)[0]
        merges.append(best)
        joined = ((_apply(pieces, best), count) for pieces, count in cut.items())
        cut = {pieces: count for pieces, count in joined if len(pieces) > 1}
    return merges


def cut_by(tokenizer: bbpe.Tokenizer, words: dict[bytes, int]) -> Cut:
    """The words in the pieces that a tokenizer makes of them."""
    tokens = tokenizer.vocabulary.tokens
    texts = list(words)
    cut: Cut = {}
    for word, ids in zip(texts, (tokenizer.encode_bytes(word) for word in texts), strict=True):
        if len(ids) > 1:
            pieces = tuple(tokens[id] for id in ids)
            cut[pieces] = cut.get(pieces, 0) + words[word]
    return cut


def _order(item: tuple[tuple[bytes, bytes], int]) -> tuple[int, int, int, str, bytes]:
    token = item[0][0] + item[0][1]
    text = token.decode("utf-8", "replace")
    return -item[1], len(text), len(token), text, token


def _apply(pieces: tuple[bytes, ...], pair: tuple[bytes, bytes]) -> tuple[bytes, ...]:
    if pair[0] not in pieces:
        return pieces
    merged: list[bytes] = []
    at = 0
    while at < len(pieces):
        if pieces[at : at + 2] == pair:
            merged.append(pair[0] + pair[1])
            at += 2
        else:
            merged.append(pieces[at])
            at += 1
    return tuple(merged)


def _by_ranks(word: bytes, ranks: dict[bytes, int]) -> tuple[bytes, ...]:
    pieces = tuple(bytes([byte]) for byte in word)
    while len(pieces) > 1:
        best = min(pairwise(pieces), key=lambda pair: ranks.get(pair[0] + pair[1], 1 << 60))
        if best[0] + best[1] not in ranks:
            break
        pieces = _apply(pieces, best)
    return pieces


def extended(base: bbpe.Tokenizer, merges: Merges) -> bbpe.Tokenizer:
    """The base with merges behind its own, whoever learned them."""
    vocabulary = as_merge_list(base.vocabulary)
    tokens, ids = dict(vocabulary.tokens), dict(vocabulary.ids)
    pairs = list(vocabulary.merges or ())
    known = set(pairs)
    for left, right in merges:
        id = ids.setdefault(left + right, vocabulary.id_space + len(tokens))
        tokens[id] = left + right
        pair = (ids[left], ids[right])
        if pair not in known:
            known.add(pair)
            pairs.append(pair)
    return bbpe.Tokenizer(vocabulary.replace(tokens=tokens, merges=pairs))


def _quality(tokenizer: bbpe.Tokenizer, part: Slice) -> dict[str, float]:
    held_out = find_corpus(HELD_OUT).read_text(encoding="utf-8")
    documents = part.documents()
    ids, _ = tokenizer.encode_batch_to_numpy(documents)
    lines = held_out.splitlines()
    return {
        "training_tokens_per_character": len(ids) / sum(map(len, documents)),
        "held_out_tokens_per_character": sum(map(tokenizer.count, lines)) / sum(map(len, lines)),
    }


def measure(library: str, base: str, part: Slice, add: int, measured: int | None) -> dict[str, object]:
    """One measurement: what was learned, how long it took, how good it is."""
    tokenizer = bbpe.load(base)
    documents = part.documents()
    record: dict[str, object] = {}
    _back_free_memory()
    began, clock = time.process_time(), time.perf_counter()
    if library in ("bbpe", "bbpe-whole-characters"):
        counts = bbpe.count_pretokens(
            documents,
            pattern=tokenizer.pattern,
            special_tokens=list(tokenizer.special_tokens),
            normalizer=tokenizer.vocabulary.normalizer,
        )
        options = TrainingOptions(num_merges=add, pattern=tokenizer.pattern, normalizer=tokenizer.vocabulary.normalizer)
        rules = native_rules(ExtensionOptions(add=add)) if library != "bbpe" else None
        merge_list = as_merge_list(tokenizer.vocabulary)
        learned = learn_merges(counts, merge_list, options, tokenizer=tokenizer, rules=rules)
        record["learn_seconds"] = time.process_time() - began
        record["learn_wall_seconds"] = time.perf_counter() - clock
        tokens = dict(merge_list.tokens)
        merges: Merges = []
        for id, (left, right) in enumerate(learned.pairs.tolist(), learned.first_id):
            merges.append((tokens[left], tokens[right]))
            tokens[id] = tokens[left] + tokens[right]
    elif library == "bbpe-command":
        made = bbpe.extend(tokenizer, part.path, add=add)
        record["seconds"] = time.process_time() - began
        record["wall_seconds"] = time.perf_counter() - clock
        record["peak_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        return {**record, "learned": len(made.report.added), **_quality(made.tokenizer, part)}
    elif library == "continued-bpe":
        folder = Path(bbpe.io.catalogue.home() or ".") / "vocabs" / base
        from tokenizers import Tokenizer

        peer = Tokenizer.from_file(str(_unpacked(folder)))
        _back_free_memory()
        began, clock = time.process_time(), time.perf_counter()
        merges = continued_bpe(peer, documents, add)
        record["learn_seconds"] = time.process_time() - began
        record["learn_wall_seconds"] = time.perf_counter() - clock
    else:
        vocabulary = tokenizer.vocabulary
        counts = bbpe.count_pretokens(
            documents,
            pattern=tokenizer.pattern,
            special_tokens=list(tokenizer.special_tokens),
            normalizer=vocabulary.normalizer,
        )
        words = dict(counts.items())
        merges, seconds = _measured_add_merges(tokenizer, words, part, add, measured)
        record.update(seconds)
    record["peak_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    record["learned"] = len(merges)
    if len(merges) >= add:
        record.update(_quality(extended(tokenizer, merges), part))
    return record


def measure_pieces(library: str, base: str, published: str, part: Slice, add: int) -> dict[str, object]:
    """One measurement of a SentencePiece base: `pieces` or `published`."""
    old = bbpe.load(base)
    record: dict[str, object] = {}
    new: bbpe.Tokenizer | bbpe.EngineTokenizer
    if library == "pieces":
        began, clock = time.process_time(), time.perf_counter()
        made = bbpe.extend(old, part.path, add=add, freeze_scripts="Latin", deny=ASCII_BUT_LETTERS)
        record["seconds"] = time.process_time() - began
        record["wall_seconds"] = time.perf_counter() - clock
        record["peak_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        new = made.tokenizer
    else:
        new = bbpe.load(published)
        record["published"] = published
    assert isinstance(old, bbpe.EngineTokenizer)
    assert isinstance(new, bbpe.EngineTokenizer)
    added = [id for id in new.pieces if id >= len(old)]
    texts = [new.token(id).decode("utf-8", "replace").removeprefix(" ") for id in added]
    alone = [ids[-1:] == [id] for id, ids in zip(added, new.encode_batch(texts), strict=True)]
    english = find_corpus(ENGLISH).read_text(encoding="utf-8").splitlines()
    changed = sum(a != b for a, b in zip(old.encode_batch(english), new.encode_batch(english), strict=True))
    record.update(learned=len(added), not_alone=alone.count(False), english_lines=len(english), english_changed=changed)
    for name, corpus in (("held_out", HELD_OUT), ("web_held_out", "zh-small")):
        lines = find_corpus(corpus).read_text(encoding="utf-8").splitlines()
        tokens = sum(map(len, new.encode_batch(lines)))
        record[f"{name}_tokens_per_character"] = tokens / sum(map(len, lines))
    return record


def _measured_add_merges(
    tokenizer: bbpe.Tokenizer, words: dict[bytes, int], part: Slice, add: int, measured: int | None
) -> tuple[Merges, dict[str, object]]:
    began = time.process_time()
    cut = cut_words({token: id for id, token in tokenizer.vocabulary.tokens.items()}, words)
    cutting = time.process_time() - began
    if measured is None or 2 * measured >= add:
        merges = add_merges(cut, add)
        return merges, {"learn_seconds": time.process_time() - began, "cut_seconds": cutting}
    early = _seconds_a_merge(cut, measured)
    del cut
    most = bbpe.extend(tokenizer, part.path, add=add - measured, utf8_safe=False).tokenizer
    assert isinstance(most, bbpe.Tokenizer)  # its base is one
    late = _seconds_a_merge(cut_by(most, words), measured)
    return [], {
        "merges_measured": 2 * measured,
        "cut_seconds": cutting,
        "seconds_a_merge_first": early,
        "seconds_a_merge_last": late,
        "learn_seconds_at_least": cutting + late * add,
    }


def _seconds_a_merge(cut: Cut, merges: int) -> float:
    began = time.process_time()
    add_merges(cut, merges)
    return (time.process_time() - began) / merges


def _unpacked(folder: Path) -> Path:
    """The tokenizer.json of a vocabulary, as tokenizers can read it."""
    import lzma

    from benchmarks.slices import replacing, scratch

    packed = next(folder.glob("*.json*"))
    target = scratch() / f"{folder.name}-extension.json"
    if not target.exists():
        data = lzma.decompress(packed.read_bytes()) if packed.suffix == ".xz" else packed.read_bytes()
        with replacing(target) as beside:
            beside.write_bytes(data)
    return target


def main(say: Callable[[str], object] = sys.stdout.write) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--library",
        required=True,
        choices=[
            *("bbpe", "bbpe-whole-characters", "bbpe-command", "continued-bpe", "add-merges", "pieces", "published"),
        ],
    )
    parser.add_argument("--base", default="qwen2", help="a vocabulary with a tokenizer.json")
    parser.add_argument("--corpus", default="zh-web")
    parser.add_argument("--part", default="first:30MB")
    parser.add_argument("--add", type=int, default=10_000)
    parser.add_argument("--measured", type=int, help="add-merges: learn only so many first and last merges")
    parser.add_argument("--published", default="chinese-llama-2", help="published: the vocabulary made of the base")
    chosen = parser.parse_args()
    part = cut_slice(chosen.corpus, Part.parse(chosen.part))
    if chosen.library in ("pieces", "published"):
        measured = measure_pieces(chosen.library, chosen.base, chosen.published, part, chosen.add)
    else:
        measured = measure(chosen.library, chosen.base, part, chosen.add, chosen.measured)
    record = {
        "task": "extend",
        "library": chosen.library,
        "base": chosen.base,
        "add": chosen.add,
        **part.describe(),
        "held_out": HELD_OUT,
        **measured,
        **provenance.moment(),
        "machine": provenance.machine(),
        "commit": provenance.commit(),
        "tokenizers": provenance.version("tokenizers"),
    }
    say(json.dumps(record, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
