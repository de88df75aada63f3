"""Objects in an S3 bucket, or in any store that speaks S3. The one file that imports boto3.

Botocore tries every request up to eight times. What it cannot do is done here: a body that breaks off is read again,
and a conditional write whose acknowledgement was lost is told from one that lost to another writer.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import io
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import boto3
import botocore.exceptions
from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, NoCredentialsError, PartialCredentialsError
from botocore.httpsession import get_cert_path

from usage_etl.errors import LakeError, MissingObjectError, TransientLakeError
from usage_etl.lake.lease import leased
from usage_etl.lake.objects import AssertHeld, ObjectInfo, check_key, read_in_order
from usage_etl.lake.s3_bulk import BulkReader, Credentials

ATTEMPTS = 8
_CHUNK_BYTES = 1 << 20
_MULTIPART_BYTES = 64 << 20
_ABSENT = {"404", "NoSuchKey", "NotFound"}
_LOST_CONDITION = {"412", "409", "PreconditionFailed", "ConditionalRequestConflict"}
_TOO_LARGE = {"InvalidRequest", "EntityTooLarge"}
"""Answers to a copy of more than 5 GB in one request."""
_CREDENTIALS_HINT = "no usable AWS credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or a role"

Result = TypeVar("Result")


class S3Store:
    """Objects of ``bucket`` below ``prefix``. Credentials come from the usual AWS environment, profile or role."""

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        *,
        endpoint_url: str | None = None,
        region: str = "us-east-1",
        pause_seconds: float = 0.2,
    ) -> None:
        """``pause_seconds`` is the first pause before a body is read again; it doubles with each attempt."""
        self._bucket, self._region, self._pause_seconds = bucket, region, pause_seconds
        self._prefix = f"{check_key(prefix)}/" if prefix else ""
        self._session, self._client = _connect(endpoint_url, region)
        self._transfer = TransferConfig(multipart_threshold=_MULTIPART_BYTES, multipart_chunksize=_MULTIPART_BYTES)

    @property
    def storage_options(self) -> dict[str, str]:
        """Options for Polars, with the credentials that hold now: take them anew for every scan."""
        options = {"aws_region": self._region}
        endpoint_url = self._client.meta.endpoint_url
        if not endpoint_url.endswith("amazonaws.com"):
            is_plain = endpoint_url.startswith("http://")
            options |= {"aws_endpoint_url": endpoint_url, "aws_allow_http": "true" if is_plain else "false"}
        credentials = self._session.get_credentials()
        if credentials is None:
            raise LakeError(f"s3://{self._bucket}: {_CREDENTIALS_HINT}")
        frozen = credentials.get_frozen_credentials()
        options |= {"aws_access_key_id": frozen.access_key, "aws_secret_access_key": frozen.secret_key}
        return options | ({"aws_session_token": frozen.token} if frozen.token else {})

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """All objects whose key starts with ``prefix``, in order of key."""
        with self._as_lake_error(prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix + prefix)
            for page in pages:
                for entry in page.get("Contents", ()):
                    if entry["Size"] or not entry["Key"].endswith("/"):
                        key = entry["Key"].removeprefix(self._prefix)
                        yield ObjectInfo(key, entry["Size"], entry["ETag"].strip('"'), entry.get("LastModified"))

    def head(self, key: str) -> ObjectInfo | None:
        """The object without its bytes; None when there is none."""
        full_key = self._full(key)
        with self._as_lake_error(key):
            try:
                found = self._client.head_object(Bucket=self._bucket, Key=full_key)
            except ClientError as error:
                if _code(error) in _ABSENT:
                    return None
                raise
        return ObjectInfo(key, found["ContentLength"], found["ETag"].strip('"'), found.get("LastModified"))

    def read(self, key: str) -> bytes:
        """The object's bytes, complete. Raises MissingObjectError when there is none."""
        return self._again_when_cut(key, lambda: b"".join(self._chunks(key)))

    def read_many(self, keys: Sequence[str]) -> Iterator[tuple[str, bytes | None]]:
        """Key and bytes of many small objects, in order; None for one that is not there."""
        reader = self._bulk_reader()
        if reader is None:
            yield from read_in_order(keys, self.read)
            return
        with contextlib.closing(reader):
            yield from read_in_order(keys, lambda key: reader.read(self._full(key), partial(self.read, key)))

    def digest(self, key: str) -> str:
        """Hex SHA-256 of the stored bytes. Raises MissingObjectError when there is none."""

        def hashed() -> str:
            digest = hashlib.sha256()
            for chunk in self._chunks(key):
                digest.update(chunk)
            return digest.hexdigest()

        return self._again_when_cut(key, hashed)

    def download(self, key: str, target: Path) -> None:
        """Write the object's bytes, complete, to a local file. Raises MissingObjectError when there is none."""

        def write() -> None:
            with target.open("wb") as file:
                file.writelines(self._chunks(key))

        self._again_when_cut(key, write)

    def write(self, key: str, data: bytes, *, only_if_absent: bool = False, content_type: str | None = None) -> bool:
        """Store ``data``. False only when ``only_if_absent`` lost to an object with other bytes."""
        extra = {"ContentType": content_type} if content_type else {}
        if not only_if_absent:
            self._put(key, data, extra)
            return True
        for attempt in range(ATTEMPTS):
            try:
                self._put(key, data, extra | {"IfNoneMatch": "*"})
            except _LostConditionError:
                # Our own earlier attempt may be the one that is stored, its answer lost on the way.
                if self.head(key) is not None:
                    return self.digest(key) == hashlib.sha256(data).hexdigest()
                time.sleep(self._pause_seconds * 2**attempt)
            else:
                return True
        raise TransientLakeError(f"{self.address(key)}: another writer kept getting in the way of a conditional write")

    def upload(self, key: str, source: Path | bytes) -> ObjectInfo:
        """Store bytes, or those of a local file; large ones in several parts that become visible together."""
        full_key = self._full(key)
        bytes_count = len(source) if isinstance(source, bytes) else source.stat().st_size
        if bytes_count < _MULTIPART_BYTES:
            data = source if isinstance(source, bytes) else source.read_bytes()
            return ObjectInfo(key, bytes_count, self._put(key, data, {}))
        with self._as_lake_error(key), io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
            self._client.upload_fileobj(file, self._bucket, full_key, Config=self._transfer)
        stored = self.head(key)
        if stored is None or stored.bytes_count != bytes_count:
            raise LakeError(f"{self.address(key)}: the upload of {bytes_count} bytes ended as {stored}")
        return stored

    def copy(self, key: str, target_key: str) -> None:
        """Store the same bytes under another key; they do not leave the store."""
        source = {"Bucket": self._bucket, "Key": self._full(key)}
        target = self._full(target_key)
        with self._as_lake_error(key):
            try:
                self._client.copy_object(CopySource=source, Bucket=self._bucket, Key=target)
            except ClientError as error:
                if _code(error) not in _TOO_LARGE:
                    raise
                self._client.copy(source, self._bucket, target, Config=self._transfer)

    def delete(self, key: str) -> None:
        """Remove the object; nothing happens when there is none."""
        full_key = self._full(key)
        with self._as_lake_error(key):
            self._client.delete_object(Bucket=self._bucket, Key=full_key)

    def discard_abandoned(self, *, older_than_days: float = 1.0) -> int:
        """Abort multipart uploads of writers that were killed; how many."""
        oldest = dt.datetime.now(tz=dt.UTC) - dt.timedelta(days=older_than_days)
        with self._as_lake_error(""):
            pages = self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self._bucket, Prefix=self._prefix)
            found = [upload for page in pages for upload in page.get("Uploads", ()) if upload["Initiated"] <= oldest]
            for upload in found:
                self._client.abort_multipart_upload(Bucket=self._bucket, Key=upload["Key"], UploadId=upload["UploadId"])
        return len(found)

    def lock(self, name: str) -> AbstractContextManager[AssertHeld]:
        """The only holder of ``name`` among all users of the bucket, by a lease that ends on its own."""
        return leased(self, f"_locks/{name}")

    def read_slot(self, key: str) -> tuple[bytes, str] | None:
        """A small object's bytes and version; None when there is none."""

        def read() -> tuple[bytes, str]:
            answer = self._client.get_object(Bucket=self._bucket, Key=self._full(key))
            with contextlib.closing(answer["Body"]) as body:
                return _next_chunk(body), answer["ETag"].strip('"')

        try:
            return self._again_when_cut(key, read)
        except MissingObjectError:
            return None

    def swap_slot(self, key: str, data: bytes, *, expected: str | None) -> str | None:
        """Writes ``data`` over version ``expected``, or over nothing; the new version, None when it was another."""
        try:
            return self._put(key, data, {"IfMatch": expected} if expected else {"IfNoneMatch": "*"})
        except (_LostConditionError, MissingObjectError):
            return None

    def address(self, key: str) -> str:
        """The object's ``s3://`` address."""
        return f"s3://{self._bucket}/{self._full(key)}"

    def _bulk_reader(self) -> BulkReader | None:
        keys = self._session.get_credentials()
        if keys is None:
            return None  # the ordinary way says what is missing

        def credentials() -> Credentials:
            frozen = keys.get_frozen_credentials()
            return Credentials(frozen.access_key, frozen.secret_key, frozen.token)

        address = urlsplit(self._client.meta.endpoint_url)
        is_host_name = ".amazonaws.com" in address.netloc and "." not in self._bucket
        if is_host_name:
            base = address._replace(netloc=f"{self._bucket}.{address.netloc}", path="/")
        else:
            base = address._replace(path=f"{address.path.rstrip('/')}/{self._bucket}/")
        authorities = os.environ.get("AWS_CA_BUNDLE") or get_cert_path(verify=True)
        return BulkReader(base, region=self._region, credentials=credentials, authorities_file=authorities)

    def _full(self, key: str) -> str:
        return self._prefix + check_key(key)

    def _put(self, key: str, data: bytes, extra: dict[str, str]) -> str:
        full_key = self._full(key)
        with self._as_lake_error(key):
            try:
                stored = self._client.put_object(Bucket=self._bucket, Key=full_key, Body=data, **extra)
            except ClientError as error:
                if {"IfNoneMatch", "IfMatch"} & extra.keys() and _code(error) in _LOST_CONDITION:
                    raise _LostConditionError from error
                raise
        return str(stored["ETag"]).strip('"')

    def _chunks(self, key: str) -> Iterator[bytes]:
        """The object's bytes in order. Raises _CutBodyError when the line breaks before the announced end."""
        found = self._client.get_object(Bucket=self._bucket, Key=self._full(key))
        with contextlib.closing(found["Body"]) as body:
            while chunk := _next_chunk(body):
                yield chunk

    def _again_when_cut(self, key: str, read: Callable[[], Result]) -> Result:
        """``read()``, tried again from its start when the line breaks in the middle of a body."""
        cut: _CutBodyError | None = None
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(min(self._pause_seconds * 2**attempt, 10.0))
            try:
                with self._as_lake_error(key):
                    return read()
            except _CutBodyError as error:
                cut = error
        raise TransientLakeError(f"{self.address(key)}: the line broke {ATTEMPTS} times: {cut}") from cut

    @contextlib.contextmanager
    def _as_lake_error(self, key: str) -> Iterator[None]:
        where = f"s3://{self._bucket}/{self._prefix}{key}"
        try:
            yield
        except (NoCredentialsError, PartialCredentialsError) as error:
            raise LakeError(f"{where}: {_CREDENTIALS_HINT}") from error
        except ClientError as error:
            raise _answered(where, error) from error
        except (botocore.exceptions.ConnectionError, HTTPClientError) as error:
            raise TransientLakeError(f"{where}: the store does not answer: {error}") from error
        except (BotoCoreError, Boto3Error) as error:
            raise LakeError(f"{where}: {error}") from error


@lru_cache(maxsize=8)
def _connect(endpoint_url: str | None, region: str) -> tuple[Any, Any]:
    """Session and client, shared by the stores of a process: clients are safe in threads and slow to make."""
    session = boto3.Session(region_name=region)
    config = Config(
        retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
        connect_timeout=10,
        read_timeout=60,
        max_pool_connections=32,
        s3={"addressing_style": "path" if endpoint_url else "auto"},
    )
    return session, session.client("s3", endpoint_url=endpoint_url, config=config)


class _LostConditionError(Exception):
    """The store answered 412 or 409 to a conditional write."""


class _CutBodyError(Exception):
    """Fewer bytes arrived than the store announced, or others than its checksum says."""


def _next_chunk(body: Any) -> bytes:
    try:
        return bytes(body.read(_CHUNK_BYTES))
    except (BotoCoreError, OSError) as error:
        raise _CutBodyError(str(error)) from error


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _answered(where: str, error: ClientError) -> LakeError:
    code, status = _code(error), error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _ABSENT:
        return MissingObjectError(where)
    kind = TransientLakeError if status in {408, 429} or status >= 500 else LakeError
    return kind(f"{where}: the store answered {code} ({status}): {error.response.get('Error', {}).get('Message', '')}")
