"""Finding groups of cities that were planted, and none where none are."""

import numpy as np
import pytest

from bandit.city_clusters import Clusters, cluster

CITIES, BANNERS = 18, 8


def planted(groups: int, *, seed: int = 1, trials: int = 6000) -> Clusters:
    """City i is of group i % groups; cities of a group like the same banners, and each clicks as often as it likes."""
    rng = np.random.default_rng(seed)
    tastes = np.where((np.arange(BANNERS) % max(groups, 2)) == np.arange(groups)[:, np.newaxis], 1.0, 0.0)
    logits = -3.2 + rng.normal(0, 0.5, (CITIES, 1)) + tastes[np.arange(CITIES) % groups]
    shown = np.full((CITIES, BANNERS), trials // BANNERS)
    clicks = rng.binomial(shown, 1 / (1 + np.exp(-logits)))
    return cluster(shown.astype(float), clicks.astype(float))


@pytest.mark.parametrize("groups", [2, 3])
def test_planted_groups_are_found(groups: int) -> None:
    found = planted(groups)
    assert found.groups == groups
    for group in range(groups):
        assert len(set(found.labels[group::groups].tolist())) == 1
    assert max(found.silhouettes) > 0.5 > found.by_chance


def test_cities_that_only_click_more_often_are_no_group() -> None:
    found = planted(1)
    assert found.groups == 1 and set(found.labels.tolist()) == {0}


def test_a_profile_has_no_part_that_all_banners_or_all_cities_share() -> None:
    profiles = planted(2).profiles
    assert profiles.mean(axis=0) == pytest.approx(0, abs=1e-12)
    assert profiles.mean(axis=1) == pytest.approx(0, abs=1e-12)


def test_cities_without_any_click_have_nothing_to_tell_them_apart() -> None:
    assert cluster(np.full((5, 3), 100.0), np.zeros((5, 3))).groups == 1


@pytest.mark.parametrize("shape", [(3, 5), (5, 1)])
def test_too_few_cities_or_banners_are_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="4 and 2 are the least"):
        cluster(np.ones(shape), np.zeros(shape))
