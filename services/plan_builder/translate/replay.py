"""Replays: which one is asked for, what is recorded, and what is told of it."""

from datetime import datetime
from typing import Final, Literal

from payments.orchestrator.v1.orchestrator_service_pb2 import ListRecordedRequestsRequest
from payments.orchestrator.v1.recorded_request_pb2 import RecordedRequest as RecordedMessage
from payments.plan.v1 import plan_builder_service_pb2 as pb
from payments.plan.v1 import plan_replay_pb2

from services.kernel.errors import FailedPrecondition, invalid_field
from services.kernel.ids import MerchantId, PaymentId
from services.plan_builder.domain.replay import (
    PlanDifference,
    RecordedRequest,
    ReplayOrder,
    RouteShift,
    RuleEffect,
    Tally,
)
from services.plan_builder.translate.plan import plan_from_message, plan_message
from services.plan_builder.translate.request import context_from_message, moment_from
from services.runtime.wire.amounts import money_message
from services.runtime.wire.failures import failure_message

_LAST_COUNT: Final = 1_000
_LAST_COUNT_MAX: Final = 100_000


def order_from_message(message: pb.ReplayPlansRequest) -> ReplayOrder:
    if not 0 <= message.last_count <= _LAST_COUNT_MAX:
        raise invalid_field("last_count", "count.range", f"must be 0 to {_LAST_COUNT_MAX}")
    if message.config_version < 0:
        raise invalid_field("config_version", "version.range", "must be zero or more")
    is_proposal = message.WhichOneof("config") == "proposal"
    return ReplayOrder(
        # Never nobody's: the orchestrator would take that for an operator, who sees everybody's.
        merchant_id=MerchantId.parse(message.merchant_id),
        config=message.proposal.SerializeToString() if is_proposal else message.config_version,
        last_count=message.last_count or _LAST_COUNT,
        received_from=_optional_moment(message, "received_from"),
        received_before=_optional_moment(message, "received_before"),
    )


def list_request(order: ReplayOrder, page_size: int) -> ListRecordedRequestsRequest:
    message = ListRecordedRequestsRequest(merchant_id=order.merchant_id, page_size=page_size)
    if order.received_from is not None:
        message.received_from.FromDatetime(order.received_from)
    if order.received_before is not None:
        message.received_before.FromDatetime(order.received_before)
    return message


def recorded_from_message(message: RecordedMessage) -> RecordedRequest:
    return RecordedRequest(
        PaymentId.parse(message.payment_id),
        context_from_message(message.context),
        plan_from_message(message.plan) if message.HasField("plan") else None,
    )


def difference_message(found: PlanDifference) -> plan_replay_pb2.PlanDifference:
    message = plan_replay_pb2.PlanDifference(
        payment_id=found.payment_id,
        differences=[change.sentence for change in found.changes],
        rules=found.rules,
    )
    if isinstance(found.before, FailedPrecondition):
        message.refused_now.CopyFrom(failure_message(found.before))
    else:
        message.recorded.CopyFrom(plan_message(found.before))
    if isinstance(found.after, FailedPrecondition):
        message.refused.CopyFrom(failure_message(found.after))
    else:
        message.replayed.CopyFrom(plan_message(found.after))
    return message


def summary_message(tally: Tally) -> plan_replay_pb2.PlanReplaySummary:
    return plan_replay_pb2.PlanReplaySummary(
        requests_replayed=tally.requests_replayed,
        requests_changed=tally.requests_changed,
        requests_rerouted=tally.requests_rerouted,
        requests_refused=tally.requests_refused,
        requests_plannable=tally.requests_plannable,
        route_shifts=[_shift_message(shift) for shift in tally.shifts()],
        rule_effects=[_effect_message(effect) for effect in tally.effects()],
        fee_changes=map(money_message, tally.fee_changes.listed()),
        amounts_refused=map(money_message, tally.refused.listed()),
        amounts_plannable=map(money_message, tally.plannable.listed()),
    )


def _shift_message(shift: RouteShift) -> plan_replay_pb2.RouteShift:
    return plan_replay_pb2.RouteShift(
        from_processor_id=shift.from_processor_id,
        to_processor_id=shift.to_processor_id,
        step_count=shift.step_count,
        amounts=map(money_message, shift.amounts.listed()),
    )


def _effect_message(effect: RuleEffect) -> plan_replay_pb2.RuleEffect:
    return plan_replay_pb2.RuleEffect(
        rule=effect.rule,
        request_count=effect.request_count,
        amounts_moved=map(money_message, effect.moved.listed()),
        fee_changes=map(money_message, effect.fee_changes.listed()),
        amounts_refused=map(money_message, effect.refused.listed()),
        amounts_plannable=map(money_message, effect.plannable.listed()),
    )


def _optional_moment(
    message: pb.ReplayPlansRequest, field: Literal["received_from", "received_before"]
) -> datetime | None:
    if not message.HasField(field):
        return None
    try:
        return moment_from(getattr(message, field))
    except ValueError as error:
        problem = "must be a moment between the years 1 and 9999"
        raise invalid_field(field, "moment.range", problem) from error
