"""The command ``usage-etl``: thin calls into the code location and the rooms; exit codes are documented in ``main``."""
