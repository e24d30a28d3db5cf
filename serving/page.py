"""Several places of one page: no banner twice."""

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from bandit.model import Banner
from serving.cells import Cell, Choice


class Place(NamedTuple):
    """A slot on a page."""

    cell: Cell
    shown: Banner | None
    """What a slot in shadow shows, if anything."""
    is_in_shadow: bool

    @property
    def candidates(self) -> int:
        """How many banners it could show."""
        return 1 if self.is_in_shadow else len(self.cell.banners)


def choose_apart(places: Sequence[Place], unit: float, random: Callable[[], float]) -> list[Choice | None]:
    """One choice for each place, in their order, and no banner id twice; None where no banner is left.

    The place with the fewest candidates chooses first, so that a pinned banner stays where it is pinned. Each choice
    is drawn from its cell's probabilities without the banners chosen before, divided by what the rest sums to, and
    that is its propensity: given the banners chosen before, the probabilities of those that compete sum to 1. `unit`
    in [0, 1) is where the visitor stands: in the holdout of a slot if below its share, the same for the whole page.
    `random` draws from [0, 1).
    """
    taken: set[str] = set()
    choices: list[Choice | None] = [None] * len(places)
    for index in sorted(range(len(places)), key=lambda index: places[index].candidates):
        choice = _choose(places[index], unit, taken, random())
        if choice is not None:
            taken.add(choice.banner.id)
            choices[index] = choice
    return choices


def _choose(place: Place, unit: float, taken: Collection[str], random_number: float) -> Choice | None:
    cell, shown, is_in_shadow = place
    if is_in_shadow:
        is_free = shown is not None and shown.id not in taken
        return cell.show_in_shadow(shown, random_number) if shown is not None and is_free else None
    if cell.is_open and unit < cell.knowledge.slot.holdout_share:
        return cell.draw_apart_for_holdout(taken, random_number)
    return cell.draw_apart(taken, random_number)
