"""Realistic lines of each JSON log format: one module a kind of source, with ``write_lines(path, rows)``."""
