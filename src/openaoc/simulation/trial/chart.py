"""Simulation, trials: the outcome as a picture: held ÷ attempted, by scenario and arm.

matplotlib is a development dependency: imported only here, and said plainly when it is missing.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from openaoc.kernel.errors import Unavailable
from openaoc.simulation.trial.measures import Spread, of_scenario
from openaoc.simulation.trial.model import TrialFigures

COLOURS: Final = (
    ("telephone", "#8a8f98", -0.27),
    ("hop by hop", "#d08c3f", 0.0),
    ("centre", "#1f6f8b", 0.27),
)
HEIGHT_EACH: Final = 0.8
BAR: Final = 0.25


class NoChart(Unavailable):
    """What draws the chart is not installed."""


def check_chart() -> None:
    """Raises NoChart where nothing can draw: to be known before trials are lived for an hour."""
    if importlib.util.find_spec("matplotlib") is None:
        raise NoChart("the chart needs matplotlib, a development dependency")


def write_chart(path: Path, trials: Sequence[TrialFigures], names: Sequence[str]) -> None:
    """An SVG with a bar for each scenario and arm, and a dot for each seed. Raises NoChart."""
    check_chart()
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    mpl.rcParams["svg.hashsalt"] = "openaoc"
    figure = Figure(figsize=(8.4, 1.3 + HEIGHT_EACH * len(names)))
    axes = figure.add_subplot()
    for place, name in enumerate(reversed(names)):
        for arm, colour, offset in COLOURS:
            shares: Spread = of_scenario(trials, name, arm).held
            axes.barh(place + offset, 100 * shares.pooled, height=BAR, color=colour)
            axes.plot(
                [100 * share for share in shares.each],
                [place + offset] * len(shares.each),
                "|",
                color="black",
                alpha=0.55,
                markersize=6,
            )
    axes.set_yticks(range(len(names)), list(reversed(names)))
    axes.set_xlabel("stolen money held, % of the loss attempted; strokes are single seeds")
    for arm, colour, _ in reversed(COLOURS):
        axes.barh([-9], [0], color=colour, label=arm)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.legend(loc="lower right", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    FigureCanvasSVG(figure)
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
