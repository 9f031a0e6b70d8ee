"""What the system counts of a process: time on a processor, context switches, system calls."""
import pathlib
import re
import shutil
import signal
import subprocess
import time

# What a check consists of. Everything else is counted together.
CALLS = ("recvfrom", "read", "sendto", "write", "writev", "epoll_wait", "futex")
ALL = "raw_syscalls:sys_enter"


def tasks(process, file):
    """This file of each thread; one that has just ended has none."""
    for task in pathlib.Path(f"/proc/{process.pid}/task").iterdir():
        try:
            yield (task / file).read_text()
        except OSError:
            continue


def cpu(process):
    """Seconds that its threads were on a processor, to the nanosecond (`stat` counts hundredths of a second)."""
    return sum(int(text.split()[0]) for text in tasks(process, "schedstat")) / 1e9


def switches(process):
    """Context switches: it waited; it was preempted."""
    counted = [re.findall(r"ctxt_switches:\s+(\d+)", text) for text in tasks(process, "status")]
    return sum(int(one[0]) for one in counted), sum(int(one[1]) for one in counted)


class SystemCalls:
    """Counts the system calls of a process, with perf or strace: `with` starts it, and `counted` is there afterwards."""

    def __init__(self, process, run):
        self.process, self.out, self.counted = process, run / "calls", {}
        self.tool = next((tool for tool in ("perf", "strace") if shutil.which(tool)), None)

    def __enter__(self):
        if self.tool == "perf":
            events = ",".join([ALL, *(f"syscalls:sys_enter_{call}" for call in CALLS)])
            command = ["perf", "stat", "-x;", "-o", self.out, "-e", events, "-p", str(self.process.pid)]
        elif self.tool == "strace":
            command = ["strace", "-f", "-c", "-qq", "-o", self.out, "-p", str(self.process.pid)]
        else:
            return self
        self.running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.5)  # until it is attached
        return self

    def __exit__(self, *_):
        if self.tool is None:
            return
        self.running.send_signal(signal.SIGINT)
        self.running.wait(20)
        text = self.out.read_text() if self.out.exists() else ""
        if self.tool == "perf":
            found = re.findall(r"^(\d+);;(?:raw_syscalls:sys_enter|syscalls:sys_enter_(\w+));", text, re.M)
            self.counted = {name or "all": int(number) for number, name in found}
        else:
            found = re.findall(r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+) +(?:\d+ +)?(\w+)$", text, re.M)
            self.counted = {{"total": "all"}.get(name, name): int(number) for number, name in found}
