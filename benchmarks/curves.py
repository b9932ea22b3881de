"""What training costs as the text and the vocabulary grow: `training.svg` and the exponents fitted to it.

A cost c that grows with a size s as c = a * s**e is a straight line of slope e where both axes are logarithmic; e is
fitted by least squares to the logarithms of the measured points. 1 is proportional; under 1 a fixed part weighs in.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from benchmarks.results import Cell

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8c564b", "#999999")
WIDTH, HEIGHT, MARGIN = 440, 320, 56


@dataclass(frozen=True, slots=True)
class Curve:
    """One library on one text: points (size, CPU seconds), sizes ascending."""

    library: str
    text: str
    points: tuple[tuple[float, float], ...]

    @property
    def exponent(self) -> float | None:
        """The slope of the line through the logarithms; None for fewer than three points."""
        if len(self.points) < 3:
            return None
        logs = [(math.log(size), math.log(cost)) for size, cost in self.points]
        mean_size = sum(size for size, _ in logs) / len(logs)
        mean_cost = sum(cost for _, cost in logs) / len(logs)
        over = sum((size - mean_size) * (cost - mean_cost) for size, cost in logs)
        return over / sum((size - mean_size) ** 2 for size, _ in logs)


@dataclass(frozen=True, slots=True)
class Scale:
    """What the name of a cell of the group `scale` says."""

    text: str
    megabytes: int
    thousands: int
    pattern: str
    ties: str

    @classmethod
    def of(cls, name: str) -> Scale:
        """Read `scale/zh/30MB/32k/gpt2/gpt2`."""
        _, text, size, vocabulary, pattern, ties = name.split("/")
        return cls(text, int(size.removesuffix("MB")), int(vocabulary.removesuffix("k")), pattern, ties)


def curves(found: dict[str, Cell], *, by: str) -> list[Curve]:
    """A curve for each library and text: by `megabytes` at 32,000 tokens, or by `thousands` of tokens at 30 MB.

    bbpe is measured beside every other library, under two patterns; its curve is the one beside those with the most
    points, GPT-2's.
    """
    points: dict[tuple[str, str], dict[float, float]] = {}
    for name, cell in found.items():
        if not name.startswith("scale/"):
            continue
        scale = Scale.of(name)
        size, held = (scale.megabytes, scale.thousands) if by == "megabytes" else (scale.thousands, scale.megabytes)
        if held != (32 if by == "megabytes" else 30):
            continue
        for runs in cell.runs:
            if runs.records and (runs.library != "bbpe" or scale.pattern == "gpt2"):
                points.setdefault((runs.library, scale.text), {})[size] = runs.spread("cpu_seconds").median
    made = [Curve(library, text, tuple(sorted(taken.items()))) for (library, text), taken in points.items()]
    return sorted(
        (curve for curve in made if len(curve.points) > 1), key=lambda c: (c.library != "bbpe", c.library, c.text)
    )


def drawing(found: dict[str, Cell]) -> str:
    """Both kinds of curve, Chinese above English above mixed text, as SVG."""
    panels = []
    texts = [text for text in ("zh", "en", "mixed") if any(c.text == text for c in curves(found, by="megabytes"))]
    kinds = (("megabytes", "MB of text, 32,000 tokens"), ("thousands", "thousands of tokens, 30 MB of text"))
    libraries = sorted(
        {c.library for by, _ in kinds for c in curves(found, by=by)}, key=lambda name: (name != "bbpe", name)
    )
    colour = dict(zip(libraries, COLOURS * len(libraries), strict=False))
    for column, (by, label) in enumerate(kinds):
        for row, text in enumerate(texts):
            chosen = [curve for curve in curves(found, by=by) if curve.text == text]
            if chosen:
                panels.append(_panel(column * WIDTH, row * HEIGHT, f"{text}: CPU seconds by {label}", chosen, colour))
    legend = [
        f'<text x="{60 + 110 * place}" y="{HEIGHT * len(texts) + 22}" fill="{colour[library]}">{escape(library)}</text>'
        for place, library in enumerate(libraries)
    ]
    width, height = max(2 * WIDTH, 60 + 110 * len(libraries)), HEIGHT * len(texts) + 36
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">\n'
        f'<rect width="{width}" height="{height}" fill="white"/>\n' + "\n".join(panels + legend) + "\n</svg>\n"
    )


def _panel(left: int, top: int, title: str, chosen: Sequence[Curve], colour: dict[str, str]) -> str:
    sizes = [size for curve in chosen for size, _ in curve.points]
    costs = [cost for curve in chosen for _, cost in curve.points]
    low, high = math.floor(math.log10(min(costs))), math.ceil(math.log10(max(costs)))
    first, last = math.log10(min(sizes)), math.log10(max(sizes))

    def x(size: float) -> float:
        return left + MARGIN + (math.log10(size) - first) / (last - first) * (WIDTH - MARGIN - 70)

    def y(cost: float) -> float:
        return top + HEIGHT - 40 - (math.log10(cost) - low) / (high - low) * (HEIGHT - 80)

    parts = [f'<text x="{left + MARGIN}" y="{top + 24}" font-weight="bold">{escape(title)}</text>']
    parts += [
        f'<path d="M{left + MARGIN} {y(10.0**power):.1f}H{left + WIDTH - 70}" stroke="#ddd"/>'
        f'<text x="{left + MARGIN - 6}" y="{y(10.0**power) + 4:.1f}" text-anchor="end">{10.0**power:g}</text>'
        for power in range(low, high + 1)
    ]
    parts += [
        f'<text x="{x(size):.1f}" y="{top + HEIGHT - 20}" text-anchor="middle">{size:g}</text>'
        for size in sorted(set(sizes))
    ]
    said = _apart({curve: y(curve.points[-1][1]) + 4 for curve in chosen if curve.exponent is not None})
    for curve in chosen:
        line = " ".join(f"{x(size):.1f},{y(cost):.1f}" for size, cost in curve.points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour[curve.library]}" stroke-width="2"/>')
        parts += [
            f'<circle cx="{x(size):.1f}" cy="{y(cost):.1f}" r="3" fill="{colour[curve.library]}"/>'
            for size, cost in curve.points
        ]
        if curve in said:
            right = x(curve.points[-1][0]) + 6
            parts.append(
                f'<text x="{right:.1f}" y="{said[curve]:.1f}" fill="{colour[curve.library]}">{curve.exponent:.2f}</text>'
            )
    return "\n".join(parts)


def _apart(places: dict[Curve, float]) -> dict[Curve, float]:
    """The heights of labels, lower ones moved down until none covers another."""
    moved: dict[Curve, float] = {}
    last = -math.inf
    for curve, place in sorted(places.items(), key=lambda each: each[1]):
        last = moved[curve] = max(place, last + 12)
    return moved
