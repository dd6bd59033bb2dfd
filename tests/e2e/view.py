"""The running stack as the laws see it."""

from local import standin
from tests.laws.view import Generation


def generation_of(run: standin.Generation) -> Generation:
    """A run of the stand-in. It accepts no call that it does not run, and a run is cancelled only by a request."""
    return Generation(
        response_id=run.id,
        job_id=run.metadata["afterthought_job"],
        token=run.metadata["afterthought_token"],
        cancelled=run.status == "cancelled",
    )
