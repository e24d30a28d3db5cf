"""The archive's events of one slot, read back where there is no Spark."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from urllib.parse import unquote

from bandit.event import BannerEvent
from bandit.zone import date_to_day
from storage.archive import ArchiveDirectory, ArchiveError, check_pyarrow


def events_of(archive: ArchiveDirectory, tenant: str, slot: str) -> list[BannerEvent]:
    """In the order they came in, each once, whatever the transport repeated. Raises ArchiveError, MissingPackage,
    OSError."""
    archive.manifest()
    check_pyarrow()
    found: dict[tuple[int, int, int], BannerEvent] = {}
    for path in archive.files(tenant):
        for event in _read(path, slot):
            found.setdefault((event.journal, event.shard, event.sequence), event)
    return sorted(found.values(), key=lambda event: event.received_at)


def _read(path: Path, slot: str) -> Iterator[BannerEvent]:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(path).read()
    except pa.ArrowInvalid as error:
        raise ArchiveError(f"{path} cannot be read: {error}") from error
    city, day, tenant = (unquote(parent.name.partition("=")[2]) for parent in list(path.parents)[:3])
    for name in ("served_at", "received_at"):
        table = table.set_column(table.schema.get_field_index(name), name, table[name].cast(pa.int64()))
    rows = table.filter(pc.equal(table["slot"], slot)).drop_columns(["log_offset"]).to_pylist()
    number = date_to_day(date.fromisoformat(day))
    return (BannerEvent(**row, tenant=tenant, day=number, city=city) for row in rows)
