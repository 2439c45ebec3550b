"""What is refused before anything is done: unknown parameters, wrong types, no key, no such URL."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import stripe

from sandbox.server import API_VERSION

AUTH = {"Authorization": "Bearer sk_test_merchant"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


async def refusal(http: httpx.AsyncClient, body: str, path: str = "/v1/payment_intents") -> Any:
    answer = await http.post(path, content=body, headers=AUTH | FORM)
    assert answer.headers["request-id"].startswith("req_")
    return answer.status_code, answer.json()["error"]


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ("currency=usd", "parameter_missing", "amount"),
        ("amount=1000", "parameter_missing", "currency"),
        ("amount=&currency=usd", "parameter_invalid_empty", "amount"),
        ("amount=12.50&currency=usd", "parameter_invalid_integer", "amount"),
        ("amount=abc&currency=usd", "parameter_invalid_integer", "amount"),
        ("amount=0&currency=usd", "parameter_invalid_integer", "amount"),
        ("amount=-5&currency=usd", "parameter_invalid_integer", "amount"),
        ("amount=99999999999999999999999&currency=usd", "parameter_invalid_integer", "amount"),
        ("amount=1000&currency=", "parameter_invalid_empty", "currency"),
        ("amount[x]=1&currency=usd", "parameter_invalid_integer", "amount"),
        ("amount=1000&currency[x]=usd", None, "currency"),
        ("amount=1000&currency=usd&amout=1", "parameter_unknown", "amout"),
        ("amount=1000&currency=usd&a=1&b=2", "parameter_unknown", "a"),
        ("amount=1000&currency=usd&expand[]=", "parameter_invalid_empty", "expand[0]"),
        (
            "amount=1000&currency=usd&shipping[name]=Jo",
            "parameter_missing",
            "shipping[address]",
        ),
        (
            "amount=1000&currency=usd&shipping[colour]=red",
            "parameter_unknown",
            "shipping[colour]",
        ),
        ("amount=1000&currency=usd&confirm=yes", None, "confirm"),
        ("amount=1000&currency=usd&confirm=", "parameter_invalid_empty", "confirm"),
        ("amount=1000&currency=usd&capture_method=later", None, "capture_method"),
        ("amount=1000&currency=usd&capture_method=", "parameter_invalid_empty", "capture_method"),
        (
            "amount=1000&currency=usd&allowed_payment_method_types=card",
            None,
            "allowed_payment_method_types",
        ),
        (
            "amount=1000&currency=usd&allowed_payment_method_types[]=ideal",
            None,
            "allowed_payment_method_types",
        ),
        ("amount=1000&currency=usd&metadata=text", None, "metadata"),
        ("amount=1000&currency=usd&metadata[a][b]=text", None, "metadata"),
        (f"amount=1000&currency=usd&metadata[{'k' * 41}]=v", None, f"metadata[{'k' * 40}]"),
        (f"amount=1000&currency=usd&metadata[k]={'v' * 501}", None, "metadata[k]"),
        (
            f"amount=1000&currency=usd&statement_descriptor={'x' * 23}",
            "parameter_invalid_string_length",
            "statement_descriptor",
        ),
        ("amount=1000&currency=usd&shipping=home", None, "shipping"),
        ("amount=1000&currency=usd&payment_method=pm_x", "resource_missing", "payment_method"),
        ("amount=1000&currency=usd&customer=cus_x", "resource_missing", "customer"),
        (
            "amount=1000&currency=usd&allowed_payment_method_types[]=card"
            "&automatic_payment_methods[enabled]=true",
            None,
            "automatic_payment_methods",
        ),
        ("amount[]]=1&currency=usd", None, "amount[]]"),
    ],
)
async def test_refusals(http: httpx.AsyncClient, body: str, code: str | None, param: str) -> None:
    status, error = await refusal(http, body)
    assert status == (404 if code == "resource_missing" else 400)
    assert error["type"] == "invalid_request_error"
    assert (error.get("code"), error["param"]) == (code, param)
    assert error["message"]


@pytest.mark.parametrize(
    "body",
    [
        "amount=1000&currency=usd&metadata[a]=1&metadata[a][b]=2",
        "amount=1000&currency=usd&metadata[a][b]=2&metadata[a]=1",
        "amount=1000&currency=usd&a[b][c][d][e][f][g][h][i][j][k]=1",
        "&".join(f"metadata[k{n}]=v" for n in range(51)) + "&amount=1000&currency=usd",
        "&".join(f"a{n}=v" for n in range(1001)),
        "amount=1000&currency=usd&description=%ff%fe",
    ],
)
async def test_shapes_no_parameter_has(http: httpx.AsyncClient, body: str) -> None:
    assert (await refusal(http, body))[0] == 400


async def test_long_values_are_not_repeated(http: httpx.AsyncClient) -> None:
    _, error = await refusal(http, "amount=4242424242424242424&currency=usd&confirm=424242424242")
    assert "4242424242" not in error["message"]


async def test_lists_may_be_numbered(http: httpx.AsyncClient) -> None:
    for name in ("allowed_payment_method_types[]", "allowed_payment_method_types[0]"):
        answer = await http.post(
            "/v1/payment_intents",
            content=f"amount=1000&currency=usd&{name}=card",
            headers=AUTH | FORM,
        )
        assert answer.json()["allowed_payment_method_types"] == ["card"]


async def test_empty_text_unsets(http: httpx.AsyncClient) -> None:
    answer = await http.post(
        "/v1/payment_intents",
        content="amount=1000&currency=usd&description=&shipping=&metadata=",
        headers=AUTH | FORM,
    )
    assert answer.status_code == 200
    assert (answer.json()["description"], answer.json()["shipping"]) == (None, None)


async def test_json_bodies_are_refused(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/payment_intents", json={"amount": 1}, headers=AUTH)
    assert answer.status_code == 400
    answer = await http.post("/v1/payment_intents", content=b"\xff\xfe", headers=AUTH | FORM)
    assert answer.status_code == 400


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer sk_live_abc", "Bearer pk_test_abc", "Basic ???", "Digest sk_test_a"],
)
async def test_requests_without_a_test_key(http: httpx.AsyncClient, authorization: str) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    answer = await http.get("/v1/payment_intents", headers=headers)
    assert answer.status_code == 401
    assert answer.json()["error"]["type"] == "invalid_request_error"


async def test_key_as_basic_user(http: httpx.AsyncClient) -> None:
    answer = await http.get("/v1/events", auth=("sk_test_merchant", ""))
    assert answer.status_code == 200


async def test_other_accounts_are_forbidden(http: httpx.AsyncClient) -> None:
    headers = AUTH | {"Stripe-Account": "acct_other"}
    answer = await http.get("/v1/events", headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "account_invalid")


def test_shapes_are_of_the_version_the_sdk_asks_for() -> None:
    assert stripe.api_version == API_VERSION


@pytest.mark.parametrize(("version", "status"), [("2024-06-20", 200), ("latest", 400)])
async def test_api_versions(http: httpx.AsyncClient, version: str, status: int) -> None:
    answer = await http.get("/v1/events", headers=AUTH | {"Stripe-Version": version})
    assert answer.status_code == status


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/unheard_of"),
        ("PUT", "/v1/payment_intents"),
        ("DELETE", "/v1/payment_intents/pi_1"),
        ("GET", "/v1/payment_intents/pi_1/confirm"),
        ("GET", "/v1/payment_intents/pi_1/confirm/more"),
        ("GET", "/v1/"),
        ("GET", "/elsewhere"),
    ],
)
async def test_unknown_urls(http: httpx.AsyncClient, method: str, path: str) -> None:
    answer = await http.request(method, path, headers=AUTH)
    assert answer.status_code == 404
    assert answer.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "path",
    [
        "payment_intents",
        "payment_methods",
        "customers",
        "charges",
        "refunds",
        "disputes",
        "balance_transactions",
        "events",
        "webhook_endpoints",
    ],
)
async def test_objects_that_do_not_exist(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.get(f"/v1/{path}/x_unknown", headers=AUTH)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "resource_missing")


async def test_every_list_answers(http: httpx.AsyncClient) -> None:
    for path in ("payment_methods", "disputes", "refunds", "charges", "webhook_endpoints"):
        answer = await http.get(f"/v1/{path}", headers=AUTH)
        assert answer.json() == {
            "object": "list",
            "data": [],
            "has_more": False,
            "url": f"/v1/{path}",
        }
