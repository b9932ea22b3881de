"""What bbpe sets out to reach, as data: `render.py` holds the measurements against it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from benchmarks.pathological import CASES

Quantity = Literal["times faster", "threads", "share of peak", "share of growth", "seconds", "megabytes"]


@dataclass(frozen=True, slots=True)
class Goal:
    """One number to reach.

    Attributes:
        what: in words, for the table.
        cell: the name of the cell.
        quantity: `times faster` is the peer's CPU seconds by bbpe's; `threads` is bbpe's wall time with one thread by
            that with two; `share of peak` is the process's peak memory with bbpe by that with the peer, text and
            interpreter included, and `share of growth` is the same of what the task adds; `seconds` are bbpe's own, on
            the clock; `megabytes` are those that stay with bbpe when the task is done.
        wanted: at least this for the first two, at most for the others.
        peer: the library compared with; `BEST` is whichever is quickest there, or leanest; empty where bbpe is compared
            with itself.
        peer_cell: the cell of what is compared with, where it is another.
        issue: where the number comes from.
    """

    what: str
    cell: str
    quantity: Quantity
    wanted: float
    peer: str = ""
    peer_cell: str = ""
    issue: int = 0


BEST = "the best"


def _at_least(cell: str, what: str, wanted: Mapping[str, float], issue: int = 6) -> tuple[Goal, ...]:
    """So many times as fast as each of several libraries."""
    return tuple(Goal(what, cell, "times faster", least, peer, issue=issue) for peer, least in wanted.items())


_ZH, _EN = "train/zh/llama3/gpt2", "train/en/llama3/gpt2"

_CL100K = {"tiktoken": 15, "gigatoken": 7}
_O200K = {"tiktoken": 10, "gigatoken": 6}
_OTHER = {"tiktoken": 5, "gigatoken": 1, "fastokens": 1}
_RICH = {"tiktoken": 8, "gigatoken": 5, "fastokens": 1.5}

GOALS = (
    Goal("import bbpe", "import", "seconds", 0.150),
    Goal("loading cl100k", "load/cl100k_base", "seconds", 0.5),
    Goal("training, Chinese", _ZH, "times faster", 10, "tokenizers"),
    Goal("training, English", _EN, "times faster", 12, "tokenizers"),
    Goal("peak memory of training, Chinese", _ZH, "share of peak", 1 / 3, "tokenizers"),
    Goal("the same, of what training adds", _ZH, "share of growth", 1 / 3, "tokenizers"),
    Goal("peak memory of training, English", _EN, "share of peak", 2 / 3, "tokenizers"),
    Goal("the same, of what training adds", _EN, "share of growth", 2 / 3, "tokenizers"),
    *_at_least("train/zh/gpt2/gpt2", "training, Chinese", {BEST: 7, "gigatoken": 7, "gigabpe": 7}, issue=7),
    *_at_least("train/en/gpt2/gpt2", "training, English", {BEST: 5, "gigatoken": 5, "gigabpe": 5}, issue=7),
    Goal("peak memory of training, Chinese", "train/zh/gpt2/gpt2", "share of peak", 0.55, BEST, issue=7),
    Goal("counting Chinese from memory, two threads", "threads/zh/count memory/bbpe", "threads", 1.7, issue=7),
    Goal("counting English from memory, two threads", "threads/en/count memory/bbpe", "threads", 1.7, issue=7),
    Goal("counting Chinese from a file, two threads", "threads/zh/count file/bbpe", "threads", 1.7, issue=7),
    Goal("counting English from a file, two threads", "threads/en/count file/bbpe", "threads", 1.7, issue=7),
    Goal("training Chinese, two threads", "threads/zh/train/bbpe", "threads", 1.3, issue=7),
    Goal("training English, two threads", "threads/en/train/bbpe", "threads", 1.3, issue=7),
    *_at_least("encode/zh/cl100k_base/cold", "Chinese, cl100k, cold", _CL100K),
    *_at_least("encode/zh/cl100k_base/steady", "Chinese, cl100k, steady", {**_CL100K, "fastokens": 3}),
    *_at_least("encode/zh/o200k_base/cold", "Chinese, o200k, cold", _O200K),
    *_at_least("encode/zh/o200k_base/steady", "Chinese, o200k, steady", {**_O200K, "fastokens": 2}),
    *(
        goal
        for name in ("qwen2", "deepseek-v2", "glm-4.6", "bbpe-64k")
        for goal in _at_least(f"encode/zh/{name}/steady", f"Chinese, {name}, steady", _RICH)
    ),
    *_at_least("encode/en/cl100k_base/cold", "English, cl100k, cold", {BEST: 1, "tiktoken": 10}),
    *_at_least("encode/en/cl100k_base/steady", "English, cl100k, steady", {BEST: 0.8}),
    *_at_least("encode/en/cl100k_base/hot", "English, cl100k, hot", {BEST: 0.7}),
    *(
        goal
        for name in ("mixed", "code", "classical", "social", "thai", "korean")
        for goal in _at_least(f"encode/{name}/cl100k_base/steady", f"{name} text, cl100k, steady", _OTHER)
    ),
    *(
        goal
        for short, language in (("zh", "Chinese"), ("en", "English"))
        for goal in (
            *_at_least(f"encode/{short}/cl100k_base/short", f"{language}, short strings one by one", {"tiktoken": 3}),
            Goal(
                f"{language}, short strings in a batch, to lists, against one by one",
                f"encode/{short}/cl100k_base/short-lists",
                "times faster",
                1,
                "bbpe",
                f"encode/{short}/cl100k_base/short",
                6,
            ),
            Goal(
                f"{language}, lists of ids against numpy",
                f"encode/{short}/cl100k_base/lists",
                "times faster",
                0.7,
                "bbpe",
                f"encode/{short}/cl100k_base/each",
                6,
            ),
            Goal(
                f"{language}, count against numpy",
                f"encode/{short}/cl100k_base/count",
                "times faster",
                1,
                "bbpe",
                f"encode/{short}/cl100k_base/each",
                6,
            ),
            *_at_least(
                f"decode/{short}/cl100k_base/array",
                f"{language}, decoding arrays to bytes",
                {"tiktoken": 3, "gigatoken": 1},
            ),
            *_at_least(f"decode/{short}/cl100k_base/list", f"{language}, decoding lists to text", {"tiktoken": 1.5}),
            Goal(
                f"encoding {language} in a batch, two threads", f"threads/{short}/encode/bbpe", "threads", 1.8, issue=6
            ),
        )
    ),
    *(
        goal
        for case in CASES
        for goal in _at_least(f"hard/cl100k_base/{case}", f"pathological: {case}", {"tiktoken": 3})
    ),
    Goal("memory kept after 40 MB of Chinese", "memory/zh/cl100k_base", "megabytes", 32, issue=6),
)
