"""bbpe: train, use, compare and extend byte-level BPE vocabularies, with Chinese and English as equals.

>>> import bbpe
>>> tok = bbpe.train(["low lower lowest", "new newer newest"], num_merges=8)
>>> tok.decode(tok.encode("newest lowest"))
'newest lowest'
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bbpe.adapters.fast_tokenizer import FastTokenizer, as_transformers
    from bbpe.adapters.tiktoken_encoding import TiktokenEncoding, as_tiktoken
    from bbpe.analysis.comparison import Comparison, compare
    from bbpe.analysis.inspection import inspect
    from bbpe.checkpoint import prune_checkpoint, rewrite_checkpoint
    from bbpe.conversion import Conversion, convert
    from bbpe.corpus import Progress
    from bbpe.count_files import read_counts, write_counts
    from bbpe.counts import Counts, count_pretokens
    from bbpe.embeddings import EmbeddingPlan
    from bbpe.engines import EngineTokenizer
    from bbpe.errors import BbpeError
    from bbpe.extension import Extension, ExtensionReport, Pruning, PruningReport, extend, prune
    from bbpe.io import load, save
    from bbpe.patterns import Pattern, get_pattern, named_patterns
    from bbpe.tokenizer import Decoder, Tokenizer
    from bbpe.training import TrainingOptions, TrainingRecord, train
    from bbpe.vocabulary import SpecialToken, Template, Vocabulary

__version__ = "0.1.0"

__all__ = [
    "BbpeError",
    "Comparison",
    "Conversion",
    "Counts",
    "Decoder",
    "EmbeddingPlan",
    "EngineTokenizer",
    "Extension",
    "ExtensionReport",
    "FastTokenizer",
    "Pattern",
    "Progress",
    "Pruning",
    "PruningReport",
    "SpecialToken",
    "Template",
    "TiktokenEncoding",
    "Tokenizer",
    "TrainingOptions",
    "TrainingRecord",
    "Vocabulary",
    "as_tiktoken",
    "as_transformers",
    "compare",
    "convert",
    "count_pretokens",
    "extend",
    "get_pattern",
    "inspect",
    "load",
    "named_patterns",
    "prune",
    "prune_checkpoint",
    "read_counts",
    "rewrite_checkpoint",
    "save",
    "train",
    "write_counts",
]

# Where each public name lives. They are imported when first asked for, so that `import bbpe` and the command line are
# quick whatever part is used.
_HOMES = {
    "BbpeError": "errors",
    "Comparison": "analysis.comparison",
    "Conversion": "conversion",
    "Counts": "counts",
    "Decoder": "tokenizer",
    "EmbeddingPlan": "embeddings",
    "EngineTokenizer": "engines",
    "Extension": "extension",
    "ExtensionReport": "extension",
    "FastTokenizer": "adapters.fast_tokenizer",
    "Pattern": "patterns",
    "Progress": "corpus",
    "Pruning": "extension",
    "PruningReport": "extension",
    "SpecialToken": "vocabulary",
    "Template": "vocabulary",
    "TiktokenEncoding": "adapters.tiktoken_encoding",
    "Tokenizer": "tokenizer",
    "TrainingOptions": "training",
    "TrainingRecord": "training",
    "Vocabulary": "vocabulary",
    "as_tiktoken": "adapters.tiktoken_encoding",
    "as_transformers": "adapters.fast_tokenizer",
    "compare": "analysis.comparison",
    "convert": "conversion",
    "count_pretokens": "counts",
    "extend": "extension",
    "get_pattern": "patterns",
    "inspect": "analysis.inspection",
    "load": "io",
    "named_patterns": "patterns",
    "read_counts": "count_files",
    "prune": "extension",
    "prune_checkpoint": "checkpoint",
    "rewrite_checkpoint": "checkpoint",
    "save": "io",
    "train": "training",
    "write_counts": "count_files",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'bbpe' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"bbpe.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
