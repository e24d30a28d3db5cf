from ipaddress import ip_network
from pathlib import Path

import pytest

import settings
from settings import ROOT, SettingsError, load
from settings_sources import Key

TOKEN_KEYS = f"1:{'0a' * 32},2:{'0b' * 32}"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.ini"
    path.touch()
    return path


def problems(config: Path, **environ: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(environ, config)
    return caught.value.problems


def test_config_ini_says_what_the_table_says() -> None:
    assert (ROOT / "config.ini").read_text("utf-8") == settings.render()


def test_config_ini_as_shipped_gives_the_defaults() -> None:
    shipped = load({}, ROOT / "config.ini")
    assert [(key, value) for key, value, _ in shipped.rows()] == [(key, value) for key, value, _ in load({}).rows()]


def test_every_setting_has_a_line_of_help_that_names_what_is_allowed() -> None:
    assert all(row.help.endswith(".") and row.right for row in settings.TABLE.values())


def test_every_default_is_allowed() -> None:
    assert all(row.check is None or row.check(row.default) or not row.default for row in settings.TABLE.values())


def test_the_environment_goes_before_the_file(config: Path) -> None:
    config.write_text("[server]\nport = 9000\nworkers = 3\n")
    found = load({"BANNER_SERVER_PORT": "9001"}, config)
    assert (found.server.port, found.server.workers) == (9001, 3)
    sources = {str(key): source for key, _, source in found.rows()}
    assert sources["server.port"] == "BANNER_SERVER_PORT"
    assert sources["server.workers"] == "config.ini"
    assert sources["server.host"] == "default"


def test_a_file_named_by_the_environment_gives_its_contents(config: Path, tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text(TOKEN_KEYS + "\n")
    (tmp_path / "customer").write_text("0c" * 32)
    names = {"TOKEN_KEYS": tmp_path / "tokens", "CUSTOMER_KEY": tmp_path / "customer"}
    found = load({f"BANNER_SECRETS_{key}_FILE": str(path) for key, path in names.items()}, config)
    assert found.secrets.token_keys == TOKEN_KEYS
    assert found.sources[Key("secrets", "customer_key")] == "BANNER_SECRETS_CUSTOMER_KEY_FILE"


def test_secrets_are_never_shown(config: Path) -> None:
    given = {"BANNER_SECRETS_TOKEN_KEYS": TOKEN_KEYS, "BANNER_SECRETS_CUSTOMER_KEY": "0c" * 32}
    shown = {key.name: value for key, value, _ in load(given, config).rows() if key.section == "secrets"}
    assert shown == {"token_keys": "(set)", "customer_key": "(set)"}
    assert "abab" not in str(problems(config, BANNER_SECRETS_CUSTOMER_KEY="abab"))


@pytest.mark.parametrize("name", ["SASL_PASSWORD", "REST_PASSWORD", "REGISTRY_PASSWORD"])
def test_passwords_are_never_shown(config: Path, name: str) -> None:
    shown = {str(key): value for key, value, _ in load({f"BANNER_KAFKA_{name}": "abab"}, config).rows()}
    assert shown[f"kafka.{name.lower()}"] == "(set)"
    assert "abab" not in str(problems(config, **{f"BANNER_KAFKA_{name}": "abab\n"}))


def test_everything_that_is_wrong_is_said_at_once(config: Path) -> None:
    config.write_text("[server]\nprot = 1\n[sever]\nport = 1\n[journal]\nsync = sometimes\n")
    found = problems(config, BANNER_SERVER_PORT="0", BANNER_SERVER_WORKER="2")
    assert found == [
        "server.prot (in config.ini): there is no such setting; did you mean server.port?",
        "[sever] (in config.ini): there is no such section",
        "BANNER_SERVER_WORKER (in the environment): there is no such setting; did you mean BANNER_SERVER_WORKERS?",
        "journal.sync (from config.ini): 'sometimes' is not right; it must be interval or always",
        "server.port (from BANNER_SERVER_PORT): '0' is not right; it must be a whole number from 1 to 65535",
    ]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("BANNER_SERVER_PORT", "65536"),
        ("BANNER_SERVER_PORT", "8000.5"),
        ("BANNER_SERVER_PORT", ""),
        ("BANNER_SERVER_HOST", "localhost"),
        ("BANNER_SERVER_HOST", "127.0.0.1\n"),
        ("BANNER_SERVER_PUBLIC_URL", "banners.example.com"),
        ("BANNER_SERVER_PUBLIC_URL", "ftp://banners.example.com"),
        ("BANNER_SERVER_PUBLIC_URL", "https://banners.example.com/?a=b"),
        ("BANNER_SERVER_PUBLIC_URL", "https://banners.example.com/#top"),
        ("BANNER_SERVER_PUBLIC_URL", "https://banners.example.com/?"),
        ("BANNER_SERVER_PUBLIC_URL", "https://banners example.com"),
        ("BANNER_SERVER_PUBLIC_URL", "https://banners.example.com:abc"),
        ("BANNER_SERVER_PUBLIC_URL", "https://banners.example.com:99999"),
        ("BANNER_SERVER_PUBLIC_URL", "https://banners.example.com:0"),
        ("BANNER_SERVER_TRUSTED_PROXIES", "10.0.0.0/33"),
        ("BANNER_SERVER_TRUSTED_PROXIES", "10.0.0.1/8"),
        ("BANNER_SERVER_CITY_HEADER", "X City"),
        ("BANNER_SNAPSHOT_CPU_SHARE", "nan"),
        ("BANNER_SNAPSHOT_REFRESH_SECONDS", "inf"),
        ("BANNER_STORAGE_BACKEND", "oracle"),
        ("BANNER_LOG_LEVEL", "info"),
        ("BANNER_KAFKA_BOOTSTRAP", ""),
        ("BANNER_KAFKA_BOOTSTRAP", "broker-1"),
        ("BANNER_KAFKA_BOOTSTRAP", "broker..1:9092"),
        ("BANNER_CASSANDRA_HOSTS", ""),
        ("BANNER_CASSANDRA_HOSTS", "node..1"),
        ("BANNER_CASSANDRA_HOSTS", "[::1]"),
        ("BANNER_CASSANDRA_HOSTS", "node-1, node-2,"),
        ("BANNER_KAFKA_BOOTSTRAP", "localhost:99999"),
        ("BANNER_KAFKA_BOOTSTRAP", "broker-1:9092, 127.0.0.1:0"),
        ("BANNER_KAFKA_BOOTSTRAP", "broker-1:9092,"),
        ("BANNER_KAFKA_REST_URL", "http://127.0.0.1:abc"),
        ("BANNER_KAFKA_TOPIC", "banner events"),
        ("BANNER_KAFKA_TRANSPORT", "http"),
        ("BANNER_KAFKA_REGISTRY_URL", "registry:8081"),
        ("BANNER_DATA_DIRECTORY", ""),
        ("BANNER_LIMITS_TOO_FAST_MS", "-1"),
    ],
)
def test_a_value_out_of_its_range_is_named_with_what_would_be_right(config: Path, variable: str, value: str) -> None:
    (problem,) = problems(config, **{variable: value})
    section, _, name = variable.removeprefix("BANNER_").lower().partition("_")
    assert problem.startswith(f"{section}.{name} (from {variable}): {value!r} is not right; it must be ")


@pytest.mark.parametrize("hosts", ["127.0.0.1:9042", "node-1, node-2:9042"])
def test_a_port_at_a_host_of_cassandra_is_told_where_it_goes(config: Path, hosts: str) -> None:
    assert problems(config, BANNER_CASSANDRA_HOSTS=hosts)[0].endswith("without a port: that is cassandra.port")


@pytest.mark.parametrize("hosts", ["node_1, node-2.example.com.", "10.0.0.1,::1"])
def test_hosts_of_cassandra_are_names_and_addresses(config: Path, hosts: str) -> None:
    assert load({"BANNER_CASSANDRA_HOSTS": hosts}, config).cassandra.hosts == hosts


@pytest.mark.parametrize(
    "token_keys", ["0:" + "00" * 16, "256:" + "00" * 16, "1:00", "1:" + "00" * 16 + ",", "aa" * 16]
)
def test_token_keys_that_cannot_be_used_are_refused(config: Path, token_keys: str) -> None:
    given = {"BANNER_SECRETS_TOKEN_KEYS": token_keys, "BANNER_SECRETS_CUSTOMER_KEY": "00" * 16}
    assert problems(config, **given)


def test_two_token_keys_of_one_id_are_refused(config: Path) -> None:
    twice = f"1:{'0a' * 32},1:{'0b' * 32}"
    given = {"BANNER_SECRETS_TOKEN_KEYS": twice, "BANNER_SECRETS_CUSTOMER_KEY": "00" * 16}
    assert problems(config, **given) == ["secrets.token_keys: ids go from 1 to 255, each one once"]


def test_one_secret_without_the_other_is_refused(config: Path) -> None:
    assert "give both" in problems(config, BANNER_SECRETS_CUSTOMER_KEY="00" * 16)[0]


def test_a_segment_larger_than_the_whole_journal_is_refused(config: Path) -> None:
    given = {"BANNER_JOURNAL_SEGMENT_MIB": "100", "BANNER_JOURNAL_MAX_MIB": "50"}
    assert "at least journal.segment_mib" in problems(config, **given)[0]


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"TRANSPORT": "rest"}, "kafka.rest_url: "),
        ({"SECURITY_PROTOCOL": "SASL_SSL", "SASL_USERNAME": "banner"}, "kafka.sasl_username, kafka.sasl_password: "),
        ({"SSL_KEYFILE": "key.pem"}, "kafka.ssl_certfile and kafka.ssl_keyfile: give both"),
        ({"TOPIC": "banner-intake"}, "kafka.topic, kafka.dead_letter_topic and kafka.intake_topic: must differ"),
    ],
)
def test_settings_of_kafka_that_do_not_go_together_are_refused(
    config: Path, given: dict[str, str], problem: str
) -> None:
    (found,) = problems(config, **{f"BANNER_KAFKA_{name}": value for name, value in given.items()})
    assert found.startswith(problem)


@pytest.mark.parametrize(
    "text", ["port = 1\n", "[server]\nport = 1\nport = 2\n", "[server\n", "[server]\nport\n", "[a]\n"]
)
def test_a_config_file_that_is_not_one_is_named(config: Path, text: str) -> None:
    config.write_text(text)
    assert "config.ini" in problems(config)[0]


def test_a_section_named_default_gives_no_defaults_to_others(config: Path) -> None:
    config.write_text("[DEFAULT]\nport = 9000\n[server]\n")
    assert problems(config) == ["[DEFAULT] (in config.ini): there is no such section"]


def test_a_percent_sign_in_a_value_means_itself(config: Path) -> None:
    config.write_text("[data]\ndirectory = 100%(x)s\n")
    assert load({}, config).data.directory == "100%(x)s"


def test_a_config_file_that_is_named_but_missing_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="BANNER_CONFIG"):
        load({"BANNER_CONFIG": str(tmp_path / "none.ini")})


def test_a_file_of_a_secret_that_is_missing_stops_the_start(config: Path, tmp_path: Path) -> None:
    found = problems(config, BANNER_SECRETS_CUSTOMER_KEY_FILE=str(tmp_path / "none"))
    assert "BANNER_SECRETS_CUSTOMER_KEY_FILE" in found[0]


def test_a_value_and_a_file_for_the_same_setting_contradict_each_other(config: Path, tmp_path: Path) -> None:
    (tmp_path / "port").write_text("9000")
    found = problems(config, BANNER_SERVER_PORT="9000", BANNER_SERVER_PORT_FILE=str(tmp_path / "port"))
    assert found == ["BANNER_SERVER_PORT_FILE: BANNER_SERVER_PORT is set too; set one of the two"]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("BANNER_SERVER_PUBLIC_URL", "https://banners.example.com:8443/shop"),
        ("BANNER_SERVER_PUBLIC_URL", "http://[::1]:8000"),
        ("BANNER_KAFKA_BOOTSTRAP", "broker-1:9092 , 10.0.0.2:65535"),
    ],
)
def test_addresses_with_ports_and_paths_are_taken(config: Path, variable: str, value: str) -> None:
    assert variable in load({variable: value}, config).sources.values()


def test_proxies_are_read_as_networks(config: Path) -> None:
    found = load({"BANNER_SERVER_TRUSTED_PROXIES": "10.0.0.0/8, 2001:db8::/32"}, config)
    assert found.server.trusted_proxies == (ip_network("10.0.0.0/8"), ip_network("2001:db8::/32"))


def test_relative_paths_start_beside_app_py_wherever_it_is_started(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(config.parent)
    assert load({}, config).paths.database == ROOT / "data" / "banner.db"
    assert load({"BANNER_DATA_DIRECTORY": "/srv/b"}, config).paths.journal == Path("/srv/b/journal")
