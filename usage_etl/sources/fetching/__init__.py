"""Bytes from outside: folders and buckets, exports with manifests, small objects, report APIs. Nothing here is parsed."""
