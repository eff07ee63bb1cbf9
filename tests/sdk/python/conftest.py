"""The processes behind the SDK tests: the gateway and three providers, ended by their ids.

Everything listens on ports the kernel chooses; each process is ready when it prints where.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
import time
import urllib.request
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Callable, Iterator

import openai
import pytest

SDK = Path(__file__).resolve().parent.parent
ROOT = SDK.parent.parent
BINARY = os.environ.get("TOLLRING_BIN", str(ROOT / "target/debug/tollring"))
ADMIN_TOKEN = "an-operator-token-for-tests-0123456789"
# For a process to be ready, or a state to be reached, on a machine busy with other tests.
PATIENCE_S = 30.0


class Process:
    """A program that prints, on one line, where it listens."""

    def __init__(self, command: list[str], ready: str, **options: object) -> None:
        self.lines: list[str] = []
        self._found: re.Match[str] | None = None
        self._changed = threading.Event()
        self.child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **options,
        )
        # Read to its end, so that the program never blocks on a full pipe.
        threading.Thread(target=self._read, args=(re.compile(ready),), daemon=True).start()
        self._changed.wait(PATIENCE_S)
        if self._found is None:
            self.end()
            raise RuntimeError(f"{command[0]} is not ready:\n" + "".join(self.lines))
        self.ready = self._found.group(1)

    def _read(self, ready: re.Pattern[str]) -> None:
        for line in self.child.stdout:
            self.lines.append(line)
            if self._found is None and (found := ready.search(line)):
                self._found = found
                self._changed.set()
        self._changed.set()

    def end(self) -> None:
        self.child.terminate()
        try:
            self.child.wait(10)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()


@dataclass
class Gateway:
    """Where the gateway is, and what it says of itself."""

    url: str
    admin_url: str
    providers: dict[str, str]

    def _json(self, url: str, key: str) -> dict:
        request = urllib.request.Request(url, headers={"authorization": f"Bearer {key}"})
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return json.load(answer)

    def stats(self) -> dict:
        return self._json(f"{self.admin_url}/api/v1/stats", ADMIN_TOKEN)

    def requests_total(self) -> int:
        return self.stats()["requests_total"]

    def quota(self, key: str) -> dict[str, dict[str, Decimal]]:
        """What is used, held and left, by unit, once nothing is held any more."""

        def look() -> dict[str, dict[str, Decimal]] | None:
            buckets = self._json(f"{self.url}/v1/quota", key)["buckets"]
            amounts = ("limit", "used", "held", "remaining")
            units = {b["unit"]: {name: Decimal(b[name]) for name in amounts} for b in buckets}
            return units if all(unit["held"] == 0 for unit in units.values()) else None

        return eventually("every exchange to be settled", look)

    def provider_calls(self, provider: str) -> int:
        """How many chat calls an independent witness counted."""
        url = self.providers[provider]
        paths = {
            "mock": "/__mock/stats",
            "aimock": "/__aimock/journal",
            "fakellm": "/_fakellm/stats",
        }
        told = self._json(url + paths[provider], "")
        if provider == "mock":
            return told["requests"]
        return len(told) if provider == "aimock" else told["total_requests"]


@dataclass
class Client:
    """The official client, and the HTTP calls it made."""

    api: openai.OpenAI
    calls: list[str] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)


def eventually(what: str, look: Callable[[], object]):
    """Waits until `look` finds something; says what was waited for when it does not."""
    deadline = time.monotonic() + PATIENCE_S
    while (found := look()) is None:
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.005)
    return found


@pytest.fixture(scope="session")
def gateway() -> Iterator[Gateway]:
    node = SDK / "node_modules/.bin/llmock"
    address = r"(http://127\.0\.0\.1:[1-9]\d*)"
    commands = {
        "mock": ([BINARY, "mock", "--json"], rf'"mock":\s*"{address}"'),
        "aimock": (
            [str(node), "-p", "0", "-f", str(SDK / "providers/aimock.json"), "--journal-max", "0"],
            rf"listening on {address}",
        ),
        "fakellm": (
            [str(ROOT / ".venv/bin/fakellm"), "serve", "--port", "0"]
            + ["--config", str(SDK / "providers/fakellm.yaml")],
            rf"running on {address}",
        ),
    }
    started: list[Process] = []
    try:
        environment = dict(os.environ)
        providers = {}
        for name, (command, ready) in commands.items():
            started.append(Process(command, ready))
            providers[name] = started[-1].ready
            environment[f"{name.upper()}_URL"] = providers[name]
        serve = [BINARY, "serve", "--json", "-c", str(SDK / "site.toml")]
        started.append(Process(serve, r'^(\{.*"gateway".*\})\s*$', env=environment))
        ready = json.loads(started[-1].ready)
        yield Gateway(ready["gateway"], ready["admin"], providers)
    finally:
        for process in reversed(started):
            process.end()


@pytest.fixture
def client(gateway: Gateway) -> Iterator[Callable[..., Client]]:
    """Makes official clients whose HTTP calls are counted where they leave."""
    made: list[Client] = []

    def make(key: str = "tr_sdk_rich", **options: object) -> Client:
        calls: list[str] = []
        statuses: list[int] = []
        hooks = {
            "request": [lambda request: calls.append(f"{request.method} {request.url.path}")],
            "response": [lambda response: statuses.append(response.status_code)],
        }
        api = openai.OpenAI(
            api_key=key,
            base_url=f"{gateway.url}/v1",
            http_client=openai.DefaultHttpxClient(event_hooks=hooks),
            **options,
        )
        made.append(Client(api, calls, statuses))
        return made[-1]

    yield make
    for one in made:
        one.api.close()
