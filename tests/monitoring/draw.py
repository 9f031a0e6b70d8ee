#!/usr/bin/env python3
"""Draws each dashboard from its own queries, in its own layout, to look at where no Grafana is: DIR/overview.png …

    OFFBOARD_DRAW=DIR cargo test --locked --features faults --test it -- monitoring::every   # Prometheus' data stays
    python3 -m venv DIR/venv && DIR/venv/bin/pip install matplotlib==3.10.8
    DIR/venv/bin/python tests/monitoring/draw.py DIR

It starts Debian's prometheus on what was kept. Colours, legends and units are about Grafana's; each panel bears its
description as its caption.
"""

import json
import math
import pathlib
import socket
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.parse
import urllib.request

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402  (after the choice of a backend)

ROOT = pathlib.Path(__file__).resolve().parents[2]
COLORS = {"green": "#56a64b", "yellow": "#e0a800", "red": "#e02f44", "blue": "#3274d9", "purple": "#8f3bb8",
          "text": "#999999"}
COLUMN, ROW = 0.84, 0.525  # inches


class Prometheus:
    """A server on the data that a test left."""

    def __init__(self, directory):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{free.getsockname()[1]}"
        config = directory / "draw.yml"
        config.write_text("{}\n")
        command = ["/usr/bin/prometheus", f"--config.file={config}", f"--storage.tsdb.path={directory / 'data'}",
                   f"--web.listen-address={self.url.removeprefix('http://')}", "--log.level=error"]
        self.process = subprocess.Popen(command)
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{self.url}/-/ready")
                break
            except urllib.error.URLError:
                time.sleep(0.1)
        newest = self.ask("query", query="max(max_over_time(timestamp(up)[1w:1s]))")
        oldest = self.ask("query", query="min(min_over_time(timestamp(up)[1w:1s]))")
        self.start, self.end = (float(found[0]["value"][1]) for found in (oldest, newest))

    def ask(self, call, **parameters):
        url = f"{self.url}/api/v1/{call}?{urllib.parse.urlencode(parameters)}"
        return json.load(urllib.request.urlopen(url))["data"]["result"]

    def series(self, target, variables):
        """(legend, times, values) of each line of an expression."""
        expr = target["expr"]
        values = {"$__rate_interval": "4s", "$__range": f"{math.ceil(self.end - self.start)}s"}
        values |= {f"${one['name']}": one.get("allValue") or one["current"].get("value", "") for one in variables}
        for name, value in values.items():
            expr = expr.replace(name, value)
        if target["instant"]:
            found = self.ask("query", query=expr, time=self.end)
        else:
            found = self.ask("query_range", query=expr, start=self.start, end=self.end, step=0.5)
        for one in found:
            points = [(float(t) - self.start, float(v)) for t, v in one.get("values") or [one["value"]]]
            yield legend(target, one["metric"]), [t for t, _ in points], [v for _, v in points]


def legend(target, labels):
    text = target["legendFormat"]
    for name in set(part.split("}}")[0] for part in text.split("{{")[1:]):
        text = text.replace("{{" + name + "}}", labels.get(name, ""))
    return text or ", ".join(f"{name}={value}" for name, value in labels.items() if name != "__name__")


def shown(value, unit, decimals=None):
    """A number as Grafana writes it."""
    if math.isnan(value):
        return "NaN"
    if unit == "percentunit":
        return f"{value * 100:.{1 if decimals is None else decimals}f}%"
    if unit in ("s", "ms"):
        seconds = value / (1000 if unit == "ms" else 1)
        for size, name in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"), (1e-3, "ms"), (1e-6, "µs")):
            if abs(seconds) >= size:
                return f"{seconds / size:.3g} {name}"
        return "0 s"
    if unit == "bytes":
        return f"{value / 2**20:.3g} MiB"
    known = {"reqps": " req/s", "ops": " ops/s", "short": ""}
    return f"{value:.3g}{known[unit] if unit in known else unit.removeprefix('suffix:')}"


def mapped(value, defaults):
    """Words and colour of a value, by mappings or thresholds."""
    for one in defaults.get("mappings", []):
        if one["type"] == "value" and f"{value:g}" in one["options"]:
            return one["options"][f"{value:g}"]["text"], one["options"][f"{value:g}"]["color"]
        if one["type"] == "range" and one["options"]["from"] <= value <= one["options"]["to"]:
            return one["options"]["result"]["text"], one["options"]["result"]["color"]
    steps = defaults["thresholds"]["steps"]
    color = [step["color"] for step in steps if step["value"] is None or value >= step["value"]][-1]
    return shown(value, defaults["unit"], defaults.get("decimals")), color


def draw_stat(axes, panel, series):
    axes.axis("off")
    defaults = panel["fieldConfig"]["defaults"]
    cells = []
    for name, _, values in series:
        last = [value for value in values if not math.isnan(value)][-1:]
        cells.append((name, *(mapped(last[0], defaults) if last else (defaults["noValue"], "text"))))
    cells = cells or [("", defaults["noValue"], "text")]
    filled = panel["options"]["colorMode"] == "background"
    names = panel["options"]["textMode"] == "value_and_name"
    for row, (name, text, color) in enumerate(cells):
        low, height = 1 - (row + 1) / len(cells), 1 / len(cells)
        paint = COLORS[color]
        axes.add_patch(plt.Rectangle((0, low), 1, height * 0.97, color=paint if filled else "white"))
        ink = "white" if filled else paint
        axes.text(0.5, low + height / 2, f"{name}   {text}" if names else text, color=ink, ha="center", va="center",
                  fontsize=11 if names else 18, weight="bold")


def draw_lines(axes, panel, series):
    defaults, custom = panel["fieldConfig"]["defaults"], panel["fieldConfig"]["defaults"]["custom"]
    fixed = {one["matcher"]["options"]: one["properties"][0]["value"]["fixedColor"]
             for one in panel["fieldConfig"]["overrides"]}
    base = {}
    for number, (name, times, values) in enumerate(series):
        color = COLORS.get(fixed.get(name), f"C{number % 10}")
        finite = [value for value in values if not math.isnan(value)] or [math.nan]
        label = f"{name}   {shown(finite[-1], defaults['unit'])}   max {shown(max(finite), defaults['unit'])}"
        if custom["stacking"]["mode"] == "normal":
            low = [base.get(t, 0) for t in times]
            values = [value + below for value, below in zip(values, low)]
            base.update(zip(times, values))
            axes.fill_between(times, low, values, color=color, alpha=0.3)
        axes.plot(times, values, color=color, label=label, linewidth=1.4, marker="." if len(values) < 4 else None)
    if custom["scaleDistribution"]["type"] == "log":
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
        if axes.get_ylim()[1] < 1e-9:
            axes.set_ylim(top=1)
    for step in defaults["thresholds"]["steps"][1:]:
        if custom["thresholdsStyle"]["mode"] == "dashed":
            axes.axhline(step["value"], color=COLORS[step["color"]], linestyle="--", linewidth=1)
    axes.yaxis.set_major_formatter(lambda value, _: shown(value, defaults["unit"]))
    axes.tick_params(labelsize=6.5)
    axes.grid(alpha=0.25)
    if series:
        axes.legend(loc="upper left", bbox_to_anchor=(0, -0.09), fontsize=6.5, ncols=2, frameon=False, borderaxespad=0)
    else:
        axes.text(0.5, 0.5, "No data", ha="center", va="center", transform=axes.transAxes)


def draw_states(axes, panel, series):
    defaults = panel["fieldConfig"]["defaults"]
    for row, (_, times, values) in enumerate(series):
        before = None
        for t, value in zip(times, values):
            text, color = mapped(value, defaults)
            axes.barh(row, 0.52, left=t, color=COLORS[color], height=0.8)
            if text != before:
                axes.text(t + 0.1, row, text, va="center", fontsize=6.5, color="white", clip_on=True)
            before = text
    axes.set_yticks(range(len(series)), [name for name, _, _ in series])
    axes.invert_yaxis()
    axes.tick_params(labelsize=6.5)


KINDS = {"stat": draw_stat, "timeseries": draw_lines, "state-timeline": draw_states}


def draw_panel(figure, panel, rows, series):
    """At its place in the grid: title, picture, legend, and the description below. `rows`: of the whole dashboard."""
    place = panel["gridPos"]
    left, top, bottom = place["x"] / 24, 1 - place["y"] / rows, 1 - (place["y"] + place["h"]) / rows
    figure.text(left + 0.005, top - 0.35 / rows, panel["title"], fontsize=8.5, weight="bold", va="center")
    caption = textwrap.fill(panel["description"], place["w"] * 15)
    figure.text(left + 0.005, bottom + 0.1 / rows, caption, fontsize=5.6, color="#555555", va="bottom")
    low = bottom + (0.3 + 0.25 * (caption.count("\n") + 1)) / rows
    if panel["type"] == "timeseries":
        low += (0.35 + 0.3 * math.ceil(len(series) / 2)) / rows
    inset = 0.008 if panel["type"] == "stat" else 0.035
    high = max(0.5 / rows, top - 0.75 / rows - low)
    KINDS[panel["type"]](figure.add_axes([left + inset, low, place["w"] / 24 - inset - 0.008, high]), panel, series)


def draw(dashboard, prometheus, file):
    panels, variables = dashboard["panels"], dashboard["templating"]["list"]
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
    figure = plt.figure(figsize=(24 * COLUMN, rows * ROW))
    for panel in panels:
        if panel["type"] == "row":
            figure.text(0.005, 1 - (panel["gridPos"]["y"] + 0.7) / rows, panel["title"], fontsize=13, weight="bold")
        else:
            series = [one for target in panel["targets"] for one in prometheus.series(target, variables)]
            draw_panel(figure, panel, rows, series)
    figure.savefig(file, dpi=110)
    plt.close(figure)
    print(file)


def main(directory):
    prometheus = Prometheus(directory)
    try:
        for path in sorted((ROOT / "k8s/monitoring/dashboards").glob("*.json")):
            draw(json.loads(path.read_text()), prometheus, directory / f"{path.stem}.png")
    finally:
        prometheus.process.terminate()
        prometheus.process.wait()


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
