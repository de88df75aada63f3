"""Sources: each kind has a fetch (network, folder or bucket to landed bytes) and a parse (bytes to staged rows)."""
