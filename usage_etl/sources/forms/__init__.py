"""Whole files of a known form to batches: request logs, tables, runs of an export, bucketed reports."""
