"""Runs in a fresh process: imports one function's module, calls its handler, and prints wall time, CPU time and peak
memory as JSON.

The module's name is the first argument; stdin has the events as a JSON list. Nothing is imported here that a function
could import: it would be missing from the function's import time.
"""

import sys
from time import perf_counter, process_time


class Context:
    """The part of Lambda's context that the functions read."""

    # As long as Lambda's ids, since each log line has one.
    aws_request_id = "8f507cfc-1d2e-4697-b07a-ac58fc914c95"
    function_name = "bench"
    memory_limit_in_mb = 1024
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:bench"

    def __init__(self, remaining_milliseconds: int = 900_000) -> None:
        self._remaining_milliseconds = remaining_milliseconds

    def get_remaining_time_in_millis(self) -> int:
        return self._remaining_milliseconds


def main() -> None:
    events = sys.stdin.read()
    start, cpu_start = perf_counter(), process_time()
    module = __import__(sys.argv[1])
    import_seconds, import_cpu_seconds = perf_counter() - start, process_time() - cpu_start

    import json  # noqa: PLC0415 - see above

    request_seconds, request_cpu_seconds = [], []
    for event in json.loads(events):
        start, cpu_start = perf_counter(), process_time()
        result = module.handler(event, Context())
        request_cpu_seconds.append(process_time() - cpu_start)
        request_seconds.append(perf_counter() - start)
        check(result)
    measured = {
        "import_seconds": import_seconds,
        "import_cpu_seconds": import_cpu_seconds,
        "request_seconds": request_seconds,
        "request_cpu_seconds": request_cpu_seconds,
        "peak_kb": peak_kb(),
    }
    print("\n" + json.dumps(measured))


def peak_kb() -> int | None:
    """The process's peak memory, None where the system does not report it. `getrusage` would include the parent
    process, from which this one was forked."""
    try:
        with open("/proc/self/status") as status:  # noqa: PTH123 - pathlib is one of those imports
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        return None


def check(result: dict[str, object]) -> None:
    """Raises SystemExit if the function reported a failure: a failed request must not be measured."""
    if result.get("batchItemFailures") or result.get("statusCode", 200) != 200:
        raise SystemExit(f"the function failed: {result}")


if __name__ == "__main__":
    main()
