"""Bar charts as inline SVG; all text in them is escaped."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

_ROW = 22  # pixels
_LEFT = 190
_WIDTH = 460
_RIGHT = 150
_COLOURS = ("#35618f", "#d1812c", "#4b8b3b", "#a33c3c", "#7a5195", "#8a6d3b", "#4aa3a2", "#888888", "#c05a8e")


class Bar(NamedTuple):
    """A bar and its interval, which is not drawn if `low` is None; `note` follows the value."""

    label: str
    value: float
    low: float | None = None
    high: float | None = None
    note: str = ""


def bars(title: str, items: Sequence[Bar]) -> str:
    """Return a chart of horizontal bars from zero; an empty text if no bar has a value."""
    known = [item for item in items if not math.isnan(item.value)]
    if not known:
        return ""
    ends = [end for item in known for end in (item.value, item.low, item.high) if end is not None]
    left, right = min(0.0, *ends), max(0.0, *ends) or 1.0
    scale = _WIDTH / (right - left)
    zero = _LEFT - left * scale
    shapes = []
    for row, item in enumerate(known):
        start, end = sorted((zero, zero + item.value * scale))
        y = row * _ROW
        shapes.append(_text(_LEFT - 6, y + 15, item.label, "end"))
        shapes.append(f'<rect x="{start:.1f}" y="{y + 4}" width="{end - start:.1f}" height="14" fill="{_COLOURS[0]}"/>')
        if item.low is not None and item.high is not None:
            low, high = zero + item.low * scale, zero + item.high * scale
            shapes.append(
                f'<path d="M{low:.1f} {y + 11}H{high:.1f}M{low:.1f} {y + 7}v8M{high:.1f} {y + 7}v8" class="w"/>'
            )
        shapes.append(_text(_LEFT + _WIDTH + 8, y + 15, f"{_number(float(item.value))} {item.note}", "start"))
    shapes.append(f'<path d="M{zero:.1f} 0V{len(known) * _ROW}" class="w"/>')
    return _figure(title, len(known) * _ROW, shapes)


def stacked(title: str, items: Mapping[str, Mapping[str, float]]) -> str:
    """Return a chart of horizontal bars divided into parts, with a legend; an empty text if all are empty."""
    parts = list(dict.fromkeys(part for item in items.values() for part in item))
    longest = max((sum(item.values()) for item in items.values()), default=0.0)
    if not longest:
        return ""
    shapes = []
    for row, (label, item) in enumerate(items.items()):
        x, y = float(_LEFT), row * _ROW
        shapes.append(_text(_LEFT - 6, y + 15, label, "end"))
        for part, value in item.items():
            width, colour = value / longest * _WIDTH, _COLOURS[parts.index(part) % len(_COLOURS)]
            tooltip = f"<title>{escape(part)} {value:.3f} s</title>"
            shapes.append(
                f'<rect x="{x:.1f}" y="{y + 4}" width="{width:.1f}" height="14" fill="{colour}">{tooltip}</rect>'
            )
            x += width
        shapes.append(_text(_LEFT + _WIDTH + 8, y + 15, f"{sum(item.values()):.2f} s", "start"))
    legend = "".join(
        f'<span><i style="background:{_COLOURS[n % len(_COLOURS)]}"></i>{escape(part)}</span>'
        for n, part in enumerate(parts)
    )
    return _figure(title, len(items) * _ROW, shapes, f'<div class="legend">{legend}</div>')


def _number(value: float) -> str:
    return f"{value:,.0f}" if value.is_integer() else f"{value:,.1f}"


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}">{escape(text)}</text>'


def _figure(title: str, height: int, shapes: Sequence[str], below: str = "") -> str:
    width = _LEFT + _WIDTH + _RIGHT
    svg = f'<svg viewBox="0 0 {width} {height}" width="{width}" role="img">{"".join(shapes)}</svg>'
    return f"<figure><figcaption>{escape(title)}</figcaption>{svg}{below}</figure>"
