"""Settings of SIP's digest authentication: users who call in, and our own credentials with trunks.

Users' secrets are hashed; ours are in a variable or a file, and never in here.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    SecretStr,
    StringConstraints,
    model_validator,
)

from bridge.config.parts import Name
from bridge.sip.digest import DigestAlgorithm
from bridge.sip.users import UserSecrets

UserName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._+~@-]{1,64}$")]
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
        trunk: the name in `sip.trunks` that its calls count as: trust, limits, dialplans.
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
