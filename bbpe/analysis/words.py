"""Words of a text, for metrics that are asked per word; the rule that says what a word is has a name.

Chinese has no spaces, so ``str.split`` makes one word of a clause and every figure per word meaningless. Two rules:

``characters``  in scripts that are written without spaces (Chinese, Japanese, Thai, Lao, Khmer, Burmese, Tibetan …) every
                letter is a word; elsewhere a run of letters, marks and digits is one, apostrophes inside included.
``jieba``       the same, but Chinese is cut into words by the package jieba with its own dictionary.

A word carries the space before it where there is one, as it stands in text: most vocabularies have `` word``.
"""

from __future__ import annotations

import importlib
import logging
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, TypeAlias

from bbpe.errors import MissingExtraError

__all__ = ["WordRule", "Words", "words_of"]

WordRule: TypeAlias = Literal["characters", "jieba"]

_NO_SPACES = "Han Hiragana Katakana Bopomofo Yi Thai Lao Khmer Myanmar Tibetan Tai_Le New_Tai_Lue Javanese Balinese"


@dataclass(frozen=True, slots=True)
class Words:
    """The distinct words of a text and how often each occurs.

    Attributes:
        rule: What a word is; for jieba with its version, whose dictionary decides.
        forms: The distinct words, sorted; each with the space before it where the text has one.
        occurrences: Of each form.
    """

    rule: str
    forms: tuple[str, ...]
    occurrences: tuple[int, ...]


def words_of(parts: Iterable[str], rule: WordRule = "characters") -> Words:
    """Count the words of a text.

    Args:
        parts: The text.
        rule: ``"characters"`` or ``"jieba"``.

    Raises:
        MissingExtraError: jieba is not installed.
        ValueError: An unknown rule.

    >>> words_of(["It's 我们 us, us"]).forms
    (' us', "It's", '们', '我')
    """
    if rule not in ("characters", "jieba"):
        raise ValueError(f"unknown word rule {rule!r}; known: characters, jieba")
    counted: Counter[str] = Counter()
    if rule == "characters":
        search = _search(han_runs=False)
        for part in parts:
            counted.update(search.findall(part))
        name = "characters"
    else:
        jieba = _jieba()
        search = _search(han_runs=True)
        han = _han()
        runs: Counter[str] = Counter()
        for part in parts:
            runs.update(search.findall(part))
        for run, occurrences in runs.items():
            if han.match(run) is None:
                counted[run] += occurrences
            else:
                for word in jieba.lcut(run):
                    counted[word] += occurrences
        name = f"jieba {jieba.__version__}"
    forms = tuple(sorted(counted))
    return Words(name, forms, tuple(counted[form] for form in forms))


@lru_cache(maxsize=2)
def _search(han_runs: bool) -> Any:
    regex: Any = importlib.import_module("regex")
    alone = "".join(rf"\p{{Script={name}}}" for name in _NO_SPACES.split())
    letters = rf"[[\p{{L}}\p{{M}}\p{{N}}]--[{alone}]]+"
    spaced = rf" ?{letters}(?:['’]{letters})*"
    first = r"\p{Han}+|" if han_runs else ""
    return regex.compile(rf"{first}[[{alone}]&&\p{{L}}]\p{{M}}*|{spaced}", regex.VERSION1)


@lru_cache(maxsize=1)
def _han() -> Any:
    regex: Any = importlib.import_module("regex")
    return regex.compile(r"\p{Han}")


@lru_cache(maxsize=1)
def _jieba() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its own source has invalid escapes, and asks setuptools for its files
            jieba: Any = importlib.import_module("jieba")
    except ImportError:
        raise MissingExtraError("words by jieba need the package jieba: pip install 'bbpe[words]'") from None
    jieba.setLogLevel(logging.ERROR)  # it announces its dictionary on standard error
    return jieba
