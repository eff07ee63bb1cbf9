// The official Node client through the binary, against three providers of different make.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import OpenAI from "openai";

import { startGateway } from "./support.mjs";

const HELLO = [{ role: "user", content: "hello there" }];
const WEATHER = [{ role: "user", content: "How is the weather?" }];
const TOOLS = [
  {
    type: "function",
    function: {
      name: "get_weather",
      description: "The weather of a city.",
      parameters: { type: "object", properties: { city: { type: "string" } } },
    },
  },
];
const KEY = "tr_sdk_rich";

let gateway;
before(async () => {
  gateway = await startGateway();
});
after(() => gateway?.end());

/** Tokens charged to the rich key by what `act` does. */
async function tokensSpent(act) {
  const used = async () => Number((await gateway.quota(KEY)).tokens.used);
  const before = await used();
  const result = await act();
  return [result, (await used()) - before];
}

async function collect(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

for (const model of ["mock", "aimock", "fakellm"]) {
  describe(`with ${model} behind the gateway`, () => {
    test("a chat is answered and charged as its provider says", async () => {
      const { api, statuses } = gateway.client();
      const [answer, tokens] = await tokensSpent(() =>
        api.chat.completions.create({ model, messages: HELLO, max_tokens: 50 }),
      );
      assert.ok(answer.choices[0].message.content);
      assert.ok(answer._request_id);
      assert.equal(tokens, answer.usage.total_tokens);
      assert.deepEqual(statuses, [200]);
    });

    test("a stream has no usage that was not asked for", async () => {
      const { api } = gateway.client();
      const [chunks, tokens] = await tokensSpent(async () =>
        collect(await api.chat.completions.create({ model, messages: HELLO, stream: true })),
      );
      assert.ok(chunks.map((chunk) => chunk.choices[0].delta.content ?? "").join("").trim());
      assert.ok(chunks.every((chunk) => chunk.usage == null));
      assert.equal(chunks.at(-1).choices[0].finish_reason, "stop");
      assert.ok(tokens > 0 && tokens < 1000, `${tokens} tokens`);
    });

    test("a tool is called, at once and streamed", async () => {
      const { api } = gateway.client();
      const ask = { model, messages: WEATHER, tools: TOOLS };
      const whole = await api.chat.completions.create(ask);
      assert.equal(whole.choices[0].message.tool_calls[0].function.name, "get_weather");

      const streamed = await api.chat.completions.stream(ask).finalChatCompletion();
      const call = streamed.choices[0].message.tool_calls[0];
      assert.equal(call.function.name, "get_weather");
      assert.equal(typeof JSON.parse(call.function.arguments), "object");
    });
  });
}

for (const model of ["mock", "aimock"]) {
  test(`a stream of ${model} keeps the usage that was asked for`, async () => {
    const { api } = gateway.client();
    const [chunks, tokens] = await tokensSpent(async () =>
      collect(
        await api.chat.completions.create({
          model,
          messages: HELLO,
          stream: true,
          stream_options: { include_usage: true },
        }),
      ),
    );
    assert.deepEqual(chunks.at(-1).choices, []);
    assert.equal(tokens, chunks.at(-1).usage.total_tokens);
  });

  test(`embeddings of ${model} come back as numbers`, async () => {
    const { api } = gateway.client();
    // Left to itself the client asks for base64 and takes it apart; aimock, asked for base64,
    // answers with numbers, which this client then takes apart as well.
    const encoding = model === "aimock" ? { encoding_format: "float" } : {};
    const [answer, tokens] = await tokensSpent(() =>
      api.embeddings.create({ model, input: "embed me", ...encoding }),
    );
    assert.ok(answer.data[0].embedding.length > 1);
    assert.ok(answer.data[0].embedding.every((number) => Number.isFinite(number)));
    assert.equal(tokens, answer.usage.total_tokens);
  });
}

test("models are listed and looked up", async () => {
  const { api } = gateway.client();
  const ids = (await collect(await api.models.list())).map((model) => model.id);
  assert.deepEqual(ids.sort(), ["aimock", "dear", "fakellm", "mock"]);
  assert.equal((await api.models.retrieve("mock")).id, "mock");
});

for (const [key, model, unit, code] of [
  ["tr_sdk_prepaid", "dear", "usd", "balance_exhausted"],
  ["tr_sdk_spent", "mock", "requests", "quota_exhausted"],
]) {
  test(`${code} is one call and a parsed code`, async () => {
    const request = { model, messages: HELLO, max_tokens: 10 };
    await gateway.client(key).api.chat.completions.create(request);
    assert.equal(Number((await gateway.quota(key))[unit].remaining), 0);
    // The client's own default, which retries whatever looks as if it might pass.
    const { api, statuses } = gateway.client(key, { maxRetries: 2 });
    const served = await gateway.providerCalls();
    const counted = await gateway.requestsTotal();

    await assert.rejects(api.chat.completions.create(request), (error) => {
      assert.ok(error instanceof OpenAI.APIError);
      assert.deepEqual([error.status, error.code], [402, code]);
      assert.equal(error.type, "insufficient_quota");
      assert.equal(error.error.quota.unit, unit);
      assert.equal(error.requestID, error.error.request_id);
      return true;
    });

    assert.deepEqual(statuses, [402]);
    assert.equal(await gateway.providerCalls(), served);
    assert.equal(await gateway.requestsTotal(), counted + 1);
  });
}

test("too fast is retried by the client when it was told to", async () => {
  const { api, statuses } = gateway.client("tr_sdk_hasty", { maxRetries: 1 });
  const request = { model: "mock", messages: HELLO, max_tokens: 10 };
  const deadline = Date.now() + 20_000;
  let took = 0;
  // Two in one second are one too many; where the second turns between them, once more.
  while (!statuses.includes(429) && Date.now() < deadline) {
    const begun = Date.now();
    await api.chat.completions.create(request);
    took = Date.now() - begun;
  }
  assert.deepEqual(statuses.slice(-2), [429, 200]);
  // Retry-After is in whole seconds, and was obeyed: the client's own back-off is shorter.
  assert.ok(took > 900 && took < 10_000, `${took} ms`);
});

for (const [key, model, kind, status, code] of [
  ["tr_sdk_nobody", "mock", OpenAI.AuthenticationError, 401, "invalid_api_key"],
  ["tr_sdk_disabled", "mock", OpenAI.PermissionDeniedError, 403, "key_disabled"],
  ["tr_sdk_suspended", "mock", OpenAI.PermissionDeniedError, 403, "tenant_suspended"],
  ["tr_sdk_narrow", "aimock", OpenAI.PermissionDeniedError, 403, "model_not_allowed"],
  ["tr_sdk_rich", "gpt-9", OpenAI.NotFoundError, 404, "model_not_found"],
]) {
  test(`${code} is the client's own exception after one call`, async () => {
    const { api, statuses } = gateway.client(key, { maxRetries: 2 });
    const asked = api.chat.completions.create({ model, messages: HELLO, max_tokens: 10 });
    await assert.rejects(asked, (error) => {
      assert.ok(error instanceof kind, String(error));
      assert.deepEqual([error.status, error.code], [status, code]);
      return true;
    });
    assert.deepEqual(statuses, [status]);
  });
}
