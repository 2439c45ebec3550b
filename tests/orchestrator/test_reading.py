"""Parts of payments by themselves: refunds, disputes, postings and requests, one and in lists."""

from collections.abc import Sequence
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from payments.core.v1.money_pb2 import Money
from payments.orchestrator.v1 import orchestrator_service_pb2 as pb
from payments.orchestrator.v1.dispute_pb2 import DisputeState
from payments.orchestrator.v1.payment_pb2 import Payment
from payments.orchestrator.v1.refund_pb2 import RefundState

from services.kernel.errors import InvalidArgument, NotFound, Reason
from services.kernel.ids import DisputeId, MerchantId, PaymentId, PostingId, RefundId
from services.runtime.rpc import typed_errors
from tests.orchestrator.conftest import House
from tests.orchestrator.orders import about, execution
from tests.plan_builder.orders import MERCHANT

OTHER = MerchantId("mer_019aa5a000007000800000000000ffff")


async def _refunded(house: House, payment: Payment, key: str, amount_minor: int) -> str:
    request = pb.RefundPaymentRequest(
        **about(payment, key), amount=Money(amount_minor=amount_minor, currency="USD")
    )
    return (await house.stub.RefundPayment(request)).refund.id


async def _disputed(house: House, payment: Payment, number: int) -> str:
    """A dispute as it is recorded, won at once."""
    dispute_id = DisputeId.new()
    await house.rows(
        "insert into payments.disputes (id, payment_id, step_id, state, amount, excess, fee,"
        " funds_withdrawn, funds_reinstated, reason, processor_id, processor_reference, opened_at,"
        " closed_at) select $1, payment_id, id, 'won', 4000, 100, 1500, true, true, 'fraudulent',"
        " 'simulated', $3, now(), now() from payments.steps where payment_id = $2 returning id",
        dispute_id.hex,
        PaymentId.parse(payment.id).hex,
        f"dp_{number}",
    )
    return dispute_id


async def test_a_refund_is_shown_with_its_parts(house: House) -> None:
    payment = await house.execute(execution())
    refund_id = await _refunded(house, payment, "r-1", 4_000)
    request = pb.GetRefundRequest(merchant_id=payment.merchant_id, refund_id=refund_id)
    refund = (await house.stub.GetRefund(request)).refund
    assert (refund.payment_id, refund.merchant_id) == (payment.id, payment.merchant_id)
    assert refund.state == RefundState.REFUND_STATE_SUCCEEDED
    assert refund.amount.amount_minor == 4_000
    assert [part.amount.amount_minor for part in refund.parts] == [4_000]
    assert refund.parts[0].processor_reference
    assert refund.platform_fee_returned.amount_minor == 128
    assert refund.idempotency_key == "r-1"


async def test_a_dispute_is_shown_and_its_funds_are_back(house: House) -> None:
    payment = await house.execute(execution())
    dispute_id = await _disputed(house, payment, 1)
    dispute = (await house.stub.GetDispute(pb.GetDisputeRequest(dispute_id=dispute_id))).dispute
    assert (dispute.payment_id, dispute.merchant_id) == (payment.id, payment.merchant_id)
    assert dispute.state == DisputeState.DISPUTE_STATE_WON
    amounts = [dispute.amount, dispute.amount_excess, dispute.fee]
    assert [each.amount_minor for each in amounts] == [4_000, 100, 1_500]
    assert not dispute.funds_withdrawn
    assert dispute.HasField("closed_at")


@pytest.mark.parametrize("part", ["refund", "dispute"])
async def test_what_is_another_merchants_is_refused_in_the_words_for_what_is_not_there(
    house: House, part: str
) -> None:
    payment = await house.execute(execution())
    standing = {
        "refund": await _refunded(house, payment, "r-1", 100),
        "dispute": await _disputed(house, payment, 1),
    }[part]
    absent = {"refund": RefundId.new(), "dispute": DisputeId.new()}[part]
    told = []
    for part_id, merchant_id in ((standing, OTHER), (absent, payment.merchant_id)):
        with pytest.raises(NotFound) as refused, typed_errors():
            await _get(house, part, part_id, merchant_id)
        told.append(refused.value.message.replace(part_id, "…"))
    assert told[0] == told[1] == f"there is no {part} …"


async def _get(house: House, part: str, part_id: str, merchant_id: str) -> object:
    if part == "refund":
        request = pb.GetRefundRequest(refund_id=part_id, merchant_id=merchant_id)
        return await house.stub.GetRefund(request)
    return await house.stub.GetDispute(
        pb.GetDisputeRequest(dispute_id=part_id, merchant_id=merchant_id)
    )


_LISTS: dict[str, tuple[type[Any], str]] = {
    "refunds": (pb.ListRefundsRequest, "ListRefunds"),
    "disputes": (pb.ListDisputesRequest, "ListDisputes"),
    "postings": (pb.ListPostingsRequest, "ListPostings"),
    "requests": (pb.ListRecordedRequestsRequest, "ListRecordedRequests"),
}


async def _page(house: House, name: str, **wanted: Any) -> Any:
    request, method = _LISTS[name]
    with typed_errors():
        return await getattr(house.stub, method)(request(**wanted))


async def _three(house: House) -> dict[str, Sequence[str]]:
    """Three payments, each with a refund of a part, a dispute, and what they owe to the ledger."""
    made: dict[str, list[str]] = {name: [] for name in _LISTS}
    for number in range(3):
        payment = await house.execute(execution(f"order-{number}"))
        made["requests"].append(payment.id)
        made["refunds"].append(await _refunded(house, payment, f"r-{number}", 1_000 + number))
        made["disputes"].append(await _disputed(house, payment, number))
    rows = await house.rows("select id from payments.postings order by id")
    made["postings"] = [PostingId.of_hex(row["id"].hex) for row in rows]
    for name in ("requests", "refunds", "disputes"):
        made[name].reverse()
    return dict(made)


def _ids(name: str, page: Any) -> list[str]:
    return [each.payment_id if name == "requests" else each.id for each in getattr(page, name)]


@pytest.mark.parametrize("name", list(_LISTS))
async def test_pages_follow_one_another_without_gap_or_repeat(house: House, name: str) -> None:
    made = (await _three(house))[name]
    found: list[str] = []
    token = ""
    while True:
        page = await _page(house, name, page_size=2, page_token=token)
        found += _ids(name, page)
        token = page.next_page_token
        if not token:
            break
    assert found == made
    assert _ids(name, await _page(house, name, merchant_id=MERCHANT)) == made
    assert _ids(name, await _page(house, name, merchant_id=OTHER)) == []


@pytest.mark.parametrize("name", list(_LISTS))
async def test_a_token_of_another_list_is_refused(house: House, name: str) -> None:
    await _three(house)
    token = (await _page(house, name, page_size=1)).next_page_token
    with pytest.raises(InvalidArgument) as refused:
        await _page(house, name, page_size=1, page_token=token, merchant_id=MERCHANT)
    assert refused.value.reason is Reason.PAGE_TOKEN_INVALID
    other = "refunds" if name != "refunds" else "disputes"
    with pytest.raises(InvalidArgument):
        await _page(house, other, page_size=1, page_token=token)


@pytest.mark.parametrize("name", ["refunds", "disputes", "postings"])
async def test_a_list_holds_the_parts_of_one_payment(house: House, name: str) -> None:
    made = await _three(house)
    first = made["requests"][-1]
    page = await _page(house, name, payment_id=first)
    assert {each.payment_id for each in getattr(page, name)} == {first}
    expected = made[name][-1:] if name != "postings" else made[name][:2]
    assert _ids(name, page) == expected


@pytest.mark.parametrize(
    ("name", "wanted", "other"),
    [
        ("refunds", RefundState.REFUND_STATE_SUCCEEDED, RefundState.REFUND_STATE_FAILED),
        ("disputes", DisputeState.DISPUTE_STATE_WON, DisputeState.DISPUTE_STATE_OPENED),
    ],
)
async def test_a_list_holds_what_stands_somewhere(
    house: House, name: str, wanted: int, other: int
) -> None:
    made = (await _three(house))[name]
    assert _ids(name, await _page(house, name, states=[wanted])) == made
    assert _ids(name, await _page(house, name, states=[other])) == []


@pytest.mark.parametrize(
    ("name", "since", "before"),
    [
        ("refunds", "created_from", "created_before"),
        ("disputes", "created_from", "created_before"),
        ("requests", "received_from", "received_before"),
    ],
)
async def test_a_list_holds_what_was_made_in_a_span(
    house: House, name: str, since: str, before: str
) -> None:
    await _three(house)
    now = Timestamp()
    now.GetCurrentTime()
    later = Timestamp(seconds=now.seconds + 3_600)
    assert len(_ids(name, await _page(house, name, **{before: later}))) == 3
    assert len(_ids(name, await _page(house, name, **{since: later}))) == 0
    earlier = Timestamp(seconds=now.seconds - 3_600)
    assert len(_ids(name, await _page(house, name, **{since: earlier}))) == 3
    assert len(_ids(name, await _page(house, name, **{before: earlier}))) == 0


async def test_a_request_is_recorded_as_it_came_with_the_plan_that_was_stored(
    house: House,
) -> None:
    order = execution(metadata={"order_number": "0017"})
    payment = await house.execute(order)
    context = execution("intent").context
    await house.stub.CreatePayment(
        pb.CreatePaymentRequest(idempotency_key="intent", context=context)
    )
    intent, recorded = (await _page(house, "requests")).requests
    assert (recorded.payment_id, recorded.context) == (payment.id, order.context)
    assert recorded.plan == order.plan
    assert intent.context == context
    assert not intent.HasField("plan"), "nothing was decided for it yet"


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("refunds", {"merchant_id": "mer_1"}),
        ("refunds", {"payment_id": "re_1"}),
        ("refunds", {"states": [99]}),
        ("refunds", {"page_size": -1}),
        ("refunds", {"page_token": "nonsense"}),
        ("refunds", {"created_from": Timestamp(seconds=2**61)}),
        ("disputes", {"states": [0]}),
        ("disputes", {"payment_id": "pay_\0"}),
        ("postings", {"states": [99]}),
        ("postings", {"page_token": "\ud7ff"}),
        ("requests", {"merchant_id": "'; drop table"}),
        ("requests", {"received_before": Timestamp(seconds=-(2**61))}),
    ],
)
async def test_a_malformed_list_is_refused(house: House, name: str, wanted: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await _page(house, name, **wanted)
    assert refused.value.violations


@pytest.mark.parametrize("field", ["user_id", "processor_reference"])
async def test_a_text_that_cannot_be_kept_is_not_looked_for(house: House, field: str) -> None:
    request = pb.ListPaymentsRequest()
    setattr(request, field, "a\0b")
    with pytest.raises(InvalidArgument) as refused, typed_errors():
        await house.stub.ListPayments(request)
    assert [violation.field for violation in refused.value.violations] == [field]
