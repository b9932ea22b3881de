"""From a corpus to a tokenizer: count, look whether merging fits, learn, with what was kept of an earlier process.

What it does: checks the options that decide how all that goes, and asks others in turn: ``mixture.py`` to count,
``limits.py`` what fits, ``learning.py`` to learn, ``superwords.py`` and ``balance.py`` where there are such. What it
does not: any of that itself, or write files (``io.py``).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from functools import partial

import bbpe
from bbpe.checkpoints import Checkpoint
from bbpe.corpus import Progress, SourceLike
from bbpe.counts import Counts
from bbpe.errors import TrainingError
from bbpe.mixture import Mixture, files_by_sight
from bbpe.patterns import Pattern, Pretokenizer, get_pattern
from bbpe.tokenizer import Tokenizer
from bbpe.training.balance import balanced_texts, train_balanced
from bbpe.training.learning import Run
from bbpe.training.limits import check_memory, kept_merges, warn_of_long_pretokens, with_merging
from bbpe.training.means import Means
from bbpe.training.options import ByteOrder, TrainingOptions, checked_special_tokens
from bbpe.training.superwords import first_stage, text_again, train_superwords
from bbpe.unicode import unicode_version

__all__ = ["train"]


def train(
    source: SourceLike | Counts,
    vocab_size: int | None = None,
    *,
    num_merges: int | None = None,
    min_count: int = 2,
    pattern: str | Sequence[str] | Pattern | None = None,
    special_tokens: Sequence[str] | None = None,
    max_token_bytes: int | None = None,
    max_pretoken_bytes: int | None = None,
    byte_order: ByteOrder = "value",
    normalizer: str | None = None,
    threads: int | None = None,
    progress: Callable[[Progress], None] | None = None,
    text_field: str = "text",
    lines: bool = False,
    strict: bool = False,
    min_pretoken_count: int = 1,
    weights: Mapping[str, str] | None = None,
    sample: int | None = None,
    sample_seed: int = 0,
    resume: str | os.PathLike[str] | None = None,
    resume_seconds: float = 30.0,
    utf8_safe: bool = False,
    balance: Mapping[str, str] | None = None,
    superwords: int | None = None,
    superword_pattern: str | Sequence[str] | Pattern | None = None,
    protect: Sequence[str] = (),
    seed_tokens: Sequence[str] = (),
    memory: int | None = None,
    spill_folder: str | os.PathLike[str] | None = None,
) -> Tokenizer:
    """Train a byte-level BPE vocabulary.

    The result depends on the text and on the options that :class:`TrainingOptions` describes, and on nothing else: not
    on the order of files or documents, on threads, or on the machine.

    Args:
        source: Path(s), a folder, a glob, an iterable of documents (str or bytes), or ``Counts``. Paths may be those of
            count files, too, which ``bbpe pretokens`` and :func:`bbpe.count_files.write_counts` write: all are added up.
        vocab_size: Entries in the end: 256 bytes, merges, special tokens. Fewer when no pair is left that occurs
            ``min_count`` times: the record says so, and nothing is padded.
        num_merges: Merges to learn, instead or as a second limit.
        min_count: Pairs that occur less often are not merged.
        pattern: What cuts text into pretokens. None means ``"llama3"``, or that of the ``Counts`` or count files.
        special_tokens: Strings cut out of the text; they get the last ids. None means none, or those of the ``Counts``
            or count files.
        max_token_bytes: No merge makes a longer token.
        max_pretoken_bytes: Longer pretokens are cut.
        byte_order: ``"gpt2"`` numbers bytes as OpenAI's and Hugging Face's files do.
        normalizer: ``"NFC"`` or None.
        threads: Threads for counting; as many as there are processors when None.
        progress: Called now and then, in the calling thread: phases ``"counting"``, ``"sorting"`` (what was counted, and
            what merging starts from), then ``"merging"``.
        text_field: The field of JSON lines, or the column of Parquet, that holds the text.
        lines: Each line of a text file is a document.
        strict: Invalid UTF-8 is an error; otherwise its bytes are kept, and the record says how many there were.
        min_pretoken_count: Leave out pretokens that occur less often: less memory, and another result.
        weights: The weight of each source, by its path as given: a decimal number such as ``"0.7"``. Its share of all
            weights is the source's share of bytes; see ``mixture.py`` for how that is exact.
        sample: Learn from a sample of the documents, of at most so many bytes of text; see :class:`bbpe.corpus.Sample`.
        sample_seed: What decides which documents are in the sample.
        resume: A folder to keep in what is done, so that the same call goes on from there when its process died; a
            larger ``vocab_size`` goes on, too. The result is the same as without. It may be removed afterwards.
        resume_seconds: How long to work between two times that something is kept: what a death costs, at most.
        utf8_safe: Make no token that holds a character and a piece of another: whole characters, or one piece.
        balance: For each source, by its path as given, the path of its side of a parallel text (line *n* says the same
            on every side): the next merge is the best one of the source whose side has the most tokens at that moment.
        superwords: From so many entries on, learn merges across the edges of ``pattern``, which is for the first stage
            only: the vocabulary's pattern is ``superword_pattern``. The text is read twice.
        superword_pattern: The looser pattern; None: ``SUPERWORD_PATTERN``.
        protect: Strings that no merge may join with what stands beside them, nor make a part of a longer token; in
            encoding, too, since the vocabulary's pattern says so.
        seed_tokens: Strings that are to be tokens. Those that are not learned anyway get their merges last.
        memory: Bytes that the whole process may have, Python included; None: no limit. What does not fit while counting
            goes to disk; merging is refused where it would not fit. The result is the same.
        spill_folder: Where to make a folder for what does not fit, which is gone afterwards; None: where the system
            keeps temporary files. With ``resume`` it is that folder.

    Raises:
        TrainingError: Options out of range or in contradiction, also with the ``Counts``; a corpus without text; a
            folder that another training is kept in; too little memory.
        CorpusError: A corpus that cannot be read.
        MissingExtraError: Parquet is to be read, and pyarrow is not installed.
        OutputError: The folder to resume from, or that for what does not fit in memory, cannot be written.
        PatternError: A pattern that does not exist or compile.

    >>> tok = train(["low lower lowest " * 9, "newer wider " * 9], 263, pattern="gpt2")
    >>> tok.tokens("lower"), tok.training_record.stop
    ([b'low', b'er'], 'vocab_size')
    """
    made: Counts | None = source if isinstance(source, Counts) else None
    for name, there in (
        ("balance", balance is not None),
        ("superwords", superwords is not None),
        ("protect", len(protect) > 0),
    ):
        if there and made is not None:
            raise TrainingError(f"{name} decides how text is counted, and these are Counts already")
    if made is not None and (weights is not None or sample is not None or resume is not None):
        raise TrainingError("weights, sample and resume are for what is still to be counted; these are Counts already")
    asked = TrainingOptions(
        vocab_size=vocab_size,
        num_merges=num_merges,
        min_count=min_count,
        pattern=get_pattern("llama3" if pattern is None else pattern),
        special_tokens=checked_special_tokens(() if special_tokens is None else special_tokens),
        max_token_bytes=max_token_bytes,
        max_pretoken_bytes=max_pretoken_bytes,
        byte_order=byte_order,
        normalizer=normalizer,
        text_field=text_field,
        lines=lines,
        strict=strict,
        min_pretoken_count=min_pretoken_count,
        weights=tuple((weights or {}).items()),
        sample=sample,
        sample_seed=sample_seed,
        utf8_safe=utf8_safe,
        balance=tuple((balance or {}).items()),
        superwords=superwords,
        superword_pattern=None if superword_pattern is None else get_pattern(superword_pattern),
        protect=tuple(protect),
        seed_tokens=tuple(seed_tokens),
    )
    asked.merges_wanted()  # refuse before anything is read
    if pattern is not None:
        Pretokenizer(asked.pattern)
    means = Means(threads, progress, memory, spill_folder)
    if balance is not None:
        texts = balanced_texts(source, asked)  # type: ignore[arg-type]  # not Counts
        with _kept(means, resume, resume_seconds, asked, [file for text in texts for file in text.files or ()]) as kept:
            return train_balanced(texts, asked, kept)
    mixture = None
    if made is None:
        mixture = Mixture.of(
            source,  # type: ignore[arg-type]  # not Counts
            pattern=asked.first_pattern if pattern is not None or protect or superwords is not None else None,
            special_tokens=None if special_tokens is None else asked.special_tokens,
            normalizer=normalizer,
            max_pretoken_bytes=asked.max_pretoken_bytes,
            weights=weights,
        )
    about = mixture if mixture is not None else made
    assert about is not None  # one of the two
    # What was counted already says what was not asked for.
    options = replace(
        asked,
        pattern=about.pattern if pattern is None and about.pattern != asked.first_pattern else asked.pattern,
        special_tokens=checked_special_tokens(about.special_tokens if special_tokens is None else asked.special_tokens),
        max_pretoken_bytes=about.max_pretoken_bytes if max_pretoken_bytes is None else asked.max_pretoken_bytes,
        normalizer=about.normalizer if normalizer is None else normalizer,
    )
    options.merges_wanted()  # refuse before a long count, not after it
    again = text_again(source, options) if options.superwords is not None else None
    first = options if again is None else first_stage(options)
    with _kept(means, resume, resume_seconds, options, None if mixture is None else mixture.files) as means:
        if mixture is None:
            assert made is not None  # no mixture
            if memory is not None:
                check_memory(made, memory, options)
            counts = made.without_rare(options.min_pretoken_count)
        else:
            forecasting = replace(means, progress=None if progress is None else with_merging(progress, first))
            counts = forecasting.count(
                mixture, options, partial(check_memory, options=first, all_needed=again is not None)
            )
        warn_of_long_pretokens(counts, stacklevel=2)
        run = Run(counts, None, first, kept=kept_merges(means, counts))
        del counts, made, about, source  # the merge loop has its own copy: the text's memory is free for it
        if again is not None:
            return train_superwords(run, again, options, means)
        vocabulary, record = run.finish(progress, means.checkpoint)
    return Tokenizer.of_training(vocabulary, record)


@contextlib.contextmanager
def _kept(
    means: Means,
    folder: str | os.PathLike[str] | None,
    seconds: float,
    options: TrainingOptions,
    files: Sequence[str] | None,
) -> Iterator[Means]:
    """The means, with a checkpoint in ``folder`` if that is given; ``files`` are what is read, None where it is no
    files."""
    if folder is None:
        yield means
        return
    identity = _identity(options, files)
    with Checkpoint(folder, seconds) as checkpoint:
        checkpoint.begin(identity)
        yield replace(means, checkpoint=checkpoint)


def _identity(options: TrainingOptions, files: Sequence[str] | None) -> dict[str, object]:
    """What tells a training from another. Not how many merges it is to learn, since it learns on, or has learned more;
    but seed tokens come last, so that with them merges depend on that."""
    identity: dict[str, object] = {
        each.name: getattr(options, each.name)
        for each in fields(options)
        if options.seed_tokens or each.name not in ("vocab_size", "num_merges")
    }
    for name in ("pattern", "superword_pattern"):
        pattern = getattr(options, name)
        identity[name] = None if pattern is None else [pattern.name, *pattern.stages]
    return {
        **identity,
        "corpus": files_by_sight(files),
        "parallel_text": files_by_sight([side for _, side in options.balance]),
        "bbpe": bbpe.__version__,
        "unicode": unicode_version(),
    }
