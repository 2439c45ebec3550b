"""The ledger as anybody may use it: what it books, what it refuses, and whether it is whole."""

from grpc.aio import Channel
from payments.core.v1.money_pb2 import Money
from payments.ledger.v1 import ledger_service_pb2 as pb
from payments.ledger.v1.integrity_pb2 import IntegrityState
from payments.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from payments.ledger.v1.transaction_pb2 import EntryDraft

from cli.demo.stage import DemoFailed, expect, readable, say, step
from services.kernel.errors import Conflict, InvalidArgument, SwitchyardError
from services.runtime.rpc import typed_errors


async def show_ledger(channel: Channel) -> None:
    ledger = LedgerServiceStub(channel)
    step("ledger: a sale of 10.00 USD booked by hand, of which the platform keeps 0.30")
    posted = await ledger.PostTransaction(_sale("order-1", 1000))
    for entry in posted.transaction.entries:
        say(f"{entry.account:<10}{readable(entry.amount):>12}")
    step("ledger: the same request once more, as after a lost reply")
    again = await ledger.PostTransaction(_sale("order-1", 1000))
    expect(again.replayed, "answered with the first transaction; nothing was written")
    step("ledger: what must not happen is refused")
    other_body, unbalanced = _sale("order-1", 2000), _sale("order-2", 1000)
    unbalanced.entries[0].amount.amount_minor = -999
    await _expect_refusal(ledger, other_body, Conflict)
    await _expect_refusal(ledger, unbalanced, InvalidArgument)


async def show_integrity(channel: Channel) -> None:
    ledger = LedgerServiceStub(channel)
    request = pb.GetBalanceRequest(account="MERCHANT", currency="USD")
    balance = (await ledger.GetBalance(request)).balance
    expect(balance.amount.amount_minor == 970, "MERCHANT holds 9.70 USD, added up just now")
    async for report in ledger.VerifyIntegrity(pb.VerifyIntegrityRequest()):
        verdict = report.verdict
    expect(verdict.state == IntegrityState.INTEGRITY_STATE_INTACT, "the journal is intact")
    expect(
        all(total.amount_minor == 0 for total in verdict.sums),
        "all entries together sum to zero",
    )


async def _expect_refusal(
    ledger: LedgerServiceStub,
    request: pb.PostTransactionRequest,
    kind: type[SwitchyardError],
) -> None:
    try:
        with typed_errors():
            await ledger.PostTransaction(request)
    except SwitchyardError as error:
        expect(isinstance(error, kind), f"refused: {error.message}")
    else:
        raise DemoFailed("it was not refused")


def _sale(key: str, amount_minor: int) -> pb.PostTransactionRequest:
    legs = (("CUSTOMER", -amount_minor), ("MERCHANT", amount_minor - 30), ("PLATFORM", 30))
    return pb.PostTransactionRequest(
        idempotency_key=key,
        reference_id="order 1",
        entries=[
            EntryDraft(account=account, amount=Money(amount_minor=minor, currency="USD"))
            for account, minor in legs
        ],
    )
