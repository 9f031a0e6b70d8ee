#!/usr/bin/env python3
"""What try.sh shows. Starts an issuer, an application, Offboard and Envoy; asks, lets people leave, asks again; stops them."""
import argparse
import contextlib
import hashlib
import http.client
import json
import os
import pathlib
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
PATIENCE = 30  # seconds until something that should happen counts as failed
COLOUR = sys.stdout.isatty()


class Failed(Exception):
    """Something did not happen as it should."""


# ── what a person reads ──────────────────────────────────────────────────────────────────────────────────────────────

def paint(code, text):
    return f"\033[{code}m{text}\033[0m" if COLOUR else text


def chapter(text):
    print(f"\n{paint('1', text)}", flush=True)


def say(text):
    print(f"  {text}", flush=True)


# ── processes ────────────────────────────────────────────────────────────────────────────────────────────────────────

class Processes:
    """Started in order, stopped in reverse; each in a session of its own, so that Ctrl-C reaches only us."""

    def __init__(self, run):
        self.run, self.running = run, []

    def start(self, name, argv, env=None):
        log = self.run / f"{name}.log"
        with log.open("wb") as out:
            process = subprocess.Popen([str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=out,
                                       stderr=subprocess.STDOUT, start_new_session=True, env={**os.environ, **(env or {})})
        self.running.append((name, process))
        return process, log

    def listening(self, name, argv, env=None):
        """Starts it and returns the JSON line with which it says where it listens."""
        process, log = self.start(name, argv, env)

        def line():
            for text in log.read_text(errors="replace").splitlines():
                with contextlib.suppress(ValueError):
                    found = json.loads(text)
                    if isinstance(found, dict) and found.get("message") == "listening":
                        return found
            return None
        return self.until(line, name, process, log)

    def until(self, condition, name, process, log):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if found := condition():
                return found
            if process.poll() is not None:
                break
            time.sleep(0.02)
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise Failed(f"{name} did not come up. The end of {log}:\n{tail}")

    def stop(self):
        for name, process in reversed(self.running):
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    say(f"{name} did not stop by itself; killed")
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
        self.running.clear()


# ── the pieces ───────────────────────────────────────────────────────────────────────────────────────────────────────

def port(address):
    return address.rsplit(":", 1)[1]


def copy_changed(source, target, changes):
    """Copies a text file, with each change made; one that finds nothing to change is an error."""
    text = source.read_text()
    for old, new in changes.items():
        if old not in text:
            raise Failed(f"{source} has no {old!r} any more; walkthrough.py changes it")
        text = text.replace(old, new)
    target.write_text(text)


class Stage:
    """Everything that runs, and where it is."""

    def __init__(self, args, run):
        self.bin, self.envoy_bin, self.run = pathlib.Path(args.bin).resolve(), args.envoy, run
        self.processes = Processes(run)
        self.people = run / "people" / "people.yaml"
        self.token_file = run / "bootstrap.token"

    def start(self):
        self.issuer = self.processes.listening("issuer", [self.bin / "examples" / "dev_issuer"])["issuer"]
        say(f"issuer       {self.issuer}   (gives anybody a token: development only)")
        self.application = self.processes.listening("application", [sys.executable, HERE / "upstream.py"])["url"]
        say(f"application  {self.application}   (answers with what it saw)")
        self.start_offboard()
        say(f"offboard     authz {self.offboard['authz']}, control {self.offboard['control']}, ops {self.offboard['ops']}")
        self.start_envoy()
        self.knows_people()
        say(f"envoy        {self.envoy}   (the front door)")

    def start_offboard(self):
        config = self.run / "config"
        config.mkdir()
        self.people.parent.mkdir()
        shutil.copy(HERE / "people" / "people.yaml", self.people)
        token = secrets.token_hex(32)
        self.token_file.write_text(token)
        (self.run / "bootstrap.sha256").write_text(hashlib.sha256(token.encode()).hexdigest())
        copy_changed(HERE / "offboard/10-server.yaml", config / "10-server.yaml", {
            "127.0.0.1:9191": "127.0.0.1:0", "127.0.0.1:9192": "127.0.0.1:0", "127.0.0.1:9193": "127.0.0.1:0",
            "/etc/offboard/bootstrap.sha256": str(self.run / "bootstrap.sha256"), "/var/lib/offboard": str(self.run / "state")})
        copy_changed(HERE / "offboard/20-identity.yaml", config / "20-identity.yaml", {
            "http://127.0.0.1:9000": self.issuer, "/etc/offboard/people/people.yaml": str(self.people)})
        shutil.copy(HERE / "offboard/30-access.yaml", config)
        self.offboard = self.processes.listening("offboard", [self.bin / "offboard", "serve", "--config", config])

    def start_envoy(self):
        config, admin = self.run / "envoy.yaml", self.run / "envoy-admin"
        copy_changed(HERE / "envoy.yaml", config, {
            "port_value: 9901": "port_value: 0", "port_value: 10000": "port_value: 0",
            "port_value: 9191": f"port_value: {port(self.offboard['authz'])}",
            "port_value: 8080": f"port_value: {port(self.application)}"})
        process, log = self.processes.start("envoy", [
            self.envoy_bin, "-c", config, "--concurrency", "1", "--disable-hot-restart", "--admin-address-path", admin, "-l", "warning"])

        def address():
            try:
                where = admin.read_text().strip()
                if fetch(f"http://{where}/ready").strip() != "LIVE":
                    return None
                found = json.loads(fetch(f"http://{where}/listeners?format=json"))["listener_statuses"]
                return "http://127.0.0.1:%d" % found[0]["local_address"]["socket_address"]["port_value"]
            except (OSError, ValueError, KeyError, IndexError, http.client.HTTPException):
                return None
        self.envoy = self.processes.until(address, "envoy", process, log)

    def knows_people(self):
        """Waits until the list of people is read: a file that was just written has to be quiet for 2 s first."""
        process = next(process for name, process in self.processes.running if name == "offboard")
        listed = re.compile(r'offboard_people\{source="hr",status="active"\} [1-9]')
        metrics = f"http://{self.offboard['ops']}/metrics"
        self.processes.until(lambda: listed.search(fetch(metrics)), "the list of people", process, self.run / "offboard.log")

    def offboard_says(self, *words):
        """Runs the command line against the running server and returns what it printed."""
        argv = [str(self.bin / "offboard"), *words, "--server", f"http://{self.offboard['control']}", "--token-file", str(self.token_file)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE)
        if done.returncode != 0:
            raise Failed(f"offboard {' '.join(words)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def token(self, person, groups):
        query = urllib.parse.urlencode({"sub": person, "email": f"{person}@example.com", "groups": groups})
        return fetch(f"{self.issuer}/token?{query}")


def fetch(url):
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read().decode()


class Door:
    """One connection to Envoy, kept open: what is timed is the decision, not the handshake."""

    def __init__(self, url):
        self.connection = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc, timeout=5)

    def ask(self, path, token=None, headers=None):
        self.connection.request("GET", path, headers={**({"authorization": f"Bearer {token}"} if token else {}), **(headers or {})})
        answer = self.connection.getresponse()
        return answer.status, answer.read().decode()


# ── the story ────────────────────────────────────────────────────────────────────────────────────────────────────────

def expect(what, got, wanted):
    right = got == wanted
    say(f"{what:<58} {paint('32' if right else '31', got)}")
    if not right:
        raise Failed(f"{what}: expected {wanted}, got {got}")


def milliseconds_until(door, path, token, wanted, since):
    while time.monotonic() - since < PATIENCE:
        if door.ask(path, token)[0] == wanted:
            return (time.monotonic() - since) * 1000
        time.sleep(0.001)
    raise Failed(f"still no {wanted} after {PATIENCE} s")


def first_requests(door, tokens):
    chapter("Requests through Envoy")
    for person in ("alice", "bob"):
        status, body = door.ask("/v1/orders/7", tokens[person], {"x-offboard-person": "the-boss"})
        expect(f"{person} reads an order", status, 200)
    seen = {name: value for name, value in json.loads(body)["headers"].items() if name.startswith("x-offboard-")}
    say(f"what the application saw of bob, who claimed to be the boss: {json.dumps(seen)}")
    expect("no token", door.ask("/v1/orders/7")[0], 401)
    expect("carol, who is in another group", door.ask("/v1/orders/7", tokens["carol"])[0], 403)
    expect("a public page, no token", door.ask("/healthz")[0], 200)


def departures(stage, door, tokens):
    chapter("Bob leaves: his line in the list of people says so")
    text = stage.people.read_text()
    text = re.sub(r"(id: bob,.*status: )active", r"\1departed", text)
    fresh = stage.people.with_suffix(".new")
    fresh.write_text(text)
    since = time.monotonic()
    fresh.replace(stage.people)
    took = milliseconds_until(door, "/v1/orders/7", tokens["bob"], 403, since)
    say(f"bob, with the same token, still unexpired: {paint('32', 403)}   {paint('1', f'{took:.0f} ms')} after the file was saved")

    chapter("Alice leaves: by command")
    say('$ offboard revoke --person alice@example.com --reason "left"')
    since = time.monotonic()
    answer = stage.offboard_says("revoke", "--person", "alice@example.com", "--reason", "left")
    returned = (time.monotonic() - since) * 1000
    took = milliseconds_until(door, "/v1/orders/7", tokens["alice"], 403, since)
    for line in answer.splitlines():
        say(paint("2", line))
    say(f"alice: {paint('32', 403)}   {paint('1', f'{took:.0f} ms')} after the command began (it returned after {returned:.0f} ms)")


def records(stage):
    chapter("What is known about alice:  $ offboard person alice@example.com")
    for line in stage.offboard_says("person", "alice@example.com", "-o", "table").splitlines():
        say(line)
    chapter("Metrics:  /metrics")
    wanted = re.compile(r"offboard_(checks_total|revocations|revocation_epoch|people)\b")
    for line in fetch(f"http://{stage.offboard['ops']}/metrics").splitlines():
        if wanted.match(line) and not line.endswith(" 0"):
            say(line)
    chapter("The audit log: alice's denial (each line carries the hash of the one before)")
    say([line for line in audit_lines(stage) if "revoked_person" in line and "alice" in line][-1])


def audit_lines(stage):
    """The log is written beside the checks, so the denial may come a moment later."""
    deadline = time.monotonic() + 5
    while True:
        files = sorted((stage.run / "state" / "audit").rglob("*.jsonl"))
        lines = [line for file in files for line in file.read_text().splitlines()]
        if any("revoked_person" in line and "alice" in line for line in lines):
            return lines
        if time.monotonic() > deadline:
            raise Failed("no denial in the audit log")
        time.sleep(0.05)


def stay(stage):
    chapter("Left running, until Ctrl-C")
    say(f"TOKEN=$(curl -s '{stage.issuer}/token?sub=carol')")
    say(f"curl -i -H \"authorization: Bearer $TOKEN\" {stage.envoy}/v1/orders/7")
    say("   403, until you change her groups in the list of people to [payments-eng]")
    say(f"export OFFBOARD_SERVER=http://{stage.offboard['control']} OFFBOARD_TOKEN_FILE={stage.token_file}")
    say(f"{stage.bin}/offboard people      # also: revocations, restore ID, status, audit tail, --help")
    say(f"people: {stage.people}    configuration: {stage.run}/config    logs: {stage.run}/*.log")
    signal.pause()


def walk(stage, args):
    chapter("Starting")
    stage.start()
    tokens = {name: stage.token(name, groups) for name, groups in
              (("alice", "payments-eng"), ("bob", "payments-eng"), ("carol", "docs"))}
    door = Door(stage.envoy)
    first_requests(door, tokens)
    departures(stage, door, tokens)
    records(stage)
    if args.stay:
        stay(stage)


def interrupted(*_):
    raise KeyboardInterrupt


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", required=True, help="the folder that holds offboard and examples/dev_issuer")
    parser.add_argument("--envoy", required=True, help="the Envoy binary")
    parser.add_argument("--stay", action="store_true", help="leave it running until Ctrl-C")
    args = parser.parse_args()
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, interrupted)
    pathlib.Path("target/try").mkdir(parents=True, exist_ok=True)
    run = pathlib.Path(tempfile.mkdtemp(prefix="", dir="target/try")).resolve()
    stage, result = Stage(args, run), 0
    try:
        walk(stage, args)
    except KeyboardInterrupt:
        result = 0 if args.stay else 130
    except (Failed, OSError, subprocess.SubprocessError, http.client.HTTPException) as error:
        print(f"\n{paint('31', 'Failed:')} {error}\nLogs: {run}", file=sys.stderr)
        result = 1
    finally:
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(name, signal.SIG_IGN)
        chapter("Stopping")
        stage.processes.stop()
        say("everything is stopped")
    if result == 0:
        shutil.rmtree(run)
    return result


if __name__ == "__main__":
    sys.exit(main())
