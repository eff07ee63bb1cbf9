"""Everything that others' tools have to say of our TLS, as one table.

Run by `tests/tls-tools/run`. Each room gives rows: what was asked, whether it went well, and
what was seen instead. One row that did not go well is exit code 1.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import clients
import conversations
import gateway
import scanners

ROOMS = ("conversations", "openssl", "gnutls", "sslyze", "testssl")


def rows_of_conversations(open_gateway, asking_gateway, folder, only):
    panics = lambda: sum(
        one.counts()["panics_total"] for one in (open_gateway, asking_gateway)
    )
    addresses = (open_gateway.address, asking_gateway.address)
    before = panics()
    for case in conversations.all_cases(*addresses, folder):
        if only not in case.name:
            continue
        seen = case.run()
        good = seen in case.expected
        if (now := panics()) > before:
            seen, good, before = f"{seen}, and a panic", False, now
        yield case.name, good, seen if good else f"{seen}, not {' or '.join(case.expected)}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("binary", help="tollring")
    parser.add_argument("rooms", nargs="*", metavar="ROOM", help=f"of {', '.join(ROOMS)}")
    parser.add_argument("--only", default="", help="conversations whose name has this")
    parser.add_argument("--verbose", action="store_true", help="also what went well")
    options = parser.parse_args()
    if strange := set(options.rooms) - set(ROOMS):
        parser.error(f"there is no room {' '.join(strange)}")
    failed = 0
    with tempfile.TemporaryDirectory(prefix="tls-tools-") as name:
        folder = Path(name)
        gateway.make_certificates(folder)
        with gateway.running(options.binary, folder) as (first, second):
            rows = {
                "conversations": lambda: rows_of_conversations(
                    first, second, folder, options.only
                ),
                "openssl": lambda: clients.openssl(first, folder),
                "gnutls": lambda: clients.gnutls(first, folder),
                "sslyze": lambda: scanners.sslyze(first, folder),
                "testssl": lambda: scanners.testssl(first, folder),
            }
            for room in options.rooms or ROOMS:
                failed += print_room(room, rows[room](), options.verbose)
            for one in (first, second):
                if not one.is_alive() or one.counts()["panics_total"]:
                    print("a gateway panicked or ended")
                    failed += 1
    return 1 if failed else 0


def print_room(room, rows, verbose) -> int:
    """Prints what went wrong as it comes, and one line at the end; gives how many."""
    began, good, bad = time.monotonic(), 0, 0
    for title, went_well, seen in rows:
        good += went_well
        bad += not went_well
        if verbose or not went_well:
            print(f"  {'ok  ' if went_well else 'BAD '} {title:<56} {seen}", flush=True)
    took = time.monotonic() - began
    print(f"{room:<16}{good:>4} passed, {bad} failed, {took:.0f} s", flush=True)
    return bad


if __name__ == "__main__":
    sys.exit(main())
