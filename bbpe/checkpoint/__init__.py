"""Rewrite a model folder for an extended or pruned vocabulary: safetensors in, safetensors out, without torch.

``rewriting.py`` is the work and the place to read next; ``model_folder.py`` finds what a folder holds;
``tokenizer_files.py`` puts the new tokenizer in the old one's place; ``safetensors_file.py`` is the file format.
"""

from bbpe.checkpoint.model_folder import Checkpoint, read_checkpoint
from bbpe.checkpoint.rewriting import RewriteRecord, RewrittenMatrix, prune_checkpoint, rewrite_checkpoint

__all__ = [
    "Checkpoint",
    "RewriteRecord",
    "RewrittenMatrix",
    "prune_checkpoint",
    "read_checkpoint",
    "rewrite_checkpoint",
]
