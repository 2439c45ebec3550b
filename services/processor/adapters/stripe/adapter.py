"""The Stripe adapter: which requests an attempt becomes, in what order and under which keys.

An authorization is two requests: the intent is created unconfirmed, then confirmed. Creating moves
no money, so that a lookup can repeat it under its key to learn the intent's id, and retrieve that.
Where the amount is to be taken at once, confirming takes it: an attempt says so for good, and its
key stands for that. A one-time token costs a third request before them.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final

from services.kernel.outcome import ErrorCode
from services.processor.adapters.stripe import events, verdicts
from services.processor.adapters.stripe.answers import (
    ATTEMPT_KEY,
    SECRET_NAMES,
    Intent,
    metadata_word,
    raw,
    read_id,
    read_intent,
    read_list,
    read_refund,
)
from services.processor.adapters.stripe.api import Answer, StripeApi
from services.processor.adapters.stripe.refusals import (
    is_of_this_request_alone,
    is_over,
    is_unexpected_state,
    over_for_good,
    refusal,
)
from services.processor.adapters.stripe.requests import (
    EXPAND,
    capture_params,
    confirmation_params,
    intent_params,
    method_params,
    refund_params,
)
from services.processor.domain.attempt import Attempt, Operation
from services.processor.domain.event import EventPage, EventWindow, ProcessorEvent
from services.processor.domain.verdict import (
    Misfit,
    NoAnswer,
    NotSent,
    Trouble,
    Verdict,
    check_echo,
    unknown,
)

_LIST_LIMIT: Final = 100
# Clocks differ: an intent may look older than the attempt it was made for.
_SKEW: Final = timedelta(minutes=5)

ReadState = Callable[[Intent, Mapping[str, object]], Verdict]
List = Callable[[Mapping[str, Any]], Awaitable[Answer]]


class StripeAdapter:
    """One Stripe account."""

    def __init__(self, api: StripeApi, *, return_url: str | None = None) -> None:
        self._api = api
        self._return_url = return_url
        self.secret_names = SECRET_NAMES

    async def authorize(self, attempt: Attempt, key: str) -> Verdict:
        """Create the intent, check that it is the one we meant, confirm it."""
        created = await self._create(attempt, key)
        if not created.is_object:
            return _not_created(created)
        intent = read_intent(created.body)
        check_echo(attempt, intent.echo(intent.amount), raw(created))
        with _about(intent.id):
            return await self._confirm(attempt, key, intent.id, was_known=created.is_replay)

    async def capture(self, attempt: Attempt, key: str) -> Verdict:
        """Take the amount; Stripe releases the rest by itself."""
        params = capture_params(attempt)
        with _about(_hold(attempt)):
            answer = await self._api.capture_intent(_hold(attempt), params, f"{key}:capture")
            return await self._read(answer, _hold(attempt), verdicts.capture)

    async def void(self, attempt: Attempt, key: str) -> Verdict:
        """Cancel the intent."""
        with _about(_hold(attempt)):
            answer = await self._api.cancel_intent(_hold(attempt), f"{key}:cancel")
            return await self._read(answer, _hold(attempt), verdicts.void)

    async def refund(self, attempt: Attempt, key: str) -> Verdict:
        """Return the amount."""
        params = refund_params(attempt, _hold(attempt))
        answer = await self._api.create_refund(params, f"{key}:refund")
        if answer.is_object:
            return verdicts.refund(read_refund(answer.body), raw(answer))
        if not is_over(answer):
            return refusal(answer)
        found = await self._find_refund(attempt)
        return found or over_for_good(answer)

    async def lookup(self, attempt: Attempt, key: str | None) -> Verdict:
        """Read what Stripe holds, and judge the attempt by it."""
        match attempt.operation:
            case Operation.CAPTURE:
                return await self._look_at(_hold(attempt), verdicts.capture)
            case Operation.VOID:
                return await self._look_at(_hold(attempt), verdicts.void)
            case Operation.REFUND:
                return await self._find_refund(attempt) or _nothing_found()
            case _ if attempt.hold is not None:
                return await self._look_at(attempt.hold, _reading(attempt))
            case _ if key is not None:
                return await self._look_up_by_key(attempt, key)
            case _:
                return await self._find_intent(attempt) or _nothing_found()

    def read_event(self, body: bytes) -> ProcessorEvent:
        """What a delivered event says."""
        return events.read_delivery(body)

    async def list_events(self, window: EventWindow, after: str | None, limit: int) -> EventPage:
        """Stripe's own events, oldest first."""
        return await events.list_oldest_first(self._api, window, after, limit)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._api.close()

    async def _create(self, attempt: Attempt, key: str) -> Answer:
        token = attempt.instrument.token if attempt.instrument else None
        assert token is not None, "an authorization has a token"
        if token.startswith("tok_"):
            # A one-time token, a wallet's say, is first made a payment method.
            made = await self._api.create_method(method_params(token), f"{key}:method")
            if not made.is_object:
                return made
            token = read_id(made.body.get("id"), "pm_")
        return await self._api.create_intent(intent_params(attempt, token), f"{key}:create")

    async def _confirm(
        self, attempt: Attempt, key: str, intent_id: str, *, was_known: bool
    ) -> Verdict:
        """Confirm; `was_known` says that an earlier call got as far as creating the intent."""
        params = confirmation_params(attempt.return_url or self._return_url)
        try:
            answer = await self._api.confirm_intent(intent_id, params, f"{key}:confirm")
        except NotSent as trouble:
            if was_known:
                # That this confirmation was not sent does not say that an earlier one was not.
                raise NoAnswer(trouble.message) from trouble
            raise
        if was_known and is_of_this_request_alone(answer):
            return unknown(ErrorCode.PROCESSING_ERROR, reference=intent_id, raw=raw(answer))
        return await self._read(answer, intent_id, _reading(attempt))

    async def _read(self, answer: Answer, intent_id: str, read: ReadState) -> Verdict:
        """What the answer about an intent says; where it does not say, the intent itself does."""
        if answer.is_object:
            return read(_the_intent(answer.body, intent_id), raw(answer))
        if not is_over(answer) and not is_unexpected_state(answer):
            _check_subject(answer, intent_id)
            return refusal(answer, intent_id)
        now = await self._retrieve(intent_id)
        intent = _the_intent(now.body, intent_id)
        return verdicts.settled(intent, read(intent, raw(now)))

    async def _look_at(self, intent_id: str, read: ReadState) -> Verdict:
        with _about(intent_id):
            answer = await self._retrieve(intent_id)
            return read(_the_intent(answer.body, intent_id), raw(answer))

    async def _look_up_by_key(self, attempt: Attempt, key: str) -> Verdict:
        created = await self._create(attempt, key)
        if created.is_object:
            intent = read_intent(created.body)
            check_echo(attempt, intent.echo(intent.amount), raw(created))
            return await self._look_at(intent.id, _reading(attempt))
        if is_of_this_request_alone(created):
            return unknown(ErrorCode.PROCESSING_ERROR, raw=raw(created))
        return _not_created(created)

    async def _retrieve(self, intent_id: str) -> Answer:
        return _answered(await self._api.retrieve_intent(intent_id, {"expand": EXPAND}))

    async def _find_intent(self, attempt: Attempt) -> Verdict | None:
        """The intent that carries the attempt, among all that were created in its time."""
        made_at = attempt.id.created_at
        created = {"gte": int((made_at - _SKEW).timestamp())}
        if attempt.key_expires_at is not None:
            created["lte"] = int((attempt.key_expires_at + _SKEW).timestamp())
        async for body in self._all(self._api.list_intents, {"created": created}):
            if metadata_word(body, ATTEMPT_KEY) == attempt.id:
                return await self._look_at(read_intent(body).id, _reading(attempt))
        return None

    async def _find_refund(self, attempt: Attempt) -> Verdict | None:
        """The refund that carries the attempt; lists, unlike search, hold what was just written."""
        wanted = {"payment_intent": _hold(attempt)}
        async for body in self._all(self._api.list_refunds, wanted):
            if metadata_word(body, ATTEMPT_KEY) == attempt.id:
                return verdicts.refund(read_refund(body), body)
        return None

    async def _all(self, ask: List, params: Mapping[str, Any]) -> AsyncIterator[Mapping[str, Any]]:
        """Every object of a list, page by page."""
        page_params = {**params, "limit": _LIST_LIMIT}
        has_more = True
        while has_more:
            items, has_more = read_list(_answered(await ask(page_params)).body)
            for item in items:
                yield item
            if not items:
                return
            page_params["starting_after"] = read_id(items[-1].get("id"))


def _reading(attempt: Attempt) -> ReadState:
    """How to read the intent of an authorization."""
    return verdicts.charge if attempt.capture_at_once else verdicts.authorization


def _hold(attempt: Attempt) -> str:
    assert attempt.hold is not None, "an attempt that needs a hold has one"
    return attempt.hold


def _the_intent(body: Mapping[str, Any], intent_id: str) -> Intent:
    intent = read_intent(body)
    if intent.id != intent_id:
        raise Misfit(f"asked about {intent_id}, the answer is about {intent.id}")
    return intent


def _check_subject(answer: Answer, intent_id: str) -> None:
    """An error that tells of another intent says nothing of this one."""
    told_of = answer.error.get("payment_intent")
    if isinstance(told_of, Mapping):
        _the_intent(told_of, intent_id)


def _not_created(answer: Answer) -> Verdict:
    if is_over(answer):
        # Every request with this key gets this answer: no intent was ever there to be confirmed.
        return over_for_good(answer)
    return refusal(answer)


def _answered(answer: Answer) -> Answer:
    """The answer to a question, if it is one."""
    if answer.is_object:
        return answer
    if 200 <= answer.status < 300:
        raise Misfit("the answer is no object", raw=raw(answer))
    raise NoAnswer(f"Stripe answered HTTP {answer.status} to a question")


def _nothing_found() -> Verdict:
    """It may still turn up: the request can be on its way."""
    return unknown(ErrorCode.PROCESSING_ERROR, raw={"problem": "nothing found"})


@contextmanager
def _about(intent_id: str) -> Iterator[None]:
    """Whatever trouble comes up in here is about this intent."""
    try:
        yield
    except Trouble as trouble:
        trouble.reference = trouble.reference or intent_id
        raise
