"""The ledger, for operators: post a transaction, read one."""

from typing import Final

from payments.ledger.v1.ledger_service_pb2 import GetTransactionRequest, PostTransactionRequest
from payments.ledger.v1.transaction_pb2 import EntryDraft

from gateway.auth import Scope
from gateway.exchange import Exchange
from gateway.operations import PREFIX, Operation, Parameter, Success
from gateway.reading import LEDGER_LIMITS, read_ledger_transaction
from gateway.routes import bodies
from gateway.routes.parameters import ORDERED
from gateway.shapes.ledger import LedgerTransaction, transaction_shape
from gateway.told import Told
from services.runtime.wire.amounts import money_message


async def post_transaction(exchange: Exchange) -> Told:
    wanted = read_ledger_transaction(await exchange.incoming(LEDGER_LIMITS))
    exchange.notice(wanted.call.issues)
    request = PostTransactionRequest(
        idempotency_key=wanted.call.idempotency_key,
        reference_id=wanted.reference_id,
        entries=[
            EntryDraft(account=entry.account, amount=money_message(entry.amount))
            for entry in wanted.entries
        ],
    )
    answer = await exchange.services.ledger.PostTransaction(request)
    headers = {"Idempotent-Replayed": "true"} if answer.replayed else {}
    return Told(201, transaction_shape(answer.transaction, replayed=answer.replayed), headers)


async def get_transaction(exchange: Exchange) -> Told:
    request = GetTransactionRequest(transaction_id=exchange.transaction_id())
    answer = await exchange.services.ledger.GetTransaction(request)
    return Told(200, transaction_shape(answer.transaction, replayed=False))


_TRANSACTION_ID: Final = Parameter(
    "transaction_id",
    "path",
    "The transaction.",
    {"type": "string"},
    "ltx_018f3c5e7d1c7a2b9c4d5e6f70819203",
)

OPERATIONS: Final = (
    Operation(
        "postLedgerTransaction",
        "POST",
        f"{PREFIX}/ledger/transactions",
        "Write one balanced transaction; for operators.",
        post_transaction,
        {201: Success("The transaction that stands under the key.", LedgerTransaction)},
        (409, 413, 422),
        Scope.LEDGER_WRITE,
        body=bodies.LEDGER_TRANSACTION,
        parameters=ORDERED,
        tag="ledger",
    ),
    Operation(
        "getLedgerTransaction",
        "GET",
        f"{PREFIX}/ledger/transactions/{{transaction_id}}",
        "One transaction with its entries; for operators.",
        get_transaction,
        {200: Success("The transaction.", LedgerTransaction)},
        (404,),
        Scope.LEDGER_READ,
        parameters=(_TRANSACTION_ID,),
        tag="ledger",
    ),
)
