"""The journal against a model: random posts, repeats, races, refusals and cut connections.

After every step the sum per currency is zero and every balance is what the model says.
"""

import asyncio
import itertools
from collections import Counter
from collections.abc import Sequence

import asyncpg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from services.kernel.clock import SystemClock
from services.kernel.errors import Conflict, InvalidArgument
from services.kernel.money import Currency, Money
from services.ledger.domain.transaction import EntryDraft, Posted, TransactionDraft
from services.ledger.store.journal import Journal
from services.ledger.translate import event_payload
from services.runtime.database import Database
from tests.conftest import DatabaseUrls

_ACCOUNTS = ("CUSTOMER", "MERCHANT", "PLATFORM")
_CURRENCIES = ("USD", "JPY", "KWD")
_runs = itertools.count()

_keys = st.sampled_from([f"key {number}" for number in range(6)])
_amounts = st.integers(-(10**12), 10**12).filter(bool)
_bodies = st.lists(
    st.tuples(st.sampled_from(_ACCOUNTS), _amounts, st.sampled_from(_CURRENCIES)),
    min_size=1,
    max_size=3,
)
Body = Sequence[tuple[str, int, str]]


class JournalModel(RuleBasedStateMachine):
    """What a journal should hold, step by step beside one that does."""

    urls: DatabaseUrls
    runner: asyncio.Runner

    def __init__(self) -> None:
        super().__init__()
        self._run = next(_runs)
        self._bodies: dict[str, Body] = {}
        self._posted: dict[str, Posted] = {}
        self._balances: Counter[tuple[str, str]] = Counter()
        self.runner.run(self._open())

    async def _open(self) -> None:
        self._database = await Database.connect(self.urls.application, application_name="model")
        self._journal = Journal(self._database, event_payload, SystemClock())
        self._other = Journal(self._database, event_payload, SystemClock())
        self._owner = await asyncpg.connect(self.urls.owner, user="postgres")

    def teardown(self) -> None:
        self.runner.run(self._close())

    async def _close(self) -> None:
        await self._journal.close()
        await self._other.close()
        await self._database.close()
        await self._owner.close()

    @rule(key=_keys, body=_bodies)
    def post(self, key: str, body: Body) -> None:
        self.runner.run(self._post(key, body))

    @rule(key=_keys)
    def post_again(self, key: str) -> None:
        if key in self._bodies:
            self.runner.run(self._post(key, self._bodies[key]))

    @rule(
        requests=st.lists(
            st.tuples(_keys, _bodies), min_size=2, max_size=8, unique_by=lambda r: r[0]
        )
    )
    def post_at_once(self, requests: list[tuple[str, Body]]) -> None:
        async def together() -> None:
            await asyncio.gather(*(self._post(key, body) for key, body in requests))

        self.runner.run(together())

    @rule(key=_keys, bodies=st.lists(_bodies, min_size=2, max_size=5))
    def race_for_one_key(self, key: str, bodies: list[Body]) -> None:
        self.runner.run(self._race(key, bodies))

    @rule(key=_keys, body=_bodies)
    def post_while_the_connection_is_cut(self, key: str, body: Body) -> None:
        async def cut() -> None:
            posting = asyncio.create_task(self._post(key, body))
            await asyncio.sleep(0.001)
            await self._owner.execute(
                """select pg_terminate_backend(pid) from pg_stat_activity
                    where application_name = 'ledger writer' and datname = current_database()"""
            )
            await posting

        self.runner.run(cut())

    @rule(body=_bodies)
    def refuse_unbalanced(self, body: Body) -> None:
        entries = self._balanced(body)
        worse = EntryDraft(
            entries[0].account, entries[0].amount + Money(1, entries[0].amount.currency)
        )
        with pytest.raises(InvalidArgument):
            TransactionDraft("unbalanced", "r", (worse, *entries[1:]))

    @invariant()
    def every_currency_sums_to_zero(self) -> None:
        rows = self.runner.run(
            self._owner.fetch(
                "select sum(amount) as total from ledger.ledger_entries group by currency"
            )
        )
        assert all(row["total"] == 0 for row in rows)

    @invariant()
    def balances_are_the_models(self) -> None:
        for account, currency in {*self._balances, ("CUSTOMER", "USD")}:
            balance = self.runner.run(
                self._journal.balance(self._name(account), Currency(currency), None)
            )
            assert balance.amount.amount_minor == self._balances[account, currency]

    async def _post(self, key: str, body: Body) -> None:
        draft = self._draft(key, body)
        if key in self._bodies and self._balanced(self._bodies[key]) != draft.entries:
            with pytest.raises(Conflict):
                await self._journal.post(draft)
            return
        stood_before = key in self._bodies
        # Recorded before the wait, for another step of the same batch must not see half of it.
        self._bodies[key] = body
        posted = await self._journal.post(draft)
        if stood_before:
            assert posted.replayed
            assert posted.transaction_id == self._posted[key].transaction_id
            return
        self._note(key, draft, posted)

    async def _race(self, key: str, bodies: Sequence[Body]) -> None:
        """Two writers are given different bodies under one key: one wins, and all hear of it."""
        drafts = [self._draft(key, body) for body in bodies]
        writers = itertools.cycle((self._journal, self._other))
        outcomes = await asyncio.gather(
            *(next(writers).post(draft) for draft in drafts), return_exceptions=True
        )
        fresh = [
            number
            for number, outcome in enumerate(outcomes)
            if isinstance(outcome, Posted) and not outcome.replayed
        ]
        assert len(fresh) == (0 if key in self._bodies else 1)
        for number in fresh:
            posted = outcomes[number]
            assert isinstance(posted, Posted)
            self._bodies[key] = bodies[number]
            self._note(key, drafts[number], posted)
        standing = self._balanced(self._bodies[key])
        for draft, outcome in zip(drafts, outcomes, strict=True):
            if draft.entries == standing:
                assert isinstance(outcome, Posted)
                assert outcome.transaction_id == self._posted[key].transaction_id
            else:
                assert isinstance(outcome, Conflict)
                assert outcome.details["transaction_id"] == self._posted[key].transaction_id

    def _note(self, key: str, draft: TransactionDraft, posted: Posted) -> None:
        self._posted[key] = posted
        for entry in draft.entries:
            account = entry.account.removeprefix(f"run-{self._run}:")
            self._balances[account, entry.amount.currency.code] += entry.amount.amount_minor

    def _draft(self, key: str, body: Body) -> TransactionDraft:
        return TransactionDraft(f"run {self._run} {key}", "model", self._balanced(body))

    def _balanced(self, body: Body) -> tuple[EntryDraft, ...]:
        entries = []
        for account, amount_minor, code in body:
            amount = Money(amount_minor, Currency(code))
            entries += [
                EntryDraft(self._name(account), amount),
                EntryDraft(self._name("REST"), -amount),
            ]
        return tuple(entries)

    def _name(self, account: str) -> str:
        return f"run-{self._run}:{account}"


def test_the_journal_does_what_the_model_says(database_urls: DatabaseUrls) -> None:
    with asyncio.Runner() as runner:
        JournalModel.urls, JournalModel.runner = database_urls, runner
        run_state_machine_as_test(
            JournalModel,
            settings=settings(
                max_examples=25,
                stateful_step_count=12,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
