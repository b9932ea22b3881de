"""What stands around the texts of a call, and what is cut off them, as ``tokenizers`` does both.

What it does: reads the ``post_processor`` of a tokenizer.json (the template of one text and of a pair, and whether
offsets leave out white space), and truncates. What it does not: encode. bbpe's own vocabulary keeps the template of one
text only; where there is no file, a pair is one text after the other with the same around each, as bbpe writes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from bbpe.errors import FormatError
from bbpe.vocabulary import Template

__all__ = ["PostProcessor", "Segment", "spans", "truncated"]


class Segment(NamedTuple):
    """A piece of what comes out: a text, or ids that stand around texts.

    Attributes:
        sequence: 0 or 1 for the first or the second text; None for ids.
        ids: The ids; empty for a text.
        type_id: The type of its tokens.
    """

    sequence: int | None
    ids: tuple[int, ...]
    type_id: int


@dataclass(frozen=True, slots=True)
class PostProcessor:
    """The templates, and how offsets are trimmed.

    Attributes:
        single: What comes out for one text.
        pair: What comes out for two.
        trim_offsets: Whether offsets leave out the spaces at a token's edges.
        keep_first_space: Whether the space of the first token, if it is one, is left in nevertheless
            (``add_prefix_space`` of the processor).
        second_type_id: The type of a second text's tokens where the template is not put around.
    """

    single: tuple[Segment, ...]
    pair: tuple[Segment, ...]
    trim_offsets: bool = False
    keep_first_space: bool = False
    second_type_id: int = 1

    def added(self, pair: bool) -> int:
        """How many ids stand around the texts."""
        return sum(len(segment.ids) for segment in (self.pair if pair else self.single))

    @classmethod
    def of_template(
        cls, template: Template, trim_offsets: bool = False, keep_first_space: bool = False
    ) -> PostProcessor:
        """Ids before and after each text."""

        def around(sequence: int) -> tuple[Segment, ...]:
            parts = (
                Segment(None, template.before, sequence),
                Segment(sequence, (), sequence),
                Segment(None, template.after, sequence),
            )
            return tuple(part for part in parts if part.ids or part.sequence is not None)

        return cls(around(0), around(0) + around(1), trim_offsets, keep_first_space)

    @classmethod
    def of_json(cls, component: Any, template: Template) -> PostProcessor:
        """What the ``post_processor`` of a tokenizer.json says, which ``bbpe.load`` has found to be sound.

        Args:
            component: The member of the file.
            template: What was loaded of it: the template of one text.

        Raises:
            FormatError: It is damaged.
        """
        parts = component.get("processors", []) if isinstance(component, dict) else []
        result = cls.of_template(template)
        try:
            for part in parts if parts else [component] if component is not None else []:
                kind = part["type"]
                trim, first = part.get("trim_offsets", True), part.get("add_prefix_space", True)
                if kind == "ByteLevel":
                    result = cls(result.single, result.pair, trim, first)
                elif kind == "TemplateProcessing":
                    single, pair = (_segments(part[name], part["special_tokens"]) for name in ("single", "pair"))
                    result = cls(single, pair, result.trim_offsets, result.keep_first_space)
                elif kind in ("RobertaProcessing", "BertProcessing"):
                    roberta = kind == "RobertaProcessing"
                    around, end = (int(part["cls"][1]),), (int(part["sep"][1]),)
                    second = 0 if roberta else 1
                    single = (Segment(None, around, 0), Segment(0, (), 0), Segment(None, end, 0))
                    between = (Segment(None, end, 0),) if roberta else ()
                    pair = (*single, *between, Segment(1, (), second), Segment(None, end, second))
                    if not roberta:
                        trim, first = result.trim_offsets, result.keep_first_space
                    result = cls(single, pair, trim, first, second)
        except (KeyError, TypeError, AttributeError, IndexError, ValueError):
            raise FormatError("the post_processor of tokenizer.json is damaged") from None
        return result

    def trimmed(self, places: Sequence[tuple[int, int]], tokens: Iterable[bytes]) -> list[tuple[int, int]]:
        """The places of a text's tokens without the spaces at their edges."""
        found = []
        for index, ((start, end), token) in enumerate(zip(places, tokens, strict=True)):
            leading = len(token) - len(token.lstrip(b" "))
            trailing = len(token) - len(token.rstrip(b" "))
            if leading:
                if leading == 1 and self.keep_first_space and (index == 0 or start == 0):
                    leading = 0
                start = min(start + leading, end)
            if trailing and end >= trailing:
                end = max(end - trailing, start)
            found.append((start, end))
        return found


def _segments(pieces: Any, special: Mapping[str, Any]) -> tuple[Segment, ...]:
    found = []
    for piece in pieces:
        if "Sequence" in piece:
            text = piece["Sequence"]
            found.append(Segment(0 if text["id"] == "A" else 1, (), int(text["type_id"])))
        else:
            token = piece["SpecialToken"]
            ids = tuple(map(int, special[token["id"]]["ids"]))
            found.append(Segment(None, ids, int(token["type_id"])))
    return tuple(found)


def truncated(sizes: tuple[int, ...], limit: int, strategy: str) -> tuple[int, ...]:
    """How many tokens stay of each text, so that they are at most ``limit`` together.

    Args:
        sizes: Tokens of the text, or of both.
        limit: What they may have, without what stands around them.
        strategy: ``longest_first``, ``only_first`` or ``only_second``.

    Raises:
        ValueError: The text that is to be truncated is not there, or too short.

    >>> truncated((10, 3), 8, "longest_first"), truncated((10, 9), 8, "longest_first")
    ((5, 3), (4, 4))
    """
    excess = sum(sizes) - limit
    if excess <= 0:
        return sizes
    if limit == 0:  # whatever the strategy
        return (0,) * len(sizes)
    if strategy == "longest_first":
        if len(sizes) == 1:
            return (limit,)
        # The shorter one is left whole as long as the other is no shorter than it.
        short, long = sorted(sizes)
        long = short if short > limit else max(short, limit - short)
        if short + long > limit:
            short, long = limit // 2, limit // 2 + limit % 2
        return (short, long) if sizes[0] <= sizes[1] else (long, short)
    chosen = 0 if strategy == "only_first" else 1
    if chosen >= len(sizes):
        raise ValueError("truncation='only_second', but there is no second text")
    if sizes[chosen] <= excess:
        raise ValueError(f"truncation={strategy!r}: that text has {sizes[chosen]} tokens, and {excess} are too many")
    kept = [*sizes]
    kept[chosen] -= excess
    return tuple(kept)


def spans(size: int, kept: int, stride: int, side: str, overflow: bool = True) -> list[tuple[int, int]]:
    """Which of a text's tokens form a row: those that stay, then those that were cut off, as ``tokenizers`` has them.

    Args:
        size: Tokens of the text.
        kept: How many there may be in a row.
        stride: How many of them are of the row before.
        side: The side on which is cut off: ``right`` or ``left``.
        overflow: Whether those are wanted that were cut off.

    >>> spans(10, 4, 1, "right"), spans(10, 4, 1, "left")
    ([(0, 4), (3, 7), (6, 10)], [(6, 10), (3, 7), (0, 4)])
    """
    if kept >= size:
        return [(0, size)]
    if kept == 0:
        return [(0, 0), (0, size)] if overflow else [(0, 0)]
    if stride >= kept:
        raise ValueError(f"stride is {stride}; it has to be less than the {kept} tokens that are left of a text")
    found = []
    for begin in range(0, size, kept - stride):
        end = min(begin + kept, size)
        found.append((begin, end) if side == "right" else (size - end, size - begin))
        if end == size or not overflow:
            break
    return found
