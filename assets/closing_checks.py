"""Checks of closing, added up again from what is stored: closed lines, own lines, corrections and disputes."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import dagster as dg
import polars as pl

from assets.booking import lines_of, open_dispute_faults
from assets.ranges import checked_partitions
from assets.resources import Workspace, WorkspaceResource
from usage_etl.allocation.booking import closing_lines, lines_in_force, lines_sha256
from usage_etl.allocation.corrections import booked_of
from usage_etl.periods import Month
from usage_etl.remainder import to_attos
from usage_etl.schemas import MART_ALLOCATION_MONTHLY, MART_CHARGEBACK_CLOSED, MART_CHARGEBACK_MONTHLY
from usage_etl.schemas.periods import ALL_OTHERS, Periods

_VIEWS = ("allocated_cost", "allocated_effective_cost")
Totals = dict[tuple[object, ...], int]


def closing_checks() -> list[dg.AssetChecksDefinition]:
    """Checks of mart_chargeback_closed and mart_chargeback_monthly that this part owns; all but that of open disputes block."""
    return [
        _recorded_check(),
        _closed_check(),
        _own_lines_check(),
        _corrections_check(),
        _disputes_check(),
        _open_disputes_check(),
    ]


def closing_faults(workspace: Workspace) -> list[str]:
    """For ``usage-etl verify``: faults of the period book, and closings whose stored lines are not those it recorded."""
    book = workspace.period_book
    faults = book.faults()
    return faults or _unequal_closings(workspace, workspace.lake.partitions(MART_CHARGEBACK_CLOSED), book.periods())


def _recorded_check() -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=MART_CHARGEBACK_CLOSED.name, name="equals_the_period_book", blocking=True)
    def equals_the_period_book(context: dg.AssetCheckExecutionContext, workspace: WorkspaceResource) -> dg.AssetCheckResult:
        """Lines of every closing, reopened ones too, are those whose hash was recorded when it was made."""
        opened = workspace.open()
        periods = opened.period_book.periods()
        keys = checked_partitions(context, opened.lake, MART_CHARGEBACK_CLOSED)
        unequal = _unequal_closings(opened, keys, periods)
        known = {(item.provider_name, item.month.first_day, item.number) for item in periods.closings}
        stored = opened.lake.scan(MART_CHARGEBACK_CLOSED, keys).select("provider_name", "month", "closing_number").unique()
        cut_short = [str(key) for key in sorted(stored.collect().iter_rows()) if key not in known]
        return dg.AssetCheckResult(passed=not unequal, metadata={"unequal": _json(unequal), "cut_short": _json(cut_short)})

    return equals_the_period_book


def _closed_check() -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=MART_CHARGEBACK_MONTHLY.name, name="closed_lines_never_change", blocking=True)
    def closed_lines_never_change(context: dg.AssetCheckExecutionContext, workspace: WorkspaceResource) -> dg.AssetCheckResult:
        """What is booked for a closed provider is its closing, to the last character."""
        opened, unequal = workspace.open(), list[str]()
        periods = opened.period_book.periods()
        for month, booked in _booked(context, opened):
            for name in sorted({*booked["provider_name"].unique(), *_closed_providers(periods, month)}):
                closing = periods.in_force(name, month)
                lines = booked.filter(pl.col("provider_name") == name)
                if closing is None:
                    unequal += [f"{month} was closed without {name}"] if periods.is_closed(name, month) else []
                    continue
                again = closing_lines(lines, number=closing.number, closed_at=closing.closed_at)
                if lines_sha256(again) != closing.lines_sha256:
                    unequal.append(f"{month} of {name} is not closing {closing.number}")
        return dg.AssetCheckResult(passed=not unequal, metadata={"unequal": _json(unequal)})

    return closed_lines_never_change


def _own_lines_check() -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=MART_CHARGEBACK_MONTHLY.name, name="own_lines_equal_allocation", blocking=True)
    def own_lines_equal_allocation(context: dg.AssetCheckExecutionContext, workspace: WorkspaceResource) -> dg.AssetCheckResult:
        """Where a provider is not closed, the month's own lines are the lines of the allocation, each once."""
        opened, unequal = workspace.open(), list[str]()
        periods = opened.period_book.periods()
        for month, booked in _booked(context, opened):
            allocated = opened.lake.scan(MART_ALLOCATION_MONTHLY, [month.first_day.isoformat()]).collect()
            own = booked.filter(pl.col("corrects_month").is_null())
            for name in sorted({*own["provider_name"].unique(), *allocated["provider_name"].unique()}):
                if periods.is_closed(name, month):
                    continue
                sides = [frame.filter(pl.col("provider_name") == name).select(allocated.columns) for frame in (own, allocated)]
                if lines_sha256(sides[0]) != lines_sha256(sides[1]):
                    unequal.append(f"{month} of {name}: {sides[0].height} own lines, {sides[1].height} allocated ones")
        return dg.AssetCheckResult(passed=not unequal, metadata={"unequal": _json(unequal)})

    return own_lines_equal_allocation


def _corrections_check() -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=MART_CHARGEBACK_MONTHLY.name, name="corrections_conserve", blocking=True)
    def corrections_conserve(context: dg.AssetCheckExecutionContext, workspace: WorkspaceResource) -> dg.AssetCheckResult:
        """Corrections of a closed month add up to what it costs now less what was booked of it, or are carried whole."""
        opened = workspace.open()
        unequal = [fault for month, booked in _booked(context, opened) for fault in _correction_faults(opened, month, booked)]
        return dg.AssetCheckResult(passed=not unequal, metadata={"unequal": _json(unequal)})

    return corrections_conserve


def _disputes_check() -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=MART_CHARGEBACK_MONTHLY.name, name="disputes_add_up_to_nothing", blocking=True)
    def disputes_add_up_to_nothing(context: dg.AssetCheckExecutionContext, workspace: WorkspaceResource) -> dg.AssetCheckResult:
        """What a dispute takes off one owner, another one takes over."""
        unequal: list[str] = []
        for month, booked in _booked(context, workspace.open()):
            disputed = booked.filter(pl.col("dispute_id").is_not_null())
            for view in _VIEWS:
                found = _sums(disputed, ("dispute_id", "billing_currency"), view)
                unequal += [f"{month}: {view} of {key} adds up to {attos}e-18" for key, attos in found.items() if attos]
        return dg.AssetCheckResult(passed=not unequal, metadata={"unequal": _json(unequal)})

    return disputes_add_up_to_nothing


def _open_disputes_check() -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=MART_CHARGEBACK_MONTHLY.name, name="open_disputes_can_be_accepted")
    def open_disputes_can_be_accepted(workspace: WorkspaceResource) -> dg.AssetCheckResult:
        """No open dispute would be refused if it were accepted now: its line stands and has what it disputes."""
        faults = open_dispute_faults(workspace.open())
        severity = dg.AssetCheckSeverity.WARN
        return dg.AssetCheckResult(passed=not faults, severity=severity, metadata={"faults": _json(faults)})

    return open_disputes_can_be_accepted


def _correction_faults(workspace: Workspace, month: Month, booked: pl.DataFrame) -> Iterator[str]:
    periods = workspace.period_book.periods()
    corrected = booked.filter(pl.col("corrects_month").is_not_null() & pl.col("dispute_id").is_null())
    days = corrected["corrects_month"].unique().to_list()
    is_compared = pl.col("month").is_in(days) | pl.col("corrects_month").is_in(days)
    closed_lines = lines_in_force(workspace.lake.scan(MART_CHARGEBACK_CLOSED).filter(is_compared), periods).collect()
    still_open = [name for name in corrected["provider_name"].unique() if not periods.is_closed(name, month)]
    for name in sorted(still_open):
        for day in sorted(corrected.filter(pl.col("provider_name") == name)["corrects_month"].unique()):
            is_of = pl.col("provider_name") == name
            now = workspace.lake.scan(MART_ALLOCATION_MONTHLY, [day.isoformat()]).filter(is_of).collect()
            before = booked_of(closed_lines.filter(is_of), Month.of(day))
            lines = corrected.filter(is_of & (pl.col("corrects_month") == day))
            for view in _VIEWS:
                sums = [_sums(frame, ("billing_currency",), view) for frame in (lines, now, before)]
                for key in {*sums[0], *sums[1], *sums[2]}:
                    change, wanted = sums[0][key], sums[1][key] - sums[2][key]
                    if change != wanted:
                        yield f"{month}: {view} of {name} {day:%Y-%m} in {key[0]} is corrected by {change}e-18, not {wanted}e-18"


def _unequal_closings(workspace: Workspace, keys: Sequence[str], periods: Periods) -> list[str]:
    unequal = []
    for key in keys:
        stored = workspace.lake.scan(MART_CHARGEBACK_CLOSED, [key]).collect()
        for closing in periods.closings:
            if closing.month == Month.parse(key) and closing.provider_name != ALL_OTHERS:
                lines = lines_of(stored, closing)
                if lines_sha256(lines) != closing.lines_sha256:
                    unequal.append(
                        f"closing {closing.number} of {closing.month} of {closing.provider_name}: its {closing.lines_count} lines"
                        f" are not those stored ({lines.height}); restore {MART_CHARGEBACK_CLOSED.name} from a backup"
                    )
    return unequal


def _booked(context: dg.AssetCheckExecutionContext, workspace: Workspace) -> Iterator[tuple[Month, pl.DataFrame]]:
    for key in checked_partitions(context, workspace.lake, MART_CHARGEBACK_MONTHLY):
        yield Month.parse(key), workspace.lake.scan(MART_CHARGEBACK_MONTHLY, [key]).collect()


def _closed_providers(periods: Periods, month: Month) -> set[str]:
    return {item.provider_name for item in periods if item.month == month and item.provider_name != ALL_OTHERS}


def _sums(frame: pl.DataFrame, keys: Sequence[str], view: str) -> Totals:
    sums: Totals = defaultdict(int)
    for key, attos in zip(frame.select(keys).iter_rows(), to_attos(frame[view]), strict=True):
        sums[key] += attos or 0
    return sums


def _json(found: Sequence[str]) -> dg.MetadataValue:
    return dg.MetadataValue.json(list(found))
