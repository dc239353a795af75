# SPDX-License-Identifier: MIT
"""A FastCGI client of a few lines, to say to the service what no web server would."""

import socket
import struct

BEGIN, ABORT, END, PARAMS, STDIN, STDOUT, GET_VALUES = 1, 2, 3, 4, 5, 6, 9


def record(kind, content=b"", identity=1, version=1, padding=0):
    return struct.pack("!BBHHBB", version, kind, identity, len(content), padding, 0) + content + \
        bytes(padding)


def begin(role=1, keep=True):
    return record(BEGIN, struct.pack("!HB5x", role, keep))


def pair(name, value):
    def length(text):
        return struct.pack("!B", len(text)) if len(text) < 128 else \
            struct.pack("!I", len(text) | 1 << 31)
    name, value = name.encode(), value.encode()
    return length(name) + length(value) + name + value


def params(method="GET", target="/health", **others):
    pairs = {"REQUEST_METHOD": method, "REQUEST_URI": target, **others}
    return record(PARAMS, b"".join(pair(*item) for item in pairs.items())) + record(PARAMS)


def stdin(body=b"", chunk=60000):
    parts = [record(STDIN, body[at:at + chunk]) for at in range(0, len(body), chunk)]
    return b"".join(parts) + record(STDIN)


def request(method="GET", target="/health", body=b"", keep=True, **others):
    return begin(keep=keep) + params(method, target, **others) + stdin(body)


class Connection:
    def __init__(self, path, timeout=20):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        self.socket.connect(path)

    def send(self, data):
        self.socket.sendall(data)

    def receive(self, size):
        data = b""
        while len(data) < size:
            more = self.socket.recv(size - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def answer(self):
        """The status and the body of one answer."""
        out = b""
        while True:
            _, kind, _, length, padding, _ = struct.unpack("!BBHHBB", self.receive(8))
            content = self.receive(length + padding)[:length]
            if kind == STDOUT:
                out += content
            if kind == END:
                break
        head, body = out.split(b"\r\n\r\n", 1)
        return int(head.split(b"Status: ")[1][:3]), body

    def is_closed(self):
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def close(self):
        self.socket.close()
