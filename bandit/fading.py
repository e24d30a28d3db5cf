"""How much evidence of a past day still counts."""


def fade(age_days: int, half_life_days: float | None, lookback_days: int) -> float:
    """The weight, 0 to 1, of counts that are `age_days` old: 1 today, half after each half-life, 0 past the lookback.

    Without a half-life every day within the lookback counts in full. A day ahead of the reader's clock counts as today.
    """
    if age_days > lookback_days:
        return 0.0
    if half_life_days is None or age_days <= 0:
        return 1.0
    return float(0.5 ** (age_days / half_life_days))
