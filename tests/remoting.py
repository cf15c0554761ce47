"""RocketMQ's remoting protocol, raw, for the shell tests: `python3 remoting.py PORT SCENE`."""

import contextlib
import json
import socket
import struct
import sys
import time

JSON, BINARY = 0, 1


def frame(dialect, header, body=b""):
    return struct.pack(">iI", 4 + len(header) + len(body), dialect << 24 | len(header)) + header + body


def request(dialect, code, opaque=7, ext=None, body=b"", flag=0):
    ext = ext or {}
    if dialect == JSON:
        fields = {"code": code, "extFields": ext, "flag": flag, "language": "JAVA", "opaque": opaque,
                  "serializeTypeCurrentRPC": "JSON", "version": 409}
        return frame(JSON, json.dumps(fields).encode(), body)
    entries = b"".join(struct.pack(">h", len(k)) + k.encode() + struct.pack(">i", len(v)) + v.encode()
                       for k, v in ext.items())
    return frame(BINARY, struct.pack(">hbhiii", code, 0, 409, opaque, flag, 0) + struct.pack(">i", len(entries)) +
                 entries, body)


def receive(sock, size):
    got = b""
    while len(got) < size:
        part = sock.recv(size - len(got))
        if not part:
            raise EOFError("closed after %d of %d bytes" % (len(got), size))
        got += part
    return got


def response(sock):
    """(dialect, code, opaque, flag, remark, body)"""
    length, head = struct.unpack(">iI", receive(sock, 8))
    dialect, header_len = head >> 24, head & 0xffffff
    header = receive(sock, header_len)
    body = receive(sock, length - 4 - header_len)
    if dialect == JSON:
        h = json.loads(header)
        return dialect, h["code"], h["opaque"], h["flag"], h.get("remark"), body
    code, _, _, opaque, flag, remark_len = struct.unpack(">hbhiii", header[:17])
    return dialect, code, opaque, flag, header[17:17 + remark_len].decode(), body


def connect(port):
    sock = socket.create_connection(("127.0.0.1", port), timeout=60)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def is_closed(sock, seconds):
    sock.settimeout(seconds)
    try:
        while True:
            if not sock.recv(65536):
                return True
    except socket.timeout:
        return False
    except ConnectionError:
        return True


def want(wanted, got):
    if wanted != got:
        sys.exit("line %d: wanted %r, got %r" % (sys._getframe(1).f_lineno, wanted, got))


# --- scenes ---------------------------------------------------------------------------------


def ask(port):
    """What nobody serves is answered so, in the dialect of the request, however large or cut."""
    for dialect in JSON, BINARY:
        with connect(port) as sock:
            wanted = (dialect, 3, 7, 1, " request type 31999 not supported", b"")
            sock.sendall(request(dialect, 31999, ext={"topic": "T"}, body=b"a body"))
            want(wanted, response(sock))
            for byte in request(dialect, 31999):
                sock.sendall(bytes([byte]))
            want(wanted, response(sock))
            sock.sendall(request(dialect, 31999, body=bytes(4 << 20)))
            want(wanted, response(sock))


def pipeline(port):
    """Many at once: all are answered, or told that it is too much."""
    with connect(port) as sock:
        sock.sendall(b"".join(request(i % 2, 31999, opaque=i) for i in range(500)))
        opaques = set()
        for _ in range(500):
            dialect, code, opaque, flag, _, _ = response(sock)
            want((opaque % 2, True, 1), (dialect, code in (2, 3), flag))
            opaques.add(opaque)
        want(500, len(opaques))


def one_way(port):
    with connect(port) as sock:
        sock.sendall(request(JSON, 31999, opaque=1, flag=2) + request(BINARY, 31999, opaque=2))
        want(2, response(sock)[2])


def garbage(port):
    """No frame begins like that."""
    for bytes_ in (b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 64, b"\x01\x00\x00\x00" + bytes(60),
                   b"\x00\xff\x00\x00\x00\xfe\x00\x00" + bytes(60), frame(2, b"{}"), frame(JSON, b"{"),
                   frame(JSON, b"[]"), frame(BINARY, bytes(17) + b"\xff" * 4), frame(JSON, b'{"code":"\xff"}')):
        with connect(port) as sock:
            sock.sendall(bytes_)
            if not is_closed(sock, 60):
                sys.exit("not closed after %r" % bytes_[:20])


def slow(port):
    """A frame has to be complete in half a minute, however busy its sender."""
    with connect(port) as sock, connect(port) as other:
        began = time.monotonic()
        for byte in request(JSON, 31999):
            try:
                sock.sendall(bytes([byte]))
            except ConnectionError:
                break
            if is_closed(sock, 1):
                break
        took = time.monotonic() - began
        if not 20 < took < 120:
            sys.exit("closed after %.1f s" % took)
        other.sendall(request(JSON, 31999))
        want(3, response(other)[1])


def flood(port):
    """Far more connections than there are places, half of them in the middle of something large:
    who asks something is answered."""
    socks = []
    for i in range(300):
        sock = connect(port)
        if i % 2:
            with contextlib.suppress(ConnectionError):      # sent away already, for the next
                sock.sendall(struct.pack(">iI", 15 << 20, 2) + b"{}" + bytes(100000))
        socks.append(sock)
        if i % 50 == 49:
            ask_once(port)
    ask_once(port)
    for sock in socks:
        sock.close()


def ask_once(port):
    end = time.monotonic() + 60
    while True:
        try:
            with connect(port) as sock:
                sock.sendall(request(JSON, 31999))
                want(3, response(sock)[1])
                return
        except (ConnectionError, EOFError, socket.timeout):
            if time.monotonic() > end:
                raise


def deaf(port):
    """Who asks and does not listen is not asked for patience."""
    with connect(port) as sock:
        sock.settimeout(2)
        try:
            for i in range(100000):
                sock.sendall(request(JSON, 31999, opaque=i) * 50)
        except (socket.timeout, ConnectionError):
            return
        sys.exit("all of it was taken")


if __name__ == "__main__":
    globals()[sys.argv[2]](int(sys.argv[1]))
