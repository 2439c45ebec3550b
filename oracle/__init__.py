"""The oracle: once all is quiet, is what the platform believes what happened, once and in full?

It reads the platform's own tables and the processor's own record, and holds them against each
other; it writes nothing and needs no test framework, so that it can be put to a running system too.
`consult` asks every question at once and answers with one report, which prints as text. Reading
order: asking, report, then the questions: outside, books, telling, rest.
"""

from oracle.asking import consult
from oracle.record import Record, read_sandbox
from oracle.report import Bounds, Report, Violation

__all__ = ["Bounds", "Record", "Report", "Violation", "consult", "read_sandbox"]
