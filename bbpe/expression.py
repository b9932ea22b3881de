"""Regular expressions as trees: a parser for three dialects, and a printer for one.

The tree says what a pattern means and not in which dialect it was written: properties, ``\\s``, ``(?i)`` and set
operations have become sets of characters (``unicode.py``), flags are gone. ``spell_out`` prints it for the ``regex``
package in a way that depends on no library's Unicode version.

What a tree is compiled to is in ``automaton.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from bbpe import unicode
from bbpe.errors import PatternError
from bbpe.unicode import CharacterSet

MAX_DEPTH = 80

Dialect: TypeAlias = Literal["regex", "tiktoken", "oniguruma"]
"""Whose reading of a pattern: the PyPI package ``regex``, tiktoken (fancy-regex), or tokenizers (Oniguruma)."""


# --- The tree ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Characters:
    """One character out of a set."""

    members: CharacterSet


@dataclass(frozen=True, slots=True)
class Sequence:
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """Alternatives, the preferred one first."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    item: Node
    low: int
    high: int | None
    mode: Literal["greedy", "lazy", "possessive"]


@dataclass(frozen=True, slots=True)
class Look:
    item: Node
    ahead: bool
    negative: bool


@dataclass(frozen=True, slots=True)
class Anchor:
    """A place in the text: ``\\Z``, ``$``, ``\\A`` (also ``^``), ``\\b``, ``\\B``."""

    spelling: Literal[r"\Z", "$", r"\A", r"\b", r"\B"]


@dataclass(frozen=True, slots=True)
class Group:
    """A capturing group; its number matters only to back-references."""

    item: Node
    name: str | None


@dataclass(frozen=True, slots=True)
class Atomic:
    item: Node


@dataclass(frozen=True, slots=True)
class Reference:
    """A back-reference, as it is written."""

    spelling: str
    ignore_case: bool


Node: TypeAlias = Characters | Sequence | Choice | Repeat | Look | Anchor | Group | Atomic | Reference


# --- The parser -------------------------------------------------------------------------------------------------------

_SIMPLE_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "f": "\f", "v": "\v", "a": "\a"}
_HEX_ESCAPES = {"x": 2, "u": 4, "U": 8}
_SET_OPERATORS = ("&&", "||", "--", "~~")
_SET_OPERATORS_OF: dict[str, tuple[str, ...]] = {
    "regex": (),  # all of them after (?V1)
    "tiktoken": ("&&", "--", "~~"),
    "oniguruma": ("&&",),
}


@dataclass(slots=True)
class _Flags:
    ignore_case: bool = False
    dot_all: bool = False
    verbose: bool = False

    def copy(self) -> _Flags:
        return _Flags(self.ignore_case, self.dot_all, self.verbose)


class _Parser:
    """Recursive descent over one of the three dialects; that of ``regex`` is version 0, or 1 after a leading ``(?V1)``
    (of which the set operations are taken, not the folding of one character to several).

    They differ in what ``$``, ``\\Z`` and ``{1,3}+`` mean and in what a set may hold. Where one of them reads something
    in a way that nobody can mean (a bare ``[`` inside a set, a lone ``{``), the parser refuses and says what to write.
    """

    def __init__(self, text: str, dialect: Dialect) -> None:
        self.text = text
        self.dialect = dialect
        self.at = 0
        self.depth = 0
        self.set_operators = _SET_OPERATORS_OF[dialect]
        self.nested_sets = dialect != "regex"
        self.dot_all_flag = "m" if dialect == "oniguruma" else "s"
        self.flags = _Flags()
        self.previous_folded = ""  # the character just before, if it was a literal under (?i)

    def fail(self, what: str, at: int | None = None) -> PatternError:
        return PatternError(f"pattern {self.text!r}, position {self.at if at is None else at}: {what}")

    def looking_at(self, text: str) -> bool:
        return self.text.startswith(text, self.at)

    def take(self, text: str) -> bool:
        if self.looking_at(text):
            self.at += len(text)
            return True
        return False

    def parse(self) -> Node:
        self._leading_flags()
        node = self._choice()
        if self.at < len(self.text):
            raise self.fail("unbalanced parenthesis")
        return node

    def _leading_flags(self) -> None:
        while self.looking_at("(?"):
            close = self.text.find(")", self.at)
            letters = self.text[self.at + 2 : close]
            allowed = "xuV01" if self.dialect == "regex" else ""
            if close < 0 or not letters or not all(c in allowed + "i" + self.dot_all_flag for c in letters):
                return
            if "V1" in letters:
                self.nested_sets, self.set_operators = True, _SET_OPERATORS
            self.flags.ignore_case |= "i" in letters
            self.flags.dot_all |= self.dot_all_flag in letters
            self.flags.verbose |= "x" in letters
            self.at = close + 1

    def _choice(self) -> Node:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.fail(f"groups are nested deeper than {MAX_DEPTH}")
        items = [self._sequence()]
        while self.take("|"):
            self.previous_folded = ""
            items.append(self._sequence())
        self.depth -= 1
        return items[0] if len(items) == 1 else Choice(tuple(items))

    def _sequence(self) -> Node:
        items: list[Node] = []
        while True:
            self._skip_comments()
            if self.at >= len(self.text) or self.text[self.at] in "|)":
                return items[0] if len(items) == 1 else Sequence(tuple(items))
            items.append(self._quantified(self._atom()))

    def _skip_comments(self) -> None:
        while self.at < len(self.text):
            if self.looking_at("(?#"):
                close = self.text.find(")", self.at)
                if close < 0:
                    raise self.fail("unterminated comment")
                self.at = close + 1
            elif self.flags.verbose and self.text[self.at].isspace():
                self.at += 1
            elif self.flags.verbose and self.text[self.at] == "#":
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end + 1
            else:
                return

    def _quantified(self, item: Node) -> Node:
        self._skip_comments()
        begin = self.at
        if self.take("?"):
            low, high = 0, 1
        elif self.take("*"):
            low, high = 0, None
        elif self.take("+"):
            low, high = 1, None
        elif self.looking_at("{"):
            low, high = self._bounds()
        else:
            return item
        if isinstance(item, Anchor | Look):
            raise self.fail("nothing to repeat: an assertion takes no characters", begin)
        mode: Literal["greedy", "lazy", "possessive"] = "greedy"
        self.previous_folded = ""
        if self.dialect == "oniguruma" and self.text[begin] == "{" and self.take("+"):
            return Repeat(Repeat(item, low, high, "greedy"), 1, None, "greedy")
        if self.take("+"):
            mode = "possessive"
        elif self.take("?"):
            mode = "lazy"
            if self.dialect == "oniguruma" and self.text[begin] == "{" and low == high:
                raise self.fail("Oniguruma reads {n}? as an optional repetition", begin)
        if self.at < len(self.text) and (self.text[self.at] in "*+?" or self._at_bounds()):
            raise self.fail("multiple repeat; use a group, as in (?:a{1,3})+")
        return Repeat(item, low, high, mode)

    def _at_bounds(self) -> bool:
        close = self.text.find("}", self.at)
        inside = self.text[self.at + 1 : close]
        return self.looking_at("{") and close > 0 and inside.replace(",", "", 1).isdecimal() and inside.isascii()

    def _bounds(self) -> tuple[int, int | None]:
        if not self._at_bounds():
            raise self.fail(r"'{' does not begin a repetition such as {1,3}; write \{ for the character")
        close = self.text.find("}", self.at)
        low, comma, high = self.text[self.at + 1 : close].partition(",")
        if not low and self.dialect != "regex":
            raise self.fail("a repetition without a minimum is read differently by different dialects; write {0,n}")
        if len(low) > 6 or len(high) > 6:
            raise self.fail("repetition count too large")
        bounds = int(low or 0), (int(high) if high else None) if comma else int(low)
        if bounds[1] is not None and bounds[1] < bounds[0]:
            raise self.fail("the minimum of a repetition is above its maximum")
        self.at = close + 1
        return bounds

    def _atom(self) -> Node:
        c = self.text[self.at]
        if c == "(":
            return self._group()
        if c == "[":
            return Characters(self._set())
        if c == "\\":
            return self._escape()
        if c in "*+?":
            raise self.fail("nothing to repeat")
        if c == "{":
            self._bounds()
            raise self.fail("nothing to repeat")
        self.at += 1
        if c == ".":
            return Characters(unicode.EVERYTHING if self.flags.dot_all else ~CharacterSet.of("\n"))
        if c == "^":
            if self.dialect == "oniguruma":
                raise self.fail(r"Oniguruma reads ^ as the beginning of a line; write \A", self.at - 1)
            return Anchor(r"\A")
        if c == "$":
            return _DOLLAR[self.dialect]
        self._check_folding(c)
        return Characters(self._folded(CharacterSet.of(c)))

    def _check_folding(self, c: str) -> None:
        """Oniguruma folds one character to several under ``(?i)``: ``ss`` also finds U+00DF, ``st`` U+FB06."""
        if self.dialect != "oniguruma" or not self.flags.ignore_case:
            self.previous_folded = ""
            return
        if not c.isascii() or (self.previous_folded + c.lower()) in ("ss", "ff", "fi", "fl", "st"):
            raise self.fail("Oniguruma folds these characters under (?i) to others of another length")
        self.previous_folded = c.lower()

    def _folded(self, members: CharacterSet) -> CharacterSet:
        return unicode.folded(members) if self.flags.ignore_case else members

    def _group(self) -> Node:
        begin = self.at
        kind: str | None = None
        for opening in ("(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>"):
            if self.take(opening):
                kind = opening[2:]
                break
        saved = self.flags
        name = None
        if kind is None and self.looking_at("(?P="):
            close = self.text.find(")", self.at)
            if close < 0:
                raise self.fail("unbalanced parenthesis", begin)
            self.at = close + 1
            return Reference(self.text[begin : self.at], self.flags.ignore_case)
        if kind is None and (self.looking_at("(?P<") or self.looking_at("(?<")):
            self.at = self.text.index("<", self.at) + 1
            close = self.text.find(">", self.at)
            name = self.text[self.at : close]
            if close < 0 or not name.isidentifier():
                raise self.fail("bad group name", begin)
            self.at = close + 1
            kind = "("
        elif kind is None and self.looking_at("(?"):
            self.flags = self._scoped_flags(begin)
            kind = ":"
        elif kind is None:
            self.at += 1
            kind = "("
        item = self._choice()
        self.flags = saved
        if not self.take(")"):
            raise self.fail("unbalanced parenthesis", begin)
        if kind == ":":
            return item
        if kind == "(":
            return Group(item, name)
        if kind == ">":
            return Atomic(item)
        return Look(item, ahead="<" not in kind, negative="!" in kind)

    def _scoped_flags(self, begin: int) -> _Flags:
        flags = self.flags.copy()
        on = True
        self.at += 2
        while self.at < len(self.text):
            c = self.text[self.at]
            self.at += 1
            if c == ":":
                return flags
            if c == "-" and on:
                on = False
            elif c == "i":
                flags.ignore_case = on
            elif c == self.dot_all_flag:
                flags.dot_all = on
            elif c == "x" and self.dialect == "regex":
                flags.verbose = on
            elif c == ")":
                raise self.fail("flags in the middle of a pattern mean different things in different dialects; "
                                "put them first, or write (?i:...)", begin)  # fmt: skip
            else:
                break
        raise self.fail("this kind of group is not supported", begin)

    def _escape(self) -> Node:
        begin = self.at
        if self.at + 1 >= len(self.text):
            raise self.fail("bad escape at the end")
        c = self.text[self.at + 1]
        if c in "123456789":
            end = self.at + 2
            while end < len(self.text) and self.text[end].isdecimal():
                end += 1
            self.at = end
            return Reference(self.text[begin:end], self.flags.ignore_case)
        if c == "g":
            close = self.text.find(">", self.at)
            if not self.text.startswith("<", self.at + 2) or close < 0:
                raise self.fail("bad back-reference")
            self.at = close + 1
            return Reference(self.text[begin : self.at], self.flags.ignore_case)
        self.previous_folded = ""
        anchors: dict[str, Anchor] = {"z": Anchor(r"\Z"), "A": Anchor(r"\A")}
        if self.dialect == "regex":
            anchors |= {"Z": Anchor(r"\Z"), "b": Anchor(r"\b"), "B": Anchor(r"\B")}
        elif self.dialect == "oniguruma":
            anchors |= {"Z": Anchor("$")}
        if c in anchors:
            self.at += 2
            return anchors[c]
        if c == "R" and self.dialect == "regex":
            self.at += 2
            one = Characters(CharacterSet.of("\n\v\f\r\x85\u2028\u2029"))
            pair = Sequence((Characters(CharacterSet.of("\r")), Characters(CharacterSet.of("\n"))))
            return Atomic(Choice((pair, one)))
        members, _ = self._escaped_set(in_set=False)
        return Characters(members)

    def _escaped_set(self, in_set: bool) -> tuple[CharacterSet, str | None]:
        """The set that an escape stands for, and the character if it is a single one (which a range may begin with)."""
        begin = self.at
        c = self.text[self.at + 1 : self.at + 2]
        self.at += 2
        if c in ("p", "P"):
            return self._folded_property(self._property(c == "P", begin), in_set), None
        if c in ("w", "W") and self.dialect == "oniguruma":
            raise self.fail(r"\w is another set in Oniguruma (it has U+00B2, no U+200D)", begin)
        classes: dict[str, Callable[[], CharacterSet]] = {
            "s": unicode.space, "d": unicode.digit, "w": unicode.word
        }  # fmt: skip
        if c and c.lower() in classes:
            members = self._folded_property(classes[c.lower()](), in_set)
            return (~members if c.isupper() else members), None
        if c == "h" and self.dialect == "regex":
            return CharacterSet.of("\t") | unicode.property_set("Zs"), None
        if c in _HEX_ESCAPES:
            digits = self.text[self.at : self.at + _HEX_ESCAPES[c]]
            try:
                character = chr(int(digits, 16)) if len(digits) == _HEX_ESCAPES[c] else ""
            except ValueError:
                character = ""
            if not character:
                raise self.fail(f"\\{c} takes {_HEX_ESCAPES[c]} hexadecimal digits of a code point", begin)
            self.at += len(digits)
        elif c in _SIMPLE_ESCAPES:
            character = _SIMPLE_ESCAPES[c]
        elif c == "0":
            raise self.fail(r"octal escapes are read differently by different dialects; write \x00", begin)
        elif not c or (c.isascii() and c.isalnum()):
            raise self.fail(f"the escape \\{c} is not supported", begin)
        else:
            character = c
        return self._folded(CharacterSet.of(character)), character

    def _folded_property(self, members: CharacterSet, in_set: bool) -> CharacterSet:
        """A property under ``(?i)``. tiktoken folds it, ``regex`` does not, Oniguruma does inside a set.

        Of properties that do not speak of case the difference is one character or three (``\\p{L}``: U+0345, a mark
        that is a case variant of iota; ``regex`` itself changes its mind about it when it merges alternatives of one
        character with and without ``(?i)``). Of ``\\p{Lu}`` it is half of all letters: ``regex`` has its own answer.
        """
        if not self.flags.ignore_case:
            return members
        folded = unicode.folded(members)
        if self.dialect != "tiktoken" and len(folded - members) > 3:
            raise self.fail("a property that depends on case (such as Lu) inside (?i) means different things in "
                            "different dialects; write the set that is meant")  # fmt: skip
        return folded if self.dialect == "tiktoken" or (self.dialect == "oniguruma" and in_set) else members

    def _property(self, negated: bool, begin: int) -> CharacterSet:
        if self.take("{"):
            close = self.text.find("}", self.at)
            if close < 0:
                raise self.fail("unterminated property name", begin)
            name = self.text[self.at : close]
            self.at = close + 1
        else:
            name = self.text[self.at : self.at + 1]
            self.at += 1
        if name.startswith("^"):
            negated, name = not negated, name[1:]
        try:
            members = unicode.property_set(name.replace(":", "="))
        except PatternError as error:
            raise self.fail(str(error), begin) from None
        return ~members if negated else members

    def _set(self) -> CharacterSet:
        """A set in brackets; ``self.at`` is at its ``[``.

        ``&&``, ``--``, ``~~`` and ``||`` join what stands on either side; items side by side bind closer. A range or
        literal under ``(?i)`` is folded before a negation.
        """
        begin = self.at
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.fail(f"sets are nested deeper than {MAX_DEPTH}")
        self.at += 1
        negated = self.take("^")
        result: CharacterSet | None = None
        operator = "||"
        joined: str | None = None
        parts: list[CharacterSet] = []
        first = True
        while True:
            if self.at >= len(self.text):
                raise self.fail("unterminated set", begin)
            found = next((o for o in _SET_OPERATORS if self.looking_at(o)), None)
            closes = self.looking_at("]") and not first
            if found and found not in self.set_operators:
                raise self.fail(f"{found!r} in a set means different things in different dialects: escape it, or begin "
                                "the pattern with (?V1) to make it a set operation")  # fmt: skip
            if found or closes:
                if not parts and operator != "||":
                    raise self.fail(f"nothing after {operator!r}")
                operand = unicode.union(parts)
                result = operand if result is None else _apply(operator, result, operand)
                parts = []
                if closes:
                    break
                if joined not in (None, found):
                    raise self.fail("different set operators side by side bind differently in different dialects; "
                                    "put brackets around one part")  # fmt: skip
                joined = operator = found or operator
                self.at += 2
            else:
                parts.append(self._set_item())
            first = False
        self.at += 1
        self.depth -= 1
        return ~result if negated else result

    def _set_item(self) -> CharacterSet:
        if self.looking_at("["):
            if self.nested_sets and not self.looking_at("[:"):
                return self._set()
            raise self.fail(r"'[' inside a set means different things in different dialects: write \[ for the "
                            "character, or begin the pattern with (?V1) for nested sets")  # fmt: skip
        begin = self.at
        members, low = self._set_character()
        is_range = self.looking_at("-") and self.text[self.at + 1 : self.at + 2] not in ("]", "-", "")
        if not is_range:
            return members
        if low is None:
            raise self.fail("a range must begin with a character", begin)
        self.at += 1
        _, high = self._set_character()
        if high is None:
            raise self.fail("a range must end with a character", begin)
        if ord(high) < ord(low):
            raise self.fail(f"the range {low!r}-{high!r} runs backwards", begin)
        return self._folded(CharacterSet.of_ranges([(ord(low), ord(high))]))

    def _set_character(self) -> tuple[CharacterSet, str | None]:
        if self.looking_at("\\b"):
            self.at += 2
            return CharacterSet.of("\b"), "\b"
        if self.looking_at("\\"):
            return self._escaped_set(in_set=True)
        character = self.text[self.at]
        self.at += 1
        return self._folded(CharacterSet.of(character)), character


def _apply(operator: str, left: CharacterSet, right: CharacterSet) -> CharacterSet:
    if operator == "&&":
        return left & right
    if operator == "--":
        return left - right
    return left ^ right if operator == "~~" else left | right


_DOLLAR: dict[str, Node] = {
    "regex": Anchor("$"),
    "tiktoken": Anchor(r"\Z"),
    # The end of a line. A line ends at a newline only.
    "oniguruma": Look(Choice((Characters(CharacterSet.of("\n")), Anchor(r"\Z"))), ahead=True, negative=False),
}


def parse(pattern: str, dialect: Dialect = "regex") -> Node:
    """The tree of a pattern.

    Raises:
        PatternError: it is malformed, or uses what bbpe refuses; the message names the position.
    """
    return _Parser(pattern, dialect).parse()


# --- Spelling for `regex` ---------------------------------------------------------------------------------------------


def spell_out(pattern: str) -> str:
    """The pattern for the ``regex`` package with every set written as ranges, so that its Unicode version is of no
    account. Invalid bytes are expected as the surrogates of ``surrogateescape``.

    >>> spell_out(r"(?i:k)+(?<=a)")
    '(?:[\\\\U0000004b\\\\U0000006b\\\\U0000212a]){1,}(?<=[\\\\U00000061])'
    """
    return _spell(parse(pattern))


def _spell(node: Node) -> str:
    if isinstance(node, Characters):
        return _spell_set(node.members)
    if isinstance(node, Sequence):
        return "".join(map(_spell, node.items))
    if isinstance(node, Choice):
        return f"(?:{'|'.join(map(_spell, node.items))})"
    if isinstance(node, Repeat):
        suffix = {"greedy": "", "lazy": "?", "possessive": "+"}[node.mode]
        high = "" if node.high is None else node.high
        return f"(?:{_spell(node.item)}){{{node.low},{high}}}{suffix}"
    if isinstance(node, Group):
        return f"({f'?P<{node.name}>' if node.name else ''}{_spell(node.item)})"
    if isinstance(node, Atomic):
        return f"(?>{_spell(node.item)})"
    if isinstance(node, Look):
        return f"(?{'' if node.ahead else '<'}{'!' if node.negative else '='}{_spell(node.item)})"
    if isinstance(node, Reference):
        return f"(?i:{node.spelling})" if node.ignore_case else f"(?:{node.spelling})"
    if node.spelling in (r"\b", r"\B"):
        word = _spell_set(unicode.word())
        inside, outside = f"(?<={word})", f"(?<!{word})"
        before, after = f"(?={word})", f"(?!{word})"
        if node.spelling == r"\b":
            return f"(?:{inside}{after}|{outside}{before})"
        return f"(?:{inside}{before}|{outside}{after})"
    return node.spelling


def _spell_set(members: CharacterSet) -> str:
    """``regex`` tries the ranges of a set one after another, so those that most text is in stand first."""
    if not len(members):
        return "(?!)"
    ranges = sorted(members.ranges(), key=lambda r: (r[0] >= 0x80, r[0] - r[1]))
    return f"[{''.join(_spell_range(low, high) for low, high in ranges)}]"


def _spell_range(low: int, high: int) -> str:
    return f"\\U{low:08x}" if low == high else f"\\U{low:08x}-\\U{high:08x}"
