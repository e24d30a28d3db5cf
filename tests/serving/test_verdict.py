"""Verdicts: judged on the visitor, a rule without its fact is not applied."""

import pytest

from bandit.model import Kind, Verdict
from serving.token import Token, impression_id
from serving.verdict import FUTURE_TOLERANCE_US, MAX_VISITORS, Judge, Visitor

SECOND = 1_000_000
NOW = 1_795_000_000 * SECOND
WINDOW = 3600 * SECOND
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
PERSON = Visitor(BROWSER, "203.0.113.7", False, True)


def judge(impressions: int = 100, clicks: int = 100) -> Judge:
    return Judge(impressions_per_minute=impressions, clicks_per_minute=clicks, too_fast_us=200_000)


def token(age_us: int, *, counted: bool = True) -> Token:
    served = impression_id(NOW - age_us, 1)
    return Token(served, 1, 0, "learned", counted, 0.5, None, "shop", "home", "pune", "b", None)


@pytest.mark.parametrize(
    ("age_us", "verdict"),
    [
        (SECOND, Verdict.ACCEPTED),
        (WINDOW, Verdict.ACCEPTED),
        (WINDOW + 1, Verdict.LATE),
        (-FUTURE_TOLERANCE_US, Verdict.TOO_FAST),
        (-FUTURE_TOLERANCE_US - 1, Verdict.FUTURE),
        (199_999, Verdict.TOO_FAST),
        (200_000, Verdict.ACCEPTED),
    ],
)
def test_a_click_is_judged_by_its_age(age_us: int, verdict: Verdict) -> None:
    assert judge().feedback(Kind.CLICKED, token(age_us), PERSON, NOW, WINDOW) == verdict


def test_a_view_may_follow_at_once() -> None:
    assert judge().feedback(Kind.VIEWED, token(0), PERSON, NOW, WINDOW) == Verdict.ACCEPTED


def test_nothing_counts_on_an_impression_that_does_not() -> None:
    uncounted = token(SECOND, counted=False)
    assert judge().feedback(Kind.CLICKED, uncounted, PERSON, NOW, WINDOW) == Verdict.UNCOUNTED


@pytest.mark.parametrize(
    ("visitor", "verdict"),
    [
        (PERSON, Verdict.ACCEPTED),
        (Visitor("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "1.2.3.4"), Verdict.BOT),
        (Visitor("curl/8.5.0", "1.2.3.4"), Verdict.BOT),
        (Visitor("", "1.2.3.4"), Verdict.BOT),
        (Visitor(BROWSER, "1.2.3.4", prefetch=True), Verdict.PREFETCH),
        (Visitor(), Verdict.ACCEPTED),
    ],
)
def test_bots_and_prefetches_do_not_count(visitor: Visitor, verdict: Verdict) -> None:
    assert judge().served("shop", visitor, NOW) == verdict
    assert judge().feedback(Kind.VIEWED, token(SECOND), visitor, NOW, WINDOW) == verdict


def test_a_visitor_has_a_limit_a_minute_and_a_new_minute_a_new_one() -> None:
    strict = judge(impressions=2)
    verdicts = [strict.served("shop", PERSON, NOW) for _ in range(3)]
    assert verdicts == [Verdict.ACCEPTED, Verdict.ACCEPTED, Verdict.RATE_LIMITED]
    assert strict.served("other", PERSON, NOW) == Verdict.ACCEPTED
    assert strict.served("shop", PERSON, NOW + 60 * SECOND) == Verdict.ACCEPTED


def test_another_visitor_behind_the_same_address_has_a_limit_of_their_own() -> None:
    strict = judge(impressions=1)
    other = Visitor(BROWSER.replace("140", "139"), PERSON.address, False, True)
    assert [strict.served("shop", who, NOW) for who in (PERSON, other, PERSON)] == [
        Verdict.ACCEPTED,
        Verdict.ACCEPTED,
        Verdict.RATE_LIMITED,
    ]


def test_a_back_end_that_names_no_visitor_is_not_limited() -> None:
    strict = judge(impressions=1)
    assert {strict.served("shop", Visitor(), NOW) for _ in range(5)} == {Verdict.ACCEPTED}


def test_a_visitor_of_any_name_takes_no_more_room_than_another() -> None:
    strict = judge(impressions=1)
    strict.served("shop", Visitor(BROWSER + "x" * 400_000, "1.2.3.4"), NOW)
    assert all(isinstance(key, int) for key in strict._impressions._seen)


def test_a_flood_of_addresses_does_not_grow_memory() -> None:
    strict = judge(impressions=1)
    for number in range(MAX_VISITORS + 10):
        strict.served("shop", Visitor(BROWSER, str(number)), NOW)
    assert len(strict._impressions._seen) <= MAX_VISITORS
