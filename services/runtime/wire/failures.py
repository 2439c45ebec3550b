"""Why something failed, as a message that is kept or told beside others."""

from payments.core.v1 import error_reason_pb2, failure_pb2

from services.kernel.errors import SwitchyardError


def failure_message(error: SwitchyardError) -> failure_pb2.Failure:
    return failure_pb2.Failure(
        reason=error_reason_pb2.ErrorReason.Value(f"ERROR_REASON_{error.reason}"),
        message=error.message,
        violations=[
            failure_pb2.FieldViolation(field=v.field, rule=v.rule, message=v.message)
            for v in error.violations
        ],
        details=error.details,
    )
