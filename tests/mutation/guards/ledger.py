"""What keeps the ledger balanced, complete, unchanged and sealed."""

from typing import Final

from tests.mutation.guard import Cut, Guard

_JOURNAL: Final = "migrations/versions/ledger/ledger_0001_journal.py"
_BOUNDS: Final = "migrations/versions/ledger/ledger_0002_bounds.py"
_DRAFT: Final = "services/ledger/domain/transaction.py"
_WRITER: Final = "services/ledger/store/writer.py"
_QUERIES: Final = "services/ledger/store/queries.sql"
_VERIFICATION: Final = "services/ledger/domain/verification.py"
_BY_HAND: Final = "tests/ledger/test_database_guards.py"

GUARDS: Final = (
    Guard(
        "ledger-balance-in-database",
        "Whoever writes, each transaction sums to zero in every currency.",
        (Cut(_JOURNAL, "or bool_or(legs.total <> 0)\n", "or false\n"),),
        (f"{_BY_HAND}::test_an_unbalanced_transaction_is_refused",),
    ),
    Guard(
        "ledger-balance-in-code",
        "A transaction that does not sum to zero cannot even be drafted.",
        (Cut(_DRAFT, "        if unbalanced:", "        if False:"),),
        (
            "tests/ledger/test_transaction.py"
            "::test_what_does_not_sum_to_zero_in_every_currency_is_refused",
        ),
    ),
    Guard(
        "ledger-legs-complete",
        "No leg of a transaction is missing or one too many.",
        (
            Cut(
                _JOURNAL,
                "        or sum(legs.count) <> header.leg_count\n"
                "        or max(legs.last) <> header.leg_count\n",
            ),
        ),
        (f"{_BY_HAND}::test_legs_other_than_the_header_counts_are_refused",),
    ),
    Guard(
        "ledger-legs-have-a-header",
        "No leg stands without a transaction that counts it.",
        (Cut(_JOURNAL, "having header.leg_count is null\n        or", "having"),),
        (f"{_BY_HAND}::test_entries_without_a_header_are_refused",),
    ),
    Guard(
        "ledger-leg-once",
        "A leg's number is taken once, so that none comes in later.",
        (Cut(_JOURNAL, "primary key (transaction_id, leg)\n", "unique (id)\n"),),
        (f"{_BY_HAND}::test_a_leg_that_comes_later_is_refused_even_where_it_balances",),
    ),
    Guard(
        "ledger-no-empty-transaction",
        "No transaction stands without its legs.",
        (
            Cut(
                _JOURNAL,
                "for each statement execute function ledger.refuse_empty_transactions();",
                "for each statement when (false)"
                " execute function ledger.refuse_empty_transactions();",
            ),
        ),
        (f"{_BY_HAND}::test_a_header_without_entries_is_refused",),
    ),
    Guard(
        "ledger-leg-not-zero",
        "A leg moves something.",
        (Cut(_JOURNAL, " check (amount <> 0)"),),
        (f"{_BY_HAND}::test_a_zero_amount_is_refused",),
    ),
    Guard(
        "ledger-leg-bound-in-database",
        "A leg is so bounded that sums do not overflow, whoever writes it.",
        (Cut(_BOUNDS, "amount between -1000000000000000 and 1000000000000000", "true"),),
        (f"{_BY_HAND}::test_a_leg_beyond_the_largest_is_refused",),
    ),
    Guard(
        "ledger-leg-bound-in-code",
        "A leg beyond the bound is refused by its field.",
        (
            Cut(
                _DRAFT,
                "elif abs(entry.amount.amount_minor) > MAX_LEG_MINOR:",
                "elif False:",
            ),
        ),
        ("tests/ledger/test_transaction.py::test_a_broken_rule_is_named_with_its_field",),
    ),
    Guard(
        "ledger-append-only",
        "What stands in the ledger is neither changed nor removed, by its owner neither.",
        (
            Cut(
                _JOURNAL,
                '" for each statement execute function ledger.refuse_change()"',
                '" for each statement when (false) execute function ledger.refuse_change()"',
            ),
        ),
        (f"{_BY_HAND}::test_nothing_is_changed_or_removed",),
    ),
    Guard(
        "ledger-triggers-always",
        "The ledger's triggers fire for a session that silences ordinary ones.",
        (Cut(_JOURNAL, "enable always trigger {trigger}", "enable trigger {trigger}"),),
        (f"{_BY_HAND}::test_the_guards_hold_for_who_silences_ordinary_triggers",),
    ),
    Guard(
        "ledger-application-role",
        "The application's login can neither backdate a row nor change one.",
        (
            Cut(
                _JOURNAL,
                '"select, insert (id, reference_id, idempotency_key, fingerprint, leg_count)"',
                '"select, insert, update, delete"',
            ),
        ),
        (f"{_BY_HAND}::test_the_application_can_neither_backdate_nor_disarm",),
    ),
    Guard(
        "ledger-key-once",
        "One transaction stands under an idempotency key.",
        (
            Cut(
                _JOURNAL,
                'idempotency_key text collate "C" not null unique\n',
                'idempotency_key text collate "C" not null\n',
            ),
            Cut(_QUERIES, "on conflict (idempotency_key) do nothing", "on conflict do nothing"),
        ),
        (
            "tests/ledger/test_posting.py"
            "::test_a_hundred_at_once_with_one_key_write_one_transaction",
        ),
    ),
    Guard(
        "ledger-key-same-body",
        "A key that stands for another body is a conflict, and no replay.",
        (Cut(_WRITER, 'if row["fingerprint"] == asked[key].fingerprint:', "if True:"),),
        (
            "tests/ledger/test_posting.py"
            "::test_the_same_key_with_another_body_is_a_conflict_that_names_the_fields",
        ),
    ),
    Guard(
        "ledger-no-card-numbers",
        "No card number is written where nothing is ever taken away again.",
        (Cut(_DRAFT, "    if find_card_numbers(text):", "    if False:"),),
        ("tests/ledger/test_transaction.py::test_a_broken_rule_is_named_with_its_field",),
    ),
    Guard(
        "seal-contents",
        "Rows behind a seal that were changed are found.",
        (Cut(_VERIFICATION, "if found == block.contents:", "if True:"),),
        ("tests/ledger/test_seals.py::test_tampering_with_the_sealed_past_is_found",),
    ),
    Guard(
        "seal-own-hash",
        "A block whose own fields were changed is found.",
        (Cut(_VERIFICATION, "if block.hash != block.computed_hash:", "if False:"),),
        ("tests/ledger/test_seals.py::test_tampering_with_the_sealed_past_is_found",),
    ),
    Guard(
        "seal-chain",
        "A block that was made anew breaks the chain of those after it.",
        (Cut(_VERIFICATION, "if block.previous_hash != previous.hash:", "if False:"),),
        ("tests/ledger/test_seals.py::test_tampering_with_the_sealed_past_is_found",),
    ),
    Guard(
        "seal-strays",
        "Rows that were slipped in between the blocks are found.",
        (Cut(_VERIFICATION, "    if count > 0:", "    if False:"),),
        ("tests/ledger/test_seals.py::test_tampering_with_the_sealed_past_is_found",),
    ),
    Guard(
        "seal-waits-for-open-transactions",
        "Nothing is sealed below which something can still be committed.",
        (
            Cut(
                _QUERIES,
                "select pg_snapshot_xmin(pg_current_snapshot())::text as safe_below",
                "select pg_snapshot_xmax(pg_current_snapshot())::text as safe_below",
            ),
        ),
        (
            "tests/ledger/test_seals.py"
            "::test_nothing_is_sealed_below_which_a_transaction_is_still_open",
        ),
    ),
)
