"""The settings of a softphone's audio and keys, and of the network that they cross.

Part of a call script (`media:` and `network:`), and used without one, too.
"""

from typing import Literal, Self

from pydantic import Field, model_validator

from bridge.config.parts import OneOrMore, Part

Codec = Literal["PCMU", "PCMA"]
DtmfWay = Literal["rfc4733", "info"]
NetworkDirection = Literal["both", "to_bridge", "to_caller"]

_NARROWEST_HZ = 400


class EchoPath(Part):
    """The way of the agent's voice back to it: through a headset's microphone, or a line's end.

    Attributes:
        delay_ms: from the caller's hearing it to the phone's sending it.
        attenuation_db: how much quieter it comes back.
    """

    delay_ms: int = Field(40, ge=0, le=2_000)
    attenuation_db: float = Field(20.0, ge=0, le=80)

    @property
    def gain(self) -> float:
        """What samples are multiplied by."""
        return float(10 ** (-self.attenuation_db / 20))


class Band(Part):
    """The frequencies that a line lets through, of what the caller sends.

    Attributes:
        low_hz: what is lower is gone.
        high_hz: what is higher is gone.
    """

    low_hz: int = Field(300, ge=0, le=3_000)
    high_hz: int = Field(3_400, ge=500, le=4_000)

    @model_validator(mode="after")
    def _lets_something_through(self) -> Self:
        if self.high_hz - self.low_hz < _NARROWEST_HZ:
            raise ValueError(f"lets next to nothing through: {_NARROWEST_HZ} Hz at least")
        return self


class Media(Part):
    """What the caller's phone offers.

    Attributes:
        codec: the only one that it offers: G.711 u-law or A-law (RFC 3551 section 4.5.14).
        ptime_ms: audio in one RTP packet of the caller's.
        dtmf: how keys go: as RTP events (RFC 4733), or by SIP INFO.
        band: what of the caller's voice a narrow line lets through; G.711's own if left out.
    """

    codec: Codec = "PCMU"
    ptime_ms: Literal[10, 20, 30, 40, 60] = 20
    dtmf: DtmfWay = "rfc4733"
    band: Band | None = None


class Outage(Part):
    """A stretch in which nothing comes through.

    Attributes:
        at_ms: when it begins, ms since the answer.
        ms: how long it lasts.
    """

    at_ms: int = Field(ge=0, le=3_600_000)
    ms: int = Field(ge=1, le=600_000)


class Network(Part):
    """What becomes of RTP and RTCP packets on their way. SIP is left alone.

    Attributes:
        seed: the same seed gives each packet the same fate.
        direction: which way it happens; `to_bridge` is the caller's audio.
        loss_pct: share of packets that are lost.
        burst: mean length of a run of lost packets (Gilbert-Elliott); 1 loses each by itself.
        delay_ms: that all packets take, one way.
        jitter_ms: up to so much more for some; their order stays.
        reorder_pct: share of packets that are overtaken by the next two or three.
        outage: a stretch, or several, in which nothing comes through.
    """

    seed: int = Field(1, ge=0, le=2**32 - 1)
    direction: NetworkDirection = "both"
    loss_pct: float = Field(0.0, ge=0, le=100)
    burst: float = Field(1.0, ge=1, le=100)
    delay_ms: int = Field(0, ge=0, le=5_000)
    jitter_ms: int = Field(0, ge=0, le=2_000)
    reorder_pct: float = Field(0.0, ge=0, le=100)
    outage: OneOrMore[Outage] = ()

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        harms = (self.loss_pct, self.delay_ms, self.jitter_ms, self.reorder_pct, self.outage)
        if not any(harms):
            raise ValueError(
                "does nothing: give loss_pct, delay_ms, jitter_ms, reorder_pct or outage"
            )
        if self.burst > 1 and not self.loss_pct:
            raise ValueError("burst says how losses come together: it needs loss_pct")
        return self
