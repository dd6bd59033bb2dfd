"""The cost of a job as text: billed milliseconds, and dollars by call and by service."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from bench import cost, fixed_costs
from bench.baseline import MEMORIES_MB, REQUESTS, Baseline, baseline
from bench.cost import Duration, Line, Prices
from bench.fake_provider import CREATE, RETRIEVE, WEBHOOK
from bench.job import MAX_DIRECT_SECONDS, TYPICAL, Case, Jobs
from bench.meter import Tally
from bench.template import event_source, memory_mb
from bench.texts import ANSWER_BYTES, QUESTION_BYTES

_BASELINE_SECONDS = (1, 60, 3600)

_EXTERNAL_CALLS = frozenset({f"provider {CREATE}", f"provider {RETRIEVE}", f"receiver {WEBHOOK}"})


class Bill:
    """The counted jobs at the price list and the template's memory sizes."""

    def __init__(self, jobs: Jobs, prices: Prices) -> None:
        self._jobs = jobs
        self._prices = prices
        self._memory_mb = memory_mb()

    def durations(self, job: Tally, case: Case | None = None, *, concurrency: int = 1) -> list[Duration]:
        """`concurrency` direct calls share the function's time."""
        direct = case is not None and case.wake_mode == "direct"
        thinking_ms = 1000 * case.thinking_seconds // concurrency if direct and case else 0
        return cost.durations(job, self._prices, self._memory_mb, thinking_ms=thinking_ms)

    def lines(self, job: Tally, case: Case | None = None, *, concurrency: int = 1) -> list[Line]:
        return cost.bill_lines(job, self.durations(job, case, concurrency=concurrency), self._prices)

    def by_wake_mode(self) -> list[str]:
        """Dollars by wake mode and thinking time, and those of the baseline."""
        batch = event_source("DirectFunction", "Jobs")["BatchSize"]
        rows = [self._case_row(case) for case in self._jobs.cases]
        rows += [
            self._case_row(case, concurrency=batch)
            for case in self._jobs.cases
            if case.wake_mode == "direct" and case.thinking_seconds > 1
        ]
        rows += [self._baseline_row(seconds, mb) for mb in MEMORIES_MB for seconds in _BASELINE_SECONDS]
        random = cost.total(self.lines(self._jobs.random))
        return [
            "COST BY WAKE MODE",
            f"Jobs with a question of {QUESTION_BYTES} bytes, an answer of {ANSWER_BYTES} bytes and budgets, from POST",
            "to webhook. Woken: by the provider's event. Checked: polled. Direct: one call that waits for the answer.",
            "AWS requests and invocations are counted, milliseconds are calculated (below). Dollars per million jobs.",
            "",
            f"{'':<46}{'requests':>10}{'invocations':>13}{'billed ms':>12}{'dollars':>11}",
            *rows,
            "",
            f"A direct call takes at most {MAX_DIRECT_SECONDS} s, because its function must end after it.",
            "With effort high and medium a model rarely thinks for an hour, so the service polls these jobs meanwhile.",
            f"The texts are English prose, which compresses to about half. With random letters: ${random:.2f}.",
        ]

    def milliseconds(self) -> list[str]:
        """Billed milliseconds of the typical job, by function."""
        durations = self.durations(self._jobs.typical)
        rows = []
        for each in durations:
            calls = " + ".join(f"{number} {kind} {ms}" for kind, (number, ms) in each.calls.items())
            rows.append(
                f"{each.function:<16}{each.memory_mb:>5} MB{each.billed_ms:>7.0f} ms = "
                f"{calls} + work {each.working_ms:.0f} + cold starts {each.cold_ms:.0f}"
            )
        slower = sum(
            self._prices.lambda_usd(Decimal(100), each.memory_mb)
            for each in durations
            for kind in each.calls
            if kind in _EXTERNAL_CALLS
        )
        cold = sum(self._prices.lambda_usd(each.cold_ms, each.memory_mb) for each in durations)
        return [
            "BILLED MILLISECONDS",
            f"{_describe(TYPICAL)}. Counted calls × assumed milliseconds. Work: CPU time ×",
            f"{self._prices.mb_of_a_processor} MB / the function's memory. Cold starts: their average per invocation.",
            "The assumptions are in bench/prices.toml.",
            "",
            *rows,
            f"{'total':<24}{_billed_ms(durations):>7.0f} ms",
            "",
            f"A million jobs cost ${slower:.2f} more if the provider and the receiver are slower by 100 ms a call,",
            f"and ${cold:.2f} more with twice as many cold starts.",
        ]

    def calls(self) -> list[str]:
        """The bill of the typical job, call by call."""
        lines = self.lines(self._jobs.typical)
        stored = fixed_costs.storage(self._jobs.item_bytes, 0, self._prices)
        return [
            "DOLLARS PER MILLION JOBS, CALL BY CALL",
            f"{_describe(TYPICAL)}. {self._prices.region}, {self._prices.as_of}, without",
            "free tier, data transfer and the model.",
            "",
            *(
                f"{line.function:<16}{line.service:<18}{line.item:<42}{_number(line.number):>8}{line.dollars:>9.3f}"
                for line in lines
            ),
            f"{'POST to webhook':<84}{cost.total(lines):>9.3f}",
            "",
            *(f"{'storage: ' + name:<84}{dollars:>9.3f}" for name, dollars in stored.items()),
        ]

    def services(self) -> list[str]:
        """The bill by AWS service, for several jobs, and the costs apart from jobs."""
        seconds = TYPICAL.thinking_seconds
        columns: dict[str, dict[str, Decimal]] = {
            case.wake_mode: cost.by_service(self.lines(job, case))
            for case, job in self._jobs.cases.items()
            if case.thinking_seconds == seconds
        }
        columns |= {
            "large": cost.by_service(self.lines(self._jobs.large)),
            "a GET": cost.by_service(self.lines(self._jobs.read)),
        }
        for mb in MEMORIES_MB:
            if (compared := baseline(seconds, mb, self._prices)) is not None:
                columns[f"base {mb}"] = cost.by_service(compared.lines)
        names = dict.fromkeys(name for column in columns.values() for name in column)
        idle = fixed_costs.idle_stack(self._prices)
        metrics = len(self._jobs.metrics)
        metrics_usd = metrics * self._prices.per_month["metric"]
        secret_usd = fixed_costs.secret_reads(self._prices)
        large = fixed_costs.storage(self._jobs.large_item_bytes, self._jobs.object_bytes, self._prices)
        return [
            "DOLLARS PER MILLION JOBS, BY SERVICE",
            f"Jobs that think for {seconds} s. Large: the question is in S3. Base: the baseline, by memory.",
            "",
            f"{'':<18}" + "".join(f"{name:>12}" for name in columns),
            *(
                f"{name:<18}" + "".join(f"{column.get(name, Decimal(0)):>12.2f}" for column in columns.values())
                for name in names
            ),
            f"{'total':<18}" + "".join(f"{sum(column.values()):>12.2f}" for column in columns.values()),
            "",
            f"Storage of the large job: {_list(large)}.",
            f"An idle stack, dollars per month: {sum(idle.values()):.2f} ({_list(idle)}).",
            f"In use, dollars per month: {metrics_usd:.2f} for {metrics} metrics of two models, {secret_usd:.2f} for",
            "each process that reads the provider secret every five minutes.",
        ]

    def _case_row(self, case: Case, *, concurrency: int = 1) -> str:
        job = self._jobs.cases[case]
        name = f"{case.wake_mode}, {case.thinking_seconds} s, effort {case.effort}"
        if concurrency > 1:
            name += f", {concurrency} at once"
        durations = self.durations(job, case, concurrency=concurrency)
        dollars = cost.total(self.lines(job, case, concurrency=concurrency))
        return _row(name, job.requests.total(), job.invocations.total(), _billed_ms(durations), dollars)

    def _baseline_row(self, seconds: int, memory: int) -> str:
        name = f"baseline (a Lambda waits), {seconds} s, {memory} MB"
        compared: Baseline | None = baseline(seconds, memory, self._prices)
        if compared is None:
            return f"{name:<46}{'too long':>10}"
        return _row(name, REQUESTS, 2, compared.billed_ms, compared.dollars)


def _describe(case: Case) -> str:
    return f"A {case.wake_mode} job that thinks for {case.thinking_seconds} s"


def _row(name: str, requests: int, invocations: int, billed_ms: Decimal, dollars: Decimal) -> str:
    return f"{name:<46}{requests:>10}{invocations:>13}{billed_ms:>12,.0f}{dollars:>11.2f}"


def _billed_ms(durations: Sequence[Duration]) -> Decimal:
    return sum((each.billed_ms for each in durations), Decimal(0))


def _list(dollars: Mapping[str, Decimal]) -> str:
    return ", ".join(f"{name} {amount:.2f}" for name, amount in dollars.items())


def _number(number: Decimal) -> str:
    return f"{number.quantize(Decimal('0.1')).normalize():f}"
