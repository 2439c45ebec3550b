"""What the database refuses of payments, whoever sends the SQL."""

from typing import Final

from tests.mutation.guard import Cut, Guard

_PAYMENTS: Final = "migrations/versions/payments/payments_0001_payments.py"
_PARTS: Final = "migrations/versions/payments/payments_0002_parts.py"
_LIFE: Final = "migrations/versions/payments/payments_0003_life_cycle.py"
_RETRIES: Final = "migrations/versions/payments/payments_0007_retries.py"
_BOUNDS: Final = "migrations/versions/payments/payments_0008_bounds.py"
_WRITING_SQL: Final = "services/orchestrator/store/writing.sql"
_BY_HAND: Final = "tests/orchestrator/test_database_guards.py"
_SINGLES: Final = "tests/orchestrator/test_database_singles.py"


def _silenced(file: str, function: str, before: str = "") -> Cut:
    """A trigger that is still there, and never calls its function."""
    call = f"execute function payments.{function}()"
    return Cut(
        file,
        f"{before}for each statement {call}",
        f"{before}for each statement when (false) {call}",
    )


GUARDS: Final = (
    Guard(
        "payment-moves",
        "A payment moves by the allowed pairs alone.",
        (_silenced(_PAYMENTS, "refuse_illegal_move"),),
        (
            "tests/orchestrator/test_database_moves.py"
            "::test_the_database_takes_two_moves_at_once_when_both_are_told_and_no_more",
        ),
    ),
    Guard(
        "payment-transitions",
        "What is written down of its moves are allowed pairs, too.",
        (_silenced(_PAYMENTS, "refuse_illegal_transition"),),
        (f"{_SINGLES}::test_a_transition_that_no_move_may_make_is_not_written_down",),
    ),
    Guard(
        "payment-moves-told",
        "No payment changes its state without a word of why.",
        (
            _silenced(
                _PAYMENTS,
                "refuse_untold_state",
                "create trigger refuse_untold_move after update on payments.payments\n"
                "    referencing new table as new_payments\n    ",
            ),
        ),
        (f"{_BY_HAND}::test_a_legal_move_is_refused_when_nothing_tells_why",),
    ),
    Guard(
        "payment-beginning",
        "A payment begins at its beginning, and not as captured.",
        (_silenced(_PAYMENTS, "refuse_skipped_beginning"),),
        (f"{_BY_HAND}::test_not_even_a_whole_history_lets_a_payment_begin_later",),
    ),
    Guard(
        "payment-answer-stays",
        "What a caller was told never changes.",
        (_silenced(_PAYMENTS, "refuse_other_answer"),),
        (f"{_BY_HAND}::test_an_answer_never_changes",),
    ),
    Guard(
        "payment-rows-stay",
        "Payments, plans, keys and what happened to them are never removed.",
        (_silenced(_PAYMENTS, "refuse_change", '        " '),),
        (f"{_BY_HAND}::test_what_happened_is_only_ever_added_to",),
    ),
    Guard(
        "payment-parts-stay",
        "Steps, attempts and postings are never removed.",
        (_silenced(_PARTS, "refuse_change"),),
        (f"{_BY_HAND}::test_what_happened_is_only_ever_added_to",),
    ),
    Guard(
        "refunds-disputes-and-events-stay",
        "Refunds, disputes and what processors told are never removed.",
        (_silenced(_LIFE, "refuse_change"),),
        (f"{_BY_HAND}::test_what_happened_is_only_ever_added_to",),
    ),
    Guard(
        "posting-retries-stay",
        "Who had postings tried again, and why, stays written down.",
        (_silenced(_RETRIES, "refuse_change"),),
        (f"{_BY_HAND}::test_what_happened_is_only_ever_added_to",),
    ),
    Guard(
        "payment-triggers-always",
        "The triggers on payments fire for a session that silences ordinary ones.",
        (Cut(_PAYMENTS, "enable always trigger {trigger}", "enable trigger {trigger}"),),
        (f"{_BY_HAND}::test_the_guards_hold_for_who_silences_ordinary_triggers",),
    ),
    Guard(
        "payment-application-role",
        "The application's login cannot change whose a payment is, or how much.",
        (
            Cut(
                _PAYMENTS,
                'f" request, created_at, {_CHANGES}), update ({_CHANGES})",',
                'f" request, created_at, {_CHANGES}), update",',
            ),
        ),
        (f"{_BY_HAND}::test_the_application_changes_only_what_may_change",),
    ),
    Guard(
        "payment-key-once",
        "One idempotency key makes one payment.",
        (
            Cut(
                _PAYMENTS,
                "    primary key (merchant_id, key),\n",
                "    primary key (merchant_id, key, payment_id),\n",
            ),
            Cut(_PAYMENTS, "    unique (merchant_id, idempotency_key),\n"),
            Cut(
                _WRITING_SQL, "on conflict (merchant_id, key) do nothing", "on conflict do nothing"
            ),
        ),
        (
            "tests/orchestrator/test_idempotency.py::test_fifty_at_once_with_one_key_are_one_payment",
        ),
    ),
    Guard(
        "payment-key-once-behind-it",
        "Not even past the table of keys has a merchant two payments under one.",
        (Cut(_PAYMENTS, "    unique (merchant_id, idempotency_key),\n"),),
        (f"{_SINGLES}::test_a_key_makes_one_payment_whatever_the_table_of_keys_says",),
    ),
    Guard(
        "one-open-attempt-a-step",
        "Nothing is asked of two processors at once, and doubt is never sent elsewhere.",
        (
            Cut(
                _LIFE,
                "create unique index attempts_one_open_a_step",
                "create index attempts_one_open_a_step",
            ),
        ),
        (f"{_BY_HAND}::test_a_step_has_one_open_attempt",),
    ),
    Guard(
        "one-attempt-a-refund-part",
        "A part of a refund is paid out by one attempt.",
        (
            Cut(
                _LIFE,
                "create unique index attempts_one_a_part",
                "create index attempts_one_a_part",
            ),
        ),
        (f"{_BY_HAND}::test_a_part_of_a_refund_has_one_attempt",),
    ),
    Guard(
        "late-success-given-back-once",
        "What came late is released once and returned once.",
        (
            Cut(
                _BOUNDS,
                "create unique index attempts_one_giving_back",
                "create index attempts_one_giving_back",
            ),
        ),
        (f"{_BY_HAND}::test_what_came_late_is_released_once_and_returned_once",),
    ),
    Guard(
        "attempt-key-once",
        "No two attempts go to a processor under one key.",
        (
            Cut(
                _PARTS,
                'idempotency_key text collate "C" not null unique,\n    key_expires_at',
                'idempotency_key text collate "C" not null,\n    key_expires_at',
            ),
        ),
        (f"{_SINGLES}::test_no_two_attempts_go_by_one_key",),
    ),
    Guard(
        "refund-headroom-in-database",
        "No more goes back than was captured, however many ask at once.",
        (
            Cut(
                _PARTS,
                "refunded::numeric + refund_reserved + disputed <= captured::numeric + excess",
                "true",
            ),
        ),
        (f"{_BY_HAND}::test_no_more_goes_back_than_was_captured",),
    ),
    Guard(
        "fee-returned-bound",
        "No more of the fee goes back than was charged.",
        (Cut(_LIFE, "check (fee_returned <= platform_fee)", "check (true)"),),
        (f"{_BY_HAND}::test_the_fee_that_goes_back_is_at_most_the_fee",),
    ),
    Guard(
        "fee-bound",
        "No fee exceeds what was taken.",
        (Cut(_BOUNDS, "check (platform_fee <= captured)", "check (true)"),),
        (f"{_BY_HAND}::test_the_fee_is_at_most_what_was_captured",),
    ),
    Guard(
        "ends-once",
        "An attempt, a refund and its parts end once.",
        (Cut(_LIFE, "where before.state in ('succeeded', 'failed') and", "where false and"),),
        (f"{_BY_HAND}::test_what_has_ended_ends_once",),
    ),
    Guard(
        "refund-known-once",
        "What a processor calls a refund is one part of one refund here.",
        (
            Cut(
                _LIFE,
                "create unique index refund_parts_by_reference",
                "create index refund_parts_by_reference",
            ),
        ),
        (f"{_SINGLES}::test_a_refund_at_the_processor_is_one_part_here",),
    ),
    Guard(
        "dispute-known-once",
        "What a processor calls a dispute is one dispute here.",
        (Cut(_LIFE, "    unique (processor_id, processor_reference),\n"),),
        (f"{_SINGLES}::test_a_dispute_at_the_processor_is_one_here",),
    ),
    Guard(
        "posting-key-once",
        "A payment owes the ledger each thing once.",
        (
            Cut(
                _PARTS,
                'idempotency_key text collate "C" not null unique,\n    amount',
                'idempotency_key text collate "C" not null,\n    amount',
            ),
        ),
        (f"{_SINGLES}::test_a_posting_is_owed_once",),
    ),
    Guard(
        "posted-with-its-transaction",
        "No posting is said to be booked without the transaction that books it.",
        (Cut(_PARTS, "    check ((state = 'posted') = (transaction_id is not null)),\n"),),
        (f"{_SINGLES}::test_a_posting_is_posted_exactly_with_its_transaction",),
    ),
)
