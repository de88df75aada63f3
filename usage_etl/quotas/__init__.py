"""Quotas: what was used of every limit, what accounts and pools have left, and which limits to propose and to enforce.

Owns periods, status, accounts, pools, proposals and the plan of what a gateway should be told. Does not own the projection
beside a status, nor any call to a gateway.
"""
