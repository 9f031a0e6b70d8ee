"""What runs: the issuer, Offboard with forty roles, the yardsticks, Envoys; and the load on them."""
import http.client
import json
import pathlib
import re
import socket
import subprocess
import sys
import urllib.request
from collections import Counter

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "envoy"))
import walkthrough  # noqa: E402  (starts the pieces, as try.sh does)

TOKENS, ROLES = 1000, 40
PATH = "/v1/orders/7"
METHOD = "/envoy.service.auth.v3.Authorization/Check"


# ── protobuf, as far as a CheckRequest needs it ──────────────────────────────────────────────────────────────────────

def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out + bytes([number]))


def field(number, value):
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def check_request(token):
    """What Envoy says of a request, framed for gRPC."""
    headers = {":method": "GET", ":path": PATH, ":authority": "orders.example.com", ":scheme": "https",
               "authorization": f"Bearer {token}", "accept": "*/*", "user-agent": "bench/1.0",
               "x-request-id": "2d069395-4217-475d-870e-cef3cfabd4fd", "x-forwarded-proto": "https"}
    request = field(2, "GET") + field(4, PATH) + field(5, "orders.example.com") + field(6, "https")
    request += b"".join(field(3, field(1, name) + field(2, value)) for name, value in headers.items())
    extension = field(10, field(1, "service") + field(2, "payments"))
    message = field(1, field(4, field(2, request)) + extension)
    return b"\0" + len(message).to_bytes(4, "big") + message


# ── the servers ──────────────────────────────────────────────────────────────────────────────────────────────────────

def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Side:
    """An authorization service."""

    def __init__(self, name, process, authz):
        self.name, self.process, self.authz = name, process, authz


class Stage(walkthrough.Stage):
    """The issuer, a thousand tokens, and the three services."""

    def start(self):
        self.issuer = self.processes.listening("issuer", [self.bin / "examples/dev_issuer", "0", "RS256"])["issuer"]
        self.tokens = self.run / "tokens"
        self.tokens.write_text("".join(f"{token}\n" for token in self.mint()))
        sides = [self.yardstick("no-op, many threads"), self.yardstick("no-op, one thread", "--one-thread")]
        self.start_offboard()
        offboard = next(process for name, process in self.processes.running if name == "offboard")
        return [*sides, Side("offboard", offboard, self.offboard["authz"])]

    def mint(self):
        connection = http.client.HTTPConnection(self.issuer.removeprefix("http://"))
        for number in range(TOKENS):
            connection.request("GET", f"/token?sub=person-{number}&email=person-{number}@example.com&ttl=86400")
            yield connection.getresponse().read().decode()

    def yardstick(self, name, *options):
        address = f"127.0.0.1:{free_port()}"
        process, _ = self.processes.start(name, [self.bin / "examples/allow_all", address, *options])
        return Side(name, process, address)

    def start_offboard(self):
        """As try.sh does, with a thousand people, and forty roles of which each person has three."""
        super().start_offboard()
        roles, bindings = ["roles:"], ["bindings:"]
        for number in range(ROLES):
            path = "/v1/orders/**" if number == 0 else f"/v1/area-{number}/**"
            roles.append(f'  - {{ name: role-{number}, permissions: [{{ services: [payments], methods: [GET], '
                         f'paths: ["{path}"] }}] }}')
            bindings.append(f"  - {{ role: role-{number}, groups: [team-{number}] }}")
        access = self.run / "config" / "30-access.yaml"
        rest = ["services:", "  - { name: payments }",
                "response:", "  headers: { x-offboard-person: person, x-offboard-roles: roles }"]
        access.with_suffix(".new").write_text("\n".join([*rest, *roles, *bindings, ""]))
        access.with_suffix(".new").replace(access)
        people = ["people:"]
        for number in range(TOKENS):
            teams = f"team-0, team-{1 + number % (ROLES - 1)}, team-{1 + number // 7 % (ROLES - 1)}"
            people.append(f"  - {{ id: person-{number}, email: person-{number}@example.com, username: person-{number}, "
                          f"status: active, groups: [{teams}] }}")
        self.people.with_suffix(".new").write_text("\n".join([*people, ""]))
        self.people.with_suffix(".new").replace(self.people)


class Envoy:
    """An Envoy that asks `side`, and answers by itself, so that the service has as much of the machine as it can get."""

    def __init__(self, stage, side, workers, streams=None):
        name = f"envoy-{side.name}-{workers}"
        config, admin, port = stage.run / f"{name}.yaml", stage.run / f"{name}.admin", free_port()
        changes = {
            "port_value: 9191": f"port_value: {side.authz.rsplit(':', 1)[1]}",
            "port_value: 10000": f"port_value: {port}",
            "port_value: 9901": "port_value: 0",
            "route: { cluster: application, timeout: 30s }": "direct_response: { status: 200 }",
            "access_log:": "access_log: []\n                x_unused:",
        }
        if streams:
            keepalive = "connection_keepalive: { interval: 30s, timeout: 5s }"
            changes[keepalive] = f"{keepalive}\n              max_concurrent_streams: {streams}"
        walkthrough.copy_changed(ROOT / "envoy/envoy.yaml", config, changes)
        config.write_text(re.sub(r"                x_unused:\n(?:                  .*\n)+", "", config.read_text()))
        admin.unlink(missing_ok=True)
        self.process, self.log = stage.processes.start(name, [
            stage.envoy_bin, "-c", config, "--admin-address-path", admin, "--concurrency", str(workers),
            "--disable-hot-restart", "--use-dynamic-base-id", "-l", "warning"])
        self.address, self.tokens, self.stage = f"127.0.0.1:{port}", stage.tokens, stage
        stage.processes.until(self.lets_everybody_through, f"{name} with people and keys", self.process, self.log)

    def lets_everybody_through(self):
        for token in self.tokens.read_text().splitlines():
            asked = urllib.request.Request(f"http://{self.address}{PATH}", headers={"authorization": f"Bearer {token}"})
            try:
                urllib.request.urlopen(asked, timeout=1).close()
            except OSError:
                return False
        return True

    def load(self, connections, seconds, rate=None):
        """Answers, seconds, and latencies (µs → answers). Any answer but 200 is an error."""
        command = [self.stage.bin / "examples/load", self.address, PATH, self.tokens,
                   f"--connections={connections}", f"--seconds={seconds}", *([f"--rate={rate}"] if rate else [])]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{self.log.name}: the load ended early: {done.stderr}")
        found = json.loads(done.stdout)
        return found["answers"], found["seconds"], Counter(dict(map(tuple, found["microseconds"])))

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


def denials(stage):
    """Checks that Offboard has denied."""
    lines = walkthrough.fetch(f"http://{stage.offboard['ops']}/metrics").splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith('offboard_checks_total{decision="deny"'))


def without_envoy(stage, side, seconds):
    """Checks and seconds of h2load without Envoy: one token, as h2load sends one body. A denial is an error."""
    denied = denials(stage)
    body = stage.run / "check.bin"
    body.write_bytes(check_request(stage.tokens.read_text().split()[0]))
    done = subprocess.run(
        ["h2load", "-t1", "-c4", "-m50", f"-D{seconds:.0f}", "-d", body, "-H", "content-type: application/grpc",
         "-H", "te: trailers", f"http://{side.authz}{METHOD}"], capture_output=True, text=True, check=True)
    rate = float(re.search(r"finished in .*?, ([\d.]+) req/s", done.stdout)[1])
    codes = [int(code) for code in re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", done.stdout).groups()]
    if codes[0] == 0 or any(codes[1:]):
        sys.exit(f"{side.name}: not only 200: {codes}\n{done.stdout}")
    if denials(stage) != denied:
        sys.exit(f"{side.name}: {denials(stage) - denied:.0f} checks were denied")
    return codes[0], codes[0] / rate
