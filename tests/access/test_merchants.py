"""Merchants: made once a call, changed by who has read them, listed oldest first."""

import asyncio

import pytest
from payments.access.v1 import access_service_pb2 as pb
from payments.access.v1.merchant_pb2 import MERCHANT_STATE_ACTIVE, MERCHANT_STATE_SUSPENDED

from services.access.domain.secret import new_secret
from services.kernel.errors import Conflict, InFlight, InvalidArgument, NotFound, Reason
from services.kernel.ids import MerchantId
from services.runtime.rpc import typed_errors
from tests.access.conftest import AccessUnderTest
from tests.access.requests import key_request, new_merchant


def _create(key: str = "k", name: str = "Acme", email: str = "") -> pb.CreateMerchantRequest:
    return pb.CreateMerchantRequest(idempotency_key=key, name=name, contact_email=email)


async def test_a_merchant_is_read_back_as_it_was_made(access: AccessUnderTest) -> None:
    made = (await access.stub.CreateMerchant(_create(email="ops@acme.example"))).merchant
    assert (made.name, made.contact_email, made.version) == ("Acme", "ops@acme.example", 1)
    assert made.state == MERCHANT_STATE_ACTIVE
    found = await access.stub.GetMerchant(pb.GetMerchantRequest(merchant_id=made.id))
    assert found.merchant == made


async def test_the_same_key_makes_one_merchant(access: AccessUnderTest) -> None:
    answers = await asyncio.gather(*(access.stub.CreateMerchant(_create()) for _ in range(20)))
    assert len({answer.merchant.id for answer in answers}) == 1
    assert [answer.replayed for answer in answers].count(False) == 1


async def test_the_same_key_with_another_body_names_what_differs(access: AccessUnderTest) -> None:
    await access.stub.CreateMerchant(_create())
    with pytest.raises(Conflict) as refusal, typed_errors():
        await access.stub.CreateMerchant(_create(name="Bcme", email="a@b.example"))
    assert refusal.value.reason is Reason.IDEMPOTENCY_KEY_REUSED
    assert [violation.field for violation in refusal.value.violations] == ["contact_email", "name"]


async def test_the_same_key_for_another_operation_is_refused(access: AccessUnderTest) -> None:
    merchant_id = await new_merchant(access.stub)
    change = pb.UpdateMerchantRequest(
        idempotency_key="k", merchant_id=merchant_id, expected_version=1, name="B"
    )
    await access.stub.UpdateMerchant(change)
    with pytest.raises(Conflict), typed_errors():
        await access.stub.CreateApiKey(key_request(merchant_id, key="k", name="B"))


async def test_what_is_unset_stays_as_it_is(access: AccessUnderTest) -> None:
    made = (await access.stub.CreateMerchant(_create(email="ops@acme.example"))).merchant
    request = pb.UpdateMerchantRequest(
        idempotency_key="u", merchant_id=made.id, expected_version=1, state=MERCHANT_STATE_SUSPENDED
    )
    changed = await access.stub.UpdateMerchant(request)
    assert (changed.merchant.name, changed.merchant.contact_email) == ("Acme", "ops@acme.example")
    assert (changed.merchant.state, changed.merchant.version) == (MERCHANT_STATE_SUSPENDED, 2)
    again = await access.stub.UpdateMerchant(request)
    assert again.replayed
    assert again.merchant == changed.merchant


async def test_who_has_not_read_the_newest_version_is_refused(access: AccessUnderTest) -> None:
    merchant_id = await new_merchant(access.stub)
    requests = [
        pb.UpdateMerchantRequest(
            idempotency_key=f"u{n}", merchant_id=merchant_id, expected_version=1, name=f"name {n}"
        )
        for n in range(10)
    ]
    outcomes = await asyncio.gather(
        *(access.stub.UpdateMerchant(request) for request in requests), return_exceptions=True
    )
    assert sum(not isinstance(outcome, BaseException) for outcome in outcomes) == 1
    with pytest.raises(InFlight) as refusal, typed_errors():
        await access.stub.UpdateMerchant(
            pb.UpdateMerchantRequest(
                idempotency_key="late", merchant_id=merchant_id, expected_version=1, name="x"
            )
        )
    assert refusal.value.reason is Reason.STALE_VERSION
    assert refusal.value.details["newest_version"] == "2"


async def test_a_refused_change_does_not_burn_its_key(access: AccessUnderTest) -> None:
    merchant_id = await new_merchant(access.stub)
    request = pb.UpdateMerchantRequest(
        idempotency_key="u", merchant_id=merchant_id, expected_version=2, name="later"
    )
    with pytest.raises(InFlight), typed_errors():
        await access.stub.UpdateMerchant(request)
    request.expected_version = 1
    assert not (await access.stub.UpdateMerchant(request)).replayed


async def test_merchants_are_listed_oldest_first_page_by_page(access: AccessUnderTest) -> None:
    made = [await new_merchant(access.stub, f"merchant {n}") for n in range(5)]
    request = pb.ListMerchantsRequest(page_size=2)
    listed = []
    while True:
        page = await access.stub.ListMerchants(request)
        listed += [merchant.id for merchant in page.merchants]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert listed == made
    suspended = pb.ListMerchantsRequest(state=MERCHANT_STATE_SUSPENDED)
    assert not (await access.stub.ListMerchants(suspended)).merchants


async def test_an_unknown_merchant_is_not_found(access: AccessUnderTest) -> None:
    nobody = MerchantId.new()
    with pytest.raises(NotFound), typed_errors():
        await access.stub.GetMerchant(pb.GetMerchantRequest(merchant_id=nobody))
    with pytest.raises(NotFound), typed_errors():
        await access.stub.UpdateMerchant(
            pb.UpdateMerchantRequest(
                idempotency_key="u", merchant_id=nobody, expected_version=1, name="x"
            )
        )


_CARD = "4242424242424242"


@pytest.mark.parametrize(
    ("request_", "field", "rule"),
    [
        (_create(name=""), "name", "text.length"),
        (_create(name="x" * 201), "name", "text.length"),
        (_create(name="a\x00b"), "name", "text.printable"),
        (_create(name=f"pay {_CARD}"), "name", "text.secret"),
        (_create(name=f"key {new_secret()}"), "name", "text.secret"),
        (_create(email="nobody"), "contact_email", "email.form"),
        (_create(email="a@b@c"), "contact_email", "email.form"),
        (_create(email="a@" + "b" * 300), "contact_email", "email.form"),
        (_create(key=""), "idempotency_key", "idempotency_key.present"),
        (_create(key="k" * 256), "idempotency_key", "text.length"),
        (_create(key=new_secret()), "idempotency_key", "text.secret"),
    ],
)
async def test_a_merchant_that_breaks_a_rule_is_refused(
    access: AccessUnderTest, request_: pb.CreateMerchantRequest, field: str, rule: str
) -> None:
    with pytest.raises(InvalidArgument) as refusal, typed_errors():
        await access.stub.CreateMerchant(request_)
    assert [(v.field, v.rule) for v in refusal.value.violations] == [(field, rule)]
    assert not (await access.stub.ListMerchants(pb.ListMerchantsRequest())).merchants


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"expected_version": 0, "name": "x"}, "version.range"),
        ({"expected_version": 1}, "change.present"),
        ({"expected_version": 1, "name": ""}, "text.length"),
        ({"expected_version": 1, "state": 9}, "state.known"),
        ({"expected_version": 1, "name": "x", "merchant_id": "mer_1"}, "id.mer"),
    ],
)
async def test_a_change_that_breaks_a_rule_is_refused(
    access: AccessUnderTest, change: dict[str, object], rule: str
) -> None:
    fields = {"idempotency_key": "u", "merchant_id": await new_merchant(access.stub), **change}
    with pytest.raises(InvalidArgument) as refusal, typed_errors():
        await access.stub.UpdateMerchant(pb.UpdateMerchantRequest(**fields))  # type: ignore[arg-type]
    assert [violation.rule for violation in refusal.value.violations] == [rule]
