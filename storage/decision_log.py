"""A log of decisions for bandit.evaluation, from any CSV or Parquet file with action, reward and propensity."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bandit.evaluation import Log
from storage.history_file import BadHistory, Progress, chunks

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

SHOWN = 5


class Columns(NamedTuple):
    """Where in the file things are."""

    action: str = "action"
    reward: str = "reward"
    propensity: str = "propensity"
    context: tuple[str, ...] = ()
    """What, beside the action, the reward may depend on."""


def read(path: Path, columns: Columns, progress: Progress) -> Log:
    """The decisions in the file's order. Every action of the file could be chosen in each of them.

    Raises BadHistory with what is wrong, or OSError.
    """
    import pandas as pd

    wanted = [columns.action, columns.reward, columns.propensity, *columns.context]
    frame = pd.concat(list(chunks(path, wanted, progress)))
    frame = frame[(frame != "").any(axis=1)]
    if frame.empty:
        raise BadHistory("there are no rows, only the names of the columns")
    reward = _numbers(frame[columns.reward], "a number is right", np.isfinite)
    propensity = _numbers(
        frame[columns.propensity],
        "a probability above 0, at most 1, is right",
        lambda values: (values > 0) & (values <= 1),
    )
    banner, banners = pd.factorize(frame[columns.action], sort=True)
    # With a separator no text can hold, since two contexts must not become one.
    joined = frame[list(columns.context)].agg("\x1f".join, axis=1) if columns.context else pd.Series("", frame.index)
    context, contexts = pd.factorize(joined, sort=True)
    names = tuple(str(name).replace("\x1f", " ") for name in contexts)
    eligible = np.ones((len(contexts), len(banners)), dtype=bool)
    return Log(tuple(map(str, banners)), names, context, banner, reward, propensity, np.arange(len(contexts)), eligible)


def _numbers(
    texts: "pd.Series[str]", right: str, accepts: Callable[["NDArray[Any]"], "NDArray[Any]"]
) -> "NDArray[np.float64]":
    import pandas as pd

    values: NDArray[np.float64] = pd.to_numeric(texts, errors="coerce").to_numpy(dtype=np.float64)
    with np.errstate(invalid="ignore"):
        wrong = texts[~accepts(values)]
    if not wrong.empty:
        shown = [f"row {row}: {texts.name} is {text[:60]!r}; {right}" for row, text in wrong.head(SHOWN).items()]
        more = [f"and {len(wrong) - SHOWN:,} more"] if len(wrong) > SHOWN else []
        raise BadHistory("\n".join([*shown, *more]))
    return values
