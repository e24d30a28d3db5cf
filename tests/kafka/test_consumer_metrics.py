"""What a consumer says about itself."""

import urllib.error
import urllib.request

from kafka_ingest.consumer_metrics import NO_PROGRESS_SECONDS, ConsumerMetrics, serve
from tests.service_process import free_port


def test_a_consumer_that_polls_and_gets_nowhere_is_unhealthy() -> None:
    now = [100.0]
    metrics = ConsumerMetrics(clock=lambda: now[0])
    assert metrics.is_healthy()
    now[0] += NO_PROGRESS_SECONDS
    assert not metrics.is_healthy()
    metrics.progressed()
    assert metrics.is_healthy()


def test_lag_and_position_are_shown_for_the_shards_it_has_and_no_longer_for_others() -> None:
    metrics = ConsumerMetrics()
    metrics.show({0: 5, 3: 7}, {0: 9})
    sample = metrics.registry.get_sample_value
    assert sample("banner_consumer_lag", {"shard": "0"}) == 4
    assert sample("banner_consumer_lag", {"shard": "3"}) == 0
    metrics.show({3: 8}, {3: 8})
    assert sample("banner_consumer_position", {"shard": "0"}) is None
    assert sample("banner_consumer_position", {"shard": "3"}) == 8


def test_metrics_and_health_are_answered_over_http() -> None:
    now, port = [0.0], free_port()
    metrics = ConsumerMetrics(clock=lambda: now[0])
    server = serve(metrics, "127.0.0.1", port)
    try:
        metrics.duplicates.inc(3)
        assert "banner_consumer_duplicates_total 3.0" in get(port, "/metrics")[1]
        assert get(port, "/livez")[0] == 200
        now[0] = 2 * NO_PROGRESS_SECONDS
        assert get(port, "/livez") == (503, "no progress for 120 s\n")
        assert get(port, "/elsewhere")[0] == 404
    finally:
        server.shutdown()
        server.server_close()


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
