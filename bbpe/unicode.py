"""Unicode properties, pinned: the sets that ``\\p{L}``, ``\\s`` or ``(?i:s)`` stand for in a pattern.

The tables (``_unicode_tables.py``) are of the Unicode version that tiktoken 0.14 and tokenizers 0.23 use. They are
written by ``scripts/make_unicode_tables.py``, which asks the two libraries about every code point and fails where they
disagree; no version of Python or of ``regex`` changes what a pattern means here, so none changes ids.

Sets are kept as sorted boundaries and combined by interval arithmetic: the letters are 677 ranges, not 141,028 numbers.

**Invalid bytes.** Text is bytes. A byte that belongs to no valid UTF-8 sequence is a character of its own that has no
property. Here the surrogates U+D800–U+DFFF, which no valid text contains, stand for it: no property, range or
literal contains them, and a negated set does. ``bytes.decode("utf-8", "surrogateescape")`` maps invalid bytes to
exactly such characters, so a set printed for the ``regex`` package treats them alike.

Parsing of patterns is in ``automaton.py``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from functools import cache

import numpy as np
import numpy.typing as npt

from bbpe.errors import PatternError

CODE_POINTS = 0x110000
FIRST_SURROGATE, LAST_SURROGATE = 0xD800, 0xDFFF


class CharacterSet:
    """An immutable set of characters: sorted boundaries, [start, stop) pairs laid end to end.

    The surrogates stand for "an invalid byte" and are all in the set or all out of it.
    """

    __slots__ = ("bounds",)

    bounds: npt.NDArray[np.int32]

    def __init__(self, bounds: npt.NDArray[np.int32]) -> None:
        self.bounds = bounds

    @staticmethod
    def of_ranges(ranges: Iterable[tuple[int, int]]) -> CharacterSet:
        """The union of inclusive ranges, surrogates left out.

        >>> list(CharacterSet.of_ranges([(0x61, 0x63), (0x62, 0x64)]).ranges())
        [(97, 100)]
        """
        starts_stops = [edge for low, high in ranges for edge in ((low, 1), (high + 1, -1))]
        if not starts_stops:
            return EMPTY
        points, steps = np.array(sorted(starts_stops), dtype=np.int32).T
        last_of_point = np.append(points[1:] != points[:-1], True)
        depth = np.cumsum(steps)[last_of_point] > 0
        change = depth != np.append(False, depth[:-1])
        return CharacterSet(points[last_of_point][change].astype(np.int32)) - INVALID

    @staticmethod
    def of(characters: str) -> CharacterSet:
        """The set of the characters of a string."""
        return CharacterSet.of_ranges((ord(c), ord(c)) for c in characters)

    def ranges(self) -> Iterator[tuple[int, int]]:
        """Inclusive ranges in ascending order."""
        for start, stop in self.bounds.reshape(-1, 2).tolist():
            yield start, stop - 1

    def __contains__(self, code_point: int) -> bool:
        return bool(np.searchsorted(self.bounds, code_point, side="right") & 1)

    def __len__(self) -> int:
        return int(self.bounds[1::2].sum() - self.bounds[::2].sum())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CharacterSet) and np.array_equal(self.bounds, other.bounds)

    def __hash__(self) -> int:
        return hash(self.bounds.tobytes())

    def __repr__(self) -> str:
        shown = " ".join(f"{low:X}" if low == high else f"{low:X}-{high:X}" for low, high in self.ranges())
        return f"CharacterSet({shown if len(shown) < 80 else shown[:77] + '...'})"

    def _combined(self, other: CharacterSet, operation: np.ufunc) -> CharacterSet:
        points = np.union1d(self.bounds, other.bounds)
        here = (np.searchsorted(self.bounds, points, side="right") & 1).astype(bool)
        there = (np.searchsorted(other.bounds, points, side="right") & 1).astype(bool)
        inside = operation(here, there)
        change = inside != np.append(False, inside[:-1])
        return CharacterSet(points[change].astype(np.int32))

    def __or__(self, other: CharacterSet) -> CharacterSet:
        return self._combined(other, np.logical_or)

    def __and__(self, other: CharacterSet) -> CharacterSet:
        return self._combined(other, np.logical_and)

    def __sub__(self, other: CharacterSet) -> CharacterSet:
        return self._combined(other, np.greater)

    def __xor__(self, other: CharacterSet) -> CharacterSet:
        return self._combined(other, np.not_equal)

    def __invert__(self) -> CharacterSet:
        return self._combined(EVERYTHING, np.not_equal)


EMPTY = CharacterSet(np.empty(0, dtype=np.int32))
EVERYTHING = CharacterSet(np.array([0, CODE_POINTS], dtype=np.int32))
INVALID = CharacterSet(np.array([FIRST_SURROGATE, LAST_SURROGATE + 1], dtype=np.int32))
"""The set of one member: an invalid byte."""


def unicode_version() -> str:
    """The Unicode version of the tables, as ``"16.0"``."""
    from bbpe import _unicode_tables

    return _unicode_tables.VERSION


def _parse(ranges: str) -> CharacterSet:
    edges: list[int] = []
    for part in ranges.split():
        low, _, high = part.partition("-")
        edges += (int(low, 16), int(high or low, 16) + 1)
    return CharacterSet(np.array(edges, dtype=np.int32))


def union(sets: Iterable[CharacterSet]) -> CharacterSet:
    """The union of any number of sets.

    Counts, at every boundary, how many sets are open: one sort for all sets instead of one for each.
    """
    bounds = [s.bounds for s in sets]
    points = np.concatenate([EMPTY.bounds, *bounds])
    if not len(points):
        return EMPTY
    steps = np.concatenate([np.where(np.arange(len(b)) & 1, -1, 1) for b in bounds])
    order = np.argsort(points, kind="stable")
    points, depth = points[order], np.cumsum(steps[order])
    last_of_point = np.append(points[1:] != points[:-1], True)
    points, inside = points[last_of_point], depth[last_of_point] > 0
    change = inside != np.append(False, inside[:-1])
    return CharacterSet(points[change])


_LONG_CATEGORY_NAMES = {
    "letter": "l", "casedletter": "lc", "l&": "lc", "uppercaseletter": "lu", "lowercaseletter": "ll",
    "titlecaseletter": "lt", "modifierletter": "lm", "otherletter": "lo", "mark": "m", "combiningmark": "m",
    "nonspacingmark": "mn", "spacingmark": "mc", "enclosingmark": "me", "number": "n", "decimalnumber": "nd",
    "digit": "nd", "letternumber": "nl", "othernumber": "no", "punctuation": "p", "punct": "p",
    "connectorpunctuation": "pc", "dashpunctuation": "pd", "openpunctuation": "ps", "closepunctuation": "pe",
    "initialpunctuation": "pi", "finalpunctuation": "pf", "otherpunctuation": "po", "symbol": "s", "mathsymbol": "sm",
    "currencysymbol": "sc", "modifiersymbol": "sk", "othersymbol": "so", "separator": "z", "spaceseparator": "zs",
    "lineseparator": "zl", "paragraphseparator": "zp", "other": "c", "control": "cc", "format": "cf",
    "surrogate": "cs", "privateuse": "co", "unassigned": "cn",
}  # fmt: skip
_BINARY_ALIASES = {"space": "whitespace", "wspace": "whitespace", "alpha": "alphabetic", "upper": "uppercase",
                   "lower": "lowercase", "joinc": "joincontrol", "ideo": "ideographic", "uideo": "unifiedideograph",
                   "epres": "emojipresentation", "emod": "emojimodifier", "extpict": "extendedpictographic",
                   }  # fmt: skip


def _category(name: str) -> CharacterSet | None:
    from bbpe._unicode_tables import CATEGORIES

    name = _LONG_CATEGORY_NAMES.get(name, name)
    if name == "cn":
        return ~union(map(_parse, CATEGORIES.values())) - INVALID
    if name == "c":
        return union([property_set("cc"), property_set("cf"), property_set("co"), property_set("cn")])
    if name == "cs":
        return EMPTY
    if name == "lc":
        wanted = ["Lu", "Ll", "Lt"]
    else:
        wanted = [category for category in CATEGORIES if name and category.lower().startswith(name)]
    return union(_parse(CATEGORIES[category]) for category in wanted) if wanted else None


def _script(name: str) -> CharacterSet | None:
    from bbpe._unicode_tables import SCRIPTS

    for names, ranges in SCRIPTS.items():
        if name in names.split():
            return _parse(ranges)
    return None


def script_names() -> tuple[str, ...]:
    """The long name of every script, in lower case without underscores, sorted.

    >>> "han" in script_names(), "latin" in script_names()
    (True, True)
    """
    from bbpe._unicode_tables import SCRIPTS

    return tuple(sorted(names.split()[0] for names in SCRIPTS))


def script_set(name: str) -> CharacterSet:
    """The characters of a script, by its long or its short name; case, spaces, ``-`` and ``_`` are of no account.

    Raises:
        PatternError: There is no such script; the message names those that are spelled alike.

    >>> 0x4E2D in script_set("Han"), script_set("Hani") == script_set("han")
    (True, True)
    """
    found = _script("".join(c for c in name.lower() if c not in " _-"))
    if found is None:
        close = difflib.get_close_matches(name.lower(), script_names(), n=3, cutoff=0.5)
        known = f"did you mean {' or '.join(word.title() for word in close)}" if close else "such as Han, Latin, Arabic"
        raise PatternError(f"unknown script {name!r}: {known}? bbpe knows the scripts of Unicode {unicode_version()}")
    return found


def _binary(name: str) -> CharacterSet | None:
    from bbpe._unicode_tables import BINARY

    if name == "any":
        return EVERYTHING - INVALID
    if name == "ascii":
        return CharacterSet.of_ranges([(0, 0x7F)])
    if name == "assigned":
        return ~property_set("cn") - INVALID
    ranges = BINARY.get(_BINARY_ALIASES.get(name, name))
    return _parse(ranges) if ranges is not None else None


@cache
def property_set(name: str) -> CharacterSet:
    """The characters that have a property, by any of the names that ``\\p{...}`` takes.

    Args:
        name: a general category (``L``, ``Lu``, ``Letter``, ``gc=Lu``), a script (``Han``, ``sc=Hani``,
            ``script=Han``) or a binary property; case, spaces, ``-`` and ``_`` are of no account.

    Raises:
        PatternError: the tables do not hold that property.

    >>> len(property_set("L")), 0x4E00 in property_set("script=Han")
    (141028, True)
    """
    plain = "".join(c for c in name.lower() if c not in " _-")
    kind, separator, value = plain.partition("=")
    found: CharacterSet | None = None
    if separator:
        if kind in ("gc", "generalcategory"):
            found = _category(value)
        elif kind in ("sc", "script"):
            found = _script(value)
    else:
        for spelling in (plain, plain.removeprefix("is")):
            for lookup in (_category, _script, _binary):
                found = lookup(spelling) if found is None else found
    if found is None:
        raise PatternError(
            f"unknown Unicode property {name!r}: bbpe knows the general categories (L, Lu, Nd ...), the scripts of "
            f"Unicode {unicode_version()} (Han, Latin ...) and White_Space, Alphabetic, Uppercase, Lowercase, "
            "Join_Control, Ideographic, Unified_Ideograph, Emoji, Emoji_Presentation, Emoji_Modifier, "
            "Extended_Pictographic, Any, ASCII, Assigned"
        )
    return found


def space() -> CharacterSet:
    """What ``\\s`` matches: White_Space, 25 characters."""
    return property_set("White_Space")


def digit() -> CharacterSet:
    """What ``\\d`` matches: Nd."""
    return property_set("Nd")


@cache
def word() -> CharacterSet:
    """What ``\\w`` matches in ``regex`` and tiktoken: Alphabetic, M, Nd, Pc and Join_Control.

    Oniguruma's ``\\w`` is another set (it has U+00B2, no U+200D), so a pattern with ``\\w`` has no spelling there.
    """
    return union(map(property_set, ("Alphabetic", "M", "Nd", "Pc", "Join_Control")))


@cache
def _case_variants() -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """(characters, number of the orbit of each)."""
    from bbpe._unicode_tables import CASES

    characters = np.array([int(c, 16) for c in CASES.replace("=", " ").split()], dtype=np.int32)
    sizes = [orbit.count("=") + 1 for orbit in CASES.split()]
    return characters, np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)


def folded(characters: CharacterSet) -> CharacterSet:
    """The set and all case variants of its members (simple case folding: ``s`` brings ``S`` and ``ſ`` U+017F).

    As tiktoken has it. ``regex`` also takes the Turkish U+0130 for a variant of ``i`` and U+0131 for one of ``I``,
    whatever the language; no published pattern has an *i* under ``(?i)``.

    >>> sorted(folded(CharacterSet.of("s")).ranges())
    [(83, 83), (115, 115), (383, 383)]
    """
    members, numbers = _case_variants()
    inside = (np.searchsorted(characters.bounds, members, side="right") & 1).astype(bool)
    touched = np.zeros(int(numbers[-1]) + 1, dtype=bool)
    touched[numbers[inside]] = True
    added = members[touched[numbers] & ~inside]
    return characters | CharacterSet.of_ranges((int(c), int(c)) for c in added) if len(added) else characters


_SCRIPT_WORDS = """
Anatolian_Hieroglyphs Bassa_Vah Canadian_Aboriginal Caucasian_Albanian Cypro_Minoan Dives_Akuru Egyptian_Hieroglyphs
Gunjala_Gondi Gurung_Khema Hanifi_Rohingya Imperial_Aramaic Inscriptional_Pahlavi Inscriptional_Parthian Kayah_Li
Khitan_Small_Script Kirat_Rai Linear_A Linear_B Masaram_Gondi Meetei_Mayek Mende_Kikakui Meroitic_Cursive
Meroitic_Hieroglyphs New_Tai_Lue Nyiakeng_Puachue_Hmong Ol_Chiki Ol_Onal Old_Hungarian Old_Italic Old_North_Arabian
Old_Permic Old_Persian Old_Sogdian Old_South_Arabian Old_Turkic Old_Uyghur Pahawh_Hmong Pau_Cin_Hau Phags_Pa
Psalter_Pahlavi Sora_Sompeng Syloti_Nagri Tai_Le Tai_Tham Tai_Viet Tulu_Tigalari Warang_Citi Zanabazar_Square
"""


@cache
def script_table() -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int16], tuple[str, ...]]:
    """The script of every code point, for many look-ups at once.

    Returns:
        (first code points of ranges, ascending from 0; the number of each range's script; names by number). The script
        of ``c`` is ``names[numbers[np.searchsorted(starts, c, side="right") - 1]]``. Number 0 is ``"Unknown"``: not
        assigned, private use, or an invalid byte.
    """
    from bbpe._unicode_tables import SCRIPTS

    words = {name.replace("_", "").lower(): name.replace("_", " ") for name in _SCRIPT_WORDS.split()}
    spans: list[tuple[int, int, int]] = []
    names = ["Unknown"]
    for name, ranges in SCRIPTS.items():
        long = name.split()[0]
        spans += [(low, high, len(names)) for low, high in _parse(ranges).ranges()]
        names.append(words.get(long, long.capitalize()))
    starts, numbers = [0], [0]
    for low, high, number in sorted(spans):
        if starts[-1] == low:
            numbers[-1] = number
        else:
            starts.append(low)
            numbers.append(number)
        starts.append(high + 1)
        numbers.append(0)
    return np.array(starts, dtype=np.int32), np.array(numbers, dtype=np.int16), tuple(names)


def script_of(character: str) -> str:
    """The script of one character by its long name; ``"Common"`` for what all scripts share (digits, punctuation).

    >>> script_of("中"), script_of("a"), script_of("1"), script_of("\\u0301"), script_of("\\U0001E5D0")
    ('Han', 'Latin', 'Common', 'Inherited', 'Ol Onal')
    """
    starts, numbers, names = script_table()
    return names[int(numbers[np.searchsorted(starts, ord(character), side="right") - 1])]
