"""Reads dashboards into the types that Grafana publishes, and names whatever those do not know.

usage: model.py FILE…        (grafana-foundation-sdk, which tests/peers/install.sh installs)
"""

import json
import pathlib
import sys

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard


def unknown(said, understood, path):
    """What was said and not understood, by its path."""
    if isinstance(said, dict) and isinstance(understood, dict):
        for key, value in said.items():
            yield from unknown(value, understood.get(key), f"{path}.{key}")
    elif isinstance(said, list) and isinstance(understood, list) and len(said) == len(understood):
        for number, (one, other) in enumerate(zip(said, understood)):
            yield from unknown(one, other, f"{path}[{number}]")
    elif said != understood and (understood is not None or said not in (False, "", [], {})):
        yield f"{path}: {said!r} became {understood!r}"


register_default_plugins()
found = []
for name in sys.argv[1:]:
    dashboard = json.loads(pathlib.Path(name).read_text())
    again = json.loads(JSONEncoder().encode(Dashboard.from_json(dashboard)))
    found += unknown(dashboard, again, pathlib.Path(name).stem)
print("\n".join(found))
sys.exit(1 if found else 0)
