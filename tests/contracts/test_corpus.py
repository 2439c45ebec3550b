"""What earlier releases wrote is read by this one, means the same, and can still be acted upon."""

import base64
from datetime import UTC, datetime
from pathlib import Path

import pytest
from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet
from payments.events.v1.envelope_pb2 import Envelope
from payments.orchestrator.v1 import orchestrator_service_pb2 as pb
from payments.orchestrator.v1.payment_pb2 import PaymentState

from services.kernel.clock import SystemClock
from services.kernel.context import PaymentMethod
from services.kernel.ids import PaymentId
from services.orchestrator.translate.codec import PaymentCodec
from services.orchestrator.workers import Confirmations
from services.processor.adapters.simulated.adapter import SimulatedAdapter
from services.processor.rpc import ProcessorServicer
from services.processor.service.processors import Processors
from services.runtime.messaging.envelope import open_envelope
from services.runtime.messaging.message import IncomingMessage, Topic
from tests.orchestrator.conftest import House, running_house
from tests.orchestrator.orders import about, execution
from tests.plan_builder.orders import ability, config
from tests.processor.conftest import ScriptedFaults, processor
from tools.corpus import CORPUS, KINDS, Kept, few_of_each, meaning, read

_RELEASES = sorted(CORPUS.glob("*.jsonl"))
_PROCESSORS = ("stripe_one", "stripe_two")
_TAKEN = (PaymentState.PAYMENT_STATE_CAPTURED, PaymentState.PAYMENT_STATE_AUTHORIZED)
_FAILED = PaymentState.PAYMENT_STATE_FAILED


def _all(kind: str) -> list[Kept]:
    return [each for release in _RELEASES for each in read(release) if each.kind == kind]


@pytest.mark.parametrize("release", _RELEASES, ids=lambda path: path.stem)
def test_every_message_of_a_release_means_what_it_meant(release: Path) -> None:
    kept = read(release)
    assert {each.kind for each in kept} == set(KINDS)
    for each in kept:
        message = KINDS[each.kind].FromString(each.data)
        assert not _unknown(message), each.sort
        assert meaning(each.kind, each.data) == each.meaning, each.sort


def _unknown(message: Message) -> list[int]:
    """Fields that were written and that nobody reads any more, here or within."""
    found = [each.field_number for each in UnknownFieldSet(message)]  # type: ignore[attr-defined]  # its stub forgets that
    for field, value in message.ListFields():
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        for each in value if field.is_repeated else [value]:
            found += _unknown(each)
    return found


def test_what_is_kept_of_payments_is_read_as_today_s_requests_and_plans() -> None:
    codec = PaymentCodec()
    for each in _all("request"):
        request = codec.read_request(each.data)
        assert str(request.amount.amount_minor) == each.meaning["amount"]["amount_minor"]
        assert codec.request(request) == each.data
    for each in _all("plan"):
        plan = codec.read_plan(each.data)
        assert len(plan.steps) == len(each.meaning["steps"])
        assert plan.digest == each.meaning["digest"]


def test_every_event_and_command_is_opened_as_consumers_open_it() -> None:
    types = set()
    for each in _all("envelope"):
        envelope = open_envelope(each.data)
        assert envelope.type == each.sort
        assert type(getattr(envelope, envelope.WhichOneof("payload") or "")).__name__ == each.sort
        types.add(each.sort)
    assert {"PaymentConfirmRequested", "WebhookEventReceived", "PaymentCaptured"} <= types


@pytest.mark.parametrize("release", _RELEASES, ids=lambda path: path.stem)
async def test_what_was_ordered_is_carried_out_the_same_today(
    application_url: str, release: Path
) -> None:
    async with running_house(application_url, _processors()) as house:
        for each in (each for each in read(release) if each.kind == "order"):
            request = pb.ExecutePlanRequest.FromString(each.data)
            payment = await house.execute(request)
            expected = (_FAILED,) if each.sort == "failed" else _TAKEN
            assert payment.state in expected, each.meaning
            assert payment.amount == request.context.amount


async def test_a_confirmation_of_an_earlier_release_sets_a_payment_going(
    application_url: str,
) -> None:
    commands = [each for each in _all("envelope") if each.sort == "PaymentConfirmRequested"]
    async with running_house(application_url, _processors(), recovers=False) as house:
        house.planner.config = config(*_PROCESSORS)
        house.planner.catalogue = {each: ability(each) for each in _PROCESSORS}
        for number, each in enumerate(commands):
            await _confirm(house, each, f"order-{number}")


async def _confirm(house: House, command: Kept, key: str) -> None:
    """Confirm a payment and leave it to a worker, who is told of it in the words of then."""
    context = execution(key, processors=_PROCESSORS).context
    created = await house.stub.CreatePayment(
        pb.CreatePaymentRequest(idempotency_key=key, context=context)
    )
    confirmation = pb.ConfirmPaymentRequest(
        **about(created.payment, f"{key}-confirm"), response_mode=pb.RESPONSE_MODE_ASYNC
    )
    payment_id = PaymentId.parse(created.payment.id)
    envelope = Envelope.FromString(command.data)
    envelope.payment_id = payment_id
    message = IncomingMessage(
        id=envelope.id,
        topic=Topic.COMMANDS,
        key=payment_id,
        sequence=envelope.sequence,
        type=envelope.type,
        payload=envelope.SerializeToString(),
        occurred_at=datetime.now(UTC),
        headers={},
        attempt=1,
    )
    await house.stub.ConfirmPayment(confirmation)
    assert (await house.get(payment_id)).state == PaymentState.PAYMENT_STATE_CONFIRMING
    consumer = Confirmations(house.writer, house.desks).consumer()
    async with house.database.connection() as connection:
        await consumer.handler(connection, message)
    stream = house.stub.WatchPayment(pb.WatchPaymentRequest(payment_id=payment_id), timeout=60)
    states = [each.payment.state async for each in stream]
    assert states[-1] == PaymentState.PAYMENT_STATE_CAPTURED


def test_the_shortest_and_the_longest_of_each_sort_are_kept() -> None:
    bodies = [b"\x0a\x03aaa", b"\x0a\x01a", b"\x0a\x02aa", b"\x0a\x01a"]
    kept = list(few_of_each([("request", "captured", body) for body in bodies]))
    assert [base64.b64decode(each.body) for each in kept] == [bodies[1], bodies[2], bodies[0]]


def _processors() -> ProcessorServicer:
    opened = [
        processor(
            each,
            SimulatedAdapter(SystemClock(), ScriptedFaults()),
            methods=(PaymentMethod.CARD,),
        )
        for each in _PROCESSORS
    ]
    return ProcessorServicer(Processors(opened, SystemClock()))
