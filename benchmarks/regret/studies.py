"""What is simulated: each study compares policies in the same worlds and holds the outcome against its target."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np

from bandit.posterior import SIGMAS, fit
from benchmarks.regret import policies
from benchmarks.regret.off_policy import off_policy
from benchmarks.regret.policies import ALONE, ALONE_LOW, BASELINES, OURS, POOLED_LOW, Policy
from benchmarks.regret.simulation import Change, Run, Terms, simulate
from benchmarks.regret.study import Outcome, Report, Row, Size
from benchmarks.regret.world import Shape, World, draw_world
from benchmarks.results import Result

RATIOS = {0.0: 1.05, 0.15: 0.85, 0.3: 0.65, 0.6: 0.9, 1.0: 1.0}
"""sigma -> the most that our regret may be of that of the best baseline."""
DELAYS_MINUTES = (1, 10, 60)
SLOW_DAY, BUSY_DAY = 10_000, 50_000
"""Impressions."""
SWAP_DAY, HALF_LIFE_DAYS = 28, 7
NEW_CITY_TRIALS = 200
LEVEL = 0.9


def heterogeneity(size: Size, report: Report) -> Outcome:
    """How unlike cities are, against every other way to choose."""
    compared = (OURS, policies.GAMMA_ONE, *BASELINES, policies.MABWISER, *policies.COUNTERS, policies.UNIFORM)
    rows, results, curves = [], [], {}
    for number, (sigma, ratio) in enumerate(RATIOS.items()):
        setting = f"sigma {sigma:g}"
        for policy in compared:
            runs = _runs(Shape(sigma), policy, size, report, salt=number)
            rows += _rows("heterogeneity", setting, policy, runs)
            curves[setting, policy.name] = np.array([run.curve() for run in runs])
        regrets = {policy.name: _mean(rows, setting, policy.name) for policy in compared}
        best = min(BASELINES, key=lambda policy: regrets[policy.name])
        detail = f"{regrets[OURS.name]:,.0f} against {regrets[best.name]:,.0f} of {best.name}"
        value = regrets[OURS.name] / regrets[best.name]
        results.append(Result(f"regret, {setting}", value, size.limit(ratio), at_least=False, detail=detail))
    return Outcome(rows, results, curves)


def new_city(size: Size, report: Report) -> Outcome:
    """The first impressions of a city that a slot with much evidence has never seen."""
    rows: list[Row] = []
    for number, sigma in enumerate(RATIOS):
        for seed in range(size.seeds):
            rows += _new_city(sigma, number, seed, size, report)
    ratios = {sigma: _over_alone(rows, f"sigma {sigma:g}", OURS.name) for sigma in RATIOS}
    least = {sigma: _over_alone(rows, f"sigma {sigma:g}", policies.TOLD) for sigma in RATIOS}
    detail = ", ".join(f"{ratios[sigma]:.2f} at sigma {sigma:g} (told: {least[sigma]:.2f})" for sigma in RATIOS)
    return Outcome(rows, [Result("regret in a new city", ratios[0.3], size.limit(0.5), False, detail=detail)], {})


def _over_alone(rows: Iterable[Row], setting: str, policy: str) -> float:
    kept = list(rows)
    return _mean(kept, setting, policy) / min(_mean(kept, setting, one.name) for one in (ALONE, ALONE_LOW))


def _new_city(sigma: float, number: int, seed: int, size: Size, report: Report) -> list[Row]:
    world = draw_world(Shape(sigma), np.random.default_rng([seed, 100 + number]))
    newest = np.zeros(world.traffic.size)
    newest[-1] = 1.0
    others = replace(world, traffic=(world.traffic * (1 - newest)) / world.traffic[:-1].sum())
    report(f"new city, sigma {sigma:g}")
    known = simulate(others, OURS, seed, Terms(size.impressions)).evidence
    nothing = np.zeros_like(known[0]), np.zeros_like(known[1])
    few = Terms(NEW_CITY_TRIALS, refresh=10)
    found = []
    oracle = policies.told(draw_world(Shape(0.0), np.random.default_rng([seed, 100 + number])).rates[0], sigma)
    for policy, evidence in ((OURS, known), (ALONE, nothing), (ALONE_LOW, nothing), (oracle, nothing)):
        # Fifty small runs for each large one: what 200 impressions lose is mostly chance.
        runs = [simulate(replace(world, traffic=newest), policy, at, few, evidence=evidence) for at in range(50)]
        regret = float(np.mean([run.regret for run in runs]))
        found.append(Row("new city", f"sigma {sigma:g}", policy.name, seed, regret))
    return found


def delay(size: Size, report: Report) -> Outcome:
    """Clicks that are known some minutes after their impression."""
    rows, results = [], []
    terms = Terms(size.impressions, a_day=BUSY_DAY)
    settings = {f"{minutes} min": minutes * terms.a_day // 1440 for minutes in (0, *DELAYS_MINUTES)}
    for setting, impressions in settings.items():
        later = replace(terms, delay=impressions)
        rows += _rows("delay", setting, OURS, _runs(Shape(0.3), OURS, size, report, salt=2, terms=later))
    at_once = _mean(rows, "0 min", OURS.name)
    for setting in list(settings)[1:]:
        value, detail = _mean(rows, setting, OURS.name) / at_once, f"{settings[setting]:,} impressions late"
        results.append(Result(f"regret, clicks after {setting}", value, size.limit(1.2), False, detail=detail))
    return Outcome(rows, results, {})


def swap(size: Size, report: Report) -> Outcome:
    """Best and worst banner change places; and what forgetting costs while nothing changes."""
    days = SWAP_DAY + 2 * HALF_LIFE_DAYS
    terms = Terms(days * SLOW_DAY, a_day=SLOW_DAY, half_life_days=HALF_LIFE_DAYS)
    shape = Shape(0.3, is_planted=True)

    def change(world: World, day: int) -> World:
        return world.swapped() if day == SWAP_DAY else world

    swapped = _runs(shape, OURS, size, report, salt=200, terms=terms, change=change)
    same = _runs(shape, OURS, size, report, salt=200, terms=terms)
    for_ever = _runs(shape, OURS, size, report, salt=200, terms=replace(terms, half_life_days=None))
    rows = [
        *_rows("swap", "swapped", OURS, swapped),
        *_rows("swap", "no change", OURS, same),
        *_rows("swap", "no change, no forgetting", OURS, for_ever),
    ]
    half_lives = [
        _days_until_ahead(run, draw_world(shape, _world_rng(seed, 200))) / HALF_LIFE_DAYS
        for seed, run in enumerate(swapped)
    ]
    cost = sum(run.regret for run in same) / sum(run.regret for run in for_ever)
    detail = f"median {np.median(half_lives):.2f}; without a change forgetting costs {cost:.2f} times the regret"
    result = Result("half-lives until the new best leads", max(half_lives), 2.0, False, unit="", detail=detail)
    return Outcome(rows, [result], {})


def _days_until_ahead(run: Run, before: World) -> float:
    """Days from the swap until the new best banner has more traffic than any other for a day."""
    new_best = int((before.traffic @ before.rates).argmin())
    daily = run.shown.reshape(-1, SLOW_DAY // 1_000, run.shown.shape[1]).sum(axis=1)[SWAP_DAY:]
    leads = np.flatnonzero(daily.argmax(axis=1) == new_best)
    return float(leads[0] + 1) if leads.size else float("inf")


def calibration(size: Size, report: Report) -> Outcome:
    """How often a 90 % interval holds the true rate, in worlds drawn from the model, all banners shown alike."""
    covered: list[bool] = []
    for seed in range(size.seeds):
        report("calibration")
        sigma = SIGMAS[seed * SIGMAS.size // size.seeds]
        covered += _covered(sigma, np.random.default_rng([seed, 300]), size.impressions)
    share = float(np.mean(covered))
    detail, apart = f"{share:.4f} of {len(covered):,} cells", size.apart(0.02, 0.04)
    return Outcome([], [Result("coverage, off 0.90 by", abs(share - LEVEL), apart, False, unit="", detail=detail)], {})


def _covered(sigma: float, rng: np.random.Generator, impressions: int) -> list[bool]:
    m0 = 0.02
    traffic = draw_world(Shape(0.0), rng).traffic
    kappa = 1 / (sigma**2 * m0 * (1 - m0))
    mu = np.clip(rng.beta(1, (1 - m0) / m0, size=10), 1e-6, None)
    rates = rng.beta(kappa * mu, kappa * (1 - mu), size=(traffic.size, mu.size))
    trials = np.repeat(np.ceil(impressions * traffic / mu.size)[:, np.newaxis], mu.size, axis=1).astype(int)
    posterior = fit(trials, rng.binomial(trials, rates))
    held: list[bool] = []
    for city in range(traffic.size):
        low, high = posterior.interval(city, LEVEL)
        held += ((low <= rates[city]) & (rates[city] <= high)).tolist()
    return held


def further(size: Size, report: Report) -> Outcome:
    """Worlds that the model was not made for, or larger ones; printed, without a target."""
    compared = (OURS, policies.GAMMA_ONE, ALONE_LOW, POOLED_LOW)
    worlds = {
        "a city effect of 0.5": Shape(0.3, city_effect=0.5),
        "500 cities": Shape(0.3, cities=500),
        "80 banners": Shape(0.3, banners=80),
        "one city": Shape(0.0, cities=1),
        "a specialist banner": Shape(0.3, specialists=1),
    }
    rows: list[Row] = []
    for number, (setting, shape) in enumerate(worlds.items()):
        for policy in compared:
            rows += _rows("further", setting, policy, _runs(shape, policy, size, report, salt=400 + number))
    terms = Terms(size.impressions, a_day=SLOW_DAY, half_life_days=HALF_LIFE_DAYS)
    for policy in compared:
        runs = _runs(Shape(0.3), policy, size, report, salt=500, terms=terms, change=_drift)
        rows += _rows("further", "drift, half-life 7 days", policy, runs)
    return Outcome(rows, [], {})


def _drift(world: World, day: int) -> World:
    """A step of 0.1 a day: 0.5 in a month."""
    return world.drifted(np.random.default_rng([day, 600]), 0.1) if day else world


STUDIES: dict[str, Callable[[Size, Report], Outcome]] = {
    "heterogeneity": heterogeneity,
    "new_city": new_city,
    "delay": delay,
    "swap": swap,
    "calibration": calibration,
    "off_policy": off_policy,
    "further": further,
}


def _runs(
    shape: Shape,
    policy: Policy,
    size: Size,
    report: Report,
    *,
    salt: int,
    terms: Terms | None = None,
    change: Change | None = None,
) -> list[Run]:
    """One run a seed; runs of the same seed and salt are in the same world."""
    runs = []
    for seed in range(size.seeds):
        report(f"{policy.name}, sigma {shape.sigma:g}")
        world = draw_world(shape, _world_rng(seed, salt))
        runs.append(simulate(world, policy, seed, terms or Terms(size.impressions), change=change))
    return runs


def _world_rng(seed: int, salt: int) -> np.random.Generator:
    return np.random.default_rng([seed, salt])


def _rows(study: str, setting: str, policy: Policy, runs: Sequence[Run]) -> list[Row]:
    return [Row(study, setting, policy.name, seed, run.regret) for seed, run in enumerate(runs)]


def _mean(rows: Iterable[Row], setting: str, policy: str) -> float:
    return float(np.mean([row.regret for row in rows if (row.setting, row.policy) == (setting, policy)]))
