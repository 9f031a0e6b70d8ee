"""What envoy.sh runs: the same load on Offboard and on two servers that allow everything, round by round."""
import argparse
import fnmatch
import os
import pathlib
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "envoy"))
import counters  # noqa: E402
import figures  # noqa: E402
import pieces  # noqa: E402

SAMPLES, ROUNDS = 30_000, 20  # of latency behind each percentile, once this many rounds were run
HALF = "half"  # of what the slowest side answers with 32 connections

# name → connections, rate (None: closed loop), workers of Envoy
THROUGH_ENVOY = {f"{name}/{workers}": (connections, rate, workers) for workers in (1, 2) for name, connections, rate in [
    ("closed-1", 1, None), ("closed-32", 32, None), ("closed-128", 128, None),
    ("open-250", 32, 250), ("open-2000", 32, 2000), ("open-half", 128, HALF)]}
RAW = "raw"
SITUATIONS = [*THROUGH_ENVOY, RAW]
WARM = 1  # seconds of load on each side, before anything counts


def seconds_of(name, args):
    """Of one side in one round: enough for the samples in all rounds, where the rate is given."""
    rate = THROUGH_ENVOY[name][1] if name != RAW else None
    return max(args.seconds, SAMPLES / (rate * ROUNDS)) if isinstance(rate, (int, float)) else args.seconds


def whole_run(args):
    """Minutes, roughly: each start of a process, of perf and of h2load takes its time too."""
    of = [seconds_of(name, args) for name in args.chosen]
    return sum(3 * ((args.rounds * (seconds + 0.2)) + args.counts + 1.5 + WARM) for seconds in of) / 60


class Bench:
    """One run: the sides, and their Envoys while a situation needs them."""

    def __init__(self, args, stage):
        self.args, self.stage = args, stage
        self.sides, self.envoys, self.workers = stage.start(), {}, 0
        self.with_envoys(1)  # which waits until people and keys are known

    def with_envoys(self, workers):
        if workers == self.workers:
            return
        for envoy in self.envoys.values():
            envoy.stop()
        self.workers = workers
        sides = self.sides if workers else []
        self.envoys = {side.name: pieces.Envoy(self.stage, side, workers, self.args.streams) for side in sides}

    def load(self, name, side, seconds, rate):
        """Answers, seconds, latencies; the last are missing without Envoy."""
        if name == RAW:
            return *pieces.without_envoy(self.stage, side, seconds), None
        return self.envoys[side.name].load(THROUGH_ENVOY[name][0], seconds, rate)

    def rate(self, name):
        """Requests per second, or None for a closed loop."""
        rate = THROUGH_ENVOY[name][1] if name != RAW else None
        if rate != HALF:
            return rate
        found = [self.envoys[side.name].load(32, self.args.seconds) for side in self.sides]
        return round(min(answers / seconds for answers, seconds, _ in found) / 2)

    def situation(self, name):
        self.with_envoys(THROUGH_ENVOY[name][2] if name != RAW else 0)
        for side in self.sides:
            self.load(name, side, WARM, None)
        rate = self.rate(name)
        found = figures.Figures(side.name for side in self.sides)
        for number in range(self.args.rounds):
            # Each side is first, second and last equally often.
            turn = self.sides[number % 3:] + self.sides[:number % 3]
            for side in turn if number % 2 == 0 else turn[::-1]:
                self.measure(found, name, side, rate)
        counts = {side.name: self.count(name, side, rate) for side in self.sides} if self.args.counts else {}
        title = f"{name}, at {rate:,}/s" if rate else name
        print(figures.table(title, found, counts), flush=True)

    def measure(self, found, name, side, rate):
        before = counters.cpu(side.process)
        answers, seconds, latencies = self.load(name, side, seconds_of(name, self.args), rate)
        used = counters.cpu(side.process) - before
        if rate is None:
            found.note(side.name, "checks/s", answers / seconds)
        if latencies is not None:
            found.note(side.name, "latency", latencies)
        found.note(side.name, "CPU per check (µs)", used / answers * 1e6)

    def count(self, name, side, rate):
        """System calls and context switches per check, in a run of their own: counting costs time."""
        with counters.SystemCalls(side.process, self.stage.run) as calls:
            before = counters.switches(side.process)
            answers, _, _ = self.load(name, side, self.args.counts, rate)
            waited, preempted = (now - then for now, then in zip(counters.switches(side.process), before))
        counted = {"waits": waited, "preemptions": preempted, "system calls": calls.counted.pop("all", 0)}
        counted.update((call, calls.counted[call]) for call in counters.CALLS if calls.counted.get(call))
        return {what: many / answers for what, many in counted.items()}


def arguments():
    parser = argparse.ArgumentParser(
        prog="benches/envoy.sh", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Rate, latency, CPU, system calls and context switches of a check, beside two servers that allow everything.",
        epilog="situations: " + " ".join(SITUATIONS) + "\n(the number behind the slash: Envoy's workers)\n\n"
               "A whole run of 20 rounds takes about 65 minutes, one situation about 5. Everything shares the cores of this\n"
               "machine: run nothing else on it.")
    parser.add_argument("--bin", required="-h" not in sys.argv and "--help" not in sys.argv, help=argparse.SUPPRESS)
    parser.add_argument("--envoy", help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="interleaved rounds of each situation (20); with fewer there are fewer samples")
    parser.add_argument("--seconds", type=float, default=4, help="of each side in a round, at least (4)")
    parser.add_argument("--counts", type=float, default=3, metavar="SECONDS",
                        help="of each run that counts system calls and context switches; 0: none (3)")
    parser.add_argument("--situations", nargs="+", default=["*"], metavar="PATTERN", help="which, for example 'closed-*/1' raw")
    parser.add_argument("--streams", type=int, metavar="N",
                        help="checks at a time on one of Envoy's connections, to see what several connections do")
    args = parser.parse_args()
    args.chosen = [name for name in SITUATIONS if any(fnmatch.fnmatch(name, pattern) for pattern in args.situations)]
    if not args.chosen:
        parser.error(f"no such situation; there are {' '.join(SITUATIONS)}")
    return args


def main():
    args = arguments()
    print(f"{args.rounds} rounds of {len(args.chosen)} situations, about {whole_run(args):.0f} minutes. The load, Envoy and "
          f"the service share {len(os.sched_getaffinity(0))} cores.\n{pieces.TOKENS:,} RS256 tokens in turn (raw: one), "
          f"{pieces.ROLES} roles. Medians over rounds; percentiles over all rounds together; ratio: offboard to the yardstick "
          "in the same round,\nwith its 95 % interval by bootstrap over rounds. Counts are of runs of their own.", flush=True)
    with tempfile.TemporaryDirectory(prefix="offboard-bench-") as run:
        stage = pieces.Stage(args, pathlib.Path(run))
        try:
            bench = Bench(args, stage)
            for name in args.chosen:
                bench.situation(name)
        finally:
            stage.processes.stop()


if __name__ == "__main__":
    main()
