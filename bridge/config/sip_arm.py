"""Settings of an arm that is a SIP URI: a vendor's own SIP connector."""

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from bridge.config.digest import SipUri
from bridge.config.parts import digest_of
from bridge.config.sip import SipSettings
from bridge.sip.addresses import Uri

_PORT, _TLS_PORT = 5060, 5061
"""Of a URI without one (RFC 3261 section 19.1.2)."""

_SESSION_ONLY = {
    "url": "there is no WebSocket",
    "model": "the vendor's side names the model",
    "dialect": "there is no Realtime session here",
    "session": "there is no Realtime session here; set it up at the vendor",
    "voice": "the vendor's side has the voice",
    "audio": "the trunk's codecs are those of the call",
    "flavour": "there is no Realtime session here",
    "api_key_env": "a trunk's credentials are in sip.trunks.NAME.credentials",
    "api_key_file": "a trunk's credentials are in sip.trunks.NAME.credentials",
    "credentials": "a trunk's credentials are in sip.trunks.NAME.credentials",
    "headers": "headers of the INVITE are in sip.trunks.NAME.headers",
    "query": "there is no WebSocket",
    "proxy": "the way of SIP is in sip.trunks.NAME.outbound_proxy",
}
"""Fields of an arm with a Realtime session, and why none of them means anything here."""


def _bare(uri: str) -> str:
    if Uri.parse(uri).headers:
        raise ValueError(
            "has headers behind a '?': write them in sip.trunks.NAME.headers, or in a dialplan's"
            " pass_headers"
        )
    return uri


class SipArmSettings(BaseModel):
    """A way to a vendor's agent by SIP; its calls have no Realtime session here.

    Attributes:
        sip: URI of the vendor's connector. The trunk of `sip.trunks` that it leads to says with
            which transport, SRTP, credentials, headers and caller's number it is called.
        by: `bridge` calls it and joins the two calls; `refer` asks the caller's trunk to send the
            caller there (REFER), of which nothing more is seen, and bridges where that is refused.
        ring_s: how long it may take to answer.
        silent_s: how long it may send no RTP after its answer, before it counts as failed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    sip: Annotated[SipUri, AfterValidator(_bare)]
    by: Literal["bridge", "refer"] = "bridge"
    ring_s: float = Field(20.0, ge=1, le=180)
    silent_s: float = Field(5.0, ge=1, le=60)

    @model_validator(mode="before")
    @classmethod
    def _has_no_session(cls, value: object) -> object:
        if isinstance(value, Mapping) and (found := [key for key in _SESSION_ONLY if key in value]):
            why = _SESSION_ONLY[found[0]]
            raise ValueError(f"has '{found[0]}' beside 'sip', where {why}: take it out")
        return value

    @property
    def digest(self) -> str:
        """A short digest of all that it is."""
        return digest_of(self)

    @property
    def wants_tls(self) -> bool:
        """Whether the URI itself says TLS; its trunk may want it, too."""
        uri = Uri.parse(self.sip)
        return uri.scheme == "sips" or dict(uri.parameters).get("transport", "").lower() == "tls"

    def leads_to(self, sip: SipSettings) -> bool:
        """Return whether its URI is an address at which this gateway itself is heard."""
        uri = Uri.parse(self.sip)
        port = uri.port or (_TLS_PORT if self.wants_tls else _PORT)
        heard = {sip.port} if sip.tls is None else {sip.port, sip.tls.port}
        return port in heard and _is_here(uri.host.strip("[]"), sip)


def _is_here(host: str, sip: SipSettings) -> bool:
    own = {each.lower() for each in (sip.host, sip.public_address) if each}
    if host in own:
        return True
    try:
        heard_at, address = ip_address(sip.host), ip_address(host)
    except ValueError:
        return host == "localhost" and sip.host in ("0.0.0.0", "::", "127.0.0.1", "::1")
    return heard_at.is_unspecified and (address.is_loopback or address.is_unspecified)
