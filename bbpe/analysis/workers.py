"""Measure tokenizers in processes of their own, several at a time.

Loading a vocabulary is Python's work and holds the interpreter's lock, so threads would load one after another. Not
``multiprocessing``: it runs the user's script again in every process, which a script without a main guard does not
survive, and forking a process that has threads (those of tokenizers, of NumPy) can hang. Here a process runs
:func:`main`, reads jobs from its standard input and writes results to its standard output, pickled. The texts are read
once, from a file.

What it does not: decide what is measured, or keep results.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from bbpe.analysis.measurement import AnyTokenizer, Measurement, VocabularyFacts, look_at, measure
from bbpe.analysis.probe import Probed, probe
from bbpe.analysis.texts import Text
from bbpe.errors import BbpeError
from bbpe.io import load

__all__ = ["Job", "Result", "run", "run_all"]


WORTH_PROCESSES = 1 << 22
"""Bytes to be encoded from which processes are started: each takes half a second to start."""

_LOAD_BYTES = 1 << 22  # loading a vocabulary takes about as long as encoding so much


@dataclass(frozen=True, slots=True)
class Job:
    """One vocabulary to be measured.

    Attributes:
        name: What the reports call it.
        path: What ``bbpe.load`` takes; None when ``tokenizer`` is given.
        tokenizer: One in memory.
        facts: Whether the vocabulary itself is to be looked at.
        texts: Numbers of the texts to measure it on.
        probe: A sentence whose pieces are wanted, or None.
    """

    name: str
    path: str | None
    tokenizer: AnyTokenizer | None
    facts: bool
    texts: tuple[int, ...]
    probe: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a job.

    Attributes:
        facts: What is known of the vocabulary, where that was asked for.
        measurements: By number of text.
        error: Why it could not be measured; None when it was.
        probed: The pieces of the sentence.
    """

    facts: VocabularyFacts | None
    measurements: dict[int, Measurement]
    error: str | None = None
    probed: Probed | None = None


def run(job: Job, texts: Sequence[Text]) -> Result:
    """Measure one vocabulary here and now. What is wrong with it is in the result; a bug of bbpe is raised."""
    measurements: dict[int, Measurement] = {}
    facts = probed = None
    try:
        begun = time.perf_counter()
        tokenizer = job.tokenizer
        if tokenizer is None:
            assert job.path is not None
            tokenizer = load(job.path)
        seconds = time.perf_counter() - begun
        if job.facts:
            facts = look_at(tokenizer, seconds)
        for number in job.texts:
            measurements[number] = measure(tokenizer, texts[number])
        if job.probe is not None:
            probed = probe(tokenizer, job.probe)
    except BbpeError as error:
        return Result(facts, measurements, str(error))
    return Result(facts, measurements, probed=probed)


def run_all(jobs: Sequence[Job], texts: Sequence[Text], processes: int, done: Callable[[Job, Result], None]) -> None:
    """Measure many.

    Args:
        jobs: What to measure.
        texts: On what.
        processes: How many to use; with one, or with one job, it is done in this process.
        done: Called for each job as it is finished, in any order, in the calling thread.
    """
    size = sum(texts[number].facts.bytes for job in jobs for number in job.texts if number < len(texts))
    loads = sum(job.path is not None for job in jobs)
    if processes > 1 and len(jobs) > 1 and size + loads * _LOAD_BYTES >= WORTH_PROCESSES:
        _run_in_processes(jobs, texts, min(processes, len(jobs)), done)
        return
    for job in jobs:
        done(job, run(job, texts))


def _run_in_processes(
    jobs: Sequence[Job], texts: Sequence[Text], processes: int, done: Callable[[Job, Result], None]
) -> None:
    waiting: queue.SimpleQueue[Job] = queue.SimpleQueue()
    for job in jobs:
        waiting.put(job)
    finished: queue.SimpleQueue[tuple[Job, Result] | BaseException] = queue.SimpleQueue()
    with tempfile.TemporaryDirectory(prefix="bbpe-compare-") as folder, contextlib.ExitStack() as stack:
        file = Path(folder, "texts")
        with file.open("wb") as out:
            pickle.dump(tuple(texts), out, protocol=pickle.HIGHEST_PROTOCOL)
        stack.callback(_empty, waiting)  # nobody takes another job once this is left
        for _ in range(processes):
            worker = stack.enter_context(_Worker(file))
            threading.Thread(target=worker.work, args=(waiting, finished), daemon=True).start()
        for _ in jobs:
            result = finished.get()
            if isinstance(result, BaseException):
                raise result
            done(*result)


def _empty(waiting: queue.SimpleQueue[Job]) -> None:
    with contextlib.suppress(queue.Empty):
        while True:
            waiting.get_nowait()


class _Worker:
    """A process, and the thread that feeds it."""

    def __init__(self, texts: Path) -> None:
        self._texts = texts
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False

    def __enter__(self) -> _Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._closed = True
        self._stop()

    def work(
        self, waiting: queue.SimpleQueue[Job], finished: queue.SimpleQueue[tuple[Job, Result] | BaseException]
    ) -> None:
        """Take jobs until none is left."""
        while not self._closed:
            try:
                job = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                finished.put((job, self._run(job)))
            except BaseException as error:  # to be raised where the caller waits
                finished.put(error)
                return

    def _run(self, job: Job) -> Result:
        process = self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            pickle.dump(job, process.stdin, protocol=pickle.HIGHEST_PROTOCOL)
            process.stdin.flush()
            answer = pickle.load(process.stdout)
        except (EOFError, OSError, pickle.UnpicklingError):
            status = process.wait()
            self._stop()
            # One vocabulary too large for the machine must not cost the others theirs.
            how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
            return Result(None, {}, f"the process that measured it {how}, perhaps for want of memory")
        if isinstance(answer, str):
            raise RuntimeError(f"while {job.name} was measured in a process of its own:\n{answer}")
        result: Result = answer
        return result

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            code = (
                f"import sys; sys.path[:] = {sys.path!r}; from bbpe.analysis.workers import main; "
                f"main({os.fspath(self._texts)!r})"
            )
            # One thread each: the processors are shared out already, and speeds are of one.
            threads = {"TOKENIZERS_PARALLELISM": "false", "RAYON_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
            self._process = subprocess.Popen(
                [sys.executable, "-c", code],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, **threads},
            )
        return self._process

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        process.wait()


def main(texts_file: str) -> None:
    """What a process does: read jobs, write results, until its standard input ends."""
    with contextlib.suppress(KeyboardInterrupt, FileNotFoundError, BrokenPipeError):  # the one who asked is gone
        # Whatever a library prints must not get between the results.
        results = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)
        with open(texts_file, "rb") as file:
            texts: tuple[Text, ...] = pickle.load(file)
        for job in _jobs(sys.stdin.buffer):
            answer: Result | str
            try:
                answer = run(job, texts)
            except Exception:
                answer = traceback.format_exc()
            pickle.dump(answer, results, protocol=pickle.HIGHEST_PROTOCOL)
            results.flush()


def _jobs(file: IO[bytes]) -> Iterator[Job]:
    while True:
        try:
            job: Any = pickle.load(file)
        except EOFError:
            return
        yield job
