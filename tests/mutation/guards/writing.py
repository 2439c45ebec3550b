"""What makes a commit certain, a message's effect single, and a configuration lasting."""

from typing import Final

from tests.mutation.guard import Cut, Guard

_SESSION: Final = "services/runtime/group_commit/session.py"
_MESSAGES: Final = "migrations/versions/messaging/messaging_0001_outbox_and_inbox.py"
_CONFIGS: Final = "migrations/versions/config/config_0001_versions.py"
_COMMITTED: Final = "tests/runtime/test_group_commit.py"

GUARDS: Final = (
    Guard(
        "commit-without-answer-is-looked-up",
        "A COMMIT whose answer is lost is neither taken for lost nor written twice.",
        (
            Cut(
                _SESSION,
                "if not is_retryable(error) and await self._find_out(xid):",
                "if False:",
            ),
        ),
        (f"{_COMMITTED}::test_a_connection_cut_inside_commit_never_makes_a_caller_hear_a_lie",),
    ),
    Guard(
        "commit-known-by-its-mark",
        "Another's transaction is no proof of ours.",
        (
            Cut(
                _SESSION,
                "return bool(await connection.fetchval(_READ_MARK, self._writer) == self._batch)",
                "return await connection.fetchval("
                "'select pg_xact_status($1::text::xid8)', xid) == 'committed'",
            ),
        ),
        (f"{_COMMITTED}::test_a_strangers_transaction_id_is_no_proof_of_our_commit",),
    ),
    Guard(
        "answered-after-commit",
        "Nobody hears of success before it is committed.",
        (
            Cut(
                _SESSION,
                "        await self._commit(connection, xid)\n        return answer",
                "        return answer",
            ),
        ),
        (f"{_COMMITTED}::test_an_answer_comes_only_after_the_commit",),
    ),
    Guard(
        "one-unit-a-payment-a-batch",
        "Two changes of one payment are never in one batch, where one would be lost.",
        (
            Cut(
                "services/runtime/group_commit/queue.py",
                "elif all(self._lines[key][0] is waiting for key in waiting.keys):",
                "elif True:",
            ),
        ),
        (f"{_COMMITTED}::test_a_batch_holds_one_unit_of_an_aggregate_and_the_others_wait",),
    ),
    Guard(
        "claim-lost-is-told",
        "Who loses a claim is not written with those who won theirs.",
        (
            Cut(
                "services/runtime/group_commit/writer.py",
                "            if losers:\n                raise _ClaimsLost\n",
            ),
        ),
        (f"{_COMMITTED}::test_one_of_many_wins_a_claim_and_the_others_are_told",),
    ),
    Guard(
        "effect-once",
        "A message that is carried twice has one effect.",
        (
            Cut(
                _MESSAGES,
                "    primary key (consumer, event_id),\n",
                "    unique (consumer, event_id, position),\n",
            ),
        ),
        (
            "tests/messaging/test_conformance.py"
            "::test_an_event_that_is_relayed_again_has_no_second_effect",
        ),
    ),
    Guard(
        "message-place-once",
        "Two messages never take the same place of a payment's order.",
        (Cut(_MESSAGES, "    unique (key, sequence)\n", "    check (true)\n"),),
        ("tests/messaging/test_outbox.py::test_two_messages_cannot_take_the_same_place_of_a_key",),
    ),
    Guard(
        "failed-handler-undone",
        "A handler that fails leaves nothing of its effect behind.",
        (
            Cut(
                "services/runtime/messaging/worker.py",
                "            async with connection.transaction():\n"
                "                await self._call_handler(connection, row)\n",
                "            await self._call_handler(connection, row)\n",
            ),
        ),
        (
            "tests/messaging/test_worker.py"
            "::test_a_failed_attempt_leaves_no_effect_and_is_made_again",
        ),
    ),
    Guard(
        "configuration-version-stays",
        "What a version of a configuration says never changes.",
        (
            Cut(
                _CONFIGS,
                "    for each statement execute function config.refuse_change();",
                "    for each statement when (false) execute function config.refuse_change();",
            ),
        ),
        ("tests/merchant_config/test_versions.py::test_the_database_lets_nobody_change_a_version",),
    ),
    Guard(
        "configuration-versions-follow",
        "No version of a configuration follows nothing.",
        (
            Cut(
                _CONFIGS,
                "    for each statement execute function config.refuse_gap();",
                "    for each statement when (false) execute function config.refuse_gap();",
            ),
        ),
        (
            "tests/merchant_config/test_versions.py"
            "::test_the_database_lets_no_version_follow_nothing",
        ),
    ),
)
