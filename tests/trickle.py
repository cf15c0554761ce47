#!/usr/bin/env python3
"""trickle.py [LISTEN TARGET]... - pass connections on, a byte a packet in both directions."""
import selectors
import socket
import sys

TURN = 256


def address(text):
    host, port = text.rsplit(":", 1)
    return host, int(port)


def main(pairs):
    watched = selectors.DefaultSelector()
    for listen, target in zip(pairs[::2], pairs[1::2]):
        watched.register(socket.create_server(address(listen)), selectors.EVENT_READ, target)
    while True:
        for key, _ in watched.select():
            if isinstance(key.data, str):
                inside = key.fileobj.accept()[0]
                outside = socket.create_connection(address(key.data))
                for a, b in (inside, outside), (outside, inside):
                    a.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    watched.register(a, selectors.EVENT_READ, b)
                continue
            try:
                piece = key.fileobj.recv(TURN)
                for i in range(len(piece)):
                    key.data.send(piece[i:i + 1])
            except OSError:
                piece = b""
            if not piece:
                for s in key.fileobj, key.data:
                    watched.unregister(s)
                    s.close()
                break


main(sys.argv[1:])
