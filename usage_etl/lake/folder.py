"""Objects as files below a folder. A write goes to a temporary file beside its target, to the disk, then into place."""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import hashlib
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from usage_etl.errors import LakeError, MissingObjectError, TransientLakeError
from usage_etl.lake.objects import AssertHeld, ObjectInfo, check_key, read_in_order

_TEMPORARY = ".usage_etl-write-"
_SECONDS_PER_DAY = 86_400
_MAX_NAME_BYTES = 255
_LOCK_WAIT_SECONDS = 400.0


class FolderStore:
    """Objects below ``root``, which is made by the first write."""

    storage_options: dict[str, str] | None = None

    def __init__(self, root: Path, *, must_exist: bool = False) -> None:
        """Raises LakeError when ``root`` is relative, or ``must_exist`` and it is not a folder."""
        if not root.is_absolute():
            raise LakeError(f"{root}: a store needs an absolute path")
        if must_exist and not root.is_dir():
            raise LakeError(f"{root}: there is no such folder")
        self._root = root

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """All objects whose key starts with ``prefix``, in order of key."""
        folder = check_key(prefix.rpartition("/")[0]) if "/" in prefix else ""
        keys = (f"{folder}/{name}" if folder else name for name in _files_below(self._root / folder))
        for key in sorted(key for key in keys if key.startswith(prefix)):
            if info := _info(key, self._root / key):
                yield info

    def head(self, key: str) -> ObjectInfo | None:
        """The object without its bytes; None when there is none."""
        return _info(key, self._path(key))

    def read(self, key: str) -> bytes:
        """The object's bytes. Raises MissingObjectError when there is none."""
        with _as_lake_error(key):
            return self._path(key).read_bytes()

    def read_many(self, keys: Sequence[str]) -> Iterator[tuple[str, bytes | None]]:
        """Key and bytes of many small objects, in order; None for one that is not there."""
        return read_in_order(keys, self.read)

    def digest(self, key: str) -> str:
        """Hex SHA-256 of the stored bytes. Raises MissingObjectError when there is none."""
        with _as_lake_error(key), self._path(key).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def download(self, key: str, target: Path) -> None:
        """Copy the object to a local file. Raises MissingObjectError when there is none."""
        with _as_lake_error(key):
            shutil.copyfile(self._path(key), target)

    def write(
        self,
        key: str,
        data: bytes,
        *,
        only_if_absent: bool = False,
        content_type: str | None = None,  # noqa: ARG002 - files carry no content type
    ) -> bool:
        """Store ``data``. False only when ``only_if_absent`` lost to an object with other bytes."""
        path = self._path(key)
        with _replacing(key, path) as temporary:
            temporary.write_bytes(data)
            _to_disk(temporary)
            if not only_if_absent:
                temporary.replace(path)
            elif not _linked(temporary, path):
                return path.read_bytes() == data
        return True

    def upload(self, key: str, source: Path | bytes) -> ObjectInfo:
        """Store bytes, or a copy of a local file."""
        path = self._path(key)
        with _replacing(key, path) as temporary:
            if isinstance(source, bytes):
                temporary.write_bytes(source)
            else:
                shutil.copyfile(source, temporary)
            _to_disk(temporary)
            status = temporary.stat()
            temporary.replace(path)
        return _described(key, status)

    def copy(self, key: str, target_key: str) -> None:
        """Store the same bytes under another key, as a second link where the file system has links.

        Safe because no object is ever changed in place: replacing one key leaves the other's file alone.
        """
        source, target = self._path(key), self._path(target_key)
        if not source.is_file():
            raise MissingObjectError(key)
        with _replacing(target_key, target) as temporary:
            try:
                os.link(source, temporary)
            except OSError:
                shutil.copyfile(source, temporary)
                _to_disk(temporary)
            temporary.replace(target)

    def delete(self, key: str) -> None:
        """Remove the object; nothing happens when there is none."""
        path = self._path(key)
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), _as_lake_error(key, absent_too=False):
            path.unlink()

    def discard_abandoned(self, *, older_than_days: float = 1.0) -> int:
        """Remove temporary files of writes that were killed; how many."""
        oldest = time.time() - older_than_days * _SECONDS_PER_DAY
        found = [path for path in self._root.rglob(f"{_TEMPORARY}*") if path.stat().st_mtime <= oldest]
        for path in found:
            path.unlink(missing_ok=True)
        return len(found)

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[AssertHeld]:
        """The only holder of ``name`` on this machine; the operating system frees it when its process dies."""
        key = f"_locks/{name}"
        path = self._path(key)
        with _as_lake_error(key):
            _make_folder(path.parent)
            file = path.open("a")
        with file:
            _wait_for_lock(file.fileno(), key)
            yield lambda: None

    def address(self, key: str) -> str:
        """Absolute path of the object."""
        return str(self._path(key))

    def _path(self, key: str) -> Path:
        path = self._root / check_key(key)
        if path.name.startswith(_TEMPORARY):
            raise LakeError(f"unsafe key {key!r}: the name is reserved for unfinished writes")
        if any(len(segment.encode()) > _MAX_NAME_BYTES for segment in key.split("/")):
            raise LakeError(f"unsafe key {key[:60]!r}…: a segment is longer than {_MAX_NAME_BYTES} bytes")
        return path


def _wait_for_lock(descriptor: int, key: str) -> None:
    deadline = time.monotonic() + _LOCK_WAIT_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise TransientLakeError(f"{key}: another process holds the lock for more than {_LOCK_WAIT_SECONDS} s") from error
            time.sleep(0.005)
        else:
            return


def _info(key: str, path: Path) -> ObjectInfo | None:
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return _described(key, status) if stat.S_ISREG(status.st_mode) else None


def _described(key: str, status: os.stat_result) -> ObjectInfo:
    modified_at = dt.datetime.fromtimestamp(status.st_mtime, dt.UTC)
    return ObjectInfo(key, status.st_size, f"{status.st_size}-{status.st_mtime_ns}", modified_at)


def _files_below(folder: Path) -> Iterator[str]:
    """Paths of files below ``folder``, relative to it, through links to folders but never round in a circle.

    Raises LakeError for a folder that cannot be read; a folder that does not exist holds nothing.
    """
    seen: set[str] = set()
    for parent, folders, names in os.walk(folder, followlinks=True, onerror=_unless_absent):
        seen.add(os.path.realpath(parent))
        folders[:] = [name for name in folders if os.path.realpath(f"{parent}/{name}") not in seen]
        below = Path(parent).relative_to(folder)
        yield from ((below / name).as_posix() for name in names if not name.startswith(_TEMPORARY))


def _unless_absent(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise LakeError(f"{error.filename}: {error.strerror}") from error


def _linked(temporary: Path, path: Path) -> bool:
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    return True


@contextlib.contextmanager
def _replacing(key: str, path: Path) -> Iterator[Path]:
    """A name for a new file beside ``path``; the block moves it into place. Both are on the disk afterwards."""
    with _as_lake_error(key):
        _make_folder(path.parent)
        temporary = path.parent / f"{_TEMPORARY}{secrets.token_hex(8)}"
        try:
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)
        _to_disk(path.parent)


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _to_disk(folder.parent)


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _as_lake_error(key: str, *, absent_too: bool = True) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        if not absent_too:
            raise
        raise MissingObjectError(key) from error
    except OSError as error:
        raise LakeError(f"{key}: {error.strerror}") from error
