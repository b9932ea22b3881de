"""What each option of the training loop gains and costs: measured into a file, rendered into `options.md`.

    python -m benchmarks.options                # train and measure all that is not measured yet, then render
    python -m benchmarks.options --only plain   # one vocabulary again
    python -m benchmarks.options --render       # render what is measured

Needs `$BBPE_HOME` with its corpora. Every vocabulary is trained in a process of its own on the same 30 MB of Chinese
and 30 MB of English, and measured on text that it has not seen. No number on the page is typed: it is rendered from
`results/options.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import bbpe
from bbpe import reference
from bbpe.analysis.characters import gb2312
from benchmarks.provenance import commit, machine, moment
from benchmarks.render import markdown
from benchmarks.slices import MEGABYTE, Part, cut_slice, scratch

HERE = Path(__file__).resolve().parent
RESULT = HERE / "results" / "options.json"
PAGE = HERE / "options.md"

VOCAB = 32_000
TRAIN = Part("first", 30 * MEGABYTE)
FEW = Part("first", 3 * MEGABYTE)
HELD_OUT = {"zh": "zh-web", "en": "en-web", "mixed": "mixed-zh-en"}
HELD_OUT_PART = Part("last", MEGABYTE)
PROTECTED = ["的", "C++", "C#", ".NET", "Node.js", "TCP/IP", "GB/s", "<think>", "</think>", "—", "……"]


def variants() -> dict[str, dict[str, Any]]:
    """Name to the options of `bbpe.train` that are not at their default."""
    zh, few, en = (str(path) for path in (source("zh"), source("few zh"), source("en")))
    both = {zh: str(side("zh", learning=True)), en: str(side("en", learning=True))}
    return {
        "plain": {},
        "utf8-safe": {"utf8_safe": True},
        "balance": {"balance": both},
        "superwords 24k": {"superwords": 24_000},
        "superwords 28k": {"superwords": 28_000},
        "protect": {"protect": PROTECTED},
        "seed-tokens": {"seed_tokens": list(gb2312(1))},
        "utf8-safe, superwords 28k, seed-tokens": {
            "utf8_safe": True,
            "superwords": 28_000,
            "seed_tokens": list(gb2312(1)),
        },
        "utf8-safe, balance, seed-tokens": {
            "utf8_safe": True,
            "balance": both,
            "seed_tokens": list(gb2312(1)),
        },
        "plain, 3 MB of zh": {},
        "balance, 3 MB of zh": {"balance": {few: both[zh], en: both[en]}},
    }


def source(name: str) -> Path:
    """One file of the training text."""
    return cut_slice(f"{name.removeprefix('few ')}-web", FEW if name.startswith("few") else TRAIN).path


def base_of(name: str) -> str:
    """What a vocabulary is compared with: plain BPE of the same text."""
    return "plain, 3 MB of zh" if name.endswith("3 MB of zh") else "plain"


def side(language: str, *, learning: bool) -> Path:
    """A side of NTREX: the even lines to balance by, the odd ones to measure on."""
    name = {"zh": "zho-CN", "en": "eng"}[language]
    lines = (Path(os.environ["BBPE_HOME"]) / "corpora" / "ntrex" / f"{name}.txt").read_text("utf-8").split("\n")
    path = scratch() / f"ntrex-{name}-{'even' if learning else 'odd'}.txt"
    path.write_text("".join(line + "\n" for line in lines[0 if learning else 1 :: 2] if line), "utf-8")
    return path


# --- measuring --------------------------------------------------------------------------------------------------------


def measure(name: str) -> dict[str, Any]:
    """Train one vocabulary here and measure it."""
    paths = [source("few zh" if "3 MB of zh" in name else "zh"), source("en")]
    options = variants()[name]
    begun = time.process_time()
    tokenizer = bbpe.train(paths, VOCAB, **options)
    seconds = time.process_time() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    record = tokenizer.training_record
    assert record is not None
    tokens = tokenizer.vocabulary.tokens
    found: dict[str, Any] = {
        "cpu_seconds": round(seconds, 1),
        "peak_bytes": peak,
        "entries": len(tokenizer),
        "stop": record.stop,
        "seed_merges": record.seed_merges,
        "served": {Path(each.path).name.split("-")[0]: each.merges for each in record.languages},
        "crossing": sum(len(token) > 1 and not reference.may_be_added(token) for token in tokens.values()),
        "longest": max(len(token.decode("utf-8", "replace")) for token in tokens.values()),
        "gb2312_level_1": sum(len(tokenizer.encode(character)) == 1 for character in gb2312(1)) / len(gb2312(1)),
        "superwords": sum(b" " in token.strip(b" ") for token in tokens.values()),
        "texts": {},
    }
    texts = {label: cut_slice(corpus, HELD_OUT_PART).documents() for label, corpus in HELD_OUT.items()}
    texts |= {f"ntrex {label}": side(label, learning=False).read_text("utf-8").split("\n") for label in ("zh", "en")}
    for label, documents in texts.items():
        seconds = min(_first_pass(tokenizer.vocabulary, documents) for _ in range(5))
        ids, offsets = tokenizer.encode_batch_to_numpy(documents, threads=1)
        assert [tokenizer.decode(ids[a:b]) for a, b in pairwise(offsets.tolist()[:50])] == documents[:49]
        found["texts"][label] = {
            "tokens": len(ids),
            "characters": sum(map(len, documents)),
            "bytes": sum(len(document.encode()) for document in documents),
            "not_utf8": sum(not _is_utf8(tokens[id]) for id in ids.tolist()) / len(ids),
            "encode_seconds": round(seconds, 4),
        }
    return found


def _first_pass(vocabulary: bbpe.Vocabulary, documents: list[str]) -> float:
    """CPU seconds of encoding with caches that have seen nothing."""
    tokenizer = bbpe.Tokenizer(vocabulary)
    begun = time.process_time()
    tokenizer.encode_batch_to_numpy(documents, threads=1)
    return time.process_time() - begun


def _is_utf8(token: bytes) -> bool:
    try:
        token.decode()
    except UnicodeDecodeError:
        return False
    return True


def measured(only: list[str] | None) -> dict[str, Any]:
    """The record with these vocabularies measured now, each in a process of its own."""
    record: dict[str, Any] = json.loads(RESULT.read_text("utf-8")) if RESULT.exists() else {"vocabularies": {}}
    for name in only or [name for name in variants() if name not in record["vocabularies"]]:
        print(f"{name} ...", file=sys.stderr)
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "benchmarks.options", "--here", name],
            check=True,
            stdout=subprocess.PIPE,
        )
        record["vocabularies"][name] = json.loads(done.stdout)
        record["vocabularies"][name]["measured"] = {**moment(), "commit": commit(), "machine": machine()}
        record["texts"] = {
            f"{label}, training": cut_slice(f"{label}-web", TRAIN).describe() for label in ("zh", "en")
        } | {label: cut_slice(corpus, HELD_OUT_PART).describe() for label, corpus in HELD_OUT.items()}
        RESULT.write_text(json.dumps(record, ensure_ascii=False, indent=1) + "\n", "utf-8")
    return record


# --- rendering --------------------------------------------------------------------------------------------------------

TEMPLATE = """\
# What the options of training gain and cost

Rendered from `results/options.json` by `python -m benchmarks.options`; bbpe's authors wrote it. Every vocabulary has
{vocab:,} entries, learned from the first 30 MB of the Chinese and of the English web corpus with the pattern of llama3,
and is measured on text it has not seen: the last megabyte of each corpus, of mixed Chinese and English, and the odd
lines of NTREX-128 (the even lines are what `balance` measures by). Measured {time} at commit {commit} on {cpu}, a
shared machine: CPU seconds, not wall time.

`protect` has {protected} strings ({examples}); `seed-tokens` are the 3,755 characters of GB 2312's level 1;
`superwords` begin at so many entries, with SuperBPE's own second pattern.

Sources: `utf8-safe` is the integrity of characters of Land and Arnett 2025 (arXiv:2505.24689); `balance` the parity-aware BPE
of Foroutan et al. 2025 (arXiv:2508.04796); `superwords` SuperBPE, Liu et al. 2025 (arXiv:2503.13423); `protect` and
`seed-tokens` are wanted in huggingface/tokenizers#1380 and #1862. What each means exactly: `bbpe/reference.py`, point 15.

## Tokens per character on held-out text

Fewer is better; in parentheses against plain BPE of the same training text. *zh ÷ en* is tokens of Chinese ÷ tokens of
English for the same sentences: 1 is parity. The last two rows were learned from 3 MB of Chinese and 30 MB of English:
balance is for text that is not balanced.

{compression}

## What is in the vocabulary, and what it costs

*Crossing* are tokens that hold a character and a piece of another. *Not UTF-8* is the share of the tokens of the text
that are no valid UTF-8, which is what a reader of a stream sees as garble. *Level 1* is the share of GB 2312's first
level that is one token each. *Spaces inside* are tokens of several words. Encoding is first pass, one thread, the
quickest of five.

{contents}

## What got worse

{worse}

## The texts

{texts}
"""


def render(record: dict[str, Any]) -> str:
    """The page."""
    found: dict[str, Any] = {
        name: record["vocabularies"][name] for name in variants() if name in record["vocabularies"]
    }

    def rate(one: dict[str, Any], label: str) -> float:
        return float(one["texts"][label]["tokens"] / one["texts"][label]["characters"])

    def against(name: str, label: str) -> str:
        shown = f"{rate(found[name], label):.4f}"
        change = rate(found[name], label) / rate(found[base_of(name)], label) - 1
        return shown if name == base_of(name) else f"{shown} ({change:+.2%})"

    def parity(one: dict[str, Any]) -> float:
        return float(one["texts"]["ntrex zh"]["tokens"] / one["texts"]["ntrex en"]["tokens"])

    def speed(one: dict[str, Any], label: str) -> float:
        return float(one["texts"][label]["bytes"] / one["texts"][label]["encode_seconds"] / 1e6)

    labels = [*HELD_OUT, "ntrex zh", "ntrex en"]
    worse = []
    for name, one in found.items():
        plain = found[base_of(name)]
        costs = [
            f"{label} {rate(one, label) / rate(plain, label) - 1:+.2%} tokens"
            for label in labels
            if rate(one, label) > 1.0005 * rate(plain, label)
        ]
        if one["cpu_seconds"] > 1.2 * plain["cpu_seconds"]:
            costs.append(f"training {one['cpu_seconds'] / plain['cpu_seconds']:.1f} times the CPU time")
        if one["peak_bytes"] > 1.2 * plain["peak_bytes"]:
            costs.append(f"{one['peak_bytes'] / plain['peak_bytes']:.1f} times the memory")
        costs += [
            f"encoding {label} at {speed(one, label) / speed(plain, label):.2f} of the speed"
            for label in ("zh", "en")
            if speed(one, label) < 0.7 * speed(plain, label)
        ]
        if abs(parity(one) - 1) > abs(parity(plain) - 1) + 0.005:
            costs.append(f"parity {parity(one):.3f}, plain {parity(plain):.3f}")
        if name != base_of(name):
            worse.append(f"- **{name}**: {', '.join(costs) or 'nothing measured here'}.")
    last = max((one["measured"] for one in found.values()), key=lambda measured: measured["time"])
    return TEMPLATE.format(
        vocab=VOCAB,
        time=last["time"],
        commit=last["commit"],
        cpu=last["machine"]["cpu"],
        protected=len(PROTECTED),
        examples=", ".join(f"`{string}`" for string in PROTECTED[:6]) + " …",
        compression=markdown(
            ["options", *labels, "zh ÷ en"],
            [
                [name, *(against(name, label) for label in labels), f"{parity(one):.3f}"]
                for name, one in found.items()
            ],
        ),
        contents=markdown(
            ["options", "crossing", "not UTF-8 zh", "mixed", "level 1", "spaces inside", "longest, characters",
             "CPU s", "peak MB", "zh MB/s", "en MB/s"],
            [
                [
                    name,
                    f"{one['crossing']:,}",
                    f"{one['texts']['zh']['not_utf8']:.2%}",
                    f"{one['texts']['mixed']['not_utf8']:.2%}",
                    f"{one['gb2312_level_1']:.1%}",
                    f"{one['superwords']:,}",
                    f"{one['longest']:,}",
                    f"{one['cpu_seconds']:.1f}",
                    f"{one['peak_bytes'] / 1e6:,.0f}",
                    f"{speed(one, 'zh'):.0f}",
                    f"{speed(one, 'en'):.0f}",
                ]
                for name, one in found.items()
            ],
        ),
        worse="\n".join(worse),
        texts=markdown(
            ["text", "part", "bytes", "documents", "sha256"],
            [
                [label, text["part"], f"{text['bytes']:,}", f"{text['documents']:,}", f"`{text['sha256']}`"]
                for label, text in record["texts"].items()
            ],
        ),
    )  # fmt: skip


def main() -> None:
    """Measure and render."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--render", action="store_true", help="render what is measured, do not measure")
    parser.add_argument("--only", action="append", metavar="NAME", help="measure this again, keep the others")
    parser.add_argument("--here", metavar="NAME", help="measure this in this process, print it as JSON")
    arguments = parser.parse_args()
    if not arguments.render and "BBPE_HOME" not in os.environ:
        raise SystemExit("set BBPE_HOME to the folder that holds corpora/")
    if arguments.here is not None:
        print(json.dumps(measure(arguments.here)))
        return
    record = json.loads(RESULT.read_text("utf-8")) if arguments.render else measured(arguments.only)
    PAGE.write_text(render(record), "utf-8")
    print(PAGE)


if __name__ == "__main__":
    main()
