"""RocketMQ's clients in TLS, for the shell tests: `python3 tls.py PORT SCENE [ARG...]`."""

import ssl
import sys

import remoting
from remoting import want


def tls(port, authority=None, cert=None):
    """A connection: authority NULL looks at no certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = authority is not None
    context.verify_mode = ssl.CERT_REQUIRED if authority else ssl.CERT_NONE
    if authority:
        context.load_verify_locations(authority)
    if cert:
        context.load_cert_chain(cert + ".pem", cert + ".key")
    return context.wrap_socket(remoting.connect(port), server_hostname="localhost")


def ask(sock):
    """The end of queue 0 of t."""
    sock.sendall(remoting.request(remoting.JSON, 30, 7, {"topic": "t", "queueId": "0"}))
    return remoting.response(sock)[1]


def both(port):
    """tls.py PORT both DIRECTORY: with TLS and without; what is stored is what was sent, and comes back whole."""
    want(0, ask(remoting.connect(port)))
    sock = tls(port)
    want(0, ask(sock))
    body = bytes(range(256)) * 2000
    ext = {"a": "p", "b": "t", "c": "", "d": "1", "e": "0", "f": "0", "g": "1", "h": "0", "i": "", "j": "0"}
    sock.sendall(remoting.request(remoting.JSON, 310, 8, ext, body))
    want(0, remoting.response(sock)[1])
    for each in sock, remoting.connect(port):       # encrypted piece by piece, and by sendfile
        each.sendall(remoting.request(remoting.JSON, 11, 9, {
            "topic": "t", "queueId": "0", "consumerGroup": "g", "queueOffset": "0", "maxMsgNums": "8", "sysFlag": "4",
            "commitOffset": "0", "suspendTimeoutMillis": "0", "subVersion": "0", "subscription": "*"}))
        answer = remoting.response(each)
        want((0, True), (answer[1], body in answer[5]))


def let_in(port):
    """tls.py PORT let_in AUTHORITY [CERT]: a client that looks at the certificate."""
    want(0, ask(tls(port, *sys.argv[3:])))


def plain(port):
    """tls.py PORT plain: the code."""
    print(ask(remoting.connect(port)))


def shut_out(port):
    """tls.py PORT shut_out AUTHORITY [CERT]: the broker, or this client, breaks off."""
    try:
        ask(tls(port, *sys.argv[3:]))
    except (ssl.SSLError, ConnectionError, EOFError):
        return
    sys.exit("was let in")


def late(port):
    """Who says nothing is not asked for TLS, and may still begin either way."""
    import time
    first, second = remoting.connect(port), remoting.connect(port)
    time.sleep(0.3)
    want(0, ask(first))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    want(0, ask(context.wrap_socket(second)))


if __name__ == "__main__":
    globals()[sys.argv[2]](int(sys.argv[1]))
