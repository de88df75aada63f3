"""Charts as SVG text: small, deterministic, labelled directly, each with a text alternative made from its data."""

from usage_etl.reports.charts.burnup import burn_up_chart
from usage_etl.reports.charts.ranking import gauge_bar, meter, ranking_rows, sparkline
from usage_etl.reports.charts.stacked import daily_bars

__all__ = ["burn_up_chart", "daily_bars", "gauge_bar", "meter", "ranking_rows", "sparkline"]
