"""Good requests of the methods that check much, for values to be changed in one by one."""

import hashlib
import hmac
import time
from collections.abc import Mapping

from google.protobuf.message import Message
from payments.config.v1.merchant_config_pb2 import (
    FeeSchedule,
    MerchantSettings,
    ProcessorPreference,
)
from payments.config.v1.merchant_config_service_pb2 import DiffConfigsRequest, PutConfigRequest
from payments.core.v1.money_pb2 import Money
from payments.core.v1.operation_pb2 import OPERATION_AUTHORIZE
from payments.core.v1.payment_method_pb2 import PAYMENT_METHOD_CARD, PaymentInstrument
from payments.core.v1.payment_terms_pb2 import (
    CAPTURE_METHOD_AUTOMATIC,
    SPLIT_POLICY_ALL_OR_NOTHING,
)
from payments.ledger.v1.ledger_service_pb2 import (
    BatchPostTransactionsRequest,
    PostTransactionRequest,
)
from payments.ledger.v1.transaction_pb2 import EntryDraft, TransactionDraft
from payments.orchestrator.v1 import orchestrator_service_pb2 as orchestrator_pb
from payments.plan.v1.plan_builder_service_pb2 import BuildPlanRequest
from payments.processor.v1 import processor_service_pb2 as processor_pb
from payments.processor.v1.processor_event_pb2 import ProcessorEvent, ProcessorEventType
from payments.router.v1.router_service_pb2 import ExecuteAttemptRequest, LookupAttemptRequest
from payments.webhooks.v1.webhook_service_pb2 import ReceiveWebhookRequest

from services.kernel.context import SplitPolicy, StepPreference
from services.kernel.ids import AttemptId, MerchantId, PaymentId, StepId, WebhookEventId
from tests.fuzz.world import World
from tests.orchestrator.orders import execution
from tests.plan_builder.orders import CARD, part


def seeds(world: World) -> Mapping[str, Message]:
    """By the full name of the request's type."""
    made: list[Message] = [
        *_payments(world),
        *_processing(world),
        *_postings(),
        *_settings(world),
        _event(),
        _webhook(world),
    ]
    return {message.DESCRIPTOR.full_name: message for message in made}


def _payments(world: World) -> list[Message]:
    merchant_id = MerchantId(world.internal_merchant_id)
    steps = (part(CARD, 6_000), StepPreference(part(CARD).instrument, None))
    wanted = execution(
        "seed", merchant_id=merchant_id, steps=steps, split_policy=SplitPolicy.PARTIAL,
        user_id="seed", email="a@example.com", metadata={"order": "17"}, country="DE",
    )  # fmt: skip
    wanted.plan.merchant_id = merchant_id
    return [
        wanted,
        orchestrator_pb.CreatePaymentRequest(idempotency_key="seed", context=wanted.context),
        BuildPlanRequest(context=wanted.context),
        orchestrator_pb.RefundPaymentRequest(
            idempotency_key="seed",
            merchant_id=merchant_id,
            payment_id=world.internal_payment_ids[1],
            amount=Money(amount_minor=1, currency="USD"),
            reason="returned",
        ),
    ]


def _processing(world: World) -> list[Message]:
    attempt = processor_pb.AuthorizeRequest().attempt
    attempt.id, attempt.payment_id = AttemptId.new(), PaymentId.new()
    attempt.step_id, attempt.merchant_id = StepId.new(), world.internal_merchant_id
    attempt.processor_id, attempt.operation = "simulated", OPERATION_AUTHORIZE
    attempt.amount.amount_minor, attempt.amount.currency = 1250, "USD"
    attempt.instrument.CopyFrom(
        PaymentInstrument(method=PAYMENT_METHOD_CARD, token="pm_card_visa")  # noqa: S106 -- a card
    )
    attempt.created_at.GetCurrentTime()
    attempt.key_expires_at.FromSeconds(attempt.created_at.seconds + 86_400)
    key = attempt.id
    execute = ExecuteAttemptRequest(attempt=attempt, idempotency_key=key)
    execute.timeout.seconds = 5
    return [
        execute,
        processor_pb.AuthorizeRequest(attempt=attempt, idempotency_key=key),
        LookupAttemptRequest(attempt=attempt, idempotency_key=key),
    ]


def _postings() -> list[Message]:
    entries = [
        EntryDraft(account=account, amount=Money(amount_minor=amount, currency="USD"))
        for account, amount in (("merchant:a", 970), ("platform:fees", 30), ("processor:x", -1000))
    ]
    draft = TransactionDraft(idempotency_key="seed", reference_id="seed", entries=entries)
    one = PostTransactionRequest(idempotency_key="seed", reference_id="seed", entries=entries)
    return [one, BatchPostTransactionsRequest(drafts=[draft])]


def _settings(world: World) -> list[Message]:
    settings = MerchantSettings(
        default_currency="USD",
        fees=FeeSchedule(basis_points=290, fixed=[Money(amount_minor=30, currency="USD")]),
        capture_method=CAPTURE_METHOD_AUTOMATIC,
        split_policy=SPLIT_POLICY_ALL_OR_NOTHING,
        processors=[ProcessorPreference(processor_id="simulated", weight_percent=100)],
    )
    put = PutConfigRequest(
        idempotency_key="seed",
        merchant_id=world.internal_merchant_id,
        expected_version=1,
        comment="seed",
        settings=settings,
    )
    return [put, DiffConfigsRequest(merchant_id=world.internal_merchant_id, proposal=settings)]


def _event() -> Message:
    event = ProcessorEvent(
        id="evt_seed",
        processor_id="simulated",
        type=ProcessorEventType.PROCESSOR_EVENT_TYPE_DISPUTE_OPENED,
        native_type="charge.dispute.created",
        processor_reference="pi_seed",
        object_id="dp_seed",
        amount=Money(amount_minor=4_000, currency="USD"),
        fee=Money(amount_minor=1_500, currency="USD"),
    )
    event.occurred_at.GetCurrentTime()
    return orchestrator_pb.ApplyProcessorEventRequest(
        idempotency_key="seed", event=event, webhook_event_id=WebhookEventId.new()
    )


def _webhook(world: World) -> Message:
    body, sent_at = b'{"id": "evt_seed", "object": "event", "type": "x"}', int(time.time())
    signed = hmac.new(
        world.webhook_secret.encode(), f"{sent_at}.".encode() + body, hashlib.sha256
    ).hexdigest()
    request = ReceiveWebhookRequest(
        idempotency_key="seed",
        adapter="stripe",
        body=body,
        signature_header=f"t={sent_at},v1={signed}",
    )
    request.received_at.GetCurrentTime()
    return request
