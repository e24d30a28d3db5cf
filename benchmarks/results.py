"""What was measured, held against what is to be reached."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.wrk import Load


@dataclass(frozen=True, slots=True)
class Result:
    """One number and its target."""

    name: str
    value: float
    target: float
    at_least: bool
    """Whether the target is a lower limit, else it is an upper one."""
    unit: str = "x"
    detail: str = ""

    @property
    def met(self) -> bool:
        return self.value >= self.target if self.at_least else self.value <= self.target

    def line(self) -> str:
        """For people."""
        limit = f"{'at least' if self.at_least else 'at most'} {self.target:g} {self.unit}"
        verdict = "met" if self.met else "NOT MET"
        return f"{self.name:40} {self.value:8.2f} {self.unit:3} {limit:18} {verdict:8} {self.detail}".rstrip()


def speed(name: str, ours: Sequence[Load], theirs: Sequence[Load], at_least: float) -> Result:
    """The ratio of the median rates."""
    rates = [median(load.per_second for load in loads) for loads in (ours, theirs)]
    detail = f"{rates[0]:,.0f} against {rates[1]:,.0f} requests/s"
    return Result(name, rates[0] / rates[1], at_least, at_least=True, detail=detail)


def slowest(name: str, ours: Sequence[Load], theirs: Sequence[Load]) -> Result:
    """The ratio of the median 99th percentiles of latency, which is not to exceed 1."""
    times = [median(load.p99_ms for load in loads) for loads in (ours, theirs)]
    return Result(name, times[0] / times[1], 1.0, at_least=False, detail=f"{times[0]:.2f} against {times[1]:.2f} ms")


def rate(name: str, ours: Sequence[float], theirs: Sequence[float], at_least: float, what: str) -> Result:
    """The ratio of the median rates, in `what` a second."""
    rates = median(ours), median(theirs)
    detail = f"{rates[0]:,.0f} against {rates[1]:,.0f} {what}/s"
    return Result(name, rates[0] / rates[1], at_least, at_least=True, detail=detail)
