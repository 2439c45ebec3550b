"""Who may call, and whose word is taken."""

from typing import Final

from tests.mutation.guard import Cut, Guard

_ACCESS_TABLES: Final = "migrations/versions/access/access_0001_keys.py"
_KEY: Final = "services/access/domain/key.py"
_AUTHENTICATION: Final = "services/access/service/authentication.py"
_WHO: Final = "gateway/auth.py"
_SIGNATURE: Final = "services/webhooks/domain/signature.py"
_AUTHENTICATED: Final = "tests/access/test_authentication.py"
_BELIEVED: Final = "tests/access/test_authenticator.py"
_WITHDRAWN: Final = "tests/access/test_withdrawal.py"
_CALLERS: Final = "tests/gateway/http/test_callers.py"
_RECEIVED: Final = "tests/webhooks/test_receiving.py"
_FORGED: Final = f"{_RECEIVED}::test_a_signature_that_does_not_hold_is_refused_without_a_row"

GUARDS: Final = (
    Guard(
        "api-key-revoked",
        "A key that was revoked is not taken.",
        (Cut(_KEY, "        if self.revoked_at is not None:", "        if False:"),),
        (f"{_WITHDRAWN}::test_the_process_that_revokes_refuses_at_once",),
    ),
    Guard(
        "api-key-expired",
        "A key is taken until the moment it expires.",
        (
            Cut(
                _KEY,
                "        if self.expires_at is not None and self.expires_at <= now:\n"
                "            return KeyState.EXPIRED",
                "        if False:\n            return KeyState.EXPIRED",
            ),
        ),
        (f"{_AUTHENTICATED}::test_a_key_is_taken_until_the_moment_it_expires",),
    ),
    Guard(
        "api-key-of-its-digest",
        "A row of another key's is no answer to this one.",
        (
            Cut(
                _AUTHENTICATION,
                "if credential is None or not compare_digest(credential.digest, digest):",
                "if credential is None:",
            ),
        ),
        (f"{_BELIEVED}::test_a_row_of_another_digest_is_no_answer",),
    ),
    Guard(
        "revocation-heard-or-asked",
        "While nobody tells of revocations, every key is asked about.",
        (
            Cut(
                _AUTHENTICATION,
                "            or now_seconds - looked_at_seconds > _LOOK_BELIEVED_SECONDS\n",
            ),
        ),
        (f"{_BELIEVED}::test_nothing_is_believed_once_the_feed_is_silent",),
    ),
    Guard(
        "revocation-reaches-the-gateway",
        "The gateway believes an answer for as long as it was told to, and no longer.",
        (
            Cut(
                _WHO,
                "if remembered is not None and self._monotonic() < remembered.until_seconds:",
                "if remembered is not None:",
            ),
        ),
        (f"{_CALLERS}::test_a_revoked_key_is_not_taken_a_second_later",),
    ),
    Guard(
        "api-keys-under-a-pepper",
        "With the tables alone nobody finds out a key.",
        (
            Cut(
                "services/access/domain/secret.py",
                "return hmac.digest(self.value, key.encode(), hashlib.sha256)",
                "return hashlib.sha256(key.encode()).digest()",
            ),
        ),
        ("tests/access/test_secret.py::test_another_pepper_makes_another_digest",),
    ),
    Guard(
        "api-key-never-comes-back",
        "No key is restored, and none comes to allow more.",
        (
            Cut(
                _ACCESS_TABLES,
                "for each row execute function access.restrict_only();",
                "for each row when (false) execute function access.restrict_only();",
            ),
        ),
        ("tests/access/test_database_guards.py::test_the_database_restores_and_removes_nothing",),
    ),
    Guard(
        "scope-checked",
        "A key does what it was made for, and nothing else.",
        (Cut(_WHO, "        if scope not in self.scopes:", "        if False:"),),
        (f"{_CALLERS}::test_a_key_that_does_not_allow_it_is_told_which_scope_is_missing",),
    ),
    Guard(
        "operators-alone",
        "Only an operator returns the money of anybody's payment.",
        (
            Cut(
                _WHO,
                "        if self.merchant_id is not None:\n"
                '            raise PermissionDenied("this is for operators',
                '        if False:\n            raise PermissionDenied("this is for operators',
            ),
        ),
        ("tests/gateway/http/test_refunds.py::test_any_payment_is_returned_by_an_operator_alone",),
    ),
    Guard(
        "suspended-pays-nothing",
        "A suspended merchant asks for no payment.",
        (Cut(_WHO, "        if not self.is_active:", "        if False:"),),
        (f"{_CALLERS}::test_a_suspended_merchant_asks_for_no_payment_and_returns_what_it_has",),
    ),
    Guard(
        "tenant-in-the-gateway",
        "Another merchant's payment is as unknown as nobody's.",
        (
            Cut(
                "gateway/routes/payments.py",
                "    request = pb.GetPaymentRequest(\n"
                '        merchant_id=exchange.caller.merchant_id or "",',
                '    request = pb.GetPaymentRequest(\n        merchant_id="",',
            ),
        ),
        (
            "tests/gateway/http/test_isolation.py"
            "::test_another_merchant_s_ids_are_as_unknown_as_those_of_nobody",
        ),
    ),
    Guard(
        "tenant-in-refunds",
        "Nobody returns the money of another merchant's payment.",
        (
            Cut(
                "gateway/routes/refunds.py",
                '        merchant_id=exchange.caller.merchant_id or "", payment_id=payment_id\n',
                '        merchant_id="", payment_id=payment_id\n',
            ),
        ),
        (
            "tests/gateway/http/test_isolation.py"
            "::test_another_merchant_s_ids_are_as_unknown_as_those_of_nobody",
        ),
    ),
    Guard(
        "tenant-in-lists",
        "A merchant's list holds its own payments.",
        (
            Cut(
                "gateway/routes/lists.py",
                '        merchant_id=exchange.caller.merchant_id or "",\n',
                '        merchant_id="",\n',
            ),
        ),
        ("tests/gateway/http/test_lists.py::test_a_merchant_without_payments_has_an_empty_list",),
    ),
    Guard(
        "webhook-signature",
        "What nobody with our secret has signed is not taken for a processor's word.",
        (
            Cut(
                _SIGNATURE,
                "    if account is None:\n        return Flaw.FORGED\n",
                "    if account is None:\n        account = accounts[0]\n",
            ),
        ),
        (_FORGED,),
    ),
    Guard(
        "webhook-window",
        "What was signed long ago is not taken again.",
        (Cut(_SIGNATURE, "    if age > WINDOW:", "    if False:"),),
        (_FORGED,),
    ),
    Guard(
        "webhook-not-from-the-future",
        "What was signed for later is not taken now.",
        (
            Cut(
                _SIGNATURE,
                "return Flaw.FROM_THE_FUTURE if age < -WINDOW else account",
                "return account",
            ),
        ),
        (_FORGED,),
    ),
    Guard(
        "webhook-once",
        "A delivery that is repeated is one event, whoever stores it.",
        (
            Cut(
                "migrations/versions/webhooks/webhooks_0001_events.py",
                '    stripe_event_id text collate "C" not null unique\n',
                '    stripe_event_id text collate "C" not null\n',
            ),
            Cut(
                "services/webhooks/store/queries.sql",
                "on conflict (stripe_event_id) do nothing",
                "on conflict do nothing",
            ),
        ),
        (f"{_RECEIVED}::test_an_event_is_stored_once_whoever_stores_it",),
    ),
    Guard(
        "webhook-stays-as-it-came",
        "What was delivered is not changed afterwards.",
        (
            Cut(
                "migrations/versions/webhooks/webhooks_0001_events.py",
                '"select, insert, update (state, payment_id, attempts, unmatched_checks,'
                ' failure_reason,"\n'
                '        " failure_message, dead_letter_id, command_number, processed_at, due_at)"',
                '"select, insert, update"',
            ),
        ),
        (f"{_RECEIVED}::test_what_was_stored_cannot_be_changed_by_the_application",),
    ),
)
