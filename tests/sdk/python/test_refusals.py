"""What the official client makes of a no: one call for money, a retry for pace.

Calls are counted twice: where they leave the client, and in the gateway's own figures.
"""

from __future__ import annotations

import time

import openai
import pytest

HELLO = [{"role": "user", "content": "hello there"}]


def ask(one, model: str = "mock", **options):
    return one.api.chat.completions.create(
        model=model, messages=HELLO, max_tokens=10, **options
    )


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("key", "model", "unit", "code"),
    [
        ("tr_sdk_prepaid", "dear", "usd", "balance_exhausted"),
        ("tr_sdk_spent", "mock", "requests", "quota_exhausted"),
    ],
)
def test_an_exhausted_quota_is_one_call_and_a_parsed_code(
    gateway, client, key, model, unit, code, stream
):
    if gateway.quota(key)[unit]["remaining"] > 0:
        ask(client(key), model)
        assert gateway.quota(key)[unit]["remaining"] == 0
    # The client's own default, which retries whatever looks as if it might pass.
    one = client(key, max_retries=2)
    served, counted = gateway.provider_calls("mock"), gateway.requests_total()

    with pytest.raises(openai.APIStatusError) as caught:
        ask(one, model, stream=stream)

    error = caught.value
    assert (error.status_code, error.code) == (402, code)
    assert error.type == "insufficient_quota"
    assert error.body["source"] == "gateway"
    assert error.body["quota"]["remaining"] in ("0", "0.0", "0.00", "0.000000000")
    assert error.request_id == error.body["request_id"]
    assert error.response.headers["x-should-retry"] == "false"
    assert "retry-after" not in error.response.headers
    assert one.calls == ["POST /v1/chat/completions"]
    assert gateway.provider_calls("mock") == served
    assert gateway.requests_total() == counted + 1


def test_too_fast_is_retried_by_the_client_when_it_was_told_to(gateway, client):
    one = client("tr_sdk_hasty", max_retries=1)
    deadline = time.monotonic() + 20
    # Two in one second are one too many; where the second turns between them, once more.
    while 429 not in one.statuses and time.monotonic() < deadline:
        begun, calls = time.monotonic(), len(one.calls)
        ask(one)
        took = time.monotonic() - begun
    assert one.statuses[-2:] == [429, 200]
    assert len(one.calls) == calls + 2
    # Retry-After is in whole seconds, and was obeyed: the client's own back-off is shorter.
    assert 0.9 < took < 10


def test_too_fast_without_retries_says_when_to_come_back(client):
    one = client("tr_sdk_hasty", max_retries=0)
    with pytest.raises(openai.RateLimitError) as caught:
        for _ in range(50):
            ask(one)
    assert caught.value.code == "requests_per_second"
    assert caught.value.response.headers["retry-after"] == "1"


@pytest.mark.parametrize(
    ("key", "model", "kind", "status", "code"),
    [
        ("tr_sdk_nobody", "mock", openai.AuthenticationError, 401, "invalid_api_key"),
        ("tr_sdk_disabled", "mock", openai.PermissionDeniedError, 403, "key_disabled"),
        ("tr_sdk_suspended", "mock", openai.PermissionDeniedError, 403, "tenant_suspended"),
        ("tr_sdk_narrow", "aimock", openai.PermissionDeniedError, 403, "model_not_allowed"),
        ("tr_sdk_rich", "gpt-9", openai.NotFoundError, 404, "model_not_found"),
    ],
)
def test_a_refusal_is_the_clients_own_exception_after_one_call(
    client, key, model, kind, status, code
):
    one = client(key, max_retries=2)
    with pytest.raises(kind) as caught:
        ask(one, model)
    assert (caught.value.status_code, caught.value.code) == (status, code)
    assert caught.value.body["message"]
    assert len(one.calls) == 1


def test_a_body_that_is_wrong_is_a_bad_request_after_one_call(client):
    one = client(max_retries=2)
    with pytest.raises(openai.BadRequestError) as caught:
        ask(one, extra_body={"stream": "perhaps"})
    assert caught.value.type == "invalid_request_error"
    assert len(one.calls) == 1
