"""What is tried again: only what trying again can help. Everything else says so to Dagster and fails at once."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from usage_etl.errors import UsageEtlError

RETRY = dg.RetryPolicy(max_retries=3, delay=20, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)
"""For steps that ask a provider, a store, a database or a mail server; what they finished before is not done again."""

_PROGRAM_FAULTS = (ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, NameError, TypeError, ValueError)


def may_help(error: Exception) -> bool:
    """Whether trying again can help: not after an error that calls itself permanent, nor after a fault of the program."""
    if isinstance(error, UsageEtlError):
        return not error.is_permanent
    return not isinstance(error, _PROGRAM_FAULTS)


@contextmanager
def retried_if_it_helps() -> Iterator[None]:
    """Turns an error into a failure that Dagster tries again only if that can help."""
    try:
        yield
    except Exception as error:
        raise dg.Failure(description=str(error) or type(error).__name__, allow_retries=may_help(error)) from error
