"""Columns of CUR 2.0: those that are read, and those that are known and not read."""

from __future__ import annotations

from collections.abc import Mapping

CUR_INSTANTS = (
    "bill_billing_period_start_date",
    "bill_billing_period_end_date",
    "line_item_usage_start_date",
    "line_item_usage_end_date",
)
CUR_DECIMALS = (
    "line_item_usage_amount",
    "line_item_unblended_cost",
    "line_item_net_unblended_cost",
    "pricing_public_on_demand_cost",
    "pricing_public_on_demand_rate",
    "reservation_effective_cost",
    "reservation_net_effective_cost",
    "reservation_unused_amortized_upfront_fee_for_billing_period",
    "reservation_net_unused_amortized_upfront_fee_for_billing_period",
    "reservation_unused_recurring_fee",
    "reservation_net_unused_recurring_fee",
    "savings_plan_savings_plan_effective_cost",
    "savings_plan_net_savings_plan_effective_cost",
    "savings_plan_total_commitment_to_date",
    "savings_plan_used_commitment",
)
_TEXTS = (
    *("bill_invoice_id", "bill_invoicing_entity", "bill_payer_account_id", "bill_payer_account_name"),
    *("line_item_availability_zone", "line_item_currency_code", "line_item_iam_principal", "line_item_legal_entity"),
    *("line_item_line_item_description", "line_item_line_item_type", "line_item_product_code", "line_item_resource_id"),
    *("line_item_usage_account_id", "line_item_usage_account_name", "line_item_usage_type", "line_item_user_identifier"),
    *("pricing_rate_id", "pricing_unit", "product", "product_region_code", "product_servicecode", "product_sku"),
    *("reservation_reservation_a_r_n", "savings_plan_savings_plan_a_r_n", "resource_tags", "tags", "cost_category"),
)

CUR_NAMES: Mapping[str, tuple[str, ...]] = {
    **{name: (name,) for name in (*CUR_INSTANTS, *CUR_DECIMALS, *_TEXTS)},
    "product_name": ("product_product_name", "product_name"),
}
"""Field to the columns it may stand in."""

CUR_REQUIRED = frozenset(
    {
        "line_item_currency_code",
        "line_item_line_item_type",
        "line_item_product_code",
        "line_item_unblended_cost",
        "line_item_usage_start_date",
    }
)
"""Columns without which the rows mean nothing: an export that leaves one out is refused."""

CUR_SCOPE = ("line_item_product_code", "line_item_usage_type", "product_servicecode", "product_name")
"""Fields that say which service a row is of."""

_UNREAD = {
    "bill": "bill_type billing_entity",
    "identity": "line_item_id time_interval",
    "line_item": (
        "blended_cost blended_rate net_unblended_rate normalization_factor normalized_usage_amount operation tax_type "
        "unblended_rate"
    ),
    "pricing": "currency lease_contract_length offering_class purchase_option rate_code term",
    "product": (
        "comment fee_code fee_description from_location from_location_type from_region_code instance_family instance_type "
        "instancesku location location_type operation pricing_unit product_family to_location to_location_type "
        "to_region_code usagetype"
    ),
    "reservation": (
        "amortized_upfront_cost_for_usage amortized_upfront_fee_for_billing_period availability_zone end_time "
        "modification_status net_amortized_upfront_cost_for_usage net_amortized_upfront_fee_for_billing_period "
        "net_recurring_fee_for_usage net_upfront_value normalized_units_per_reservation number_of_reservations "
        "recurring_fee_for_usage start_time subscription_id total_reserved_normalized_units total_reserved_units "
        "units_per_reservation unused_normalized_unit_quantity unused_quantity upfront_value"
    ),
    "savings_plan": (
        "amortized_upfront_commitment_for_billing_period end_time instance_type_family "
        "net_amortized_upfront_commitment_for_billing_period net_recurring_commitment_for_billing_period offering_type "
        "payment_option purchase_term recurring_commitment_for_billing_period region savings_plan_rate start_time"
    ),
    "split_line_item": (
        "actual_usage net_split_cost net_unused_cost parent_resource_id public_on_demand_split_cost "
        "public_on_demand_unused_cost reserved_usage split_cost split_usage split_usage_ratio unused_cost"
    ),
    "discount": "bundled_discount total_discount",
}
CUR_UNREAD = frozenset({f"{group}_{name}" for group, names in _UNREAD.items() for name in names.split()}) | {
    "capacity_reservation_capacity_reservation_arn",
    "capacity_reservation_capacity_reservation_status",
    "capacity_reservation_capacity_reservation_type",
    "discount",
}
"""Columns that are known and not read."""
