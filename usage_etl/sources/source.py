"""What a kind of source is: its settings, how its bytes are fetched and parsed, and what its readers should know of it.

One folder per kind, ``usage_etl/sources/<kind>/``, whose ``__init__`` holds the name ``SOURCE``. Nothing else has to be
touched: the registry finds it, and settings, command line, assets and the reference of sources follow from it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

from usage_etl.config import SecretRef, SourceSettings
from usage_etl.periods import days_between
from usage_etl.schemas.contract import Table
from usage_etl.schemas.staged import STAGED_USAGE
from usage_etl.sources.fetched import FetchedObject
from usage_etl.sources.fetching.bundling import Bundler
from usage_etl.sources.fetching.folder import ReadableStore, matching_objects, newest_day
from usage_etl.sources.parsed import Parser

OBJECTS = "objects"
"""Dataset of objects found in a folder or bucket: what one holds is known when it is parsed."""


@dataclass(frozen=True)
class FetchContext:
    """What a fetch may use besides the source's settings: the clock, what is landed already, secrets and stores."""

    start_date: dt.date
    """First day of the lake."""
    known: Collection[tuple[str, str]]
    """(origin key, origin version) of everything landed before."""
    pulled_at: dt.datetime
    read_secret: Callable[[SecretRef], str]
    """Raises MissingCredentialsError."""
    open_store: Callable[[str], ReadableStore]
    """Opens a folder or bucket by its location. Raises LakeError."""
    known_members: Callable[[str], Collection[bytes]] = lambda _: ()
    """``member_mark`` of every object of a folder that was landed within a bundle."""

    @property
    def today(self) -> dt.date:
        """UTC day of the pull."""
        return self.pulled_at.date()


Fetch = Callable[[Any, FetchContext], Iterator[FetchedObject]]
"""``fetch(settings, context)``: what the source has that is not landed yet. ``settings`` is of the source's own model.
Raises SourceError."""


def fetch_folder(
    settings: SourceSettings,
    context: FetchContext,
    *,
    is_wanted: Callable[[str], bool] = lambda _: True,
    is_small: Callable[[str], bool] = lambda _: False,
) -> Iterator[FetchedObject]:
    """Every object below ``location`` that matches ``pattern`` and is not landed yet: one delivery per object or bundle.

    ``is_wanted`` tells by its key whether an object is read at all; ``is_small`` whether it is one of very many, which are
    bundled from the first one on unless the settings say ``none``.
    """
    assert settings.location is not None, "the settings of a folder source have a location"
    store = context.open_store(settings.location)
    listed = matching_objects(store, pattern=settings.pattern, days=listed_days(settings, context))
    objects = (found for found in listed if is_wanted(found.key))
    mode = getattr(settings, "bundle", "none")
    bundler = Bundler(store, OBJECTS, mode, known=context.known, known_members=context.known_members, is_small=is_small)
    return bundler.deliveries(objects)


def listed_days(settings: SourceSettings, context: FetchContext) -> list[dt.date]:
    """Days whose objects are looked for: from the trailing window before the newest landed day to tomorrow.

    Days are landed in order, so a run that was cut short goes on where it stopped; the first one begins at the start.
    """
    first = settings.start_date or context.start_date
    newest = newest_day(settings.pattern, (key for key, _ in context.known))
    if newest is not None:
        first = max(first, min(newest, context.today) - dt.timedelta(days=settings.trailing_days))
    return list(days_between(first, context.today + dt.timedelta(days=2)))


@dataclass(frozen=True)
class Facts:
    """What the reference of sources says of a kind. One line each, for people who decide whether to switch it on."""

    title: str
    """Name of the product, for example ``LiteLLM``."""
    formats: str
    """Files, pages or tables that are read, with their generations."""
    covers: str
    """What is in it, and what is not."""
    identity: str
    """What makes two records the same one, and what a later delivery replaces."""
    lateness: str
    """How late and how long it may still change, by whose word."""
    tested_on: str
    """Whether recorded examples are real, from public fixtures, or rebuilt from documented types."""


@dataclass(frozen=True)
class Source:
    """One kind of source."""

    kind: str
    """As in the settings file; also the name of its folder and of its page in docs/sources."""
    settings: type[SourceSettings]
    parse: Parser
    parser_version: str
    """Changes when the same file would give other rows."""
    datasets: tuple[str, ...]
    """What its objects hold."""
    facts: Facts
    fetch: Fetch = fetch_folder
    fills: tuple[Table, ...] = (STAGED_USAGE,)
    """Staged tables that its records become rows of. A file refused whole goes to the quarantine of the first."""
    reads_bundles: bool = False
    """Whether its parser reads a bundle of small objects itself, as those of JSON lines do. Where not, the objects of a
    bundle that ``fetch_folder`` made are parsed one by one."""
    replaces_earlier: bool = False
    """Whether later deliveries replace the buckets of earlier ones, so that old bytes that come back count again."""
