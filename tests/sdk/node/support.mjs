// The processes behind the Node tests: the gateway and three providers, ended by their ids.
//
// Everything listens on ports the kernel chooses; each process is ready when it prints where.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import OpenAI from "openai";

const SDK = dirname(dirname(fileURLToPath(import.meta.url)));
const ROOT = dirname(dirname(SDK));
const BINARY = process.env.TOLLRING_BIN ?? join(ROOT, "target/debug/tollring");
const ADMIN_TOKEN = "an-operator-token-for-tests-0123456789";
// For a process to be ready, or a state to be reached, on a machine busy with other tests.
const PATIENCE_MS = 30_000;

/** Starts a program and resolves with what `ready` captures in the line that matches it. */
async function start(started, command, args, ready, env = process.env) {
  const child = spawn(command, args, { env, stdio: ["ignore", "pipe", "pipe"] });
  started.push(child);
  const lines = [];
  const found = new Promise((resolve, reject) => {
    const fail = (why) => reject(new Error(`${command} ${why}:\n${lines.join("\n")}`));
    const timer = globalThis.setTimeout(() => fail("is not ready"), PATIENCE_MS);
    timer.unref();
    child.once("error", (fault) => fail(fault.message));
    child.once("exit", (code) => fail(`ended with ${code}`));
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on("line", (line) => {
        lines.push(line);
        const match = ready.exec(line);
        if (match) resolve(match[1]);
      });
    }
  });
  return found;
}

/** Starts the providers and the gateway in front of them. */
export async function startGateway() {
  const started = [];
  const address = "(http://127\\.0\\.0\\.1:[1-9]\\d*)";
  try {
    const mockReady = RegExp(`"mock":\\s*"${address}"`);
    const mock = await start(started, BINARY, ["mock", "--json"], mockReady);
    const aimock = await start(
      started,
      join(SDK, "node_modules/.bin/llmock"),
      ["-p", "0", "-f", join(SDK, "providers/aimock.json")],
      RegExp(`listening on ${address}`),
    );
    const fakellm = await start(
      started,
      join(ROOT, ".venv/bin/fakellm"),
      ["serve", "--port", "0", "--config", join(SDK, "providers/fakellm.yaml")],
      RegExp(`running on ${address}`),
    );
    const env = { ...process.env, MOCK_URL: mock, AIMOCK_URL: aimock, FAKELLM_URL: fakellm };
    const serve = ["serve", "--json", "-c", join(SDK, "site.toml")];
    const line = await start(started, BINARY, serve, /^(\{.*"gateway".*\})\s*$/, env);
    const ready = JSON.parse(line);
    return new Gateway(started, ready.gateway, ready.admin, mock);
  } catch (fault) {
    await endAll(started);
    throw fault;
  }
}

async function endAll(started) {
  for (const child of started.reverse()) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    const timer = globalThis.setTimeout(() => child.kill("SIGKILL"), 10_000);
    await ended;
    clearTimeout(timer);
  }
}

/** Where the gateway is, and what it says of itself. */
class Gateway {
  #started;

  constructor(started, url, adminUrl, mockUrl) {
    this.#started = started;
    this.url = url;
    this.adminUrl = adminUrl;
    this.mockUrl = mockUrl;
  }

  end() {
    return endAll(this.#started);
  }

  /** An official client whose HTTP calls are counted where they leave. */
  client(key = "tr_sdk_rich", options = {}) {
    const statuses = [];
    const counting = async (url, init) => {
      const answer = await fetch(url, init);
      statuses.push(answer.status);
      return answer;
    };
    const baseURL = `${this.url}/v1`;
    const api = new OpenAI({ apiKey: key, baseURL, fetch: counting, ...options });
    return { api, statuses };
  }

  async requestsTotal() {
    return (await json(`${this.adminUrl}/api/v1/stats`, ADMIN_TOKEN)).requests_total;
  }

  async providerCalls() {
    return (await json(`${this.mockUrl}/__mock/stats`, "")).requests;
  }

  /** What is used and left, by unit, once nothing is held any more. */
  async quota(key) {
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      const { buckets } = await json(`${this.url}/v1/quota`, key);
      if (buckets.every((bucket) => Number(bucket.held) === 0)) {
        return Object.fromEntries(buckets.map((bucket) => [bucket.unit, bucket]));
      }
      if (Date.now() > deadline) throw new Error("waited in vain for every exchange to be settled");
      await pause(5);
    }
  }
}

async function json(url, key) {
  const answer = await fetch(url, { headers: { authorization: `Bearer ${key}` } });
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}
