"""An order that is left to any worker is carried out, though no worker should hear of it."""

import asyncio

import pytest
from payments.orchestrator.v1 import orchestrator_service_pb2 as pb
from payments.orchestrator.v1.orchestrator_service_pb2 import ResponseMode
from payments.orchestrator.v1.payment_pb2 import Payment, PaymentState

from services.kernel.errors import Reason, Unavailable
from services.kernel.ids import PaymentId
from services.orchestrator.domain.saving import Lease
from tests.orchestrator.conftest import House, running_house, simulated
from tests.orchestrator.orders import about, execution

_CAPTURED = PaymentState.PAYMENT_STATE_CAPTURED
_TAKEN_IN = "select state, attempts from messaging.inbox where consumer = $1"


async def _confirmed(house: House, mode: ResponseMode.ValueType) -> Payment:
    creation = pb.CreatePaymentRequest(
        idempotency_key="create", context=execution("create").context
    )
    created = await house.stub.CreatePayment(creation)
    confirmation = pb.ConfirmPaymentRequest(**about(created.payment, "confirm"), response_mode=mode)
    return (await house.stub.ConfirmPayment(confirmation)).payment


async def test_a_confirmation_that_no_worker_hears_of_is_carried_out_where_it_is_waited_for(
    application_url: str,
) -> None:
    async with running_house(application_url, simulated(), recovers=False) as house:
        payment = await _confirmed(house, pb.RESPONSE_MODE_WAIT)
    assert payment.state == _CAPTURED


async def test_a_worker_that_finds_no_connection_leaves_a_confirmation_to_the_sweep(
    application_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def busy(_payment_id: PaymentId) -> Lease | None:
        raise Unavailable("no database connection became free", reason=Reason.DATABASE_BUSY)

    async with running_house(application_url, simulated()) as house:
        monkeypatch.setattr(house.writer, "take", busy)
        payment = await _confirmed(house, pb.RESPONSE_MODE_ASYNC)
        async with asyncio.timeout(60):
            while payment.state != _CAPTURED:
                await asyncio.sleep(0.05)
                payment = await house.get(payment.id)
        (row,) = await house.rows(_TAKEN_IN, "orchestrator.confirmations")
    assert (row["state"], row["attempts"]) == ("done", 1)
