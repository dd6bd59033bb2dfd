"""The soak from its first request to its report."""

import random
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from queue import Empty, SimpleQueue

from afterthought.adapters.account_table import AccountTable
from afterthought.adapters.clock import now
from afterthought.adapters.kms import KmsCipher
from afterthought.adapters.ledger_table import LedgerTable
from afterthought.services.admin.tenants import TenantAdmin
from local import endpoint, receiver, service
from local.address import HOST, free_port
from local.ministack import LOGS
from local.receiver import Arrival, Receiver
from local.standin import StandIn
from local.tenants import ACME, GLOBEX, local_tenant
from tests.e2e.control import limit_concurrency
from tests.e2e.tables import Tables, pooled_client
from tests.e2e.view import generation_of
from tests.laws.view import Balance, View, Webhook
from tests.soak.callers import Callers
from tests.soak.killer import FUNCTIONS, Killer, own_group
from tests.soak.laws import Observation, breaches, messages_in
from tests.soak.plan import SHARE, PlannedJob, plan, request
from tests.soak.report import report, unfinished

NAME = "soak"
NARROW = local_tenant("narrow")
"""The tenant with a small budget, which is sometimes full."""
TENANTS = (ACME, GLOBEX, NARROW)
FITTING = 30
"""The number of holds that fit the narrow tenant's month."""
WIDE_USD = "1000"

CALLERS = 3
MAX_CONCURRENCY = {"Worker": 6, "Direct": 3, "Webhooks": 3}
"""Processes of a function. The template allows twenty, but on a laptop each start slows the running ones."""
MAX_QUEUED = 30
"""Callers pause while the job queue has more messages, so that jobs are delayed by faults and not by the machine."""
STORMS = (0.25, 0.6)
"""The shares of the jobs after which the provider refuses `STORM_CALLS` calls in a row."""
STORM_CALLS, STORM_SECONDS = 25, 3.0
KILLING_SECONDS = 120.0
"""No kills after this time. A kill delays a job by at most seven minutes: the lease of three, then the sweeper."""
PROGRESS_SECONDS = 10.0


@dataclass(frozen=True)
class Settings:
    """The command's options. `seconds` count from the first request."""

    jobs: int
    seconds: float
    seed: int


@dataclass
class Soak:
    """`peaks` has the highest used amount of each tenant's month."""

    settings: Settings
    service: service.Service
    stand_in: StandIn
    hooks: Receiver
    callers: Callers
    killer: Killer
    caps: Mapping[str, Decimal]
    tables: Tables
    peaks: dict[str, Balance] = field(default_factory=dict)
    started_at: float = field(default_factory=time.monotonic)
    stages: dict[str, float] = field(default_factory=dict)
    _next_progress: float = 0.0

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.started_at

    def run(self, log: Callable[[str], None]) -> bool:
        """Whether the service was at rest in time."""
        stopped, killing = threading.Event(), True
        calling = threading.Thread(target=self._submit_all, name="callers", daemon=True)
        reading = threading.Thread(target=self._read_budgets, args=(stopped,), name="budgets", daemon=True)
        for thread in (reading, calling):
            thread.start()
        self.killer.start()
        try:
            while self.elapsed < self.settings.seconds:
                self._show_progress(log)
                if killing and (not calling.is_alive() or self.elapsed > KILLING_SECONDS):
                    self.killer.stop()
                    killing = False
                    self.stages["the last kill"] = self.elapsed
                if not calling.is_alive() and self._at_rest():
                    self.stages["all at rest"] = self.elapsed
                    return True
                time.sleep(1)
            return False
        finally:
            if killing:
                self.killer.stop()
            stopped.set()
            reading.join()

    def open(self) -> set[str]:
        """Jobs whose webhook has not been accepted."""
        ended = {each.job_id for each in self.hooks.arrivals if accepted(each)}
        return {job_id for job_id in list(self.callers.accepted) if job_id not in ended}

    def observe(self) -> Observation:
        jobs = {job.id: job for job in self.tables.all_jobs()}
        arrivals = self.hooks.arrivals
        view = View(
            accepted=self.callers.accepted,
            jobs=jobs,
            generations=[generation_of(each) for each in self.stand_in.generations],
            ledger=self.tables.money(),
            balances=list(self.peaks.values()),
            webhooks=[webhook_of(each) for each in arrivals],
            webhook_jobs=jobs,
            cancels=self.callers.cancels,
            cancelled_at=self.callers.cancelled_at,
        )
        return Observation(self.service, self.tables, self.callers, view, arrivals, self.faults())

    def _at_rest(self) -> bool:
        if self.open():
            return False
        if messages_in(self.service, "JobQueue")["visible"] or messages_in(self.service, "WebhookQueue")["visible"]:
            return False
        return all(job.overdue_at is None for job in self.tables.all_jobs())

    def faults(self) -> Counter[str]:
        killed = Counter({f"killed processes of {name}": count for name, count in self.killer.killed.items()})
        interrupted = (LOGS / f"{NAME}-ministack.log").read_text().count("errorMessage=Worker process died")
        return self.callers.faults() + killed + Counter({"batches of a killed process": interrupted})

    def _submit_all(self) -> None:
        planned: SimpleQueue[PlannedJob] = SimpleQueue()
        for each in plan(self.settings.jobs, tuple(tenant.name for tenant in TENANTS), self.settings.seed):
            planned.put(each)

        def submit() -> None:
            with suppress(Empty):
                while True:
                    self._submit(planned.get_nowait())

        with ThreadPoolExecutor(CALLERS) as threads:
            for _ in range(CALLERS):
                threads.submit(submit)
        self.callers.finish()
        self.stages["the last request"] = self.elapsed

    def _submit(self, job: PlannedJob) -> None:
        while messages_in(self.service, "JobQueue")["visible"] > MAX_QUEUED:
            time.sleep(0.2)
        if job.number in {int(share * self.settings.jobs) for share in STORMS}:
            self.callers.script_fault("rate_limited", times=STORM_CALLS, retry_after=STORM_SECONDS)
        try:
            self.callers.submit(job)
        except Exception as error:  # noqa: BLE001 - one failed request must not stop the others; it is reported
            self.callers.problems.append(repr(error))

    def _read_budgets(self, stopped: threading.Event) -> None:
        ledger = LedgerTable(self.tables.dynamodb, self.tables.accounts)
        while not stopped.wait(0.2):
            month = now().date().replace(day=1)
            for tenant, cap in self.caps.items():
                total = ledger.month(tenant, month).total
                reading = Balance(tenant, f"{month:%Y-%m}", total.held_usd, total.spent_usd, cap)
                peak = self.peaks.get(tenant)
                if peak is None or reading.used > peak.used:
                    self.peaks[tenant] = reading

    def _show_progress(self, log: Callable[[str], None]) -> None:
        if self.elapsed < self._next_progress:
            return
        self._next_progress = self.elapsed + PROGRESS_SECONDS
        submitted, killed = len(self.callers.accepted), self.killer.killed.total()
        log(
            f"{self.elapsed:5.0f} s  {submitted:5} accepted, {submitted - len(self.open()):5} ended, "
            f"{len(self.stand_in.generations):5} generations, {killed:3} kills"
        )


def accepted(arrival: Arrival) -> bool:
    return arrival.verified and 200 <= arrival.response_status < 300


def webhook_of(arrival: Arrival) -> Webhook:
    headers = {name.lower(): value for name, value in arrival.headers.items()}
    return Webhook(
        job_id=arrival.job_id,
        tenant=arrival.path.strip("/"),
        type=arrival.event,
        message_id=headers.get("webhook-id"),
        body=arrival.body,
        signed=arrival.verified,
        accepted=accepted(arrival),
    )


@contextmanager
def soaking(settings: Settings) -> Iterator[Soak]:
    rng = random.Random(settings.seed)
    webhook_secrets = {tenant.name: tenant.webhook_secret for tenant in TENANTS}
    port = free_port()
    with ExitStack() as parts:
        hooks = parts.enter_context(receiver.receiving(webhook_secrets, port))
        hooks.on_arrival = failing_sometimes(hooks, rng)
        models = parts.enter_context(endpoint.stand_in(speed=1))
        origins = [f"http://{HOST}:{port}"]
        running = parts.enter_context(service.running(NAME, models, webhook_origins=origins, enforce_policies=True))
        assert models.stand_in is not None
        stack = running.stack
        for function, processes in MAX_CONCURRENCY.items():
            limit_concurrency(running, function, processes)
        tables = Tables(pooled_client(running.cloud), stack["JobTableName"], stack["AccountTableName"])
        callers = Callers(
            base_url=running.base_url,
            keys={tenant.name: tenant.api_key for tenant in TENANTS},
            webhook_url=hooks.url,
            stand_in=models.stand_in,
            sqs=running.cloud.sqs,
            queues={False: stack["JobQueueUrl"], True: stack["DirectQueueUrl"]},
        )
        functions = {name: stack[f"{name}FunctionName"] for name in FUNCTIONS}
        killer = Killer(own_group(), functions, rng)
        yield Soak(
            settings, running, models.stand_in, hooks, callers, killer, caps=budgets(running, callers), tables=tables
        )


def failing_sometimes(hooks: Receiver, rng: random.Random) -> Callable[[Arrival], None]:
    """After each arrival, chooses the status of the next answer at random."""

    def arrived(_arrival: Arrival) -> None:
        hooks.response_status = 500 if rng.random() < SHARE else 200

    return arrived


def budgets(running: service.Service, callers: Callers) -> dict[str, Decimal]:
    """Sets and returns each tenant's budget of the month: wide, or narrow."""
    tenants = TenantAdmin(
        records=AccountTable(running.cloud.dynamodb, running.stack["AccountTableName"]),
        cipher=KmsCipher(running.cloud.kms, running.stack["SecretsKeyArn"]),
        clock=now,
        random_bytes=secrets.token_bytes,
    )
    tenants.create(NARROW.name, tier="tier5", api_key=NARROW.api_key, webhook_secret=NARROW.webhook_secret)
    hold = callers.max_cost(NARROW.name, request(0, 0.0, direct=False, rng=random.Random(0)))
    caps = {tenant.name: Decimal(WIDE_USD) for tenant in TENANTS} | {NARROW.name: FITTING * hold}
    for name, cap in caps.items():
        tenants.configure(name, {"month_budget": format(cap, "f")})
    return caps


def run(settings: Settings, log: Callable[[str], None]) -> int:
    """0 if the service was at rest in time and every law holds."""
    log(f"Starting the whole service on this machine, for {settings.jobs} jobs (seed {settings.seed})…")
    with soaking(settings) as soak:
        in_time = soak.run(log)
        observed = soak.observe()
        if not in_time:
            log(unfinished(settings.seconds, observed))
            return 1
        broken = breaches(observed)
        soak.stages["all checked"] = soak.elapsed
        log(report(observed, broken, soak.stages))
    return 1 if any(broken.values()) else 0
