"""Figures as SVG, drawn by matplotlib, for a page that is light or dark and whose reader has the fonts.

What it does: lay a figure out, let matplotlib draw it, and make its SVG fit to stand in a page: text stays text (in the
reader's fonts, so that Chinese shows although matplotlib's own font has none), colours become the page's CSS variables,
identifiers are the figure's own, and every bar and point says its numbers when pointed at. What it does not: choose what
is drawn.

Margins are computed here from estimated widths (``_width``), since matplotlib would measure Chinese in a font without it.
"""

from __future__ import annotations

import io
import math
import re
import unicodedata
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias
from xml.etree import ElementTree

from bbpe.errors import MissingExtraError
from bbpe.report.cells import one_line, plain
from bbpe.report.model import Figure, Scale, Series

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH = 800.0  # of the drawing, in its own units (1/72 inch)
_SIZE = 12.0  # of the letters
_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"
_LONGEST_NAME = 40  # characters
_MOST_NAMED = 300  # points of a scatter
_MARKERS = "osD^vPX*"
_Box: TypeAlias = "tuple[float, float, float, float]"

# Colours that stand for the page's: each is drawn with, then replaced.
_INK, _SOFT, _LINE, _GROUND = "#010101", "#020202", "#030303", "#040404"
_SERIES = tuple(f"#05050{number}" for number in range(8))
_VARIABLES = {
    _INK: "var(--ink)",
    _SOFT: "var(--soft)",
    _LINE: "var(--line)",
    _GROUND: "var(--ground)",
    **{color: f"var(--series-{number + 1})" for number, color in enumerate(_SERIES)},
}
_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "font.size": _SIZE,
    "font.family": "DejaVu Sans",
    "text.color": _INK,
    "text.parse_math": False,  # a vocabulary's name may hold $
    "axes.edgecolor": _LINE,
    "axes.labelcolor": _SOFT,
    "axes.labelsize": _SIZE,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.formatter.use_mathtext": False,
    "axes.unicode_minus": True,
    "grid.color": _LINE,
    "grid.linewidth": 0.7,
    "xtick.color": _LINE,
    "ytick.color": _LINE,
    "xtick.labelcolor": _SOFT,
    "ytick.labelcolor": _SOFT,
    "legend.frameon": False,
    "path.simplify": True,
}


def drawing(figure: Figure) -> str:
    """A figure as an ``<svg>`` element.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure as Canvas
    except ImportError as error:
        raise MissingExtraError(
            "figures are drawn by matplotlib, which is not installed: pip install 'bbpe[compare]'"
        ) from error
    settings: Any = {**_STYLE, "svg.hashsalt": figure.name}
    with warnings.catch_warnings(), rc_context(settings):
        # Its font lacks Chinese; the reader's has it, and no glyph of its own is drawn.
        warnings.filterwarnings("ignore", message=".*[Gg]lyph .* missing from")
        canvas = Canvas(figsize=(WIDTH / 72, 1.0))
        FigureCanvasSVG(canvas)
        titles = _DRAWERS[figure.kind](figure, canvas)
        out = io.BytesIO()
        canvas.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None, "Format": None, "Type": None})  # fmt: skip
    return _for_the_page(out.getvalue(), figure, titles)


# ---- the four kinds: each draws and gives, by the identifier of an element, what it says when pointed at ----


def _bars(figure: Figure, canvas: Any) -> dict[str, str]:
    """Grouped bars; lying, the first category on top, where names are many or long."""
    names = [_name(str(x)) for x in figure.series[0].xs]
    count = len(figure.series)
    lying = len(names) > 6 or max(map(_width, names), default=0) > 0.9 * (WIDTH - 90) / max(len(names), 1)
    values = [y for series in figure.series for y in series.ys if y is not None]
    if lying:
        left = min(max(map(_width, names), default=0) + 14, WIDTH * 0.45)
        thick = max(9.0, 20.0 / count)
        height = len(names) * (thick * count + 9.0)
        axes = _axes(figure, canvas, left=left, height=height, right=64)
    else:
        axes = _axes(figure, canvas, left=62, height=300, right=16)
    titles = {}
    for number, series in enumerate(figure.series):
        places = [index + (number - (count - 1) / 2) * 0.8 / count for index in range(len(names))]
        known = [
            (p, y, one_line(str(x))) for p, y, x in zip(places, series.ys, series.xs, strict=True) if y is not None
        ]
        draw: Callable[..., Any] = axes.barh if lying else axes.bar
        drawn = draw([k[0] for k in known], [k[1] for k in known], 0.8 / count * 0.9, color=_SERIES[number % 8])
        for index, (bar, (_, y, name)) in enumerate(zip(drawn, known, strict=True)):
            bar.set_gid(f"mark-{number}-{index}")
            label = f"{plain(series.label)}: " if count > 1 else ""
            titles[f"mark-{number}-{index}"] = f"{name}, {label}{_amount(y)}"
        if lying and _y_scale(figure) == "linear" and count <= 4:
            for place, y, _ in known:
                axes.annotate(
                    _amount(y), (y, place), xytext=(4, 0), textcoords="offset points", va="center_baseline",
                    fontsize=_SIZE - 2.5, color=_SOFT, annotation_clip=False,
                )  # fmt: skip
    if lying:
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xscale(_y_scale(figure))
        axes.set_xlabel(one_line(figure.y_title))
        axes.grid(axis="x")
        axes.tick_params(axis="y", length=0, labelcolor=_INK)
        if figure.reference is not None:
            axes.axvline(figure.reference, color=_SOFT, linewidth=1, linestyle=(0, (4, 3)))
    else:
        axes.set_xticks(range(len(names)), names)
        axes.set_yscale(_y_scale(figure))
        _y_title(axes, figure.y_title)
        axes.set_xlabel(one_line(figure.x_title))
        axes.grid(axis="y")
        axes.tick_params(axis="x", length=0, labelcolor=_INK)
        _reference(axes, figure)
    if values and _y_scale(figure) == "linear":
        (axes.set_xlim if lying else axes.set_ylim)(
            min(0.0, *values), max(0.0, *values, figure.reference or 0.0) * 1.04 or 1.0
        )
    if _y_scale(figure) == "log":
        # A bar of a log axis has no natural foot: half a decade below the smallest shows it, too.
        (axes.set_xlim if lying else axes.set_ylim)(min(y for y in values if y > 0) / 3)
    _ticks(axes.xaxis if lying else axes.yaxis, _y_scale(figure))
    return titles


def _scatter(figure: Figure, canvas: Any) -> dict[str, str]:
    axes = _axes(figure, canvas, left=66, height=430, right=30)
    largest = max((size for series in figure.series for size in series.sizes), default=1.0) or 1.0
    titles = {}
    points: list[tuple[float, float, float, str]] = []
    crowded = sum(len(series.xs) for series in figure.series) > _MOST_NAMED
    for number, series in enumerate(figure.series):
        known = [(n, float(x), y) for n, (x, y) in enumerate(zip(series.xs, series.ys, strict=True)) if y is not None]
        if crowded:  # small points: an object for each takes its time and room, and nobody reads their names
            xs, ys = [x for _, x, _ in known], [y for _, _, y in known]
            axes.plot(xs, ys, "o", markersize=3, color=_SERIES[number % 8])
            continue
        areas = [20 + 320 * series.sizes[n] / largest if series.sizes else 60.0 for n, _, _ in known]
        look: dict[str, Any] = {"color": _SERIES[number % 8], "alpha": 0.72, "linewidths": 1, "edgecolors": _GROUND}
        for (index, x, y), area in zip(known, areas, strict=True):
            name = _name(series.labels[index]) if series.labels else ""
            axes.scatter([x], [y], s=area, **look).set_gid(f"mark-{number}-{index}")
            size = f"; {figure.size_title} {_amount(series.sizes[index])}" if series.sizes and figure.size_title else ""
            head = ", ".join(part for part in (name, plain(series.label)) if part)
            titles[f"mark-{number}-{index}"] = (
                f"{head}: {plain(figure.x_title)} {_amount(x)}; {plain(figure.y_title)} {_amount(y)}{plain(size)}"
            )
            points.append((x, y, math.sqrt(area / math.pi), name))
    axes.set_xscale(_x_scale(figure))
    axes.set_yscale(_y_scale(figure))
    axes.margins(0.08)
    if figure.diagonal:
        low = min(axes.get_xlim()[0], axes.get_ylim()[0])
        high = max(axes.get_xlim()[1], axes.get_ylim()[1])
        axes.set_xlim(low, high)
        axes.set_ylim(low, high)
        axes.plot([low, high], [low, high], color=_SOFT, linewidth=1, linestyle=(0, (4, 3)), zorder=0)
    axes.set_xlabel(one_line(figure.x_title))
    _y_title(axes, figure.y_title)
    axes.grid()
    _ticks(axes.xaxis, _x_scale(figure))
    _ticks(axes.yaxis, _y_scale(figure))
    _reference(axes, figure)
    _name_points(axes, points)
    return titles


def _name_points(axes: Axes, points: Sequence[tuple[float, float, float, str]]) -> None:
    """Put the name of each point where it hides least of the points and names around it.

    A greedy choice among places around the point at growing distances; from a distant one a thin line leads to the
    point. A name that finds no free place is left to pointing.
    """
    axes.get_xlim(), axes.get_ylim()  # settles the limits, which matplotlib puts off and the next lines need
    size = _SIZE - 1.5
    scale = 72 / axes.figure.dpi  # pixels to our units
    bounds = axes.get_window_extent()
    frame = (bounds.x0 * scale, bounds.y0 * scale, bounds.x1 * scale + 26, bounds.y1 * scale)
    places = [(float(px) * scale, float(py) * scale) for px, py in (axes.transData.transform(p[:2]) for p in points)]
    taken = [(px - r, py - r, px + r, py + r) for (px, py), (_, _, r, _) in zip(places, points, strict=True)]
    # Those with most around them choose first; the lonely find a place anyhow.
    crowd = [sum(math.dist(here, there) < 60 for there in places) for here in places]
    for index in sorted(range(len(points)), key=lambda index: (-crowd[index], index)):
        (px, py), (x, y, radius, name) = places[index], points[index]
        if not name:
            continue
        best = min(
            _name_places(px, py, radius, _width(name) * size / _SIZE, size),
            key=lambda place: place.cost + sum(_overlap(place.box, other) for other in taken) + 30 * size * _outside(place.box, frame),
        )  # fmt: skip
        if sum(_overlap(best.box, other) for other in taken) > 0.12 * size * (best.box[2] - best.box[0]):
            continue
        taken.append(best.box)
        line = {"arrowstyle": "-", "color": _SOFT, "linewidth": 0.6, "shrinkA": 1, "shrinkB": radius}
        axes.annotate(
            name, (x, y), xytext=(best.dx, best.dy), textcoords="offset points", ha=best.side, va="center_baseline",
            fontsize=size, color=_INK, annotation_clip=False, arrowprops=line if best.far else None,
        )  # fmt: skip


class _NamePlace(NamedTuple):
    """A place for the name of a point: where, on which side of it the text ends, its box, and what it costs to be far."""

    dx: float
    dy: float
    side: str
    box: _Box
    cost: float
    far: bool


def _name_places(px: float, py: float, radius: float, width: float, height: float) -> Iterator[_NamePlace]:
    for ring in range(5):
        gap = radius + 3 + 15 * ring
        for step in range(8 if ring == 0 else 16):
            angle = 2 * math.pi * step / (8 if ring == 0 else 16)
            dx, dy = gap * math.cos(angle), gap * math.sin(angle)
            side = "center" if abs(dx) < 0.35 * gap else "left" if dx > 0 else "right"
            if side == "center":
                dy += math.copysign(height / 2, dy)
            left = px + dx - {"left": 0.0, "right": width, "center": width / 2}[side]
            box = (left - 1, py + dy - height / 2, left + width + 1, py + dy + height / 2)
            yield _NamePlace(dx, dy, side, box, 22.0 * ring + 0.5 * step, ring > 0)


def _outside(box: _Box, frame: _Box) -> float:
    return (
        max(0.0, frame[0] - box[0]) + max(0.0, box[2] - frame[2]) + max(0.0, frame[1] - box[1]) + max(0.0, box[3] - frame[3])
    )  # fmt: skip


def _overlap(a: _Box, b: _Box) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def _lines(figure: Figure, canvas: Any) -> dict[str, str]:
    second = bool(figure.second_axis)
    axes = _axes(figure, canvas, left=66, height=340, right=70 if second else 24)
    right = axes.twinx() if second else None
    if right is not None:
        right.spines["right"].set_visible(True)
        right.spines["right"].set_color(_LINE)
    titles = {}
    for number, series in enumerate(figure.series):
        target = right if series.axis == "right" and right is not None else axes
        xs = [math.nan if y is None else x for x, y in zip(series.xs, series.ys, strict=True)]
        ys = [math.nan if y is None else y for y in series.ys]
        few = len(xs) <= 30
        dashes: Any = (0, (5, 2.5)) if series.axis == "right" else "-"
        target.plot(xs, ys, color=_SERIES[number % 8], linewidth=1.8, linestyle=dashes)
        if few:
            for index, (x, y) in enumerate(zip(xs, ys, strict=True)):
                if isinstance(x, str) or math.isnan(y):
                    continue
                marker = target.scatter(
                    [x], [y], s=30, marker=_MARKERS[number % 8], color=_SERIES[number % 8], zorder=3
                )
                marker.set_gid(f"mark-{number}-{index}")
                titles[f"mark-{number}-{index}"] = f"{plain(series.label)}: {_amount(x)}, {_amount(y)}"
    axes.set_xscale(_x_scale(figure))
    axes.set_yscale(_y_scale(figure))
    axes.margins(x=0.02)
    axes.set_xlabel(one_line(figure.x_title))
    _y_title(axes, figure.y_title)
    axes.grid()
    _ticks(axes.xaxis, _x_scale(figure), [x for series in figure.series for x in series.xs if not isinstance(x, str)])
    _ticks(axes.yaxis, _y_scale(figure))
    if right is not None:
        right.set_ylim(bottom=0)
        right.tick_params(labelsize=_SIZE - 1)
        _y_title(right, figure.second_axis, right=True)
        _ticks(right.yaxis, "linear")
    _reference(axes, figure)
    return titles


def _histogram(figure: Figure, canvas: Any) -> dict[str, str]:
    axes = _axes(figure, canvas, left=70, height=300, right=20)
    count = len(figure.series)
    titles = {}
    for number, series in enumerate(figure.series):
        for index, (low, high, y) in enumerate(_bins(series)):
            if y is None:
                continue
            share = (high - low) / count
            bar = axes.bar(low + share * number, y, share * 0.92, align="edge", color=_SERIES[number % 8])[0]
            bar.set_gid(f"mark-{number}-{index}")
            name = _amount((low + high) / 2) if len(series.xs) == len(series.ys) else f"{_amount(low)}–{_amount(high)}"
            titles[f"mark-{number}-{index}"] = f"{plain(series.label)}: {name}, {_amount(y)}"
    axes.set_xscale(_x_scale(figure))
    axes.set_yscale(_y_scale(figure))
    axes.margins(x=0.01)
    axes.set_xlabel(one_line(figure.x_title))
    _y_title(axes, figure.y_title)
    axes.grid(axis="y")
    _ticks(axes.xaxis, _x_scale(figure))
    _ticks(axes.yaxis, _y_scale(figure))
    _reference(axes, figure)
    return titles


def _bins(series: Series) -> Iterator[tuple[float, float, float | None]]:
    xs = [float(x) for x in series.xs]
    for index, y in enumerate(series.ys):
        yield (xs[index], xs[index + 1], y) if len(xs) > len(series.ys) else (xs[index] - 0.5, xs[index] + 0.5, y)


_DRAWERS: dict[str, Callable[[Figure, Any], dict[str, str]]] = {
    "bars": _bars,
    "scatter": _scatter,
    "lines": _lines,
    "histogram": _histogram,
}


# ---- what the kinds share ----


def _axes(figure: Figure, canvas: Any, *, left: float, height: float, right: float) -> Axes:
    """Axes of a height in our units, with margins around them, and the legend above."""
    labels = [_name(series.label) for series in figure.series]
    legend = len(labels) > 1 or figure.second_axis
    rows = _legend_rows(labels, WIDTH - left - right) if legend else []
    top, bottom = 12 + 20 * len(rows), 48
    total = height + top + bottom
    canvas.set_size_inches(WIDTH / 72, total / 72)
    axes: Axes = canvas.add_axes((left / WIDTH, bottom / total, (WIDTH - left - right) / WIDTH, height / total))
    axes.tick_params(labelsize=_SIZE - 1)
    for number, row in enumerate(rows):
        at = left
        for index in row:
            y = 1 - (14 + 20 * number) / total
            canvas.add_artist(_patch(at, y, total, _SERIES[index % 8]))
            dashed = " (right axis)" if figure.series[index].axis == "right" else ""
            canvas.text((at + 16) / WIDTH, y, labels[index] + dashed, va="center_baseline", color=_INK)
            at += 16 + _width(labels[index] + dashed) + 22
    return axes


def _name(text: str) -> str:
    """The name of a bar, a point or a series, short enough to stand beside it."""
    return one_line(text, _LONGEST_NAME)


def _patch(x: float, y: float, total: float, color: str) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x / WIDTH, y - 5 / total), 11 / WIDTH, 10 / total, color=color, linewidth=0)


def _legend_rows(labels: Sequence[str], width: float) -> list[list[int]]:
    rows: list[list[int]] = [[]]
    used = 0.0
    for index, label in enumerate(labels):
        needed = 16 + _width(label + " (right axis)") + 22
        if rows[-1] and used + needed > width:
            rows.append([])
            used = 0.0
        rows[-1].append(index)
        used += needed
    return rows


def _x_scale(figure: Figure) -> Scale:
    return figure.x_scale if any(not isinstance(x, str) and x > 0 for s in figure.series for x in s.xs) else "linear"


def _y_scale(figure: Figure) -> Scale:
    """As the figure says, where there is anything that a log axis can show."""
    left = (series for series in figure.series if series.axis == "left")
    return figure.y_scale if any(y is not None and y > 0 for series in left for y in series.ys) else "linear"


def _y_title(axes: Axes, title: str, right: bool = False) -> None:
    axes.set_ylabel(one_line(title, 60), rotation=-90 if right else 90, rotation_mode="anchor", ha="center", labelpad=22 if right else 12)  # fmt: skip


def _reference(axes: Axes, figure: Figure) -> None:
    if figure.reference is not None:
        axes.axhline(figure.reference, color=_SOFT, linewidth=1, linestyle=(0, (4, 3)))


def _ticks(axis: Any, scale: str, values: Sequence[float] = ()) -> None:
    """Ticks in words that need no superscripts: 8k, 64k, 1M. A log axis with few values has its ticks at these."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

    axis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    if scale != "log":
        return
    distinct = sorted(set(values))
    if 0 < len(distinct) <= 12:
        axis.set_major_locator(FixedLocator(distinct))
        axis.set_minor_locator(NullLocator())
    else:
        low, high = axis.get_view_interval()
        decades = math.log10(high / low) if low > 0 else 9.0
        axis.set_major_locator(LogLocator(subs=(1.0,) if decades > 2.5 else (1.0, 2.0, 5.0), numticks=12))
        axis.set_minor_formatter(NullFormatter())


def _short(value: float) -> str:
    """A number for a tick.

    >>> _short(32000), _short(1_500_000), _short(0.25), _short(0)
    ('32k', '1.5M', '0.25', '0')
    """
    for unit, word in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= unit * 0.99999:
            return f"{value / unit:.3g}{word}"
    return f"{value:.4g}".replace("-", "−")


def _amount(value: float) -> str:
    """A number for a tooltip or beside a bar."""
    if float(value).is_integer():
        return f"{int(value):,}"
    return f"{value:,.3f}" if abs(value) >= 0.1 else f"{value:.3g}"


def _width(text: str) -> float:
    """About how wide a text is, in our units, in a sans-serif font: wide characters one em, others 0.56."""
    ems = sum(1.0 if unicodedata.east_asian_width(character) in "WF" else 0.56 for character in text)
    return ems * _SIZE


# ---- matplotlib's SVG made fit for a page ----


def _for_the_page(data: bytes, figure: Figure, titles: dict[str, str]) -> str:
    # Without these no prefix would be right in HTML, where elements have none.
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    root = ElementTree.fromstring(data)  # written by matplotlib a moment ago, from text that `plain` has passed
    for parent in list(root.iter()):
        for child in list(parent):
            # Not for readers; and a rule that would hold for the whole page.
            if child.tag in (f"{{{_SVG}}}metadata", f"{{{_SVG}}}style"):
                parent.remove(child)
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.set("role", "img")
    root.set("aria-label", plain(figure.title))
    prefix = f"{figure.name}--"
    for element in root.iter():
        gid = element.get("id")
        if gid in titles:
            title = ElementTree.Element(f"{{{_SVG}}}title")
            title.text = titles[gid]
            element.insert(0, title)
        if gid is not None:
            element.set("id", prefix + gid)
        for key, value in element.attrib.items():
            if key == f"{{{_XLINK}}}href" and value.startswith("#"):
                element.set(key, f"#{prefix}{value[1:]}")
            elif key in ("style", "clip-path", "fill", "stroke"):
                element.set(key, _page_style(value, prefix))
    text = ElementTree.tostring(root, encoding="unicode")
    return text.replace("<svg ", '<svg stroke-linejoin="round" stroke-linecap="butt" ', 1)


def _page_style(style: str, prefix: str) -> str:
    for color, variable in _VARIABLES.items():
        style = style.replace(color, variable)
    style = style.replace("url(#", f"url(#{prefix}")
    style = re.sub(r"font: ([\d.]+px) [^;]+", r"font-size: \1", style)
    return re.sub(r"font-family: [^;]+(; )?", "", style)
