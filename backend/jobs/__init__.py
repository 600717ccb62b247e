"""Jobs: kept in SQLite and files, done one after the other by a worker process. ``Jobs`` is the way in."""

from .queue import Jobs
from .store import Job

__all__ = ["Job", "Jobs"]
