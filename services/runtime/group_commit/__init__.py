"""Group commit: concurrent writes share one database transaction, each answered as if alone.

A commit costs an fsync and a dozen round trips, whoever shares it. Callers submit a unit of rows
and await it; one writer takes what gathered while its last commit ran, writes it set-wise, commits
once and wakes them. `queue` decides what may share a batch, `session` commits and finds out the
truth when a COMMIT's reply is lost, `writer` runs the batches, `verdict` is what callers hear.
"""

from services.runtime.group_commit.queue import Admission
from services.runtime.group_commit.session import Session
from services.runtime.group_commit.verdict import Verdict
from services.runtime.group_commit.writer import BatchStore, CommitCounts, GroupCommit

__all__ = ["Admission", "BatchStore", "CommitCounts", "GroupCommit", "Session", "Verdict"]
