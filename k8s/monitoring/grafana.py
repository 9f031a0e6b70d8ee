"""Grafana's dashboard JSON, as far as dashboards.py needs it: panels that flow from left to right, 24 columns wide.

Expressions are plain PromQL: `Board` adds the dashboard's variables to each metric (`selectors`).
"""

import re

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
GREEN, YELLOW, RED, BLUE, GREY = "green", "yellow", "red", "blue", "text"


def query(expr, legend=""):
    """One expression, and what its lines are called."""
    return {"expr": " ".join(expr.split()), "legendFormat": legend}


def rate(metric, by="", where=""):
    """Each second, for each value of the labels `by`."""
    chosen = f"{metric}{{{where}}}" if where else metric
    return f"sum{f' by ({by}) ' if by else ''}(rate({chosen}[$__rate_interval]))"


def per_minute(metric, by, where=""):
    return f"60 * {rate(metric, by, where)}"


def quantile(q, metric, by="", span="$__rate_interval"):
    """Of what was observed; where nothing was, there is no line."""
    return f"histogram_quantile({q}, sum by ({by}le) (rate({metric}[{span}]))) >= 0"


def since(timestamp):
    return f"time() - {timestamp}"


def happened(counter, span="$__range"):
    """How often within the time shown. `increase` estimates; what is counted here is whole."""
    return f"round(sum(increase({counter}[{span}])))"


def steps(*levels):
    """Thresholds: the first colour, then (value, colour) from which on another one holds."""
    first, *rest = levels
    found = [{"color": first, "value": None}] + [{"color": color, "value": value} for value, color in rest]
    return {"mode": "absolute", "steps": found}


def words(**options):
    """What a value is called, and its colour: words(v0=("observe", YELLOW), v4_7=("never", RED)); v4_7 is a range."""
    plain, ranges = {}, []
    for index, (key, (text, color)) in enumerate(options.items()):
        result = {"text": text, "color": color, "index": index}
        low, _, high = key[1:].partition("_")
        if high:
            ranges.append({"type": "range", "options": {"from": int(low), "to": int(high), "result": result}})
        else:
            plain[low] = result
    return [{"type": "value", "options": plain}, *ranges]


def panel(kind, title, what, queries, size, defaults, options, overrides=()):
    when = {"instant": kind == "stat", "range": kind != "stat"}
    return {
        "type": kind,
        "title": title,
        "description": " ".join(what.split()),
        "gridPos": {"w": size[0], "h": size[1]},
        "datasource": DATASOURCE,
        "targets": [{"refId": chr(65 + n), "datasource": DATASOURCE, **when, **one} for n, one in enumerate(queries)],
        "fieldConfig": {"defaults": defaults, "overrides": list(overrides)},
        "options": options,
    }


def colored(colors):
    """A fixed colour for each series of these names."""
    return [{"matcher": {"id": "byName", "options": name},
             "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": color}}]}
            for name, color in colors.items()]


def stat(title, what, *queries, unit="short", levels=(BLUE,), says=(), size=(4, 4), decimals=None, none="No data"):
    """A number, or one for each legend, in the colour of its level; `says` has words instead of numbers.

    It is what holds now: the last value of a time that is shown would stay when nobody is there to say otherwise."""
    defaults = {"unit": unit, "color": {"mode": "thresholds"}, "thresholds": steps(*levels), "mappings": list(says),
                "noValue": none}
    if decimals is not None:
        defaults["decimals"] = decimals
    named = "auto" if len(queries) == 1 and not queries[0]["legendFormat"] else "value_and_name"
    reduce = {"calcs": ["lastNotNull"], "fields": "", "values": False}
    options = {"reduceOptions": reduce, "colorMode": "background" if len(levels) > 1 or says else "value",
               "graphMode": "none", "textMode": named, "orientation": "auto", "justifyMode": "auto"}
    return panel("stat", title, what, queries, size, defaults, options)


def lines(title, what, *queries, unit="short", stacked=False, colors=None, level=None, size=(8, 8), log=False,
          legend="bottom"):
    """Lines over time, from zero; `level`: (value, colour) of a line that should not be crossed."""
    custom = {"drawStyle": "line", "lineWidth": 2, "fillOpacity": 25 if stacked else 8, "showPoints": "auto",
              "spanNulls": False, "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
              "scaleDistribution": {"type": "log", "log": 10} if log else {"type": "linear"},
              "thresholdsStyle": {"mode": "dashed" if level else "off"}}
    defaults = {"unit": unit, "color": {"mode": "palette-classic"}, "custom": custom, "mappings": [],
                "thresholds": steps("transparent", level) if level else steps(GREEN)}
    if not log:
        defaults["min"] = 0
    table = {"displayMode": "table", "placement": legend, "calcs": ["lastNotNull", "max"], "showLegend": True}
    options = {"legend": table, "tooltip": {"mode": "multi", "sort": "desc"}}
    return panel("timeseries", title, what, queries, size, defaults, options, colored(colors or {}))


def states(title, what, *queries, says, size=(8, 8)):
    """A bar for each legend, coloured by what held when."""
    defaults = {"unit": "short", "color": {"mode": "thresholds"}, "thresholds": steps(GREY), "mappings": list(says),
                "custom": {"fillOpacity": 80, "lineWidth": 0}}
    options = {"mergeValues": True, "showValue": "auto", "alignValue": "left", "rowHeight": 0.8,
               "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
               "tooltip": {"mode": "single", "sort": "none"}}
    return panel("state-timeline", title, what, queries, size, defaults, options)


def row(title):
    """A heading."""
    return {"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": {"w": 24, "h": 1}}


def values_of(name, label, metric):
    """A variable: every value that `label` has; "All" is also right where Prometheus adds no such label."""
    text = f"label_values({metric}, {label})"
    return {"type": "query", "name": name, "label": name, "datasource": DATASOURCE,
            "query": {"query": text, "refId": name}, "refresh": 2, "sort": 1, "multi": True, "includeAll": True,
            "allValue": ".*", "current": {"text": ["All"], "value": ["$__all"]}, "options": [], "hide": 0}


def typed(name, label, value):
    """A variable to type: a regular expression."""
    one = {"text": value, "value": value, "selected": True}
    return {"type": "textbox", "name": name, "label": label, "query": value, "current": one, "options": [one],
            "hide": 0}


class Board:
    """A dashboard. `selectors`: the label matchers that metrics get whose names fit a regular expression."""

    def __init__(self, uid, title, what, span, variables, selectors, panels):
        self.uid, self.title, self.what, self.span = uid, title, what, span
        self.variables, self.selectors, self.panels = variables, selectors, panels

    def select(self, expr):
        for names, matchers in self.selectors.items():
            name = re.compile(rf"(?<![\w\"])({names})(?![\w(])(?:{{([^}}]*)}})?")
            expr = name.sub(lambda m: f"{m[1]}{{{', '.join(filter(None, [matchers, m[2]]))}}}", expr)
        return expr

    def flow(self):
        """Gives every panel its number and its place."""
        x = y = tallest = 0
        for number, one in enumerate(self.panels, 1):
            place = one["gridPos"]
            if x + place["w"] > 24:
                x, y, tallest = 0, y + tallest, 0
            place.update(x=x, y=y)
            x, tallest = x + place["w"], max(tallest, place["h"])
            for target in one.get("targets", []):
                target["expr"] = self.select(target["expr"])
            yield {"id": number, **one}

    def json(self):
        source = {"type": "datasource", "name": "datasource", "label": "Prometheus", "query": "prometheus",
                  "refresh": 1, "current": {}, "options": [], "hide": 0, "multi": False, "includeAll": False,
                  "regex": ""}
        beside = {"type": "dashboards", "title": "Offboard", "tags": ["offboard"], "asDropdown": False,
                  "icon": "dashboard", "includeVars": False, "keepTime": True, "targetBlank": False, "tooltip": "",
                  "url": ""}
        return {
            "uid": self.uid, "title": self.title, "description": self.what, "tags": ["offboard"], "schemaVersion": 39,
            "version": 1, "editable": True, "graphTooltip": 1, "timezone": "browser", "refresh": "30s",
            "time": {"from": f"now-{self.span}", "to": "now"}, "links": [beside], "annotations": {"list": []},
            "templating": {"list": [source, *self.variables]}, "panels": list(self.flow()),
        }
