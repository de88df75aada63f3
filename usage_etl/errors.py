"""Every error the product raises on purpose: one base class, culprits as data, one message each."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence


class UsageEtlError(Exception):
    """Base of all deliberate errors. ``is_permanent`` says whether trying again can help."""

    is_permanent = True


class ConfigError(UsageEtlError):
    """The configuration cannot be used. The CLI answers with exit code 2.

    ``problems`` holds one line per fault, each naming file, key and the allowed values.
    """

    def __init__(self, origin: str, problems: Sequence[str]) -> None:
        self.origin = origin
        self.problems = tuple(problems)
        lines = "".join(f"\n  - {problem}" for problem in self.problems)
        super().__init__(f"{origin}: {len(self.problems)} problem(s) in the configuration{lines}")


class MissingCredentialsError(ConfigError):
    """One or more secrets that the configuration refers to are not set; all are named at once."""


class ContractError(UsageEtlError):
    """A frame broke its table's contract and the table declares no quarantine."""

    def __init__(self, table: str, failures: dict[str, int], rows_count: int) -> None:
        self.table = table
        self.failures = failures
        detail = ", ".join(f"{rule}={count}" for rule, count in sorted(failures.items()))
        super().__init__(f"{table}: contract broken in {rows_count} row(s): {detail}; the last good version stays")


class LakeError(UsageEtlError):
    """Stored data is missing, changed or unreadable."""


class MissingObjectError(LakeError):
    """There is no object under the key."""

    def __init__(self, where: str) -> None:
        self.where = where
        super().__init__(f"{where}: there is no such object")


class TransientLakeError(LakeError):
    """The store did not answer, or answered 429 or 5xx, after all attempts: trying later can help."""

    is_permanent = False


class DamagedManifestError(LakeError):
    """A manifest is not what the lake wrote."""

    def __init__(self, key: str, fault: str) -> None:
        self.key, self.fault = key, fault
        super().__init__(f"{key}: the manifest {fault}; rebuild the partition")


class IntegrityError(LakeError):
    """Stored bytes, rows or totals are not what their manifest says."""

    def __init__(self, key: str, what: str, expected: object, found: object) -> None:
        self.key, self.what, self.expected, self.found = key, what, expected, found
        super().__init__(f"{key}: {what} is {found}, its manifest says {expected}; restore it or rebuild the partition")


class ForgottenVersionError(LakeError):
    """The version of a partition that stood at an instant is not kept any more.

    ``sha256`` names it, where that is still known; it stood from ``begun_at`` to ``ended_at``.
    """

    def __init__(
        self,
        where: str,
        *,
        instant: dt.datetime,
        sha256: str | None,
        begun_at: dt.datetime,
        ended_at: dt.datetime | None,
        why: str,
    ) -> None:
        self.where, self.instant, self.sha256, self.begun_at, self.ended_at = where, instant, sha256, begun_at, ended_at
        version = f"version {sha256}" if sha256 else "a version"
        until = f"to {ended_at.isoformat()}" if ended_at else "on"
        super().__init__(
            f"{where}: as of {instant.isoformat()}, {version} stood (from {begun_at.isoformat()} {until}), which {why}"
        )


class SourceError(UsageEtlError):
    """A source could not be read; permanent unless it is a ``TransientSourceError``."""

    def __init__(self, source: str, message: str) -> None:
        self.source, self.reason = source, message
        super().__init__(f"source {source}: {message}")


class TransientSourceError(SourceError):
    """A source answered 408, 429 or 5xx, or the line broke: trying later can help."""

    is_permanent = False


class RefusedRequestError(SourceError):
    """A source answered that the request may not be made, or that there is nothing of the kind. ``status`` is HTTP's."""

    def __init__(self, source: str, message: str, status: int) -> None:
        self.status = status
        super().__init__(source, message)


class UnreadableDeliveryError(SourceError):
    """A landed file is not what its source says; the file is quarantined whole, others go on."""


class UnreadableRowsError(UsageEtlError):
    """A file of rows has cells that cannot be read; ``faults`` names each by line and row. Nothing of the file is used."""

    def __init__(self, origin: str, faults: Sequence[str]) -> None:
        self.origin, self.faults = origin, tuple(faults)
        shown = "".join(f"\n  - {fault}" for fault in self.faults[:20])
        more = f"\n  - and {len(self.faults) - 20} more" if len(self.faults) > 20 else ""
        super().__init__(f"{origin}: {len(self.faults)} fault(s){shown}{more}")


class PriceBookError(UsageEtlError):
    """A price source or an override file cannot be used."""


class DirectoryError(ConfigError):
    """A directory CSV has overlaps, gaps, shares that are no whole, circles, unknown references or unreadable cells."""


class FinanceFileError(ConfigError):
    """A file of invoices, exchange rates or disputes has unreadable cells, or rows that contradict themselves or each other."""


class ConservationError(UsageEtlError):
    """Two totals that must be equal are not."""

    def __init__(self, what: str, left: object, right: object) -> None:
        self.what, self.left, self.right = what, left, right
        super().__init__(f"{what}: {left} is not {right}; nothing was published")


class DeliveryError(UsageEtlError):
    """A report could not be handed over."""


class UndeliveredError(DeliveryError):
    """Some recipients did not get a report, or may not have. ``outcomes`` says by recipient what happened."""

    def __init__(self, report: str, period: str, outcomes: Mapping[str, str], *, is_permanent: bool) -> None:
        self.report, self.period, self.outcomes = report, period, outcomes
        self.is_permanent = is_permanent
        lines = "".join(f"\n  - {recipient}: {outcome}" for recipient, outcome in sorted(outcomes.items()))
        super().__init__(f"{report} {period}: not known to have reached {len(outcomes)} recipient(s){lines}")


class ConflictingNoticeError(DeliveryError):
    """One notice id stands for two different notices; the first one stays in the outbox."""

    def __init__(self, notice_id: str, title: str) -> None:
        self.notice_id, self.title = notice_id, title
        super().__init__(f"notice {notice_id} ({title!r}) is in the outbox with another content; its id must tell them apart")


class AlertsBusyError(DeliveryError):
    """Others evaluated the alerts of the organization each time this evaluation had read its figures; nothing was decided."""

    is_permanent = False

    def __init__(self, organization_id: str) -> None:
        self.organization_id = organization_id
        super().__init__(f"alerts of {organization_id}: others evaluate them at the same time; nothing was decided, run it again")


class UndeliveredAlertsError(DeliveryError):
    """Alerts died on their way, or a channel cannot be used; ``problems`` holds one line for each."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        lines = "".join(f"\n  - {problem}" for problem in self.problems)
        super().__init__(f"alerts: {len(self.problems)} problem(s) on the way; `usage-etl outbox list` shows them{lines}")


class AllocationError(UsageEtlError):
    """A month cannot be allocated as the settings and files say; nothing of it is published, the last good version stays.

    ``problems`` holds one line per fault, each naming rule, owner, invoice or currency and what to do.
    """

    def __init__(self, month: str, problems: Sequence[str]) -> None:
        self.month, self.problems = month, tuple(problems)
        lines = "".join(f"\n  - {problem}" for problem in self.problems)
        super().__init__(f"allocation of {month}: {len(self.problems)} problem(s){lines}")


class InvoiceMismatchError(AllocationError):
    """An invoice's total is not the sum of its charge lines, beyond ``reconciliation.invoice_tolerance_cost``."""


class MissingRateError(AllocationError):
    """An invoice is to be converted and finance/fx_rates.csv holds no rate for its day."""


class UnknownOwnerError(AllocationError):
    """An allocation rule names an owner that no directory knows in the month."""


class GateError(UsageEtlError):
    """A tolerance gate holds publication or closing; ``failures`` says which line of which bill and by how much."""

    def __init__(self, what: str, failures: Sequence[str]) -> None:
        self.what, self.failures = what, tuple(failures)
        lines = "".join(f"\n  - {failure}" for failure in self.failures)
        super().__init__(f"{what}: {len(self.failures)} gate(s) not passed{lines}")


class ClosedPeriodError(UsageEtlError):
    """Something would change what was published of a closed month."""

    def __init__(self, period: str, what: str) -> None:
        self.period, self.what = period, what
        super().__init__(f"{period} is closed: {what}; `usage-etl reopen` needs a reason and leaves a trace")


class DisputeError(ConfigError):
    """A dispute names a line that was not published, another amount than the line has, or an owner that does not exist."""


class PeriodBusyError(UsageEtlError):
    """Somebody else closed or reopened a month while this closing was being made; nothing was closed, and it can be repeated."""

    is_permanent = False

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(f"{what}: the period book or the allocation changed meanwhile; nothing was closed, run it again")


class GatewayError(UsageEtlError):
    """A gateway refused a change, or answered what nobody can use. ``status`` is HTTP's, null without an answer."""

    def __init__(self, gateway: str, message: str, status: int | None = None) -> None:
        self.gateway, self.status = gateway, status
        super().__init__(f"gateway {gateway}: {message}")


class TransientGatewayError(GatewayError):
    """A gateway answered 408, 429 or 5xx, or nothing, after all attempts: running again can help."""

    is_permanent = False


class TooManyBlocksError(UsageEtlError):
    """A run would block more scopes than ``quotas.max_blocks``; nobody was blocked. ``scopes`` names them."""

    def __init__(self, scopes: Sequence[str], allowed: int) -> None:
        self.scopes, self.allowed = tuple(scopes), allowed
        lines = "".join(f"\n  - {scope}" for scope in scopes)
        super().__init__(
            f"{len(scopes)} scopes would be blocked at once, quotas.max_blocks is {allowed}: nobody was blocked."
            f" Look at their quotas and at the data, then raise it{lines}"
        )


class LimitsNotAppliedError(UsageEtlError):
    """Some changes at a gateway failed; the others were made. ``failures`` says which and why."""

    def __init__(self, failures: Sequence[str], *, is_permanent: bool) -> None:
        self.failures, self.is_permanent = tuple(failures), is_permanent
        lines = "".join(f"\n  - {failure}" for failure in failures)
        super().__init__(f"{len(failures)} change(s) at the gateway failed; running again tries them again{lines}")
