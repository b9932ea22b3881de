"""``bbpe convert``: what it prints, where, and with which exit status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bbpe import io
from bbpe.cli import run
from bbpe.patterns import get_pattern

TINY = Path(__file__).parent.parent / "corpora" / "tiny"
END = "<|endoftext|>"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained tokenizer."""
    out = tmp_path_factory.mktemp("trained") / "tiny"
    assert run(["train", str(TINY / "train" / "zh.txt"), "--vocab", "600", "--special", END, "-o", str(out), "-q"]) == 0
    return out


def test_convert_says_what_it_did_on_standard_output_and_notes_on_standard_error(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "out.gguf"
    assert run(["convert", str(folder), str(target)]) == 0
    printed = capsys.readouterr()
    first, merges, verified, llama_cpp = printed.out.splitlines()
    assert first == f"{target}: 600 entries as gguf, from {folder}"
    assert merges == "merges: 343, kept as they are"
    assert verified.startswith("verified: gguf ")
    assert "gives the same" in verified
    assert llama_cpp.startswith("llama.cpp: its pre-tokenizer 'dbrx' does the same; chkhsh ")
    assert llama_cpp.endswith(", which its converter does not know")
    assert printed.err == (
        "bbpe: note: no end token is known, and llama.cpp then stops at id 11: name it (end=, --eos) before the file "
        "becomes part of a model\n"
    )
    assert run(["convert", str(folder), str(target), "--force", "--eos", END, "--pre", "llama-bpe", "--no-verify"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert "not verified" in printed.out
    assert io.load(target).encode("今天天气") == io.load(folder).encode("今天天气")


def test_json(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["convert", str(folder), str(tmp_path / "out.tiktoken"), "--json", "-q"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["path"] == str(tmp_path / "out.tiktoken")
    assert (record["format"], record["read_as"], record["written_as"]) == ("tiktoken", "merges", "ranks")
    assert record["files"] == ["out.tiktoken", "out.tiktoken.json"]
    assert (record["vocab_size"], record["merges"], record["ranks"], record["unreachable"]) == (600, 0, None, 0)
    assert record["verification"]["library"].startswith("tiktoken ")
    assert record["verification"]["texts"] > 4000
    assert record["llama_cpp"]["pre"] == "dbrx"
    assert len(record["llama_cpp"]["chkhsh"]) == 64
    assert record["notes"] == []


def test_a_bare_tiktoken_file_with_its_pattern_and_special_tokens(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ranks become canonical merges. A special token may hold an ``=``."""
    bare = tmp_path / "bare.tiktoken"
    bare.write_bytes((folder / "vocab.tiktoken").read_bytes())
    assert run(["convert", str(bare), str(tmp_path / "out.json")]) == 1
    assert "carries no pattern and no special tokens" in capsys.readouterr().err
    command = ["convert", str(bare), str(tmp_path / "out.json"), "--pattern", "llama3"]
    assert run([*command, "--special", "<a=b>=700", "--special", "<c>=701"]) == 0
    assert "merges: 343, one for each token of two bytes or more (canonical" in capsys.readouterr().out
    assert io.load(tmp_path / "out.json").special_tokens == {"<a=b>": 700, "<c>": 701}
    assert run([*command, "--special", "none", "--force", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["ranks"] == {
        "tokens": 343, "splits": record["ranks"]["splits"], "canonical": True, "without_canonical": 0, "unreachable": 0,
        "unreachable_by_canonical": 0,
    }  # fmt: skip
    assert record["ranks"]["splits"] >= 343
    assert io.load(tmp_path / "out.json").special_tokens == {}


@pytest.mark.parametrize("given", ["<a>", "=5", "<a>=", "<a>=x", "<a>=-1", "<a>=²"])
def test_a_special_token_without_its_id_is_wrong_usage(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], given: str
) -> None:
    assert run(["convert", str(folder), str(tmp_path / "out.json"), "--special", given]) == 2
    assert "is not TOKEN=ID" in capsys.readouterr().err
    assert run(["convert", str(folder), str(tmp_path / "o.json"), "--special", "<a>=1", "--special", "<a>=2"]) == 2
    assert "given twice" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["out.model"], "a SentencePiece model cannot say a byte-level vocabulary"),
        (["out.xyz"], "bbpe writes no .xyz files"),
        (["out", "--to", "parquet"], "format 'parquet' is unknown"),
        (["out.json", "--from", "parquet"], "unknown format 'parquet'"),
        (["out.json", "--from", "gguf"], "tokenizer.json"),
        (["out.json", "--pre", "qwen2"], "in GGUF files only"),
        (["out.gguf", "--pre", "nonsense"], "'nonsense' is no pre-tokenizer of llama.cpp"),
        (["out.gguf", "--eos", "<nobody>"], "is no special token"),
        (["missing/out.gguf"], "missing does not exist"),
    ],
)
def test_mistakes_are_one_line_and_exit_status_1(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    target, *rest = arguments
    assert run(["convert", str(folder), str(tmp_path / target), *rest]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("bbpe: error: ")
    assert printed.err.count("\n") == 1
    assert message in printed.err
    assert not list(tmp_path.iterdir())


def test_refusals_name_the_way_out(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from bbpe.tokenizer import Tokenizer

    vocabulary = io.load(folder).vocabulary
    io.save(Tokenizer(vocabulary.replace(normalizer="NFC")), tmp_path / "nfc")
    assert run(["convert", str(tmp_path / "nfc"), str(tmp_path / "out.gguf")]) == 1
    assert "--drop-normalizer" in capsys.readouterr().err
    assert run(["convert", str(tmp_path / "nfc"), str(tmp_path / "out.gguf"), "--drop-normalizer"]) == 0
    assert "note: the normalizer NFC is left out" in capsys.readouterr().err
    io.save(Tokenizer(vocabulary.replace(pattern=get_pattern("tekken"))), tmp_path / "t")
    assert run(["convert", str(tmp_path / "t"), str(tmp_path / "t.gguf")]) == 1
    assert "--pre tekken" in capsys.readouterr().err
    assert run(["convert", str(tmp_path / "t"), str(tmp_path / "t.gguf"), "--pre", "tekken"]) == 0
    assert "note: the pattern is llama.cpp's for 'tekken', not tekken: ids may differ" in capsys.readouterr().err


def test_a_catalogue_name(bbpe_home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["convert", "r50k_base", str(tmp_path / "out"), "--no-verify"]) == 0
    first, merges, _, llama_cpp = capsys.readouterr().out.splitlines()
    assert first.endswith("50,257 entries as directory, from r50k_base")
    assert merges.startswith("merges: 50,000, one for each token")
    assert llama_cpp.endswith("which its converter knows as gpt-2")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["tokenizer.json", "tokenizer_config.json"]
