"""How the published vocabularies cut Chinese, English and more: measured into a file, rendered into `compression.md`.

    python -m benchmarks.compression              # measure everything at hand, then render
    python -m benchmarks.compression --only kinds # one part of it again: ntrex, kinds or trained
    python -m benchmarks.compression --render     # render the last measurement again

Needs `$BBPE_HOME` with its corpora; every vocabulary in `$BBPE_HOME/vocabs` is measured. No number on the page is
typed: it is rendered from `results/compression.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.provenance import commit, machine, moment, version
from benchmarks.render import markdown
from benchmarks.slices import MEGABYTE, Part, cut_slice

HERE = Path(__file__).resolve().parent
RESULT = HERE / "results" / "compression.json"
PAGE = HERE / "compression.md"
PUBLISHED = HERE / "published.json"

NTREX = {
    "zh-CN": "zho-CN",
    "en": "eng",
    "zh-TW": "zho-TW",
    "ja": "jpn",
    "ko": "kor",
    "de": "deu",
    "fr": "fra",
    "es": "spa",
    "ru": "rus",
    "ar": "arb",
    "hi": "hin",
    "th": "tha",
    "vi": "vie",
}
"""Label to file of the parallel set."""

KINDS = {
    "zh web": "zh-web",
    "en web": "en-web",
    "zh classical": "zh-classical",
    "zh social": "emoji-social",
    "mixed": "mixed-zh-en",
}
"""Label to corpus; of each the last documents of half a megabyte."""

PARTS = ("ntrex", "kinds", "trained")
SLICE = 500_000
TRAIN_SLICE = 3 * MEGABYTE
TRAIN_VOCAB = 16_000
BASELINE = "llama2"
WIDTH, BODY = 4096, 6_476_271_616  # Llama-2-7B's width, and its parameters without embedding and output projection
LIBRARIES = ("bbpe", "tokenizers", "sentencepiece-bpe", "sentencepiece-unigram", "wordpiece")


# --- measuring --------------------------------------------------------------------------------------------------------


def measure(part: str) -> dict[str, Any]:
    """One part of the page, as plain dicts."""
    from dataclasses import asdict

    import bbpe
    from bbpe.analysis.comparison import Model
    from bbpe.analysis.same_corpus import compare_trainers

    if part == "ntrex":
        folder = Path(os.environ["BBPE_HOME"]) / "corpora" / "ntrex"
        ntrex = {label: folder / f"{name}.txt" for label, name in NTREX.items()}
        model = Model(WIDTH, body=BODY)
        return asdict(bbpe.compare(None, ntrex, parallel=True, baseline=BASELINE, model=model, cache=False))
    if part == "kinds":
        kinds: dict[str, Any] = {label: cut_slice(name, Part("last", SLICE)).path for label, name in KINDS.items()}
        kinds["code"] = _code()
        return asdict(bbpe.compare(None, kinds, baseline=BASELINE, cache=False))
    training = {name: cut_slice(f"{name}-web", Part("first", TRAIN_SLICE)).path for name in ("zh", "en")}
    return asdict(compare_trainers(LIBRARIES, training, TRAIN_VOCAB))


def measured(parts: Sequence[str]) -> dict[str, Any]:
    """The record with these parts measured now, and the others as they were."""
    record: dict[str, Any] = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {}
    for part in parts:
        print(f"{part} ...", file=sys.stderr)
        record[part] = slim(measure(part))
        record[part]["measured"] = {**moment(), "commit": commit(), "machine": machine()}
        RESULT.write_text(as_json(record), encoding="utf-8")
    record["versions"] = {name: version(name) for name in ("tokenizers", "sentencepiece")}
    record["python_code"] = f"Python {sys.version_info.major}.{sys.version_info.minor} standard library"
    RESULT.write_text(as_json(record), encoding="utf-8")
    return record


def _code() -> list[str]:
    """Source code: modules of the standard library by name, until there is enough."""
    found: list[str] = []
    size = 0
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        text = path.read_text(encoding="utf-8", errors="replace")
        if text.strip():
            found.append(text)
            size += len(text.encode())
        if size >= SLICE:
            break
    return found


_KEPT = frozenset(
    [
        "tokenizer",
        "text",
        "tokens",
        "tokens_per_character",
        "characters_per_token",
        "bytes_per_token",
        "tokens_per_line",
        "nsl",
        "cut_han",
        "invalid_tokens",
        "unknown_tokens",
        "megabytes_per_second",
        "fertility",
        "single_token_retention",
        "utilisation",
        "renyi_efficiency",
        "renyi_efficiency_observed",
    ]
)


def slim(value: Any) -> Any:
    """What the page and its readers need: rounded figures, file names in place of paths, no more."""
    if isinstance(value, dict):
        if {"tokenizer", "tokens", "seconds"} <= value.keys():  # a row
            value = {key: one for key, one in value.items() if key in _KEPT}
        left_out = ("sources", "method", "inference_flops_saved", "training_flops_saved")
        return {key: slim(one) for key, one in value.items() if key not in left_out}
    if isinstance(value, (list, tuple)):
        return [slim(one) for one in value]
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, str):
        for folder in (os.environ.get("BBPE_HOME"), tempfile.gettempdir()):
            if folder:
                value = value.replace(f"{folder}/", "")
    return value


def as_json(record: dict[str, Any]) -> str:
    """JSON with a line for each row of a list, so that two measurements can be compared line by line."""
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
    return text.replace("},{", "},\n{").replace("[{", "[\n{") + "\n"


# --- rendering --------------------------------------------------------------------------------------------------------

TEMPLATE = """\
# How published vocabularies cut text

## Before the numbers

- bbpe's authors wrote this page; it is rendered from `results/compression.json` by `python -m benchmarks.compression`, and every vocabulary's own file is what was measured.
- A tokenizer that loses text has few tokens. **Lossless** says whether everything came back from decoding; vocabularies that write unknown tokens stand apart.
- Speeds are processor time of one thread, first pass, on a shared machine, and of the *engine*: sentencepiece and tokenizers are not slower because of the vocabulary, and bbpe's own encoder runs only byte-level ones. What they say of a vocabulary is how it fares among those of the same engine.
- Tokens per character are of corpus totals. *Cut* is the share of the Chinese characters, as they occur, that need two or more tokens. *GB 2312* is the share of the characters of level 1 and 2 of that standard that are one token.
- Parity is tokens of Chinese ÷ tokens of English for the same sentences. Your text differs: `bbpe compare zh.txt en.txt` makes this table of yours.

{about}

## Chinese and English, the same sentences

NTREX-128 (newstest2019), {lines} lines of each language, every line a document. The fewest tokens of both together first.

{answer}

{losing}{missing}

## Kinds of text

Tokens per character, half a megabyte of each. {kinds_about}

{kinds}

## Thirteen languages

Tokens ÷ tokens of English for the same sentences, and the inequality over all thirteen (Gini; 0 is equal). The most equal first.{left_out}

{languages}

## What it costs

A model of width {width:,} with {body:,} parameters besides (Llama 2 7B), embedding and output projection not tied, against {baseline} on these {languages_count} languages together. *Break-even* is the share of tokens that the larger rows have to save before they pay in compute; *compute* is that of the whole text, rows and tokens together, ÷ {baseline}'s.

{cost}

## Same corpus, same size

{trained_about}

{trained}

{held_out}

## Published figures

{published_about}

{published}

{published_other}

## The texts

{texts}
"""


def render(record: dict[str, Any]) -> str:
    """The page."""
    parallel, kinds, trained = record["ntrex"], record["kinds"], record["trained"]
    rows = {(row["tokenizer"], row["text"]): row for row in parallel["rows"]}
    facts = {vocab["name"]: vocab for vocab in parallel["vocabularies"]}
    balance = {one["tokenizer"]: one for one in parallel["balances"]}
    both = sorted(facts, key=lambda name: (rows[name, "zh-CN"]["tokens"] + rows[name, "en"]["tokens"], name))
    losing = [
        name
        for name in both
        if rows[name, "zh-CN"]["unknown_tokens"] > 0.01 or rows[name, "en"]["unknown_tokens"] > 0.01
    ]
    keeping = [name for name in both if name not in losing]
    head = ["vocabulary", "entries", "zh tok/char", "en tok/char", "zh bytes/tok", "en bytes/tok", "parity", "cut",
            "not UTF-8", "GB 2312 L1", "L2", "lossless", "digits", "zh MB/s", "en MB/s", "engine"]  # fmt: skip

    def line(name: str) -> list[str]:
        zh, en, vocab = rows[name, "zh-CN"], rows[name, "en"], facts[name]
        return [
            name,
            f"{vocab['facts']['vocab_size']:,}",
            f"{zh['tokens_per_character']:.3f}",
            f"{en['tokens_per_character']:.3f}",
            f"{zh['bytes_per_token']:.2f}",
            f"{en['bytes_per_token']:.2f}",
            f"{balance[name]['parity']['zh-CN']:.3f}",
            f"{zh['cut_han']:.1%}",
            f"{zh['invalid_tokens']:.1%}",
            f"{vocab['facts']['gb2312_level_1']:.1%}",
            f"{vocab['facts']['gb2312_level_2']:.1%}",
            "yes"
            if vocab["lossless"]
            else "no: " + (", ".join(lost["what"] for lost in vocab["facts"]["lost"]) or "text"),
            vocab["facts"]["digits"],
            f"{zh['megabytes_per_second']:.1f}",
            f"{en['megabytes_per_second']:.1f}",
            vocab["facts"]["engine"].split()[0],
        ]

    everywhere = [name for name in both if all(rows[name, label]["unknown_tokens"] <= 0.01 for label in NTREX)]
    left_out = [name for name in both if name not in everywhere]
    missing = {one["name"]: one["reason"] for one in (*parallel["missing"], *kinds["missing"])}
    reference = parallel["texts"][0]
    return TEMPLATE.format(
        about=_about(record),
        lines=f"{reference['lines']:,}",
        answer=markdown(head, [line(name) for name in keeping]),
        losing="These lose text, so that their few tokens are no merit:\n\n"
        + markdown(
            ["vocabulary", "unknown tokens zh", "en", *head[1:]],
            [
                [name, *(f"{rows[name, label]['unknown_tokens']:.1%}" for label in ("zh-CN", "en")), *line(name)[1:]]
                for name in losing
            ],
        )
        + "\n"
        if losing
        else "",
        missing="".join(f"\nNot measured: {name}, because {reason}.\n" for name, reason in missing.items()),
        kinds_about=f"Code is the {record['python_code']}.",
        kinds=_kinds(kinds, [name for name in keeping if name not in missing]),
        languages=_languages(balance, everywhere),
        left_out=f" Left out, because they lose text in one of the languages: {', '.join(left_out)}." if left_out else "",
        languages_count=len(NTREX),
        width=WIDTH,
        body=BODY,
        baseline=parallel["baseline"],
        cost=_cost(parallel, everywhere),
        trained_about=_trained_about(trained),
        trained=_trained(trained),
        held_out=_held_out(trained),
        published_about="Measured by others, or before there was bbpe, and here. `tests/test_published_figures.py` holds "
        "this.",
        published=_published(rows, facts, balance),
        published_other=_published_other(rows),
        texts=markdown(
            ["text", "documents", "characters", "bytes", "sha256 of the documents"],
            [
                [text["label"], f"{text['documents']:,}", f"{text['characters']:,}", f"{text['bytes']:,}", f"`{text['sha256']}`"]
                for text in (*parallel["texts"], *kinds["texts"])
            ],
        ),
    )  # fmt: skip


def _about(record: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {value}" for name, value in record["versions"].items())
    found = record["ntrex"]["measured"]
    return (
        f"Measured {found['time']} at commit {found['commit']} with {versions}, on {found['machine']['cpu']} "
        f"({found['machine']['cores']} processors, load {found['load']}), {found['machine']['python']}."
    )


def _kinds(kinds: dict[str, Any], names: list[str]) -> str:
    rows = {(row["tokenizer"], row["text"]): row for row in kinds["rows"]}
    labels = [text["label"] for text in kinds["texts"]]
    total = {name: sum(rows[name, label]["tokens"] for label in labels) for name in names}
    return markdown(
        ["vocabulary", *labels],
        [
            [name, *(f"{rows[name, label]['tokens_per_character']:.3f}" for label in labels)]
            for name in sorted(names, key=lambda name: total[name])
        ],
    )


def _languages(balance: dict[str, Any], names: list[str]) -> str:
    labels = [label for label in NTREX if label != "en"]
    return markdown(
        ["vocabulary", *labels, "Gini"],
        [
            [name, *(f"{balance[name]['parity'][label]:.2f}" for label in labels), f"{balance[name]['gini']:.3f}"]
            for name in sorted(names, key=lambda name: balance[name]["gini"])
        ],
    )


def _cost(parallel: dict[str, Any], names: list[str]) -> str:
    rows = []
    for cost in sorted(
        (cost for cost in parallel["costs"] if cost["tokenizer"] in names),
        key=lambda cost: cost["saving"]["compute_ratio"],
    ):
        embedding, saved = cost["embedding"], cost["saving"]
        rows.append(
            [
                cost["tokenizer"],
                f"{embedding['rows']:,}",
                f"{embedding['parameters'] / 1e6:,.0f} M",
                f"{embedding['share']:.1%}",
                f"{embedding['memory']['bfloat16'] / 1e9:.2f} GB",
                f"{saved['saved_share']:.1%}",
                f"{saved['break_even_share']:.1%}",
                f"{saved['compute_ratio']:.3f}",
            ]
        )
    return markdown(
        ["vocabulary", "rows", "parameters", "of the model", "bfloat16", "tokens saved", "break-even", "compute"], rows
    )


def _trained_about(trained: dict[str, Any]) -> str:
    return (
        f"Each library learned {trained['vocab_size']:,} entries from the same {trained['training_bytes']:,} bytes of "
        f"Chinese and English web text, on all processors of a shared machine; the second table is of "
        f"{trained['held_out_bytes']:,} bytes that none of them saw."
    )


def _trained(trained: dict[str, Any]) -> str:
    return markdown(
        ["library", "version", "seconds", "entries", "options"],
        [
            [one["name"], one["library"], f"{one['seconds']:.1f}", f"{one['entries']:,}", one["options"]]
            for one in trained["trained"]
        ],
    )


def _held_out(trained: dict[str, Any]) -> str:
    comparison = trained["comparison"]
    rows = {(row["tokenizer"], row["text"]): row for row in comparison["rows"]}
    lossless = {vocab["name"]: vocab["lossless"] for vocab in comparison["vocabularies"]}
    return markdown(
        ["library", "zh tok/char", "en tok/char", "zh ÷ bbpe", "en ÷ bbpe", "cut", "not UTF-8", "lossless"],
        [
            [
                name,
                *(f"{rows[name, label]['tokens_per_character']:.3f}" for label in ("zh", "en")),
                *(f"{rows[name, label]['nsl']:.3f}" for label in ("zh", "en")),
                f"{rows[name, 'zh']['cut_han']:.1%}",
                f"{rows[name, 'zh']['invalid_tokens']:.1%}",
                "yes" if lossless[name] else "no",
            ]
            for name in lossless
        ],
    )


def _published(rows: dict[Any, Any], facts: dict[str, Any], balance: dict[str, Any]) -> str:
    record = json.loads(PUBLISHED.read_text(encoding="utf-8"))["same_text"]
    lines = []
    for name, figures in record["figures"].items():
        if name not in facts:
            continue
        zh, en, vocab = rows[name, "zh-CN"], rows[name, "en"], facts[name]["facts"]
        measured = {
            "zh_tokens_per_character": zh["tokens_per_character"],
            "en_tokens_per_character": en["tokens_per_character"],
            "zh_bytes_per_token": zh["bytes_per_token"],
            "zh_en_parity": balance[name]["parity"]["zh-CN"],
            "zh_invalid_tokens_percent": 100 * zh["invalid_tokens"],
            "gb2312_level_1_percent": 100 * vocab["gb2312_level_1"],
            "gb2312_level_2_percent": 100 * vocab["gb2312_level_2"],
        }
        lines.append([name, *(f"{figures[key]:g} / {value:.4g}" for key, value in measured.items())])
    head = ["vocabulary", "zh tok/char", "en tok/char", "zh bytes/tok", "parity", "zh not UTF-8 %", "L1 %", "L2 %"]
    return (
        f"{record['text']}. Published / measured here. Source: {record['source']}. Expected: {record['agreement']}.\n\n"
        + markdown(head, lines)
    )


def _published_other(rows: dict[Any, Any]) -> str:
    blocks = []
    for one in json.loads(PUBLISHED.read_text(encoding="utf-8"))["other_text"]:
        label = "en" if one["text"].endswith("English") else "zh-CN"
        names = [name for name in one["figures"] if (name, label) in rows]
        blocks.append(
            f"{one['text']}: {one['metric'].replace('_', ' ')}. Source: {one['source']}. Expected: {one['agreement']}.\n\n"
            + markdown(
                ["vocabulary", "published, on their text", "measured, on NTREX"],
                [[name, f"{one['figures'][name]:g}", f"{rows[name, label][one['metric']]:.4g}"] for name in names],
            )
        )
    return "\n\n".join(blocks)


def main() -> None:
    """Measure and render."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--render", action="store_true", help="render the last measurement, do not measure")
    parser.add_argument("--only", action="append", choices=PARTS, help="measure this part, keep the others")
    arguments = parser.parse_args()
    if not arguments.render:
        if "BBPE_HOME" not in os.environ:
            raise SystemExit("set BBPE_HOME to the folder that holds vocabs/ and corpora/")
        measured(arguments.only or PARTS)
    PAGE.write_text(render(json.loads(RESULT.read_text(encoding="utf-8"))), encoding="utf-8")
    print(PAGE)


if __name__ == "__main__":
    main()
