"""Bytes to text: decompression, lines, JSON records, tables, pages. Every cell as it was written, nothing typed yet."""
