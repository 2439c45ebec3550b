"""What every adapter keeps to, with test_conformance_trouble: the judge of a new one.

Over the sandbox and inside the process always; against Stripe's test mode with `make test-stripe`.
"""

from datetime import UTC, datetime, timedelta

import pytest
from payments.core.v1.payment_method_pb2 import PAYMENT_METHOD_CARD
from payments.processor.v1 import processor_service_pb2 as pb

from services.kernel.errors import InvalidArgument, NotFound, Reason
from services.runtime.rpc import typed_errors
from tests.processor.house import House, error_code, event_type, outcome, times

DECLINES = [
    ("pm_card_visa_chargeDeclined", "DECLINED", "generic_decline"),
    ("pm_card_visa_chargeDeclinedLostCard", "DECLINED", "lost_card"),
    ("pm_card_visa_chargeDeclinedInsufficientFunds", "INSUFFICIENT_FUNDS", "insufficient_funds"),
    ("pm_card_chargeDeclinedExpiredCard", "EXPIRED_CARD", "expired_card"),
    ("pm_card_chargeDeclinedIncorrectCvc", "INVALID_CARD", "incorrect_cvc"),
    ("pm_card_chargeDeclinedProcessingError", "PROCESSING_ERROR", "processing_error"),
    ("pm_card_thereIsNoSuchCard", "INVALID_CARD", "resource_missing"),
]


async def test_an_authorization_holds_the_amount(house: House) -> None:
    attempt = house.attempt("authorize", 1250)
    result = await house.send(attempt)
    assert outcome(result) == "SUCCEEDED"
    assert result.success
    assert (result.amount_processed.amount_minor, result.amount_processed.currency) == (1250, "USD")
    assert result.processor_id == house.processor_id
    assert result.processor_reference
    assert result.observed_at.ToDatetime(UTC) <= datetime.now(UTC)
    assert result.raw["id"] == result.processor_reference
    assert not result.anomaly
    assert not result.user_message


async def test_the_same_attempt_sent_twice_holds_once(house: House) -> None:
    attempt = house.attempt("authorize")
    first, second = await house.send(attempt), await house.send(attempt)
    assert first.processor_reference == second.processor_reference
    assert outcome(first) == outcome(second) == "SUCCEEDED"
    assert await times(house, "AUTHORIZED", attempt.id) == 1


async def test_a_capture_takes_all_or_a_part(house: House) -> None:
    for taken in (1250, 800):
        capture = house.attempt("capture", taken, hold=await house.hold(1250))
        result = await house.send(capture)
        assert outcome(result) == "SUCCEEDED"
        assert result.amount_processed.amount_minor == taken
        again = await house.send(capture)
        assert again.amount_processed.amount_minor == taken


async def test_no_more_is_captured_than_is_held(house: House) -> None:
    result = await house.send(house.attempt("capture", 1251, hold=await house.hold(1250)))
    assert outcome(result) == "FAILED"
    assert not result.retryable
    assert result.decline_code == "amount_too_large"
    assert result.amount_processed.amount_minor == 0


async def test_a_void_releases_the_hold_and_a_second_finds_it_released(house: House) -> None:
    reference = await house.hold()
    for _ in range(2):
        result = await house.send(house.attempt("void", hold=reference))
        assert outcome(result) == "SUCCEEDED"
        assert result.amount_processed.amount_minor == 1250


async def test_what_was_captured_is_not_voided_and_what_was_voided_not_captured(
    house: House,
) -> None:
    void = await house.send(house.attempt("void", hold=await house.captured()))
    assert (outcome(void), void.retryable) == ("FAILED", False)
    released = await house.hold()
    await house.send(house.attempt("void", hold=released))
    capture = await house.send(house.attempt("capture", hold=released))
    assert (outcome(capture), capture.retryable) == ("FAILED", False)


async def test_refunds_return_parts_up_to_what_was_captured(house: House) -> None:
    reference = await house.captured(1250)
    for part in (500, 750):
        result = await house.send(house.attempt("refund", part, hold=reference))
        assert outcome(result) == "SUCCEEDED"
        assert result.amount_processed.amount_minor == part
        assert result.processor_reference != reference
    beyond = await house.send(house.attempt("refund", 1, hold=reference))
    assert (outcome(beyond), beyond.retryable) == ("FAILED", False)
    assert beyond.decline_code == "charge_already_refunded"


async def test_a_refund_before_capture_is_refused(house: House) -> None:
    result = await house.send(house.attempt("refund", hold=await house.hold()))
    assert outcome(result) == "FAILED"


async def test_a_slow_refund_is_pending_and_looked_up_until_it_ends(house: House) -> None:
    reference = await house.captured(card="pm_card_pendingRefund")
    refund = house.attempt("refund", hold=reference)
    result = await house.send(refund)
    assert outcome(result) == "PENDING"
    assert not result.success
    assert result.amount_processed.amount_minor == 0
    found = await house.settled(refund)
    assert outcome(found) == "SUCCEEDED"
    assert found.processor_reference == result.processor_reference


@pytest.mark.parametrize(("card", "code", "native"), DECLINES)
async def test_a_decline_is_said_in_the_same_words(
    house: House, card: str, code: str, native: str
) -> None:
    attempt = house.attempt("authorize", card=card)
    result = await house.send(attempt)
    assert (outcome(result), error_code(result)) == ("FAILED", code)
    assert result.decline_code == native
    assert not result.success
    assert not result.retryable
    assert result.user_message
    again = await house.send(attempt)
    assert (outcome(again), error_code(again)) == ("FAILED", code)


async def test_a_decline_does_not_burn_the_next_attempt(house: House) -> None:
    await house.send(house.attempt("authorize", card="pm_card_visa_chargeDeclined"))
    assert await house.hold()


async def test_an_authentication_names_the_page_and_can_be_given_up(house: House) -> None:
    attempt = house.attempt("authorize", card="pm_card_threeDSecure2Required")
    result = await house.send(attempt)
    assert outcome(result) == "REQUIRES_ACTION"
    assert not result.success
    assert result.amount_processed.amount_minor == 0
    assert result.next_action.redirect.redirect_url.startswith("http")
    assert result.next_action.redirect.return_url == "https://shop.test/back"
    void = house.attempt("void", hold=result.processor_reference)
    assert outcome(await house.send(void)) == "SUCCEEDED"


async def test_events_tell_what_happened_oldest_first_and_read_alike_when_delivered(
    house: House,
) -> None:
    attempt = house.attempt("authorize")
    reference = (await house.send(attempt)).processor_reference
    await house.send(house.attempt("capture", hold=reference))
    refund = house.attempt("refund", hold=reference)
    refunded = await house.send(refund)
    events = await house.events(page_size=2)
    ours = [e for e in events if e.processor_reference == reference and event_type(e) != "IGNORED"]
    assert [event_type(e) for e in ours] == ["AUTHORIZED", "CAPTURED", "REFUND_SUCCEEDED"]
    assert [e.amount.amount_minor for e in ours] == [1250, 1250, 1250]
    assert [e.attempt_id for e in ours] == [attempt.id, attempt.id, refund.id]
    assert ours[-1].object_id == refunded.processor_reference
    assert len({e.id for e in events}) == len(events)
    for event in ours:
        delivered = await house.stub.NormalizeEvent(
            pb.NormalizeEventRequest(processor_id=house.processor_id, body=event.raw),
            timeout=house.timeout_seconds,
        )
        assert delivered.event == event


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"null", b"[]", b'"text"', b"{}", b"\xff\xfe", b"<html></html>", b"[" * 100_000,
     b'{"object":"event","id":"evt_1","type":"payment_intent.succeeded","created":1,"data":{}}',
     b'{"object":"event","id":"../evt","type":"x","created":1}',
     b'{"object":"event","id":"evt_1","type":"x","created":1e999}'],
)  # fmt: skip
async def test_a_body_that_is_no_event_is_refused(house: House, body: bytes) -> None:
    request = pb.NormalizeEventRequest(processor_id=house.processor_id, body=body)
    with pytest.raises(InvalidArgument) as refused, typed_errors():
        await house.stub.NormalizeEvent(request, timeout=house.timeout_seconds)
    assert refused.value.reason is Reason.BODY_MALFORMED


async def test_a_processor_that_does_not_exist_is_not_found(house: House) -> None:
    attempt = house.attempt("authorize")
    attempt.processor_id = "nowhere"
    with pytest.raises(NotFound) as refused, typed_errors():
        await house.send(attempt)
    assert refused.value.reason is Reason.PROCESSOR_NOT_FOUND


async def test_the_processor_says_what_it_takes(house: House) -> None:
    response = await house.stub.ListProcessors(
        pb.ListProcessorsRequest(), timeout=house.timeout_seconds
    )
    [found] = response.processors
    assert found.id == house.processor_id
    assert not found.live
    assert found.key_window.ToTimedelta() == timedelta(hours=24)
    takes_cards = pb.ListProcessorsRequest(method=PAYMENT_METHOD_CARD)
    listed = await house.stub.ListProcessors(takes_cards, timeout=house.timeout_seconds)
    assert bool(listed.processors) is (PAYMENT_METHOD_CARD in found.methods)
