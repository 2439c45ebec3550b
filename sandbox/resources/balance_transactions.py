"""/v1/balance_transactions: every movement of the merchant's money, with its fee."""

from __future__ import annotations

from typing import Final

from sandbox.domain.balance import BalanceTransaction
from sandbox.listing import attribute, column, list_page
from sandbox.parameters import Text, listing, operation
from sandbox.routing import Call, Listing, Route
from sandbox.shapes import Json, View, shapes


def _retrieve(call: Call) -> BalanceTransaction:
    return call.work.get(BalanceTransaction, call.id)


def _list(call: Call) -> Listing:
    filters = {
        "currency": attribute("currency"),
        "source": column("source"),
        "type": attribute("type"),
        # There are no payouts here, so nothing was ever part of one.
        "payout": lambda _: ("false", ()),
    }
    return list_page(call, BalanceTransaction, filters=filters)


ROUTES: Final = (
    Route(
        "GET",
        "balance_transactions/{id}",
        "balance_transactions.retrieve",
        operation(),
        _retrieve,
    ),
    Route(
        "GET",
        "balance_transactions",
        "balance_transactions.list",
        listing(currency=Text(), source=Text(), type=Text(), payout=Text()),
        _list,
    ),
)


@shapes(BalanceTransaction)
def balance_transaction_shape(movement: BalanceTransaction, view: View) -> Json:
    """A balance transaction as Stripe shows it; pending until its money is available."""
    fee: Json = {
        "amount": movement.fee,
        "application": None,
        "currency": movement.currency,
        "description": "Dispute fee" if movement.type == "adjustment" else "Processing fees",
        "type": "stripe_fee",
    }
    return {
        "id": movement.id,
        "object": "balance_transaction",
        "amount": movement.amount,
        "available_on": movement.available_on,
        "balance_type": "payments",
        "created": movement.created,
        "currency": movement.currency,
        "description": movement.description,
        "exchange_rate": None,
        "fee": movement.fee,
        "fee_details": [fee] if movement.fee else [],
        "net": movement.net,
        "reporting_category": movement.reporting_category,
        "source": movement.source,
        "status": "available" if view.now >= movement.available_on else "pending",
        "type": movement.type,
    }
