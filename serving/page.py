"""Several places of one page: no banner twice."""

from collections.abc import Callable, Collection, Sequence

from serving.cells import Cell, Choice


def choose_apart(cells: Sequence[Cell], unit: float, random: Callable[[], float]) -> list[Choice | None]:
    """One choice for each cell, in their order, and no banner id twice; None where no banner is left.

    The cell with the fewest banners chooses first, so that a pinned banner stays where it is pinned. Each choice is
    drawn from the cell's probabilities without the banners chosen before, divided by what the rest sums to, and that
    is its propensity: given the banners chosen before, the probabilities of those that compete sum to 1. `unit` in
    [0, 1) is where the visitor stands: in the holdout of a slot if below its share, the same for the whole page.
    `random` draws from [0, 1).
    """
    taken: set[str] = set()
    choices: list[Choice | None] = [None] * len(cells)
    for index in sorted(range(len(cells)), key=lambda index: len(cells[index].banners)):
        choice = _choose(cells[index], unit, taken, random())
        if choice is not None:
            taken.add(choice.banner.id)
            choices[index] = choice
    return choices


def _choose(cell: Cell, unit: float, taken: Collection[str], random_number: float) -> Choice | None:
    if cell.is_open and unit < cell.knowledge.slot.holdout_share:
        return cell.draw_apart_for_holdout(taken, random_number)
    return cell.draw_apart(taken, random_number)
