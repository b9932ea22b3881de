"""What the tests of bulk encoding that is killed and goes on share: a corpus, a tokenizer, and a death."""

from __future__ import annotations

import functools
import gzip
import json
from pathlib import Path

from bbpe.bulk import IdFormat
from bbpe.tokenizer import Tokenizer
from bbpe.training import train

ROOT = Path(__file__).parent.parent
TINY = ROOT / "corpora" / "tiny"
END = "<|endoftext|>"
FORMATS: tuple[IdFormat, ...] = ("ids", "json", "npy", "bin")


class Died(Exception):
    """What stands for the death of a process at a moment that a test chooses."""


@functools.cache
def trained() -> Tokenizer:
    return train(TINY / "train", 1200, special_tokens=[END])


def write_corpus(folder: Path) -> Path:
    """Files of every kind: whole texts, JSON lines, a compressed one, empty and broken documents, a long one."""
    text = (TINY / "train" / "mixed.txt").read_bytes()
    lines = text.decode().splitlines()
    (folder / "a.txt").write_bytes(text[:3000])
    documents = [*lines[:40], "", "最后", *lines[40:80], "long " + "".join(lines), "end"]
    (folder / "b.jsonl").write_text("".join(json.dumps({"text": each}) + "\n" for each in documents), "utf-8")
    (folder / "c.txt").write_bytes(b"\xff broken \xe4\xb8")
    (folder / "d.txt.gz").write_bytes(gzip.compress((TINY / "train" / "zh.txt").read_bytes()))
    (folder / "e.txt").write_bytes(b"")
    (folder / "f.txt").write_bytes((TINY / "train" / "en.txt").read_bytes()[:9000])
    return folder
