"""Judges the credentials of SIP users, who may call from anywhere (RFC 3261 section 22). Pure.

    nonce not ours, or old              stale: the client tries again by itself
    user unknown, secret wrong          the same answer, after the same work
    uri= of another request             a request that was caught can't become another
    nonce used so often before          replay; a retransmission is none

The nonce comes first: without one that was made for its address nobody can try a secret.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from bridge.sip.addresses import AddressError, Uri
from bridge.sip.digest import DigestAlgorithm, DigestAnswer, DigestChallenge
from bridge.sip.nonces import Nonces, NonceUse


class DigestFault(enum.StrEnum):
    """Why credentials are not taken."""

    MALFORMED = "malformed"
    STALE = "stale"
    CREDENTIALS = "credentials"
    URI = "uri"
    REPLAY = "replay"


@dataclass(frozen=True, slots=True)
class UserSecrets:
    """A user's hashed secrets (HA1) by algorithm, and the trunk that they count as."""

    hashes: Mapping[DigestAlgorithm, str]
    trunk: str


@dataclass(frozen=True, slots=True)
class PresentedRequest:
    """The parts of a request that its sender is judged by.

    Attributes:
        authorizations: values of its Authorization headers.
        identity: the same in retransmissions of it, and in no other request.
    """

    method: str
    uri: str
    user_agent: str = ""
    authorizations: tuple[str, ...] = ()
    identity: str = ""


class Users:
    """All users of a gateway.

    Args:
        users: by name.
        realm: in which their secrets are hashed.
        key: signs nonces; random, and new with each start.
    """

    def __init__(self, users: Mapping[str, UserSecrets], realm: str, key: bytes) -> None:
        self._users = users
        self._realm = realm
        self._nonces = Nonces(key)
        self._nobody = {each: each.hash("nobody", realm, key.hex()) for each in DigestAlgorithm}
        everybody = DigestAlgorithm.SHA256
        self._offered = tuple(
            each
            for each in DigestAlgorithm
            if any(each in user.hashes for user in users.values())
            and (each is not everybody or all(each in user.hashes for user in users.values()))
        )

    def challenges(self, host: str, now_ns: int, *, stale: bool) -> tuple[str, ...]:
        """Return the WWW-Authenticate headers of a 401, the strongest first (RFC 8760)."""
        nonce = self._nonces.make(host, now_ns)
        return tuple(
            str(DigestChallenge(self._realm, nonce, each, stale=stale)) for each in self._offered
        )

    def judge(self, request: PresentedRequest, host: str, now_ns: int) -> str | DigestFault:
        """Return the trunk that a request's user counts as, or why they are not taken."""
        answer = self._answer(request)
        if answer is None:
            return DigestFault.MALFORMED
        if not self._nonces.is_fresh(answer.nonce, host, now_ns):
            return DigestFault.STALE
        user = self._users.get(answer.username)
        known = None if user is None else user.hashes.get(answer.algorithm)
        fits = answer.fits(known or self._nobody[answer.algorithm], request.method)
        if user is None or known is None or not fits:
            return DigestFault.CREDENTIALS
        if not _is_same(answer.uri, request.uri):
            return DigestFault.URI
        use = self._nonces.use(answer.nonce, int(answer.nc, 16), request.identity, now_ns)
        return DigestFault.REPLAY if use is NonceUse.REPLAY else user.trunk

    def _answer(self, request: PresentedRequest) -> DigestAnswer | None:
        parsed = (DigestAnswer.parse(value) for value in request.authorizations)
        return next(
            (
                each
                for each in parsed
                if each is not None
                and each.realm == self._realm
                and each.algorithm in self._offered
            ),
            None,
        )


def _is_same(claimed: str, uri: str) -> bool:
    """Return whether a ``uri=`` names the request's URI; some phones leave its parameters out."""
    if claimed == uri:
        return True
    try:
        ours, theirs = Uri.parse(uri), Uri.parse(claimed)
    except AddressError:
        return False
    return (ours.scheme, ours.user, ours.place.lower()) == (
        theirs.scheme,
        theirs.user,
        theirs.place.lower(),
    )
