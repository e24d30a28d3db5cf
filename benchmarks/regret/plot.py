"""Clicks lost over time, one panel for each heterogeneity, with 95 % bands of the mean."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmarks.regret import policies

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[np.float64]

COLOURS = {
    policies.OURS.name: "#0b6e4f",
    policies.ALONE_LOW.name: "#d17b0f",
    policies.POOLED_LOW.name: "#3a6ea5",
    policies.MABWISER.name: "#8e44ad",
    **{
        policy.name: colour for policy, colour in zip(policies.COUNTERS, ("#c0392b", "#7f5539", "#666666"), strict=True)
    },
}
POINTS = 60


def plot(curves: Mapping[tuple[str, str], Array], refresh: int, path: Path) -> None:
    """`curves` are (setting, policy) -> clicks lost so far, (seeds, refreshes)."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot

    settings = list(dict.fromkeys(setting for setting, _ in curves))
    mpl.rcParams.update({"svg.hashsalt": "regret", "font.size": 9})
    figure, axes = pyplot.subplots(1, len(settings), figsize=(3.2 * len(settings), 3.6), squeeze=False)
    for panel, setting in zip(axes[0], settings, strict=True):
        for policy, colour in COLOURS.items():
            _line(panel, curves[setting, policy], refresh, policy, colour)
        panel.set(title=setting, xlabel="impressions (thousands)", yscale="log")
    axes[0][0].set_ylabel("expected clicks lost")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncol=4, frameon=False)
    figure.tight_layout(rect=(0, 0.14, 1, 1))
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def _line(panel: "Axes", curve: Array, refresh: int, name: str, colour: str) -> None:
    at = np.unique(np.linspace(0, curve.shape[1] - 1, POINTS).astype(int))
    mean = curve[:, at].mean(axis=0)
    margin = 1.96 * curve[:, at].std(axis=0, ddof=1) / len(curve) ** 0.5
    thousands = (at + 1) * refresh / 1_000
    panel.plot(thousands, mean, color=colour, label=name, linewidth=1.4)
    panel.fill_between(thousands, np.maximum(mean - margin, 1), mean + margin, color=colour, alpha=0.2, linewidth=0)
