"""Settings of SIP's digest authentication: users who call in, and our own credentials with trunks.

Users' secrets are hashed; ours are in a variable or a file, and never in here.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    model_validator,
)

from bridge.config.parts import Name, OneOrMore
from bridge.sip.addresses import Uri
from bridge.sip.digest import DigestAlgorithm
from bridge.sip.users import UserSecrets

UserName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._+~@-]{1,64}$")]


def _read(uri: str) -> str:
    Uri.parse(uri)
    return uri


SipUri = Annotated[str, StringConstraints(pattern=r"^sips?:[^\s<>\"]+$"), AfterValidator(_read)]
HostName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]{0,252}$", to_lower=True)
]
Realm = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._@:/ -]{1,128}$")]


def _hash(digits: int) -> AfterValidator:
    def check(value: SecretStr) -> SecretStr:
        if not re.fullmatch(rf"[0-9a-fA-F]{{{digits}}}", value.get_secret_value()):
            raise ValueError(
                f"should be {digits} hexadecimal digits: the hash of name:realm:secret"
            )
        return value

    return AfterValidator(check)


class SipUser(BaseModel):
    """A phone or a PBX that calls from any address, and says who it is by digest.

    Attributes:
        sha256: SHA-256 of `name:realm:secret`, with the name of the user and `sip.realm`.
        md5: MD5 of the same, for phones that know no other.
        trunk: the name in `sip.trunks` that its calls count as: trust, limits, dialplans,
            SRTP, codecs, `media_from`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    sha256: Annotated[SecretStr, _hash(64)] | None = None
    md5: Annotated[SecretStr, _hash(32)] | None = None
    trunk: Name

    @model_validator(mode="after")
    def _has_a_hash(self) -> Self:
        if self.sha256 is None and self.md5 is None:
            raise ValueError("has no secret: set sha256, md5 or both")
        return self

    def compile(self) -> UserSecrets:
        """Return it as it is judged by."""
        given = {DigestAlgorithm.SHA256: self.sha256, DigestAlgorithm.MD5: self.md5}
        hashes = {
            each: secret.get_secret_value().lower()
            for each, secret in given.items()
            if secret is not None
        }
        return UserSecrets(hashes, self.trunk)


def lacks_common_hash(users: Mapping[str, SipUser]) -> bool:
    """Return whether some users have SHA-256 alone, and others MD5 alone.

    A challenge goes out before anybody knows whom to: a phone takes SHA-256 where it is offered.
    """
    return any(user.sha256 is None for user in users.values()) and any(
        user.md5 is None for user in users.values()
    )


class TrunkCredentials(BaseModel):
    """The name and secret by which the bridge answers a trunk's challenges (401, 407).

    Only requests to the trunk answer them: to its `addresses`, and to the names in `hosts`.

    Attributes:
        username: that the trunk knows us by.
        secret_env: environment variable that holds the secret: its name, never the secret.
        secret_file: file that holds the secret; one of the two.
        realm: the only realm whose challenges are answered; `*` for any.
        hosts: names of the trunk in SIP URIs, as in `sip.carrier.example`. Those of its registrar,
            `outbound_proxy` and probe count without being listed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    username: UserName
    secret_env: str | None = Field(None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    secret_file: Path | None = None
    realm: Realm | Literal["*"] = "*"
    hosts: OneOrMore[HostName] = Field((), max_length=20)

    @model_validator(mode="after")
    def _name_one_place(self) -> Self:
        if (self.secret_env is None) == (self.secret_file is None):
            raise ValueError("should name one place of its secret: secret_env or secret_file")
        return self


class TrunkRegistration(BaseModel):
    """A registration that is kept up with a trunk, so that it knows where to send calls.

    Attributes:
        registrar: its SIP URI, as in `sip:sip.carrier.example`.
        user: that is registered, `name` or `name@domain`; null for the credentials' `username`. The
            domain is the registrar's host where none is given.
        expires_s: how long a registration is asked to last; a shorter grant is taken as it is.
        contact: SIP URI that calls are sent to; null for the user at this gateway's own address.
        needed_for_ready: without it `/readyz` fails, and with it a balancer's traffic.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    registrar: SipUri
    user: (
        Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._+~-]+(@[A-Za-z0-9.-]+)?$")] | None
    ) = None
    expires_s: int = Field(600, ge=10, le=86_400)
    contact: SipUri | None = None
    needed_for_ready: bool = False
