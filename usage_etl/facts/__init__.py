"""Sums of usage and of charges by hour, day and month, and the marts that are plain rollups of them.

Owns the grain of every fact. Every measure here is mergeable: a coarser table is the sum of a finer one.
"""
