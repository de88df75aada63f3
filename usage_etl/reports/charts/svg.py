"""SVG as text: escaped, rounded, coloured by name. The same input gives the same bytes.

Each colour is written twice: as an attribute, which the PDF reads, and as a class, by which a page with a dark mode
repaints it.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Literal

COLORS = {
    "ink": "#171a21",
    "soft": "#5b6472",
    "faint": "#8b94a3",
    "rule": "#e4e7ec",
    "axis": "#b4bcc8",
    "shade": "#f5f6f9",
    "track": "#e9ecf1",
    "ground": "#f5f6f9",
    "accent": "#214fec",
    "accent-soft": "#a9bdf8",
    "band": "#dfe7fd",
    "bad": "#c0222d",
    "warn": "#b25e09",
    "s0": "#214fec",
    "s1": "#108e78",
    "s2": "#f59c24",
    "s3": "#752fa5",
    "s4": "#49c5fa",
    "s5": "#e2232f",
    "others": "#bec4cf",
    "page": "#ffffff",
}
"""Names to light colours. The series were searched so that any two differ under the three common colour blindnesses."""

FONT = "Inter, 'Inter Ext', system-ui, sans-serif"
Anchor = Literal["start", "middle", "end"]


def series_color(position: int) -> str:
    """Colour name of a series; negative is the grey of the others."""
    return "others" if position < 0 else f"s{position}"


def num(value: float) -> str:
    """A coordinate with at most two decimals and no trailing zeros."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text


def drawing(width: float, height: float, *, title: str, parts: Sequence[str], is_stretched: bool = False) -> str:
    """A whole SVG whose ``title`` is its text alternative; a stretched one fills whatever box it is given."""
    aspect = ' preserveAspectRatio="none"' if is_stretched else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{num(width)}" height="{num(height)}" '
        f'viewBox="0 0 {num(width)} {num(height)}"{aspect} font-family="{escape(FONT)}">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )


def label(
    x: float, y: float, text: str, *, size: float = 10, weight: int = 400, color: str = "soft", anchor: Anchor = "start"
) -> str:
    """One line of text with its baseline at ``y``."""
    bold = ' font-weight="600"' if weight == 600 else ""
    side = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return (
        f'<text x="{num(x)}" y="{num(y)}" font-size="{num(size)}"{bold}{side} class="f-{color}" fill="{COLORS[color]}">'
        f"{escape(text)}</text>"
    )


def rect(x: float, y: float, width: float, height: float, *, color: str, radius: float = 0) -> str:
    """A filled rectangle; nothing where it has no area."""
    if width <= 0 or height <= 0:
        return ""
    round_ = f' rx="{num(min(radius, width / 2, height / 2))}"' if radius else ""
    return (
        f'<rect x="{num(x)}" y="{num(y)}" width="{num(width)}" height="{num(height)}"{round_} '
        f'class="f-{color}" fill="{COLORS[color]}"/>'
    )


def line(x1: float, y1: float, x2: float, y2: float, *, color: str, width: float = 1, dash: str = "") -> str:
    """A straight line."""
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<path d="M{num(x1)} {num(y1)}L{num(x2)} {num(y2)}" class="s-{color}" stroke="{COLORS[color]}" '
        f'stroke-width="{num(width)}"{dashes} fill="none"/>'
    )


def area(path: str, *, color: str, opacity: float = 1) -> str:
    """A filled path."""
    pale = f' fill-opacity="{num(opacity)}"' if opacity < 1 else ""
    return f'<path d="{path}" class="f-{color}" fill="{COLORS[color]}"{pale}/>' if path else ""


def polyline(points: Sequence[tuple[float, float]], *, color: str, width: float, dash: str = "") -> str:
    """A line through points."""
    if len(points) < 2:
        return ""
    path = "M" + "L".join(f"{num(x)} {num(y)}" for x, y in points)
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<path d="{path}" class="s-{color}" stroke="{COLORS[color]}" stroke-width="{num(width)}"{dashes} '
        f'stroke-linejoin="round" stroke-linecap="round" fill="none"/>'
    )


def dot(x: float, y: float, radius: float, *, color: str) -> str:
    """A filled circle."""
    return f'<circle cx="{num(x)}" cy="{num(y)}" r="{num(radius)}" class="f-{color}" fill="{COLORS[color]}"/>'


def box_path(x: float, y: float, width: float, height: float) -> str:
    """Path of a rectangle, so that a series of bars is one element."""
    return f"M{num(x)} {num(y)}h{num(width)}v{num(height)}h{num(-width)}z" if height > 0 else ""
