"""Realistic lines of each JSON log format: one module a format, with ``write_lines(path, rows)``.

A format that is not its kind's first names the kind as ``KIND``; one that is not JSON lines says ``IS_JSON_LINES = False``.
"""
