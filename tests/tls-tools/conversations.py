"""What a peer may do wrong, and what the gateway has to say to it.

Each case is a sentence, the ways it may end, and a conversation. The subjects are those of
tlsfuzzer's scripts, which are on no registry; the library under them, tlslite-ng, is. An
alert is named where the RFC names one, and several where it leaves a choice.
"""

from __future__ import annotations

from typing import Callable, Iterator, NamedTuple

from tlslite.api import X509, X509CertChain, parsePEMKey
from tlslite.constants import CipherSuite, ContentType, ExtensionType, HandshakeType
from tlslite.messages import Message

from rogue import (
    REQUEST,
    SNI,
    TLS12,
    TLS13,
    Rogue,
    ask,
    before,
    bytes_of,
    change_cipher_spec,
    connected,
    extension,
    hear,
    hello,
    outcome_of,
    records_of,
    replaced,
    settings_of,
    twice,
    without,
)

ANSWERED = ("answered",)
UNEXPECTED = ("unexpected_message",)
DECODE = ("decode_error",)
# rustls ends these without the alert that the RFC would have; the connection is closed.
SILENTLY = ("unexpected_message", "closed")
ILLEGAL = ("illegal_parameter",)
VERSIONS = {"1.2": TLS12, "1.3": TLS13}
FINISHED, VERIFY = HandshakeType.finished, HandshakeType.certificate_verify


class Case(NamedTuple):
    name: str
    expected: tuple[str, ...]
    run: Callable[[], str]


def all_cases(open_address, asking_address, folder) -> Iterator[Case]:
    for name, version in VERSIONS.items():
        for group in (shaped, hellos, hostile):
            for title, expected, run in group(open_address, version):
                yield Case(f"{name} {title}", expected, run)
        for title, expected, run in certificates(asking_address, version, folder):
            yield Case(f"{name} {title}", expected, run)
    for group in (only_13, only_12, first_words):
        for title, expected, run in group(open_address):
            yield Case(title, expected, run)


def asking(address, version, twist=None, settings=None, **words) -> Callable[[], str]:
    """A handshake with a twist, a request, an answer."""

    def attempt():
        with connected(address, version, twist, settings, **words) as connection:
            return ask(connection)

    return lambda: outcome_of(attempt)


def after(address, version, act: Callable[[Rogue], str | None]) -> Callable[[], str]:
    """Something that is done once the handshake is over and one request was answered."""

    def attempt():
        with connected(address, version) as connection:
            if ask(connection) != "answered":
                return "the first request went unanswered"
            # Told in one call where it says so itself, else by the next answer.
            return act(connection) or ask(connection)

    return lambda: outcome_of(attempt)


def shaped(address, version):
    """Records of every shape that are still right (RFC 8446 §5.1, RFC 5246 §6.2.1)."""
    yield "a plain conversation", ANSWERED, asking(address, version)
    for size in (1, 2, 5, 64, 511, 16384):
        title = f"everything in records of {size} bytes"
        yield title, ANSWERED, asking(address, version, records_of(size))

    def empties(connection):
        for _ in range(8):
            connection.send_record(ContentType.application_data, b"")
            connection.send_record(ContentType.application_data, REQUEST[:1])
            connection.send_record(ContentType.application_data, b"")
            connection.send_record(ContentType.application_data, REQUEST[1:])
            if (heard := hear(connection)) != "answered":
                return heard
        return "answered"

    yield "empty records between", ANSWERED, after(address, version, empties)

    def long(size):
        def act(connection):
            field = b"x-padding: " + b"a" * (size - len(REQUEST) - 13) + b"\r\n\r\n"
            content = REQUEST[:-2] + field
            assert len(content) == size
            connection.send_record(ContentType.application_data, content)
            return hear(connection)

        return after(address, version, act)

    yield "a record of 2^14 bytes", ANSWERED, long(1 << 14)
    yield "a record of 2^14 + 1 bytes", ("record_overflow",), long((1 << 14) + 1)
    yield "a record of 2^14 + 300 bytes", ("record_overflow",), long((1 << 14) + 300)

    def both(connection):
        connection.write(REQUEST * 20)
        return next((heard for _ in range(20) if (heard := hear(connection)) != "answered"), None)

    yield "twenty requests in one record", ANSWERED, after(address, version, both)


def hellos(address, version):
    """What a hello says (RFC 8446 §4.1.2, RFC 6066, RFC 7301)."""

    def case(twist=None, settings=None, **words):
        return asking(address, version, twist, settings, **words)

    yield "no server name", ANSWERED, case(serverName=None)
    yield "a name that nobody has", ANSWERED, case(serverName="nobody.test")
    yield "a server name cut short", DECODE, case(replaced(SNI, b"\x00\x05\x00\x00\x09a"))
    yield "an empty list of names", DECODE, case(replaced(SNI, b"\x00\x00"))
    name = b"a\x00b"
    sni = b"\x00\x06\x00" + len(name).to_bytes(2, "big") + name
    hostile = ("illegal_parameter", "decode_error", "unrecognized_name")
    yield "a server name with a zero byte", hostile, case(replaced(SNI, sni))
    two = b"\x00\x08\x00\x00\x01a\x00\x00\x01b"
    yield "two server names", hostile, case(replaced(SNI, two))
    yield "our protocol among others", ANSWERED, case(alpn=[b"h2", b"http/1.1"])
    none = ("no_application_protocol",)
    yield "a protocol that we do not speak", none, case(alpn=[b"h2"])
    alpn = ExtensionType.alpn
    yield "no protocol in the list", DECODE, case(replaced(alpn, b"\x00\x00"))
    empty = b"\x00\x01\x00"
    yield "an empty name of a protocol", ("decode_error", *ILLEGAL), case(replaced(alpn, empty))

    def many(message):
        message.extensions[:0] = [extension(0x4000 + number) for number in range(40)]

    def double(message):
        message.extensions[:0] = [extension(0x4000), extension(0x4000)]

    def grease(message):
        message.cipher_suites[:0] = [0x0A0A, 0x1A1A, 0xFAFA]
        message.extensions[:0] = [extension(0x0A0A), extension(0x1A1A, b"\x00")]

    def large(message):
        message.extensions[:0] = [extension(0x4000, bytes(20_000))]

    yield "forty unknown extensions", ANSWERED, case(hello(many))
    yield "an extension twice", ("decode_error", *ILLEGAL), case(hello(double))
    yield "words of GREASE (RFC 8701)", ANSWERED, case(hello(grease))
    yield "a hello of 20,000 bytes", ANSWERED, case(hello(large))

    def compression(methods):
        def edit(message):
            message.compression_methods = methods

        return case(hello(edit))

    yield "no way to leave uncompressed", ("decode_error", *ILLEGAL), compression([1])
    if version == TLS12:
        yield "compression offered", ANSWERED, compression([1, 0])
    else:
        yield "compression offered", ("decode_error", *ILLEGAL), compression([1, 0])

    def weak(message):
        message.cipher_suites = [
            CipherSuite.TLS_RSA_WITH_AES_128_CBC_SHA,
            CipherSuite.TLS_RSA_WITH_RC4_128_SHA,
            CipherSuite.TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA,
            CipherSuite.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256,
        ]

    yield "weak ciphers alone", ("handshake_failure",), case(hello(weak))
    groups = ExtensionType.supported_groups
    refused = ("handshake_failure", *ILLEGAL)
    strange = case(replaced(groups, b"\x00\x02\x00\x01"))
    yield "no group that we know", refused, strange
    schemes = ExtensionType.signature_algorithms
    sha1 = case(replaced(schemes, b"\x00\x04\x02\x01\x02\x03"))
    yield "signatures of SHA-1 alone", ("handshake_failure",), sha1
    kind = HandshakeType.client_hello

    def longer(content):
        return resized(content + b"\x00")

    def shorter(content):
        return resized(content[:-1])

    yield "a hello with a byte too many", DECODE, case(bytes_of(kind, longer))
    yield "a hello with a byte too few", DECODE, case(bytes_of(kind, shorter))
    beat = Message(ContentType.alert, bytearray([1, 90]))
    stopped = ("closed", "unexpected_message", "decode_error", "user_canceled")
    yield "an alert and then a hello", (*ANSWERED, *stopped), case(before(kind, beat))


def resized(content: bytearray) -> bytearray:
    """Puts the right length into a message's header."""
    content[1:4] = (len(content) - 4).to_bytes(3, "big")
    return content


def hostile(address, version):
    """Messages that are wrong, missing, or too many."""

    def case(twist):
        return asking(address, version, twist)

    def flipped(content):
        content[-1] ^= 1
        return content

    yield "a spoilt Finished", ("decrypt_error",), case(bytes_of(FINISHED, flipped))
    cut = ("decode_error", "decrypt_error")
    short = bytes_of(FINISHED, lambda content: resized(content[:-1]))
    yield "a Finished cut short", cut, case(short)
    long = bytes_of(FINISHED, lambda content: resized(content + b"\x00"))
    yield "a Finished with a byte too many", cut, case(long)
    # It goes on with records that nobody can open yet, or with content before its time.
    early = ("unexpected_message", "bad_record_mac", "decrypt_error")
    if version == TLS12:
        # Both wait for the other, until the deadline of heads.
        yield "no Finished", ("closed",), case(without(FINISHED))
    else:
        yield "no Finished", early, case(without(FINISHED))
    yield "Finished twice", (*early, "no_renegotiation"), case(twice(FINISHED))
    beat = Message(ContentType.heartbeat, bytearray(b"\x01\x00\x01a" + bytes(16)))
    yield "a heartbeat", (*UNEXPECTED, "decode_error"), case(before(FINISHED, beat))
    # In TLS 1.3 the second one should have been sealed.
    again = case(twice(HandshakeType.client_hello))
    yield "a hello twice", (*UNEXPECTED, "decode_error", "bad_record_mac"), again

    def record(kind, content):
        return after(address, version, lambda peer: peer.send_record(kind, content))

    for kind in (19, 25, 99, 255):
        title = f"a record of type {kind}"
        yield title, (*UNEXPECTED, "decode_error"), record(kind, b"abc")
    yield "an empty alert", (*UNEXPECTED, "decode_error"), record(ContentType.alert, b"")
    half = record(ContentType.alert, b"\x01")
    yield "half an alert", (*UNEXPECTED, "decode_error"), half
    two = record(ContentType.alert, b"\x02\x28\x02\x28")
    yield "two alerts in a record", (*UNEXPECTED, "decode_error", "closed"), two
    fatal = record(ContentType.alert, b"\x02\x28")
    yield "a fatal alert", ("closed",), fatal
    strange = record(ContentType.alert, b"\x03\x28")
    yield "an alert of no level", (*ILLEGAL, "decode_error", "closed"), strange
    request = record(ContentType.handshake, b"\x00\x00\x00\x00")
    yield "a HelloRequest from the client", (*UNEXPECTED, "no_renegotiation"), request
    unknown = record(ContentType.handshake, b"\x63\x00\x00\x00")
    yield "a message that nobody knows", (*UNEXPECTED, "decode_error"), unknown

    def spoilt(connection):
        layer = connection._recordLayer
        send = layer._recordSocket.send

        def twisted(message, padding=0):
            content = bytearray(message.write())
            content[-1] ^= 1
            return send(Message(message.contentType, content), padding)

        layer._recordSocket.send = twisted

    yield "a record with a byte changed", ("bad_record_mac",), after(address, version, spoilt)

    def stub(length):
        content = bytes([ContentType.application_data, 3, 3, 0, length]) + bytes(length)
        expected = ("bad_record_mac", "decode_error")
        return expected, after(address, version, lambda peer: peer.send_bytes(content))

    for length in (0, 1, 16):
        yield f"a sealed record of {length} bytes", *stub(length)
    huge = bytes([ContentType.application_data, 3, 3, 0xFF, 0xFF])
    beyond = ("record_overflow", "decode_error")
    yield "a record that says 65,535", beyond, after(
        address, version, lambda peer: peer.send_bytes(huge)
    )

    def goodbye(connection):
        connection.send_record(ContentType.alert, b"\x01\x00")
        return "closed" if not connection.read(1, 1) else "content after the end"

    yield "a goodbye is answered", ("closed",), after(address, version, goodbye)


def certificates(address, version, folder):
    """Clients with a certificate, and their signatures (RFC 8446 §4.4.3)."""

    def identity(name):
        chain = X509CertChain([X509().parse((folder / f"{name}.pem").read_text())])
        key = parsePEMKey((folder / f"{name}.key").read_text(), private=True)
        return {"certChain": chain, "privateKey": key}

    good = identity("client")
    yield "a client certificate", ANSWERED, asking(address, version, **good)
    small = asking(address, version, records_of(7), **good)
    yield "a client certificate in records of 7 bytes", ANSWERED, small
    missing = ("certificate_required", "handshake_failure", "bad_certificate")
    yield "no client certificate", missing, asking(address, version)
    strange = asking(address, version, **identity("stranger"))
    unknown = ("unknown_ca", "decrypt_error", "bad_certificate")
    yield "a certificate of another authority", unknown, strange
    borrowed = {**good, "privateKey": identity("stranger")["privateKey"]}
    yield "somebody else's certificate", ("decrypt_error",), asking(address, version, **borrowed)

    def signature(edit):
        return asking(address, version, bytes_of(VERIFY, edit), **good)

    def flipped(content):
        content[-1] ^= 1
        return content

    def scheme(number):
        def edit(content):
            content[4:6] = number.to_bytes(2, "big")
            return content

        return edit

    bad = ("decrypt_error", "decode_error", "bad_certificate")
    yield "a spoilt signature", bad, signature(flipped)
    cut = signature(lambda content: resized(content[:-4]))
    yield "a signature cut short", bad, cut
    empty = signature(lambda content: resized(content[:6] + b"\x00\x00"))
    yield "an empty signature", bad, empty
    refused = ("illegal_parameter", "decrypt_error", "handshake_failure")
    yield "a signature that says SHA-1", refused, signature(scheme(0x0203))
    yield "a signature that says RSA", refused, signature(scheme(0x0804))
    yield "a signature of no known scheme", refused, signature(scheme(0xFEFE))
    unsigned = asking(address, version, without(VERIFY), **good)
    yield "no signature", (*UNEXPECTED, "decrypt_error", "bad_record_mac"), unsigned
    doubled = asking(address, version, twice(VERIFY), **good)
    yield "a signature twice", (*UNEXPECTED, "decrypt_error", "bad_record_mac"), doubled


def only_13(address):
    """What TLS 1.3 alone has: keys that change, padding, retries, tickets that bind."""

    def act(function):
        return after(address, TLS13, function)

    for asks in (0, 1):
        def updates(connection, asks=asks):
            for _ in range(20):
                connection.update_keys(asks)
                if (heard := ask(connection)) != "answered":
                    return heard

        title = "asked for in return" if asks else "said"
        yield f"1.3 twenty changes of keys, {title}", ANSWERED, act(updates)

    def halves(connection):
        def in_halves(message):
            connection.send_record(ContentType.handshake, message[:2])
            connection.send_record(ContentType.handshake, message[2:])

        connection.update_keys(0, in_halves)

    yield "1.3 a change of keys in two records", ANSWERED, act(halves)

    def pending(connection):
        # The answer is written while half a message waits.
        connection.send_record(ContentType.application_data, REQUEST)
        connection.send_record(ContentType.handshake, b"\x18\x00")
        if (heard := hear(connection)) != "answered":
            return heard
        rest = lambda message: connection.send_record(ContentType.handshake, message[2:])
        connection.update_keys(0, rest)

    yield "1.3 an answer between the halves of a message", ANSWERED, act(pending)

    def handshake(content):
        return act(lambda connection: connection.send_record(ContentType.handshake, content))

    key_update = HandshakeType.key_update
    yield "1.3 a change of keys that asks for 2", (*ILLEGAL, "decode_error"), handshake(
        bytes([key_update, 0, 0, 1, 2])
    )
    yield "1.3 an empty change of keys", DECODE, handshake(bytes([key_update, 0, 0, 0]))
    two = bytes([key_update, 0, 0, 1, 0]) * 2
    yield "1.3 two changes of keys in a record", UNEXPECTED, handshake(two)
    again = bytes([HandshakeType.client_hello, 0, 0, 2, 3, 3])
    yield "1.3 a hello after the handshake", (*UNEXPECTED, "decode_error"), handshake(again)
    # Nobody may send one (RFC 8446 §5.1); rustls reads on, and ends it after 32 in a row.
    yield "1.3 an empty record of a message", (*ANSWERED, *UNEXPECTED), handshake(b"")

    def empty_records(connection):
        for _ in range(40):
            connection.send_record(ContentType.handshake, b"")

    yield "1.3 forty empty records of a message", SILENTLY, act(empty_records)

    def interleaved(connection):
        connection.send_record(ContentType.handshake, b"\x18\x00")
        connection.send_record(ContentType.application_data, REQUEST)
        return hear(connection)

    yield "1.3 content inside a message", SILENTLY, act(interleaved)
    sealed = act(lambda peer: peer.send_record(ContentType.change_cipher_spec, b"\x01"))
    yield "1.3 ChangeCipherSpec after the handshake", UNEXPECTED, sealed
    ccs = change_cipher_spec()
    once = asking(address, TLS13, before(FINISHED, ccs))
    yield "1.3 ChangeCipherSpec in the handshake", (*ANSWERED, *UNEXPECTED), once
    wrong = Message(ContentType.change_cipher_spec, bytearray(b"\x02"))
    yield "1.3 ChangeCipherSpec of another value", (*UNEXPECTED, "decode_error"), asking(
        address, TLS13, before(FINISHED, wrong)
    )
    yield "1.3 ChangeCipherSpec before the hello", UNEXPECTED, asking(
        address, TLS13, before(HandshakeType.client_hello, ccs)
    )
    yield from padding(address)
    yield from retries(address)
    yield from tickets_13(address)


def padding(address):
    """Zeros behind the content (RFC 8446 §5.4)."""
    for zeros in (1, 255, 4000):
        settings = settings_of(TLS13, padding_cb=lambda *_, zeros=zeros: zeros)
        title = f"1.3 {zeros} bytes of padding in every record"
        yield title, ANSWERED, asking(address, TLS13, settings=settings)

    def zeros_alone(connection):
        # The type is one of the zeros: there is none.
        connection.send_record(0, bytes(20))

    yield "1.3 a record of padding alone", SILENTLY, after(address, TLS13, zeros_alone)


def retries(address):
    """A hello that has to be said again (RFC 8446 §4.1.4), and shares of keys."""
    settings = settings_of(TLS13, keyShares=[])
    yield "1.3 no share of a key, so again", ANSWERED, asking(address, TLS13, settings=settings)

    def changed():
        seen = []

        def edit(message):
            seen.append(message)
            if len(seen) == 2:
                # Another group than the one that was asked for.
                number = ExtensionType.key_share
                kept = [one for one in message.extensions if one.extType != number]
                message.extensions = [extension(number, b"\x00\x06\x00\x18\x00\x02ab"), *kept]

        return asking(address, TLS13, hello(edit), settings)()

    yield "1.3 again, with another share than was asked for", ILLEGAL, changed
    share = ExtensionType.key_share
    x25519 = b"\x00\x1d\x00\x20" + bytes(32)
    zeros = len(x25519).to_bytes(2, "big") + x25519
    weak = asking(address, TLS13, replaced(share, zeros))
    yield "1.3 a share of zeros", (*ILLEGAL, "handshake_failure"), weak
    point = b"\x00\x17\x00\x41\x04" + bytes(64)
    curve = settings_of(TLS13, eccCurves=["secp256r1"], keyShares=["secp256r1"])
    content = len(point).to_bytes(2, "big") + point
    off = asking(address, TLS13, replaced(share, content), curve)
    yield "1.3 a share that is no point", (*ILLEGAL, "handshake_failure"), off
    for number, title in (
        (ExtensionType.signature_algorithms, "no schemes of signatures"),
        (ExtensionType.key_share, "no shares of keys"),
        (ExtensionType.supported_groups, "no groups"),
    ):
        expected = ("missing_extension", "handshake_failure", *ILLEGAL)
        yield f"1.3 {title}", expected, asking(address, TLS13, replaced(number, None))


def tickets_13(address):
    """Sessions that are resumed, rightly and wrongly (RFC 8446 §4.2.11)."""

    def resume(spoil=None, name="localhost"):
        def attempt():
            with connected(address, TLS13) as connection:
                ask(connection)
                session = connection.session
            if spoil:
                spoil(session)
            session.serverName = name
            with connected(address, TLS13, session=session, serverName=name) as again:
                heard = ask(again)
                return f"{heard}, resumed" if again.resumed else heard

        return lambda: outcome_of(attempt)

    yield "1.3 a ticket", ("answered, resumed",), resume()

    def spoilt(session):
        for ticket in session.tickets:
            ticket.ticket[-1] ^= 1

    def short(session):
        for ticket in session.tickets:
            del ticket.ticket[5:]

    def unbound(session):
        session.resumptionMasterSecret[-1] ^= 1

    yield "1.3 a spoilt ticket", ANSWERED, resume(spoilt)
    yield "1.3 a ticket cut short", ANSWERED, resume(short)
    yield "1.3 a ticket without its secret", ("decrypt_error", *ILLEGAL), resume(unbound)


def only_12(address):
    """What TLS 1.2 alone has: renegotiation, and the ChangeCipherSpec that counts."""

    def renegotiates(connection):
        # A second hello, under the keys of the first.
        content = bytearray(b"\x03\x03" + bytes(32) + b"\x00\x00\x02\xc0\x2b\x01\x00")
        message = bytes([HandshakeType.client_hello]) + len(content).to_bytes(3, "big") + content
        connection.send_record(ContentType.handshake, message)
        return hear(connection)

    refused = ("no_renegotiation", "unexpected_message", "handshake_failure", "decode_error")
    yield "1.2 renegotiation", refused, after(address, TLS12, renegotiates)

    def halves(connection):
        connection.send_record(ContentType.application_data, REQUEST)
        connection.send_record(ContentType.handshake, b"\x01\x00")
        return hear(connection)

    yield "1.2 half a hello while an answer is written", ANSWERED, after(address, TLS12, halves)
    exchange = HandshakeType.client_key_exchange
    early = asking(address, TLS12, before(exchange, change_cipher_spec()))
    yield "1.2 ChangeCipherSpec too early (CVE-2014-0224)", UNEXPECTED, early
    unkeyed = asking(address, TLS12, without(exchange))
    yield "1.2 no exchange of keys", UNEXPECTED, unkeyed
    doubled = asking(address, TLS12, twice(exchange))
    yield "1.2 the exchange of keys twice", UNEXPECTED, doubled

    def bad_point(content):
        # An uncompressed point of the right length that is on no curve, or bytes of X25519.
        content[5:] = bytes(len(content) - 5)
        return content

    off = asking(address, TLS12, bytes_of(exchange, bad_point))
    yield "1.2 a key that is no point", (*ILLEGAL, "handshake_failure", "decode_error"), off
    empty = bytes_of(exchange, lambda content: resized(content[:4] + b"\x00"))
    # rustls ends this without an alert too.
    yield "1.2 an empty key", (*ILLEGAL, "decode_error", "closed"), asking(address, TLS12, empty)
    plain = settings_of(TLS12, useExtendedMasterSecret=False)
    yield "1.2 no extended master secret", ANSWERED, asking(address, TLS12, settings=plain)

    def changed(connection):
        connection.send_record(ContentType.change_cipher_spec, b"\x01")

    # rustls takes it for one in the clear, and its seal for its content.
    refused = (*UNEXPECTED, "decode_error")
    yield "1.2 ChangeCipherSpec after the handshake", refused, after(address, TLS12, changed)

    def resume():
        with connected(address, TLS12) as connection:
            ask(connection)
            session = connection.session
        with connected(address, TLS12, session=session) as again:
            heard = ask(again)
            return f"{heard}, resumed" if again.resumed else heard

    yield "1.2 a ticket", ("answered, resumed",), lambda: outcome_of(resume)


def first_words(address):
    """Versions that are too old, and what is no TLS at all."""
    for name, version in (("SSL 3.0", (3, 0)), ("TLS 1.0", (3, 1)), ("TLS 1.1", (3, 2))):
        def edit(message, version=version):
            message.client_version = version
            number = ExtensionType.supported_versions
            message.extensions = [one for one in message.extensions if one.extType != number]

        expected = ("protocol_version", "handshake_failure")
        yield f"a hello of {name}", expected, asking(address, TLS12, hello(edit))
    versions = ExtensionType.supported_versions
    future = asking(address, TLS13, replaced(versions, b"\x02\x7f\x1c"))
    yield "a version of the future alone", ("protocol_version",), future
    greased = asking(address, TLS13, replaced(versions, b"\x06\x7f\x1c\x03\x04\x0a\x0a"))
    yield "a version of the future besides", ANSWERED, greased

    def raw(content):
        def attempt():
            connection = Rogue(address)
            with connection.sock.socket as socket:
                socket.sendall(content)
                told = b""
                while piece := socket.recv(4096):
                    told += piece
                if len(told) > 100:
                    return f"{len(told)} bytes"
                return "closed"

        return lambda: outcome_of(attempt)

    closed = ("closed",)
    yield "HTTP in the clear", closed, raw(REQUEST)
    old = bytes.fromhex("802e0100020015000000100100800300800700c0")
    yield "a hello of SSL 2", closed, raw(old + bytes(28))
    yield "an empty record of a handshake", closed, raw(b"\x16\x03\x01\x00\x00")
    yield "content before a hello", closed, raw(b"\x17\x03\x03\x00\x05hello")
    yield "an alert before a hello", closed, raw(b"\x15\x03\x01\x00\x02\x02\x28")
    yield "a message of 16 MB announced", closed, raw(b"\x16\x03\x01\x00\x04\x01\xff\xff\xff")


