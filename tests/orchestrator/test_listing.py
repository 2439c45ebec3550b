"""Lists of payments: newest first, by filter, page by page."""

from collections.abc import Sequence
from typing import Any

import pytest
from payments.orchestrator.v1.orchestrator_service_pb2 import ListPaymentsRequest
from payments.orchestrator.v1.payment_pb2 import PaymentState
from payments.orchestrator.v1.posting_pb2 import PostingState

from services.kernel.errors import InvalidArgument, Reason
from services.kernel.ids import MerchantId
from services.runtime.rpc import typed_errors
from tests.orchestrator.conftest import House
from tests.orchestrator.orders import execution
from tests.plan_builder.orders import MERCHANT


async def _three(house: House) -> Sequence[str]:
    """Two that were captured, one of them Ada's, and one that failed."""
    made = [
        await house.execute(execution("a", user_id="ada")),
        await house.execute(execution("b", user_id="bob")),
        await house.execute(execution("c", card="pm_card_chargeDeclined")),
    ]
    return [payment.id for payment in made]


@pytest.mark.parametrize(
    ("wanted", "places"),
    [
        ({}, [2, 1, 0]),
        ({"merchant_id": MERCHANT}, [2, 1, 0]),
        ({"merchant_id": MerchantId("mer_019aa5a000007000800000000000ffff")}, []),
        ({"user_id": "ada"}, [0]),
        ({"states": [PaymentState.PAYMENT_STATE_FAILED]}, [2]),
        (
            {
                "states": [
                    PaymentState.PAYMENT_STATE_FAILED,
                    PaymentState.PAYMENT_STATE_CAPTURED,
                ]
            },
            [2, 1, 0],
        ),
        ({"in_doubt": True}, []),
        ({"in_doubt": False}, [2, 1, 0]),
        ({"posting_states": [PostingState.POSTING_STATE_NONE]}, [2]),
        ({"processor_reference": "pi_of_nobody"}, []),
    ],
)
async def test_a_list_holds_what_is_asked_for(
    house: House, wanted: dict[str, Any], places: list[int]
) -> None:
    ids = await _three(house)
    listed = await house.stub.ListPayments(ListPaymentsRequest(**wanted))
    assert [payment.id for payment in listed.payments] == [ids[place] for place in places]
    assert not listed.next_page_token


async def test_a_payment_is_found_by_its_hold(house: House) -> None:
    ids = await _three(house)
    reference = (await house.get(ids[0])).result.step_results[0].processor_reference
    listed = await house.stub.ListPayments(ListPaymentsRequest(processor_reference=reference))
    assert [payment.id for payment in listed.payments] == [ids[0]]


async def test_pages_follow_one_another_without_gap_or_repeat(house: House) -> None:
    ids = await _three(house)
    found: list[str] = []
    request = ListPaymentsRequest(page_size=2)
    while True:
        page = await house.stub.ListPayments(request)
        found += [payment.id for payment in page.payments]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert found == list(reversed(ids))


async def test_a_token_of_another_list_is_refused(house: House) -> None:
    await _three(house)
    page = await house.stub.ListPayments(ListPaymentsRequest(page_size=1))
    with pytest.raises(InvalidArgument) as refused, typed_errors():
        await house.stub.ListPayments(
            ListPaymentsRequest(page_size=1, page_token=page.next_page_token, user_id="ada")
        )
    assert refused.value.reason is Reason.PAGE_TOKEN_INVALID
