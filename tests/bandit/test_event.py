"""The one encoding against fastavro, and the one counting rule."""

from io import BytesIO

import pytest
from fastavro import schemaless_reader, schemaless_writer
from hypothesis import given
from hypothesis import strategies as st

from bandit.event import (
    MAX_SHARD,
    OLDER_SCHEMAS,
    SCHEMA_PATH,
    BannerEvent,
    Increments,
    UndecodableEvent,
    _decode_usual,
    decode,
    encode,
    increments,
    schema,
)
from bandit.model import Kind, Policy, Verdict

names = st.text(max_size=40)
longs = st.integers(-(1 << 63), (1 << 63) - 1)
times = st.integers(0, 1 << 52)
events = st.builds(
    BannerEvent,
    kind=st.sampled_from(list(Kind)),
    impression_id=st.binary(min_size=16, max_size=16),
    tenant=names,
    slot=names,
    city=names,
    banner=names,
    policy=st.sampled_from(list(Policy)),
    day=st.integers(-(1 << 31), (1 << 31) - 1),
    served_at=times | longs,
    received_at=times | longs,
    propensity=st.floats(0, 1),
    reason=names,
    verdict=st.sampled_from(list(Verdict)),
    customer=st.none() | st.binary(max_size=16),
    referrer=st.none() | names,
    platform=names,
    would_be_banner=st.none() | names,
    eligible=st.none() | st.text(max_size=300),
    unrecognised_city=st.none() | names,
    shard=st.integers(0, 65_535),
    journal=longs,
    sequence=longs,
)


@given(events)
def test_our_bytes_are_those_of_fastavro(event: BannerEvent) -> None:
    out = BytesIO()
    schemaless_writer(out, schema(), event._asdict())
    assert encode(event) == out.getvalue()


@given(events)
def test_what_is_encoded_is_decoded(event: BannerEvent) -> None:
    assert decode(encode(event)) == event


@given(events, st.data())
def test_cut_or_longer_bytes_are_refused(event: BannerEvent, data: st.DataObject) -> None:
    payload = encode(event)
    with pytest.raises(UndecodableEvent):
        decode(payload + b"\0")
    with pytest.raises(UndecodableEvent):
        decode(payload[: data.draw(st.integers(0, len(payload) - 1))])


@given(st.binary(max_size=200))
def test_any_bytes_decode_or_are_refused(payload: bytes) -> None:
    try:
        event = decode(payload)
    except UndecodableEvent:
        return
    assert decode(encode(event)) == event


def test_fields_and_schema_stand_in_the_same_order() -> None:
    assert [field["name"] for field in schema()["fields"]] == list(BannerEvent._fields)


def test_symbols_of_the_schema_are_those_of_the_model() -> None:
    symbols = {field["name"]: field["type"]["symbols"] for field in schema()["fields"] if "symbols" in field["type"]}
    assert symbols == {"kind": list(Kind), "policy": list(Policy), "verdict": list(Verdict)}


def _event(kind: Kind, verdict: Verdict = Verdict.ACCEPTED) -> BannerEvent:
    return BannerEvent(kind, bytes(16), "t", "s", "c", "b", Policy.LEARNED, 1, 1, 1, 0.5, "learned", verdict)


@pytest.mark.parametrize(
    ("kind", "first_view", "first_click", "expected"),
    [
        (Kind.SERVED, True, True, Increments(1, 0, 0)),
        (Kind.VIEWED, True, True, Increments(0, 1, 0)),
        (Kind.VIEWED, False, True, Increments(0, 0, 0)),
        (Kind.CLICKED, True, True, Increments(0, 1, 1)),
        (Kind.CLICKED, False, True, Increments(0, 0, 1)),
        (Kind.CLICKED, False, False, Increments(0, 0, 0)),
    ],
)
def test_what_an_accepted_event_adds(kind: Kind, first_view: bool, first_click: bool, expected: Increments) -> None:
    assert increments(_event(kind), first_view=first_view, first_click=first_click) == expected


@pytest.mark.parametrize("verdict", [verdict for verdict in Verdict if verdict != Verdict.ACCEPTED])
@pytest.mark.parametrize("kind", list(Kind))
def test_a_rejected_event_adds_nothing(kind: Kind, verdict: Verdict) -> None:
    assert increments(_event(kind, verdict), first_view=True, first_click=True) == (0, 0, 0)


SCHEMAS = (SCHEMA_PATH.name, *OLDER_SCHEMAS)


def read_by(name: str, payload: bytes) -> BannerEvent | None:
    stream = BytesIO(payload)
    try:
        fields = schemaless_reader(stream, schema(name), schema())
    except Exception:
        return None
    event = BannerEvent(**fields)  # type: ignore[arg-type]
    is_one = stream.tell() == len(payload) and (name == SCHEMA_PATH.name or event.journal > MAX_SHARD)
    return event if is_one else None


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (
            "000006379da05b600000000000000000010873686f7008686f6d650850756e650873616c6500bcbc028080db85b4e79b068080db85b4"
            "e79b06000000000000e03f0e6c6561726e6564000210313233343536373802086d61696c0677656200021041746c616e7469730090deb3d68ad199a22206",
            {"customer": b"12345678", "referrer": "mail", "unrecognised_city": "Atlantis", "sequence": 3},
        ),
        (
            "000006379da05b600000000000000000020873686f7008686f6d650850756e650873616c6500bcbc028080db85b4e79b068080db85b4"
            "e79b06000000000000e03f0e6c6561726e65640000000677656202046232000692deb3d68ad199a22202",
            {"would_be_banner": "b2", "shard": 3, "sequence": 1},
        ),
    ],
)
def test_what_the_first_release_wrote_is_read(written: str, expected: dict[str, object]) -> None:
    event = decode(bytes.fromhex(written))
    assert event.eligible is None and event.journal > MAX_SHARD
    assert {name: getattr(event, name) for name in expected} == expected
    assert (event.city, event.banner, event.propensity, event.platform) == ("Pune", "sale", 0.5, "web")


def test_many_eligible_banners_are_read_without_the_general_decoder() -> None:
    event = _event(Kind.SERVED)._replace(eligible=" ".join(f"banner-{number}" for number in range(80)))
    assert _decode_usual(encode(event)) == event


@given(events, st.data())
def test_changed_bytes_mean_to_us_what_they_mean_to_fastavro(event: BannerEvent, data: st.DataObject) -> None:
    payload = bytearray(encode(event))
    for _ in range(data.draw(st.integers(1, 3))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    expected = next((found for name in SCHEMAS if (found := read_by(name, bytes(payload)))), None)
    try:
        found = decode(bytes(payload))
    except UndecodableEvent:
        found = None
    assert repr(found) == repr(expected)  # NaN is not equal to itself
