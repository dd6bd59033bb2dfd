"""What the operations do, in paragraphs."""

from afterthought.domain.request.body import MAX_BODY_BYTES
from afterthought.domain.schedule import MOST_DELIVERIES, delivery_seconds

CREATE = f"""\
Checks the request, stores it, and answers with its id and the status `queued`. What is wrong gets a 4xx that names the
field and what is allowed, before anything is stored, queued or paid. The body may have {MAX_BODY_BYTES // 2**20} MiB.

With an `Idempotency-Key` the same request can be sent any number of times and makes one job: a repeat answers with the
job as it stands by then. The same key with another body is a 409: the order of parameters and white space make no
difference, a parameter more or less does, also where it says what is usual.

**It cannot cost more than you allow.** The most that a call can cost is known before it is made: its bound, a true
one and no estimate. It is held, of the budgets of the month and the day, from the moment the job is accepted; when it
ends, the hold goes back and the cost comes on. What is above `afterthought.max_cost_usd`, or above what is left of a
budget, is a 402. Without `max_output_tokens` the bound is that of the model's longest answer: set it, and more jobs
fit. A job that you let try again (`on_unknown`, `on_starved`) holds the bound of each further attempt when it comes
to that, within the same `max_cost_usd` and budgets; where it does not fit, it ends as it would without.

**A dry run** (`afterthought.dry_run`) answers with the bound by part, the price row, the budgets, and every refusal
that the request would meet if it were new: it knows nothing of `Idempotency-Key`. Nothing is stored, held or counted.

**Rate limits** are requests and tokens of a minute of the clock, by tenant and model. Tokens are estimated (the input's
length, and `max_output_tokens` or what is typical of the model) and put right when the job ends within its minute. What
is left is in the `x-ratelimit-…` headers; a repeat and a dry run take nothing of it, and come without them. What a
budget refuses has taken its place in the minute all the same.
"""

CANCEL = """\
Says that the answer is wanted no more. A job that no model works on yet is `cancelled` at once and costs nothing.

Where a model works on it, the answer is the response as it stands: still `in_progress`, with
`afterthought.cancel_requested_at`. The provider is told to stop, and soon after the response is `cancelled`, or what it
came to if that was first. What was used until then is paid for; where the provider does not say how much it was, the
job costs what was held for it, `estimated`. So it is with every call in the mode `direct` that is cancelled: within 20
seconds its connection is closed, and nobody says what it used.

A job that has ended stays as it is, and is answered so. To cancel twice is to cancel once.
"""

USAGE = """\
What your jobs used and cost from `start` to `end`, added up by `group_by`, and how your budgets stand now. The sums are
exact: they agree with the sum of the jobs to the last digit. (While jobs move, rows and budgets are read a moment
apart.) Money and tokens count on the day (UTC) on which a job's money was held, which is the day it was accepted,
however much later it ends.

**A job with several tags counts under each of them** when the rows are grouped by tag, so the rows may add up to more
than `total`, in which each job counts once.

With `Accept: text/csv` the rows come as a table (RFC 4180): a header line, the groups first, empty where the tag is
null; without the total and the budgets.
"""

EVENT = f"""\
Sent to the request's `afterthought.webhook_url` when the response has ended, signed by
[Standard Webhooks](https://www.standardwebhooks.com) with the tenant's secret, so that the `webhooks.unwrap()` of any
OpenAI SDK verifies it. Any 2xx accepts it; all else, redirects too, is tried again: {MOST_DELIVERIES} sends over about
{round(sum(map(delivery_seconds, range(1, MOST_DELIVERIES))) / 3600)} hours. It may come more than once: tell a repeat
by its `webhook-id`.
"""
