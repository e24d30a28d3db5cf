"""Several places of one page: no banner twice."""

from collections.abc import Callable, Collection, Sequence

from bandit.model import Banner
from serving.cells import Cell, Choice


def choose_apart(
    cells: Sequence[Cell], shown: Sequence[Banner | None], unit: float, random: Callable[[], float]
) -> list[Choice | None]:
    """One choice for each cell, in their order, and no banner id twice; None where no banner is left.

    The cell with the fewest banners chooses first, so that a pinned banner stays where it is pinned. Each choice is
    drawn from the cell's probabilities without the banners chosen before, divided by what the rest sums to, and that
    is its propensity: given the banners chosen before, the probabilities of those that compete sum to 1. `shown` is
    what a slot in shadow shows. `unit` in [0, 1) is where the visitor stands: in the holdout of a slot if below its
    share, the same for the whole page. `random` draws from [0, 1).
    """
    taken: set[str] = set()
    choices: list[Choice | None] = [None] * len(cells)
    candidates = [1 if cell.knowledge.slot.shadow else len(cell.banners) for cell in cells]
    for index in sorted(range(len(cells)), key=candidates.__getitem__):
        cell = cells[index]
        slot = cell.knowledge.slot
        if slot.shadow:
            choice = _show_in_shadow(cell, shown[index], taken, random())
        elif unit < slot.holdout_share and cell.is_open:
            choice = cell.draw_apart_for_holdout(taken, random())
        else:
            choice = cell.draw_apart(taken, random())
        if choice is not None:
            taken.add(choice.banner.id)
            choices[index] = choice
    return choices


def _show_in_shadow(cell: Cell, shown: Banner | None, taken: Collection[str], random_number: float) -> Choice | None:
    return None if shown is None or shown.id in taken else cell.show_in_shadow(shown, random_number)
