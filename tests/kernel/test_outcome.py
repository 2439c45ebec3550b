"""Result words: every code has its sentence for the customer and its default for a retry."""

import pytest

from services.kernel.outcome import ErrorCode, Outcome


def test_outcomes_are_these_five() -> None:
    assert {outcome.value for outcome in Outcome} == {
        "succeeded",
        "failed",
        "requires_action",
        "pending",
        "unknown",
    }


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("insufficient_funds", "Card declined due to insufficient funds"),
        ("declined", "Card declined. Please use another card"),
        ("expired_card", "Card expired. Please use a valid card"),
        ("processing_error", "Payment processing failed. Please try again"),
    ],
)
def test_promised_messages_are_told_word_for_word(code: str, message: str) -> None:
    assert ErrorCode(code).user_message == message


def test_every_code_has_a_message_of_its_own() -> None:
    messages = [code.user_message for code in ErrorCode]
    assert all(messages)
    assert len(set(messages)) == len(messages)


def test_only_what_may_pass_is_retried() -> None:
    assert {code.value for code in ErrorCode if code.is_retryable} == {
        "timeout",
        "rate_limited",
        "network_failure",
        "processing_error",
    }
