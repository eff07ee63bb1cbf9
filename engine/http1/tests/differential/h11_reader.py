"""h11's reading of streams of messages: in by frames on stdin, out by lines on stdout.

A frame is `Q length` (requests) or `A method length` (answers to requests of that method), a
line feed, and so many bytes. What a line says is described in `reading.rs`.
"""

import sys

import h11


def hexed(data):
    return bytes(data).hex() or "-"


class Stream:
    """One connection, as the side that reads sees it."""

    def __init__(self, asked):
        self.asked = asked
        self.connection = h11.Connection(h11.CLIENT if asked else h11.SERVER)
        self.words = []
        # Whether there is nothing more to be read, and whether the peer has said so itself.
        self.ended = self.closed = False
        if asked:
            self.ask()

    def ask(self):
        request = h11.Request(method=self.asked, target="/", headers=[("Host", "a")])
        self.connection.send(request)
        self.connection.send(h11.EndOfMessage())

    def read(self, data):
        """The words of every whole message, and how it ended."""
        try:
            self.connection.receive_data(data)
            self.read_events()
            if self.asked and not self.ended:
                self.closed = True
                self.connection.receive_data(b"")
                self.read_events()
        except h11.RemoteProtocolError as fault:
            return [*self.words, "fault:" + str(fault).replace(" ", "_").replace("\n", "_")]
        trailing, _ = self.connection.trailing_data
        between = self.ended or self.connection.their_state is h11.IDLE
        return [*self.words, "whole" if between and not trailing else "partial"]

    def read_events(self):
        while not self.ended:
            event = self.connection.next_event()
            if event in (h11.NEED_DATA, h11.PAUSED) or isinstance(event, h11.ConnectionClosed):
                return
            if isinstance(event, h11.InformationalResponse):
                self.push(event, b"", True)
            elif isinstance(event, (h11.Request, h11.Response)):
                self.head, self.body = event, bytearray()
            elif isinstance(event, h11.Data):
                self.body += event.data
            elif isinstance(event, h11.EndOfMessage):
                self.finish()

    def finish(self):
        """Notes a message, and answers or asks again where there may be another."""
        connection = self.connection
        if not self.asked:
            connection.send(h11.Response(status_code=404, headers=[("Content-Length", "0")]))
            connection.send(h11.EndOfMessage())
        keep = connection.our_state is h11.DONE and connection.their_state is h11.DONE
        # What its connection's end has ended was the last.
        keep = keep and not self.closed
        self.push(self.head, self.body, keep)
        more, _ = connection.trailing_data
        self.ended = not keep or bool(self.asked and not more)
        if self.ended:
            return
        connection.start_next_cycle()
        if self.asked:
            self.ask()

    def push(self, head, body, keep):
        lines = b"".join(name + b":" + value + b"\n" for name, value in head.headers)
        if self.asked:
            first = [str(head.status_code), "-"]
        else:
            first = [hexed(head.method), hexed(head.target)]
        version = head.http_version.decode()
        kept = "keep" if keep else "close"
        self.words.append(",".join([*first, version, kept, hexed(lines), hexed(body)]))


def main():
    frames, lines = sys.stdin.buffer, sys.stdout
    while words := frames.readline().decode().split():
        asked = words[1] if words[0] == "A" else None
        data = frames.read(int(words[-1]))
        lines.write(" ".join(Stream(asked).read(data)) + "\n")
    lines.flush()


main()
