"""What keeps a processor from being asked twice, or its answer from being taken for another's."""

from typing import Final

from tests.mutation.guard import Cut, Guard

_RUN: Final = "services/router/service/run.py"
_FAILURE: Final = "services/router/domain/failure.py"
_PROCESSORS: Final = "services/processor/service/processors.py"
_VERDICT: Final = "services/processor/domain/verdict.py"
_STRIPE: Final = "services/processor/adapters/stripe"
_ROUTED: Final = "tests/router/test_execution.py"
_MISFITS: Final = (
    "tests/processor/test_stripe_answers.py"
    "::test_an_answer_that_does_not_fit_is_an_anomaly_and_no_success"
)
_CONFORMANCE: Final = "tests/processor/test_conformance_trouble.py"

GUARDS: Final = (
    Guard(
        "unknown-goes-nowhere",
        "An outcome that stays unknown is never sent to another processor.",
        (
            Cut(
                _RUN,
                "if order.operation is not Operation.AUTHORIZE"
                " or answer.outcome is not Outcome.FAILED:",
                "if order.operation is not Operation.AUTHORIZE:",
            ),
            Cut(
                _FAILURE,
                "    if answer.outcome is not Outcome.FAILED:\n"
                "        return None\n"
                "    if answer.error_code in _ELSEWHERE:",
                "    if answer.error_code in {*_ELSEWHERE, ErrorCode.TIMEOUT}:",
            ),
        ),
        (f"{_ROUTED}::test_an_outcome_that_stays_unknown_goes_nowhere",),
    ),
    Guard(
        "unknown-is-looked-up",
        "What may have happened is looked up before anything else is done.",
        (Cut(_RUN, "            if answer.outcome is Outcome.UNKNOWN:", "            if False:"),),
        (f"{_ROUTED}::test_an_unknown_outcome_is_looked_up",),
    ),
    Guard(
        "decline-stays-where-it-was-given",
        "A decline of the card is not tried at processor after processor.",
        (Cut(_FAILURE, "if is_soft and on_soft_decline else None", "if is_soft else None"),),
        (f"{_ROUTED}::test_a_soft_decline_goes_on_only_where_the_configuration_says_so",),
    ),
    Guard(
        "held-stays-with-its-holder",
        "What is captured, voided or returned goes to no other processor.",
        (
            Cut(
                _RUN,
                "if order.operation is not Operation.AUTHORIZE"
                " or answer.outcome is not Outcome.FAILED:",
                "if answer.outcome is not Outcome.FAILED:",
            ),
        ),
        (f"{_ROUTED}::test_what_is_held_stays_with_the_processor_that_holds_it",),
    ),
    Guard(
        "sent-before-stays-in-doubt",
        "What may have been sent before has not failed because it fails this time.",
        (
            Cut(
                _RUN,
                "if order.may_have_been_sent and says_nothing_of_before(answer):",
                "if False:",
            ),
        ),
        (f"{_ROUTED}::test_what_was_sent_before_is_in_doubt_however_it_fails_this_time",),
    ),
    Guard(
        "key-forgotten-in-router",
        "After its key may be forgotten an attempt is looked up, and never sent.",
        (Cut(_RUN, "if order.is_key_forgotten(self._means.clock.now()):", "if False:"),),
        (f"{_ROUTED}::test_after_its_key_is_forgotten_an_attempt_is_looked_up_and_never_sent",),
    ),
    Guard(
        "key-forgotten-in-processor",
        "The processor's own service sends nothing under a key that may be forgotten.",
        (
            Cut(
                _PROCESSORS,
                "            if attempt.is_key_forgotten(self._clock.now()):\n",
                "            if False:\n",
            ),
        ),
        (f"{_CONFORMANCE}::test_a_key_that_may_be_forgotten_is_never_sent_again",),
    ),
    Guard(
        "lookup-without-forgotten-key",
        "A lookup makes nothing under a key that may be forgotten.",
        (
            Cut(
                _PROCESSORS,
                "known_key = None if attempt.is_key_forgotten(self._clock.now())"
                " else checked_key(key)",
                "known_key = checked_key(key)",
            ),
        ),
        (
            "tests/processor/test_stripe_faults.py"
            "::test_a_key_that_stripe_has_forgotten_makes_no_second_intent",
            f"{_CONFORMANCE}::test_what_was_done_is_found_when_the_key_may_be_forgotten",
        ),
    ),
    Guard(
        "answer-judged",
        "An answer that does not fit what was asked is no success.",
        (Cut(_PROCESSORS, "return judged(attempt, await ask())", "return await ask()"),),
        (_MISFITS,),
    ),
    Guard(
        "answer-of-the-amount",
        "An answer of another amount or currency is no success.",
        (Cut(_VERDICT, "    if echo.amount != attempt.amount:", "    if False:"),),
        (_MISFITS,),
    ),
    Guard(
        "answer-of-what-was-asked",
        "An answer that has taken what was to be held is no success.",
        (
            Cut(
                _VERDICT,
                "    if not is_failure and verdict.captured not in may_be_taken:",
                "    if False:",
            ),
        ),
        (
            "tests/processor/test_charging.py::test_an_answer_that_took_what_was_to_be_held_is_unknown",
        ),
    ),
    Guard(
        "answer-of-the-hold",
        "An answer about another hold is no success.",
        (
            Cut(
                _VERDICT,
                "if attempt.hold is not None and echo.hold != attempt.hold:",
                "if False:",
            ),
        ),
        (_MISFITS,),
    ),
    Guard(
        "answer-of-the-attempt",
        "An answer about another attempt is no success.",
        (Cut(_VERDICT, "    if carries and echo.attempt_id != attempt.id:", "    if False:"),),
        (_MISFITS,),
    ),
    Guard(
        "confirmed-only-if-ours",
        "An intent that may not be ours is not confirmed.",
        (
            Cut(
                f"{_STRIPE}/adapter.py",
                "        check_echo(attempt, intent.echo(intent.amount), raw(created))\n"
                "        with _about",
                "        with _about",
            ),
        ),
        (
            "tests/processor/test_stripe_faults.py"
            "::test_an_intent_that_may_not_be_ours_is_not_confirmed",
        ),
    ),
    Guard(
        "requests-have-keys",
        "Whatever moves money is asked for under the attempt's key.",
        (Cut(f"{_STRIPE}/api.py", 'return {"idempotency_key": key}', "return {}"),),
        (
            "tests/processor/test_stripe_requests.py"
            "::test_every_request_that_moves_money_has_the_attempts_key",
        ),
    ),
    Guard(
        "one-request-a-call",
        "The processor's library repeats nothing by itself.",
        (Cut(f"{_STRIPE}/api.py", "max_network_retries=0", "max_network_retries=2"),),
        (
            "tests/processor/test_stripe_answers.py"
            "::test_one_call_is_one_request_whatever_is_answered",
        ),
    ),
    Guard(
        "no-answer-is-doubt",
        "Time that runs out proves nothing.",
        (
            Cut(
                _PROCESSORS,
                'return NoAnswer("no answer in time").verdict',
                'return NotSent("no answer in time").verdict',
            ),
        ),
        (f"{_CONFORMANCE}::test_an_answer_that_never_comes_is_unknown_in_time",),
    ),
    Guard(
        "lost-answer-is-doubt",
        "A connection that breaks after sending proves nothing.",
        (
            Cut(
                f"{_STRIPE}/transport.py",
                'raise NoAnswer(f"no answer: {_said(error)}") from error',
                'raise NotSent(f"no answer: {_said(error)}") from error',
            ),
        ),
        (
            f"{_CONFORMANCE}"
            "::test_an_answer_lost_or_spoilt_is_unknown_and_the_lookup_finds_what_was_done",
        ),
    ),
    Guard(
        "lookup-not-sent-proves-nothing",
        "A question that was not sent says nothing of what was asked about.",
        (
            Cut(
                _PROCESSORS,
                "raise NoAnswer(trouble.message, reference=trouble.reference) from trouble",
                "raise",
            ),
        ),
        (
            "tests/processor/test_service.py"
            "::test_a_processor_not_reached_has_failed_the_attempt_but_not_the_lookup",
        ),
    ),
    Guard(
        "whole-number-for-stripe",
        "An amount that Stripe has no number for is not sent as another.",
        (
            Cut(
                f"{_STRIPE}/currency.py",
                "    if rest:\n        raise CannotAsk(",
                "    if False:\n        raise CannotAsk(",
            ),
        ),
        (
            "tests/processor/test_stripe_faults.py"
            "::test_an_amount_that_stripe_has_no_number_for_is_not_sent",
        ),
    ),
)
