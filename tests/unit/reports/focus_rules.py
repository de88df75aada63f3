"""The rules of FOCUS 1.2, 1.3 and 1.4 for the dataset Cost and Usage that can be seen in its rows, as code.

Written from the specification's own words, apart from the code under test. Each rule yields a text per violation.
"""

import json
import re
from collections import defaultdict
from decimal import Decimal

from usage_etl.reports.csv_dialect import read_printed

MANDATORY_1_2 = {
    **dict.fromkeys(("BilledCost", "BillingAccountId", "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart"), False),
    **dict.fromkeys(("ChargeCategory", "ChargePeriodEnd", "ChargePeriodStart", "ContractedCost", "EffectiveCost"), False),
    **dict.fromkeys(("InvoiceIssuerName", "ListCost", "ServiceCategory", "ServiceName"), False),
    **dict.fromkeys(("BillingAccountName", "ChargeClass", "ChargeDescription", "PricingQuantity", "PricingUnit"), True),
    **dict.fromkeys(("ProviderName", "PublisherName"), False),
}
"""Column to whether it may be null."""
MANDATORY_1_3 = MANDATORY_1_2 | {"ServiceProviderName": False, "HostProviderName": False}
MANDATORY = {
    "1.2": MANDATORY_1_2,
    "1.3": MANDATORY_1_3,
    "1.4": {name: null for name, null in MANDATORY_1_3.items() if name not in ("ProviderName", "PublisherName")},
}
NEVER_NULL_IF_PRESENT = ("ChargeFrequency", "PricingCurrency", "ServiceSubcategory")

ALL_1_2 = {
    *MANDATORY_1_2,
    *("AvailabilityZone", "BillingAccountType", "CapacityReservationId", "CapacityReservationStatus", "ChargeFrequency"),
    *("CommitmentDiscountCategory", "CommitmentDiscountId", "CommitmentDiscountName", "CommitmentDiscountQuantity"),
    *("CommitmentDiscountStatus", "CommitmentDiscountType", "CommitmentDiscountUnit", "ConsumedQuantity", "ConsumedUnit"),
    *("ContractedUnitPrice", "InvoiceId", "ListUnitPrice", "PricingCategory", "PricingCurrency"),
    *("PricingCurrencyContractedUnitPrice", "PricingCurrencyEffectiveCost", "PricingCurrencyListUnitPrice"),
    *("RegionId", "RegionName", "ResourceId", "ResourceName", "ResourceType", "ServiceSubcategory", "SkuId", "SkuMeter"),
    *("SkuPriceDetails", "SkuPriceId", "SubAccountId", "SubAccountName", "SubAccountType", "Tags"),
}
ALL_1_3 = ALL_1_2 | {
    *("AllocatedMethodDetails", "AllocatedMethodId", "AllocatedResourceId", "AllocatedResourceName", "AllocatedTags"),
    *("ContractApplied", "HostProviderName", "ServiceProviderName"),
}
ALL_COLUMNS = {
    "1.2": ALL_1_2,
    "1.3": ALL_1_3,
    "1.4": (ALL_1_3 - {"ProviderName", "PublisherName"}) | {"CommitmentProgramEligibilityDetails", "InvoiceDetailId"},
}

LISTED = {
    "ChargeCategory": {"Usage", "Purchase", "Tax", "Credit", "Adjustment"},
    "ChargeClass": {"Correction"},
    "ChargeFrequency": {"One-Time", "Recurring", "Usage-Based"},
    "CommitmentDiscountStatus": {"Used", "Unused"},
    "ServiceCategory": {
        *("AI and Machine Learning", "Analytics", "Business Applications", "Compute", "Databases", "Developer Tools"),
        *("Identity", "Integration", "Internet of Things", "Management and Governance", "Media", "Migration", "Mobile"),
        *("Multicloud", "Networking", "Other", "Security", "Storage", "Web"),
    },
}
AI_SUBCATEGORIES = {"AI Platforms", "Bots", "Generative AI", "Machine Learning", "Natural Language Processing"}

NUMBER = re.compile(r"-?\d+(\.\d+)?")
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
CURRENCY = re.compile(r"[A-Z]{3}")
UNIT = re.compile(r"(\d+ )?[A-Z][A-Za-z]*(-[A-Z][A-Za-z]*)*(/(\d+ )?[A-Z][A-Za-z]*)?")
DECIMALS = ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost", "PricingQuantity", "ConsumedQuantity")
INSTANTS = ("BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd")


def broken_rules(content, version):
    """Every violation in a file, as text."""
    table = read_printed(content)
    rows = table.to_dicts()
    found = list(_columns(table.columns, version))
    for row in rows:
        for rule in (_nulls, _values, _quantities, _prices, _classes, _parties):
            found += [f"{message}: {row['x_LineId']}" for message in rule(row, version)]
        if version != "1.2":
            found += [f"{message}: {row['x_LineId']}" for message in _allocated(row, version)]
    return [*found, *_services(rows), *(_ratios(rows) if version != "1.2" else ())]


def _columns(columns, version):
    own = [name for name in columns if not name.startswith("x_")]
    custom = [name for name in columns if name.startswith("x_")]
    if list(columns) != sorted(own) + sorted(custom):
        yield "columns are not FOCUS columns by id, then custom ones by id"
    yield from (f"{name} is missing" for name in MANDATORY[version] if name not in own)
    yield from (f"{name} is no column of {version}" for name in own if name not in ALL_COLUMNS[version])


def _nulls(row, version):
    yield from (f"{name} is null" for name, may in MANDATORY[version].items() if not may and row[name] is None)
    yield from (f"{name} is null" for name in NEVER_NULL_IF_PRESENT if row[name] is None)
    yield from (
        f"{name} holds a placeholder" for name, cell in row.items() if name[:2] != "x_" and cell is not None and is_blank(cell)
    )


def is_blank(cell):
    return cell.strip() == "" or cell in ("NULL", "null", "None", "nan")


def _values(row, version):
    for name, allowed in LISTED.items():
        if row[name] is not None and row[name] not in allowed:
            yield f"{name} {row[name]} is not listed"
    yield from (f"{name} {row[name]} is no number" for name in DECIMALS if row[name] and not NUMBER.fullmatch(row[name]))
    yield from (f"{name} {row[name]} is no instant" for name in INSTANTS if not INSTANT.fullmatch(row[name] or ""))
    yield from (f"{name} is no currency" for name in ("BillingCurrency", "PricingCurrency") if not CURRENCY.fullmatch(row[name]))
    yield from (
        f"{name} {row[name]} is no unit"
        for name in ("PricingUnit", "ConsumedUnit")
        if row[name] and not UNIT.fullmatch(row[name])
    )
    for kind in ("Billing", "Charge"):
        if not row[f"{kind}PeriodStart"] < row[f"{kind}PeriodEnd"]:
            yield f"{kind} period ends before it starts"
    if not row["BillingPeriodStart"].endswith("-01T00:00:00Z"):
        yield "billing period does not start a month"


def _quantities(row, version):
    is_correction, category = row["ChargeClass"] == "Correction", row["ChargeCategory"]
    for kind in ("Pricing", "Consumed"):
        if (row[f"{kind}Quantity"] is None) != (row[f"{kind}Unit"] is None):
            yield f"{kind}Quantity and {kind}Unit are not a pair"
    if category == "Tax" and row["PricingQuantity"] is not None:
        yield "PricingQuantity of a tax"
    if category in ("Usage", "Purchase") and not is_correction and row["PricingQuantity"] is None:
        yield "PricingQuantity is null"
    is_unused = row["CommitmentDiscountStatus"] == "Unused"
    if (category != "Usage" or is_unused) and row["ConsumedQuantity"] is not None:
        yield "ConsumedQuantity of what consumed nothing"
    if category == "Usage" and not is_unused and not is_correction and row["ConsumedQuantity"] is None:
        yield "ConsumedQuantity is null"


def _prices(row, version):
    for cost in ("List", "Contracted"):
        price = row.get(f"{cost}UnitPrice")
        if price is not None and row["PricingQuantity"] is not None and row["ChargeClass"] != "Correction":
            if Decimal(price) * Decimal(row["PricingQuantity"]) != Decimal(row[f"{cost}Cost"]):
                yield f"{cost}Cost is not price times quantity"
            if Decimal(price) < 0:
                yield f"{cost}UnitPrice is negative"


def _classes(row, version):
    category, commitment, status = row["ChargeCategory"], row["CommitmentDiscountId"], row["CommitmentDiscountStatus"]
    if category == "Purchase" and row["ChargeFrequency"] == "Usage-Based":
        yield "a purchase is not usage-based"
    if commitment is None and status is not None:
        yield "CommitmentDiscountStatus without an id"
    if commitment is not None and category == "Usage" and status is None:
        yield "CommitmentDiscountStatus is null"
    if (
        category in ("Credit", "Adjustment")
        and len({Decimal(row[name]) for name in ("BilledCost", "ListCost", "ContractedCost")}) > 1
    ):
        yield f"costs of a {category} differ"
    if row["ChargePeriodStart"] < row["BillingPeriodStart"] and row["InvoiceId"] is not None:
        yield "a correction of a closed month stands on an invoice"


def _parties(row, version):
    if (row["SubAccountId"] is None) != (row["SubAccountName"] is None):
        yield "SubAccountId and SubAccountName are not a pair"
    if version == "1.4" and (row["InvoiceId"] is None) != (row["InvoiceDetailId"] is None):
        yield "InvoiceId and InvoiceDetailId are not a pair"


def _allocated(row, version):
    if (row["AllocatedResourceId"] is None) != (row["AllocatedResourceName"] is None):
        yield "AllocatedResourceId and AllocatedResourceName are not a pair"
    if row["AllocatedMethodId"] is None and row["AllocatedMethodDetails"] is not None:
        yield "details of no method"
    if row["AllocatedTags"] is not None:
        tags = json.loads(row["AllocatedTags"])
        if not all(name.startswith("usage-etl/") and isinstance(tag, str) for name, tag in tags.items()):
            yield "AllocatedTags are not flat, or have no prefix"


def _services(rows):
    by_service = defaultdict(set)
    for row in rows:
        category, finer = row["ServiceCategory"], row["ServiceSubcategory"]
        by_service[row["ServiceName"]].add((category, finer))
        if finer != f"Other ({category})" and not (category == "AI and Machine Learning" and finer in AI_SUBCATEGORIES):
            yield f"{finer} is no subcategory of {category}"
    yield from (f"{name!r} has {len(found)} categories" for name, found in by_service.items() if len(found) > 1)


def _ratios(rows):
    """The ratios of the charges of one origin add up to 1, exactly."""
    sums = defaultdict(Decimal)
    for row in rows:
        if row["AllocatedMethodDetails"] is not None:
            details = json.loads(row["AllocatedMethodDetails"], parse_float=Decimal, parse_int=Decimal)
            sums[row["x_InvoiceLineId"]] += sum(element["AllocatedRatio"] for element in details["Elements"])
    yield from (f"ratios of {line} add up to {total}" for line, total in sums.items() if total != 1)
