"""Amounts that are taken with their hold, at every adapter: one request, and what undoes it."""

from dataclasses import replace

import pytest

from services.kernel.context import PaymentInstrument, PaymentMethod
from services.kernel.errors import InvalidArgument
from services.kernel.ids import AttemptId, MerchantId, PaymentId, StepId
from services.kernel.money import Currency, Money
from services.kernel.outcome import Outcome
from services.processor.domain.attempt import Attempt, Operation
from services.processor.domain.verdict import Echo, Verdict, judged
from services.runtime.rpc import typed_errors
from tests.processor.house import House, error_code, event_type, outcome


async def test_an_amount_is_taken_with_its_hold_and_can_be_returned(house: House) -> None:
    charge = house.attempt("charge")
    result = await house.send(charge)
    assert (outcome(result), result.amount_captured.amount_minor) == ("SUCCEEDED", 1250)
    assert result.amount_processed.amount_minor == 1250
    found = await house.lookup(charge)
    assert (outcome(found), found.amount_captured) == ("SUCCEEDED", result.amount_captured)
    refund = house.attempt("refund", 1250, hold=result.processor_reference)
    assert outcome(await house.send(refund)) == "SUCCEEDED"
    events = [each for each in await house.events() if event_type(each) != "IGNORED"]
    assert [event_type(each) for each in events] == ["CAPTURED", "REFUND_SUCCEEDED"]


async def test_what_is_only_held_is_not_said_to_be_taken(house: House) -> None:
    hold = house.attempt("authorize")
    assert not (await house.send(hold)).HasField("amount_captured")
    capture = house.attempt("capture", hold=(await house.lookup(hold)).processor_reference)
    await house.send(capture)
    assert not (await house.lookup(hold)).HasField("amount_captured")


async def test_capturing_what_was_taken_with_its_hold_finds_it_taken(house: House) -> None:
    charge = house.attempt("charge")
    reference = (await house.send(charge)).processor_reference
    assert outcome(await house.send(house.attempt("capture", hold=reference))) == "SUCCEEDED"
    less = await house.send(house.attempt("capture", 800, hold=reference))
    assert outcome(less) != "SUCCEEDED"
    captured = [each for each in await house.events() if event_type(each) == "CAPTURED"]
    assert [each.attempt_id for each in captured] == [charge.id]


async def test_a_void_says_how_much_was_taken(house: House) -> None:
    charged = (await house.send(house.attempt("charge"))).processor_reference
    partly = await house.hold()
    await house.send(house.attempt("capture", 800, hold=partly))
    for reference, taken_minor in ((charged, 1250), (partly, 800)):
        void = await house.send(house.attempt("void", hold=reference))
        assert (outcome(void), void.retryable) == ("FAILED", False)
        assert (void.amount_captured.amount_minor, void.amount_captured.currency) == (
            taken_minor,
            "USD",
        )
    held = await house.hold()
    for _ in range(2):
        void = await house.send(house.attempt("void", hold=held))
        assert not void.HasField("amount_captured")


async def test_a_decline_takes_nothing(house: House) -> None:
    result = await house.send(house.attempt("charge", card="pm_card_visa_chargeDeclined"))
    assert (outcome(result), error_code(result)) == ("FAILED", "DECLINED")
    assert not result.HasField("amount_captured")


async def test_what_waits_for_its_customer_is_not_taken(house: House) -> None:
    charge = house.attempt("charge", card="pm_card_threeDSecure2Required")
    result = await house.send(charge)
    assert outcome(result) == "REQUIRES_ACTION"
    assert not result.HasField("amount_captured")
    void = house.attempt("void", hold=result.processor_reference)
    assert outcome(await house.send(void)) == "SUCCEEDED"


def test_an_answer_that_took_what_was_to_be_held_is_unknown() -> None:
    hold = Attempt(
        id=AttemptId.new(),
        payment_id=PaymentId.new(),
        step_id=StepId.new(),
        merchant_id=MerchantId.new(),
        processor_id="simulated",
        operation=Operation.AUTHORIZE,
        amount=Money(1250, Currency("USD")),
        instrument=PaymentInstrument(PaymentMethod.CARD, "pm_card_visa"),
    )
    echo = Echo(amount=hold.amount, hold="pi_1", attempt_id=hold.id)
    taken = Verdict(outcome=Outcome.SUCCEEDED, echo=echo, reference="pi_1", captured=hold.amount)
    charge = replace(hold, capture_at_once=True)
    assert judged(charge, taken) == taken
    less = replace(taken, captured=Money(1249, Currency("USD")))
    for attempt, answer in ((hold, taken), (charge, less)):
        verdict = judged(attempt, answer)
        assert (verdict.outcome, verdict.captured) == (Outcome.UNKNOWN, None)
        assert verdict.anomaly


async def test_nothing_else_takes_at_once(house: House) -> None:
    capture = house.attempt("capture", hold=await house.hold(), capture_at_once=True)
    with pytest.raises(InvalidArgument, match="capture_at_once"), typed_errors():
        await house.send(capture)
