"""Hands reports over: files to a folder or bucket, mail by SMTP or as files, each content once.

Owns the order in which files appear, what a message may hold, and the ledger of sends. Does not own what a report says.
"""
