"""What `make demo-traffic` shows: where the best banner leads, and how the learned choice fares against the holdout."""

from collections import Counter
from collections.abc import Mapping

from bandit.model import Policy
from commands.demo_catalogue import SLOTS, TENANT
from commands.demo_storefront import Outcome
from commands.demo_world import Cell, Rates, best

WINDOWS = 24
"""Equal parts of the run, each one column of a curve."""
LAST_WINDOWS = 6
"""Those at the end of the run, a quarter of it, in which the leader of a cell is found."""
BAR_WIDTH = 30
STEPS = "▁▂▃▄▅▆▇█"
PARTS = " ▏▎▍▌▋▊▉"


class Board:
    """Adds up what storefronts tell, and draws it."""

    def __init__(self, world: Mapping[Cell, Rates], impressions: int) -> None:
        """`impressions` is how many there will be in all."""
        self._world = world
        self._impressions = impressions
        self._learned = {cell: [Counter[str]() for _ in range(WINDOWS)] for cell in world}
        """Learned choices by cell, window and banner."""
        self._trials: Counter[tuple[str, str]] = Counter()
        self._clicks: Counter[tuple[str, str]] = Counter()
        """By slot and policy."""
        self.seen = 0

    def add(self, outcomes: Mapping[Outcome, int]) -> None:
        """What came of some impressions."""
        window = min(self.seen * WINDOWS // self._impressions, WINDOWS - 1)
        for (slot, city, banner, policy, clicked), count in outcomes.items():
            self.seen += count
            self._trials[slot, policy] += count
            self._clicks[slot, policy] += count if clicked else 0
            if policy == Policy.LEARNED and (slot, city) in self._learned:
                self._learned[slot, city][window][banner] += count

    def leads(self, cell: Cell) -> bool:
        """Whether the learned choice shows the truly best banner of the cell more often than any other of late."""
        recent = sum(self._recent(cell), Counter[str]())
        return bool(recent) and recent.most_common(1)[0][0] == best(self._world[cell])

    @property
    def cells(self) -> int:
        """How many there are."""
        return len(self._world)

    def leading(self) -> int:
        """In how many of them."""
        return sum(map(self.leads, self._world))

    def ctr(self, slot: str, policy: Policy) -> float:
        """Clicks for each impression, 0 before there is one."""
        return self._clicks[slot, policy] / max(self._trials[slot, policy], 1)

    def headline(self, seconds: float) -> str:
        """How far it is, and how fast."""
        pace = self.seen / max(seconds, 0.001)
        return f"{self.seen:,} of {self._impressions:,} impressions, {pace:,.0f} a second, {seconds:.0f} s"

    def line(self, seconds: float) -> str:
        """Everything in one line."""
        rates = ", ".join(
            f"{slot.id} {self.ctr(slot.id, Policy.LEARNED):.2%} (holdout {self.ctr(slot.id, Policy.HOLDOUT):.2%})"
            for slot in SLOTS
        )
        return f"{self.headline(seconds)}; best banner leads {self.leading()} of {self.cells}; CTR {rates}"

    def table(self, seconds: float) -> list[str]:
        """Everything in full, as lines."""
        lines = [self.headline(seconds)]
        for slot in SLOTS:
            lines += ["", f"{slot.id:15} {'best banner':15} {'its share of the learned choice':{WINDOWS}}"]
            lines += [self._city_line((slot.id, city)) for city in TENANT.cities]
            lines += self._ctr_lines(slot.id)
        return lines

    def _city_line(self, cell: Cell) -> str:
        name = best(self._world[cell])
        shares = [self._share(window, name) for window in self._learned[cell]]
        curve = "".join(" " if share is None else STEPS[round(share * (len(STEPS) - 1))] for share in shares)
        now = next((f"{share:4.0%}" for share in reversed(shares) if share is not None), "")
        return f"  {cell[1].title():13} {name:15} {curve} {now:5} {'leads' if self.leads(cell) else ''}".rstrip()

    def _ctr_lines(self, slot: str) -> list[str]:
        rates = {policy: self.ctr(slot, policy) for policy in (Policy.LEARNED, Policy.HOLDOUT)}
        most = max(*rates.values(), 0.001)
        return [f"  CTR {policy:9} {rate:6.2%}   {bar(rate / most)}".rstrip() for policy, rate in rates.items()]

    def _recent(self, cell: Cell) -> list[Counter[str]]:
        """The last windows that have begun."""
        begun = min(self.seen * WINDOWS // self._impressions, WINDOWS - 1) + 1
        return self._learned[cell][max(begun - LAST_WINDOWS, 0) : begun]

    def _share(self, window: Counter[str], banner: str) -> float | None:
        return window[banner] / window.total() if window else None


def bar(share: float) -> str:
    """A bar of this share of BAR_WIDTH characters, to the eighth of one."""
    eighths = round(share * BAR_WIDTH * 8)
    return ("█" * (eighths // 8) + PARTS[eighths % 8]).rstrip()
