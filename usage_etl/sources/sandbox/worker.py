"""The child that parses landed files: reads orders from one pipe, answers on another, and may die at any of them.

Started by ``sandbox``; nobody imports it. It sees no secret of the environment, and its memory, processor time and file
sizes are limited: a file that is a bomb ends this process and no other.
"""

from __future__ import annotations

import pickle
import resource
import sys
import traceback
from pathlib import Path
from typing import BinaryIO

import polars as pl

from usage_etl.errors import UnreadableDeliveryError, UsageEtlError
from usage_etl.sources.registry import SOURCES
from usage_etl.sources.sandbox.member_parse import parser_of
from usage_etl.sources.sandbox.orders import Answer, Order, read_frame, write_frame
from usage_etl.sources.staging import stage


def main(memory_bytes: int, file_bytes: int) -> None:
    """Answer orders until the pipe is closed."""
    for limit, size in ((resource.RLIMIT_DATA, memory_bytes), (resource.RLIMIT_FSIZE, file_bytes), (resource.RLIMIT_CORE, 0)):
        _lower(limit, size)
    orders, answers = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # what a library prints must not stand among the answers
    _serve(orders, answers)


def _serve(orders: BinaryIO, answers: BinaryIO) -> None:
    while frame := read_frame(orders):
        order: Order = pickle.loads(frame)  # noqa: S301 - written by our own parent
        _grant_cpu(order.cpu_s)
        write_frame(answers, _answer(order).encoded())


def _answer(order: Order) -> Answer:
    source = SOURCES[order.kind]
    try:
        batches = parser_of(source, Path(order.path))(Path(order.path), order.context)
        return Answer(staged=stage(batches, context=order.context, work_folder=Path(order.work_folder)))
    except UnreadableDeliveryError as error:
        return Answer(refused=error.reason)
    except (MemoryError, RecursionError) as error:
        return Answer(refused=f"reading it needs more than it may have ({type(error).__name__})")
    except pl.exceptions.PanicException as error:
        return Answer(refused=f"the reader gave up on it: {str(error).splitlines()[0][:200]}")
    except UsageEtlError as error:
        return Answer(failed=str(error), is_permanent=error.is_permanent)
    except Exception:  # noqa: BLE001 - whatever it is, the parent must learn of it
        return Answer(failed=traceback.format_exc())


def _lower(limit: int, size: int) -> None:
    """Lower a limit of this process; one that the system does not know stays as it is."""
    _, hard = resource.getrlimit(limit)
    allowed = size if hard == resource.RLIM_INFINITY else min(size, hard)
    resource.setrlimit(limit, (allowed, allowed))


def _grant_cpu(seconds: int) -> None:
    """Allow this many seconds from now; the system ends the process after them."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + seconds + 1, hard))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
