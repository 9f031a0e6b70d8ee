"""A real Helm, as a library: the request is JSON on standard input, the answer JSON on standard output."""

import json
import sys

import helm_python as helm


def answer(request):
    if request["do"] == "lint":
        return helm.lint(request["chart"], request["values"])
    values = helm.values_from_yaml(request["values"]) if isinstance(request["values"], str) else request["values"]
    with helm.Chart.load(request["chart"]) as chart:
        return chart.render(values, name=request["name"], namespace=request["namespace"])


try:
    print(json.dumps({"ok": answer(json.load(sys.stdin))}))
except helm.HelmError as error:
    print(json.dumps({"error": str(error)}))
