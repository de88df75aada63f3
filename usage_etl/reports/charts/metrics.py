"""How wide text is in Inter, so that labels can be placed, shortened and counted in lines without a browser."""

from __future__ import annotations

# Advance widths of Inter for ASCII 32 to 126, in thousandths of the font size.
_WIDTHS: dict[int, tuple[int, ...]] = {
    400: (
        281, 288, 466, 633, 642, 982, 644, 300, 365, 365, 501, 662, 288, 460, 288, 360, 631, 407, 610, 618, 646, 593, 620, 566,
        619, 620, 288, 302, 662, 662, 662, 511, 966, 690, 654, 730, 722, 601, 590, 746, 743, 269, 571, 672, 565, 903, 753, 765,
        639, 765, 644, 642, 646, 744, 690, 985, 682, 679, 629, 365, 360, 365, 471, 456, 323, 562, 612, 571, 612, 583, 370, 613,
        591, 242, 242, 549, 242, 876, 591, 600, 612, 612, 376, 528, 327, 591, 562, 818, 546, 562, 552, 426, 333, 426, 662,
    ),
    600: (
        252, 321, 523, 644, 650, 1004, 663, 326, 373, 373, 540, 673, 319, 465, 319, 379, 660, 423, 623, 636, 666, 612, 640, 576,
        640, 640, 319, 329, 673, 673, 673, 543, 999, 728, 659, 737, 722, 605, 588, 749, 746, 277, 580, 703, 565, 922, 759, 769,
        645, 773, 652, 650, 660, 736, 728, 1020, 720, 713, 652, 373, 379, 373, 481, 469, 351, 574, 624, 583, 624, 591, 389, 625,
        612, 262, 262, 569, 262, 900, 612, 609, 624, 624, 397, 549, 353, 612, 587, 839, 569, 588, 566, 455, 359, 455, 673,
    ),
}  # fmt: skip


def text_width(text: str, *, size: float, weight: int = 400) -> float:
    """Width of ``text`` in Inter; letters outside ASCII count as wide ones."""
    widths = _WIDTHS[weight]
    return sum((widths[ord(char) - 32] if 32 <= ord(char) < 127 else _other_width(char)) for char in text) * size / 1000


def _other_width(char: str) -> int:
    if char in "\u2068\u2069":
        return 0
    return 1000 if ord(char) > 0x2E7F else 280 if char == "\u00a0" else 640


def fitted(text: str, *, size: float, limit: float, weight: int = 400) -> str:
    """``text``, or as much of it as fits into ``limit`` with an ellipsis."""
    if text_width(text, size=size, weight=weight) <= limit:
        return text
    kept = text
    while kept and text_width(kept + "…", size=size, weight=weight) > limit:
        kept = kept[:-1]
    return kept.rstrip() + "…"


def lines_count(text: str, *, size: float, limit: float, weight: int = 400) -> int:
    """Lines that ``text`` takes when words wrap at ``limit``."""
    lines, used = 1, 0.0
    space = text_width(" ", size=size, weight=weight)
    for word in text.split(" "):
        wide = text_width(word, size=size, weight=weight)
        if used and used + space + wide > limit:
            lines, used = lines + 1, 0.0
        lines += int(wide // limit)
        used = used + (space if used else 0) + wide % limit
    return lines
