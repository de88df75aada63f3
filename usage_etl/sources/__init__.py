"""Sources: each kind has a fetch (network, folder or bucket to landed bytes) and a parse (bytes to staged rows).

Each folder that holds a ``SOURCE`` is a kind. What kinds share lies in ``fetching`` (outside to bytes), ``reading`` (bytes to
text), ``rows`` (text to typed rows), ``forms`` (whole files of a known form) and ``sandbox`` (the child that parses).
"""
