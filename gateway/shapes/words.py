"""Messages' words as merchants read them: enum values, moments, texts that may be empty."""

from collections.abc import Mapping
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp
from payments.core.v1.error_code_pb2 import ErrorCode
from payments.core.v1.payment_terms_pb2 import CaptureMethod, SplitPolicy
from payments.core.v1.validation_issue_pb2 import Severity
from payments.orchestrator.v1.idempotency_pb2 import IdempotencyState
from payments.orchestrator.v1.payment_pb2 import PaymentState
from payments.orchestrator.v1.posting_pb2 import PostingState
from payments.orchestrator.v1.refund_pb2 import RefundState
from payments.result.v1.composite_result_pb2 import StepState


def words_of(enum: Any) -> Mapping[int, Any]:
    """The values of an enum in lower case, without the prefix that they all share."""
    unsaid = enum.Name(0)
    prefix = unsaid.removesuffix("UNSPECIFIED")
    return {number: name.removeprefix(prefix).lower() for name, number in enum.items() if number}


STATES: Final = words_of(PaymentState)
POSTING_STATES: Final = words_of(PostingState)
STEP_STATES: Final = words_of(StepState)
REFUND_STATES: Final = words_of(RefundState)
IDEMPOTENCY_STATES: Final = words_of(IdempotencyState)
ERROR_CODES: Final = words_of(ErrorCode)
SEVERITIES: Final = words_of(Severity)
CAPTURE_METHODS: Final = words_of(CaptureMethod)
SPLIT_POLICIES: Final = words_of(SplitPolicy)


def moment(timestamp: Timestamp) -> str:
    return timestamp.ToJsonString()


def known(text: str) -> str | None:
    """The text, or null for what was left empty."""
    return text or None
