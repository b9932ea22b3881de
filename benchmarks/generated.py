"""Texts made by seed, of the kinds where encoders go wrong: what `exactness.py` gives bbpe and the other libraries.

A generator makes one text from a `Source` of random numbers and a `Material`: real text, and what a vocabulary says of
itself (its tokens, its special tokens). The same seed makes the same text with every version of Python and on every
machine: the characters come from bbpe's own tables of Unicode, and of `random.Random` only `random()` is used.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import bbpe
from bbpe.unicode import property_set, script_names, script_set

CATEGORIES = (
    *("Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po"),
    *("Sm", "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf", "Co", "Cn"),
)
WHITE_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2003\u2009\u2028\u2029\u202f\u205f\u3000"
NEAR_SPACE = "\u200b\u200c\u200d\u2060\ufeff\u180e\x1c\x1f\x00"
ENDINGS = ("", " ", "  ", "   ", "\n", "\n\n", " \n", "\n ", " \n ", "\r\n", "\r\n\r\n", "\r", "\t", "\t\n", " \t ", "\x85",
           "\u3000", "\u3000\u3000", "\xa0", " \xa0", "\u2028", "\n\u2028\n", "\v\f", " \r \n", "\n" * 5, " " * 17)  # fmt: skip
UNITS = (
    *(" ", "  ", "\n", "\r\n", "\n\n", "\t", " \n", "\xa0", "\u3000", "\x85", "\u2028", "\u200b", "\u200d", "\0", "\x1c"),
    *("a", "A", "aA", "Ab", "z", "0", "1", "12", "９", "٣", "²", "Ⅷ", "½", "é", "e\u0301", "\u0301", "\u0323\u0301", "ß", "ſ"),
    *("中", "的", "一", "你好", "，", "。", "、", "！", "…", "—", "“", "(", ")", ".", "!", "-", "=", "_", "/", "//", "#", "*"),
    *("'", "’", "'s", "'S", "'ll", "'re'", "ก", "ที่", "한", "\u1112\u1161\u11ab", "あ", "ア", "が", "か\u3099", "ا", "אָ", "हिं"),
    *("😀", "👍🏽", "👩\u200d💻", "🇨🇳", "❤\ufe0f", "\ufe0f", "𠮷", "𝒜", "\U0010ffff", "\ufffd", "\ufffe", "<|", "|>", "<s>"),
)  # fmt: skip
WORDS = (
    "I",
    "you",
    "don",
    "O",
    "we",
    "WE",
    "ll",
    "s",
    "x",
    "é",
    "你",
    "中文",
    "1",
    "ſ",
    "K",
    "_",
    "",
    " ",
    "-",
    "\u0301",
    "ก",
)
APOSTROPHES = "''''''’ʼ＇‘`´′"
CONTRACTIONS = (
    "s",
    "t",
    "d",
    "m",
    "re",
    "ve",
    "ll",
    "S",
    "T",
    "D",
    "M",
    "RE",
    "VE",
    "LL",
    "rE",
    "lL",
    "Ve",
    "ſ",
    "ſſ",
    "l",
    "r",
    "v",
    "k",
    "em",
)
AFTER = ("", "", " ", "x", "S", "ſ", "1", "'", "’", "\n", "你", "\u0301", ".", "'s", "_")
SEPARATORS = (
    "",
    "",
    "",
    " ",
    "  ",
    "\n",
    "\n\n",
    "\t",
    "\u3000",
    ",",
    "，",
    "。",
    ".",
    "'",
    "1",
    "-",
    "\u0301",
    "\u200d",
    "\0",
    "\xa0",
)
NUMBER_SIGNS = ("", "", ".", ",", ":", "-", "/", " ", "%", "年", "月", "e", "x", "+", "\u0301", "٫", "，")
NO_SPECIALS = ("<|endoftext|>", "<s>", "</s>", "<unk>", "[MASK]")
T = TypeVar("T")
LONG = 4000  # characters of a long text, at most twice as many


class Source:
    """Random choices by a seed.

    Attributes:
        next: A number in [0, 1).
        number: Which text is being made, for generators that go through something one by one.
    """

    __slots__ = ("next", "number")

    def __init__(self, seed: str, number: int = 0) -> None:
        self.next = random.Random(seed).random
        self.number = number

    def below(self, bound: int) -> int:
        """A number from 0 to bound - 1."""
        return int(self.next() * bound)

    def pick(self, choices: Sequence[T]) -> T:
        """One of some things."""
        return choices[int(self.next() * len(choices))]

    def some(self, choices: Sequence[T], count: int) -> list[T]:
        """`count` of some things, each any number of times."""
        size, following = len(choices), self.next
        return [choices[int(following() * size)] for _ in range(count)]

    def length(self, mean: float, most: int = 1000) -> int:
        """At least 1; longer ones are rarer, half of them under seven tenths of the mean."""
        return min(most, 1 + int(-math.log(1.0 - self.next()) * mean))


@cache
def pools() -> tuple[str, ...]:
    """The characters of every general category and of every script."""
    sets = [property_set(category) for category in CATEGORIES] + [script_set(name) for name in script_names()]
    return tuple(
        "".join(map(chr, (code for low, high in found.ranges() for code in range(low, high + 1)))) for found in sets
    )


@cache
def numerals() -> tuple[str, ...]:
    """Ten digits of each script that has its own, and the other numbers."""
    decimal = pools()[CATEGORIES.index("Nd")]
    tens = tuple(decimal[at : at + 10] for at in range(0, len(decimal), 10))
    return (*("0123456789",) * len(tens), *tens, pools()[CATEGORIES.index("Nl")], pools()[CATEGORIES.index("No")])


@cache
def assigned() -> str:
    """Every character of Unicode that has a meaning, and the first and last of each range that has none."""
    unassigned = property_set("Cn") | property_set("Co")
    edges = [chr(code) for low, high in unassigned.ranges() for code in {low, high} if not 0xD800 <= code <= 0xDFFF]
    held = (pool for category, pool in zip(CATEGORIES, pools(), strict=False) if category not in ("Cn", "Co"))
    return "".join(sorted({*"".join(held), *edges}))


@dataclass(frozen=True, slots=True)
class Material:
    """What texts are made of.

    Attributes:
        texts: Real text.
        tokens: The vocabulary's tokens that are whole characters.
        fragments: Short texts that hold each of its tokens that begins or ends inside a character.
        specials: Contents of its special tokens.
    """

    texts: tuple[str, ...]
    tokens: tuple[str, ...]
    fragments: tuple[str, ...]
    specials: tuple[str, ...]

    @classmethod
    def of(cls, tokenizer: bbpe.Tokenizer, texts: Sequence[str]) -> Material:
        """The material of a vocabulary, with some real text."""
        whole, fragments = [], []
        source = Source("fragments")
        for token in tokenizer.vocabulary.tokens.values():
            try:
                whole.append(token.decode())
            except UnicodeDecodeError:
                fragments += [text for text in (completed(token, source) for _ in range(4)) if text is not None]
        specials = tuple(tokenizer.special_tokens)
        return cls(tuple(texts), tuple(whole), tuple(fragments), specials or NO_SPECIALS)

    def window(self, source: Source, mean: float) -> str:
        """A stretch of real text."""
        text = source.pick(self.texts)
        at = source.below(len(text))
        return text[at : at + source.length(mean)]


def completed(token: bytes, source: Source) -> str | None:
    """A text whose bytes hold a token that begins or ends inside a character; None where no text does.

    >>> completed(b"\\xbd\\xa0", Source("x")).encode()[-2:], completed(b"a\\xe4", Source("x"))[0]
    (b'\\xbd\\xa0', 'a')
    """
    inside = 0  # continuation bytes that the token begins with
    while inside < len(token) and token[inside] & 0xC0 == 0x80:
        inside += 1
    for _ in range(24):
        before = b""
        if inside:
            length = inside + 1 + source.below(4 - inside) if inside < 4 else 5
            if length > 4:
                return None
            lead = source.pick((range(0xC2, 0xE0), range(0xE0, 0xF0), range(0xF0, 0xF5))[length - 2])
            before = bytes([lead, *source.some(range(0x80, 0xC0), length - 1 - inside)])
        after = b""
        for _ in range(4):
            try:
                return (before + token + after).decode()
            except UnicodeDecodeError as error:
                if error.reason != "unexpected end of data":
                    break
                after += bytes([source.pick(range(0x80, 0xC0))])
    return None


# --- generators ---


def each_character(source: Source, material: Material) -> str:
    """One character after the other, of all that Unicode has, in seven surroundings."""
    one = assigned()[source.number % len(assigned())]
    return source.pick(
        (
            f"{one}a{one}1{one} {one}\n{one}",
            f"a{one}b {one}c",
            f"{one}{one} {one}",
            f"中{one}文，{one}",
            f"'{one}'s {one}ſ",
            f"12{one}3 {one}.",
            f" {one}\u0301{one}",
        )
    )


def characters(source: Source, material: Material) -> str:
    """Characters of random categories and scripts."""
    parts = []
    for pool in source.some(pools(), 1 + source.below(4)):
        parts += source.some(pool, source.length(6, 200))
        parts.append(source.pick(SEPARATORS))
    return "".join(parts)


def mutated(source: Source, material: Material) -> str:
    """Real text with characters replaced, dropped, put in, doubled, exchanged and in the other case."""
    text = list(material.window(source, 45))
    for _ in range(source.length(2, 8)):
        at = source.below(len(text))
        match source.below(7):
            case 0:
                text[at] = source.pick(source.pick(pools()))
            case 1:
                text[at] = ""
            case 2:
                text.insert(at, source.pick(UNITS))
            case 3:
                text[at] *= 2 + source.below(3)
            case 4:
                other = source.below(len(text))
                text[at], text[other] = text[other], text[at]
            case 5:
                text[at] = text[at].swapcase()
            case _:
                text.insert(at, source.pick(WHITE_SPACE))
    return "".join(text)


def joins(source: Source, material: Material) -> str:
    """Pieces of real text of any kind, joined anywhere."""
    parts = []
    for _ in range(2 + source.below(4)):
        parts.append(material.window(source, 14))
        parts.append(source.pick(SEPARATORS))
    return "".join(parts)


def digits(source: Source, material: Material) -> str:
    """Numbers of every script, of any length, with what stands in and beside numbers."""
    parts = []
    for _ in range(source.length(3, 12)):
        parts += source.some(source.pick(numerals()), source.length(3, 60))
        parts.append(source.pick(NUMBER_SIGNS))
        if source.next() < 0.2:
            parts.append(material.window(source, 3))
    return "".join(parts)


def runs(source: Source, material: Material) -> str:
    """Runs of the same, of up to 600 characters, beside one another."""
    return "".join(unit * source.length(14, 600 // len(unit)) for unit in source.some(UNITS, 1 + source.below(5)))


def contractions(source: Source, material: Material) -> str:
    """'s, 'LL and the like in any case, with other apostrophes, after and before anything."""
    parts = []
    for _ in range(source.length(3, 10)):
        parts += (source.pick(WORDS), source.pick(APOSTROPHES), source.pick(CONTRACTIONS), source.pick(AFTER))
    return "".join(parts)


def tokens(source: Source, material: Material) -> str:
    """The vocabulary's own tokens side by side."""
    return "".join(source.some(material.tokens, source.length(6, 60)))


def partial_characters(source: Source, material: Material) -> str:
    """Text that holds the vocabulary's tokens that begin or end inside a character."""
    found = source.some(material.fragments or material.tokens, source.length(6, 60))
    if source.next() < 0.3:
        found.insert(source.below(len(found)), source.pick(material.tokens))
    return "".join(found)


def ends(source: Source, material: Material) -> str:
    """Every kind of white space at the end of a text, and at its beginning; and texts of nothing else."""
    if source.next() < 0.1:
        return "".join(source.some(WHITE_SPACE + NEAR_SPACE, source.below(7)))
    before = source.pick(ENDINGS) if source.next() < 0.3 else ""
    middle = source.pick(UNITS) if source.next() < 0.2 else material.window(source, 12)
    return f"{before}{middle}{source.pick(ENDINGS)}{source.pick(ENDINGS) if source.next() < 0.3 else ''}"


def specials(source: Source, material: Material) -> str:
    """Special tokens: whole, cut off, inside words, beside white space and one another."""
    parts = []
    for _ in range(source.length(2.5, 9)):
        content = source.pick(material.specials)
        kind = source.next()
        if kind < 0.15:
            content = content[: source.below(len(content) + 1)]
        elif kind < 0.3:
            content = content[source.below(len(content)) :]
        elif kind < 0.35:
            content = content.swapcase()
        parts.append(content)
        kind = source.next()
        if kind < 0.35:
            parts.append(source.pick(ENDINGS))
        elif kind < 0.5:
            parts.append(source.pick(UNITS))
        elif kind < 0.8:
            parts.append(material.window(source, 8))
    if source.next() < 0.3:
        parts.insert(0, source.pick(ENDINGS) + source.pick(UNITS))
    return "".join(parts)


def long(source: Source, material: Material) -> str:
    """Thousands of characters: all of the above, and long stretches of real text, one after another."""
    parts, size = [], 0
    wanted = LONG // 2 + source.below(LONG)
    while size < wanted:
        if source.next() < 0.4:
            parts.append(material.window(source, 300))
        else:
            parts.append(source.pick(SHORT)(source, material))
        size += len(parts[-1])
    return "".join(parts)


Generate = Callable[[Source, Material], str]
SHORT: tuple[Generate, ...] = (
    *(each_character, characters, mutated, joins, digits, runs, contractions),
    *(tokens, partial_characters, ends, specials),
)


def broken(source: Source, material: Material) -> bytes:
    """Bytes of text that are no text: bytes changed, dropped and put in, text cut inside characters."""
    data = bytearray(source.pick(SHORT)(source, material).encode()[: 1 + source.below(160)])
    for _ in range(source.length(2, 8)):
        at = source.below(len(data) + 1)
        match source.below(4):
            case 0:
                data[at : at + 1] = bytes([source.below(256)])
            case 1:
                del data[at : at + 1 + source.below(3)]
            case 2:
                data[at:at] = source.pick(NOT_UTF8)
            case _:
                data[at:at] = bytes(source.some(range(0x80, 0x100), source.length(2, 12)))
    return bytes(data)


NOT_UTF8 = (
    *(b"\x80", b"\xbf", b"\xc0\x80", b"\xc1\xbf", b"\xc2", b"\xe4", b"\xe4\xbd", b"\xe0\x80\x80", b"\xe0\x9f\xbf"),
    *(b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xf0\x9f", b"\xf0\x9f\x98", b"\xf0\x80\x80\x80", b"\xf4\x90\x80\x80"),
    *(b"\xf5\x80\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xfe", b"\xff", b"\xff\xfe"),
)


def surrogates(source: Source, material: Material) -> str:
    """Text with lone surrogates in it."""
    text = list(source.pick(SHORT)(source, material)[:120])
    for _ in range(source.length(1.5, 6)):
        text.insert(source.below(len(text) + 1), chr(0xD800 + source.below(0x800)))
    return "".join(text)


def subset(source: Source, contents: Sequence[str]) -> frozenset[str]:
    """Some of the special tokens, at least one."""
    return frozenset(source.some(contents, source.length(3, 40)))
