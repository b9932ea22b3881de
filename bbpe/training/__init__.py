"""Learn a vocabulary: from a corpus (:func:`train`), from counts, or on top of a base (:func:`learn`).

Reading order: ``options.py`` is what may be asked for; ``learning.py`` learns merges from counts, in steps of the merge
loop (``_merge.pyx``); ``record.py`` is what ``training.json`` says of it; ``from_corpus.py`` is the whole way from a
corpus to a tokenizer, with memory (``limits.py``) and resumption (``checkpoints.py``, one layer below);
``superwords.py`` and ``balance.py`` are its two variants. Who extends published vocabularies with guarantees is
``extension/``, which calls :func:`learn_merges` with a base.
"""

from bbpe.training.from_corpus import train
from bbpe.training.learning import LearnedMerges, as_merge_list, byte_ids, learn, learn_merges
from bbpe.training.limits import LongPretokenWarning, begins_by_character, warn_of_long_pretokens
from bbpe.training.options import SUPERWORD_PATTERN, TrainingOptions
from bbpe.training.record import BalancedLanguage, CurvePoint, SuperwordStage, TrainingRecord, opened_record

__all__ = [
    "SUPERWORD_PATTERN",
    "BalancedLanguage",
    "CurvePoint",
    "LearnedMerges",
    "LongPretokenWarning",
    "SuperwordStage",
    "TrainingOptions",
    "TrainingRecord",
    "as_merge_list",
    "begins_by_character",
    "byte_ids",
    "learn",
    "learn_merges",
    "opened_record",
    "train",
    "warn_of_long_pretokens",
]
