"""Parses landed files in a child process of limited means: a hostile file ends the child, never the run.

One child serves many deliveries, one after the other, and is started again after it died. Deaths that the file caused
(memory, processor time, file size, a crash, silence) refuse the delivery with a reason that names the limit; a child that
somebody else killed is a passing fault, and the delivery waits.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import pickle
import select
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import IO, BinaryIO, cast

from usage_etl.config.settings import ParsingSettings
from usage_etl.errors import SourceError, TransientSourceError, UnreadableDeliveryError
from usage_etl.sources.parsed import ParseContext
from usage_etl.sources.sandbox.orders import Answer, Order, read_frame, write_frame
from usage_etl.sources.staging import StagedDelivery

_FILE_BYTES = 64 << 30
"""Largest file that a child may write."""

_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH")
"""Environment variables that a child sees, besides those of Python and Polars. Keys and passwords are not among them."""

_PASSED_PREFIXES = ("PYTHON", "POLARS_", "RAYON_", "OMP_", "OPENBLAS_")
_BY_THE_FILE = {
    signal.SIGABRT: "it needs more than {memory_mb} MB of memory (parsing.memory_mb)",
    signal.SIGXCPU: "it needs more processor time than {cpu_s} s (parsing.cpu_s)",
    signal.SIGXFSZ: "it becomes larger than a staged file may be",
    signal.SIGSEGV: "it makes the reader crash",
    signal.SIGBUS: "it makes the reader crash",
    signal.SIGILL: "it makes the reader crash",
}


class ParseChild:
    """One child, started when it is first needed. May be used from several threads; orders wait for each other."""

    def __init__(self, settings: ParsingSettings) -> None:
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._words: IO[bytes] | None = None
        self._lock = threading.Lock()

    def stage(self, path: Path, *, kind: str, context: ParseContext, work_folder: Path) -> StagedDelivery:
        """Parse ``path`` as a delivery of ``kind`` and stage its rows into ``work_folder``.

        Raises UnreadableDeliveryError when the file is not what its source says or exceeds what parsing may take,
        TransientSourceError when the child was killed from outside, SourceError for a fault of ours.
        """
        cpu_s = int(self._settings.cpu_s + self._settings.cpu_s_per_mb * path.stat().st_size / 1e6)
        order = Order(kind, str(path), str(work_folder), context, cpu_s)
        with self._lock:
            frame = self._asked(order)
        answer = Answer.decoded(frame)
        if answer.staged is not None:
            return answer.staged
        if answer.refused is not None:
            raise UnreadableDeliveryError(context.source, answer.refused)
        fault = f"{Path(context.object_key).name}: {answer.failed}"
        raise (SourceError if answer.is_permanent else TransientSourceError)(context.source, fault)

    def close(self) -> None:
        """End the child."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout, self._words):
                with contextlib.suppress(OSError):
                    cast(IO[bytes], pipe).close()

    def _asked(self, order: Order) -> bytes:
        """The child's answer. Raises what its death stands for."""
        process = self._running()
        try:
            write_frame(cast(BinaryIO, process.stdin), pickle.dumps(order))
        except OSError:  # it died since its last answer, for no fault of this order
            self.close()
            process = self._running()
            write_frame(cast(BinaryIO, process.stdin), pickle.dumps(order))
        answers = cast(BinaryIO, process.stdout)
        patience_s = 2 * order.cpu_s + 60
        if not select.select([answers], [], [], patience_s)[0]:
            self.close()
            raise UnreadableDeliveryError(order.context.source, f"reading it did not end within {patience_s} s")
        frame = read_frame(answers)
        if frame:
            return frame
        fault = self._death(process.wait(), order)
        self.close()
        raise fault

    def _death(self, code: int, order: Order) -> SourceError:
        source, number = order.context.source, -code
        words = _BY_THE_FILE.get(cast(signal.Signals, number)) if code < 0 else None
        last = self._last_words()
        if words is not None:
            reason = words.format(memory_mb=self._settings.memory_mb, cpu_s=order.cpu_s)
            return UnreadableDeliveryError(source, reason + (f": {last}" if last else ""))
        how = f"signal {number}" if code < 0 else f"exit code {code}"
        return TransientSourceError(source, f"the parsing process ended by {how} and the delivery waits: {last}")

    def _last_words(self) -> str:
        """First line that the child wrote since it was started, where a crash names its cause."""
        words = cast(IO[bytes], self._words)
        words.seek(0)
        lines = words.read(4096).decode("utf-8", "replace").strip().splitlines()
        return lines[0][:200] if lines else ""

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.close()
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the child
        memory_bytes = self._settings.memory_mb << 20
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", "usage_etl.sources.sandbox.worker", str(memory_bytes), str(_FILE_BYTES)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._words,
            env=_environment(os.environ),
        )
        return self._process


def _environment(environment: Mapping[str, str]) -> dict[str, str]:
    passed = {name: text for name, text in environment.items() if name in _PASSED_ON or name.startswith(_PASSED_PREFIXES)}
    return passed | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


@lru_cache(maxsize=4)
def parse_child(settings: ParsingSettings) -> ParseChild:
    """The process's child for these limits, ended with the process."""
    child = ParseChild(settings)
    atexit.register(child.close)
    return child
