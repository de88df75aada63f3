"""What is tried again: only what trying again can help.

Steps have no retry policy: Dagster would apply one to interruptions too, and a run that somebody ended would begin anew.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from usage_etl.errors import UsageEtlError

MAX_RETRIES = 3
FIRST_WAIT_S = 20.0
"""Before the first retry; twice as long before each further one. What a step finished before is not done again."""

_PROGRAM_FAULTS = (ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, NameError, TypeError, ValueError)


def may_help(error: Exception) -> bool:
    """Whether trying again can help: not after an error that calls itself permanent, nor after a fault of the program."""
    if isinstance(error, UsageEtlError):
        return not error.is_permanent
    return not isinstance(error, _PROGRAM_FAULTS)


@contextmanager
def retried_if_it_helps(context: dg.AssetExecutionContext) -> Iterator[None]:
    """Turns an error into a retry of the step, or into its failure."""
    try:
        yield
    except Exception as error:
        failure = dg.Failure(description=str(error) or type(error).__name__, allow_retries=False)
        raise retry_or(failure, [error], context) from error


def retry_or(failure: dg.Failure, errors: list[Exception], context: dg.AssetExecutionContext) -> Exception:
    """What a step raises that met ``errors``: a request to be tried again while that may help one of them, else ``failure``."""
    if context.retry_number >= MAX_RETRIES or not any(map(may_help, errors)):
        return failure
    context.log.warning("to be tried again: %s", failure.description)
    return dg.RetryRequested(max_retries=MAX_RETRIES, seconds_to_wait=FIRST_WAIT_S * 2**context.retry_number)
