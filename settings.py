"""Every setting of the service: the classes below and in settings_cassandra, settings_kafka and settings_spark are the
one table of section, key, type, default, range and help.

`load` reads config.ini and the environment on top of the defaults, and names everything that is wrong at once. Only
entry points import this module; they hand single values on.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints
from zoneinfo import available_timezones

from data_directory import Paths
from settings_cassandra import Cassandra, cassandra_contradictions
from settings_kafka import Consumer, Kafka, kafka_contradictions
from settings_rows import Check, choice, is_http_url, number, pattern, setting
from settings_sources import CONFIG_VARIABLE, Found, Key, read_environment, read_file
from settings_spark import Archive, Spark

ROOT = Path(__file__).parent
"""Where app.py and config.ini are; relative paths start here."""

Network = IPv4Network | IPv6Network


class SettingsError(Exception):
    """Settings are wrong; `problems` has a line for each that says what would be right."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def _is_zone(value: str) -> bool:
    return value in available_timezones()


@dataclass(frozen=True, slots=True)
class Server:
    """The web server."""

    host: str = setting(
        "127.0.0.1", "Address to listen on; 0.0.0.0 for every network of this machine.", "an IP address", ip_address
    )
    port: int = number(8000, "Port to listen on.", 1, 65_535)
    workers: int = number(2, "Web worker processes; about one for each core.", 1, 256)
    public_url: str = setting(
        "",
        "Address under which browsers reach the service; empty: taken from each request's Host.",
        "http(s)://host[:port][/path], or empty",
        is_http_url,
    )
    trusted_proxies: tuple[Network, ...] = setting(
        (),
        "Networks of the proxies whose X-Forwarded-For is believed, such as 10.0.0.0/8, 192.168.1.5/32.",
        "networks in CIDR form, separated by commas",
    )
    city_header: str = pattern(
        "Header with the city of requests that name none. Anybody is believed, so your proxy must set or remove it.",
        "a header name such as X-City, or empty",
        r"[A-Za-z0-9-]{1,64}",
    )


@dataclass(frozen=True, slots=True)
class Data:
    """Files."""

    directory: str = setting(
        "data", "Where everything is written; relative to the directory of app.py.", "a path", bool
    )


@dataclass(frozen=True, slots=True)
class Secrets:
    """Keys; left empty, they are made once and kept in secrets.json in the data directory."""

    token_keys: str = pattern(
        "Keys that sign tokens, as id:hex of 16 bytes or more, separated by commas; the last one signs.",
        "id:hex pairs separated by commas, each id from 1 to 255 and each key of 16 to 64 bytes",
        r"(?:[1-9]\d{0,2}:(?:[0-9a-fA-F]{2}){16,64})(?:\s*,\s*[1-9]\d{0,2}:(?:[0-9a-fA-F]{2}){16,64})*",
    )
    customer_key: str = pattern(
        "Key of the hash that stands for a customer, in hex; changing it makes all customers new.",
        "16 to 64 bytes in hex",
        r"(?:[0-9a-fA-F]{2}){16,64}",
    )


@dataclass(frozen=True, slots=True)
class Storage:
    """What is kept, and for how long."""

    backend: str = choice("sqlite", "Where configuration and counts are kept.", "sqlite", "cassandra")
    retention_days: int = number(30, "Days for which single events are kept; counts and clicks stay.", 1, 3_650)


@dataclass(frozen=True, slots=True)
class Journal:
    """The log each worker writes before it answers."""

    sync: str = choice(
        "interval", "When it is forced to disk: every sync_interval_ms, or before every answer.", "interval", "always"
    )
    sync_interval_ms: int = number(100, "Milliseconds of events that a power cut may cost.", 1, 60_000)
    segment_mib: int = number(16, "Size of one file.", 1, 1_024)
    max_mib: int = number(1_024, "Size of all files together, beyond which feedback is refused.", 1, 1_048_576)


@dataclass(frozen=True, slots=True)
class Drain:
    """From the journal into the store."""

    batch_records: int = number(2_000, "Events in one transaction at most.", 1, 100_000)
    idle_ms: int = number(200, "Pause after a transaction that was not full.", 1, 10_000)
    cpu_share: float = number(0.2, "Share of a core it takes while the journal is less than a quarter full.", 0.01, 1)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What each worker keeps in memory."""

    refresh_seconds: float = number(2.0, "Pause between two looks at the store.", 0.05, 60)
    cpu_share: float = number(0.1, "Share of a core for computing choices anew in the background.", 0.01, 1)
    max_cells: int = number(20_000, "Choices (of a slot in a city) kept by a worker.", 100, 10_000_000)
    save_seconds: float = number(60.0, "Pause between two copies on disk, used when the store is down.", 1, 3_600)


@dataclass(frozen=True, slots=True)
class Learning:
    """The bandit."""

    draws: int = number(1_000, "Draws from the posterior behind one set of probabilities.", 100, 100_000)
    gamma: float = number(
        1.5, "How much a choice trusts the evidence: 1 as it stands; above, it explores less; below, more.", 0.1, 10
    )


@dataclass(frozen=True, slots=True)
class Limits:
    """What still counts as a person."""

    impressions_per_minute: int = number(
        600, "Counted impressions of one visitor of a tenant; each worker allows its share.", 1, 1_000_000
    )
    clicks_per_minute: int = number(
        120, "Counted clicks and views of one visitor of a tenant; each worker allows its share.", 1, 1_000_000
    )
    too_fast_ms: int = number(200, "A click sooner after its impression does not count.", 0, 60_000)


@dataclass(frozen=True, slots=True)
class Log:
    """What the processes say."""

    level: str = choice("INFO", "Least level that is written.", "DEBUG", "INFO", "WARNING", "ERROR")
    time_zone: str = setting(
        "Asia/Kolkata", "Zone of the times in the log; each has its offset.", "a time zone's name", _is_zone
    )


@dataclass(frozen=True)
class Settings:
    """All settings, as they are for the life of a process."""

    server: Server = field(default_factory=Server)
    data: Data = field(default_factory=Data)
    secrets: Secrets = field(default_factory=Secrets)
    storage: Storage = field(default_factory=Storage)
    journal: Journal = field(default_factory=Journal)
    drain: Drain = field(default_factory=Drain)
    snapshot: Snapshot = field(default_factory=Snapshot)
    learning: Learning = field(default_factory=Learning)
    limits: Limits = field(default_factory=Limits)
    log: Log = field(default_factory=Log)
    cassandra: Cassandra = field(default_factory=Cassandra)
    kafka: Kafka = field(default_factory=Kafka)
    consumer: Consumer = field(default_factory=Consumer)
    spark: Spark = field(default_factory=Spark)
    archive: Archive = field(default_factory=Archive)
    sources: Mapping[Key, str] = field(default_factory=dict)
    """Where each value came from that is not the default."""

    @cached_property
    def paths(self) -> Paths:
        """Absolute, whatever the current directory is."""
        return Paths((ROOT / self.data.directory).resolve())

    @property
    def archive_directory(self) -> Path:
        """Absolute; in the data directory unless the setting names another place."""
        given = self.archive.directory
        return (ROOT / given).resolve() if given else self.paths.archive

    def rows(self) -> Iterator[tuple[Key, str, str]]:
        """(key, value, where it came from) of every setting; of a secret only whether it is set."""
        for key in TABLE:
            value = _text(getattr(getattr(self, key.section), key.name))
            shown = "(set)" if value and is_secret(key) else value
            yield key, shown, self.sources.get(key, "default")


class Row(NamedTuple):
    """One setting of the table."""

    type: Any
    default: Any
    help: str
    right: str
    check: Check | None
    is_secret: bool = False


SECTIONS: dict[str, Any] = {one.name: one.default_factory for one in fields(Settings) if one.name != "sources"}

TABLE: dict[Key, Row] = {
    Key(section, one.name): Row(get_type_hints(kind)[one.name], one.default, **one.metadata)
    for section, kind in SECTIONS.items()
    for one in fields(kind)
}


def is_secret(key: Key) -> bool:
    """Whether its value is never shown."""
    return key.section == "secrets" or TABLE[key].is_secret


def load(environ: Mapping[str, str], path: Path | None = None) -> Settings:
    """The settings of config.ini, overridden by the environment; SettingsError names all that is wrong.

    The file is `path`, else what BANNER_CONFIG names, else config.ini beside app.py if there is one.
    """
    problems: list[str] = []
    path = path or _config_path(environ)
    found = read_file(path, TABLE, problems) if path else {}
    found |= read_environment(environ, TABLE, problems)
    values = _parse_all(found, problems)
    sections = {section: kind(**values[section]) for section, kind in SECTIONS.items()}
    settings = Settings(**sections, sources={key: one.source for key, one in found.items()})
    problems += _contradictions(settings)
    if problems:
        raise SettingsError(problems)
    return settings


def render() -> str:
    """The text of config.ini that says what the table says."""
    lines = [
        "# Every setting with its default. The environment goes before this file: BANNER_SERVER_PORT=8080, or a file",
        "# for what should not be in the environment: BANNER_SECRETS_CUSTOMER_KEY_FILE=/run/secrets/customer_key.",
        "# A change acts at the next start; `python app.py check` shows what holds, and where it came from.",
    ]
    for section, kind in SECTIONS.items():
        lines += ["", f"# {kind.__doc__}", f"[{section}]"]
        for key, row in TABLE.items():
            if key.section == section:
                lines += [f"# {row.help} ({row.right})", f"{key.name} = {_text(row.default)}".rstrip()]
    return "\n".join(lines) + "\n"


def _config_path(environ: Mapping[str, str]) -> Path | None:
    if CONFIG_VARIABLE in environ:
        return Path(environ[CONFIG_VARIABLE])
    beside = ROOT / "config.ini"
    return beside if beside.exists() else None


def _parse_all(found: Mapping[Key, Found], problems: list[str]) -> dict[str, dict[str, Any]]:
    values: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    for key, (text, source) in found.items():
        try:
            values[key.section][key.name] = _parse(TABLE[key], text)
        except ValueError:
            shown = "the value" if is_secret(key) else repr(text)
            problems.append(f"{key} (from {source}): {shown} is not right; it must be {TABLE[key].right}")
    return values


def _parse(row: Row, text: str) -> Any:
    value = _PARSERS[row.type](text)
    if row.check and not row.check(value):
        raise ValueError("out of range")
    return value


def _line(text: str) -> str:
    if not text.isprintable():
        raise ValueError("a line break or control character")
    return text


def _networks(text: str) -> tuple[Network, ...]:
    return tuple(ip_network(one.strip()) for one in text.split(",") if one.strip())


_PARSERS: dict[Any, Callable[[str], Any]] = {int: int, float: float, str: _line, tuple[Network, ...]: _networks}


def _text(value: object) -> str:
    return ", ".join(str(one) for one in value) if isinstance(value, tuple) else str(value)


def _contradictions(settings: Settings) -> list[str]:
    """What is right alone but wrong together."""
    found = []
    secrets, journal = settings.secrets, settings.journal
    if bool(secrets.token_keys) != bool(secrets.customer_key):
        found.append("secrets.token_keys and secrets.customer_key: give both, or neither")
    ids = [int(pair.partition(":")[0]) for pair in secrets.token_keys.split(",") if pair]
    if len(set(ids)) < len(ids) or any(one > 255 for one in ids):
        found.append("secrets.token_keys: ids go from 1 to 255, each one once")
    if journal.segment_mib > journal.max_mib:
        found.append(f"journal.max_mib: must be at least journal.segment_mib, which is {journal.segment_mib}")
    if settings.storage.backend == "cassandra" and not secrets.customer_key:
        found.append(
            "secrets.token_keys and secrets.customer_key: must be given with storage.backend = cassandra, since every "
            "host needs the same; `openssl rand -hex 32` makes each, and token_keys is 1:<hex>"
        )
    return found + cassandra_contradictions(settings.cassandra) + kafka_contradictions(settings.kafka)
