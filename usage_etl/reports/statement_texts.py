"""The sentences of a statement: every amount in them is that of a table, and none is typed by hand."""

from __future__ import annotations

from decimal import Decimal

from usage_etl.reports.booked_lines import Booked, grouped, statuses_of, total_of
from usage_etl.reports.comparison import MULTIPLE_FROM, ratio_of
from usage_etl.reports.formatting import NBSP, listed, money_exact, multiple, percent, plural
from usage_etl.reports.model import Status, Tone
from usage_etl.reports.statement_model import Audience
from usage_etl.reports.statement_tables import Frame

_NOTABLE = Decimal("0.01")
_STATUS_TONES: dict[str, tuple[str, Tone]] = {
    "open": ("Open", "neutral"),
    "preliminary": ("Preliminary", "warn"),
    "closed": ("Closed", "good"),
}
_STATUS_NOTES = {
    "open": "The month is still running: amounts grow.",
    "preliminary": "The month is over and not closed yet: providers may restate it.",
    "closed": "The month is closed: this statement does not change. What arrives later is a correction in a later month.",
}


def status_pill(status: str, version: str) -> Status:
    """``Closed, version 2``."""
    word, tone = _STATUS_TONES[status]
    return Status(tone=tone, text=f"{word}, version{NBSP}{version}" if version else word)


def status_note(lines: list[Booked], status: str) -> str:
    """What the status means; which providers are how far, where they differ."""
    found = statuses_of(lines)
    if len(found) < 2:
        return _STATUS_NOTES[status]
    parts = [f"{_STATUS_TONES[one][0]}: {listed(providers)}." for one, providers in reversed(found.items())]
    return f"{' '.join(parts)} {_STATUS_NOTES[status]}"


def headline(frames: list[Frame], *, name: str, audience: Audience, month: str, previous_month: str) -> str:
    """Amount, comparison with the month before, and the largest cause."""
    month = month.replace(" ", NBSP)
    if not frames:
        return _nothing(name, audience, month)
    sentences = [_charged(frames, name=name, audience=audience, month=month)]
    if len(frames) == 1:
        compared = comparison(frames[0], previous_month)
        sentences[0] += f", {compared}" if compared else ""
        sentences.append(_cause(frames[0]))
    else:
        each = [(frame.currency, comparison(frame, previous_month)) for frame in frames]
        known = [f"in {currency} this {'comes' if text.startswith('after') else 'is'} {text}" for currency, text in each if text]
        sentences.append(_upper(", ".join(known)))
    if all(frame.previous is None for frame in frames):
        sentences.append("There is no earlier month to compare with")
    sentences += [_estimate(frame) for frame in frames]
    return " ".join(f"{sentence}." for sentence in sentences if sentence)


def subject_line(frames: list[Frame], *, name: str, audience: Audience, month: str, previous_month: str, status: str) -> str:
    """``AI charges of Research, October 2026: $120.00, 18 % more than for September ($101.70)``."""
    about = {
        "owner": f"AI charges of {name}, {month}",
        "unallocated": f"AI charges that nobody owns, {month}",
        "unexplained": f"AI bills that no usage explains, {month}",
    }[audience]
    totals = listed([money_exact(frame.total, frame.currency) for frame in frames]) if frames else "nothing"
    compared = comparison(frames[0], previous_month) if len(frames) == 1 else ""
    state = "" if status == "closed" else f" ({'so far' if status == 'open' else status})"
    return f"{about}: {totals}{state}{', ' + compared if compared else ''}".replace(NBSP, " ")


def comparison(frame: Frame, previous_month: str) -> str:
    """``18 % more than for September ($101.70)``; empty where nothing earlier is known."""
    if frame.previous is None:
        return ""
    before, now = total_of(frame.previous), frame.total
    shown = money_exact(before, frame.currency)
    if not frame.previous:
        return f"after nothing for {previous_month}"
    if now == before:
        return f"the same as for {previous_month}"
    ratio = ratio_of(now, before) if now >= 0 else None
    if ratio is None:
        return f"after {shown} for {previous_month}"
    if ratio >= MULTIPLE_FROM:
        return f"{multiple(ratio)} as much as for {previous_month} ({shown})"
    word = "more" if now > before else "less"
    difference = abs(ratio - 1)
    share = percent(difference) if difference >= _NOTABLE else f"less than 1{NBSP}%"
    return f"{share} {word} than for {previous_month} ({shown})"


def how_to_dispute(csv_name: str) -> tuple[str, ...]:
    """What an owner does who thinks that a line is wrong."""
    return (
        f"Every amount above is a sum of lines of {csv_name}, each with its line_id.",
        "To dispute a line, send its line_id, the amount and your reason to your finance team.",
        "An accepted dispute is booked as a line of its own, with its reference, in the next month that is still open.",
    )


def absent(lines: list[Booked], *, has_disputes: bool) -> tuple[str, ...]:
    """Which of the usual sections there is no reason for, in one sentence."""
    found = {line.part for line in lines}
    parts = [
        name
        for name, is_there in (
            ("credits", "credit" in found),
            ("corrections of earlier months", "correction" in found),
            ("disputes", has_disputes or "dispute" in found),
            ("estimates", "estimate" in found),
        )
        if not is_there
    ]
    if not parts:
        return ()
    *first, last = parts
    return (f"No {', '.join(first)} or {last} in this statement." if first else f"No {last} in this statement.",)


def _nothing(name: str, audience: Audience, month: str) -> str:
    if audience == "owner":
        return f"Nothing is charged to {name} for {month}."
    return f"Nothing of {month} is {'without an owner' if audience == 'unallocated' else 'unexplained'}."


def _charged(frames: list[Frame], *, name: str, audience: Audience, month: str) -> str:
    is_open = frames[0].is_open
    if audience == "owner" and len(frames) == 1 and frames[0].total < 0:
        return f"{name} is credited {money_exact(-frames[0].total, frames[0].currency)} for {month}{' so far' if is_open else ''}"
    totals = listed([money_exact(frame.total, frame.currency) for frame in frames])
    so_far = " so far" if is_open else ""
    if audience == "unallocated":
        return f"Nobody owns {totals} of the AI charges of {month}{so_far}"
    if audience == "unexplained":
        return f"No logged usage explains {totals} of the AI bills of {month}{so_far}"
    return f"{name} is charged {totals} for {month}{so_far}"


def _cause(frame: Frame) -> str:
    """The model, kind or correction whose amount changed most, in the direction of the whole."""
    if not frame.previous:
        return ""
    now, before = (grouped(lines, lambda line: (line.subject, line.provider)) for lines in (frame.lines, frame.previous))
    changes = {key: total_of(now.get(key, [])) - total_of(before.get(key, [])) for key in {*now, *before}}
    whole = frame.total - total_of(frame.previous)
    if whole == 0 or not changes:
        return ""
    sign = 1 if whole > 0 else -1
    (subject, provider), amount = min(changes.items(), key=lambda item: (-item[1] * sign, item[0]))
    verb = "added most" if sign > 0 else "took off most"
    providers = {key[1] for key in changes}
    of_provider = f" of {provider}" if len(providers) > 1 else ""
    return f"{subject}{of_provider} {verb}, {money_exact(abs(amount), frame.currency)}"


def _estimate(frame: Frame) -> str:
    estimates = [line for line in frame.lines if line.part == "estimate"]
    if not estimates:
        return ""
    providers = sorted({line.provider for line in estimates})
    who = listed(providers) if len(providers) <= 3 else plural(len(providers), "provider")
    has = "has" if len(providers) == 1 else "have"
    amount = money_exact(total_of(estimates), frame.currency)
    return f"{amount} of it is an estimate, because {who} {has} delivered no bill"


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
