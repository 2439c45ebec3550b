"""A payment from the configuration to the books, one that is repeated, one that is declined."""

import asyncio
import time
from dataclasses import dataclass
from typing import Final

from grpc.aio import Channel
from payments.config.v1 import merchant_config_pb2 as config_pb
from payments.config.v1.merchant_config_service_pb2 import PutConfigRequest
from payments.config.v1.merchant_config_service_pb2_grpc import MerchantConfigServiceStub
from payments.config.v1.routing_rule_pb2 import RouteMatch, RouteTarget, RoutingRule
from payments.core.v1.core_request_context_pb2 import CoreRequestContext
from payments.core.v1.money_pb2 import Money
from payments.core.v1.payment_method_pb2 import (
    PAYMENT_METHOD_CARD,
    PaymentInstrument,
)
from payments.core.v1.payment_terms_pb2 import (
    CAPTURE_METHOD_AUTOMATIC,
    SPLIT_POLICY_ALL_OR_NOTHING,
)
from payments.ledger.v1.ledger_service_pb2 import ListTransactionsRequest
from payments.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from payments.ledger.v1.transaction_pb2 import Transaction
from payments.orchestrator.v1.orchestrator_service_pb2 import (
    RESPONSE_MODE_WAIT,
    ExecutePlanRequest,
    ExecutePlanResponse,
    GetPaymentRequest,
)
from payments.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceStub
from payments.orchestrator.v1.payment_pb2 import Payment, PaymentState
from payments.orchestrator.v1.posting_pb2 import PostingState
from payments.plan.v1.payment_plan_pb2 import CandidateVerdict, PaymentPlan
from payments.plan.v1.plan_builder_service_pb2 import BuildPlanRequest
from payments.plan.v1.plan_builder_service_pb2_grpc import PlanBuilderServiceStub

from cli.demo.stage import DemoFailed, expect, readable, say, step
from services.kernel.errors import Conflict, InvalidArgument
from services.kernel.ids import MerchantId, RequestId
from services.runtime.database import Database
from services.runtime.rpc import typed_errors

_BOOKED_WITHIN_SECONDS: Final = 20.0
_GOOD_CARD: Final = "pm_card_visa"
_EMPTY_CARD: Final = "pm_card_visa_chargeDeclinedInsufficientFunds"
_PATH: Final = (
    (None, "created"),
    ("created", "confirming"),
    ("confirming", "authorized"),
    ("authorized", "captured"),
)
_PATH_OF_A_DECLINE: Final = (*_PATH[:2], ("confirming", "failed"))


@dataclass(frozen=True)
class Shop:
    """A merchant that sells something for 100.00 USD."""

    merchant_id: MerchantId

    @classmethod
    def new(cls) -> "Shop":
        return cls(MerchantId.new())

    def wish(
        self, key: str = "order-17", *, amount_minor: int = 10_000, card: str = _GOOD_CARD
    ) -> CoreRequestContext:
        """What the shop asks for, a request of its own each time."""
        return CoreRequestContext(
            request_id=RequestId.new(),
            merchant_id=self.merchant_id,
            idempotency_key=key,
            amount=Money(amount_minor=amount_minor, currency="USD"),
            instrument=PaymentInstrument(method=PAYMENT_METHOD_CARD, token=card),
            country="US",
        )

    def configuration(self, *processors: str) -> PutConfigRequest:
        """Its first configuration: everything by card, at these processors in their order."""
        return PutConfigRequest(
            idempotency_key=f"first configuration: {' '.join(processors)}",
            merchant_id=self.merchant_id,
            comment="opening day",
            settings=config_pb.MerchantSettings(
                default_currency="USD",
                fees=config_pb.FeeSchedule(
                    basis_points=290, fixed=[Money(amount_minor=30, currency="USD")]
                ),
                capture_method=CAPTURE_METHOD_AUTOMATIC,
                split_policy=SPLIT_POLICY_ALL_OR_NOTHING,
                processors=[
                    config_pb.ProcessorPreference(processor_id=each) for each in processors
                ],
                routing_rules=[
                    RoutingRule(
                        name="cards-at-home",
                        match=RouteMatch(methods=[PAYMENT_METHOD_CARD], countries=["US"]),
                        targets=[RouteTarget(processor_id=each) for each in processors],
                    )
                ],
            ),
        )

    async def plan(self, channel: Channel, wish: CoreRequestContext | None = None) -> PaymentPlan:
        request = BuildPlanRequest(context=wish or self.wish())
        return (await PlanBuilderServiceStub(channel).BuildPlan(request)).plan

    async def pay(
        self, channel: Channel, plan: PaymentPlan, wish: CoreRequestContext | None = None
    ) -> ExecutePlanResponse:
        context = wish or self.wish()
        request = ExecutePlanRequest(
            idempotency_key=context.idempotency_key,
            context=context,
            plan=plan,
            response_mode=RESPONSE_MODE_WAIT,
        )
        return await OrchestratorServiceStub(channel).ExecutePlan(request)


async def show_the_plan(channel: Channel, shop: Shop) -> PaymentPlan:
    configs = MerchantConfigServiceStub(channel)
    step("configuration: what the merchant pays, and where its cards go")
    try:
        with typed_errors():
            await configs.PutConfig(shop.configuration("nobody"))
    except InvalidArgument as error:
        found = {violation.field for violation in error.violations}
        expect("processors[0].processor_id" in found, f"refused: {error.message}")
    else:
        raise DemoFailed("a processor that does not exist was not refused")
    made = (await configs.PutConfig(shop.configuration("simulated_euro", "simulated"))).config
    expect(made.version == 1, f"version {made.version}: 2.9 % and 0.30 USD, captured at once")
    step("plan: what is to be done for 100.00 USD, and why")
    plan = await shop.plan(channel)
    for part in plan.steps:
        say(f"step {part.index}: {readable(part.amount)} by card")
        for decision in part.decisions:
            kept = decision.verdict == CandidateVerdict.CANDIDATE_VERDICT_KEPT
            verdict = "kept" if kept else "rejected"
            say(f"  {decision.processor_id} {verdict} ({decision.rule}): {decision.message}")
    reasons = {each.processor_id: each.rule for each in plan.steps[0].decisions}
    expect(reasons["simulated"] == "rule:cards-at-home", "the merchant's own rule decided")
    expect(reasons["simulated_euro"] == "currency.unsupported", "who takes no USD is left out")
    expect(await shop.plan(channel) == plan, f"asked again: the same plan, {plan.digest[:12]}")
    return plan


async def show_a_payment(
    channel: Channel, shop: Shop, plan: PaymentPlan, database_url: str
) -> Payment:
    step("payment: created, authorized and captured at the processor `simulated`")
    paid = (await shop.pay(channel, plan)).payment
    say(f"{paid.id}: {readable(paid.amount_captured)}, fee {readable(paid.platform_fee)}")
    expect(paid.state == PaymentState.PAYMENT_STATE_CAPTURED, "captured")
    await _expect_transitions(database_url, paid, _PATH)
    step("payment: booked in the ledger, which the orchestrator does by itself")
    await until_booked(channel, paid)
    (transaction,) = await _booked(channel, paid)
    for entry in transaction.entries:
        say(f"{entry.account:<55}{readable(entry.amount):>12}")
    amounts = [entry.amount.amount_minor for entry in transaction.entries]
    expect(sorted(amounts) == [-10_000, 320, 9_680], "the merchant is owed 96.80 USD")
    expect(sum(amounts) == 0, "the entries sum to zero")
    return paid


async def show_a_repeat(channel: Channel, shop: Shop, plan: PaymentPlan, paid: Payment) -> None:
    step("payment: the same key once more, as after a lost reply")
    again = await shop.pay(channel, plan)
    expect(again.replayed and again.payment == paid, "answered with the first answer, to the byte")
    expect(len(await _booked(channel, paid)) == 1, "the ledger still has it once")
    dearer = shop.wish(amount_minor=20_000)
    try:
        with typed_errors():
            await shop.pay(channel, await shop.plan(channel, dearer), dearer)
    except Conflict as error:
        expect("amount" in error.message, f"refused with another amount: {error.message}")
    else:
        raise DemoFailed("a key was taken for another payment")


async def show_a_decline(channel: Channel, shop: Shop, database_url: str) -> None:
    step("payment: a card without funds")
    wish = shop.wish("order-18", card=_EMPTY_CARD)
    declined = (await shop.pay(channel, await shop.plan(channel, wish), wish)).payment
    expect(declined.state == PaymentState.PAYMENT_STATE_FAILED, "failed")
    told = declined.result.final_error.user_message
    expect(told == "Card declined due to insufficient funds", f'the customer reads: "{told}"')
    await _expect_transitions(database_url, declined, _PATH_OF_A_DECLINE)
    expect(not await _booked(channel, declined), "nothing was booked")


async def _expect_transitions(
    database_url: str, payment: Payment, path: tuple[tuple[str | None, str], ...]
) -> None:
    """Read the payment's states where they are kept: nobody can have made them up for an answer."""
    database = await Database.connect(database_url, application_name="demo")
    try:
        async with database.connection() as connection:
            rows = await connection.fetch(
                "select from_state, to_state, cause from payments.transitions"
                " where payment_id = $1::uuid order by position",
                payment.id.removeprefix("pay_"),
            )
    finally:
        await database.close()
    for row in rows:
        say(f"{row['from_state'] or '':>12} -> {row['to_state']:<12}{row['cause']}")
    moves = tuple((row["from_state"], row["to_state"]) for row in rows)
    expect(moves == path, "every state is in the database, and none was skipped")


async def until_booked(channel: Channel, payment: Payment) -> None:
    orchestrator = OrchestratorServiceStub(channel)
    give_up_at = time.monotonic() + _BOOKED_WITHIN_SECONDS
    state = payment.posting_state
    while state == PostingState.POSTING_STATE_PENDING and time.monotonic() < give_up_at:
        await asyncio.sleep(0.02)
        found = await orchestrator.GetPayment(GetPaymentRequest(payment_id=payment.id))
        state = found.payment.posting_state
    expect(state == PostingState.POSTING_STATE_POSTED, "posted")


async def _booked(channel: Channel, payment: Payment) -> list[Transaction]:
    request = ListTransactionsRequest(reference_id=payment.id)
    return list((await LedgerServiceStub(channel).ListTransactions(request)).transactions)
