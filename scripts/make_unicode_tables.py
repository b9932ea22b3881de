"""Write ``bbpe/_unicode_tables.py``: the properties that patterns speak of, as tiktoken and tokenizers see them.

The sets are not taken from a Unicode data file but asked of the two libraries themselves: every code point is put
into one string and a pattern of one property picks its members. So the tables hold exactly what these libraries would
do, and the script fails where the two disagree. What it asks:

* the general categories, White_Space and a few binary properties: tiktoken (Rust's regex) and tokenizers (Oniguruma);
* the scripts: both, by their own spelling (``\\p{sc=Han}`` and ``\\p{Han}``);
* case folding: tiktoken only. Oniguruma also folds one character to several (``(?i:ss)`` finds U+00DF there), which no
  published pattern uses; ``bbpe.patterns`` refuses such a spelling for tokenizer.json instead of changing its meaning.

The names of the scripts come from the ``regex`` package, which knows a newer Unicode; a script that the two libraries
do not know is left out. Run ``python scripts/make_unicode_tables.py`` (some 3 minutes) and commit the result; with
``--check`` it compares the committed file with what the installed libraries say, and exits with 1 when they differ.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

import tiktoken
import tokenizers
from regex import _regex_core

TARGET = Path(__file__).resolve().parent.parent / "bbpe" / "_unicode_tables.py"

CATEGORIES = (  # Cs and Cn are made from these in bbpe.unicode
    "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po",
    "Sm", "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf", "Co",
)  # fmt: skip
# The second name is what Oniguruma calls it.
BINARY = {
    "whitespace": ("White_Space", "White_Space"),
    "alphabetic": ("Alphabetic", "Alphabetic"),
    "uppercase": ("Uppercase", "Uppercase"),
    "lowercase": ("Lowercase", "Lowercase"),
    "joincontrol": ("Join_Control", "Join_Control"),
    "ideographic": ("Ideographic", "Ideographic"),
    "unifiedideograph": ("Unified_Ideograph", "Unified_Ideograph"),
    "emoji": ("Emoji", "Emoji"),
    "emojipresentation": ("Emoji_Presentation", "Emoji_Presentation"),
    "emojimodifier": ("Emoji_Modifier", "Emoji_Modifier"),
    "extendedpictographic": ("Extended_Pictographic", "Extended_Pictographic"),
}
# The version is told by what it assigned: U+10D40 (Garay) came with 16.0, U+20C1 (Saudi riyal) with 17.0.
FIRST_OF_VERSION = {"16.0": 0x10D40, "17.0": 0x20C1}

EVERY = "".join(chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000)
BYTES = {bytes([value]): value for value in range(256)}


def ask_tiktoken(pattern: str, text: str = EVERY) -> set[int]:
    """The characters of ``text`` that ``pattern`` matches; tiktoken drops what a pattern leaves unmatched."""
    encoding = tiktoken.Encoding("probe", pat_str=pattern, mergeable_ranks=BYTES, special_tokens={})
    return set(map(ord, encoding.decode(encoding.encode_ordinary(text))))


def ask_tokenizers(pattern: str, text: str = EVERY) -> set[int]:
    """The same of Oniguruma, by removing everything that does not match."""
    split = tokenizers.pre_tokenizers.Split(tokenizers.Regex(pattern), "removed", invert=True)
    return {ord(character) for piece, _ in split.pre_tokenize_str(text) for character in piece}


def ask_both(name: str, rust: str, oniguruma: str) -> set[int]:
    members = ask_tiktoken(rust)
    if members != ask_tokenizers(oniguruma):
        raise SystemExit(f"tiktoken and tokenizers disagree on {name}: {len(members)} characters in tiktoken")
    return members


def script_names() -> list[tuple[str, str]]:
    """(long name, short name) of every script that ``regex`` knows, both in lower case without underscores."""
    names: dict[int, list[str]] = {}
    for name, value in _regex_core.PROPERTIES["SCRIPT"][1].items():
        names.setdefault(value, []).append(name.lower())
    return sorted((group[0], group[-1] if len(group) > 1 else group[0]) for group in names.values())


def scripts() -> dict[str, set[int]]:
    found = {}
    for long, short in script_names():
        if long in ("unknown", "katakanaorhiragana"):
            continue
        try:
            members = ask_tiktoken(rf"\p{{sc={long}}}")
        except ValueError:  # newer than tiktoken's Unicode
            continue
        if members != ask_tokenizers(rf"\p{{{long}}}"):
            raise SystemExit(f"tiktoken and tokenizers disagree on the script {long}")
        found[long if long == short else f"{long} {short}"] = members
    return found


def case_orbits() -> list[tuple[int, ...]]:
    """Sets of characters that are one another's case variants under Unicode's simple case folding, as tiktoken has it.

    Only characters that change under some case mapping are asked one by one; that no other takes part is verified.
    """
    cased = ask_tiktoken(r"[\p{Changes_When_Casemapped}\p{Changes_When_Casefolded}]")
    text = "".join(map(chr, sorted(cased)))
    orbits = set()
    for code_point in sorted(cased):
        orbit = ask_tiktoken(rf"(?i:\x{{{code_point:x}}})", text)
        if len(orbit) > 1:
            orbits.add(tuple(sorted(orbit)))
    rest = ask_tiktoken(r"(?i:[^\p{Changes_When_Casemapped}\p{Changes_When_Casefolded}])")
    # A negated set is folded before it is negated, so `rest` must hold exactly what is not cased.
    if rest & {c for orbit in orbits for c in orbit}:
        raise SystemExit("a character outside Changes_When_Casemapped has a case variant")
    if len({c for orbit in orbits for c in orbit}) != sum(map(len, orbits)):
        raise SystemExit("case variants are not an equivalence")
    return sorted(orbits)


def ranges(members: Iterable[int]) -> str:
    """``{0x41, 0x42, 0x61}`` → ``"41-42 61"``."""
    found: list[list[int]] = []
    for code_point in sorted(members):
        if found and found[-1][1] == code_point - 1:
            found[-1][1] = code_point
        else:
            found.append([code_point, code_point])
    return " ".join(f"{low:x}" if low == high else f"{low:x}-{high:x}" for low, high in found)


def literal(text: str) -> str:
    lines = textwrap.wrap(text, 110)
    if len(text) <= 80:
        return f'"{text}"'
    return '"""\n' + "\n".join(lines) + '\n"""'


def table(name: str, sets: dict[str, str]) -> str:
    rows = "".join(f'    "{key}": {literal(members)},\n' for key, members in sets.items())
    return f"{name}: dict[str, str] = {{\n{rows}}}\n"


def render() -> str:
    categories = {name: ask_both(name, rf"\p{{{name}}}", rf"\p{{{name}}}") for name in CATEGORIES}
    assigned = set().union(*categories.values())
    if assigned != ask_both("Cn", r"\P{Cn}", r"\P{Cn}"):
        raise SystemExit("the general categories do not partition the assigned characters")
    # `\s` and `\d` are taken to be these two properties.
    if ask_both(r"\s", r"\s", r"\s") != ask_both("White_Space", r"\p{White_Space}", r"\p{White_Space}"):
        raise SystemExit(r"\s is not White_Space")
    if ask_both(r"\d", r"\d", r"\d") != categories["Nd"]:
        raise SystemExit(r"\d is not Nd")
    unicode_version = max(name for name, first in FIRST_OF_VERSION.items() if first in assigned)
    binary = {name: ask_both(name, rf"\p{{{rust}}}", rf"\p{{{onig}}}") for name, (rust, onig) in BINARY.items()}
    orbits = " ".join("=".join(f"{c:x}" for c in orbit) for orbit in case_orbits())
    asked = f"tiktoken {version('tiktoken')} and tokenizers {version('tokenizers')}"
    return (
        f'"""Unicode {unicode_version} as {asked} have it: ranges of code points in hexadecimal.\n\n'
        "Written by scripts/make_unicode_tables.py; not to be edited. Read through bbpe.unicode.\n"
        '"""\n\n'
        f'VERSION = "{unicode_version}"\n'
        f'ASKED = "{asked}"\n\n'
        + table("CATEGORIES", {name: ranges(members) for name, members in categories.items()})
        + "\n"
        + table("BINARY", {name: ranges(members) for name, members in binary.items()})
        + "\n# Long name and short name.\n"
        + table("SCRIPTS", {name: ranges(members) for name, members in scripts().items()})
        + "\n# Characters that are one another's case variants (simple case folding).\n"
        + f"CASES: str = {literal(orbits)}\n"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare with the committed file, write nothing")
    check = parser.parse_args().check
    text = render()
    if check:
        same = TARGET.read_text(encoding="utf-8") == text
        print("unchanged" if same else f"{TARGET.name} differs from what the installed libraries say")
        return 0 if same else 1
    TARGET.write_text(text, encoding="utf-8")
    print(f"wrote {TARGET} ({len(text)} bytes)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
