"""``bbpe vocab``: what its commands print, and with which exit status."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import web
from web import Web

from bbpe import catalogue, downloads, io
from bbpe.cli import run
from bbpe.formats import tiktoken_file, tokenizer_json
from bbpe.patterns import get_pattern
from bbpe.vocabulary import Vocabulary

VOCABULARY = Vocabulary(
    {**{byte: bytes([byte]) for byte in range(256)}, 256: b"th"}, merges=[(116, 104)], pattern=get_pattern("qwen2")
)
Bbpe = Callable[..., tuple[int, str, str]]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    monkeypatch.setenv("BBPE_HOME", str(folder))
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def bbpe(home: Path, capsys: pytest.CaptureFixture[str]) -> Bbpe:
    """``bbpe vocab ARGUMENTS``: exit status, standard output, standard error."""

    def call(*arguments: object) -> tuple[int, str, str]:
        status = run(["vocab", *map(str, arguments)])
        return status, *capsys.readouterr()

    return call


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """A mirror of the hub for Qwen 2's file, as if its sha256 were not known."""
    entry = catalogue.entries()["qwen2"]
    file = replace(entry.files[0], sha256=None, size=None, revision="main")
    changed = {**catalogue.entries(), "qwen2": replace(entry, files=(file,))}
    monkeypatch.setattr(catalogue, "entries", lambda: changed)
    with web.serving() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        monkeypatch.setattr(downloads.Patience.__init__, "__defaults__", (0.5, 2, 0.0, 5))
        yield server


QWEN2 = "/Qwen/Qwen2-7B-Instruct/resolve/main/tokenizer.json"


def made(tmp_path: Path) -> bytes:
    """A small tokenizer.json."""
    tokenizer_json.write(VOCABULARY, tmp_path / "made.json")
    return (tmp_path / "made.json").read_bytes()


def put(home: Path, name: str, content: bytes) -> Path:
    """A file as if it had been put there by hand."""
    path = home / "vocabs" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_list(bbpe: Bbpe, home: Path, tmp_path: Path) -> None:
    put(home, "qwen2/tokenizer.json", made(tmp_path))
    io.add("mine", tmp_path / "made.json")
    status, out, err = bbpe("list")
    lines = out.splitlines()
    assert (status, err) == (0, "")
    assert lines[0].split() == ["name", "here", "MB", "licence", "models"]
    assert [line.split()[0] for line in lines[1:]] == [*catalogue.entries(), "mine"]
    here = {line.split()[0]: line.split()[1] for line in lines[1:]}
    assert {name for name, state in here.items() if state != "-"} == {"qwen2", "mine"}
    assert (here["qwen2"], here["mine"]) == ("yes", "own")
    assert re.search(r"^llama2 +- +0\.5 +Llama 2 Community License \(to be accepted\) +Llama 1 and 2", out, re.M)
    assert not [line for line in lines if line != line.rstrip()]
    assert [line.split()[0] for line in bbpe("list", "--here")[1].splitlines()[1:]] == ["qwen2", "mine"]


def test_list_as_json(bbpe: Bbpe, home: Path, tmp_path: Path) -> None:
    put(home, "qwen2/tokenizer.json", made(tmp_path))
    records = json.loads(bbpe("list", "--json")[1])
    assert [record["name"] for record in records] == list(catalogue.entries())
    assert {record["name"] for record in records if record["here"]} == {"qwen2"}
    bert = next(record for record in records if record["name"] == "bert-base-uncased")
    assert bert == {
        "name": "bert-base-uncased",
        "aliases": ["bert", "bert-large-uncased"],
        "family": "BERT, English, lower case",
        "own": False,
        "algorithm": "wordpiece",
        "format": "wordpiece",
        "pattern": None,
        "normalizer": None,
        "lowercase": True,
        "special_tokens": {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, "[MASK]": 103},
        "template": {"before": [101], "after": [102]},
        "licence": "Apache-2.0",
        "gated": False,
        "files": [
            {
                "name": "vocab.txt",
                "size": 231508,
                "sha256": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
                "source": bert["files"][0]["source"],
            }
        ],
        "note": "",
        "here": False,
    }


def shown(out: str) -> list[tuple[str, str]]:
    """The lines of ``show``."""
    return [(key, value.strip()) for key, _, value in (line.partition(":") for line in out.splitlines())]


def test_show(bbpe: Bbpe, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    status, out, err = bbpe("show", "Qwen2.5-coder")
    assert (status, err) == (0, "")
    lines = dict(shown(out))
    assert lines["name"] == "qwen2.5"
    assert lines["other names"] == "qwen-2.5, qwen2.5-7b, qwen2.5-coder"
    assert (lines["pattern"], lines["normalizer"]) == ("qwen2", "NFC")
    assert lines["special tokens"].startswith("<|endoftext|> 151643, <|im_start|> 151644")
    assert lines["special tokens"].endswith(", and 10 more")
    assert lines["file"] == "tokenizer.json, 7,031,645 bytes"
    assert lines["sha256"] == "c0382117ea329cdf097041132f6d735924b697924d6f6fc3945713e96ce87539"
    assert lines["from"].startswith("https://huggingface.co/Qwen/Qwen2.5-7B-Instruct/resolve/a09a35458c")
    assert lines["here"] == "no; 'bbpe vocab get qwen2.5' downloads it, or put it there by hand"
    assert lines["path"] == str(home / "vocabs" / "qwen2.5" / "tokenizer.json")
    put(home, "qwen2.5/tokenizer.json", made(tmp_path))
    lines = dict(shown(bbpe("show", "qwen2.5")[1]))
    assert lines["here"] == "another copy than the catalogue's file; trusted by its name"
    put(home, "qwen2.5/tokenizer.json", b" " * 7031645)
    assert "damaged or changed" in dict(shown(bbpe("show", "qwen2.5")[1]))["here"]
    lines = dict(shown(bbpe("show", "bert")[1]))
    assert (lines["before a text"], lines["after a text"]) == ("[CLS]", "[SEP]")
    assert lines["lower case"] == "yes, and accents are stripped"
    assert "to be accepted before a download" in bbpe("show", "llama2")[1]
    assert [key for key, _ in shown(bbpe("show", "gpt2")[1])].count("path") == 2
    assert "not known: the first download records it" in bbpe("show", "baichuan")[1]


def test_show_as_json(bbpe: Bbpe, home: Path, tmp_path: Path) -> None:
    path = put(home, "qwen2/tokenizer.json", made(tmp_path))
    record = json.loads(bbpe("show", "qwen2", "--json")[1])
    assert (record["name"], record["state"], record["path"]) == ("qwen2", "other copy", str(path))
    assert record["present_files"] == [str(path)]
    assert json.loads(bbpe("show", "gemma", "--json")[1])["state"] == "absent"


@pytest.mark.parametrize("command", ["show", "where", "get"])
def test_an_unknown_name(bbpe: Bbpe, command: str) -> None:
    status, out, err = bbpe(command, "lama3")
    assert (status, out) == (1, "")
    assert re.fullmatch(r"bbpe: error: 'lama3' is no name of the catalogue; did you mean llama3.*\n", err)


def test_where(bbpe: Bbpe, home: Path, tmp_path: Path) -> None:
    assert bbpe("where", "qwen2") == (1, "", "bbpe: error: qwen2: there is none; 'bbpe vocab get qwen2' downloads it\n")
    path = put(home, "qwen2/tokenizer.json", made(tmp_path))
    assert bbpe("where", "qwen-2") == (0, f"{path}\n", "")
    assert json.loads(bbpe("where", "qwen2", "--json")[1])["path"] == str(path)
    put(home, "qwen2/tokenizer.json", b"x")
    (home / "vocabs" / "qwen2" / "tokenizer.json").rename(home / "vocabs" / "qwen2" / "other")
    status, out, err = bbpe("where", "qwen2")
    assert (status, out) == (1, "")
    assert "unknown content" in err or "one line" in err


def test_get(bbpe: Bbpe, home: Path, hub: Web, tmp_path: Path) -> None:
    content = made(tmp_path)
    hub.pages[QWEN2] = [web.honest(content)]
    path = home / "vocabs" / "qwen2" / "tokenizer.json"
    status, out, err = bbpe("get", "qwen2")
    assert (status, out) == (0, f"{path}\n")
    assert re.fullmatch(
        r"bbpe: note: tokenizer\.json: [\d,]+ bytes, sha256 [0-9a-f]{64}, not known before and recorded now\n", err
    )
    assert path.read_bytes() == content
    assert bbpe("get", "qwen2") == (0, f"{path}\n", "bbpe: note: qwen2: there already\n")
    assert bbpe("get", "qwen2", "-q") == (0, f"{path}\n", "")
    status, out, err = bbpe("get", "qwen2", "--force", "--json")
    assert (status, json.loads(out)[0]["downloaded"], json.loads(out)[0]["state"]) == (0, True, "publisher's")
    assert "the sha256 of an earlier download" in err
    assert io.load("qwen2").vocabulary == VOCABULARY


def test_get_says_when_the_copy_is_another(bbpe: Bbpe, home: Path, tmp_path: Path) -> None:
    path = put(home, "qwen3/mine.json", made(tmp_path))
    assert bbpe("get", "qwen3") == (
        0,
        f"{path}\n",
        "bbpe: note: qwen3: there already (not the publisher's file; --force downloads that)\n",
    )


def test_get_of_a_gated_file(bbpe: Bbpe, home: Path, hub: Web) -> None:
    hub.pages["/meta-llama/Llama-2-7b-hf/resolve/main/tokenizer.model"] = [web.with_token("x", web.honest(b""))]
    status, out, err = bbpe("get", "llama2")
    assert (status, out) == (1, "")
    assert err.count("\n") == 1
    assert "its licence has to be accepted first on https://huggingface.co/meta-llama/Llama-2-7b-hf" in err
    assert not (home / "vocabs").exists()


def test_get_without_a_network(bbpe: Bbpe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    status, out, err = bbpe("get", "qwen2")
    assert (status, out) == (1, "")
    assert err == (
        "bbpe: error: no connection to 127.0.0.1 (Connection refused) (HF_ENDPOINT names a mirror of the hub); a file "
        "that is put by hand where 'bbpe vocab show' says needs no network\n"
    )


def test_get_wants_names(bbpe: Bbpe) -> None:
    assert bbpe("get")[0] == 2


def test_add(bbpe: Bbpe, home: Path, tmp_path: Path) -> None:
    tiktoken_file.write(VOCABULARY, tmp_path / "x.tiktoken")
    (tmp_path / "x.tiktoken.json").unlink()
    path = home / "vocabs" / "mine" / "x.tiktoken"
    status, out, err = bbpe("add", "mine", tmp_path / "x.tiktoken")
    assert (status, out) == (1, "")
    assert "pass pattern=" in err
    arguments: list[Any] = ["add", "mine", tmp_path / "x.tiktoken", "--pattern", "qwen2", "--special", "<a=b>=300"]
    assert bbpe(*arguments) == (0, f"{path}\n", "bbpe: note: mine: tiktoken, x.tiktoken\n")
    assert io.load("mine").special_tokens == {"<a=b>": 300}
    assert bbpe("where", "mine")[1] == f"{path}\n"
    assert "here:           yours, as it was added\n" in bbpe("show", "mine")[1]
    assert "exists already" in bbpe(*arguments)[2]
    record = json.loads(
        bbpe("add", "mine", tmp_path / "x.tiktoken", "--pattern", r"\w+|\W", "--no-special", "--force", "--json")[1]
    )
    assert (record["own"], record["pattern"], record["state"]) == (True, [r"\w+|\W"], "own")
    assert io.load("mine").special_tokens == {}
    status, out, err = bbpe("get", "mine")
    assert "added by the user (added from" in err
    assert bbpe("add", "gpt2", tmp_path / "x.tiktoken")[0] == 1
    for wrong in (["--special", "x"], ["--special", "=5"], ["--special", "x=-1"], ["--special", "x=1", "--no-special"]):
        assert bbpe("add", "other", tmp_path / "x.tiktoken", *wrong)[0] == 2


def test_add_says_what_a_word_list_does_not(bbpe: Bbpe, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("[UNK]\nhello\n")
    assert "pass lowercase=" in bbpe("add", "words", tmp_path / "words.txt")[2]
    assert bbpe("add", "words", tmp_path / "words.txt", "--lowercase", "-q")[0] == 0
    assert io.load("words").encode("HELLO") == [1]


def test_the_command_is_documented(bbpe: Bbpe) -> None:
    status, out, _ = bbpe("--help")
    assert status == 0
    assert [line.split()[0] for line in out.partition("Commands:\n")[2].splitlines()] == [
        "add",
        "get",
        "list",
        "show",
        "where",
    ]
    for name in ("add", "get", "list", "show", "where"):
        assert bbpe(name, "--help")[0] == 0
