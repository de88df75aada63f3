"""OpenAI organization costs and completions usage: pages of daily buckets, fetched or saved by the customer."""
