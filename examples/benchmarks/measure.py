"""Time and memory of functions that do the same work, for the benchmarks beside."""

import ctypes
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path


def interleaved(functions, rounds):
    """Median CPU and wall seconds of each function, run in turn, round after round.

    Args:
        functions: mapping name -> function of nothing, which returns when its work is
            done. Each is run once first, to compile and to warm up.
        rounds: int, how many times every function is timed.

    Returns:
        name -> {"cpu": seconds of all threads together, "wall": seconds}.
    """
    for function in functions.values():
        function()
    times = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            cpu, wall = _cpu_seconds(), time.perf_counter()
            function()
            times[name].append((_cpu_seconds() - cpu, time.perf_counter() - wall))
    return {
        name: {
            "cpu": statistics.median(cpu for cpu, _ in measured),
            "wall": statistics.median(wall for _, wall in measured),
        }
        for name, measured in times.items()
    }


def _cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def added_memory(function):
    """MB that the process's resident memory grows by, at its peak, in one call."""
    # What was freed before would be used again and not be counted.
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
    before = _resident("VmRSS")
    function()
    return _resident("VmHWM") - before


def _resident(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def in_own_process(*arguments):
    """The JSON that this same script prints last when run with other arguments."""
    command = [sys.executable, sys.argv[0], *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def machine():
    """The processor's name and how many cores this process sees."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.split(":")[1].strip() for line in lines if "model name" in line]
    return f"{models[0]}, {len(models)} cores"


def markdown(rows):
    """A Markdown table of dicts with the same keys; numbers to three digits."""
    header = list(rows[0])
    lines = [header, ["---"] * len(header)]
    lines += [[_cell(row[key]) for key in header] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def write_record(output, text, record):
    """The tables as OUTPUT.md, the figures as OUTPUT.json."""
    output.with_suffix(".md").write_text(text)
    output.with_suffix(".json").write_text(json.dumps(record, indent=1))


def _cell(value):
    if isinstance(value, float):
        return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
    return str(value)
