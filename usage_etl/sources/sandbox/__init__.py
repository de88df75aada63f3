"""Parsing in a child process of limited means, and what goes over its pipes."""
