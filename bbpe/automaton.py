"""From a pattern to an automaton over character classes: parser, compiler, and what cannot be compiled.

A pattern can tell apart only a few sets of characters (cl100k's tells 11). ``compile_pattern`` finds these *classes*
and turns the pattern into one table: state × class → next state, and whether the match may end before this character.
Running it costs one class look-up and one table look-up per character, whatever the pattern (``_pretokenize.pyx``).

**Which match is found** is what a backtracking engine finds: of all ways to match, the one it tries first
(leftmost-first). A state is therefore the *ordered* list of positions in the pattern that are still alive, best first;
a position that reaches the end of the pattern cuts off everything after it. This is Pike's simulation of a backtracking
matcher (R. Cox, "Regular Expression Matching: the Virtual Machine Approach", 2009) with the lists made into states
beforehand. Where a match may end can depend on the next character (``\\s+(?!\\S)``), so ending is a bit on the
transition, not on the state, and the end of the text is a class of its own. The machine is then made the smallest one,
in one numbering, so that two spellings of a pattern can be proven equal (``Machine.same_matches``).

**What is compiled exactly**: alternation, groups, ``(?i:...)``, sets with ranges, properties and nested sets, greedy
and lazy repetition, look-ahead of one character, ``\\Z``. A possessive or atomic group is compiled as a plain one where
that is proven to be the same (``_Builder.check_possessive``), ``$`` as ``\\Z`` likewise. Everything else
(back-references, look-behind, longer look-ahead, ``^``, ``\\b``) raises ``Inexpressible`` with the reason;
``patterns.Pretokenizer`` then runs the pattern on the ``regex`` package, spelled by ``spell_out`` so that its sets stay
those of ``unicode.py``.

**Time.** Each pretoken is scanned from its beginning to the point where the automaton dies, which can be past its end.
All named patterns look at most a bounded number of characters, or one run of white space, past the end, and never
twice: linear. A user's pattern can be made to rescan: ``a*b|a`` on a text of *n* times ``a`` looks for the ``b`` from
every position and takes n²/2 steps. The bound that always holds is (length of text) × (longest scan of one pretoken).

Compiling is bounded by the ``MAX_`` numbers below; beyond them a pattern is ``Inexpressible``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from bbpe import unicode
from bbpe.errors import PatternError
from bbpe.unicode import CharacterSet

MAX_POSITIONS = 4000
MAX_STATES = 1000
MAX_CLASSES = 120
MAX_STEPS = 2_000_000
MAX_DEPTH = 80


Dialect: TypeAlias = Literal["regex", "tiktoken", "oniguruma"]
"""Whose reading of a pattern: the PyPI package ``regex``, tiktoken (fancy-regex), or tokenizers (Oniguruma)."""


class Inexpressible(Exception):
    """The pattern is valid but no automaton over characters can be made of it; the message says which part."""


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
    """Recursive descent over one of the three dialects; that of ``regex`` is version 0, or 1 after a leading ``(?V1)``.

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
            allowed = "isxuV01" if self.dialect == "regex" else "is"
            if close < 0 or not letters or not all(c in allowed for c in letters):
                return
            if "V1" in letters:
                self.nested_sets, self.set_operators = True, _SET_OPERATORS
            self.flags = _Flags("i" in letters or self.flags.ignore_case, "s" in letters or self.flags.dot_all,
                                "x" in letters or self.flags.verbose)  # fmt: skip
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
            elif c == "s":
                flags.dot_all = on
            elif c == "x":
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
        that is a case variant of iota). Of ``\\p{Lu}`` it is half of all letters, and ``regex`` has its own answer.
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

        In version 1, ``&&``, ``--``, ``~~`` and ``||`` join what stands on either side, left to right; items side by
        side bind closer. A range or literal under ``(?i)`` is folded before a negation.
        """
        begin = self.at
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.fail(f"sets are nested deeper than {MAX_DEPTH}")
        self.at += 1
        negated = self.take("^")
        result: CharacterSet | None = None
        operator = "||"
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
                operator = found or operator
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


# --- The compiler -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Machine:
    """A compiled pattern: the tables that ``_pretokenize.Automaton`` lays out for running.

    Attributes:
        next_state: shape (states, classes + 1), int32. State 0 is dead, state 1 the start. The last class is the end
            of the text.
        accept: the same shape, bool: the match may end before the character of this class.
        class_starts: first code points of the ranges of one class, ascending from 0, int32.
        class_ids: the class of each range, int32. The surrogates are "an invalid byte".
        safe: shape (classes, classes), bool: between a character of the first and one of the second class there is
            always a boundary (see ``_safe_pairs``).
        covers_everything: no text is ever left between two matches.
    """

    next_state: npt.NDArray[np.int32]
    accept: npt.NDArray[np.bool_]
    class_starts: npt.NDArray[np.int32]
    class_ids: npt.NDArray[np.int32]
    safe: npt.NDArray[np.bool_]
    covers_everything: bool

    @property
    def states(self) -> int:
        return int(self.next_state.shape[0])

    @property
    def classes(self) -> int:
        """Number of classes, the end of the text not counted."""
        return int(self.next_state.shape[1]) - 1

    def same_matches(self, other: Machine) -> bool:
        """Whether both find the same matches in every text.

        This decides it: a machine holds a state for every different future and a class for every character that some
        future tells apart, no end that is not the end of a match in some text, and is numbered in one way.
        """
        return all(
            np.array_equal(mine, its)
            for mine, its in (
                (self.next_state, other.next_state),
                (self.accept, other.accept),
                (self.class_starts, other.class_starts),
                (self.class_ids, other.class_ids),
            )
        )

    def class_of(self, code_point: int) -> int:
        """The class of a code point; a surrogate asks for that of an invalid byte."""
        return int(self.class_ids[np.searchsorted(self.class_starts, code_point, side="right") - 1])


_Predicate: TypeAlias = "tuple[CharacterSet, bool]"  # true before a character of the set; true at the end of the text


@dataclass(slots=True)
class _Possessive:
    exit: int
    loop: CharacterSet | None  # None: not a single character, only rule (a) can prove it
    bounded: bool


class _Program:
    """The pattern as instructions for a backtracking machine.

    ``("set", i)`` takes one character of set i; ``("look", i)`` passes if predicate i holds for the next character;
    ``("split", a, b)`` tries a first; ``("jump", a)``; ``("match",)``.
    """

    def __init__(self, tree: Node) -> None:
        self.code: list[tuple[str, int, int]] = []
        self.sets: list[CharacterSet] = []
        self.predicates: list[_Predicate] = []
        self.possessives: list[_Possessive] = []
        self._numbers: dict[CharacterSet, int] = {}
        for branch, last in _branches(tree):
            split = self._emit("split") if not last else -1
            self._generate(_without_final_dollar(branch))
            self._emit("match")
            if split >= 0:
                self.code[split] = ("split", split + 1, len(self.code))

    def _emit(self, kind: str, first: int = -1, second: int = -1) -> int:
        if len(self.code) >= MAX_POSITIONS:
            raise Inexpressible(f"it has more than {MAX_POSITIONS} positions once its repetitions are written out")
        self.code.append((kind, first, second))
        return len(self.code) - 1

    def _set_number(self, members: CharacterSet) -> int:
        if members not in self._numbers:
            self._numbers[members] = len(self.sets)
            self.sets.append(members)
        return self._numbers[members]

    def _generate(self, node: Node) -> None:
        if isinstance(node, Characters):
            self._emit("set", self._set_number(node.members))
        elif isinstance(node, Sequence):
            for item in node.items:
                self._generate(item)
        elif isinstance(node, Choice):
            self._generate_choice(node)
        elif isinstance(node, Repeat):
            self._generate_repeat(node)
        elif isinstance(node, Group):
            self._generate(node.item)
        elif isinstance(node, Atomic):
            self._generate(node.item)
            self.possessives.append(_Possessive(len(self.code), None, True))
        elif isinstance(node, Look):
            if not node.ahead:
                raise Inexpressible("it looks behind")
            predicate = _predicate(node.item)
            self._emit_look((~predicate[0], not predicate[1]) if node.negative else predicate)
        elif isinstance(node, Reference):
            raise Inexpressible("it has a back-reference")
        elif node.spelling == r"\Z":
            self._emit_look((unicode.EMPTY, True))
        elif node.spelling == "$":
            raise Inexpressible(r"'$' also matches before a newline at the end (write \Z for the end alone)")
        else:
            raise Inexpressible(f"{node.spelling} depends on what stands before it")

    def _emit_look(self, predicate: _Predicate) -> None:
        self._set_number(predicate[0])
        self.predicates.append(predicate)
        self._emit("look", len(self.predicates) - 1)

    def _generate_choice(self, node: Choice) -> None:
        jumps = []
        for index, item in enumerate(node.items):
            if index == len(node.items) - 1:
                self._generate(item)
            else:
                split = self._emit("split")
                self._generate(item)
                jumps.append(self._emit("jump"))
                self.code[split] = ("split", split + 1, len(self.code))
        for jump in jumps:
            self.code[jump] = ("jump", len(self.code), -1)

    def _generate_repeat(self, node: Repeat) -> None:
        if _nullable(node.item) and node.high != 1:
            raise Inexpressible("it repeats something that can be empty")
        for _ in range(node.low):
            self._generate(node.item)
        splits = []
        if node.high is None:
            splits.append(self._emit("split"))
            self._generate(node.item)
            self._emit("jump", splits[0])
        else:
            for _ in range(node.high - node.low):
                splits.append(self._emit("split"))
                self._generate(node.item)
        exit_ = len(self.code)
        for split in splits:
            self.code[split] = ("split", exit_, split + 1) if node.mode == "lazy" else ("split", split + 1, exit_)
        if node.mode == "possessive":
            loop = node.item.members if isinstance(node.item, Characters) else None
            self.possessives.append(_Possessive(exit_, loop, node.high is not None))


def _branches(tree: Node) -> Iterator[tuple[Node, bool]]:
    items = tree.items if isinstance(tree, Choice) else (tree,)
    for index, item in enumerate(items):
        yield item, index == len(items) - 1


def _without_final_dollar(branch: Node) -> Node:
    """``X+$`` at the end of an alternative as ``X+\\Z`` where X takes newlines and the repetition has no upper bound.

    ``$`` also holds before a newline that ends the text. But there the repetition, which takes newlines and as much as
    it can, has first tried to take that one too, and has found ``\\Z`` right behind it.
    """
    if isinstance(branch, Sequence) and len(branch.items) >= 2 and branch.items[-1] == Anchor("$"):
        loop = branch.items[-2]
        if (
            isinstance(loop, Repeat) and loop.high is None and loop.mode != "lazy"
            and isinstance(loop.item, Characters) and 0x0A in loop.item.members
        ):  # fmt: skip
            return Sequence((*branch.items[:-1], Anchor(r"\Z")))
    return branch


def _nullable(node: Node) -> bool:
    if isinstance(node, Characters | Reference):  # a reference is given up for other reasons
        return False
    if isinstance(node, Sequence):
        return all(map(_nullable, node.items))
    if isinstance(node, Choice):
        return any(map(_nullable, node.items))
    if isinstance(node, Repeat):
        return node.low == 0 or _nullable(node.item)
    if isinstance(node, Group | Atomic):
        return _nullable(node.item)
    return True


def _predicate(node: Node) -> _Predicate:
    """What a look-ahead asks of the next character alone.

    Raises:
        Inexpressible: it asks more.
    """
    if isinstance(node, Characters):
        return node.members, False
    if isinstance(node, Choice):
        parts = [_predicate(item) for item in node.items]
        return unicode.union(p[0] for p in parts), any(p[1] for p in parts)
    if isinstance(node, Group | Atomic):
        return _predicate(node.item)
    if isinstance(node, Sequence) and len(node.items) == 0:
        return unicode.EVERYTHING, True
    if isinstance(node, Repeat) and node.low <= 1 and node.high != 0:
        # Whether it matches at all is asked, not how far.
        return (unicode.EVERYTHING, True) if node.low == 0 else _predicate(node.item)
    if node == Anchor(r"\Z"):
        return unicode.EMPTY, True
    if isinstance(node, Look) and node.ahead:
        inner = _predicate(node.item)
        return (~inner[0], not inner[1]) if node.negative else inner
    raise Inexpressible("it looks ahead further than one character")


def _classes(
    sets: list[CharacterSet],
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.bool_]]:
    """The distinct ways in which characters belong to the sets.

    Returns:
        (first code points of ranges, class of each range, membership of shape (classes, sets)).
    """
    points = np.unique(np.concatenate([unicode.INVALID.bounds, [0], *(s.bounds for s in sets)]))
    points = points[points < unicode.CODE_POINTS].astype(np.int32)
    member = np.zeros((len(points), max(len(sets), 1)), dtype=bool)
    for number, members in enumerate(sets):
        member[:, number] = np.searchsorted(members.bounds, points, side="right") & 1
    packed = np.packbits(member, axis=1)
    keys = np.ascontiguousarray(packed).view(np.dtype((np.void, packed.shape[1]))).ravel()
    _, first, ids = np.unique(keys, return_index=True, return_inverse=True)
    return points, ids.reshape(-1).astype(np.int32), member[first]


class _Builder:
    """The subset construction over ordered lists of positions."""

    def __init__(self, program: _Program) -> None:
        self.program = program
        self.class_starts, self.class_ids, member = _classes(program.sets)
        self.classes = len(member)
        if self.classes > MAX_CLASSES:
            raise Inexpressible(f"it tells more than {MAX_CLASSES} classes of characters apart")
        self.end = self.classes
        numbers = {s: n for n, s in enumerate(program.sets)}
        # One row for each set, one entry for each class, the end of the text last.
        self.takes = [[*member[:, n].tolist(), False] for n in range(len(program.sets))]
        self.passes = [[*member[:, numbers[s]].tolist(), at_end] for s, at_end in program.predicates]
        self.steps = 0
        self._followed: dict[tuple[int, int], tuple[tuple[int, ...], bool]] = {}

    def follow(self, position: int, column: int) -> tuple[tuple[int, ...], bool]:
        """From a position, before a character of a class: the positions after it, best first, and whether the
        pattern can end before it. What is worse than that end is cut off."""
        key = (position, column)
        if key in self._followed:
            return self._followed[key]
        code = self.program.code
        after: dict[int, None] = {}
        seen: set[int] = set()
        ends = False
        stack = [position]
        while stack:
            at = stack.pop()
            if at in seen:
                continue
            seen.add(at)
            kind, first, second = code[at]
            if kind == "set":
                if self.takes[first][column]:
                    after[at + 1] = None
            elif kind == "split":
                stack.append(second)
                stack.append(first)
            elif kind == "jump":
                stack.append(first)
            elif kind == "look":
                if self.passes[first][column]:
                    stack.append(at + 1)
            else:
                ends = True
                break
        self.steps += len(seen)
        if self.steps > MAX_STEPS:
            raise Inexpressible("compiling it takes too many steps")
        self._followed[key] = tuple(after), ends
        return self._followed[key]

    def build(self) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.bool_]]:
        numbers: dict[tuple[int, ...], int] = {(): 0, (0,): 1}
        order: list[tuple[int, ...]] = [(), (0,)]
        next_rows: list[list[int]] = []
        accept_rows: list[list[bool]] = []
        for state in order:  # grows while it is walked
            next_row, accept_row = [], []
            for column in range(self.classes + 1):
                after: dict[int, None] = {}
                ends = False
                for position in state:
                    more, ends = self.follow(position, column)
                    after.update(dict.fromkeys(more))
                    if ends:
                        break
                self.steps += len(state) + len(after)
                key = tuple(after)
                if key not in numbers:
                    if len(order) >= MAX_STATES:
                        raise Inexpressible(f"its automaton has more than {MAX_STATES} states")
                    numbers[key] = len(order)
                    order.append(key)
                next_row.append(numbers[key])
                accept_row.append(ends)
            if self.steps > MAX_STEPS:
                raise Inexpressible("compiling it takes too many steps")
            next_rows.append(next_row)
            accept_rows.append(accept_row)
        return np.array(next_rows, dtype=np.int32), np.array(accept_rows, dtype=bool)

    def check_possessive(self, loop: _Possessive) -> None:
        """A possessive repetition or atomic group is a plain one if giving something back never helps.

        Either (a) what follows succeeds wherever the group stops at first, so nothing is ever given back; or (b) the
        group is a run of single characters and what follows can neither take one of these nor end before one, so
        giving back never succeeds.

        Raises:
            Inexpressible: neither could be shown.
        """
        if all(
            self.follow(loop.exit, column)[1]
            for column in range(self.classes + 1)
            # An unbounded run stops only before what it cannot take.
            if loop.loop is None or loop.bounded or not self.takes[self.program.sets.index(loop.loop)][column]
        ):
            return
        if loop.loop is not None:
            takes = self.takes[self.program.sets.index(loop.loop)]
            if all(self.follow(loop.exit, c) == ((), False) for c in range(self.classes) if takes[c]):
                return
        raise Inexpressible("a possessive or atomic part could not be proven equal to a plain one")


def _minimal(
    next_state: npt.NDArray[np.int32], accept: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.bool_]]:
    """The same machine with as few states as possible (Moore's refinement); dead stays 0 and start stays 1.

    It also makes every state from which no match can end the dead one, so a scan stops as early as it can.
    """
    # States are told apart by how far the next possible end is, to begin with: that is true of no two equal states,
    # and a long chain (``a{900}``) then needs one round instead of one for each state.
    block: npt.NDArray[np.int64] = np.where(accept.any(axis=1), 1, 0).astype(np.int64)
    for distance in range(2, len(next_state) + 2):
        nearer = (block == 0) & (block[next_state] != 0).any(axis=1)
        if not nearer.any():
            break
        block[nearer] = distance
    blocks = int(block.max()) + 1
    while True:
        signature = np.column_stack([block, block[next_state] * 2 + accept])
        refined = np.unique(signature, axis=0, return_inverse=True)[1].reshape(-1)
        count = int(refined.max()) + 1
        if count == blocks:
            break
        block, blocks = refined, count
    # Number the blocks by their first state: the dead state has number 0 and the start 1.
    first_of_block = np.unique(block, return_index=True)[1]
    order = np.argsort(first_of_block)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    kept = first_of_block[order]
    return rank[block][next_state[kept]].astype(np.int32), accept[kept]


def _in_order(
    next_state: npt.NDArray[np.int32], accept: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.bool_]]:
    """The same machine with its states numbered as a breadth-first walk meets them, columns taken in order."""
    order = [0, 1]
    numbers = {0: 0, 1: 1}
    for state in order:  # grows while it is walked
        for following in next_state[state].tolist():
            if following not in numbers:
                numbers[following] = len(order)
                order.append(following)
    renumbered = np.array([numbers[state] for state in range(len(next_state))], dtype=np.int32)
    return renumbered[next_state[order]], accept[order]


def _certain(next_state: npt.NDArray[np.int32], accept: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """For each state: whether every text that may follow makes it accept at least once more.

    The greatest solution of "accepts here, or the next state is certain, for every class": a text is finite, so a
    cycle is left at last, by way of the end of the text.
    """
    certain = np.ones(len(next_state), dtype=bool)
    certain[0] = False
    while True:
        later = certain[next_state]
        later[:, -1] = False
        refined = certain & (accept | later).all(axis=1)
        if (refined == certain).all():
            return certain
        certain = refined


def _safe_pairs(
    next_state: npt.NDArray[np.int32], accept: npt.NDArray[np.bool_], certain: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    """Pairs of classes between which every scan has a boundary, whatever stands around them.

    (c1, c2) is safe if from every state that taking c1 can lead to, c2 leads to the dead state: then no match crosses.
    A scan that gave up some characters before begins anew and dies at the same place. Where c1 can be left unmatched
    (in a gap), a match must also begin with c2 for certain, or the gap could run on.
    """
    classes = next_state.shape[1] - 1
    safe = np.zeros((classes, classes), dtype=bool)
    begins = accept[1, :classes] | certain[next_state[1, :classes]]  # a match begins with this class for certain
    for first in range(classes):
        reached = np.unique(next_state[:, first])
        safe[first] = (next_state[reached[reached != 0]][:, :classes] == 0).all(axis=0)
        if not begins[first]:
            safe[first] &= begins
    return safe


def compile_pattern(pattern: str, dialect: Dialect = "regex") -> Machine:
    """Compile one stage.

    Args:
        pattern: the pattern as it is written in ``dialect``.
        dialect: whose reading of it is meant.

    Raises:
        PatternError: malformed, refused, or able to match the empty string.
        Inexpressible: valid, but not for an automaton.

    >>> machine = compile_pattern(r" ?\\w+|\\s+(?!\\S)|\\s+")
    >>> machine.covers_everything
    False
    """
    program = _Program(parse(pattern, dialect))
    builder = _Builder(program)
    for loop in program.possessives:
        builder.check_possessive(loop)
    next_state, accept = builder.build()
    certain = _certain(next_state, accept)
    if (accept[1] & ~np.append(certain[next_state[1, :-1]], False)).any():
        raise PatternError(f"pattern {pattern!r} can match the empty string; a pretoken has at least one character")
    # An end that a later one always replaces need not be noted. What is left depends on nothing but the matches, so
    # the smallest machine is the same for every spelling of a pattern (see `Machine.same_matches`).
    accept[:, :-1] &= ~certain[next_state[:, :-1]]
    next_state, accept = _minimal(next_state, accept)
    if len(next_state) < 2:
        raise PatternError(f"pattern {pattern!r} can never match anything")
    # Classes that the machine does not tell apart are one; they are numbered by their first character.
    columns = np.vstack([next_state, accept])[:, :-1].T
    merged = np.unique(np.ascontiguousarray(columns), axis=0, return_inverse=True)[1].reshape(-1)[builder.class_ids]
    first = np.unique(merged, return_index=True)[1]
    ids = np.argsort(np.argsort(first))[merged].astype(np.int32)
    kept = np.append(builder.class_ids[np.sort(first)], next_state.shape[1] - 1)
    next_state, accept = _in_order(next_state[:, kept], accept[:, kept])
    change = np.append(True, ids[1:] != ids[:-1])
    certain = _certain(next_state, accept)
    return Machine(
        next_state,
        accept,
        builder.class_starts[change],
        ids[change],
        _safe_pairs(next_state, accept, certain),
        bool(certain[next_state[1, :-1]].all()),
    )


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
