"""Segments as a rule of who may compete, through the front door."""

from pathlib import Path

from tests.installation import Installation


def test_a_banner_for_a_segment_competes_only_for_its_visitors(tmp_path: Path) -> None:
    shop = Installation(tmp_path)
    shop.put_banner("b3", segments=("gold",))
    shop.refresh()
    for _ in range(60):
        shop.banner(segment="gold")
    # A segment the tenant does not have, or none, is nobody's.
    for _ in range(60):
        shop.banner(segment="silver")
        shop.banner()
    events = shop.journaled()
    shop.close()
    assert {event.eligible for event in events[:60]} == {"b1 b2 b3"}
    # A visitor of the segment misses b3 for 60 times, at a third each, with a probability of 3e-11.
    assert "b3" in {event.banner for event in events[:60]}
    assert {event.eligible for event in events[60:]} == {"b1 b2"}
    assert "b3" not in {event.banner for event in events[60:]}
