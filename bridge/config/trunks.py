"""Settings of trunks: a carrier or a PBX, by its addresses, its trust and its ways."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    StringConstraints,
    model_validator,
)

from bridge.config.digest import SipUri, TrunkCredentials, TrunkRegistration
from bridge.config.parts import HeaderName, Network, OneOrMore
from bridge.config.secure_sip import HostName, SipTransport, Srtp
from bridge.config.trunk_presets import PRESETS, PresetName, filled_in, merged
from bridge.sip.addresses import Address, AddressError, Uri, split_list
from bridge.sip.numbers import SHORTEST_DIGITS, BareNumber, NumberFormat, WrittenNumber
from bridge.sip.sources import SourceBounds

Codec = Literal["PCMU", "PCMA", "G722"]
WIDEBAND: Codec = "G722"


class SourceLimits(BaseModel):
    """The most that one source may send; null for any number.

    Attributes:
        requests_per_s: SIP requests of any kind; what is over it is dropped unread.
        calls_per_s: new calls; what is over it is refused with 503. As many may be placed there.
        max_calls: calls at once, of a trunk both those from it and those placed there; a call from
            it that is over is refused with 503, and none is placed there.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    requests_per_s: float | None = Field(None, ge=0.1, le=10_000)
    calls_per_s: float | None = Field(None, ge=0.1, le=1_000)
    max_calls: int | None = Field(None, ge=1, le=1024)

    def compile(self) -> SourceBounds:
        """Return them as they are applied."""
        return SourceBounds(self.requests_per_s, self.calls_per_s, self.max_calls)


class TrunkNumbers(BaseModel):
    """A trunk's way to write telephone numbers, read so that dialplans and records see E.164.

    What is no number that is known in full (a name, an extension, a short code, an emergency
    number, `anonymous`) stays as it is, both ways.

    Attributes:
        country_code: of numbers without one, as in `"49"`.
        national_prefix: in front of a national number, as in `"0"`; "" for none.
        international_prefix: in front of a country code, as in `"00"` or `"011"`; "" for none.
        bare: what digits without a prefix are: `international` begin with the country code,
            `national` lack it, `keep` are left alone.
        out: how dialled numbers in E.164, and the targets of transfers, go to the trunk: `e164`
            with plus, `digits` without, `international` and `national` with their prefixes (a
            foreign number keeps its country code), `keep` as they are configured.
        shortest_digits: numbers with fewer digits, prefixes not counted, are nobody's E.164.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    country_code: Annotated[str, StringConstraints(pattern=r"^([1-9][0-9]{0,2})?$")] = ""
    national_prefix: Annotated[str, StringConstraints(pattern=r"^[0-9]{0,3}$")] = ""
    international_prefix: Annotated[str, StringConstraints(pattern=r"^[0-9]{0,5}$")] = ""
    bare: BareNumber = "keep"
    out: WrittenNumber = "keep"
    shortest_digits: int = Field(SHORTEST_DIGITS, ge=4, le=15)

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> Self:
        national = self.national_prefix or "national" in (self.bare, self.out)
        if national and not self.country_code:
            raise ValueError("reads or writes national numbers and has no country_code: set it")
        if self.out == "international" and not self.international_prefix:
            raise ValueError("has out: international and no international_prefix: set it")
        if self.national_prefix and self.national_prefix == self.international_prefix:
            raise ValueError("has one prefix for national and international numbers: mend one")
        return self

    def compile(self) -> NumberFormat:
        """Return it as numbers are read and written by."""
        return NumberFormat(**self.model_dump())


_IDENTITIES = frozenset(
    {"p-asserted-identity", "p-preferred-identity", "remote-party-id", "diversion"}
)
_PRIVACY = "privacy"
_PRIVACY_VALUES = frozenset({"header", "session", "user", "none", "critical", "id", "history"})
"""RFC 3323 section 4.2, RFC 3325 section 9.3, RFC 7044 section 10.1."""
_EXTENSION, _OURS = "x-", "x-bridge-"
_SECRET = re.compile(
    r"token|secret|passw|authori[sz]|credential|cookie|api-?key|(^|-)(auth|key|pwd|ticket)(-|$)"
)
MOST_HEADER_OCTETS = 200
"""Of all headers that a trunk sets: an INVITE of more than 1,300 leaves UDP (RFC 3261 18.1.1)."""


def _may_be_set(name: str) -> str:
    lower = name.lower()
    known = lower in _IDENTITIES or lower == _PRIVACY
    if not known and (not lower.startswith(_EXTENSION) or lower.startswith(_OURS)):
        names = ", ".join(sorted(each.title() for each in (*_IDENTITIES, _PRIVACY)))
        raise ValueError(f"may have {names} and X- headers (but X-Bridge-); not '{name}'")
    if _SECRET.search(lower):
        raise ValueError(f"should not have '{name}': secrets belong into credentials")
    return name


def _fits(headers: Mapping[str, str]) -> Mapping[str, str]:
    lower = [name.lower() for name in headers]
    if twice := sorted({name for name in lower if lower.count(name) > 1}):
        raise ValueError(f"has {twice[0]} twice: keep one")
    for name, value in headers.items():
        if name.lower() in _IDENTITIES and not _are_addresses(value):
            raise ValueError(f"has a {name} that is no address, like <sip:+15550100@a.example>")
        asked = {each.strip() for each in value.lower().split(";")}
        if name.lower() == _PRIVACY and not asked <= _PRIVACY_VALUES:
            raise ValueError(f"has a {name} that is none of {', '.join(sorted(_PRIVACY_VALUES))}")
    octets = sum(len(f"{name}: {value}\r\n") for name, value in headers.items())
    if octets > MOST_HEADER_OCTETS:
        raise ValueError(f"are {octets} octets, more than {MOST_HEADER_OCTETS}: shorten them")
    return headers


def _are_addresses(value: str) -> bool:
    try:
        return all(
            Address.parse(each).uri.scheme in {"sip", "sips", "tel"} for each in split_list(value)
        )
    except AddressError:
        return False


SetHeader = Annotated[HeaderName, AfterValidator(_may_be_set)]
HeaderText = Annotated[
    str, StringConstraints(pattern=rf"^[!-~]([ -~]{{0,{MOST_HEADER_OCTETS}}}[!-~])?$")
]
"""Printable ASCII in one line: nothing in it can begin another header."""


def _take_as_unset(model: BaseModel, filled: Mapping[str, Any]) -> None:
    """Have what is written alone count as set, when the settings are dumped and read again."""
    for name, value in filled.items():
        inner = getattr(model, name)
        if isinstance(inner, BaseModel):
            _take_as_unset(inner, value)
        if not isinstance(inner, BaseModel) or not inner.model_fields_set:
            model.model_fields_set.discard(name)


class Trunk(BaseModel):
    """A carrier or a PBX; addresses alone may be written as a list.

    Attributes:
        preset: fills in the fields of a carrier's, a PBX's or an SBC's that are not written; null
            for none. `bridge check` prints them.
        addresses: addresses and networks that its INVITEs come from.
        trust: headers that are believed from it, and dropped where another sender has them. The
            caller's P-Asserted-Identity is dropped wherever it isn't listed. `verstat` stands for
            its word on callers' numbers (STIR), wherever in the INVITE that is.
        headers: name -> value, on the INVITEs and REFERs that go to it, above a call's of the same
            name; its probes have those of X- alone. P-Asserted-Identity, P-Preferred-Identity,
            Remote-Party-ID, Diversion, Privacy and X-, 200 octets in all.
        caller_id: `user` or `user@domain` in From of the INVITEs that go to it, as it writes
            numbers; null for the registered user, or the bridge's own.
        limits: what it may send.
        domains: names that it is dialled by, beside its addresses.
        transport: how requests go to it, unless the dialled address says so itself. With `tls`
            it is heard by TLS alone, too: what comes from its addresses otherwise gets 403.
        srtp: whether its calls' audio is encrypted (RFC 4568): `off` never, `optional` where the
            trunk does so, `required` always: a call without gets 488.
        codecs: of its calls, in order of preference; none for those of `sip.codecs`.
        credentials: name and secret that answer its challenges, when the bridge calls, asks or
            registers there; null for none.
        registration: with its registrar; null for none.
        outbound_proxy: SIP URI that requests to it go through; null for none.
        media_from: networks that its RTP and RTCP may come from, where that is neither what its SDP
            says nor where its SIP comes from: a relay behind a proxy.
        numbers: how it writes telephone numbers.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    preset: PresetName | None = None
    addresses: OneOrMore[Network]
    trust: OneOrMore[Annotated[HeaderName, AfterValidator(str.lower)]] = Field((), max_length=20)
    headers: Annotated[Mapping[SetHeader, HeaderText], AfterValidator(_fits)] = Field(
        default_factory=dict
    )
    caller_id: (
        Annotated[
            str,
            StringConstraints(
                pattern=r"^[A-Za-z0-9._+~*#-]{1,64}(@[A-Za-z0-9][A-Za-z0-9.:\[\]-]{0,252})?$"
            ),
        ]
        | None
    ) = None
    limits: SourceLimits = SourceLimits()
    domains: OneOrMore[HostName] = Field((), max_length=20)
    transport: SipTransport = "udp"
    srtp: Srtp = "off"
    codecs: OneOrMore[Codec] = Field((), max_length=3)
    credentials: TrunkCredentials | None = None
    registration: TrunkRegistration | None = None
    outbound_proxy: SipUri | None = None
    media_from: OneOrMore[Network] = Field((), max_length=50)
    numbers: TrunkNumbers = TrunkNumbers()

    _filled: Mapping[str, Any] = PrivateAttr(default_factory=dict)

    @model_validator(mode="wrap")
    @classmethod
    def _over_its_preset(cls, value: object, validated: ModelWrapValidatorHandler[Self]) -> Self:
        if isinstance(value, list | tuple | str):
            value = {"addresses": value}
        if not isinstance(value, Mapping):
            return validated(value)
        filled = filled_in(value)
        trunk = validated(merged(value, filled))
        trunk._filled = filled
        _take_as_unset(trunk, filled)
        return trunk

    @model_validator(mode="after")
    def _is_as_its_preset_needs(self) -> Self:
        if self.preset is None:
            return self
        preset = PRESETS[self.preset]
        if missing := [name for name in preset.needs if getattr(self, name) is None]:
            names = " and ".join(missing)
            raise ValueError(f"is of the preset {self.preset}, which needs {names}: write them")
        whole = self.transport == "tls" and self.srtp == "required"
        if preset.srtp_with_tls and self.srtp != "off" and not whole:
            raise ValueError(
                f"is of the preset {self.preset}, which has SRTP with TLS alone, and always then:"
                " set transport: tls and srtp: required, or neither"
            )
        return self

    @property
    def filled(self) -> Mapping[str, Any]:
        """The fields that its preset filled in, as a file has them."""
        return self._filled

    @model_validator(mode="after")
    def _registers_somebody(self) -> Self:
        if self.registration is not None and not self.registered_user:
            raise ValueError("has a registration of nobody: set registration.user or credentials")
        return self

    def headers_over(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return a request's headers with the trunk's own, which stand above those."""
        ours = {name.lower() for name in self.headers}
        left = {name: value for name, value in headers.items() if name.lower() not in ours}
        return {**left, **self.headers}

    @property
    def probe_headers(self) -> tuple[tuple[str, str], ...]:
        """Those that go with an OPTIONS, which has no caller."""
        extensions = (name for name in self.headers if name.lower().startswith(_EXTENSION))
        return tuple((name, self.headers[name]) for name in extensions)

    @property
    def has_account(self) -> bool:
        """Whether requests to it need more than the gateway's own identity."""
        return any((self.credentials, self.registration, self.outbound_proxy))

    @property
    def answers_by_account(self) -> bool:
        """Whether calls from it have its account, and so its credentials within the call.

        A contact that the registration names may be a proxy's; a call's must lead to its node.
        """
        elsewhere = self.registration is not None and self.registration.contact is not None
        return self.has_account and not elsewhere

    @property
    def account_terms(self) -> tuple[object, ...]:
        """The fields that its account is made of: with others it is another account."""
        ways = (self.outbound_proxy, self.transport)
        return (self.credentials, self.registration, *ways, self.srtp)

    @property
    def registered_user(self) -> str:
        """The user that is registered, "" for none."""
        if self.registration is None:
            return ""
        given = self.registration.user
        return given or ("" if self.credentials is None else self.credentials.username)

    @property
    def hosts(self) -> frozenset[str]:
        """Hosts of its URIs, in lower case, beside its addresses."""
        uris = [self.outbound_proxy, self.registration and self.registration.registrar]
        names = frozenset(Uri.parse(uri).host for uri in uris if uri)
        given = () if self.credentials is None else self.credentials.hosts
        return names.union(self.domains, given)
