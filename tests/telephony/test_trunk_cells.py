"""The matrix of trunks against baresip: each cell of `trunk_cells.py` is a call that is judged.

In some of them Kamailio is between the two, as the gateways' edge or as the trunk's registrar.

The others than those of `QUICK`: ``pytest -m nightly tests/telephony/test_trunk_cells.py`` on the
capacity build.
"""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bridge.audio.wav import write_wav
from tests.audio.signals import tone
from tests.docs.pages import ROOT
from tests.support.baresip import RATE_HZ, Account, Baresip, baresip
from tests.support.certificates import Authority, make_certificate
from tests.support.digest import hashed
from tests.support.kamailio import PING_INTERVAL_S, Kamailio, TlsOutside, kamailio
from tests.support.ports import free_port
from tests.support.waiting import wait_until
from tests.telephony.rig import Call, Rig, running
from tests.telephony.trunk_cells import CELLS, QUICK, SRTP, Cell
from tests.telephony.trunk_far_end import SECRET as TRUNK_SECRET

pytestmark = [pytest.mark.sip, pytest.mark.usefixtures("garbage_in_this_thread")]

_PAGE = ROOT / "deploy" / "handbook" / "TRUNKS.md"

FAR, TRUNK = "127.0.0.1", "127.0.0.2"
"""Where baresip is, and where the trunk is whose user it is by digest."""
SECRET = "wonderland"
CALLER_HZ, AGENT_HZ, LOUD = 600, 900, 2000
_ENCRYPTION = {"off": "", "optional": "srtp", "required": "srtp-mand"}
_REGISTRAR = Path(__file__).parent / "scenarios" / "registrar.cfg"


@dataclass(frozen=True, slots=True)
class Place:
    """An endpoint, and the port and the user that baresip calls: its own, or Kamailio's."""

    rig: Rig
    port: int
    user: str = "support"


def settings_of(cell: Cell, authority: Authority, **trunk: object) -> dict[str, object]:
    """Return settings with the cell's trunk, and more of the trunk's."""
    cert, key = authority.sign("gateway")
    tls = {
        "port": 0,
        "cert_file": cert,
        "key_file": key,
        "ca_file": authority.cert_file,
        "verify_client": cell.mtls and cell.between != "edge",
    }
    asks = cell.digest is not None and cell.between != "registrar"
    secrets = {"md5": hashed("MD5", "alice", "cells", SECRET)}
    carrier = {"addresses": [TRUNK if asks else FAR], "transport": cell.trunk, "srtp": cell.ours}
    return {
        "tls": tls,
        "trunks": {"carrier": {**carrier, **trunk}},
        "users": {"alice": {**secrets, "trunk": "carrier"}} if asks else {},
        "realm": "cells",
    }


@asynccontextmanager
async def direct(cell: Cell, authority: Authority) -> AsyncIterator[Place]:
    """Run an endpoint with the cell's trunk."""
    async with running(**settings_of(cell, authority)) as rig:
        assert rig.endpoint.tls is not None
        yield Place(rig, rig.endpoint.tls.port if cell.by == "tls" else rig.endpoint.port)


@asynccontextmanager
async def behind_edge(cell: Cell, authority: Authority) -> AsyncIterator[Place]:
    """Run an endpoint behind Kamailio."""
    challenges: dict[str, Any] = {} if cell.digest is None else {"NODES_CHALLENGE": 1}
    async with running(**settings_of(cell, authority)) as rig:
        node = rig.endpoint.port
        async with kamailio([node], tls=tls_of(cell, authority), **challenges) as edge:
            await edge.until(10 * PING_INTERVAL_S, AP=[node])
            yield Place(rig, port_of(cell, edge))


@asynccontextmanager
async def registering(cell: Cell, authority: Authority) -> AsyncIterator[Place]:
    """Run an endpoint with the cell's trunk, which is Kamailio."""
    secret = f'"{TRUNK_SECRET if cell.digest else "another"}"'
    tls = tls_of(cell, authority)
    async with kamailio([], tls=tls, config=_REGISTRAR, USER_SECRET=secret) as carrier:
        port = port_of(cell, carrier)
        settings = settings_of(
            cell,
            authority,
            credentials={"username": "acme", "secret_env": "UNUSED"},
            registration={"registrar": f"sip:{FAR}:{port}"},
        )
        async with running(**settings) as rig:
            yield Place(rig, port, "acme")


_RUN = {"": direct, "edge": behind_edge, "registrar": registering}


def tls_of(cell: Cell, authority: Authority) -> TlsOutside | None:
    if cell.by != "tls":
        return None
    return TlsOutside(authority.sign("kamailio"), authority.cert_file if cell.mtls else None)


def port_of(cell: Cell, server: Kamailio) -> int:
    return server.tls_port if cell.by == "tls" else server.port


def certificate_of(cell: Cell, authority: Authority, directory: Path) -> Path | None:
    """Write what baresip shows, certificate and key in one file."""
    if cell.shown == "none":
        return None
    if cell.shown == "self-signed":
        paths = make_certificate(directory / "own")
    else:
        name = FAR if cell.shown == "good" else "sip.example.org"
        paths = authority.sign("far", hosts=[name])
    together = directory / "shown.pem"
    together.write_bytes(b"".join(path.read_bytes() for path in paths))
    return together


@asynccontextmanager
async def far_end(cell: Cell, authority: Authority, directory: Path) -> AsyncIterator[Baresip]:
    """Run baresip as the cell says; it sounds all the time."""
    speech = directory / "tone.wav"
    write_wav(speech, tone(CALLER_HZ, RATE_HZ, RATE_HZ * 60, amplitude=8000), RATE_HZ)
    account = Account(
        user="baresip" if cell.digest is None else "alice",
        secret={None: "", True: SECRET, False: "guess"}[cell.digest],
        sip_port=free_port() if cell.way == "out" else 0,
        transport=cell.by,
        encryption=_ENCRYPTION[cell.theirs],
        shown=certificate_of(cell, authority, directory),
        answers=cell.way == "out",
    )
    async with baresip(directory, speech, "PCMU", account) as phone:
        yield phone


def is_tone(sound: NDArray[np.int16], rate_hz: int, hz: int) -> bool:
    """Return whether the loud part of a sound is a tone."""
    loud = sound[np.abs(sound) > LOUD // 4]
    if len(loud) < rate_hz // 10:
        return False
    spectrum = np.abs(np.fft.rfft(sound.astype(float)))
    return bool(abs(np.argmax(spectrum) * rate_hz / len(sound) - hz) < 20)


async def talk(call: Call, phone: Baresip) -> None:
    """Hear the far end's tone, and sound another one until it is heard there."""
    await call.until(lambda: bool(call.pieces), "media")
    heard = False
    loudest: list[int] = []
    for _ in range(20):
        call.play_tone(AGENT_HZ, 600)
        sound = await call.hear(600)
        loudest.append(int(np.abs(sound).max(initial=0)))
        heard = is_tone(sound, 24_000, CALLER_HZ) or heard
        if heard and is_tone(phone.heard(), RATE_HZ, AGENT_HZ):
            return
    whose = "the far end hears nothing" if heard else "the far end is not heard"
    pytest.fail(f"{whose}; loudest samples here, each 600 ms: {loudest}")


def seen(closed: str) -> str:
    """Return the status that ended a call, in baresip's words; without one it had no answer."""
    code = closed.split(" ", maxsplit=1)[0]
    return code if code.isdecimal() else "nothing"


async def becomes(cell: Cell, place: Place, phone: Baresip) -> str:
    """Make the cell's call; return what became of it, as the far end sees it."""
    rig = place.rig
    if cell.between == "registrar":
        answer = await rig.endpoint.register("carrier", renew=True)
        if answer.code != 200:
            return str(answer.code)
    if cell.way == "out":
        port = phone.account.sip_port + (cell.by == "tls")
        call = rig.dial(f"sip:baresip@{FAR}:{port}")
        await call.until(lambda: call.ended or "confirmed" in call.states, "an answer")
        if call.ended:
            return str(call.leg.last_code)
    else:
        phone.command("dial", f"sip:{place.user}@{FAR}:{place.port};transport={cell.by}")
        await wait_until(lambda: {"CALL_ESTABLISHED", "CALL_CLOSED"} & {*phone.events}, "no answer")
        if "CALL_ESTABLISHED" not in phone.events:
            assert not rig.calls
            return seen(phone.closed)
        call = await rig.call_in()
    await talk(call, phone)
    call.leg.hangup()
    await phone.until("CALL_CLOSED")
    return "secure" if phone.suite() else "plain"


@pytest.mark.capacity
@pytest.mark.parametrize(
    "cell",
    [
        pytest.param(each, id=str(each), marks=() if str(each) in QUICK else pytest.mark.nightly)
        for each in CELLS
    ],
)
async def test_baresip(cell: Cell, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "tls")
    async with (
        _RUN[cell.between](cell, authority) as place,
        far_end(cell, authority, tmp_path) as phone,
    ):
        outcome = await becomes(cell, place, phone)
    assert outcome == cell.expected


def test_the_handbook_has_the_table() -> None:
    text = _PAGE.read_text(encoding="utf-8")
    for way, rows in SRTP.items():
        for ours, outcomes in rows.items():
            cells = [f"`{ours}`", *(outcomes[theirs] for theirs in ("off", "optional", "required"))]
            assert f"| {way} | {' | '.join(cells)} |" in text


def test_the_handbook_counts_the_cells() -> None:
    text = (_PAGE.parent / "TESTING.md").read_text(encoding="utf-8")
    section = text.partition("## The matrix of trunks\n")[2].partition("\n## ")[0]
    counts = re.findall(r"(?m)\| (\d+) \|$", section)
    assert sum(map(int, counts)) == len(CELLS)
    assert f"{len(QUICK)} of them run with every change" in section


def test_cells_are_told_apart() -> None:
    names = {str(each) for each in CELLS}
    assert len(names) == len(CELLS)
    assert names >= QUICK
