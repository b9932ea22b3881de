"""The corpus that ships with the project: its promises, and that training and evaluation are apart."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import pytest

TINY = Path(__file__).parent.parent / "corpora" / "tiny"
TRAIN = ["classical.txt", "code.txt", "en.txt", "mixed.txt", "zh.txt"]
EVAL = ["en.txt", "mixed.txt", "zh.txt"]
FILES = [*(f"train/{name}" for name in TRAIN), *(f"eval/{name}" for name in EVAL)]

# Where a sentence ends: Chinese and English punctuation followed by anything, and the end of a line.
SENTENCE_END = re.compile(r"[。！？；!?\n]+|\.(?=\s|$)")


def read(name: str) -> str:
    return (TINY / name).read_bytes().decode("utf-8")


def sentences(text: str) -> set[str]:
    """Sentences without spaces and quotation marks, those that are long enough not to be chance."""
    bare = (re.sub(r"[\s“”‘’\"']", "", sentence) for sentence in SENTENCE_END.split(text))
    return {sentence for sentence in bare if len(sentence.encode()) >= 24}


def test_the_files_are_those_that_the_readme_names() -> None:
    assert sorted(str(path.relative_to(TINY).as_posix()) for path in TINY.rglob("*.txt")) == sorted(FILES)
    readme = read("README.md")
    assert [name for name in FILES if f"`{name}`" not in readme] == []
    assert "written for this project" in readme
    assert "Apache-2.0" in readme


def test_the_corpus_is_small_but_not_too_small() -> None:
    total = sum(path.stat().st_size for path in TINY.rglob("*") if path.is_file())
    assert 70_000 <= total <= 200_000


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_utf8_in_nfc_with_plain_line_ends(name: str) -> None:
    text = read(name)
    assert unicodedata.is_normalized("NFC", text)
    assert text.endswith("\n")
    assert not set(text) & {"\r", "\t", "\ufeff", "\ufffd", "\x00"} - ({"\t"} if name == "train/code.txt" else set())
    assert not any(unicodedata.category(character) in ("Cn", "Co") for character in text)


@pytest.mark.parametrize("name", [name for name in FILES if name != "train/code.txt"])
def test_a_file_of_prose_repeats_no_sentence(name: str) -> None:
    text = read(name)
    found = [sentence for sentence in SENTENCE_END.split(text) if len(sentence.strip().encode()) >= 24]
    assert sorted(found) == sorted(set(found))


def test_training_and_evaluation_share_no_sentence() -> None:
    train = set().union(*(sentences(read(f"train/{name}")) for name in TRAIN))
    evaluation = set().union(*(sentences(read(f"eval/{name}")) for name in EVAL))
    assert len(train) > 700
    assert len(evaluation) > 80
    assert train & evaluation == set()


def test_training_and_evaluation_share_no_long_run_of_text() -> None:
    """No 30 bytes in a row (10 Chinese characters, 30 English letters): a sentence changed a little would show."""
    train = "\n".join(read(f"train/{name}") for name in TRAIN).encode()
    runs = {train[at : at + 30] for at in range(len(train) - 29)}
    evaluation = "\n".join(read(f"eval/{name}") for name in EVAL).encode()
    assert {evaluation[at : at + 30] for at in range(len(evaluation) - 29)} & runs == set()


def test_the_chinese_is_chinese_and_the_english_english() -> None:
    for name, least, most in [("zh.txt", 0.75, 1.0), ("en.txt", 0.0, 0.0), ("mixed.txt", 0.25, 0.75)]:
        for part in ("train", "eval"):
            text = read(f"{part}/{name}")
            share = sum("\u4e00" <= character <= "\u9fff" for character in text) / len(text)
            assert least <= share <= most
