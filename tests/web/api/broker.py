"""A broker of MQTT 3.1.1, as small as it may be: it takes what is published, and keeps it."""

import contextlib
import socket
import threading


class Broker:
    """Takes connections and keeps what is published; a context manager.

    Args:
        port: to listen at; 0 takes a free one.
        password: asked of the user, if any.
        breaks: at so many messages the connection is broken instead of acknowledging them.
    """

    def __init__(self, port=0, password=None, breaks=()):
        self.password, self.breaks = password, set(breaks)
        self.got, self.users, self.wills, self.said_goodbye = [], [], [], 0
        self._socket = socket.create_server(("127.0.0.1", port))
        self.port = self._socket.getsockname()[1]
        self._open = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for one in [self._socket, *self._open]:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def topics(self):
        return [topic for topic, _, _ in self.got]

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                one, _ = self._socket.accept()
                self._open.append(one)
                threading.Thread(target=self._serve, args=[one], daemon=True).start()

    def _serve(self, one):
        with contextlib.suppress(OSError, EOFError), one, one.makefile("rb") as stream:
            while self._packet(one, stream):
                pass

    def _packet(self, one, stream):
        """Take one packet; False where the connection ends with it."""
        kind, body = _read(stream)
        match kind >> 4:
            case 1:  # CONNECT
                self._check_protocol(body)
                fine = self._connect(body)
                one.sendall(bytes([0x20, 2, 0, 0 if fine else 5]))
                return fine
            case 3:  # PUBLISH
                assert kind & 6 == 2  # quality of service 1
                topic, rest = _text(body)
                if len(self.got) in self.breaks:
                    self.breaks.discard(len(self.got))
                    return False
                self.got.append((topic.decode(), rest[2:].decode(), bool(kind & 1)))
                one.sendall(b"\x40\x02" + rest[:2])
            case 12:  # PINGREQ
                one.sendall(b"\xd0\x00")
            case 14:  # DISCONNECT
                self.said_goodbye += 1
                return False
        return True

    @staticmethod
    def _check_protocol(body):
        assert body[:7] == b"\x00\x04MQTT\x04"

    def _connect(self, body):
        flags, rest = body[7], body[10:]
        fields = []
        while rest:
            text, rest = _text(rest)
            fields.append(text.decode())
        fields = fields[1:]  # without the client's own name
        if flags & 4:
            self.wills.append((fields.pop(0), fields.pop(0), bool(flags & 32)))
        user = fields.pop(0) if flags & 128 else None
        self.users.append((user, fields.pop(0) if flags & 64 else None))
        return self.password is None or self.users[-1][1] == self.password


def _read(stream):
    kind, length, shift = stream.read(1), 0, 0
    if not kind:
        raise EOFError
    while True:
        (byte,) = stream.read(1)
        length |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return kind[0], stream.read(length)


def _text(body):
    length = int.from_bytes(body[:2], "big")
    return body[2 : 2 + length], body[2 + length :]
