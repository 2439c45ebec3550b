"""Short ways to write down what callers of the orchestrator send, with plans as they are built."""

from collections.abc import Sequence
from typing import Any

from payments.core.v1.money_pb2 import Money
from payments.orchestrator.v1.orchestrator_service_pb2 import (
    RESPONSE_MODE_WAIT,
    CreatePaymentRequest,
    ExecutePlanRequest,
    ResponseMode,
)
from payments.orchestrator.v1.payment_pb2 import Payment
from payments.result.v1.result_pb2 import NextAction, Outcome, RedirectAction, Result

from services.kernel.context import PaymentInstrument, PaymentMethod
from services.kernel.ids import RequestId
from services.orchestrator.translate.request import request_message
from services.plan_builder.domain.builder import build_plan
from services.plan_builder.translate.plan import plan_message
from tests.plan_builder.orders import APPLE_PAY, CARD, ability, config, money, part, request


def execution(
    key: str = "order-17",
    *,
    amount_minor: int = 10_000,
    card: str = "pm_card_visa",
    processors: Sequence[str] = ("simulated",),
    mode: ResponseMode.ValueType = RESPONSE_MODE_WAIT,
    settings: dict[str, Any] | None = None,
    **changed: Any,
) -> ExecutePlanRequest:
    """A request with the plan that PlanBuilder makes of it; fees are 2.9 percent and 0.30."""
    context = request(
        money(amount_minor),
        **{
            "request_id": RequestId.new(),
            "idempotency_key": key,
            "instrument": PaymentInstrument(PaymentMethod.CARD, card),
            **changed,
        },
    )
    catalogue = {name: ability(name) for name in processors}
    plan = build_plan(context, config(*processors, **(settings or {})), catalogue)
    return ExecutePlanRequest(
        idempotency_key=key,
        context=request_message(context),
        plan=plan_message(plan),
        response_mode=mode,
    )


def succeeded(reference: str = "pi_1") -> Result:
    return Result(
        outcome=Outcome.OUTCOME_SUCCEEDED,
        success=True,
        processor_reference=reference,
        latency_ms=12,
    )


def about(payment: Payment, key: str) -> dict[str, Any]:
    """What every order about a payment says."""
    return {
        "idempotency_key": key,
        "merchant_id": payment.merchant_id,
        "payment_id": payment.id,
    }


def usd(amount_minor: int) -> Money:
    return Money(amount_minor=amount_minor, currency="USD")


def split(key: str = "split-1", **changed: Any) -> ExecutePlanRequest:
    """60.00 by Apple Pay and 40.00 by card, which may take the whole."""
    order = execution(key, steps=(part(APPLE_PAY, 6_000), part(CARD)), **changed)
    for step in order.plan.steps:
        step.instrument.token = "pm_card_visa"  # noqa: S105 -- a test token's public name
    return order


def challenge() -> Result:
    """The customer has to act, about `pi_3`."""
    redirect = RedirectAction(
        redirect_url="https://bank.example/3ds", return_url="https://m.example"
    )
    return Result(
        outcome=Outcome.OUTCOME_REQUIRES_ACTION,
        processor_reference="pi_3",
        next_action=NextAction(redirect=redirect),
    )


def wanted(key: str, **said: Any) -> CreatePaymentRequest:
    """A payment that is made and not yet confirmed."""
    order = execution(key, **said)
    return CreatePaymentRequest(idempotency_key=key, context=order.context)
