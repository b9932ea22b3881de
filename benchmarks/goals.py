"""What bbpe sets out to reach, as data: `render.py` holds the measurements against it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Quantity = Literal["times faster", "threads", "share of peak", "share of growth", "seconds"]


@dataclass(frozen=True, slots=True)
class Goal:
    """One number to reach.

    Attributes:
        what: in words, for the table.
        cell: the name of the cell.
        quantity: `times faster` is the peer's CPU seconds by bbpe's; `threads` is bbpe's wall time with one thread by
            that with two; `share of peak` is the process's peak memory with bbpe by that with the peer, text and
            interpreter included, and `share of growth` is the same of what the task adds; `seconds` are bbpe's own, on
            the clock.
        wanted: at least this for the first two, at most for the others.
        peer: the library compared with; empty where bbpe is compared with itself.
    """

    what: str
    cell: str
    quantity: Quantity
    wanted: float
    peer: str = ""


_ZH, _EN = "train/zh/llama3/gpt2", "train/en/llama3/gpt2"

GOALS = (
    Goal("training, Chinese, against tokenizers", _ZH, "times faster", 10, "tokenizers"),
    Goal("training, English, against tokenizers", _EN, "times faster", 12, "tokenizers"),
    Goal("training, Chinese, against gigatoken", "train/zh/gpt2/gpt2", "times faster", 5, "gigatoken"),
    Goal("training, English, against gigatoken", "train/en/gpt2/gpt2", "times faster", 4, "gigatoken"),
    Goal("peak memory of training, Chinese, of tokenizers'", _ZH, "share of peak", 1 / 3, "tokenizers"),
    Goal("the same, of what training adds", _ZH, "share of growth", 1 / 3, "tokenizers"),
    Goal("peak memory of training, English, of tokenizers'", _EN, "share of peak", 2 / 3, "tokenizers"),
    Goal("the same, of what training adds", _EN, "share of growth", 2 / 3, "tokenizers"),
    Goal("encoding, cl100k, Chinese, cold", "encode/zh/cl100k_base/cold", "times faster", 14, "tiktoken"),
    Goal("encoding, cl100k, English, cold", "encode/en/cl100k_base/cold", "times faster", 10, "tiktoken"),
    Goal("counting Chinese from memory, two threads", "threads/zh/count memory/bbpe", "threads", 1.7),
    Goal("counting English from memory, two threads", "threads/en/count memory/bbpe", "threads", 1.7),
    Goal("counting Chinese from a file, two threads", "threads/zh/count file/bbpe", "threads", 1.7),
    Goal("counting English from a file, two threads", "threads/en/count file/bbpe", "threads", 1.7),
    Goal("encoding Chinese in a batch, two threads", "threads/zh/encode/bbpe", "threads", 1.7),
    Goal("encoding English in a batch, two threads", "threads/en/encode/bbpe", "threads", 1.7),
    Goal("import bbpe", "import", "seconds", 0.150),
    Goal("loading cl100k", "load/cl100k_base", "seconds", 0.5),
)
