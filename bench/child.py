"""Run by the bench in a fresh process: import one function's module, give it requests, say how long each took.

Reads the module's name from the command line and the events, a JSON list, from stdin. Imports nothing that the function
might: what is loaded here would be missing from its time.
"""

import sys
from time import perf_counter


class Context:
    """Lambda's context, as far as the functions look at it."""

    aws_request_id = "bench"
    function_name = "bench"
    memory_limit_in_mb = 1024
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:bench"

    def get_remaining_time_in_millis(self) -> int:
        return 100_000


def main() -> None:
    given = sys.stdin.read()
    start = perf_counter()
    module = __import__(sys.argv[1])
    imported = perf_counter() - start

    import json  # noqa: PLC0415 - see above

    requests = []
    for event in json.loads(given):
        start = perf_counter()
        answer = module.handler(event, Context())
        requests.append(perf_counter() - start)
        check(answer)
    print("\n" + json.dumps({"import": imported, "requests": requests}))


def check(answer: dict[str, object]) -> None:
    """A request that failed fast would be a fine figure and a wrong one."""
    if answer.get("batchItemFailures") or answer.get("statusCode", 200) != 200:
        raise SystemExit(f"the function failed: {answer}")


if __name__ == "__main__":
    main()
