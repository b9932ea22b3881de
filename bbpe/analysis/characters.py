"""Lists of Chinese characters that coverage is measured on: GB 2312's levels, Big5's, Unicode's Han blocks.

The lists come from where they are defined: the two national standards by way of Python's codecs of these names, the
blocks by way of ``unicode.py``. What is *simplified only* and *traditional only* is told by these standards too: a
character that GB 2312 has and Big5 lacks is written so only in simplified text, and the reverse. That says nothing about
which traditional character a simplified one stands for.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from bbpe import unicode


@dataclass(frozen=True, slots=True)
class CharacterList:
    """Characters to measure coverage on.

    Attributes:
        name: A short identifier.
        title: What it is called in reports.
        characters: The characters, in the order of the standard.
    """

    name: str
    title: str
    characters: str

    def __len__(self) -> int:
        return len(self.characters)


# Unicode's blocks that hold unified or compatibility ideographs; Blocks.txt of Unicode 16.0.
HAN_BLOCKS = (
    ("CJK Unified Ideographs", 0x4E00, 0x9FFF),
    ("CJK Extension A", 0x3400, 0x4DBF),
    ("CJK Extension B", 0x20000, 0x2A6DF),
    ("CJK Extension C", 0x2A700, 0x2B73F),
    ("CJK Extension D", 0x2B740, 0x2B81F),
    ("CJK Extension E", 0x2B820, 0x2CEAF),
    ("CJK Extension F", 0x2CEB0, 0x2EBEF),
    ("CJK Extension G", 0x30000, 0x3134F),
    ("CJK Extension H", 0x31350, 0x323AF),
    ("CJK Extension I", 0x2EBF0, 0x2EE5F),
    ("CJK Compatibility Ideographs", 0xF900, 0xFAFF),
    ("CJK Compatibility Ideographs Supplement", 0x2F800, 0x2FA1F),
)


def _decoded(codec: str, first: int, last: int, trails: tuple[range, ...]) -> str:
    """The characters of a double-byte codec whose two bytes lie from ``first`` to ``last``, as one number."""
    return "".join(
        bytes((lead, trail)).decode(codec, "ignore")
        for lead in range(first >> 8, (last >> 8) + 1)
        for span in trails
        for trail in span
        if first <= lead << 8 | trail <= last
    )


@cache
def gb2312(level: int) -> str:
    """The characters of GB 2312: level 1 the 3,755 common ones by pronunciation, level 2 the 3,008 others by radical.

    Rows 16–55 and 56–87 of the standard.

    >>> len(gb2312(1)), gb2312(1)[:3], len(gb2312(2)), gb2312(2)[0]
    (3755, '啊阿埃', 3008, '亍')
    """
    if level not in (1, 2):
        raise ValueError(f"GB 2312 has the levels 1 and 2, not {level!r}")
    first, last = (0xB0A1, 0xD7FE) if level == 1 else (0xD8A1, 0xF7FE)
    return _decoded("gb2312", first, last, (range(0xA1, 0xFF),))


@cache
def big5(level: int) -> str:
    """The characters of Big5: level 1 the 5,401 common ones, level 2 the 7,650 others, both by strokes.

    Two code points of level 2 are duplicates of the standard (兀 and 嗀) and left out.

    >>> len(big5(1)), big5(1)[:3], len(big5(2))
    (5401, '一乙丁', 7650)
    """
    if level not in (1, 2):
        raise ValueError(f"Big5 has the levels 1 and 2, not {level!r}")
    first, last = (0xA440, 0xC67E) if level == 1 else (0xC940, 0xF9D5)
    found = _decoded("big5", first, last, (range(0x40, 0x7F), range(0xA1, 0xFF)))
    return found.replace("\ufa0c", "").replace("\ufa0d", "")


@cache
def standard_lists() -> tuple[CharacterList, ...]:
    """The lists of the national standards, and what is only simplified or only traditional by them."""
    simplified, traditional = set(gb2312(1) + gb2312(2)), set(big5(1) + big5(2))
    return (
        CharacterList("gb2312-1", "GB 2312 level 1 (common)", gb2312(1)),
        CharacterList("gb2312-2", "GB 2312 level 2", gb2312(2)),
        CharacterList("big5-1", "Big5 level 1 (common)", big5(1)),
        CharacterList("big5-2", "Big5 level 2", big5(2)),
        CharacterList(
            "simplified", "only simplified (GB 2312, not Big5)", "".join(c for c in gb2312(1) + gb2312(2) if c not in traditional)
        ),
        CharacterList(
            "traditional", "only traditional (Big5 level 1, not GB 2312)", "".join(c for c in big5(1) if c not in simplified)
        ),
    )  # fmt: skip


@cache
def block_lists() -> tuple[CharacterList, ...]:
    """Unicode's Han blocks: of each, the characters that the tables of ``unicode.py`` have as assigned."""
    lists = []
    assigned = unicode.property_set("Lo")  # every ideograph is Lo; the blocks hold nothing else
    for title, first, last in HAN_BLOCKS:
        inside = unicode.CharacterSet.of_ranges([(first, last)]) & assigned
        characters = "".join(chr(code) for low, high in inside.ranges() for code in range(low, high + 1))
        lists.append(CharacterList(f"block-{first:x}", title, characters))
    return tuple(lists)
