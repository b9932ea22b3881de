"""One process, one library, one task, one slice of text: one JSON line on stdout.

    python -m benchmarks.measure encode --library tiktoken --corpus zh-web --part last:10MB --state cold

A process measures once, so that caches, thread pools and the peak of memory belong to that one measurement; where it
measures several things in a row (`--state all`, `hard`), the record has one part for each. Outside
the timer: reading the text and bringing it into the form that the library takes, importing, loading, and turning the
result into a digest. Inside: the call, up to a result that a caller can use. How often and in which order measurements
are taken is `sweep.py`'s part; what they say is `render.py`'s.

Tasks:

- `train`: learn a vocabulary from documents in memory.
- `encode`: documents to ids. `--state cold` is the first text after loading, `steady` comes after `--warm` other text
  of the same corpus, `hot` is the same text again. Loading ends with one short call, so that tables which a library
  builds at first use count as loading. `--state all` measures the three one after another, `steady` on the text that
  stands before the part asked for.
- `hard`: the twelve texts of `pathological.py`, each in one call, one after another.
- `memory`: how much more is resident after much text was encoded and its ids let go.
- `decode`: the ids of the documents back to text, one call a document.
- `count`: pretokens of the text, from documents in memory or from a file.
- `import`: a fresh interpreter imports the library, whose compiled Python and files the system holds already.
- `load`: a published vocabulary from its file to the first ids.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import hashlib
import json
import mmap
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeAlias

from benchmarks import provenance
from benchmarks.pathological import CASES
from benchmarks.slices import Part, Slice, cut_slice

if TYPE_CHECKING:
    from benchmarks.adapter import Encoder

GREETING = "Hello, world. 你好，世界。\n"
"""The short text that ends loading."""

UNSUPPORTED = 3
"""Exit status where the library has no such task, or not with these options."""

BACKED = 1 << 29
"""Bytes of memory that are at hand when a task begins."""

SHORT = 50
"""Characters of a short text."""

SHORT_TEXTS = 100_000
"""How many short texts are measured, if the slice has so many."""


@dataclass(frozen=True, slots=True)
class Timed:
    """What one run took.

    Attributes:
        cpu_seconds: CPU time of all threads of the process.
        wall_seconds: time on the clock.
        rss_before: bytes resident when the run began, text and library included.
        rss_peak: most bytes resident during the run.
        rss_peak_of: "task" where the mark could be reset just before the run, else "process".
    """

    cpu_seconds: float
    wall_seconds: float
    rss_before: int
    rss_peak: int
    rss_peak_of: str


def timed(run: Callable[[], Any]) -> tuple[Any, Timed]:
    """Do `run` once and say what it took."""
    gc.collect()
    _back_free_memory()
    reset = _reset_peak()
    before = _resident()
    cpu, wall = time.process_time(), time.perf_counter()
    result = run()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return result, Timed(cpu, wall, before, _peak(), "task" if reset else "process")


def _back_free_memory() -> None:
    """Let another process use half a gigabyte and end.

    The host of a virtual machine takes free memory back, and handing a page over again can take it longer than the
    task takes with it: 0.1 to 2 ms a megabyte were seen, by luck. What another process has just freed is at hand, so no
    library pays for that luck. Clearing the pages is still paid for.
    """
    touch = f"""
import mmap
memory = mmap.mmap(-1, {BACKED}, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
if hasattr(mmap, "MADV_HUGEPAGE"):
    memory.madvise(mmap.MADV_HUGEPAGE)
for place in range(0, {BACKED}, 4096):
    memory[place] = 1
"""
    if hasattr(mmap, "MAP_ANONYMOUS"):
        subprocess.run([sys.executable, "-S", "-c", touch], check=False)


def _reset_peak() -> bool:
    """Set the system's mark of the peak back to what is resident now; False where that cannot be done."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _status(field: str) -> int | None:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(field)), None)


def _peak() -> int:
    # Not ru_maxrss where there is a choice: that also keeps the peak of the process that started this one.
    mark = _status("VmHWM:")
    if mark is not None:
        return mark
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _resident() -> int:
    return _status("VmRSS:") or _peak()


def digest_of_ids(ids: Any) -> dict[str, object]:
    """How many ids, and the sha256 of them as little-endian uint32, documents one after another."""
    import numpy as np

    array = np.ascontiguousarray(ids, dtype="<u4")
    return {"ids": hashlib.sha256(array.data).hexdigest(), "number": int(array.size)}


def digest_of_tokens(tokens: Iterable[bytes]) -> str:
    """The sha256 of tokens in order, each after its length as little-endian uint32."""
    state = hashlib.sha256()
    for token in tokens:
        state.update(len(token).to_bytes(4, "little"))
        state.update(token)
    return state.hexdigest()


def measure_train(options: argparse.Namespace) -> dict[str, object]:
    """Learn a vocabulary; the digests are of the learned tokens and of the merges, where the library tells them."""
    from benchmarks.adapter import TrainOptions, Unsupported
    from benchmarks.peers import PEERS

    peer = PEERS[options.library]
    if options.pattern not in peer.patterns or options.ties not in peer.ties:
        raise Unsupported(f"{options.library} has not pattern {options.pattern} with ties {options.ties}")
    text = cut_slice(options.corpus, options.part)
    run = peer.trainer(text, TrainOptions(options.pattern, options.vocab_size, options.ties, options.threads))
    result, took = timed(run)
    learned = peer.learned(result)
    digest: dict[str, object] = {}
    if learned is not None:
        digest["number"] = len(learned.tokens)
        digest["tokens"] = digest_of_tokens(learned.tokens)
        if learned.merges is not None:
            digest["merges"] = digest_of_tokens(part for pair in learned.merges for part in pair)
    asked = {"pattern": options.pattern, "ties": options.ties, "vocab_size": options.vocab_size}
    return _record(options, asked, text, took, digest)


def measure_encode(options: argparse.Namespace) -> dict[str, object]:
    """Encode documents, one long text or many short ones; the digest is of the ids, or how many where they are counted."""
    from benchmarks.peers import PEERS

    peer = PEERS[options.library]
    text = cut_slice(options.corpus, options.part)
    work = _shaped(text, options.shape)
    encoder: Encoder = peer.load(options.vocabulary)
    call, run, digest = _encoding(encoder, options.shape, options.threads)
    _greet(encoder, options.threads)

    def warm_up() -> None:
        if peer.remembers:
            run(_shaped(cut_slice(options.corpus, options.warm), options.shape))

    def take(state: str, texts: list[str]) -> dict[str, object]:
        result, took = timed(lambda: run(texts))
        asked = {"vocabulary": options.vocabulary, "state": state, "shape": options.shape}
        if state == "steady":
            asked["warm"] = str(options.warm) if peer.remembers else "nothing, it remembers nothing"
        extra = {"call": call, "work_bytes": _utf8_bytes(texts)}
        return _record(options, asked, text, took, digest(result), **extra)

    if options.state == "all":
        parts = {"cold": take("cold", work), "hot": take("hot", work)}
        work = _shaped(cut_slice(options.corpus, options.part, before=True), options.shape)
        warm_up()
        return _in_parts(options, parts | {"steady": take("steady", work)})
    if options.state == "steady":
        warm_up()
    elif options.state == "hot":
        run(work)
    return take(options.state, work)


Run: TypeAlias = Callable[[list[str]], Any]
Digest: TypeAlias = Callable[[Any], dict[str, object]]


def _encoding(encoder: Encoder, shape: str, threads: int) -> tuple[str, Run, Digest]:
    """The library's call for a shape, by name and as a function of texts, and what makes a digest of its result."""

    def each(call: Callable[[str], Any]) -> Run:
        return lambda texts: [call(text) for text in texts]

    def ids_of_each(result: Any) -> dict[str, object]:
        from benchmarks.adapter import joined

        return digest_of_ids(joined(result))

    if shape in ("batch", "short-batch"):
        batch: Run = lambda texts: encoder.batch(texts, threads)  # noqa: E731
        return encoder.batch_call, batch, lambda result: digest_of_ids(encoder.batch_ids(result))
    if shape in ("lists", "short-lists"):
        return "to lists", encoder.lists, ids_of_each
    if shape == "count":
        return "count", each(encoder.number), lambda result: {"number": sum(result)}
    if shape == "short":
        return "to a list", each(encoder.listed), ids_of_each
    return encoder.single_call, each(encoder.single), ids_of_each


def measure_hard(options: argparse.Namespace) -> dict[str, object]:
    """Encode each of the pathological texts in one call, to an array where the library has that."""
    from benchmarks.adapter import joined
    from benchmarks.peers import PEERS

    encoder = PEERS[options.library].load(options.vocabulary)
    _greet(encoder, 1)
    parts: dict[str, dict[str, object]] = {}
    for name, made in CASES.items():
        text = made()
        ids, took = timed(partial(encoder.single, text))
        asked = {"vocabulary": options.vocabulary, "case": name}
        extra = {"call": encoder.single_call, "work_bytes": _utf8_bytes([text])}
        parts[name] = _record(options, asked, None, took, digest_of_ids(joined([ids])), **extra)
    return _in_parts(options, parts)


def measure_memory(options: argparse.Namespace) -> dict[str, object]:
    """Encode documents a hundred at a time, keeping none of the ids, and say how much more is resident afterwards."""
    from benchmarks.peers import PEERS

    text = cut_slice(options.corpus, options.part)
    documents = text.documents()
    encoder = PEERS[options.library].load(options.vocabulary)

    def run() -> None:  # with its first call, which is when some make their caches
        for begin in range(0, len(documents), 100):
            encoder.batch(documents[begin : begin + 100], 1)

    _give_back_free_memory()
    _, took = timed(run)
    gc.collect()
    _give_back_free_memory()
    return _record(options, {"vocabulary": options.vocabulary}, text, took, {}, rss_after=_resident())


def _give_back_free_memory() -> None:
    """Make the C library return what is free, so that what is resident is in use."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):
        return


def measure_decode(options: argparse.Namespace) -> dict[str, object]:
    """Decode documents from arrays to bytes, or from lists to text; the digest is of the UTF-8 text."""
    import numpy as np

    from benchmarks.peers import PEERS

    text = cut_slice(options.corpus, options.part)
    documents = text.documents()
    encoder = PEERS[options.library].load(options.vocabulary)
    arrays = [np.asarray(encoder.single(document), dtype=np.uint32) for document in documents]
    if options.shape == "array":
        decode: Callable[[Any], Any] = encoder.decode_array
        work: list[Any] = arrays
    else:
        decode, work = encoder.decode_list, [array.tolist() for array in arrays]
        del arrays
    decode(work[0])
    result, took = timed(lambda: [decode(ids) for ids in work])
    state = hashlib.sha256()
    for decoded in result:
        state.update(decoded if isinstance(decoded, bytes) else decoded.encode("utf-8", "surrogatepass"))
    digest = {"text": state.hexdigest(), "number": sum(len(ids) for ids in work)}
    asked = {"vocabulary": options.vocabulary, "shape": options.shape}
    return _record(options, asked, text, took, digest, work_bytes=_utf8_bytes(documents))


def measure_count(options: argparse.Namespace) -> dict[str, object]:
    """Count pretokens; the digest is of the distinct pretokens and their counts."""
    import numpy as np

    from benchmarks.peers import PEERS

    peer = PEERS[options.library]
    text = cut_slice(options.corpus, options.part)
    source = text.documents() if options.source == "memory" else str(text.path)
    result, took = timed(peer.counter(source, options.pattern, options.threads))
    state = hashlib.sha256()
    arrays = peer.counted(result)
    for array in arrays:
        state.update(np.ascontiguousarray(array).data)
    digest = {"counts": state.hexdigest(), "number": len(arrays[-1])}
    asked = {"pattern": options.pattern, "source": options.source}
    return _record(options, asked, text, took, digest)


def measure_load(options: argparse.Namespace) -> dict[str, object]:
    """Load a vocabulary and encode one short text, whose ids are the digest. The import is done before."""
    import importlib

    from benchmarks.peers import PEERS

    peer = PEERS[options.library]
    importlib.import_module(peer.module)

    def run() -> Any:
        encoder = peer.load(options.vocabulary)
        return encoder, _greet(encoder, 1)

    result, took = timed(run)
    digest = digest_of_ids(result[0].batch_ids(result[1]))
    return _record(options, {"vocabulary": options.vocabulary}, None, took, digest)


IMPORT = """
import time
def resident():
    try:
        return next(1024 * int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS"))
    except OSError:
        return 0
before, cpu, wall = resident(), time.process_time(), time.perf_counter()
import {module}
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
print(cpu, wall, before, resident())
"""


def measure_import(options: argparse.Namespace) -> dict[str, object]:
    """Import the library in a fresh interpreter, after one such import that nobody times."""
    from benchmarks.peers import PEERS

    command = [sys.executable, "-c", IMPORT.format(module=PEERS[options.library].module)]
    subprocess.run(command, check=True, capture_output=True)
    words = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    took = Timed(float(words[0]), float(words[1]), int(words[2]), int(words[3]), "process")
    return _record(options, {}, None, took, {})


def _greet(encoder: Any, threads: int) -> Any:
    """One short call; with threads, of enough text (2 MB for two, ten words) that the library starts all of them."""
    texts = [GREETING] if threads == 1 else [500 * GREETING] * (64 * threads)
    return encoder.batch(texts, threads)


def _shaped(text: Slice, shape: str) -> list[str]:
    """The texts of a slice as a call takes them: its documents, all of it as one text, or short pieces of it."""
    if shape == "long":
        return [text.path.read_text(encoding="utf-8")]
    documents = text.documents()
    if shape in ("batch", "each", "lists", "count"):
        return documents
    pieces = (document[begin : begin + SHORT] for document in documents for begin in range(0, len(document), SHORT))
    return [piece for _, piece in zip(range(SHORT_TEXTS), pieces, strict=False)]


def _utf8_bytes(texts: Iterable[str]) -> int:
    return sum(len(text.encode()) for text in texts)


OWN = (
    *("options", "text", "cpu_seconds", "wall_seconds", "rss_before", "rss_peak", "rss_peak_of"),
    *("digest", "call", "work_bytes"),
)
"""What the parts of a record do not share."""


def _in_parts(options: argparse.Namespace, parts: dict[str, dict[str, Any]]) -> dict[str, object]:
    """One record for several measurements of a process: what they share, their sums, and what each has of its own."""
    records = list(parts.values())
    whole = dict(records[0])
    whole["parts"] = {name: {field: record[field] for field in OWN} for name, record in parts.items()}
    for field in ("cpu_seconds", "wall_seconds"):
        whole[field] = round(sum(record[field] for record in records), 6)
    whole["rss_peak"] = max(record["rss_peak"] for record in records)
    return {field: value for field, value in whole.items() if field not in ("digest", "call", "work_bytes")}


def _record(
    options: argparse.Namespace,
    asked: dict[str, object],
    text: Slice | None,
    took: Timed,
    digest: dict[str, object],
    **extra: object,
) -> dict[str, object]:
    from benchmarks.peers import PEERS

    distribution = PEERS[options.library].distribution
    return {
        "task": options.task,
        "library": options.library,
        "version": provenance.version(distribution),
        "commit": provenance.commit(),
        "threads": options.threads,
        "options": asked,
        "text": text.describe() if text is not None else None,
        "cpu_seconds": round(took.cpu_seconds, 6),
        "wall_seconds": round(took.wall_seconds, 6),
        "rss_before": took.rss_before,
        "rss_peak": took.rss_peak,
        "rss_peak_of": took.rss_peak_of,
        "digest": digest,
        **extra,
        "moment": provenance.moment(),
        "machine": provenance.machine(),
    }


def confine(threads: int) -> None:
    """Keep the process on as many CPUs as it may have threads; some libraries heed nothing else."""
    if not hasattr(os, "sched_setaffinity"):
        return
    allowed = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, allowed[-threads:])


def _own_stdout() -> TextIO:
    """Keep stdout for the record and send what libraries print there, natively too, to stderr."""
    kept = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return kept


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.measure", description="Take one measurement.")
    tasks = parser.add_subparsers(dest="task", required=True)

    def task(name: str, run: Callable[[argparse.Namespace], dict[str, object]]) -> argparse.ArgumentParser:
        command = tasks.add_parser(name, help=(run.__doc__ or "").split("\n")[0])
        command.set_defaults(run=run)
        command.add_argument("--library", required=True)
        command.add_argument("--threads", type=int, default=1)
        return command

    def corpus(command: argparse.ArgumentParser, part: str) -> None:
        command.add_argument("--corpus", required=True, help="a path, or a name in $BBPE_HOME/corpora")
        command.add_argument("--part", type=Part.parse, default=Part.parse(part))

    train = task("train", measure_train)
    corpus(train, "first:30MB")
    train.add_argument("--pattern", default="llama3")
    train.add_argument("--ties", choices=("gpt2", "value"), default="gpt2")
    train.add_argument("--vocab-size", type=int, default=32_000)

    encode = task("encode", measure_encode)
    corpus(encode, "last:10MB")
    encode.add_argument("--vocabulary", default="cl100k_base")
    encode.add_argument("--state", choices=("cold", "steady", "hot", "all"), default="cold")
    encode.add_argument("--warm", type=Part.parse, default=Part.parse("first:20MB"))
    shapes = ("batch", "each", "long", "lists", "count", "short", "short-batch", "short-lists")
    encode.add_argument("--shape", choices=shapes, default="batch")

    hard = task("hard", measure_hard)
    hard.add_argument("--vocabulary", default="cl100k_base")

    memory = task("memory", measure_memory)
    corpus(memory, "first:40MB")
    memory.add_argument("--vocabulary", default="cl100k_base")

    decode = task("decode", measure_decode)
    corpus(decode, "last:10MB")
    decode.add_argument("--vocabulary", default="cl100k_base")
    decode.add_argument("--shape", choices=("array", "list"), default="array")

    count = task("count", measure_count)
    corpus(count, "first:30MB")
    count.add_argument("--pattern", default="llama3")
    count.add_argument("--source", choices=("memory", "file"), default="memory")

    load = task("load", measure_load)
    load.add_argument("--vocabulary", default="cl100k_base")
    task("import", measure_import)
    return parser


def main() -> None:
    """Measure as the command line says and print the record."""
    options = arguments().parse_args()
    confine(options.threads)  # before numpy, whose BLAS starts a thread for each CPU, and they spin for a while
    from benchmarks.adapter import Unsupported
    from benchmarks.peers import PEERS

    if options.library not in PEERS:
        sys.exit(f"no adapter for {options.library}; there are: {', '.join(PEERS)}")
    stdout = _own_stdout()
    os.environ.update(PEERS[options.library].environment(options.threads))
    try:
        record = options.run(options)
    except Unsupported as reason:
        print(f"not measured: {reason}", file=sys.stderr)
        sys.exit(UNSUPPORTED)
    stdout.write(json.dumps(record, ensure_ascii=False) + "\n")
    stdout.close()


if __name__ == "__main__":
    main()
