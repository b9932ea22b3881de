"""The catalogue: its entries are sound and what other sources say; names load; what lies in BBPE_HOME is trusted by its
name, refused where it is damaged; and a user's own vocabularies."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiktoken_ext.openai_public

from bbpe import catalogue, io
from bbpe.catalogue import Entry
from bbpe.errors import BbpeError, FormatError, OutputError
from bbpe.formats import FORMATS, tiktoken_file, vocab_merges
from bbpe.holdings import holding, is_here, locate, named
from bbpe.patterns import from_spelling, get_pattern
from bbpe.tokenizer import Tokenizer
from bbpe.vocabulary import SpecialToken, Template, Vocabulary

ENTRIES = list(catalogue.entries().values())

TOKENS = {**{byte: bytes([byte]) for byte in range(256)}, 256: b"th", 257: b"the"}
VOCABULARY = Vocabulary(TOKENS, merges=[(116, 104), (256, 101)], pattern=get_pattern("qwen2"))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty BBPE_HOME."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("BBPE_HOME", str(folder))
    return folder


def put(home: Path, folder: str, name: str, content: bytes) -> Path:
    """A file in ``vocabs``."""
    path = home / "vocabs" / folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


# --- the entries ---


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_an_entry_is_sound(entry: Entry) -> None:
    assert entry.format in FORMATS
    assert entry.algorithm in ("byte-level bpe", "bpe", "unigram", "wordpiece")
    assert entry.licence
    assert entry.family
    assert all(catalogue.is_name(name) for name in (entry.name, *entry.aliases, entry.folder))
    assert entry.folder in catalogue.entries()
    assert catalogue.entries()[entry.folder].files == entry.files
    assert len({file.name for file in entry.files}) == len(entry.files) >= 1
    for file in entry.files:
        assert catalogue.is_name(file.name)
        assert str(file.address()).startswith("https://")
        assert (file.repository is None) != (file.url is None)
        if file.sha256 is None:  # the entry says so
            assert "hash" in entry.note.lower()
            assert file.size is None
        else:
            assert len(file.sha256) == 64
            assert set(file.sha256) <= set("0123456789abcdef")
    ids = [special.id for special in entry.special_tokens]
    assert len(set(ids)) == len({special.content for special in entry.special_tokens}) == len(ids)
    assert {*entry.template.before, *entry.template.after} <= set(ids)
    if entry.format in ("tiktoken", "vocab+merges"):
        assert entry.pattern is not None  # the file does not say it
    if entry.algorithm != "byte-level bpe":
        assert entry.pattern is None
    assert (entry.lowercase is not None) == (entry.format == "wordpiece")


def test_names_are_distinct() -> None:
    names = [name for entry in ENTRIES for name in entry.names()]
    assert len(set(names)) == len(names)


FAMILIES = """
gpt2 gpt-4 gpt-4o gpt-oss llama1 llama2 llama3 llama3.1 llama4 chinese-llama chinese-alpaca chinese-llama-2
chinese-alpaca-2 chinese-llama-sp qwen qwen2 qwen2.5 qwen3 chatglm-6b chatglm2-6b chatglm3-6b glm-4 glm-4.5 bloom
baichuan baichuan2 yi deepseek-llm deepseek-v2 deepseek-v3 deepseek-r1 internlm internlm2 aquila mistral tekken gemma
gemma3 falcon gpt-neox opt roberta bert bert-base-chinese t5 albert xlnet mbart cpm-1 yuan-2.0
"""


@pytest.mark.parametrize("name", FAMILIES.split())
def test_every_family_that_people_compare_has_a_name(name: str) -> None:
    entry = catalogue.find(name.upper())
    assert entry is not None
    assert name in entry.names()


def special(name: str) -> dict[str, int]:
    return {token.content: token.id for token in catalogue.entries()[name].special_tokens}


def test_qwens_differ_in_their_special_tokens() -> None:
    one, two, two_and_a_half, three = (special(name) for name in ("qwen", "qwen2", "qwen2.5", "qwen3"))
    assert [len(tokens) for tokens in (one, two, two_and_a_half, three)] == [208, 3, 22, 26]
    assert two.items() < one.items()
    assert two.items() < two_and_a_half.items() < three.items()
    assert (one["<|extra_204|>"], two_and_a_half["<|file_sep|>"], three["</think>"]) == (151850, 151664, 151668)


def test_special_tokens_that_are_numbered() -> None:
    assert sorted(special("llama3").values()) == list(range(128000, 128256))
    assert sorted(special("llama4").values()) == list(range(200000, 202048))
    four = special("llama4")
    assert four["<|text_post_train_reserved_special_token_68|>"] == 200079
    assert four["<|vision_reserved_special_token_1047|>"] == 201133
    assert four["<|reserved_special_token_903|>"] == 202047
    assert sorted(special("glm-4.6").values()) == list(range(151329, 151365))


@pytest.mark.parametrize(
    "name", ["gpt2", "r50k_base", "p50k_base", "p50k_edit", "cl100k_base", "o200k_base", "o200k_harmony"]
)
def test_openais_entries_are_what_tiktoken_says(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes, addresses, special tokens and patterns of tiktoken's own table, which is asked without a network."""
    asked: dict[str, str] = {}

    def load(url: str, expected_hash: str) -> dict[bytes, int]:
        asked[url] = expected_hash
        return {}

    def load_pair(
        vocab_bpe_file: str, encoder_json_file: str, vocab_bpe_hash: str, encoder_json_hash: str
    ) -> dict[bytes, int]:
        asked.update({vocab_bpe_file: vocab_bpe_hash, encoder_json_file: encoder_json_hash})
        return {}

    monkeypatch.setattr(tiktoken_ext.openai_public, "load_tiktoken_bpe", load)
    monkeypatch.setattr(tiktoken_ext.openai_public, "data_gym_to_mergeable_bpe_ranks", load_pair)
    said: dict[str, Any] = tiktoken_ext.openai_public.ENCODING_CONSTRUCTORS[name]()
    entry = catalogue.entries()[name]
    assert {file.url: file.sha256 for file in entry.files} == asked
    assert from_spelling(said["pat_str"], "tiktoken") == entry.pattern
    expected = dict(said["special_tokens"])
    if name == "o200k_harmony":
        assert expected.pop("<|endofprompt|>") == expected["<|reserved_200018|>"]  # two names for one id; see the note
    assert special(name) == expected


def test_a_mirror_of_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    file = catalogue.entries()["qwen3"].files[0]
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    address = file.address()
    assert address is not None
    assert address.startswith("https://huggingface.co/Qwen/Qwen3-8B/resolve/b968826d")
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example/")
    assert file.address() == address.replace("huggingface.co", "mirror.example")
    assert "openaipublic" in str(catalogue.entries()["gpt2"].files[0].address())


# --- names ---


def test_names_that_are_like_one() -> None:
    assert catalogue.nearest("qwne2")[0] == "qwen2"
    assert catalogue.nearest("LLAMA-3.") == ["llama3", "llama4"]
    assert catalogue.nearest("something else entirely") == []
    message = catalogue.unknown("cl100k_bass")
    assert message.startswith("'cl100k_bass' is no name of the catalogue; did you mean cl100k_base")
    assert message.endswith("? ('bbpe vocab list' shows all)")


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "..\\x", "-x", ".hidden", "a b", "a\nb", "a\0", "x.", "a:b", "字" * 60]
)
def test_names_that_no_folder_may_have(name: str) -> None:
    assert not catalogue.is_name(name)
    assert catalogue.is_name("字" * 20)


def test_the_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("BBPE_HOME", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    assert catalogue.home() == tmp_path / ".cache" / "bbpe"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert catalogue.home() == tmp_path / ".cache" / "bbpe"
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    assert catalogue.home() == Path("/elsewhere/bbpe")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert catalogue.home() == tmp_path / "Library" / "Caches" / "bbpe"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert catalogue.home() == tmp_path / "local" / "bbpe"
    monkeypatch.setenv("BBPE_HOME", "here")
    assert catalogue.home() == Path("here")


def test_a_path_needs_no_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    tiktoken_file.write(VOCABULARY, tmp_path / "x.tiktoken")
    monkeypatch.delenv("BBPE_HOME", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", nobody)
    assert io.load(tmp_path / "x.tiktoken").vocabulary == VOCABULARY
    with pytest.raises(BbpeError, match="set BBPE_HOME to a folder"):
        io.load("cl100k_base")


# --- everything at hand ---

AT_HAND_AS_PUBLISHED = """
aquila bert-base-chinese bert-base-uncased chatglm-6b chinese-llama chinese-llama-2 chinese-llama-sp cl100k_base cpm-1
falcon gpt2 internlm internlm2 llama2 llama3 mistral-tekken mistral-v1 o200k_base qwen r50k_base t5-small yuan-2.0
"""
AT_HAND_OTHERWISE = "baichuan2 bloom chatglm3-6b deepseek-v2 glm-4.6 gpt-neox-20b qwen2"
AT_HAND = sorted(f"{AT_HAND_AS_PUBLISHED} {AT_HAND_OTHERWISE}".split())


@pytest.fixture(scope="module")
def manifest(bbpe_home: Path) -> dict[str, Any]:
    """What is at hand, by name."""
    return {item["name"]: item for item in json.loads((bbpe_home / "vocabs" / "MANIFEST.json").read_text("utf-8"))}


def test_everything_at_hand_has_an_entry(manifest: dict[str, Any], bbpe_home: Path) -> None:
    assert sorted(manifest) == AT_HAND
    for name, item in manifest.items():
        entry = catalogue.entries()[name]
        digests = [file.get("content_sha256", file["sha256"]) for file in item["files"]]
        found = holding(entry)
        assert found.problem == ""
        assert found.state == ("publisher's" if name in AT_HAND_AS_PUBLISHED.split() else "other copy")
        assert (sorted(digests) == sorted(str(file.sha256) for file in entry.files)) == (found.state == "publisher's")
        if found.state == "publisher's":
            sizes = [file.get("content_bytes", file["bytes"]) for file in item["files"]]
            assert sorted(sizes) == sorted(file.size or 0 for file in entry.files)


@pytest.mark.parametrize("name", AT_HAND)
def test_everything_at_hand_loads_by_its_name(name: str, manifest: dict[str, Any]) -> None:
    """With the special tokens that the manifest knows; and where bbpe encodes, with pattern and normalizer."""
    entry, item = catalogue.entries()[name], manifest[name]
    loaded = io.load(name)
    assert (loaded.engine == "bbpe") == (entry.algorithm == "byte-level bpe" and entry.pattern is not None)
    model = loaded.vocabulary if isinstance(loaded, Tokenizer) else loaded.model
    assert model.name == name
    stated = item.get("special_tokens", {})
    if isinstance(stated, dict):
        expected = {(int(key), value) if key.isdigit() else (value, key) for key, value in stated.items()}
        found = {(id, content) for content, id in loaded.special_tokens.items()}
        assert expected - found <= {(4, "<n>")}  # ChatGLM's line break, which texts do hold
    if isinstance(loaded, Tokenizer):
        assert loaded.vocabulary.pattern == entry.pattern
        assert loaded.vocabulary.normalizer == entry.normalizer
        assert special(name).items() <= loaded.special_tokens.items() or name == "mistral-tekken"
        assert loaded.vocabulary.template == (Template() if name == "glm-4.6" else entry.template)  # its file's
    else:
        assert loaded.template == (Template((64790, 64792)) if name == "chatglm3-6b" else entry.template)
    if name == "aquila":  # the model's special tokens stand with those of the file
        assert loaded.special_tokens["<|endoftext|>"] == 0
        assert loaded.encode("<|startofpiece|>你</s>", allowed_special="all")[::2] == [100000, 100007]
    assert (loaded.engine == "none") == (name == "baichuan2")
    if loaded.engine != "none":
        text = "Hello 你好, world 世界"
        assert loaded.decode(loaded.encode(text))


def test_the_path_of_a_file_at_hand_is_as_good_as_its_name(bbpe_home: Path) -> None:
    folder = bbpe_home / "vocabs" / "deepseek-v2"
    by_name = io.load("deepseek-v2").vocabulary
    assert io.load(folder).vocabulary == by_name
    assert io.load(str(folder / "deepseekv2.tiktoken")).vocabulary == by_name


# --- copies ---


def test_a_file_is_recognized_wherever_it_lies(bbpe_home: Path, home: Path, tmp_path: Path) -> None:
    for name in ("vocab.json", "merges.txt"):
        shutil.copy(bbpe_home / "vocabs" / "gpt2" / name, tmp_path / name)
    shutil.copy(bbpe_home / "vocabs" / "bert-base-chinese" / "google_zh_vocab.txt", tmp_path / "words")
    shutil.copy(bbpe_home / "vocabs" / "llama2" / "tokenizer.model", tmp_path / "pieces")
    pair = io.load(tmp_path / "merges.txt").vocabulary
    assert (pair.name, pair.pattern.name) == ("gpt2", "gpt2")
    assert io.load(tmp_path / "words").name == "bert-base-chinese"
    pieces = io.load(tmp_path / "pieces")
    assert (pieces.name, pieces.template) == ("llama2", Template((1,)))
    assert catalogue.recognize((tmp_path / "merges.txt").read_bytes()) is None  # RoBERTa has the same
    assert catalogue.recognize((tmp_path / "words").read_bytes()) == catalogue.entries()["bert-base-chinese"]


def test_a_copy_that_is_as_long_as_the_publishers_and_differs_is_damaged(bbpe_home: Path, home: Path) -> None:
    content = bytearray((bbpe_home / "vocabs" / "bert-base-chinese" / "google_zh_vocab.txt").read_bytes())
    put(home, "bert-base-chinese", "vocab.txt", bytes(content))
    assert io.load("bert-base-chinese").name == "bert-base-chinese"
    content[-2] ^= 1
    path = put(home, "bert-base-chinese", "vocab.txt", bytes(content))
    for name in ("bert-base-chinese", str(path)):
        with pytest.raises(
            FormatError, match=r"damaged or changed: .* its publisher's has 45bbac6b.*'bbpe vocab get bert-"
        ):
            io.load(name)
    assert holding(catalogue.entries()["bert-base-chinese"]).state == "damaged"
    put(home, "bert-base-chinese", "vocab.txt", bytes(content) + b"a-new-one\n")  # another revision
    assert len(io.load("bert-base-chinese")) == 21129
    assert holding(catalogue.entries()["bert-base-chinese"]).state == "other copy"


def test_special_tokens_after_the_last_piece_of_a_model(bbpe_home: Path, home: Path) -> None:
    """Chinese-Alpaca's [PAD], here after Llama's file, which as far as the catalogue knows might be Chinese-Alpaca's."""
    put(home, "chinese-alpaca", "tokenizer.model", (bbpe_home / "vocabs" / "llama2" / "tokenizer.model").read_bytes())
    loaded = io.load("chinese-alpaca")
    assert loaded.special_tokens == {"<unk>": 0, "<s>": 1, "</s>": 2, "[PAD]": 49953}
    plain, padded = loaded.encode("a[PAD]b"), loaded.encode("a[PAD]b", allowed_special={"[PAD]"})
    assert 49953 not in plain
    assert padded[1] == 49953
    assert "[PAD]" in loaded.decode(padded)
    assert loaded.id_space == 49954


def test_nothing_is_there(home: Path) -> None:
    entry = catalogue.entries()["gemma"]
    assert not is_here(entry)
    assert holding(entry).state == "absent"
    (home / "vocabs" / "gemma").mkdir(parents=True)
    put(home, "gemma", ".hidden", b"x")
    assert holding(entry).state == "absent"
    with pytest.raises(FormatError, match=r"gemma: there is none in .*'bbpe vocab get gemma' downloads it"):
        io.load("gemma-2")
    put(home, "gemma", "one.txt", b"x")
    put(home, "gemma", "two.txt", b"x")
    with pytest.raises(FormatError, match=r"holds one\.txt, two\.txt; which of them is the vocabulary"):
        io.load("gemma")
    with pytest.raises(FormatError, match="'gema' is no name"):
        named("gema")


def test_half_of_a_pair_is_none(bbpe_home: Path, home: Path) -> None:
    put(home, "gpt2", "vocab.json", (bbpe_home / "vocabs" / "gpt2" / "vocab.json").read_bytes())
    with pytest.raises(FormatError, match=r"merges\.txt: no such file"):
        io.load("gpt2")
    assert holding(catalogue.entries()["gpt2"]).state == "damaged"


def test_the_entrys_file_wins_in_its_folder(home: Path) -> None:
    tiktoken_file.write(VOCABULARY, put(home, "qwen", "qwen.tiktoken", b""))
    put(home, "qwen", "tokenizer.json", b"{}")
    assert locate("qwen").path.name == "qwen.tiktoken"
    assert locate("qwen", "tokenizer.json").path.name == "tokenizer.json"
    assert io.load("qwen").vocabulary == VOCABULARY  # its sidecar says more than the catalogue


# --- vocabularies of one's own ---


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A rank table without a sidecar."""
    path = tmp_path / "mine.tiktoken"
    tiktoken_file.write(VOCABULARY, path)
    path.with_name("mine.tiktoken.json").unlink()
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_add_keeps_what_the_file_does_not_say(home: Path, table: Path) -> None:
    with pytest.raises(FormatError, match="pass pattern="):
        io.add("mine", table)
    assert not (home / "vocabs" / "mine").exists()
    entry = io.add("mine", table, pattern="qwen2", special_tokens={"<end>": 300})
    assert sorted(contents(entry.path())) == ["bbpe-entry.json", "mine.tiktoken", "mine.tiktoken.json"]
    assert (entry.path() / "mine.tiktoken").read_bytes() == table.read_bytes()
    loaded = io.load("mine").vocabulary
    assert (loaded.name, loaded.pattern.name, loaded.special_tokens) == ("mine", "qwen2", (SpecialToken("<end>", 300),))
    table.unlink()
    assert io.load("mine").vocabulary == loaded
    found = catalogue.find("mine")
    assert found == entry
    assert (entry.own, entry.format, entry.pattern) == (True, "tiktoken", get_pattern("qwen2"))
    assert holding(entry).state == "own"
    assert catalogue.own_entries() == [entry]
    assert catalogue.nearest("minee") == ["mine"]


def test_add_keeps_a_sidecar_a_pair_and_a_folder(home: Path, tmp_path: Path) -> None:
    vocabulary = VOCABULARY.replace(
        normalizer="NFC", template=Template((300,)), special_tokens=[SpecialToken("<s>", 300)]
    )
    (tmp_path / "pair").mkdir()
    vocab_merges.write(vocabulary, tmp_path / "pair")
    io.add("pair", tmp_path / "pair" / "merges.txt")
    assert sorted(contents(home / "vocabs" / "pair")) == [
        "bbpe-entry.json",
        "merges.txt",
        "merges.txt.json",
        "vocab.json",
    ]
    assert io.load("pair").vocabulary == vocabulary
    io.add("pair2", tmp_path / "pair", pattern="gpt2")
    assert io.load("pair2").vocabulary == vocabulary.replace(pattern=get_pattern("gpt2"))
    io.save(Tokenizer(vocabulary), tmp_path / "folder")
    io.add("folder", tmp_path / "folder")
    assert sorted(contents(home / "vocabs" / "folder")) == ["bbpe-entry.json", "tokenizer.json"]
    assert io.load("folder").vocabulary == vocabulary
    assert io.load("folder").vocabulary.name == "folder"


def test_add_what_other_libraries_run(home: Path, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nhello\n##s\n")
    with pytest.raises(FormatError, match="pass lowercase="):
        io.add("words", tmp_path / "words.txt")
    io.add("words", tmp_path / "words.txt", lowercase=True)
    assert io.load("words").encode("HELLOS") == [5, 6]
    io.add("cased", tmp_path / "words.txt", lowercase=False, special_tokens={"[PAD]": 0})
    assert io.load("cased").encode("HELLO") == [1]
    assert io.load("cased").special_tokens == {"[PAD]": 0}
    assert catalogue.find("words") is not None
    assert named("words").entry.algorithm == "wordpiece"


def test_add_refuses_names_that_are_taken_or_none(home: Path, table: Path) -> None:
    for name, message in (
        ("GPT-4", r"is a name of the catalogue \(cl100k_base: "),
        ("../x", "cannot be a name"),
        ("", "cannot be a name"),
    ):
        with pytest.raises(FormatError, match=message):
            io.add(name, table, pattern="gpt2", special_tokens={})
    with pytest.raises(FormatError, match="unknown format 'x'"):
        io.add("mine", table, format="x", pattern="gpt2", special_tokens={})
    with pytest.raises(FormatError, match="no such file"):
        io.add("mine", table.with_name("none"), pattern="gpt2", special_tokens={})
    assert list(home.iterdir()) == []


def test_a_users_name_stays_the_users_when_a_later_catalogue_has_it(
    home: Path, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    io.add("mine", table, pattern="gpt2", special_tokens={})
    later = replace(catalogue.entries()["qwen"], name="mine", folder="mine", aliases=())
    monkeypatch.setattr(catalogue, "entries", lambda: {"mine": later})
    for path in ("mine", home / "vocabs" / "mine", home / "vocabs" / "mine" / "mine.tiktoken"):
        assert io.load(path).vocabulary.pattern.name == "gpt2"
    assert named("mine").state == "own"


def test_names_of_files_that_are_added(home: Path, table: Path) -> None:
    spaced = table.rename(table.with_name("my table.tiktoken"))
    io.add("spaced", spaced, pattern="gpt2", special_tokens={})
    assert len(io.load("spaced")) == 258
    hidden = spaced.rename(table.with_name(".hidden.tiktoken"))
    with pytest.raises(FormatError, match=r"\.hidden\.tiktoken: no name for a file in .*; rename it first"):
        io.add("hidden", hidden, pattern="gpt2", special_tokens={})


def test_add_replaces_only_what_was_added(home: Path, table: Path) -> None:
    io.add("mine", table, pattern="gpt2", special_tokens={})
    with pytest.raises(OutputError, match="exists already"):
        io.add("mine", table, pattern="qwen2", special_tokens={})
    assert io.load("mine").vocabulary.pattern.name == "gpt2"
    io.add("mine", table, pattern="qwen2", special_tokens={}, force=True)
    assert io.load("mine").vocabulary.pattern.name == "qwen2"
    put(home, "mine", "notes.txt", b"mine")
    with pytest.raises(OutputError, match=r"holds other files \(notes\.txt\)"):
        io.add("mine", table, pattern="gpt2", special_tokens={}, force=True)
    put(home, "theirs", "x.tiktoken", b"eA== 1\n")
    with pytest.raises(OutputError, match="holds other files"):
        io.add("theirs", table, pattern="gpt2", special_tokens={}, force=True)


def test_an_added_file_that_changes_is_noticed(home: Path, table: Path) -> None:
    entry = io.add("mine", table, pattern="gpt2", special_tokens={})
    path = entry.path() / "mine.tiktoken"
    path.write_bytes(path.read_bytes()[:-2] + b"8\n")
    with pytest.raises(FormatError, match=r"when it was added it had .*'bbpe vocab add mine PATH --force' adds"):
        io.load("mine")


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b'{"format": "bbpe catalogue entry", "version": 2}',
        b'{"format": "bbpe catalogue entry", "version": 1, "name": "other"}',
        b'{"format": "bbpe catalogue entry", "version": 1, "name": "mine", "files": [{"name": "../x", "sha256": "", "size": 1}]}',
        b'{"format": "bbpe catalogue entry", "version": 1, "name": "mine", "files": []}',
        b'{"format": "bbpe catalogue entry", "version": 1, "name": "mine", "files": 5}',
    ],
)
def test_a_damaged_record(home: Path, table: Path, record: bytes) -> None:
    io.add("mine", table, pattern="gpt2", special_tokens={})
    put(home, "mine", "bbpe-entry.json", record)
    with pytest.raises(FormatError, match=r"bbpe-entry\.json: "):
        io.load("mine")
    assert catalogue.own_entries() == []


def test_a_folder_that_was_put_there_by_hand_loads_by_its_name(home: Path) -> None:
    tiktoken_file.write(VOCABULARY, put(home, "by-hand", "x.tiktoken", b""))
    assert io.load("by-hand").vocabulary == VOCABULARY
    with pytest.raises(FormatError, match="'by-hand' is no name of the catalogue"):
        named("by-hand")


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="needs symbolic links")
def test_a_home_behind_a_symbolic_link(
    home: Path, tmp_path: Path, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to(home)
    put(home, "qwen", "renamed.tiktoken", table.read_bytes())
    monkeypatch.setenv("BBPE_HOME", str(tmp_path / "link"))
    for path in ("qwen", home / "vocabs" / "qwen" / "renamed.tiktoken", tmp_path / "link" / "vocabs" / "qwen"):
        assert io.load(path).vocabulary.normalizer == "NFC"
    assert hashlib.sha256(table.read_bytes()).hexdigest() != catalogue.entries()["qwen"].files[0].sha256
