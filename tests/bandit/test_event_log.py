"""From our own events to decisions that can be evaluated."""

import pytest

from bandit.event_log import decisions
from bandit.model import Trial
from tests.storage.events import clicked, served, viewed


def test_decisions_are_the_accepted_draws_with_their_clicks() -> None:
    first, second = (
        served(1, eligible="new sale", propensity=0.7),
        served(2, eligible="sale", city="Goa", propensity=1.0),
    )
    log = decisions([first, second, clicked(first), clicked(first), clicked(second, verdict="late")], Trial.SERVED)
    assert (log.banners, log.contexts) == (("new", "sale"), ("Goa", "Pune"))
    assert log.reward.tolist() == [1, 0]
    assert log.propensity.tolist() == [0.7, 1.0]
    assert [log.banners[banner] for banner in log.banner] == ["sale", "sale"]
    assert log.eligible[log.situation].tolist() == [[True, True], [False, True]]
    assert [log.contexts[log.context[situation]] for situation in log.situation] == ["Pune", "Goa"]


def test_what_was_not_drawn_is_no_decision() -> None:
    events = [
        served(1, policy="fixed", propensity=1.0),
        served(2, eligible="new sale", would_be_banner="new", policy="fixed"),
        served(3, eligible="new sale", verdict="bot"),
        served(4, eligible="new", policy="holdout"),
    ]
    with pytest.raises(ValueError, match="no accepted impression"):
        decisions(events, Trial.SERVED)
    assert len(decisions([*events, served(5, eligible="sale new")], Trial.SERVED).banner) == 1


def test_where_views_are_trials_only_what_was_seen_counts() -> None:
    impressions = [served(number, eligible="sale") for number in range(3)]
    log = decisions([*impressions, viewed(impressions[0]), clicked(impressions[2])], Trial.VIEWED)
    assert log.reward.tolist() == [0, 1]
