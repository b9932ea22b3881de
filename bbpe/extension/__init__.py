"""Extend a published vocabulary, and prune one: what changes, what does not, and the proof.

``extending.py`` is the way from a base and a text to an extension, ``pruning.py`` the way back. What a byte-level and a
SentencePiece base do differently is in ``byte_base.py`` and ``piece_base.py``, behind ``bases.Base``. Where next: the
specification of what may be added is ``reference.may_be_added``; the merge loop is ``_merge.pyx``, as in training.
"""

from bbpe.extension.extending import Extension, counting_like, extend
from bbpe.extension.options import ExtensionOptions
from bbpe.extension.pruning import Pruning, PruningReport, RemovedToken, prune
from bbpe.extension.record import (
    AddedToken,
    CorpusRow,
    ExtensionReport,
    GainPoint,
    Price,
    Suspicion,
    TargetReport,
    Witness,
)

__all__ = [
    "AddedToken",
    "CorpusRow",
    "Extension",
    "ExtensionOptions",
    "ExtensionReport",
    "GainPoint",
    "Price",
    "Pruning",
    "PruningReport",
    "RemovedToken",
    "Suspicion",
    "TargetReport",
    "Witness",
    "counting_like",
    "extend",
    "prune",
]
