"""Run by the bench in a fresh process: import one function's module, give it requests, say how long each took, how long
the processor worked on it, and how much memory the process has had by then.

Reads the module's name from the command line and the events, a JSON list, from stdin. Imports nothing that the function
might: what is loaded here would be missing from its time.
"""

import sys
from time import perf_counter, process_time


class Context:
    """Lambda's context, as far as the functions look at it."""

    # As long as Lambda's are: each line of log holds it.
    aws_request_id = "8f507cfc-1d2e-4697-b07a-ac58fc914c95"
    function_name = "bench"
    memory_limit_in_mb = 1024
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:bench"

    def get_remaining_time_in_millis(self) -> int:
        return 900_000


def main() -> None:
    given = sys.stdin.read()
    start, worked = perf_counter(), process_time()
    module = __import__(sys.argv[1])
    imported, import_work = perf_counter() - start, process_time() - worked

    import json  # noqa: PLC0415 - see above

    requests, work = [], []
    for event in json.loads(given):
        start, worked = perf_counter(), process_time()
        answer = module.handler(event, Context())
        work.append(process_time() - worked)
        requests.append(perf_counter() - start)
        check(answer)
    told = {"import": imported, "import_work": import_work, "requests": requests, "work": work, "peak_kb": peak_kb()}
    print("\n" + json.dumps(told))


def peak_kb() -> int | None:
    """The most memory that the process has had since it began, where the system tells. `getrusage` would tell of the
    process as well that this one was forked from."""
    try:
        with open("/proc/self/status") as status:  # noqa: PTH123 - pathlib is one of those imports
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        return None


def check(answer: dict[str, object]) -> None:
    """A request that failed fast would be a fine figure and a wrong one."""
    if answer.get("batchItemFailures") or answer.get("statusCode", 200) != 200:
        raise SystemExit(f"the function failed: {answer}")


if __name__ == "__main__":
    main()
