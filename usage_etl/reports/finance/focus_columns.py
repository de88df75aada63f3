"""Columns and allowed values of FOCUS 1.2, 1.3 and 1.4, as far as ``focus.csv`` has them.

From the published texts of the specification: docs/reference/finance_files.md says which, and what is left out.
"""

from __future__ import annotations

from typing import Literal

FocusVersion = Literal["1.2", "1.3", "1.4"]

VERSIONS: tuple[FocusVersion, ...] = ("1.2", "1.3", "1.4")

_SINCE_1_2 = (
    *("BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart"),
    *("ChargeCategory", "ChargeClass", "ChargeDescription", "ChargeFrequency", "ChargePeriodEnd", "ChargePeriodStart"),
    *("CommitmentDiscountId", "CommitmentDiscountStatus", "ConsumedQuantity", "ConsumedUnit", "ContractedCost", "EffectiveCost"),
    *("InvoiceId", "InvoiceIssuerName", "ListCost", "PricingCurrency", "PricingQuantity", "PricingUnit", "ServiceCategory"),
    *("ServiceName", "ServiceSubcategory", "SubAccountId", "SubAccountName"),
)
_UNTIL_1_3 = ("ProviderName", "PublisherName")
_SINCE_1_3 = (
    *("AllocatedMethodDetails", "AllocatedMethodId", "AllocatedResourceId", "AllocatedResourceName", "AllocatedTags"),
    *("HostProviderName", "ServiceProviderName"),
)
_SINCE_1_4 = ("InvoiceDetailId",)

CUSTOM_COLUMNS = (
    *("x_AllocationRule", "x_AllocationRuleName", "x_BusinessUnitId", "x_BusinessUnitName", "x_ChargeKind"),
    *("x_CommitmentDiscountId", "x_ConsumedQuantityEstimated", "x_CorrectionReason", "x_CorrectsMonth", "x_CostCenterId"),
    *("x_CostCenterName", "x_DepartmentId", "x_DepartmentName", "x_DisputeId", "x_FxRate", "x_FxRateDate", "x_FxRateSource"),
    *("x_InvestigationId", "x_InvoiceCurrency", "x_InvoiceLineId", "x_LineId", "x_LineKind", "x_ListCostEstimated"),
    *("x_MeteredCost", "x_ModelId", "x_OriginalInvoiceId", "x_PeriodStatus", "x_PricingQuantityEstimated", "x_ProjectId"),
    *("x_RequestsCount", "x_ServiceCategorySent", "x_TeamId", "x_TeamName", "x_TotalTokens"),
)
"""Our own columns, after those of FOCUS in every version."""

SERVICE_CATEGORIES = (
    *("AI and Machine Learning", "Analytics", "Business Applications", "Compute", "Databases", "Developer Tools", "Identity"),
    *("Integration", "Internet of Things", "Management and Governance", "Media", "Migration", "Mobile", "Multicloud"),
    *("Networking", "Other", "Security", "Storage", "Web"),
)
AI_CATEGORY, OTHER_CATEGORY = "AI and Machine Learning", "Other"
GENERATIVE_AI = "Generative AI"


def focus_columns(version: FocusVersion) -> tuple[str, ...]:
    """Columns of ``focus.csv``: those of FOCUS in the order of their ids, then our own. Raises ValueError for other versions."""
    if version not in VERSIONS:
        raise ValueError(f"FOCUS {version!r} is not known; one of {', '.join(VERSIONS)}")
    own = list(_SINCE_1_2)
    own += _UNTIL_1_3 if version != "1.4" else ()
    own += _SINCE_1_3 if version != "1.2" else ()
    own += _SINCE_1_4 if version == "1.4" else ()
    return (*sorted(own), *CUSTOM_COLUMNS)
