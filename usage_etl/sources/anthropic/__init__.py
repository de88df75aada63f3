"""Anthropic cost report and messages usage report (Admin API): pages of daily buckets, fetched or saved by the customer."""
