"""The oracle: does the platform believe what happened, once and in full?

It reads the platform's own tables and the processor's own record, and holds them against each
other; it writes nothing. `consult` asks every question at once, when all is quiet, and answers with
one report, which prints as text; `examine` puts the same questions to a system at work, and
`advice_on` says what each finding means and what to do about it. Reading order: asking, report,
then the questions: outside, disputes, ledger, telling, rest; then examination.
"""

from oracle.advice import Advice, advice_on
from oracle.asking import consult
from oracle.examination import Examination, Terms, examine
from oracle.record import Objection, Record, read_sandbox, read_whole_sandbox
from oracle.report import Bounds, Report, Violation
from oracle.standing import Heap, Standing

__all__ = [
    "Advice",
    "Bounds",
    "Examination",
    "Heap",
    "Objection",
    "Record",
    "Report",
    "Standing",
    "Terms",
    "Violation",
    "advice_on",
    "consult",
    "examine",
    "read_sandbox",
    "read_whole_sandbox",
]
