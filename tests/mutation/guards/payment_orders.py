"""Who may change a payment, and when: keys, versions, leases, quotas, tenants and the poster."""

from typing import Final

from tests.mutation.guard import Cut, Guard

_PAYMENT_SQL: Final = "services/orchestrator/store/payments.sql"
_POLICY_SQL: Final = "services/orchestrator/store/policy.sql"
_WRITING_SQL: Final = "services/orchestrator/store/writing.sql"
_WRITING: Final = "services/orchestrator/store/writing.py"
_ERRANDS: Final = "services/orchestrator/service/errands.py"
_READING: Final = "services/orchestrator/service/reading.py"
_RECOVERY: Final = "tests/orchestrator/test_recovery.py"
_OVERTAKEN: Final = "tests/orchestrator/test_overtaken.py"
_POSTING: Final = "tests/orchestrator/test_posting.py"
_LIMITS: Final = "tests/orchestrator/test_policy_enforcing.py"

GUARDS: Final = (
    Guard(
        "key-same-body",
        "A key that stands for another request is a conflict, and no replay.",
        (
            Cut(
                "services/orchestrator/domain/command.py",
                "    if standing.fingerprint != command.fingerprint:",
                "    if False:",
            ),
        ),
        (
            "tests/orchestrator/test_idempotency.py"
            "::test_a_key_with_another_body_is_a_conflict_that_names_the_fields",
        ),
    ),
    Guard(
        "version-compared",
        "A change is saved only onto what it was made from.",
        (
            Cut(
                _WRITING_SQL,
                "where payment.id = change.id and payment.version = change.expected_version\n",
                "where payment.id = change.id\n",
            ),
        ),
        (
            "tests/orchestrator/test_saving.py::test_of_two_who_read_the_same_payment_one_returns_its_money",
        ),
    ),
    Guard(
        "callers-version-compared",
        "An order about a version that has passed is refused.",
        (
            Cut(
                "services/orchestrator/domain/payment.py",
                "if expected not in (0, self._saved_version):",
                "if False:",
            ),
        ),
        ("tests/orchestrator/test_life_cycle.py::test_a_stale_version_is_refused",),
    ),
    Guard(
        "lease-epoch-on-verdicts",
        "The verdict of a driver who was overtaken is not saved.",
        (
            Cut(
                _WRITING_SQL,
                "       and (payment.lease_epoch = change.lease_epoch or not change.is_drivers)\n",
            ),
        ),
        (f"{_OVERTAKEN}::test_the_statement_itself_refuses_the_verdict_of_who_was_overtaken",),
    ),
    Guard(
        "overtaken-fails-nothing",
        "A failure that an overtaken driver tells lets nobody be charged a second time.",
        (
            Cut(
                _ERRANDS,
                "epoch=None if execution.outcome is Outcome.SUCCEEDED else epoch,",
                "epoch=None,",
            ),
        ),
        (
            f"{_OVERTAKEN}"
            "::test_a_failure_that_who_was_overtaken_tells_charges_nobody_a_second_time",
        ),
    ),
    Guard(
        "driven-by-one",
        "What somebody drives is taken up by nobody else.",
        (
            Cut(
                _PAYMENT_SQL,
                "where due_at <= $1 and (lease_until is null or lease_until <= now())",
                "where due_at <= $1",
            ),
        ),
        ("tests/orchestrator/test_saving.py::test_what_is_driven_is_taken_up_by_nobody_else",),
    ),
    Guard(
        "looked-up-before-sent-again",
        "What may have been sent is looked up before it is sent again.",
        (
            Cut(
                _ERRANDS,
                "if attempt.id in self._sent or attempt.id not in self._unsent:",
                "if False:",
            ),
        ),
        (f"{_RECOVERY}::test_what_may_have_been_sent_is_looked_up_before_it_is_sent_again",),
    ),
    Guard(
        "says-that-it-may-have-been-sent",
        "Who sends again says so, so that failing this time proves nothing of the first.",
        (Cut(_ERRANDS, "replace(order, sent_before=True)", "replace(order, sent_before=False)"),),
        (f"{_RECOVERY}::test_a_repeat_that_does_not_get_through_proves_nothing",),
    ),
    Guard(
        "doubt-not-resent-after-key",
        "What is in doubt is only looked up once its key may be forgotten, and never sent.",
        (
            Cut(_ERRANDS, " and self._now() < attempt.key_expires_at:", ":"),
            Cut(
                "services/router/service/run.py",
                "if order.is_key_forgotten(self._means.clock.now()):",
                "if False:",
            ),
        ),
        (f"{_RECOVERY}::test_what_is_in_doubt_is_only_looked_up_once_the_key_may_be_forgotten",),
    ),
    Guard(
        "event-applied-once",
        "What a processor tells is taken once, however many bring it at once.",
        (
            Cut(
                "migrations/versions/payments/payments_0003_life_cycle.py",
                "    primary key (processor_id, event_id)\n",
                "    primary key (processor_id, event_id, applied_at)\n",
            ),
            Cut(
                _WRITING_SQL,
                "on conflict (processor_id, event_id) do nothing",
                "on conflict do nothing",
            ),
        ),
        (
            "tests/orchestrator/test_hearing_door.py"
            "::test_an_event_told_again_is_told_as_it_was_then",
        ),
    ),
    Guard(
        "quotas-claimed",
        "No more attempts, and no more money, than a merchant's limits allow.",
        (Cut(_WRITING, "            or await claim_quotas(connection, units)\n"),),
        (f"{_LIMITS}::test_a_sixth_attempt_within_an_hour_is_refused_and_writes_nothing",),
    ),
    Guard(
        "quotas-held",
        "Two processes never draw the same rest of a quota.",
        (
            Cut(
                _POLICY_SQL,
                "     order by quota.merchant_id, quota.rule, quota.subject\n"
                "       for update of quota\n",
                "     order by quota.merchant_id, quota.rule, quota.subject\n",
            ),
        ),
        (
            "tests/orchestrator/test_policy_drawing.py"
            "::test_what_one_process_draws_the_other_sees_wave_after_wave",
        ),
    ),
    Guard(
        "quotas-drawn-by-all-or-none",
        "Who is refused by one limit draws nothing of another.",
        (
            Cut(
                "services/orchestrator/domain/quota.py",
                "            refused[place] = _exhausted(*max(full, key=itemgetter(0)))\n"
                "            continue\n",
                "            refused[place] = _exhausted(*max(full, key=itemgetter(0)))\n",
            ),
        ),
        (
            "tests/orchestrator/test_policy_quotas.py"
            "::test_who_is_refused_by_one_quota_draws_nothing_of_the_others",
        ),
    ),
    Guard(
        "orders-of-ones-own",
        "Nobody orders anything about another merchant's payment.",
        (
            Cut(
                "services/orchestrator/service/desk.py",
                "if payment is None or merchant_id not in (None, payment.merchant_id):",
                "if payment is None:",
            ),
        ),
        ("tests/orchestrator/test_life_cycle.py::test_what_is_not_ones_own_is_not_there",),
    ),
    Guard(
        "refunds-of-ones-own",
        "Another merchant's refunds and disputes are not there.",
        (
            Cut(
                _READING,
                "if found is None or merchant_id not in (None, found.merchant_id):",
                "if found is None:",
            ),
        ),
        (
            "tests/orchestrator/test_reading.py"
            "::test_what_is_another_merchants_is_refused_in_the_words_for_what_is_not_there",
        ),
    ),
    Guard(
        "stories-of-ones-own",
        "Another merchant's payment is not explained.",
        (
            Cut(
                _READING,
                "if story is None or merchant_id not in (None, story.payment.merchant_id):",
                "if story is None:",
            ),
        ),
        (
            "tests/orchestrator/test_explain.py"
            "::test_another_merchants_payment_is_refused_as_if_it_were_not_there",
        ),
    ),
    Guard(
        "lists-of-ones-own",
        "A merchant's list holds no other merchant's payments.",
        (
            Cut(
                _PAYMENT_SQL,
                "($1::uuid is null or merchant_id = $1)",
                "($1::uuid is null or true)",
            ),
        ),
        ("tests/orchestrator/test_listing.py::test_a_list_holds_what_is_asked_for",),
    ),
    Guard(
        "posting-sent-under-its-key",
        "However often a posting is sent, the ledger books it once.",
        (
            Cut(
                "services/orchestrator/translate/posting.py",
                "            transaction_pb2.TransactionDraft(\n"
                "                idempotency_key=posting.idempotency_key,",
                "            transaction_pb2.TransactionDraft(\n"
                "                idempotency_key=str(posting.try_count),",
            ),
        ),
        (f"{_POSTING}::test_what_was_booked_and_not_marked_is_booked_once",),
    ),
    Guard(
        "posting-key-of-its-step",
        "The posting of a capture goes by the key of its step, and not by one made up for it.",
        (
            Cut(
                "services/orchestrator/domain/posting.py",
                'idempotency_key=f"capture:{step.id}",',
                'idempotency_key=f"capture:{PostingId.new()}",',
            ),
        ),
        ("tests/orchestrator/test_execution.py::test_a_payment_is_authorized_captured_and_booked",),
    ),
    Guard(
        "booked-unheard-is-found",
        "Nobody is told that a posting failed which the ledger has.",
        (
            Cut(
                "services/orchestrator/service/posting.py",
                "if found := await self._found(verdict.rejected):",
                "if found := dict[PostingId, Booked]():",
            ),
        ),
        (f"{_POSTING}::test_what_was_booked_unheard_is_found_before_a_person_is_told",),
    ),
)
