"""What a job costs, as text: how long functions run for it, and every call that somebody sends a bill for."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from bench import baseline, cost, fixed_costs
from bench.cost import Line, Prices, Running
from bench.job import CASES, EFFORTS, HASTY, LONG_SECONDS, LONGEST_DIRECT_SECONDS, USUAL, Case, Jobs
from bench.meter import Tally
from bench.texts import ANSWER_BYTES, QUESTION_BYTES

_AIM_USD = 30

_WAYS = {
    "woken": "by the provider's event",
    "checked": "by delayed looks",
    "direct": "awaited, alone in its function",
}


_STRANGERS = frozenset({"provider create", "provider retrieve", "receiver webhook"})


class Bill:
    """Of what was counted, by the price list and the template's memory sizes."""

    def __init__(self, jobs: Jobs, prices: Prices, template: Mapping[str, Any]) -> None:
        self.jobs = jobs
        self.prices = prices
        self.template = template
        self.memory_mb = cost.memory(template)

    def running(self, job: Tally, case: Case | None = None, *, at_once: int = 1) -> list[Running]:
        """`at_once` calls that are awaited share a function's time."""
        thinking_ms = 1000 * case.thinking_seconds // at_once if case is not None and case.wake_mode == "direct" else 0
        return cost.running(job, self.prices, self.memory_mb, awaited_ms=thinking_ms)

    def lines(self, job: Tally, case: Case | None = None, *, at_once: int = 1) -> list[Line]:
        return cost.lines(job, self.running(job, case, at_once=at_once), self.prices)

    def thinking(self) -> list[str]:
        """What a job's thinking costs."""
        rows = [self._case_row(case) for case in CASES]
        batch = self.template["Resources"]["DirectFunction"]["Properties"]["Events"]["Jobs"]["Properties"]["BatchSize"]
        rows += [self._case_row(Case("direct", s, "low"), at_once=batch) for s in (60, LONGEST_DIRECT_SECONDS)]
        rows += [self._case_row(case) for case in HASTY]
        rows += [self._usual_row(seconds, mb) for mb in baseline.MEMORIES_MB for seconds in (1, 60, LONG_SECONDS)]
        random = cost.total(self.lines(self.jobs.random))
        return [
            "WHAT THINKING COSTS",
            f"Jobs of {QUESTION_BYTES} bytes in and {ANSWER_BYTES} out, budgets on, from POST to delivered webhook.",
            "Counted: AWS requests, invocations. Billed milliseconds: as below. Dollars: of a million jobs.",
            "",
            f"{'':<46}{'requests':>10}{'invocations':>13}{'billed ms':>12}{'dollars':>11}",
            *rows,
            "",
            f"Direct: no call may take longer than {LONGEST_DIRECT_SECONDS} s, to end before its function does.",
            f"Effort: {', '.join(f'{effort} for {seconds} s' for seconds, effort in EFFORTS.items())}; direct: low.",
            "At effort high and medium: an hour where minutes were expected, so the sweeper's net looks meanwhile.",
            f"The texts are English prose, which compresses to about a half; of random letters: ${random:.2f}.",
        ]

    def milliseconds(self) -> list[str]:
        """Of the usual job, by function."""
        ran = self.running(self.jobs.usual)
        lines = [
            "BILLED MILLISECONDS, AND WHAT THEY ARE MADE OF",
            f"A job that thinks for {USUAL.thinking_seconds} s, {_WAYS[USUAL.wake_mode]}. Counted calls × assumed ms;",
            f"work: assumed processor time × {self.prices.mb_of_a_processor} MB ÷ the function's memory; cold: its",
            "part of cold starts, likewise. What is assumed stands in bench/prices.toml.",
            "",
        ]
        for each in ran:
            waits = " + ".join(f"{n} {what} {ms}" for what, (n, ms) in each.waits.items())
            made_of = f"{waits} + work {each.working_ms:.0f} + cold {each.cold_ms:.0f}"
            lines.append(f"{each.function:<16}{each.memory_mb:>5} MB{each.billed_ms:>7.0f} ms = {made_of}")
        lines.append(f"{'together':<24}{_billed_ms(ran):>7.0f} ms")
        more = sum(
            (
                self.prices.lambda_usd(Decimal(100), each.memory_mb)
                for each in ran
                for what in each.waits
                if what in _STRANGERS
            ),
            Decimal(0),
        )
        cold = sum((self.prices.lambda_usd(each.cold_ms, each.memory_mb) for each in ran), Decimal(0))
        return [
            *lines,
            "",
            f"Dollars more a million jobs: {more:.2f} if the provider and the receiver are slower by 100 ms a call,",
            f"{cold:.2f} if there are twice as many cold starts.",
        ]

    def calls(self) -> list[str]:
        """The usual job's bill, call by call."""
        found = self.lines(self.jobs.usual)
        left = fixed_costs.of_storage(self.jobs.item_bytes, 0, self.prices, self.template)
        total = cost.total(found)
        return [
            "DOLLARS PER MILLION JOBS, CALL BY CALL",
            f"The same job. {self.prices.region}, {self.prices.as_of}, without free tier, data transfer and the model.",
            "",
            *(
                f"{line.function:<16}{line.service:<18}{line.what:<42}{_number(line.number):>8}{line.dollars:>9.3f}"
                for line in found
            ),
            f"{'submit to webhook (aim: below ' + str(_AIM_USD) + ')':<84}{total:>9.3f}",
            "",
            *(f"{'kept afterwards: ' + name:<84}{dollars:>9.3f}" for name, dollars in left.items()),
        ]

    def services(self) -> list[str]:
        """By who sends the bill, for several jobs, and what there is to pay besides them."""
        usual_ones = {case.wake_mode: case for case in CASES if case.thinking_seconds == USUAL.thinking_seconds}
        columns: dict[str, dict[str, Decimal]] = {
            way: cost.by_service(self.lines(self.jobs.cases[case], case)) for way, case in usual_ones.items()
        }
        columns |= {
            "large": cost.by_service(self.lines(self.jobs.large)),
            "a GET": cost.by_service(self.lines(self.jobs.read)),
        }
        columns |= {
            f"usual {mb}": cost.by_service(found.lines)
            for mb in baseline.MEMORIES_MB
            if (found := baseline.model(USUAL.thinking_seconds, mb, self.prices)) is not None
        }
        idle = fixed_costs.of_idleness(self.prices, self.template)
        stands = ", ".join(f"{name} {dollars:.2f}" for name, dollars in idle.items())
        metrics = len(self.jobs.metrics) * self.prices.per_month["metric"]
        secret = fixed_costs.of_secrets(self.prices)
        large = fixed_costs.of_storage(self.jobs.large_item_bytes, self.jobs.object_bytes, self.prices, self.template)
        return [
            "DOLLARS PER MILLION JOBS, BY SERVICE",
            f"Jobs that think for {USUAL.thinking_seconds} s. Large: its question is in S3; usual: the usual design.",
            "",
            f"{'':<18}" + "".join(f"{name:>12}" for name in columns),
            *(
                f"{name:<18}" + "".join(f"{column.get(name, Decimal(0)):>12.2f}" for column in columns.values())
                for name in dict.fromkeys(name for column in columns.values() for name in column)
            ),
            f"{'together':<18}" + "".join(f"{sum(column.values()):>12.2f}" for column in columns.values()),
            "",
            f"Kept afterwards of a large one: {', '.join(f'{name} {usd:.2f}' for name, usd in large.items())}.",
            f"Standing still, dollars a month: {sum(idle.values()):.2f} ({stands}).",
            f"In use, a month: {metrics:.2f} for {len(self.jobs.metrics)} metrics of two models, {secret:.2f} for each",
            "process that reads the provider's secret anew every five minutes.",
        ]

    def _case_row(self, case: Case, *, at_once: int = 1) -> str:
        job = self.jobs.cases[case]
        told = f"{case.wake_mode}, {case.thinking_seconds} s" + (f" at effort {case.effort}" if case in HASTY else "")
        ran, found = self.running(job, case, at_once=at_once), self.lines(job, case, at_once=at_once)
        invoked = f"{job.invocations.total()}"
        return _row(
            told + (f", {at_once} at once" if at_once > 1 else ""),
            job.requests.total(),
            invoked,
            _billed_ms(ran),
            cost.total(found),
        )

    def _usual_row(self, seconds: int, memory_mb: int) -> str:
        found = baseline.model(seconds, memory_mb, self.prices)
        told = f"the usual design, {seconds} s, {memory_mb} MB"
        if found is None:
            return f"{told:<46}{'cannot':>10}"
        return _row(told, found.requests, "2", found.billed_ms, found.dollars)


def _row(told: str, requests: int, invoked: str, billed_ms: Decimal, dollars: Decimal) -> str:
    return f"{told:<46}{requests:>10}{invoked:>13}{billed_ms:>12,.0f}{dollars:>11.2f}"


def _billed_ms(ran: Sequence[Running]) -> Decimal:
    return sum((each.billed_ms for each in ran), Decimal(0))


def _number(number: Decimal) -> str:
    return f"{number.quantize(Decimal('0.1')).normalize():f}"
