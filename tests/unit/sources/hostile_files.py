"""Files that no provider would send, and some that a careless one did: what every parser must survive."""

import gzip
import json
import random
import zipfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import polars as pl

Writer = Callable[[Path], None]


def _bytes(content: bytes) -> Writer:
    return lambda path: path.write_bytes(content) and None


def _gzipped(content: bytes) -> Writer:
    return _bytes(gzip.compress(content, 1))


def _zip_bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive, archive.open("data.json", "w") as member:
        for _ in range(200):
            member.write(b"0" * 1_000_000)


def _zip_of_many(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(3):
            archive.writestr(f"{number}.csv", "a,b\n1,2\n")


def _gzip_bomb(path: Path) -> None:
    with gzip.open(path, "wb", compresslevel=9) as stream:
        for _ in range(200):
            stream.write(b"\0" * 1_000_000)


_DEEP = b'{"a":' * 50_000 + b"1" + b"}" * 50_000
_WIDE_OBJECT = json.dumps({f"key{number}": number for number in range(200_000)}).encode()
_WIDE_TABLE = ",".join(f"column{number}" for number in range(1_000_000)).encode() + b"\n1,2\n"

HOSTILE: dict[str, Writer] = {
    "empty": _bytes(b""),
    "blank lines": _bytes(b"\n \n\t\n\r\n" * 100),
    "nul bytes": _bytes(b"\0" * 10_000),
    "nul in a line": _bytes(b'{"id": "a\0b"}\n{"id": "\\u0000"}\n'),
    "random bytes": _bytes(random.Random(7).randbytes(100_000)),
    "utf-16 json": _bytes('{"id": "ü"}\n'.encode("utf-16")),
    "utf-16 csv": _bytes("id,cost\nü,1\n".encode("utf-16")),
    "cp1252 csv": _bytes("id;name\n1;Müller €\n".encode("cp1252")),
    "cut gzip": lambda path: path.write_bytes(gzip.compress(b'{"id": 1}\n' * 10_000)[:-20]) and None,
    "gzip of nothing": _gzipped(b""),
    "gzip of gzip": _gzipped(gzip.compress(b'{"id": 1}\n')),
    "gzip bomb": _gzip_bomb,
    "zip bomb": _zip_bomb,
    "zip of many": _zip_of_many,
    "cut zip": _bytes(b"PK\x03\x04" + b"\0" * 100),
    "zstd magic only": _bytes(b"\x28\xb5\x2f\xfd"),
    "parquet magic only": _bytes(b"PAR1"),
    "parquet of nothing": _bytes(b"PAR1\0\0\0\0PAR1"),
    "our bundle's mark only": _bytes(b".usage_etl_bundle\0" + b"\0" * 600),
    "deep json": _bytes(_DEEP + b"\n"),
    "deep json in a list": _bytes(b"[" * 100_000 + b"]" * 100_000),
    "wide object": _bytes(_WIDE_OBJECT + b"\n"),
    "wide table": _bytes(_WIDE_TABLE),
    "long line": _bytes(b'{"id": "' + b"x" * 40_000_000 + b'"}\n{"id": "b"}\n'),
    "long cell": _bytes(b'id,cost\n"' + b"x" * 30_000_000 + b'",1\n'),
    "open quote": _bytes(b'id,cost\n"never closed,1\n' + b"2,3\n" * 10_000),
    "csv of bars": _bytes(b"||||||\n||||||\n"),
    "header twice": _bytes(b"id,id\n1,2\n"),
    "a scalar": _bytes(b"5\n"),
    "a list": _bytes(b'[{"id": 1}, {"id": 2}]'),
    "lines of lists": _bytes(b"[]\n[1]\nnull\ntrue\n"),
    "absurd numbers": _bytes(b'{"id": 1e999999, "cost": -0.0, "tokens": 99999999999999999999999999}\n'),
    "not a number": _bytes(b'{"id": NaN, "cost": Infinity}\n'),
    "lone surrogate": _bytes(b'{"id": "\\ud800", "cost": "\\udfff"}\n'),
    "keys twice": _bytes(b'{"id": "a", "id": "b"}\n'),
    "two on a line": _bytes(b'{"id": "a"}{"id": "b"}\n'),
    "html": _bytes(b"<!doctype html><html><body>Sign in</body></html>"),
    "an error answer": _bytes(b'{"error": {"message": "invalid key", "type": "auth"}}'),
}
"""Name to a function that writes the file."""


def mutated_parquet(seed: int) -> Iterator[bytes]:
    """Small Parquet files with bytes changed here and there, the footer included."""
    buffer = BytesIO()
    pl.DataFrame({"id": ["a", "b", "c"] * 50, "cost": [0.1, 0.2, 0.3] * 50, "tokens": [1, 2, 3] * 50}).write_parquet(buffer)
    whole, chance = buffer.getvalue(), random.Random(seed)
    for _ in range(25):
        content = bytearray(whole)
        for _ in range(chance.randint(1, 12)):
            content[chance.randrange(4, len(content) - 4)] = chance.randrange(256)
        yield bytes(content)
