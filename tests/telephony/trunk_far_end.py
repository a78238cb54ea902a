"""A trunk's far end on a UDP socket of the test's own: it challenges, and judges the answers."""

from collections.abc import Callable, Sequence

from tests.support.digest import is_right, read
from tests.support.raw_sip import RawSip, Reply, sdp
from tests.support.waiting import wait_until

SECRET = "open sesame"
REALM = "carrier.example"


def challenge(algorithm: str = "SHA-256", nonce: str = "n1", **more: str) -> str:
    """Write a challenge's value; ``more`` replaces or adds parameters, "" takes one away."""
    words = {"realm": f'"{REALM}"', "nonce": f'"{nonce}"', "algorithm": algorithm, "qop": '"auth"'}
    words |= more
    return "Digest " + ", ".join(f"{name}={value}" for name, value in words.items() if value)


class TrunkFarEnd(RawSip):
    """Answers requests by hand; open it with ``async with``."""

    def answer(
        self, request: Reply, status: str, headers: Sequence[str] = (), body: bytes = b""
    ) -> None:
        """Send a response; ``headers`` are whole lines."""
        tag = "" if "tag=" in request.header("To") else ";tag=far1"
        lines = [f"SIP/2.0 {status}", *(f"Via: {via}" for via in request.headers("Via"))]
        lines += [f"{name}: {request.header(name)}" for name in ("From", "Call-ID", "CSeq")]
        lines += [f"To: {request.header('To')}{tag}", *headers]
        if body:
            lines += ["Content-Type: application/sdp"]
        lines += [f"Content-Length: {len(body)}", "", ""]
        port = int(request.header("Via").partition(";")[0].rpartition(":")[2])
        self.send("\r\n".join(lines).encode() + body, port)

    async def request(self, method: str, nth: int = 0) -> Reply:
        """Wait for a request, counted from 0; retransmissions don't count."""

        def found(_: Reply) -> bool:
            return len(self.requests(method)) > nth

        reply = await self.reply(found)
        assert reply is not None, f"no {method} {nth}"
        return self.requests(method)[nth]

    def requests(self, method: str) -> list[Reply]:
        """Return the requests that came, each once."""
        ours = [each for each in self.replies if not each.code and each.method == method]
        return list({each.header("Via") + each.header("CSeq"): each for each in ours}.values())

    async def challenge_until(
        self, over: Callable[[], object], method: str, *, fresh: bool = True
    ) -> int:
        """Challenge each request of a method, with a new nonce or the same; return how many."""
        answered = 0

        def due() -> bool:
            return bool(over()) or len(self.requests(method)) > answered

        while True:
            await wait_until(due, f"neither its end nor another {method}")
            if over():
                return answered
            value = challenge(nonce=f"n{answered}" if fresh else "n")
            request = self.requests(method)[answered]
            self.answer(request, "401 Prove It", (f"WWW-Authenticate: {value}",))
            answered += 1

    def take(self, invite: Reply) -> None:
        """Answer an INVITE with 200."""
        contact = f"Contact: <sip:far@{self.host}:{self.port}>"
        self.answer(invite, "200 OK", (contact,), sdp())


def credentials_of(request: Reply, code: int = 401) -> str:
    """Return the credentials of a request; there is one header of them at most."""
    given = request.headers({401: "Authorization", 407: "Proxy-Authorization"}[code])
    assert len(given) <= 1, given
    return next(iter(given), "")


def judge(request: Reply, code: int = 401) -> str:
    """Return the algorithm of right credentials for exactly this request; "" for wrong ones."""
    value = credentials_of(request, code)
    given = read(value)
    exact = given.get("uri") == request.start.split(" ")[1]
    right = bool(value) and is_right(value, request.method, secret=SECRET)
    return given.get("algorithm", "MD5") if right and exact and given["realm"] == REALM else ""
