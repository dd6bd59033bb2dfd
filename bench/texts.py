"""The question and the answer of the measured jobs. They are English prose, because stored texts are compressed."""

import secrets

QUESTION_BYTES = 1024
ANSWER_BYTES = 2048

_QUESTION = """\
We run a chain of eleven bakeries and deliver to about forty cafes before seven in the morning. Two vans do the whole \
round today. The older one, which carries roughly 60 % of the load, fails its inspection in March, and a repair would \
cost 4,800 euros. A leased electric van is 489 euros a month, takes a third less volume, and would have to charge for \
two hours between the early round and the one at noon. Diesel costs us about 610 euros a month for both vans; we \
expect to pay 21 cents a kilowatt hour at night. Seven of the cafes lie close together in the old town, where vans \
with an engine may only enter until half past six from next year on. One of our drivers would rather start at five \
than at four. We could also move the noon round to a courier, who asks 38 euros a day for it, five days a week.
What should we do about the vans in the next twelve months, and what would make you change your mind? Please give \
the sums you base this on, and name the two assumptions that you trust the least. Keep it to one page, for a reader \
who has never seen our books before.
"""

_ANSWER = """\
Recommendation: let the older van go when its inspection is due, lease the electric van from April, and give the noon \
round to the courier for a trial of three months. Keep the newer diesel van on the early round.

The sums. Repairing the old van costs 4,800 euros at once and buys perhaps two years, so 200 euros a month, on top of \
its share of the fuel. If that share follows the load it is 60 % of 610, or 366 euros a month. Kept, the old van thus \
costs about 566 euros a month before tyres, insurance and the next surprise. The lease is 489 euros. A round of 70 \
kilometres at 25 kilowatt hours per hundred takes 17.5 kilowatt hours; at 21 cents that is 3.70 euros a day, or 96 \
euros for 26 days. Together 585 euros: practically the same, without the risk of another repair. The courier costs 38 \
times 22, or 836 euros a month, which on its own would be hard to defend. But the electric van is a third smaller and \
needs two hours at the charger exactly when the noon round would begin. Without the courier you would have to split \
the early round, which means a third driver for some ninety minutes each morning.

Why the old town decides it. From next year seven of your forty cafes can only be reached by half past six with an \
engine. The electric van is not bound by that. Send it there last, between half past six and seven, and the driver who \
would rather start at five can take precisely this tour. The diesel van does the outer ring, starts at four as it does \
today, and is back by six.

What would change my mind: a quote below 3,000 euros for the repair together with an exemption for the old town; a \
larger electric van for less than 560 euros a month; or a noon round that brings in less than the courier costs, in \
which case I would drop it altogether.

The two assumptions I trust least. First, that the load is spread over the week as evenly as you say: if Saturdays are \
half as large again, the smaller van fails on that one day. Count the crates for two weeks before you sign. Second, \
the range in January: cold and short trips can cost a third of it. Ask for a van on trial in the coldest week, and \
drive the real round with it, fully loaded, before you decide on anything that binds you for three years.
"""


def question() -> str:
    return _cut(_QUESTION, QUESTION_BYTES)


def answer() -> str:
    return _cut(_ANSWER, ANSWER_BYTES)


def random_text(size: int) -> str:
    """Random letters, which compress only to three quarters."""
    return secrets.token_urlsafe(size)[:size]


def _cut(text: str, size: int) -> str:
    if not text.isascii() or len(text) < size:
        raise ValueError(f"the text must have at least {size} characters, all of them ASCII")
    return text[:size]
