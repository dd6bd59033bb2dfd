"""The soak from its first request to its report."""

import random
import secrets
import threading
import time
from collections import Counter, defaultdict
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
from tests.e2e.own_tables import Tables, many_at_once
from tests.soak.callers import Callers
from tests.soak.killer import FUNCTIONS, Killer, own_group
from tests.soak.laws import LAWS, Found, waiting
from tests.soak.plan import SHARE, Wanted, plan, request
from tests.soak.report import report, unfinished

NAME = "soak"
NARROW = local_tenant("narrow")
"""Whose budget is full at times."""
TENANTS = (ACME, GLOBEX, NARROW)
FITTING = 30
"""So many holds fit the narrow tenant's month."""
WIDE_USD = "1000"

ASKING = 3
AT_ONCE = {"Worker": 6, "DirectRunner": 3, "Webhooks": 3}
"""Processes of a function, where the template lets AWS start twenty: a laptop's start hinders those that run."""
MOST_WAITING = 30
"""Messages in the job queue beyond which nobody asks: faults are to slow the jobs down here, not the machine."""
STORMS = (0.25, 0.6)
"""After what share of the jobs the provider refuses so many calls in a row."""
STORM_CALLS, STORM_SECONDS = 25, 3.0
KILLING_SECONDS = 120.0
"""What a kill costs at worst is over seven minutes later: a lease of three, and the nets' minutes after it."""
TOLD_EVERY_SECONDS = 10.0


@dataclass(frozen=True)
class Terms:
    """What is asked for on the command line. `seconds` count from the first request."""

    jobs: int
    seconds: float
    seed: int


@dataclass
class Soak:
    """`used` is the most that was seen used of a tenant's month."""

    terms: Terms
    service: service.Service
    stand_in: StandIn
    hooks: Receiver
    callers: Callers
    killer: Killer
    caps: Mapping[str, Decimal]
    tables: Tables
    used: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    looks: int = 0
    began: float = field(default_factory=time.monotonic)
    stages: dict[str, float] = field(default_factory=dict)
    _told: float = 0.0

    @property
    def passed(self) -> float:
        return time.monotonic() - self.began

    def run(self, say: Callable[[str], None]) -> bool:
        """Whether it came to its end in time."""
        over, killing = threading.Event(), True
        asking = threading.Thread(target=self._ask_all, name="callers", daemon=True)
        looking = threading.Thread(target=self._look_at_budgets, args=(over,), name="budgets", daemon=True)
        for thread in (looking, asking):
            thread.start()
        self.killer.start()
        try:
            while self.passed < self.terms.seconds:
                self._tell(say)
                if killing and (not asking.is_alive() or self.passed > KILLING_SECONDS):
                    self.killer.stop()
                    killing = False
                    self.stages["the last kill"] = self.passed
                if not asking.is_alive() and self._quiet():
                    self.stages["all was quiet"] = self.passed
                    return True
                time.sleep(1)
            return False
        finally:
            if killing:
                self.killer.stop()
            over.set()
            looking.join()

    def open(self) -> set[str]:
        """Jobs whose end nobody has taken note of."""
        told = {each.job_id for each in self.hooks.arrivals if each.verified and 200 <= each.response_status < 300}
        return {job_id for job_id in list(self.callers.accepted) if job_id not in told}

    def found(self) -> Found:
        arrivals: dict[str, list[Arrival]] = defaultdict(list)
        strangers = []
        for each in self.hooks.arrivals:
            if each.job_id is None:
                strangers.append(each)
            else:
                arrivals[each.job_id].append(each)
        return Found(
            service=self.service,
            tables=self.tables,
            callers=self.callers,
            jobs={job.id: job for job in self.tables.all_jobs()},
            arrivals=arrivals,
            strangers=strangers,
            generations=self.stand_in.generations,
            used=self.used,
            caps=self.caps,
            faults=self.faults(),
        )

    def _quiet(self) -> bool:
        if self.open():
            return False
        if waiting(self.service, "JobQueue")["to be had"] or waiting(self.service, "WebhookQueue")["to be had"]:
            return False
        return all(job.overdue_at is None for job in self.tables.all_jobs())

    def faults(self) -> Counter[str]:
        killed = Counter({f"killed processes of {name}": count for name, count in self.killer.killed.items()})
        cut_off = (LOGS / f"{NAME}-ministack.log").read_text().count("errorMessage=Worker process died")
        return (
            self.callers.struck() + killed + Counter({"batches that were being handled by a killed process": cut_off})
        )

    def _ask_all(self) -> None:
        wanted: SimpleQueue[Wanted] = SimpleQueue()
        for each in plan(self.terms.jobs, tuple(tenant.name for tenant in TENANTS), self.terms.seed):
            wanted.put(each)

        def ask() -> None:
            with suppress(Empty):
                while True:
                    self._ask(wanted.get_nowait())

        with ThreadPoolExecutor(ASKING) as threads:
            for _ in range(ASKING):
                threads.submit(ask)
        self.callers.finish()
        self.stages["the last request"] = self.passed

    def _ask(self, wanted: Wanted) -> None:
        while waiting(self.service, "JobQueue")["to be had"] > MOST_WAITING:
            time.sleep(0.2)
        if wanted.number in {int(share * self.terms.jobs) for share in STORMS}:
            self.callers.misbehave("rate_limited", times=STORM_CALLS, retry_after=STORM_SECONDS)
        try:
            self.callers.ask(wanted)
        except Exception as error:  # noqa: BLE001 - the border of a request: what went wrong is told in the report
            self.callers.problems.append(repr(error))

    def _look_at_budgets(self, over: threading.Event) -> None:
        books = LedgerTable(self.tables.dynamodb, self.tables.accounts)
        while not over.wait(0.2):
            for tenant in self.caps:
                used = books.month(tenant, now().date().replace(day=1)).total.used_usd
                self.used[tenant] = max(self.used[tenant], used)
            self.looks += 1

    def _tell(self, say: Callable[[str], None]) -> None:
        if self.passed < self._told:
            return
        self._told = self.passed + TOLD_EVERY_SECONDS
        accepted, killed = len(self.callers.accepted), self.killer.killed.total()
        say(
            f"{self.passed:5.0f} s  {accepted:5} accepted, {accepted - len(self.open()):5} told of, "
            f"{len(self.stand_in.generations):5} generations, {killed:3} kills"
        )


@contextmanager
def soaking(terms: Terms) -> Iterator[Soak]:
    chance = random.Random(terms.seed)
    signed = {tenant.name: tenant.webhook_secret for tenant in TENANTS}
    port = free_port()
    with ExitStack() as parts:
        hooks = parts.enter_context(receiver.receiving(signed, port))
        hooks.on_arrival = sometimes_failing(hooks, chance)
        models = parts.enter_context(endpoint.stand_in(speed=1))
        origins = [f"http://{HOST}:{port}"]
        running = parts.enter_context(service.running(NAME, models, webhook_origins=origins, enforce_policies=True))
        assert models.stand_in is not None
        stack = running.stack
        for function, most in AT_ONCE.items():
            bound_concurrency(running, function, most)
        tables = Tables(many_at_once(running.cloud), stack["JobTableName"], stack["AccountTableName"])
        callers = Callers(
            base_url=running.base_url,
            keys={tenant.name: tenant.api_key for tenant in TENANTS},
            webhook_url=hooks.url,
            stand_in=models.stand_in,
            sqs=running.cloud.sqs,
            queues={False: stack["JobQueueUrl"], True: stack["DirectQueueUrl"]},
        )
        functions = {name: stack[f"{name}FunctionName"] for name in FUNCTIONS}
        killer = Killer(own_group(), functions, chance)
        yield Soak(
            terms, running, models.stand_in, hooks, callers, killer, caps=budgets(running, callers), tables=tables
        )


def sometimes_failing(hooks: Receiver, chance: random.Random) -> Callable[[Arrival], None]:
    """Each arrival settles how the next is answered."""

    def arrived(_arrival: Arrival) -> None:
        hooks.response_status = 500 if chance.random() < SHARE else 200

    return arrived


def bound_concurrency(running: service.Service, function: str, most: int) -> None:
    functions, name = running.cloud.functions, running.stack[f"{function}FunctionName"]
    (source,) = functions.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]
    functions.update_event_source_mapping(UUID=source["UUID"], ScalingConfig={"MaximumConcurrency": most})


def budgets(running: service.Service, callers: Callers) -> dict[str, Decimal]:
    """Each tenant's month, as it is set: wide, or narrow."""
    tenants = TenantAdmin(
        records=AccountTable(running.cloud.dynamodb, running.stack["AccountTableName"]),
        cipher=KmsCipher(running.cloud.kms, running.stack["SecretsKeyArn"]),
        clock=now,
        random_bytes=secrets.token_bytes,
    )
    tenants.create(NARROW.name, tier="tier5", api_key=NARROW.api_key, webhook_secret=NARROW.webhook_secret)
    hold = callers.bound(NARROW.name, request(0, 0.0, direct=False, chance=random.Random(0)))
    caps = {tenant.name: Decimal(WIDE_USD) for tenant in TENANTS} | {NARROW.name: FITTING * hold}
    for name, cap in caps.items():
        tenants.configure(name, {"month_budget": format(cap, "f")})
    return caps


def run(terms: Terms, say: Callable[[str], None]) -> int:
    """0 if it came to rest in time, and every law held."""
    say(f"Starting the whole service on this machine, for {terms.jobs} jobs (seed {terms.seed})…")
    with soaking(terms) as soak:
        in_time = soak.run(say)
        found = soak.found()
        if not in_time:
            say(unfinished(terms.seconds, found))
            return 1
        broken = {law.__name__.replace("_", " "): list(law(found)) for law in LAWS}
        soak.stages["all was checked"] = soak.passed
        say(report(found, broken, soak.stages))
    return 1 if any(broken.values()) else 0
