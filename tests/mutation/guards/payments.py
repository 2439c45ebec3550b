"""What the domain of payments refuses, and how it takes what it is told."""

from typing import Final

from tests.mutation.guard import Cut, Guard

_DOMAIN: Final = "services/orchestrator/domain"
_REFUNDING: Final = f"{_DOMAIN}/refunding.py"
_SETTLING: Final = f"{_DOMAIN}/settling.py"
_HEARING: Final = f"{_DOMAIN}/hearing.py"
_NOTICING: Final = f"{_DOMAIN}/noticing.py"
_PLAN: Final = f"{_DOMAIN}/plan.py"
_PAYMENT_TESTS: Final = "tests/orchestrator/test_payment.py"
_HOLDS: Final = "tests/orchestrator/test_hearing_holds.py"
_ORDERS: Final = "tests/orchestrator/test_life_cycle.py"
_AT_ONCE: Final = "tests/orchestrator/test_taking_at_once.py"

GUARDS: Final = (
    Guard(
        "moves-in-code",
        "A payment moves by the allowed pairs alone, and says why it does not.",
        (Cut(f"{_DOMAIN}/state.py", "    if after in allowed:", "    if True:"),),
        (f"{_PAYMENT_TESTS}::test_every_move_is_one_of_the_pairs_or_refused",),
    ),
    Guard(
        "refund-headroom",
        "No more is asked back than is left.",
        (
            Cut(
                _REFUNDING,
                "if left.is_zero or (amount is not None and amount > left):",
                "if False:",
            ),
        ),
        (f"{_ORDERS}::test_what_is_not_allowed_says_the_state_and_writes_nothing",),
    ),
    Guard(
        "refund-of-captured-alone",
        "Nothing is returned of what was not taken.",
        (Cut(_REFUNDING, "        if self.state not in _TAKEN:", "        if False:"),),
        (f"{_ORDERS}::test_what_is_not_allowed_says_the_state_and_writes_nothing",),
    ),
    Guard(
        "refund-reserves-first",
        "A refund holds its amount before a processor is asked for it.",
        (Cut(_REFUNDING, "reserved=step.reserved + share", "reserved=step.reserved"),),
        ("tests/orchestrator/test_saving.py::test_a_refund_reserves_before_it_is_sent",),
    ),
    Guard(
        "capture-within-hold",
        "No more is captured than is held.",
        (Cut(f"{_DOMAIN}/taking.py", "        if wanted > held:", "        if False:"),),
        (f"{_ORDERS}::test_what_is_not_allowed_says_the_state_and_writes_nothing",),
    ),
    Guard(
        "doubt-is-no-failure",
        "What may have happened is never taken for failed, nor sent elsewhere.",
        (
            Cut(
                _SETTLING,
                "            case Outcome.FAILED:\n",
                "            case Outcome.FAILED | Outcome.UNKNOWN:\n",
            ),
        ),
        (f"{_PAYMENT_TESTS}::test_doubt_is_never_failed_over",),
    ),
    Guard(
        "success-names-its-hold",
        "A success that names no hold is in doubt, for nobody could take or return it.",
        (
            Cut(
                _SETTLING,
                "case Outcome.SUCCEEDED if attempt.hold or told.reference:",
                "case Outcome.SUCCEEDED:",
            ),
        ),
        ("tests/orchestrator/test_execution.py::test_a_success_that_names_no_hold_is_in_doubt",),
    ),
    Guard(
        "known-fact-changes-nothing",
        "What is told of twice moves money once.",
        (Cut(_SETTLING, "        if attempt.is_settled:", "        if False:"),),
        (f"{_PAYMENT_TESTS}::test_a_fact_that_is_known_changes_nothing",),
    ),
    Guard(
        "out-of-reach-is-no-release",
        "A hold is lost by the processor's word alone, not because nobody was reached.",
        (
            Cut(
                _SETTLING,
                "if source in _ASKED and self._must_come_about(told, execution):",
                "if False:",
            ),
        ),
        (
            "tests/orchestrator/test_out_of_reach.py::test_what_was_not_sent_stays_open_until_it_is_done",
        ),
    ),
    Guard(
        "doubt-settled-by-evidence",
        "An operator ends a doubt by evidence alone.",
        (
            Cut(
                _SETTLING,
                "if not evidence.source.strip() or not evidence.operator.strip():",
                "if False:",
            ),
        ),
        (f"{_PAYMENT_TESTS}::test_a_doubt_is_ended_by_whole_evidence_alone",),
    ),
    Guard(
        "failover-to-the-untried",
        "A step goes to no processor twice, and to none after its time.",
        (
            Cut(
                f"{_DOMAIN}/authorizing.py",
                "if another in self._untried(step.id) and has_time:",
                "if another is not None:",
            ),
        ),
        (
            f"{_PAYMENT_TESTS}::test_failover_is_to_a_candidate_not_tried_within_the_time_of_the_step",
        ),
    ),
    Guard(
        "authentication-expires",
        "Who never authenticates has an hour, and the payment fails then.",
        (Cut(f"{_DOMAIN}/authorizing.py", "if now >= expires_at:", "if False:"),),
        (f"{_PAYMENT_TESTS}::test_who_never_authenticates_is_waited_for_an_hour",),
    ),
    Guard(
        "plan-is-of-the-amount",
        "What is carried out sums to what was asked for.",
        (
            Cut(
                _PLAN,
                "elif Money.total((step.amount for step in self.steps), self.total.currency)"
                " != self.total:",
                "elif False:",
            ),
        ),
        (
            "tests/orchestrator/test_idempotency.py"
            "::test_what_cannot_be_carried_out_is_refused_and_nothing_is_written",
        ),
    ),
    Guard(
        "plan-is-of-the-request",
        "A plan of another amount than was asked for is refused.",
        (Cut(_PLAN, "if self.total != request.amount:", "if False:"),),
        (
            "tests/orchestrator/test_idempotency.py"
            "::test_what_cannot_be_carried_out_is_refused_and_nothing_is_written",
        ),
    ),
    Guard(
        "plan-fee-within-total",
        "A plan whose fee exceeds its total is refused.",
        (Cut(_PLAN, "elif self.platform_fee > self.total:", "elif False:"),),
        ("tests/orchestrator/test_words.py::test_a_fee_of_more_than_the_whole_is_refused",),
    ),
    Guard(
        "event-of-its-own-account",
        "What one account tells is never heard as of another.",
        (
            Cut(
                _HEARING,
                "if named is not None and named.processor_id != event.processor_id:",
                "if False:",
            ),
        ),
        (f"{_HOLDS}::test_what_is_told_of_another_account_s_object_is_of_nobody",),
    ),
    Guard(
        "event-in-its-currency",
        "What is told in another currency moves no money.",
        (
            Cut(
                _HEARING,
                "if event.amount is not None and event.amount.currency != self.amount.currency:",
                "if False:",
            ),
        ),
        (f"{_HOLDS}::test_an_amount_in_another_currency_is_for_a_person_to_look_at",),
    ),
    Guard(
        "held-less-is-not-held",
        "A hold of less than was asked for is not taken for the whole.",
        (
            Cut(
                _NOTICING,
                "if event.amount is not None and event.amount < hold.amount:",
                "if False:",
            ),
        ),
        (f"{_HOLDS}::test_less_than_was_asked_for_is_not_what_was_asked_for",),
    ),
    Guard(
        "captured-once",
        "What is taken already is not booked once more, whoever tells of it.",
        (
            Cut(
                _NOTICING,
                "        if step.is_taken:\n            return self._compare",
                "        if False:\n            return self._compare",
            ),
        ),
        (
            "tests/orchestrator/test_hearing_orders.py"
            "::test_every_order_comes_to_the_same_told_once_or_twice_or_all_over",
        ),
    ),
    Guard(
        "taken-at-once-if-asked",
        "A hold counts as taken by its own answer only where it was to be taken with it.",
        (
            Cut(
                f"{_DOMAIN}/authorizing.py",
                "if attempt.capture_at_once and execution.captured == attempt.amount:",
                "if execution.captured:",
            ),
        ),
        (f"{_AT_ONCE}::test_what_has_something_to_wait_for_is_only_held",),
    ),
    Guard(
        "every-try-says-the-same",
        "What was sent to be held is never sent again, under its key, to be taken.",
        (
            Cut(
                "services/orchestrator/store/reading.py",
                '        capture_at_once=row["capture_at_once"],\n',
            ),
        ),
        (f"{_AT_ONCE}::test_every_try_says_the_same_whoever_sends_it",),
    ),
    Guard(
        "late-taking-is-refunded",
        "What was taken too late is refunded; a void would leave it taken.",
        (Cut(_SETTLING, "taken = execution.captured is not None", "taken = False"),),
        (f"{_AT_ONCE}::test_what_was_taken_after_it_had_failed_is_returned_once",),
    ),
    Guard(
        "taken-before-a-void-is-refunded",
        "What was taken before it could be voided is refunded.",
        (
            Cut(
                _SETTLING,
                "        self._return_instead(void, execution, now)\n",
            ),
        ),
        (f"{_AT_ONCE}::test_a_customer_who_was_quicker_than_the_void_is_given_it_back",),
    ),
    Guard(
        "money-in-one-currency",
        "Amounts in two currencies are neither added nor compared.",
        (Cut("services/kernel/money.py", "    if expected != actual:", "    if False:"),),
        ("tests/kernel/test_money.py::test_currencies_never_mix",),
    ),
    Guard(
        "money-is-an-integer",
        "No float becomes an amount.",
        (Cut("services/kernel/money.py", "if type(self.amount_minor) is not int:", "if False:"),),
        ("tests/kernel/test_money.py::test_minor_units_are_whole_numbers_and_nothing_else",),
    ),
)
