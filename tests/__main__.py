"""Runs all tests on all three backends: `python -m tests [pytest arguments]`.

Each backend has its own process; two run at a time.
"""

import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

BACKENDS = ("jax", "tensorflow", "torch")  # the longest first


def run(backend, arguments):
    """(exit code, output, seconds) of pytest on one backend."""
    # Two processes share the cores; more threads than cores only wait for each other.
    threads = str(max(1, (os.cpu_count() or 2) // 2))
    environment = {
        **os.environ,
        "KERAS_BACKEND": backend,
        "OMP_NUM_THREADS": threads,
        "TF_NUM_INTRAOP_THREADS": threads,
        "TF_NUM_INTEROP_THREADS": threads,
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }
    command = [sys.executable, "-m", "pytest", *arguments]
    start = time.monotonic()
    with tempfile.TemporaryFile("w+") as output:
        code = subprocess.call(
            command, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        output.seek(0)
        return code, output.read(), time.monotonic() - start


def main():
    arguments = sys.argv[1:]
    codes = []
    with ThreadPoolExecutor(2) as pool:
        runs = {name: pool.submit(run, name, arguments) for name in BACKENDS}
        for name, future in runs.items():
            code, output, seconds = future.result()
            print(f"\n===== {name}: exit {code} after {seconds:.0f} s =====\n{output}")
            sys.stdout.flush()
            codes.append(code)
    sys.exit(max(codes))


if __name__ == "__main__":
    main()
