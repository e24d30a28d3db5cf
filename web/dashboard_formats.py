"""Numbers and times as people read them."""

from datetime import datetime
from math import floor, log10
from zoneinfo import ZoneInfo

from markupsafe import Markup

NOTHING = "–"


def text(value: object) -> str:
    """As it is."""
    return NOTHING if value is None else str(value)


def long(value: str) -> Markup:
    """Text that may be broken into lines."""
    return Markup('<span class="long">') + value + Markup("</span>")


def count(value: float | None) -> str:
    """1,234."""
    return NOTHING if value is None else f"{value:,.0f}"


def number(value: float | None) -> str:
    """At most three significant digits, without an exponent: 1,230 or 0.0123."""
    if value is None:
        return NOTHING
    digits = 2 - floor(log10(abs(value))) if value else 0
    shown = f"{round(value, digits):,.{min(max(digits, 0), 9)}f}"
    return shown.rstrip("0").rstrip(".") if "." in shown else shown


def percent(value: float | None) -> str:
    """1.23 %, from 0.0123."""
    if value is None:
        return NOTHING
    digits = 2 - floor(log10(100 * abs(value))) if value else 0
    return f"{100 * value:,.{min(max(digits, 0), 9)}f} %"


def chance(value: float | None) -> str:
    """A probability; what is as good as certain is not called so."""
    if value is None:
        return NOTHING
    if 0 < value < 0.001:
        return "< 0.1 %"
    return "> 99.9 %" if 0.999 < value < 1 else f"{100 * value:.1f} %"


def change(value: float | None) -> str:
    """+12.3 %, from 0.123."""
    return NOTHING if value is None else f"{100 * value:+.1f} %".replace("-", "−")


def interval(low: float | None, high: float | None) -> str:
    """1.2 % to 3.4 %."""
    return NOTHING if low is None or high is None else f"{percent(low)} to {percent(high)}"


def change_interval(low: float | None, high: float | None) -> str:
    """−1.0 % to +3.4 %."""
    return NOTHING if low is None or high is None else f"{change(low)} to {change(high)}"


def moment(value: datetime | None, zone: str) -> str:
    """23 Nov 2026, 12:00:05, in the zone."""
    return NOTHING if value is None else f"{value.astimezone(ZoneInfo(zone)):%-d %b %Y, %H:%M:%S}"


def size(value: float) -> str:
    """1.5 MiB."""
    for unit in ("bytes", "KiB", "MiB"):
        if value < 1024:
            return f"{number(value)} {unit}"
        value /= 1024
    return f"{number(value)} GiB"


def seconds(value: float | None) -> str:
    """1.5 s, or 12 min, or 3.2 h."""
    if value is None:
        return NOTHING
    if value < 120:
        return f"{value:.1f} s"
    return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"
