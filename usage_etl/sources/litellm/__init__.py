"""LiteLLM SpendLogs as JSON lines: one request per line, tokens and prices as the gateway saw them."""
