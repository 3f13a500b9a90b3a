"""RQ: a job belongs to the session, and to the trace, that enqueued it.

Needs the package ``rq``.
"""

from __future__ import annotations

from typing import Any

from tracectrl.errors import MissingExtraError
from tracectrl.workers.message import pack, work_in

try:
    from rq.job import Job
except ImportError as error:
    raise MissingExtraError("tracectrl.workers.rq", "rq", None) from error  # noqa: EM101 - a name


class SessionJob(Job):
    """The job class of queues and workers: ``Queue(job_class=SessionJob)``, ``rq worker --job-class ...``.

    A job that was enqueued from a session, and its retries, are performed in it; one that was enqueued from none is
    in one of its own. The correlation is in the job's ``meta``, under the key ``tracectrl``.
    """

    @classmethod
    def create(cls, *args: Any, **kwargs: Any) -> Any:
        """Return the job that RQ makes, with the correlation in its ``meta``."""
        job = super().create(*args, **kwargs)
        pack(job.meta)
        return job

    def perform(self) -> Any:
        """Perform the job in its session."""
        with work_in(self.meta):
            return super().perform()
