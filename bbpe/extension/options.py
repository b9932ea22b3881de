"""What decides an extension besides the text: how much is added, what may be added, which ids it gets.

``reference.may_be_added`` is the specification of what the rules mean; here they are checked and made into tables for
the merge loop (:func:`native_rules`).
"""

from __future__ import annotations

import functools
import operator
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bbpe._merge import Rules
from bbpe.errors import TrainingError
from bbpe.unicode import CODE_POINTS, CharacterSet, script_set, union

_REFUSED, _TAKEN, _FIRST_ONLY = 0, 1, 2
_MOST = 2**31 - 1


@dataclass(frozen=True, slots=True)
class ExtensionOptions:
    """Everything that decides an extension but its base and its text.

    Attributes:
        add: Add so many tokens at most.
        until_gain: Stop when the best pair would save fewer tokens than this, for each million characters of the
            training text.
        script: New tokens are of these scripts: each character is of one of them, or a mark that takes on the script
            before it, or a space at the beginning. Empty: of any.
        max_chars: No new token has more characters; a piece of a character counts as one.
        max_token_bytes: No new token has more bytes.
        utf8_safe: A new token is whole characters, or a piece of one on the way to one; never a character and a half.
        freeze_scripts: No new token touches a character of these scripts, nor could be a piece of one.
        min_count: Pairs that occur less often are not merged.
        deny: No new token holds one of these strings.
        ids_from: The first new id, or the folder of the model whose rows come first. None: after the base's last id.
        reuse_reserved: New tokens take the ids that the base (and the model, where one is named) keeps unused.
        pad_to_multiple: The rows of the new matrix are a multiple of this.
        text_field: The field of JSON lines, or the column of Parquet, that holds the text.
        lines: Each line of a text file is a document.
        strict: Invalid UTF-8 is an error.

    Raises:
        TrainingError: A value out of its range.
        PatternError: A script that does not exist.
        TypeError: A value of the wrong type.
    """

    add: int | None = None
    until_gain: float | None = None
    script: tuple[str, ...] = ()
    max_chars: int | None = None
    max_token_bytes: int | None = None
    utf8_safe: bool = True
    freeze_scripts: tuple[str, ...] = ()
    min_count: int = 2
    deny: tuple[str, ...] = ()
    ids_from: int | str | None = None
    reuse_reserved: bool = False
    pad_to_multiple: int | None = None
    text_field: str = "text"
    lines: bool = False
    strict: bool = False

    def __post_init__(self) -> None:
        checked: dict[str, object] = {
            "add": _integer("add", self.add, 1),
            "max_chars": _integer("max_chars", self.max_chars, 1),
            "max_token_bytes": _integer("max_token_bytes", self.max_token_bytes, 2),
            "min_count": _integer("min_count", self.min_count, 1),
            "pad_to_multiple": _integer("pad_to_multiple", self.pad_to_multiple, 1),
            "script": _strings("script", self.script),
            "freeze_scripts": _strings("freeze_scripts", self.freeze_scripts),
            "deny": _strings("deny", self.deny),
        }
        if self.min_count is None:
            raise TypeError("min_count is an integer, not None")
        if self.until_gain is not None:
            if isinstance(self.until_gain, bool) or not isinstance(self.until_gain, (int, float)):
                raise TypeError(f"until_gain is a number, not {self.until_gain!r}")
            if not 0 < self.until_gain < float("inf"):
                raise TrainingError(f"until_gain is {self.until_gain}; expected a positive number of tokens")
            checked["until_gain"] = float(self.until_gain)
        if isinstance(self.ids_from, os.PathLike):
            checked["ids_from"] = os.fspath(self.ids_from)
        elif not isinstance(self.ids_from, str):
            checked["ids_from"] = _integer("ids_from", self.ids_from, 0)
        for name in ("utf8_safe", "reuse_reserved", "lines", "strict"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"{name} is True or False, not {getattr(self, name)!r}")
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        for script in (*self.script, *self.freeze_scripts):
            script_set(script)
        if both := {*map(str.lower, self.script)} & {*map(str.lower, self.freeze_scripts)}:
            raise TrainingError(f"the script {min(both)!r} is asked for and frozen; it can be only one of the two")
        if "" in self.deny:
            raise TrainingError("the deny list holds an empty string, which every token holds; leave it out")


def _integer(name: str, value: Any, least: int) -> int | None:
    if value is None:
        return None
    try:
        number = None if isinstance(value, (bool, np.bool_)) else operator.index(value)
    except TypeError:
        number = None
    if number is None:
        raise TypeError(f"{name} is an integer, not {value!r}")
    if not least <= number <= _MOST:
        raise TrainingError(f"{name} is {number}; expected {least} to 2**31 - 1")
    return number


def _strings(name: str, values: str | Sequence[str] | None) -> tuple[str, ...]:
    """One string or several, each once, in order."""
    found = (values,) if isinstance(values, str) else tuple(values or ())
    for value in found:
        if not isinstance(value, str):
            raise TypeError(f"{name} holds strings, not {value!r}")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise TrainingError(f"{name} holds {value!r}, a lone surrogate, which has no UTF-8") from None
    return tuple(dict.fromkeys(found))


def native_rules(options: ExtensionOptions, *, utf8_safe: bool | None = None) -> Rules | None:
    """What the merge loop has to know of the options; None where it may make any token.

    Args:
        options: The options.
        utf8_safe: Instead of what they say.
    """
    safe = options.utf8_safe if utf8_safe is None else utf8_safe
    if not (safe or options.script or options.freeze_scripts or options.max_chars or options.deny):
        return None
    table: npt.NDArray[np.uint8] | None = None
    pieces: set[bytes] | None = None
    refused: set[bytes] = set()
    if options.script or options.freeze_scripts:
        table = np.full(CODE_POINTS, _REFUSED if options.script else _TAKEN, dtype=np.uint8)
    if table is not None and options.script:
        wanted = union(map(script_set, options.script))
        table[ord(" ")] = _FIRST_ONLY
        _mark(table, wanted | script_set("Inherited"), _TAKEN)
        pieces = set().union(*map(_pieces_of_script, options.script))
    if table is not None and options.freeze_scripts:
        frozen = union(map(script_set, options.freeze_scripts))
        _mark(table, frozen, _REFUSED)
        refused = set().union(*map(_pieces_of_script, options.freeze_scripts))
    return Rules(
        utf8_safe=safe,
        max_chars=options.max_chars,
        characters=table,
        pieces=pieces,
        pieces_refused=refused,
        deny=[text.encode() for text in options.deny],
    )


def _mark(table: npt.NDArray[np.uint8], characters: CharacterSet, value: int) -> None:
    for first, last in characters.ranges():
        table[first : last + 1] = value


@functools.lru_cache(maxsize=8)
def _pieces_of_script(script: str) -> set[bytes]:
    return pieces_of(script_set(script))


def pieces_of(characters: CharacterSet) -> set[bytes]:
    r"""Every proper part of the UTF-8 of some characters.

    >>> sorted(pieces_of(CharacterSet.of("a中")))
    [b'\xad', b'\xb8', b'\xb8\xad', b'\xe4', b'\xe4\xb8']
    """
    found: set[bytes] = set()
    for first, last in characters.ranges():
        found.update(_pieces(range(first, last + 1)))
    return found


def _pieces(codes: Iterable[int]) -> Iterable[bytes]:
    for code in codes:
        encoded = chr(code).encode()
        for begin in range(len(encoded)):
            for end in range(begin + 1, len(encoded) + (begin > 0)):
                yield encoded[begin:end]
