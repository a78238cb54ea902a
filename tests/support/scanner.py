"""A scanner as SIPVicious is one: OPTIONS, REGISTER and INVITE of many users, from many addresses.

    python -m tests.support.scanner PORT REQUESTS_PER_S SECONDS ADDRESSES

A process of its own, on raw sockets and paced by the clock, so that it takes little of the machine.
Prints a JSON object when it is done: how many were sent, and the statuses of what came back.
Shares no code with the product.
"""

import json
import socket
import sys
import time
from collections import Counter
from itertools import cycle

_TICK_S = 0.01
_METHODS = (b"OPTIONS", b"REGISTER", b"INVITE")
_AGENTS = (b"friendly-scanner", b"Phone 1.0", b"sipcli/v1.8", b"Asterisk PBX 18", b"Gateway")
_SDP = (
    b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    b"m=audio 4000 RTP/AVP 0 8\r\n"
)
_REQUEST = (
    b"%(method)s sip:%(user)d@127.0.0.1 SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP %(host)s:%(port)d;branch=z9hG4bK-scan-%(number)d;rport\r\n"
    b"Max-Forwards: 70\r\n"
    b'From: "%(user)d" <sip:%(user)d@127.0.0.1>;tag=%(number)d\r\n'
    b"To: <sip:%(user)d@127.0.0.1>\r\n"
    b"Call-ID: scan-%(number)d\r\n"
    b"CSeq: 1 %(method)s\r\n"
    b"Contact: <sip:%(user)d@%(host)s:%(port)d>\r\n"
    b"User-Agent: %(agent)s\r\n"
    b"Content-Type: application/sdp\r\n"
    b"Content-Length: %(length)d\r\n\r\n%(body)s"
)


def _sockets(count: int) -> list[socket.socket]:
    """Return sockets at 127.0.1.1, 127.0.1.2 and so on."""
    made = []
    for number in range(1, count + 1):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((f"127.0.1.{number}", 0))
        sock.setblocking(False)
        made.append(sock)
    return made


def _drain(sock: socket.socket, codes: Counter[str]) -> None:
    while True:
        try:
            data = sock.recv(4096)
        except BlockingIOError:
            return
        codes[data[8:11].decode("latin-1")] += 1


def scan(port: int, per_s: int, seconds: float, addresses: int) -> dict[str, object]:
    codes: Counter[str] = Counter()
    sockets = _sockets(addresses)
    turn = cycle((sock, *sock.getsockname()) for sock in sockets)
    sent, begun = 0, time.monotonic()
    while (elapsed := time.monotonic() - begun) < seconds:
        while sent < elapsed * per_s:
            sock, host, own_port = next(turn)
            method = _METHODS[sent % len(_METHODS)]
            body = _SDP if method == b"INVITE" else b""
            fields = {"method": method, "user": 100 + sent % 9_900, "host": host.encode()}
            fields |= {"port": own_port, "number": sent, "agent": _AGENTS[sent % len(_AGENTS)]}
            data = _REQUEST % _in_bytes({**fields, "length": len(body), "body": body})
            sock.sendto(data, ("127.0.0.1", port))
            sent += 1
        _drain(sockets[sent % len(sockets)], codes)
        time.sleep(_TICK_S)
    for sock in sockets:
        _drain(sock, codes)
        sock.close()
    took_s, cpu_s = time.monotonic() - begun, time.process_time()
    return {"sent": sent, "codes": codes, "took_s": round(took_s, 2), "cpu_s": round(cpu_s, 2)}


def _in_bytes(fields: dict[str, object]) -> dict[bytes, object]:
    return {name.encode(): value for name, value in fields.items()}


if __name__ == "__main__":
    print(json.dumps(scan(*(int(word) for word in sys.argv[1:]))))
