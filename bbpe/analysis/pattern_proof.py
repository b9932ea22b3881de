"""Which tokens a pattern always cuts: decided over its automaton, not tried out.

**The question.** A token can come out of a text only where some pretoken holds all of its bytes. Is there a text with
such a pretoken?

**Matches.** Let a pretoken be a match that begins at *b* and holds the token at *i* to *j*. What stands before *b* has no
say in it (no automaton looks behind), so let the text begin there. The scan has then taken some characters and is in
some state *q*; it takes the token's characters and is in a state that is not the dead one, or the match would end
before *j*. Conversely: every state of a ``Machine`` is reached by some text, and from every state but the dead one some
text leads to an end of a match. So a pretoken can hold the token **if and only if** its characters lead from some
state that is not dead to one that is not dead. A set of states is one bit mask; all tokens together take a second.

**Gaps.** Where a pattern leaves text between its matches, the gap is a pretoken too. It holds the token if none of the
scans that begin at the token's characters finds an end, now or later, for some text that follows.
``_Walk.gap_holds`` follows all these scans at once and then looks for such a text.

**Pieces of characters.** A pretoken holds whole characters. Of a token that begins or ends inside one, every character
that completes it is tried, by class.

**Stages.** Each stage sees the pieces of the one before as whole texts, so a token that one stage always cuts is
always cut. The reverse is not proven for several stages: there ``always_cut`` may be False for a token that no text
gives; a witness then settles it (``reachability.py``).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from bbpe import unicode
from bbpe.analysis.token_shape import Shape, beginnings, endings
from bbpe.automaton import Inexpressible, Machine, compile_pattern
from bbpe.patterns import Pattern


class PatternProof:
    """What the automata of a pattern say about tokens.

    Attributes:
        pattern: The pattern.
        complete: Whether there are automata at all; False for a pattern that runs on ``regex``, of which nothing is
            proven here.
    """

    def __init__(self, pattern: Pattern) -> None:
        self.pattern = pattern
        self._walks: tuple[_Walk, ...] = ()
        with contextlib.suppress(Inexpressible):
            self._walks = tuple(_Walk(compile_pattern(stage)) for stage in pattern.stages)
        self.complete = bool(self._walks)

    def always_cut(self, texts: Sequence[str]) -> npt.NDArray[np.bool_]:
        """For each text of whole characters: whether it is proven that no pretoken of any text holds it."""
        cut = np.zeros(len(texts), dtype=bool)
        for walk in self._walks:
            cut |= walk.always_cut(texts)
        return cut

    def always_cut_shape(self, shape: Shape) -> bool:
        """The same of a token that may begin and end inside a character."""
        if not shape.middle and not shape.head:
            return False  # it lies inside one character
        return any(not walk.holds_shape(shape) for walk in self._walks)

    def never_whole(self, text: str) -> bool:
        """Whether it is proven that ``text`` is not a whole pretoken of any text."""
        if not self._walks:
            return False
        if self.always_cut([text])[0]:
            return True
        return self._walks[-1].never_whole(text)

    def representatives(self, each: int = 2) -> list[str]:
        """A few characters of every class that the pattern tells apart: contexts that can make a difference."""
        found: dict[str, None] = {}
        for walk in self._walks:
            found.update(dict.fromkeys(walk.representatives(each)))
        return list(found)


class _Walk:
    """One automaton, run over sets of states."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._next: list[list[int]] = machine.next_state.tolist()
        self._accept: list[list[bool]] = machine.accept.tolist()
        self._columns = machine.classes + 1
        self._all = sum(1 << state for state in range(1, machine.states))
        # Sets of states that were met, by number, and the set that each class leads to; -1 is not known yet.
        self._masks = [self._all]
        self._numbers = {self._all: 0}
        self._steps: list[list[int]] = [[-1] * self._columns]
        # Of every code point, for the look-up of many classes at once.
        stops = np.append(machine.class_starts[1:], unicode.CODE_POINTS)
        self._class_of = np.repeat(machine.class_ids, stops - machine.class_starts).astype(np.int16)

    def always_cut(self, texts: Sequence[str]) -> npt.NDArray[np.bool_]:
        points = np.frombuffer("".join(texts).encode("utf-32-le"), dtype=np.uint32)
        classes: list[int] = self._class_of[points].tolist()
        cut = np.zeros(len(texts), dtype=bool)
        steps = self._steps
        at = 0
        for number, text in enumerate(texts):
            current = 0
            for column in classes[at : at + len(text)]:
                following = steps[current][column]
                current = following if following >= 0 else self._step(current, column)
            at += len(text)
            cut[number] = not self._masks[current]
        if not self._machine.covers_everything:
            held: dict[bytes, bool] = {}  # many tokens are the same row of classes
            for number in np.flatnonzero(cut).tolist():
                row = self._classes(texts[number])
                if (key := bytes(row)) not in held:
                    held[key] = self.gap_holds([[column] for column in row])
                cut[number] = not held[key]
        return cut

    def holds_shape(self, shape: Shape) -> bool:
        """Whether some pretoken holds a token that begins or ends inside a character."""
        choices = [[column] for column in self._classes(shape.middle)]
        if shape.tail:
            choices.insert(0, np.unique(self._class_of[endings(shape.tail)]).tolist())
        if shape.head:
            choices.append(np.unique(self._class_of[beginnings(shape.head)]).tolist())
        mask = self._all
        for columns in choices:
            following = 0
            for column in columns:
                following |= self._moved(mask, column)
            mask = following
        return bool(mask) or (not self._machine.covers_everything and self.gap_holds(choices))

    def gap_holds(self, choices: Sequence[Sequence[int]]) -> bool:
        """Whether a gap holds characters, one of the classes given for each."""
        pending = {0}  # for each way to choose: the scans that have begun at these characters and not ended
        for columns in choices:
            pending = {
                self._moved(mask | 1 << 1, column)  # state 1: a scan begins here
                for mask in pending
                for column in columns
                if not self._ends(mask, column)
            }
        return any(self._can_fail(mask) for mask in pending)

    def never_whole(self, text: str) -> bool:
        """Whether no text has a match of exactly these characters (and there are no gaps)."""
        if not self._machine.covers_everything:
            return False
        state = 1
        for column in self._classes(text):
            state = self._next[state][column]
        # An end that a later one always replaces is not noted in a Machine, so each noted one is the last in some text.
        return not any(self._accept[state])

    def representatives(self, each: int) -> Iterable[str]:
        assigned = unicode.property_set("Assigned")
        for number in range(self._machine.classes):
            found = np.flatnonzero(self._class_of == number)
            chosen = [chr(c) for c in found[:400].tolist() if c >= 0x20 and c in assigned][:each]
            yield from chosen or [chr(c) for c in found[:each].tolist() if not 0xD800 <= c < 0xE000]

    def _classes(self, text: str) -> list[int]:
        classes: list[int] = self._class_of[[ord(character) for character in text]].tolist() if text else []
        return classes

    def _step(self, current: int, column: int) -> int:
        mask = self._moved(self._masks[current], column)
        number = self._numbers.get(mask)
        if number is None:
            number = self._numbers[mask] = len(self._masks)
            self._masks.append(mask)
            self._steps.append([-1] * self._columns)
        self._steps[current][column] = number
        return number

    def _moved(self, mask: int, column: int) -> int:
        """The states that a class leads to from a set of states, the dead one left out."""
        moved = 0
        while mask:
            lowest = mask & -mask
            following = self._next[lowest.bit_length() - 1][column]
            if following:
                moved |= 1 << following
            mask ^= lowest
        return moved

    def _ends(self, mask: int, column: int) -> bool:
        """Whether a match ends before this class in one of the states."""
        return any(mask >> state & 1 and self._accept[state][column] for state in range(len(self._next)))

    def _can_fail(self, mask: int) -> bool:
        """Whether for some text to come no scan in these states finds an end."""
        seen = {mask}
        waiting = [mask]
        while waiting:
            current = waiting.pop()
            if not current:
                return True
            for column in range(self._columns):
                if self._ends(current, column):
                    continue
                if column == self._columns - 1:
                    return True  # the end of the text
                following = self._moved(current, column)
                if following not in seen:
                    seen.add(following)
                    waiting.append(following)
        return False
