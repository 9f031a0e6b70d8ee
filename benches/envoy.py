"""What envoy.sh runs: the same load on Offboard and on a server that allows everything, round by round."""
import argparse
import os
import pathlib
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "envoy"))
import walkthrough  # noqa: E402  (starts the pieces, as try.sh does)

CONNECTIONS = 32
TICKS = os.sysconf("SC_CLK_TCK")


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
    """What Envoy says of GET /v1/orders/7, framed for gRPC."""
    headers = {":method": "GET", ":path": "/v1/orders/7", ":authority": "orders.example.com", ":scheme": "https",
               "authorization": f"Bearer {token}", "accept": "*/*", "user-agent": "bench/1.0",
               "x-request-id": "2d069395-4217-475d-870e-cef3cfabd4fd", "x-forwarded-proto": "https"}
    http = field(2, "GET") + field(4, "/v1/orders/7") + field(5, "orders.example.com") + field(6, "https")
    http += b"".join(field(3, field(1, name) + field(2, value)) for name, value in headers.items())
    extension = field(10, field(1, "service") + field(2, "payments"))
    message = field(1, field(4, field(2, http)) + extension)
    return b"\0" + len(message).to_bytes(4, "big") + message


# ── one side ─────────────────────────────────────────────────────────────────────────────────────────────────────────

def cpu(process):
    """Seconds of CPU that a process has used."""
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Side:
    """One authorization service, and the Envoy before it."""

    def __init__(self, name, process, authz, envoy, token, run):
        self.name, self.process, self.authz, self.envoy, self.run = name, process, authz, envoy, run
        self.token = token
        self.body = run / "check.bin"
        self.body.write_bytes(check_request(token))
        self.figures = {}

    def note(self, what, value):
        self.figures.setdefault(what, []).append(value)

    def lets_through(self):
        asked = urllib.request.Request(f"{self.envoy}/v1/orders/7", headers={"authorization": f"Bearer {self.token}"})
        try:
            return urllib.request.urlopen(asked, timeout=1).status == 200
        except OSError:
            return None

    def load(self, arguments, url, seconds):
        done = subprocess.run(["h2load", "-t1", f"-D{seconds}", *arguments, url], capture_output=True, text=True, check=True)
        rate = float(re.search(r"finished in .*?, ([\d.]+) req/s", done.stdout)[1])
        codes = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", done.stdout)
        if int(codes[1]) == 0 or any(int(codes[place]) for place in (2, 3, 4)):
            sys.exit(f"{self.name}: not only 200: {codes[0]}\n{done.stdout}")
        return rate, int(codes[1])

    def through_envoy(self, seconds):
        before = cpu(self.process)
        rate, many = self.load(["--h1", f"-c{CONNECTIONS}", "-H", f"authorization: Bearer {self.token}"],
                               f"{self.envoy}/v1/orders/7", seconds)
        self.note("through Envoy, requests/s", rate)
        self.note("through Envoy, CPU per check (µs)", (cpu(self.process) - before) / many * 1e6)

    def at_rate(self, rate, seconds):
        log = self.run / "latencies"
        log.unlink(missing_ok=True)
        self.load(["--h1", f"-c{CONNECTIONS}", f"--rps={rate / CONNECTIONS:.0f}", f"--log-file={log}",
                   "-H", f"authorization: Bearer {self.token}"], f"{self.envoy}/v1/orders/7", seconds)
        took = sorted(int(line.split()[2]) for line in log.read_text().splitlines())
        self.note(f"through Envoy at {rate:.0f} requests/s, p99 (µs)", took[len(took) * 99 // 100])

    def alone(self, seconds):
        before = cpu(self.process)
        rate, many = self.load(["-c8", "-m16", "-d", self.body, "-H", "content-type: application/grpc", "-H", "te: trailers"],
                               f"http://{self.authz}/envoy.service.auth.v3.Authorization/Check", seconds)
        self.note("alone, checks/s", rate)
        self.note("alone, CPU per check (µs)", (cpu(self.process) - before) / many * 1e6)


# ── the rounds ───────────────────────────────────────────────────────────────────────────────────────────────────────

def start_envoy(stage, name, authz):
    """Answers by itself, so that the authorization service has as much of the machine as it can get."""
    config, admin = stage.run / f"{name}.yaml", stage.run / f"{name}.admin"
    port = free_port()
    walkthrough.copy_changed(ROOT / "envoy/envoy.yaml", config, {
        "port_value: 9191": f"port_value: {authz.rsplit(':', 1)[1]}",
        "port_value: 10000": f"port_value: {port}",
        "port_value: 9901": "port_value: 0",
        "route: { cluster: application, timeout: 30s }": "direct_response: { status: 200 }",
        "access_log:": "access_log: []\n                x_unused:",
    })
    text = re.sub(r"                x_unused:\n(?:                  .*\n)+", "", config.read_text())
    config.write_text(text)
    process, log = stage.processes.start(name, [
        stage.envoy_bin, "-c", config, "--admin-address-path", admin, "--concurrency", "1", "--disable-hot-restart",
        "--use-dynamic-base-id", "-l", "warning"])

    def ready():
        if not admin.exists() or not admin.read_text():
            return None
        try:
            return urllib.request.urlopen(f"http://{admin.read_text()}/ready", timeout=1).status == 200
        except OSError:
            return None
    stage.processes.until(ready, name, process, log)
    return f"http://127.0.0.1:{port}"


def sides(args, stage):
    stage.issuer = stage.processes.listening("issuer", [stage.bin / "examples" / "dev_issuer"])["issuer"]
    stage.start_offboard()
    token = urllib.request.urlopen(f"{stage.issuer}/token?sub=alice&groups=payments-eng&ttl=86400").read().decode()
    offboard = next(process for name, process in stage.processes.running if name == "offboard")
    address = f"127.0.0.1:{free_port()}"
    allow_all, _ = stage.processes.start("allow-all", [stage.bin / "examples" / "allow_all", address])
    made = []
    for name, process, authz in [("allow-all", allow_all, address), ("offboard", offboard, stage.offboard["authz"])]:
        envoy = start_envoy(stage, f"envoy-{name}", authz)
        run = stage.run / name
        run.mkdir(exist_ok=True)
        side = Side(name, process, authz, envoy, token, run)
        log = stage.run / f"{name}.log"
        stage.processes.until(side.lets_through, f"{name} with people and keys", process, log)
        made.append(side)
    return made


def report(made):
    print(f"{'median (lowest to highest)':44} {'allow-all':>28} {'offboard':>28}   ratio")
    for what in made[0].figures:
        shown, middles = [], []
        for side in made:
            values = side.figures[what]
            middles.append(statistics.median(values))
            shown.append(f"{middles[-1]:.1f} ({min(values):.1f} to {max(values):.1f})")
        print(f"{what:44} {shown[0]:>28} {shown[1]:>28}   {middles[1] / middles[0]:.2f}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", required=True)
    parser.add_argument("--envoy", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="offboard-bench-") as run:
        stage = walkthrough.Stage(args, pathlib.Path(run))
        try:
            made = sides(args, stage)
            for side in made:
                side.through_envoy(1)  # warm, and 200s only
                side.figures.clear()
            for number in range(args.rounds):
                turn = made if number % 2 == 0 else made[::-1]
                for side in turn:
                    side.through_envoy(args.seconds)
                for side in turn:
                    side.alone(args.seconds)
            fixed = 0.5 * min(min(side.figures["through Envoy, requests/s"]) for side in made)
            for number in range(args.rounds):
                for side in made if number % 2 == 0 else made[::-1]:
                    side.at_rate(fixed, args.seconds)
            report(made)
        finally:
            stage.processes.stop()


if __name__ == "__main__":
    main()
