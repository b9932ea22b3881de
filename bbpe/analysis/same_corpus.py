"""Same corpus, same size: several libraries learn from one text and are compared on text that none of them saw.

What it does: set a part of each corpus aside, let each library train on the rest with its clock running, and compare
what comes out. What it does not: tune a library. Each is asked for what it is usually used for, as little lossy as it
allows: what was asked stands in ``Trained.options``.

The part set aside: of every ``_BLOCKS`` blocks of consecutive lines the last; a line of it that also stands in the text
to learn from is left out.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import io
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import bbpe
from bbpe.analysis.comparison import Comparison, Missing, Model, compare
from bbpe.analysis.finding import Compared
from bbpe.analysis.texts import label_of
from bbpe.corpus import Progress, SourceLike, open_corpus
from bbpe.errors import ComparisonError, CorpusError, MissingExtraError, TrainingError
from bbpe.io import save
from bbpe.patterns import get_pattern
from bbpe.threads import processors
from bbpe.training import train

__all__ = ["LIBRARIES", "SameCorpus", "Trained", "compare_trainers"]

_BLOCKS = 20
_BLOCK_LINES = 50
_PATTERN = "llama3"


@dataclass(frozen=True, slots=True)
class Trained:
    """One library's training.

    Attributes:
        name: As it was asked for.
        library: The library and its version.
        seconds: Wall time, all processors.
        entries: Entries that came out; fewer than asked for where the text has no more.
        options: What it was asked for, in words.
    """

    name: str
    library: str
    seconds: float
    entries: int
    options: str


@dataclass(frozen=True, slots=True)
class SameCorpus:
    """Libraries trained on the same text, and their comparison on the part set aside.

    Attributes:
        vocab_size: Entries asked for.
        trained: One for each library.
        comparison: On the text set aside.
        training_bytes: Bytes that all of them learned from.
        held_out_bytes: Bytes that they are compared on.
        method: How the text was split.
    """

    vocab_size: int
    trained: tuple[Trained, ...]
    comparison: Comparison
    training_bytes: int
    held_out_bytes: int
    method: Mapping[str, str] = field(default_factory=dict)


def compare_trainers(
    libraries: Sequence[str],
    corpora: Mapping[str, SourceLike] | Sequence[Any],
    vocab_size: int,
    *,
    model: Model | None = None,
    text_field: str = "text",
    limit: int | None = None,
    threads: int | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> SameCorpus:
    """Train each library on the same text and compare on held-out text.

    Args:
        libraries: Of ``LIBRARIES``; the first is the baseline. One that cannot train is in ``comparison.missing``.
        corpora: Label → files, folder or documents; or paths. Each line is a document.
        vocab_size: Entries that each is asked for.
        model: The model whose cost is asked for.
        text_field: The field of JSON lines, or the column of Parquet, that holds the text.
        limit: Read of each corpus so many bytes; None reads all.
        threads: For training and for measuring; None: one for each processor. SentencePiece and bbpe heed it.
        progress: Called before each training, and by the comparison.

    Raises:
        ComparisonError: An unknown library, or a corpus of too few lines to set a part aside.
        MissingExtraError: A library is not installed.
    """
    for name in libraries:
        if name not in LIBRARIES:
            raise ComparisonError(f"unknown trainer {name!r}; bbpe compares {', '.join(LIBRARIES)}")
    if not libraries:
        raise ComparisonError(f"no trainer named; bbpe compares {', '.join(LIBRARIES)}")
    if len(set(libraries)) < len(libraries):
        raise ComparisonError(f"a trainer is named twice in {', '.join(libraries)}")
    sources: list[tuple[str, Any]]
    if isinstance(corpora, Mapping):
        sources = list(corpora.items())
    else:
        sources = [(label_of(source), source) for source in corpora]
    learned: list[str] = []
    held_out: dict[str, list[str]] = {}
    for label, source in sources:
        lines = _lines(source, text_field, limit)
        for_training, aside = _split(lines, label)
        learned += for_training
        held_out[label] = aside
    trained: list[Trained] = []
    missing: list[Missing] = []
    with tempfile.TemporaryDirectory(prefix="bbpe-trained-") as folder:
        files: dict[str, Compared] = {}
        for number, name in enumerate(libraries):
            if progress is not None:
                progress(Progress(f"training {name}", number, len(libraries), "libraries"))
            path = Path(folder, name)
            path.mkdir()
            begun = time.perf_counter()
            try:
                one, keep = LIBRARIES[name](learned, vocab_size, threads)
            except (ComparisonError, TrainingError) as error:
                missing.append(Missing(name, str(error)))
                continue
            seconds = time.perf_counter() - begun
            files[name] = keep(path)
            trained.append(Trained(name, one[0], seconds, one[2], one[1]))
        if not files:
            raise ComparisonError("; ".join(f"{one.name}: {one.reason}" for one in missing))
        comparison = compare(
            files,
            held_out,
            baseline=next(iter(files)),
            model=model,
            threads=threads,
            cache=False,
            progress=progress,
            lines=True,
        )
    comparison = replace(comparison, missing=(*missing, *comparison.missing))
    training_bytes = sum(len(line.encode()) for line in learned)
    held_out_bytes = sum(text.bytes for text in comparison.texts)
    method = {
        "Training text": f"{training_bytes:,} bytes in {len(learned):,} lines, each line a document",
        "Held-out text": f"of every {_BLOCKS} blocks of at most {_BLOCK_LINES} consecutive lines the last: "
        f"{held_out_bytes:,} bytes; lines that also stand in the training text are left out",
    }
    return SameCorpus(vocab_size, tuple(trained), comparison, training_bytes, held_out_bytes, method)


def _lines(source: SourceLike, text_field: str, limit: int | None) -> list[str]:
    corpus = open_corpus(source, text_field=text_field)
    found: list[str] = []
    size = 0
    try:
        for document in corpus.documents():
            for line in document.decode("utf-8", "replace").split("\n"):
                text = line.removesuffix("\r")
                if text and not text.isspace():
                    found.append(text)
                    size += len(text.encode())
                if limit is not None and size >= limit:
                    return found
    finally:
        corpus.close()
    return found


def _split(lines: Sequence[str], label: str) -> tuple[list[str], list[str]]:
    """The lines to learn from, and those set aside."""
    block = min(_BLOCK_LINES, len(lines) // _BLOCKS)
    if block == 0:
        raise CorpusError(
            f"{label}: {len(lines)} lines of text are too few to set a part aside; give {_BLOCKS} or more"
        )
    learned: list[str] = []
    aside: list[str] = []
    for number, start in enumerate(range(0, len(lines), block)):
        target = aside if number % _BLOCKS == _BLOCKS - 1 else learned
        target.extend(lines[start : start + block])
    known = set(learned)
    fresh = [line for line in aside if line not in known]
    if not fresh:
        raise CorpusError(f"{label}: every line set aside also stands in the rest; give text that repeats itself less")
    return learned, fresh


# --- libraries --------------------------------------------------------------------------------------------------------

# What a library gives back: (its name and version, what was asked, entries), and a way to write its vocabulary into a
# folder, which returns what bbpe.load takes. Writing is not training and is not on the clock.
_Result = tuple[tuple[str, str, int], Callable[[Path], Any]]


def _bbpe(lines: Sequence[str], vocab_size: int, threads: int | None) -> _Result:
    tokenizer = train(lines, vocab_size, pattern=_PATTERN, threads=threads)

    def keep(folder: Path) -> Path:
        save(tokenizer, folder / "out")
        return folder / "out"

    what = f"byte-level BPE, pattern {_PATTERN}, merges of pairs that occur twice or more"
    return (f"bbpe {bbpe.__version__}", what, tokenizer.vocab_size), keep


def _sentencepiece(kind: str) -> Callable[[Sequence[str], int, int | None], _Result]:
    def learn(lines: Sequence[str], vocab_size: int, threads: int | None) -> _Result:
        sentencepiece: Any = importlib.import_module("sentencepiece")
        out = io.BytesIO()
        options: dict[str, Any] = {
            "model_type": kind,
            "vocab_size": vocab_size,
            "byte_fallback": True,
            "normalization_rule_name": "identity",
            "remove_extra_whitespaces": False,
            "character_coverage": 0.9995,
            "max_sentence_length": 1 << 20,  # longer lines would be dropped in silence, by default from 4,192 bytes on
            "hard_vocab_limit": False,  # a small text may have no more
            "num_threads": threads if threads is not None else processors(),
            "minloglevel": 2,
        }
        try:
            sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(lines), model_writer=out, **options)
        except RuntimeError as error:
            raise ComparisonError(f"sentencepiece cannot train {vocab_size:,} entries on this text: {error}") from None
        model = out.getvalue()
        entries = sentencepiece.SentencePieceProcessor(model_proto=model).vocab_size()

        def keep(folder: Path) -> Path:
            path = folder / "tokenizer.model"
            path.write_bytes(model)
            return path

        what = f"{kind}, byte_fallback, normalization identity, character_coverage 0.9995"
        return (_version("sentencepiece"), what, entries), keep

    return learn


def _wordpiece(lines: Sequence[str], vocab_size: int, threads: int | None) -> _Result:
    tokenizers = _tokenizers()
    made = tokenizers.Tokenizer(tokenizers.models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=100))
    made.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=False)
    made.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    made.decoder = tokenizers.decoders.WordPiece()
    trainer = tokenizers.trainers.WordPieceTrainer(
        vocab_size=vocab_size, special_tokens=["[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]"], show_progress=False
    )
    made.train_from_iterator(iter(lines), trainer)
    what = "WordPiece with BERT's normalizer (cased) and pre-tokenizer: every Chinese character stands alone"
    return (_version("tokenizers"), what, made.get_vocab_size()), _kept_json(made)


def _tokenizers_bpe(lines: Sequence[str], vocab_size: int, threads: int | None) -> _Result:
    tokenizers = _tokenizers()
    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    pre = tokenizers.pre_tokenizers
    stages = [
        pre.Split(tokenizers.Regex(stage), behavior="isolated") for stage in get_pattern(_PATTERN).spelling("oniguruma")
    ]
    made.pre_tokenizer = pre.Sequence([*stages, pre.ByteLevel(add_prefix_space=False, use_regex=False)])
    made.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=vocab_size, min_frequency=2, initial_alphabet=pre.ByteLevel.alphabet(), show_progress=False
    )
    made.train_from_iterator(iter(lines), trainer)
    what = f"byte-level BPE, pattern {_PATTERN}, min_frequency 2"
    return (_version("tokenizers"), what, made.get_vocab_size()), _kept_json(made)


def _kept_json(made: Any) -> Callable[[Path], Path]:
    def keep(folder: Path) -> Path:
        path = folder / "tokenizer.json"
        made.save(str(path))
        return path

    return keep


LIBRARIES: Mapping[str, Callable[[Sequence[str], int, int | None], _Result]] = {
    "bbpe": _bbpe,
    "sentencepiece-bpe": _sentencepiece("bpe"),
    "sentencepiece-unigram": _sentencepiece("unigram"),
    "wordpiece": _wordpiece,
    "tokenizers": _tokenizers_bpe,
}
"""What can be trained, and how."""


def _tokenizers() -> Any:
    try:
        library: Any = importlib.import_module("tokenizers")
        for part in ("models", "normalizers", "pre_tokenizers", "decoders", "trainers"):
            importlib.import_module(f"tokenizers.{part}")
    except ImportError:
        raise MissingExtraError("training with tokenizers needs that package: pip install 'bbpe[compare]'") from None
    return library


def _version(package: str) -> str:
    return f"{package} {importlib.metadata.version(package)}"
