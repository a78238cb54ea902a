"""Settings of SIP: addresses, limits, supervisors' phones, and which trunk a call is of."""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import chain
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from bridge.config.complaints import suggest
from bridge.config.digest import Realm, SipUri, SipUser, UserName, lacks_common_hash
from bridge.config.parts import Name
from bridge.config.rtp_ports import PORTS_A_CALL, calls_of, rtp_ports
from bridge.config.secure_sip import Srtp, TlsSettings
from bridge.config.sip_messages import SipMessagesSettings
from bridge.config.trunks import WIDEBAND, Codec, SourceLimits, Trunk
from bridge.sip.addresses import AddressError, Uri
from bridge.sip.numbers import AS_WRITTEN, NumberFormat
from bridge.sip.sources import Strangers

Headers = Mapping[str, tuple[str, ...]]
"""Lower-case name -> values."""

PhonePattern = Annotated[
    str,
    StringConstraints(pattern=r"^([Ss][Ii][Pp][Ss]?:[^@\s]+@[^@\s;?]+|[Tt][Ee][Ll]:[^@\s;?]+)$"),
]
"""``sip:user@host``, each part with wildcards of its own, or ``tel:number``."""

MOST_TRUNK_ACCOUNTS = 7
"""PJSUA has 8 accounts (`PJSUA_MAX_ACC`), and one is the gateway's own."""

_ALWAYS_GUARDED = frozenset({"p-asserted-identity"})
"""RFC 3325 section 9.1: one from elsewhere is taken away."""

_VERSTAT = "verstat"

_WITH_NUMBERS = frozenset({"from", "p-asserted-identity"})


def _address(host: str) -> IPv4Address | IPv6Address | None:
    """Read an address; None for a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def _own_host(host: str) -> str:
    """Read an address that a socket is bound to, or a name, without the brackets of IPv6.

    Raises:
        ValueError: it has a zone, which no SIP URI can have (RFC 3261 section 25.1), or is an IPv4
            address mapped into IPv6, or no address although it looks like one.
    """
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    address = _address(bare)
    if ":" in bare and not isinstance(address, IPv6Address):
        raise ValueError(f"is no IPv6 address: {host} (the port is a setting of its own)")
    if isinstance(address, IPv6Address) and address.scope_id:
        raise ValueError(f"has a zone, which SIP can't write: {host} (use a global address)")
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        raise ValueError(f"is an IPv4 address within IPv6: write {address.ipv4_mapped}")
    return str(address or bare)


OwnHost = Annotated[str, AfterValidator(_own_host)]
"""An address of this machine's, as sockets take it, or a name."""


class StrangerLimits(SourceLimits):
    """The most that an address of no trunk (of IPv6: a /64) may send, where strangers are answered.

    Attributes:
        requests_per_s: SIP requests of any kind; what is over it is dropped unread, where strangers
            are refused, too.
        calls_per_s: new calls; what is over it is refused with 503.
        max_calls: calls from it at once; what is over it is refused with 503.
    """

    requests_per_s: float | None = Field(50, ge=0.1, le=10_000)
    calls_per_s: float | None = Field(5, ge=0.1, le=1_000)
    max_calls: int | None = Field(10, ge=1, le=1024)


class MediaTerms(NamedTuple):
    """The audio that calls with somebody may have."""

    codecs: tuple[Codec, ...]
    srtp: Srtp = "off"


class SipSettings(BaseModel):
    """The addresses that SIP is heard at, and the calls that are taken.

    Attributes:
        host: address that UDP and TCP are bound to; SIP and audio are IPv6 where it is an IPv6
            one (`::` for all of this machine's), and IPv4 otherwise.
        port: UDP and TCP port; 0 takes a free one.
        public_address: what SDP and Contact say, behind NAT; None for the bound address.
        max_calls: calls at once, then 503; `auto` takes what this machine was measured to hold at
            the start. Never more than the loaded PJSIP has slots: 4 on the pip wheel, 1024 on the
            capacity build.
        codecs: those that are offered and taken, in order of preference, where a trunk has none of
            its own. With `G722` here or there all calls' audio goes through the gateway at 16 kHz,
            recordings included.
        rtp_port_min: first UDP port for RTP and RTCP, of which each call takes two, and two more
            for a person it is handed to; 0 for any port that the system has.
        rtp_port_max: last one; each call's are drawn at random.
        retry_after_s: what a refused INVITE is told to wait.
        log_level: how much of PJSIP's own log is read: 1 errors, 2 warnings, 6 everything.
        supervisor_phones: patterns of SIP URIs, as in `sip:*@pbx.example`, that a supervisor may
            have the bridge call to listen; empty for none: each call costs money somewhere.
        far_end_silent_s: how long a far end may send neither RTP nor RTCP before the call ends; on
            hold it is asked by OPTIONS then. None: for ever.
        supervisor_transfers: patterns of addresses, as in `tel:+1555010*`, that a supervisor may
            type as the target of a transfer, beside the names of the dialplan's targets.
        trunks: name -> where its INVITEs come from and what is believed of them.
        messages: what is kept of a call's SIP messages, beside its record.
        strangers: what a request outside of calls gets that comes from no trunk, and not from this
            machine: `refuse` 403 (or nothing, to scanners), `drop` nothing, `answer`
            what a trunk's gets. Where a trunk has a loopback address, this machine is no exception.
        stranger_limits: what each address may send that is of no trunk.
        users: name -> the hashed secret that it authenticates with, from any address. Strangers are
            challenged then: by `refuse` whatever they ask for, by `drop` their INVITEs alone.
        realm: of the challenges; users' secrets are hashed with it.
        trunk_probes: name -> SIP URI that is asked by OPTIONS whether the trunk can be reached; its
            answers must come from the trunk's addresses (alert TrunkUnreachable).
        probe_every_s: how often a trunk is asked.
        tls: SIP over TLS; null for none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: OwnHost = "0.0.0.0"
    port: int = Field(5060, ge=0, le=65535)
    public_address: OwnHost | None = None
    max_calls: Annotated[int, Field(ge=1, le=1024)] | Literal["auto"] = "auto"
    codecs: tuple[Codec, ...] = ("PCMU", "PCMA")
    rtp_port_min: int = Field(0, ge=0, le=65534)
    rtp_port_max: int = Field(0, ge=0, le=65535)
    retry_after_s: int = Field(10, ge=1, le=3600)
    log_level: int = Field(1, ge=0, le=6)
    far_end_silent_s: float | None = Field(60.0, ge=1, le=3600)
    supervisor_phones: tuple[PhonePattern, ...] = ()
    supervisor_transfers: tuple[PhonePattern, ...] = ()
    trunks: dict[Name, Trunk] = Field(default_factory=dict, max_length=20)
    messages: SipMessagesSettings = SipMessagesSettings()
    strangers: Strangers = "refuse"
    stranger_limits: StrangerLimits = StrangerLimits()
    users: dict[UserName, SipUser] = Field(default_factory=dict, max_length=1_000)
    realm: Realm = "telephony-bridge"
    trunk_probes: dict[Name, SipUri] = Field(default_factory=dict)
    probe_every_s: float = Field(30.0, ge=1, le=60)
    tls: TlsSettings | None = None

    @model_validator(mode="after")
    def _are_of_one_family(self) -> Self:
        public = None if self.public_address is None else _address(self.public_address)
        if public is not None and (public.version == 6) is not self.is_ipv6:
            raise ValueError(
                f"has a public_address {public} that is not of the family of host {self.host}"
            )
        return self

    @property
    def audio_hz(self) -> int:
        """The rate of calls' audio between PJSIP and the resamplers: one for all calls."""
        return 16_000 if self.wideband_settings else 8_000

    @property
    def wideband_settings(self) -> tuple[str, ...]:
        """The settings that make it 16 kHz, as `sip.trunks.pbx.codecs`; none at 8 kHz."""
        return tuple(name for name, codecs in self.codec_settings.items() if WIDEBAND in codecs)

    @property
    def codec_settings(self) -> Mapping[str, tuple[Codec, ...]]:
        """The settings with codecs, by name: for all, then those of trunks with their own."""
        own = {f"sip.trunks.{name}.codecs": each.codecs for name, each in self.trunks.items()}
        return {"sip.codecs": self.codecs, **{name: each for name, each in own.items() if each}}

    @property
    def all_codecs(self) -> tuple[Codec, ...]:
        """Those of any call, each once."""
        return tuple(dict.fromkeys(chain.from_iterable(self.codec_settings.values())))

    @property
    def is_ipv6(self) -> bool:
        """Whether SIP and audio are IPv6: one family at a time."""
        return ":" in self.host

    @model_validator(mode="after")
    def _have_tls_for_trunks(self) -> Self:
        for name, trunk in self.trunks.items():
            if trunk.transport == "tls" and self.tls is None:
                raise ValueError(f"has a trunk that wants TLS, {name}, and no certificate: add tls")
        return self

    @model_validator(mode="after")
    def _probes_trunks(self) -> Self:
        for trunk in sorted(self.trunk_probes.keys() - self.trunks.keys()):
            hint = suggest(trunk, self.trunks) or f"add sip.trunks.{trunk}"
            raise ValueError(f"has a probe of a trunk that it does not have: {trunk} ({hint})")
        return self

    @model_validator(mode="after")
    def _has_ports(self) -> Self:
        calls = calls_of(self.rtp_ports)
        if calls is not None and self.max_calls != "auto" and calls < self.max_calls:
            raise ValueError(
                f"has ports for {calls} calls from rtp_port_min {self.rtp_port_min} to "
                f"rtp_port_max {self.rtp_port_max} (at {PORTS_A_CALL} a call max_calls "
                f"{self.max_calls} needs {PORTS_A_CALL * self.max_calls})"
            )
        return self

    @property
    def rtp_ports(self) -> range:
        """The ports that RTP may have; empty: any."""
        return rtp_ports(self.rtp_port_min, self.rtp_port_max)

    @model_validator(mode="after")
    def _has_few_accounts(self) -> Self:
        most = MOST_TRUNK_ACCOUNTS - len(self.shared_srtp)
        if sum(trunk.has_account for trunk in self.trunks.values()) > most:
            raise ValueError(
                f"has more than {most} trunks with credentials, a registration or"
                " an outbound_proxy: put a proxy with its own in front of some"
            )
        return self

    @property
    def shared_srtp(self) -> frozenset[Srtp]:
        """The choices of SRTP that calls have without the account of a trunk.

        Those of trunks whose calls come without one, and of users, who must not share their
        trunk's.
        """
        users = {user.trunk for user in self.users.values()}
        return frozenset(
            trunk.srtp
            for name, trunk in self.trunks.items()
            if trunk.srtp != "off" and (name in users or not trunk.answers_by_account)
        )

    @model_validator(mode="after")
    def _users_are_of_trunks(self) -> Self:
        for name, user in sorted(self.users.items()):
            if user.trunk not in self.trunks:
                hint = suggest(user.trunk, self.trunks) or f"add sip.trunks.{user.trunk}"
                raise ValueError(
                    f"has a user {name} of a trunk that it does not have: {user.trunk} ({hint})"
                )
        if lacks_common_hash(self.users):
            raise ValueError(
                "has users with sha256 alone, and others with md5 alone: give all of them sha256,"
                " or all of them md5"
            )
        return self

    def may_call(self, phone: str) -> bool:
        """Return whether a supervisor's phone is one of those that may be called."""
        return _is_one_of(phone, self.supervisor_phones)

    def may_transfer(self, target: str) -> bool:
        """Return whether a supervisor may type an address as the target of a transfer."""
        return _is_one_of(target, self.supervisor_transfers)

    def believed(self, headers: Headers, trunk: str) -> Headers:
        """Return an INVITE's headers without those that its sender isn't trusted for.

        Numbers in From and in P-Asserted-Identity are read as the trunk's `numbers` say.

        Args:
            trunk: that it came from, "" for none.
        """
        guarded = _ALWAYS_GUARDED.union(*(each.trust for each in self.trunks.values()))
        trusted: Iterable[str] = self.trunks[trunk].trust if trunk in self.trunks else ()
        dropped = guarded.difference(trusted)
        read = self.numbers_of(trunk).read_header
        return {
            name: tuple(map(read, values)) if name.lower() in _WITH_NUMBERS else values
            for name, values in headers.items()
            if name.lower() not in dropped
        }

    def believes_verstat(self, trunk: str) -> bool:
        """Return whether a sender's word on callers' numbers counts: anybody's, till one is named.

        Args:
            trunk: that the sender is of, "" for none.
        """
        named = {name for name, each in self.trunks.items() if _VERSTAT in each.trust}
        return not named or trunk in named

    def numbers_of(self, trunk: str) -> NumberFormat:
        """Return how a trunk writes numbers; ``trunk`` is "" for none."""
        return self.trunks[trunk].numbers.compile() if trunk in self.trunks else AS_WRITTEN

    def trunk_of(self, host: str) -> str:
        """Return the name of the first trunk that an address belongs to, "" for none."""
        return self.sender_at(host) or ""

    def media_terms(self, trunk: str) -> MediaTerms:
        """Return what calls with a trunk have; ``trunk`` is "" for none."""
        return self.terms_with(self.trunks.get(trunk))

    def terms_with(self, trunk: Trunk | None) -> MediaTerms:
        """Return what calls with a trunk have that may be in force no more; None for none."""
        if trunk is None:
            return MediaTerms(self.codecs)
        return MediaTerms(trunk.codecs or self.codecs, trunk.srtp)

    def trunk_towards(self, uri: str) -> str:
        """Return the name of the trunk that a URI leads to, by its host; "" for none."""
        try:
            host = Uri.parse(uri).host
        except AddressError:
            return ""
        if by_address := self.trunk_of(host.strip("[]")):
            return by_address
        for name, trunk in self.trunks.items():
            probed = self.trunk_probes.get(name)
            if host and host in trunk.hosts | ({Uri.parse(probed).host} if probed else set()):
                return name
        return ""

    def sender_at(self, host: str) -> str | None:
        """Return the trunk of an address: "" for this machine's own, None for a stranger's."""
        address = _address(host)
        if address is None:
            return None
        for name, trunk in self.trunks.items():
            if any(address in network for network in trunk.addresses):
                return name
        return "" if address.is_loopback and not self._has_trunk_here() else None

    def _has_trunk_here(self) -> bool:
        networks = (network for trunk in self.trunks.values() for network in trunk.addresses)
        return any(network.is_loopback for network in networks)


def _is_one_of(address: str, patterns: tuple[PhonePattern, ...]) -> bool:
    """Return whether an address fits a pattern.

    User and place (host, and port where it has one) are compared each for itself. A URI that leads
    elsewhere by a parameter (``maddr``) or a header (``Route``) fits none.
    """
    try:
        uri = Uri.parse(address)
    except AddressError:
        return False
    if uri.headers or "maddr" in dict(uri.parameters):
        return False
    return any(_fits(uri, pattern) for pattern in patterns)


def _fits(uri: Uri, pattern: str) -> bool:
    scheme, _, rest = pattern.partition(":")
    user, _, place = rest.partition("@")
    wanted = place.lower().replace("[", "[[]")  # an IPv6 address, and no set of characters
    return scheme == uri.scheme and fnmatchcase(uri.user, user) and fnmatchcase(uri.place, wanted)
