"""Scheduled batch ETL and reporting for AI usage and cost."""

__version__ = "0.1.0"
