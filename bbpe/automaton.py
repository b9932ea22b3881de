"""From a pattern to an automaton over character classes, and what cannot be compiled to one.

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
``patterns.Pretokenizer`` then runs the pattern on the ``regex`` package, spelled by ``expression.spell_out`` so that
its sets stay those of ``unicode.py``.

**Time.** Each pretoken is scanned from its beginning to the point where the automaton dies, which can be past its end.
The named patterns look only a few characters past the end, and where they find no match at all, what was tried in
vain is remembered (``gap_end``): linear in the text. A user's pattern can be made to rescan: ``a*b|a`` on a text of *n*
times ``a`` looks for the ``b`` from every position and takes n²/2 steps. The bound that always holds is (length of
text) × (longest scan from one position).

Compiling is bounded by the ``MAX_`` numbers below; beyond them a pattern is ``Inexpressible``. The parser is in
``expression.py``, the loop that runs the tables in ``_pretokenize.pxd``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from bbpe import unicode
from bbpe.errors import PatternError
from bbpe.expression import (
    Anchor,
    Atomic,
    Characters,
    Choice,
    Dialect,
    Group,
    Look,
    Node,
    Reference,
    Repeat,
    Sequence,
    parse,
)
from bbpe.unicode import CharacterSet

MAX_POSITIONS = 4000
MAX_STATES = 1000
MAX_CLASSES = 120
MAX_STEPS = 2_000_000


class Inexpressible(Exception):
    """The pattern is valid but no automaton over characters can be made of it; the message says which part."""


# Of the letters for classes in a machine as text: the one after the digits of hexadecimal numbers.
_FIRST_CLASS = ord("g")
_MOST_DIGITS = 6  # of 0x110000
_HEXADECIMAL = np.full(256, -1, np.int32)  # by character
_HEXADECIMAL[np.frombuffer(b"0123456789abcdef", np.uint8)] = range(16)


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

    def written(self) -> tuple[str, str, str]:
        """The machine as text: a row of each state, where ranges begin and their classes, pairs that are safe."""
        rows = " ".join(
            ".".join(f"{2 * state + accepted:x}" for state, accepted in zip(states, accept, strict=True))
            for states, accept in zip(self.next_state.tolist(), self.accept.tolist(), strict=True)
        )
        lengths = np.diff(self.class_starts, prepend=0).tolist()
        ranges = " ".join(
            f"{length:x}{chr(_FIRST_CLASS + id)}" for length, id in zip(lengths, self.class_ids.tolist(), strict=True)
        )
        return rows, ranges, " ".join("".join("01"[pair] for pair in row) for row in self.safe.tolist())

    @classmethod
    def read(cls, rows: str, ranges: str, safe: str) -> Machine:
        """The machine that :meth:`written` wrote."""
        states = np.array([[int(entry, 16) for entry in row.split(".")] for row in rows.split()], dtype=np.int32)
        next_state, accept = states >> 1, (states & 1).astype(bool)
        letters = np.frombuffer(ranges.encode("latin-1"), np.uint8)
        (classes,) = np.nonzero(letters >= _FIRST_CLASS)
        lengths, inside = np.zeros(len(classes), np.int32), np.ones(len(classes), bool)
        for place in range(_MOST_DIGITS):  # all last digits, then all before them
            digits = _HEXADECIMAL[letters[classes - 1 - place]]
            inside &= digits >= 0
            lengths += np.where(inside, digits << 4 * place, 0)
        return cls(
            next_state,
            accept,
            np.cumsum(lengths, dtype=np.int32),
            (letters[classes] - _FIRST_CLASS).astype(np.int32),
            np.array([[pair == "1" for pair in row] for row in safe.split()]),
            bool(_certain(next_state, accept)[next_state[1, :-1]].all()),
        )

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
