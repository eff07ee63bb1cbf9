"""The official client through the binary, against three providers of different make.

A provider is left out only of what it does not have: fakellm knows chat alone, and its
streams carry no usage.
"""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

PROVIDERS = ["mock", "aimock", "fakellm"]
HELLO = [{"role": "user", "content": "hello there"}]
WEATHER = [{"role": "user", "content": "How is the weather?"}]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather of a city.",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "unit": {"type": "string"}},
            },
        },
    }
]
KEY = "tr_sdk_rich"


def spent(gateway, before: dict) -> tuple[int, Decimal]:
    """Tokens and USD since `before`."""
    after = gateway.quota(KEY)
    change = lambda unit: after[unit]["used"] - before[unit]["used"]
    return int(change("tokens")), change("usd")


def cost(usage) -> Decimal:
    return (usage.prompt_tokens + 2 * usage.completion_tokens) / Decimal(1_000_000)


@pytest.mark.parametrize("model", PROVIDERS)
def test_a_chat_is_answered_and_charged_as_its_provider_says(gateway, client, model):
    before = gateway.quota(KEY)
    one = client()
    answer = one.api.chat.completions.create(model=model, messages=HELLO, max_tokens=50)
    assert answer.choices[0].message.content
    assert answer.usage.total_tokens > 0
    assert answer._request_id
    assert one.calls == ["POST /v1/chat/completions"]
    assert spent(gateway, before) == (answer.usage.total_tokens, cost(answer.usage))


@pytest.mark.parametrize("model", PROVIDERS)
def test_a_stream_has_no_usage_that_was_not_asked_for(gateway, client, model):
    before = gateway.quota(KEY)
    chunks = list(
        client().api.chat.completions.create(model=model, messages=HELLO, stream=True)
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text.strip()
    assert all(chunk.usage is None for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason == "stop"
    tokens, usd = spent(gateway, before)
    # Usage was asked of the provider all the same, or counted where it has none.
    assert 0 < tokens < 1000
    assert usd > 0


@pytest.mark.parametrize("model", ["mock", "aimock"])
def test_a_stream_keeps_the_usage_that_was_asked_for(gateway, client, model):
    before = gateway.quota(KEY)
    chunks = list(
        client().api.chat.completions.create(
            model=model, messages=HELLO, stream=True, stream_options={"include_usage": True}
        )
    )
    assert chunks[-1].choices == []
    assert spent(gateway, before) == (chunks[-1].usage.total_tokens, cost(chunks[-1].usage))


@pytest.mark.parametrize("model", PROVIDERS)
def test_a_tool_is_called(client, model):
    answer = client().api.chat.completions.create(model=model, messages=WEATHER, tools=TOOLS)
    assert answer.choices[0].finish_reason == "tool_calls"
    call = answer.choices[0].message.tool_calls[0]
    assert call.id
    assert call.function.name == "get_weather"
    assert isinstance(json.loads(call.function.arguments), dict)


@pytest.mark.parametrize("model", PROVIDERS)
def test_a_streamed_tool_call_comes_together_again(client, model):
    name, arguments, reason = "", "", None
    for chunk in client().api.chat.completions.create(
        model=model, messages=WEATHER, tools=TOOLS, stream=True
    ):
        reason = chunk.choices[0].finish_reason or reason
        for call in chunk.choices[0].delta.tool_calls or []:
            name += call.function.name or ""
            arguments += call.function.arguments or ""
    assert (name, reason) == ("get_weather", "tool_calls")
    assert isinstance(json.loads(arguments), dict)


@pytest.mark.parametrize("model", ["mock", "aimock"])
@pytest.mark.parametrize("options", [{}, {"encoding_format": "float"}], ids=["own", "float"])
def test_embeddings_come_back_as_numbers(gateway, client, model, options):
    before = gateway.quota(KEY)
    # Left to itself the client asks for base64, and takes it apart.
    answer = client().api.embeddings.create(model=model, input="embed me", **options)
    assert len(answer.data[0].embedding) > 1
    assert all(isinstance(number, float) for number in answer.data[0].embedding)
    assert spent(gateway, before)[0] == answer.usage.total_tokens


def test_a_plain_completion_is_answered(gateway, client):
    before = gateway.quota(KEY)
    answer = client().api.completions.create(model="mock", prompt="Once upon", max_tokens=5)
    assert answer.choices[0].text
    assert spent(gateway, before) == (answer.usage.total_tokens, cost(answer.usage))


def test_models_are_listed_and_looked_up(client):
    api = client().api
    assert sorted(model.id for model in api.models.list()) == ["aimock", "dear", "fakellm", "mock"]
    assert api.models.retrieve("fakellm").id == "fakellm"
    narrow = client("tr_sdk_narrow").api
    assert [model.id for model in narrow.models.list()] == ["mock"]


def test_a_stream_that_is_left_early_is_charged_for_what_was_produced(gateway, client):
    before = gateway.quota(KEY)
    stream = client().api.chat.completions.create(
        model="fakellm", messages=HELLO, stream=True, max_tokens=5000
    )
    with stream:
        next(iter(stream))
    tokens, _ = spent(gateway, before)
    assert 0 < tokens < 1000
