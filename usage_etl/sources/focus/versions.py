"""Which version of FOCUS a file follows, told by its columns alone: files do not say it."""

from __future__ import annotations

from collections.abc import Collection

_FIRST_COLUMNS = (
    ("1.4", frozenset({"invoicedetailid", "commitmentprogrameligibilitydetails"})),
    (
        "1.3",
        frozenset({"serviceprovidername", "hostprovidername", "allocatedmethodid", "allocatedtags", "contractapplied"}),
    ),
    ("1.2", frozenset({"billingaccounttype", "invoiceid", "pricingcurrency", "subaccounttype"})),
    ("1.1", frozenset({"capacityreservationid", "commitmentdiscountquantity", "servicesubcategory", "skumeter"})),
)
"""Version to columns that it brought, in small letters, the newest first."""


def focus_version(header: Collection[str]) -> str:
    """The newest version one of whose own columns ``header`` has; 1.4 also where it has no ProviderName any more."""
    names = {name.strip().lower() for name in header}
    if "serviceprovidername" in names and "providername" not in names:
        return "1.4"
    return next((version for version, columns in _FIRST_COLUMNS if columns & names), "1.0")
