# SPDX-License-Identifier: MIT OR Apache-2.0
"""The results as a table, as the pages docs/benchmarks.md and docs/curves.md, and as plots docs/bench-*.svg."""

import os
import pathlib
import statistics
from dataclasses import dataclass, replace
from typing import Any

from contender import ROOT
from curve import point
from row import CARRICK, ROWS, STOCK, Ceiling, Claim, Everywhere, Row

DOCS = ROOT / "docs"
NOTES = pathlib.Path(__file__).with_name("notes.md")
CURVE_NOTES = pathlib.Path(__file__).with_name("curve_notes.md")

Values = dict[str, list[float]]


@dataclass(frozen=True)
class Verdict:
    """The result of a claim."""

    row: Row
    claim: Claim | Ceiling | Everywhere
    best: str
    measured: float
    spread: tuple[float, float]

    @property
    def met(self) -> bool:
        """Whether the target was met."""
        if isinstance(self.claim, Ceiling):
            return self.measured <= self.claim.limit
        return self.measured >= self.claim.target

    @property
    def target(self) -> str:
        """The target in words."""
        if isinstance(self.claim, Ceiling):
            return f"at most {self.claim.limit:,.0f} {self.row.unit}"
        return f"{self.claim.target:g} x"

    @property
    def figure(self) -> str:
        """The measured ratio or number, with its spread."""
        low, high = self.spread
        if isinstance(self.claim, Ceiling):
            digits = 0 if low > 10 or high == 0 else 1
            return f"{self.measured:,.{digits}f} {self.row.unit} ({low:,.{digits}f} to {high:,.{digits}f})"
        return f"{self.measured:.2f} x ({low:.2f} to {high:.2f})"


def _judge(row: Row, claim: Claim | Ceiling | Everywhere, values: Values) -> Verdict | None:
    if isinstance(claim, Everywhere):
        sizes = [size for size in row.sizes if values.get(point(CARRICK, size))]
        at = [
            _judge(row, Claim(f"{size:,}", point(CARRICK, size), (point(STOCK, size),), claim.target), values)
            for size in sizes
        ]
        worst = min(filter(None, at), key=lambda verdict: verdict.measured, default=None)
        return None if worst is None else replace(worst, claim=claim, best=worst.claim.text)
    ours = values.get(claim.ours)
    if not ours:
        return None
    if isinstance(claim, Ceiling):
        return Verdict(row, claim, "", statistics.median(ours), (min(ours), max(ours)))
    others = [name for name in claim.others if values.get(name)]
    if not others:
        return None

    def ratio(our: float, other: float) -> float:
        over, under = (other, our) if row.less_is_better else (our, other)
        return over / under if under > 0 else float("inf")

    choose = min if row.less_is_better else max
    best = choose(others, key=lambda name: statistics.median(values[name]))
    rounds = [ratio(our, other) for our, other in zip(ours, values[best], strict=True)]
    measured = ratio(statistics.median(ours), statistics.median(values[best]))
    return Verdict(row, claim, best if len(claim.others) > 1 else "", measured, (min(rounds), max(rounds)))


def verdicts(results: dict[str, Any]) -> list[Verdict]:
    """The verdict on every claim that was measured."""
    judged = [
        _judge(row, claim, results[row.name]["values"])
        for row in ROWS
        if row.name in results
        for claim in row.claims
    ]
    return [verdict for verdict in judged if verdict is not None]


def table(results: dict[str, Any]) -> str:
    """The table of targets and results, for people and for Markdown."""
    lines = ["| row | claim | target | measured (spread of the rounds) | |", "|---|---|---|---|---|"]
    for verdict in verdicts(results):
        text = verdict.claim.text + (f" ({verdict.best})" if verdict.best else "")
        end = "met" if verdict.met else "MISSED"
        lines.append(f"| {verdict.row.name} | {text} | {verdict.target} | {verdict.figure} | {end} |")
    return "\n".join(lines)


def _cores() -> str:
    model = "unknown processor"
    for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    return f"{os.cpu_count()} cores ({model}), Linux {os.uname().release}"


def _details(row: Row, result: dict[str, Any]) -> str:
    values: Values = result["values"]
    direction = "less" if row.less_is_better else "more"
    lines = [
        f"### {row.name}",
        "",
        f"{row.title}. {row.unit}, {direction} is better; {result['rounds']} rounds, {result['when']}.",
        "",
        "| contender | median | lowest | highest |",
        "|---|---:|---:|---:|",
    ]
    floors = {floor.name for floor in row.floors}
    digits = 2 if row.unit in ("us", "ms/s") else 0
    for name, measured in values.items():
        label = f"{name} (floor)" if name in floors else name
        numbers = (statistics.median(measured), min(measured), max(measured))
        lines.append(f"| {label} | " + " | ".join(f"{n:,.{digits}f}" for n in numbers) + " |")
    return "\n".join(lines)


def write(results: dict[str, Any]) -> None:
    """Write the pages, of rows and of curves, that something was measured for, and the plots."""
    DOCS.mkdir(exist_ok=True)
    rows = {row.name: results[row.name] for row in ROWS if row.name in results and not row.sizes}
    curves = {row.name: results[row.name] for row in ROWS if row.name in results and row.sizes}
    _plot(results)
    if rows:
        top = [
            "![ratios against targets](bench-ratios.svg)",
            "",
            table(rows),
            "",
            NOTES.read_text(encoding="utf-8").strip(),
        ]
        floor = "Rows named floor are C programs that make the bare system calls (benches/peers/c/floor.c)."
        _page("benchmarks", "Benchmarks", rows, [*top, "", "## All numbers", "", floor])
    if curves:
        more = (
            "How cost grows with numbers, beside the standard library; the bands in the plots are the spread."
        )
        notes = CURVE_NOTES.read_text(encoding="utf-8").strip()
        _page("curves", "Curves", curves, [more, "", table(curves), "", notes, "", "## All numbers"])


def _page(name: str, title: str, results: dict[str, Any], top: list[str]) -> None:
    page = [
        f"# {title}",
        "",
        "Made by `make bench` (`ci/bench.sh`); do not edit. The words between the tables are in benches/.",
        "",
        f"Machine: {_cores()}. Everything runs on loopback, client and server on the same cores.",
        "",
        *top,
        "",
    ]
    for row in ROWS:
        if row.name in results:
            page += [_details(row, results[row.name]), ""]
            if _is_plotted(row):
                page += [f"![{row.title}](bench-{row.name}.svg)", ""]
    (DOCS / f"{name}.md").write_text("\n".join(page).rstrip() + "\n", encoding="utf-8")


def _is_plotted(row: Row) -> bool:
    return len(row.contenders) > 2 and row.name != "idle"


def _plot(results: dict[str, Any]) -> None:
    # Only where it is needed: a quick run does without.
    import matplotlib

    matplotlib.use("svg")
    # The same numbers make the same file.
    matplotlib.rcParams.update({"svg.hashsalt": "carrick", "font.size": 9})
    from matplotlib import pyplot

    def save(figure: Any, name: str) -> None:
        figure.tight_layout()
        figure.savefig(DOCS / f"bench-{name}.svg", metadata={"Date": None})
        pyplot.close(figure)

    met, missed, other, ground = "#2a7f62", "#b3422f", "#8a94a0", "#c9ced6"
    claims = [verdict for verdict in verdicts(results) if isinstance(verdict.claim, Claim)][::-1]
    if claims:
        figure, axes = pyplot.subplots(figsize=(9, 0.36 * len(claims) + 1.2))
        shares = [verdict.measured / verdict.claim.target for verdict in claims]  # type: ignore[union-attr]
        colours = [met if verdict.met else missed for verdict in claims]
        bars = axes.barh([f"{v.row.name}: {v.claim.text}" for v in claims], shares, color=colours)
        axes.bar_label(bars, [f" {v.measured:.2f} x (target {v.target})" for v in claims], fontsize=8)
        axes.axvline(1, color="black", linewidth=1)
        axes.set_xlim(0, max(shares) * 1.35)
        axes.set_xlabel("measured ratio as a share of its target; the line is the target")
        axes.set_title("carrick against its targets")
        axes.spines[["top", "right"]].set_visible(False)
        save(figure, "ratios")
    for row in ROWS:
        if row.name not in results or not _is_plotted(row):
            continue
        values: Values = results[row.name]["values"]
        if row.sizes:
            figure, axes = pyplot.subplots(figsize=(8, 4))
            for side, colour in (("standard library", other), ("carrick", met)):
                drawn = [size for size in row.sizes if values.get(point(side, size))]
                measured = [values[point(side, size)] for size in drawn]
                # A logarithmic scale has no zero.
                medians = [max(statistics.median(one), 0.01) for one in measured]
                axes.plot(drawn, medians, marker="o", color=colour, label=side)
                lowest, highest = [max(min(one), 0.01) for one in measured], [max(one) for one in measured]
                axes.fill_between(drawn, lowest, highest, color=colour, alpha=0.2, linewidth=0)
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.set_xticks(row.sizes, [f"{size:,}" for size in row.sizes])
            axes.set_ylabel(f"{row.unit}, less is better")
            axes.set_title(row.title, fontsize=9)
            axes.legend(frameon=False)
            axes.spines[["top", "right"]].set_visible(False)
            save(figure, row.name)
            continue
        names = list(values)[::-1]
        floors = {floor.name for floor in row.floors}
        figure, axes = pyplot.subplots(figsize=(8, 0.38 * len(names) + 1.2))
        medians = [statistics.median(values[name]) for name in names]
        below = [m - min(values[name]) for m, name in zip(medians, names, strict=True)]
        above = [max(values[name]) - m for m, name in zip(medians, names, strict=True)]
        colours = [
            met if name.startswith("carrick") else ground if name in floors else other for name in names
        ]
        labels = [f"{name} (floor)" if name in floors else name for name in names]
        bars = axes.barh(labels, medians, xerr=[below, above], color=colours, error_kw={"elinewidth": 0.8})
        axes.bar_label(bars, [f" {m:,.0f}" for m in medians], padding=3, fontsize=8)
        if row.name == "handshake":
            axes.set_xscale("log")
        axes.margins(x=0.18)
        axes.set_xlabel(
            f"{row.unit}, {'less' if row.less_is_better else 'more'} is better; lines show the spread"
        )
        axes.set_title(row.title, fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
        save(figure, row.name)
