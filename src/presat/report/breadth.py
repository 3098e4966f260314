"""pass@k against k, before and after RL: what a model can do in several tries, each curve with one band for all k."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from presat.report.figures import BOTTOM, LEFT, RIGHT, TOP, TRACK_HEIGHT, Panel, Series, axes, label_ends, marker
from presat.report.svg import Drawing, Scale

if TYPE_CHECKING:
    from markupsafe import Markup

    from presat.analysis.numbers import RunSummary
    from presat.metrics.support import PassCurve


def breadth_panels(summaries: Sequence[RunSummary]) -> list[Panel]:
    """pass@k of the main set against k before and after, a panel a run."""
    return [
        Panel(f"{summary.name}, {item.name}", curves_svg(*item.pass_curves))
        for summary in summaries
        if (item := summary.main_set) is not None and item.pass_curves is not None
    ]


def curves_svg(before: PassCurve, after: PassCurve) -> Markup:
    """Two curves of pass@k with their bands; k doubles from tick to tick."""
    drawing = Drawing(TRACK_HEIGHT, "pass@k before and after")
    ticks = [(math.log2(k), str(k)) for k in sorted({*before, *after})]
    across = Scale(ticks[0][0], ticks[-1][0], LEFT, RIGHT)
    axes(drawing, across, ticks, "samples k")
    height, lines = Scale(0, 1, BOTTOM, TOP), []
    for curve, kind, label, shape in ((before, "other", "before", "square"), (after, "held", "after", "dot")):
        upper = [(across(math.log2(k)), height(each.high)) for k, each in curve.items()]
        lower = [(across(math.log2(k)), height(each.low)) for k, each in reversed(list(curve.items()))]
        drawing.path([*upper, *lower], f"band {kind}", closed=True)
        lines.append(Series(kind, label, [], [each.estimate for each in curve.values()], shape))
        drawing.path([(across(math.log2(k)), height(each.estimate)) for k, each in curve.items()], f"line {kind}")
        for k, each in curve.items():
            marker(
                drawing, lines[-1], across(math.log2(k)), height(each.estimate), f"{label}, k {k}: {each.estimate:.3f}"
            )
    label_ends(drawing, lines)
    return drawing.markup()
