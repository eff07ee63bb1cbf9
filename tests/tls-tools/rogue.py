"""A client that breaks rules: tlslite-ng's, with a hand on every message before it leaves.

A twist is a function of a connection and the message it is about to send; it gives what is
sent in its place. What comes of it is one word: `answered`, the name of the alert that the
gateway sent, `closed`, or `silent`.
"""

from __future__ import annotations

import contextlib
import copy
import socket
from typing import Callable, Iterable

from tlslite.api import HandshakeSettings, TLSConnection
from tlslite.constants import AlertDescription, ContentType, ExtensionType, HandshakeType
from tlslite.errors import TLSAbruptCloseError, TLSLocalAlert, TLSRemoteAlert
from tlslite.extensions import TLSExtension
from tlslite.messages import ChangeCipherSpec, Message

TLS12, TLS13 = (3, 3), (3, 4)
REQUEST = b"GET /__mock/stats HTTP/1.1\r\nhost: localhost\r\n\r\n"
# How long the gateway may think. It answers at once; this is for a machine that is busy.
PATIENCE_S = 20


class Extra(Message):
    """A message that nobody asked for."""


Twist = Callable[["Rogue", Message], Iterable[Message]]


class Rogue(TLSConnection):
    """A connection whose messages pass through a twist."""

    def __init__(self, address: tuple[str, int], twist: Twist | None = None) -> None:
        super().__init__(socket.create_connection(address, PATIENCE_S))
        self.settimeout(PATIENCE_S)
        self.twist = twist

    def _sendMsg(self, msg, randomizeFirstBlock=True, update_hashes=True):
        for piece in self.twist(self, msg) if self.twist else [msg]:
            # What is too much is no part of what the two ends agree on.
            hashed = update_hashes and not isinstance(piece, Extra)
            yield from super()._sendMsg(piece, False, hashed)

    def send_record(self, kind: int, content: bytes) -> None:
        """Seals and sends one record of any type, whatever is in it."""
        for _ in self._recordLayer.sendRecord(Message(kind, bytearray(content))):
            pass
        self.sock.flush()

    def send_bytes(self, content: bytes) -> None:
        """Sends bytes as they are."""
        self.sock.flush()
        self.sock.socket.sendall(content)

    def update_keys(self, asks: int, sent: Callable[[bytes], None] | None = None) -> None:
        """Says that its keys change, and changes them; `sent` sends the message another way."""
        message = bytearray([HandshakeType.key_update, 0, 0, 1, asks])
        if sent:
            sent(message)
        else:
            self.send_record(ContentType.handshake, message)
        session, layer = self.session, self._recordLayer
        session.cl_app_secret, session.sr_app_secret = layer.calcTLS1_3KeyUpdate_reciever(
            session.cipherSuite, session.cl_app_secret, session.sr_app_secret
        )


def settings_of(version: tuple[int, int], **changes) -> HandshakeSettings:
    """What a good client of one version of TLS offers."""
    settings = HandshakeSettings()
    settings.minVersion = settings.maxVersion = version
    settings.versions = [version]
    settings.eccCurves = ["x25519", "secp256r1", "secp384r1"]
    settings.keyShares = ["x25519"]
    # Sizes of records are tested by hand.
    settings.record_size_limit = None
    for name, value in changes.items():
        setattr(settings, name, value)
    return settings


def ask(connection: Rogue, request: bytes = REQUEST) -> str:
    """Sends a request and reads its answer."""
    connection.write(request)
    return hear(connection)


def hear(connection: Rogue) -> str:
    """Reads an answer whole."""
    answer = bytearray()
    while b"\r\n\r\n" not in answer:
        piece = connection.read(1, 1)
        if not piece:
            return "closed"
        answer += piece
    head = bytes(answer).lower()
    length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
    if len(connection.read(length, length)) < length:
        return "closed"
    status = head.split(b" ")[1].decode()
    return "answered" if status == "200" else status


def outcome_of(attempt: Callable[[], str | None]) -> str:
    """Runs one conversation to its end and names how it ended."""
    try:
        return attempt() or "answered"
    except TLSRemoteAlert as alert:
        return AlertDescription.toRepr(alert.description) or str(alert.description)
    except TLSLocalAlert as alert:
        return f"our own client objects: {alert}"
    except (TLSAbruptCloseError, ConnectionError, BrokenPipeError):
        return "closed"
    except TimeoutError:
        return "silent"


@contextlib.contextmanager
def connected(address, version, twist=None, settings=None, **words):
    """A connection through whose handshake we have come."""
    connection = Rogue(address, twist)
    try:
        words.setdefault("serverName", "localhost")
        chosen = settings or settings_of(version)
        connection.handshakeClientCert(settings=chosen, **words)
        yield connection
    finally:
        connection.sock.socket.close()


def is_hello(message: Message) -> bool:
    return is_kind(message, HandshakeType.client_hello)


def is_kind(message: Message, kind: int) -> bool:
    return getattr(message, "handshakeType", None) == kind


def hello(edit: Callable) -> Twist:
    """Changes the first message; the client itself goes on from what it had meant to say."""

    def twist(_connection, message):
        if not is_hello(message):
            return [message]
        changed = copy.copy(message)
        changed.extensions = list(message.extensions)
        changed.cipher_suites = list(message.cipher_suites)
        edit(changed)
        return [changed]

    return twist


def bytes_of(kind: int, edit: Callable[[bytearray], bytearray]) -> Twist:
    """Changes the bytes of every message of one kind."""

    def twist(_connection, message):
        if not is_kind(message, kind):
            return [message]
        return [Message(ContentType.handshake, edit(bytearray(message.write())))]

    return twist


def before(kind: int, *extra: Message) -> Twist:
    """Sends something before every message of one kind."""
    return lambda _connection, message: (
        [*extra, message] if is_kind(message, kind) else [message]
    )


def twice(kind: int) -> Twist:
    """Sends every message of one kind twice."""
    return lambda _connection, message: (
        [message, Extra(ContentType.handshake, bytearray(message.write()))]
        if is_kind(message, kind)
        else [message]
    )


def without(kind: int) -> Twist:
    """Leaves one kind of message out."""
    return lambda _connection, message: [] if is_kind(message, kind) else [message]


def records_of(size: int) -> Twist:
    """Cuts everything, or only the handshake, into records of `size` bytes."""

    def twist(connection, message):
        connection._recordLayer.send_record_limit = size
        return [message]

    return twist


def extension(number: int, content: bytes = b"") -> TLSExtension:
    return TLSExtension(extType=number).create(number, bytearray(content))


def replaced(number: int, content: bytes | None) -> Twist:
    """Puts other bytes into one extension of the hello, or leaves it out."""

    def edit(message):
        kept = [one for one in message.extensions if one.extType != number]
        if content is not None:
            # A pre-shared key has to stay the last.
            kept.insert(0, extension(number, content))
        message.extensions = kept

    return hello(edit)


def change_cipher_spec() -> Message:
    return Message(ContentType.change_cipher_spec, ChangeCipherSpec().create().write())


SNI = ExtensionType.server_name
