"""PJSUA's accounts: the gateway's own, and one for each trunk that needs more than that.

A trunk's account has its credentials, its outbound proxy and its registration, and is used for what
leads to that trunk alone: a secret never answers the challenge of anybody else. PJSUA answers the
challenges of INVITE and REGISTER, those of OPTIONS are answered here. Runs in the loop's thread.
"""

import asyncio
import secrets
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from bridge.config.sip import SipSettings, Trunk
from bridge.errors import TelephonyError
from bridge.sip.addresses import Uri
from bridge.sip.digest import DigestChallenge, strongest
from bridge.sip.registration import NO_ANSWER, RegisterAnswer
from bridge.telephony.headers import read_headers, request_uri
from bridge.telephony.library import import_pjsua2
from bridge.telephony.pj_settings import account_config
from bridge.telephony.secure_media import secure

pj: Any = import_pjsua2()  # a SWIG module without types
log = structlog.get_logger(__name__)

CHALLENGES = frozenset({401, 407})
_HEADERS = {
    401: ("www-authenticate", "Authorization"),
    407: ("proxy-authenticate", "Proxy-Authorization"),
}

_BUSY = 171001
"""`PJSIP_EBUSY` (pjsip/sip_errno.h): PJSIP refreshes by itself just before a binding's end."""

_ANSWER_WITHIN_S = 100.0
"""Three requests may each wait 32 s (timer F): bare, with credentials, with a new nonce."""

OnInvite = Callable[[int, str, str], None]
"""Given PJSUA's number of the call, the message, and the address that it came from."""


class Account(pj.Account):  # type: ignore[misc]  # SWIG class without types
    """An account that hands new INVITEs on.

    Args:
        config: PJSUA's.
        on_invite: takes them; must not raise.
    """

    def __init__(self, config: Any, on_invite: OnInvite) -> None:
        super().__init__()
        self.identity = str(config.idUri)
        self._on_invite = on_invite
        self._config = config
        self.create(config)

    def use_rtp_port(self, port: int, port_range: int) -> None:
        """Have the next call take a port for RTP, or one of those behind it.

        Raises:
            pjsua2.Error: PJSUA refuses.
        """
        transport = self._config.mediaConfig.transportConfig
        transport.port, transport.portRange = port, port_range
        self.modify(self._config)

    def onIncomingCall(self, prm: Any) -> None:
        """Hand a new INVITE on."""
        received = prm.rdata
        self._on_invite(int(prm.callId), str(received.wholeMsg), str(received.srcAddress))

    def ask_options(self, uri: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        """Send an OPTIONS outside of a dialog (RFC 3261 section 11).

        Raises:
            TelephonyError: the URI is no SIP URI, or PJSIP can't send to it.
        """
        parameters = pj.SendRequestParam()
        parameters.method = "OPTIONS"
        parameters.txOption.targetUri = uri
        for name, value in headers:
            header = pj.SipHeader()
            header.hName, header.hValue = name, value
            parameters.txOption.headers.append(header)
        try:
            self.sendRequest(parameters)
        except pj.Error as error:
            raise TelephonyError(f"cannot ask {uri}: {error.reason}") from error


class TrunkAccount(Account):
    """The account for requests to one trunk.

    Args:
        name: of the trunk, ``trunk`` its settings.
        config: PJSUA's, made for it.
        secret: of its credentials; "" where it has none.
    """

    def __init__(
        self, name: str, trunk: Trunk, config: Any, on_invite: OnInvite, secret: str
    ) -> None:
        self._name = name
        self._credentials = trunk.credentials
        self._secret = secret
        self._answered: asyncio.Future[RegisterAnswer] | None = None
        super().__init__(config, on_invite)

    async def register(self, *, renew: bool) -> RegisterAnswer:
        """Register, or take the registration back; return the registrar's last word."""
        try:
            async with asyncio.timeout(_ANSWER_WITHIN_S):
                while True:
                    self._answered = asyncio.get_running_loop().create_future()
                    sent = self._send_register(renew=renew)
                    answer = await self._answered
                    if sent or renew:
                        return answer
        except TimeoutError:
            return RegisterAnswer(NO_ANSWER)
        except pj.Error as error:  # no address, no connection, or it is not registered
            log.debug("register_not_sent", trunk=self._name, error=error.reason)
            return RegisterAnswer(NO_ANSWER)
        finally:
            self._answered = None

    def _send_register(self, *, renew: bool) -> bool:
        """Send a REGISTER; return False where one waits for its answer, which is as good."""
        try:
            self.setRegistration(renew)
        except pj.Error as error:
            if int(error.status) != _BUSY:
                raise
            return False
        return True

    def onRegState(self, prm: Any) -> None:
        """Take the last answer to a REGISTER; the others were PJSUA's to deal with."""
        try:
            answered = self._answered
            if answered is not None and not answered.done():
                answered.set_result(_answer_of(prm))
        except Exception:
            log.exception("register_failed", trunk=self._name)

    def onSendRequest(self, prm: Any) -> None:
        """Answer the challenge of an OPTIONS, once."""
        try:
            change = prm.e.body.tsxState
            code = int(change.tsx.statusCode)
            if code in CHALLENGES and change.type == pj.PJSIP_EVENT_RX_MSG:
                sent = str(change.tsx.lastTx.wholeMsg)
                self._answer(code, sent, str(change.src.rdata.wholeMsg))
        except Exception:
            log.exception("challenge_not_answered", trunk=self._name)

    def _answer(self, code: int, sent: str, response: str) -> None:
        challenges, answers = _HEADERS[code]
        given = map(DigestChallenge.parse, read_headers(response).get(challenges, ()))
        challenge = strongest(
            (each for each in given if each is not None),
            "" if self._credentials is None else self._credentials.realm,
        )
        refused = answers.lower() in read_headers(sent)
        if self._credentials is None or challenge is None or refused:
            log_refused(self._name, code, "OPTIONS")
            return
        uri = request_uri(sent)
        value = challenge.answer(
            self._credentials.username, self._secret, "OPTIONS", uri, secrets.token_hex(8)
        )
        self.ask_options(uri, ((answers, value),))


def log_refused(trunk: str, code: int, method: str) -> None:
    """Log that a trunk does not take the credentials that it was given, or wants some."""
    log.error(
        "trunk_refused_credentials",
        trunk=trunk,
        sip_code=code,
        method=method,
        remedy=f"compare sip.trunks.{trunk}.credentials (username, secret, realm) with the trunk's",
    )


def _answer_of(prm: Any) -> RegisterAnswer:
    code = int(prm.code)
    # Credentials that PJSIP won't send once more are a fault of its own, with the 401 as code.
    if code < 300 and (int(prm.status) != 0 or code < 200):
        return RegisterAnswer(NO_ANSWER)
    headers = read_headers(str(prm.rdata.wholeMsg)) if prm.rdata.wholeMsg else {}
    after = next(iter(headers.get("retry-after", ())), "").partition(";")[0].split("(")[0].strip()
    expires = int(prm.expiration)
    granted = expires if 0 <= expires <= 2**31 else 0
    wanted = int(after[:9]) if after.isascii() and after.isdecimal() else None
    return RegisterAnswer(code, granted, wanted)


class SipAccounts:
    """All accounts of an endpoint, by where requests lead.

    Args:
        settings: of SIP.
        trunk_secrets: by trunk, for those with credentials.
        on_invite: takes new INVITEs, whichever account PJSUA finds for them.
    """

    def __init__(
        self, settings: SipSettings, trunk_secrets: Mapping[str, str], on_invite: OnInvite
    ) -> None:
        self._settings = settings
        self._secrets = trunk_secrets
        self._on_invite = on_invite
        self._own: Account | None = None
        self._of_trunks: dict[str, TrunkAccount] = {}

    def open(self, port: int) -> None:
        """Make them; ``port`` is where SIP is heard."""
        self._own = Account(account_config(self._settings, port), self._on_invite)
        self._own.setDefault()
        for name, trunk in self._settings.trunks.items():
            if not trunk.has_account and trunk.srtp == "off":
                continue
            secret = self._secrets.get(name, "")
            config = _trunk_config(self._settings, trunk, port, secret)
            self._of_trunks[name] = TrunkAccount(name, trunk, config, self._on_invite, secret)

    def close(self) -> None:
        """Let go of them, when PJSIP is down."""
        self._own = None
        self._of_trunks.clear()

    @property
    def own(self) -> Account:
        """The gateway's own."""
        if self._own is None:
            raise TelephonyError("the endpoint has not been started")
        return self._own

    @property
    def all(self) -> tuple[Account, ...]:
        """Every one of them."""
        return (self.own, *self._of_trunks.values())

    def towards(self, uri: str) -> Account:
        """Return the account for requests to a URI."""
        return self._of_trunks.get(self._settings.trunk_towards(uri)) or self.own

    def of_sender(self, trunk: str) -> Account:
        """Return the account for calls from a trunk, which alone may have SRTP; "" for none."""
        account = self._of_trunks.get(trunk)
        return self.own if account is None or self._settings.srtp_of(trunk) == "off" else account

    async def register(self, trunk: str, *, renew: bool) -> RegisterAnswer:
        """Register with a trunk that has a registration, or take it back."""
        return await self._of_trunks[trunk].register(renew=renew)


def _trunk_config(settings: SipSettings, trunk: Trunk, port: int, secret: str) -> Any:
    config = account_config(settings, port)
    config.natConfig.contactRewriteUse = config.natConfig.viaRewriteUse = 0
    if trunk.credentials is not None:
        given = trunk.credentials
        config.sipConfig.authCreds.append(
            pj.AuthCredInfo("digest", given.realm, given.username, 0, secret)
        )
    if trunk.srtp != "off":
        secure(config, trunk.srtp)
    if trunk.outbound_proxy is not None:
        config.sipConfig.proxies.append(_loose(trunk.outbound_proxy))
    registration = trunk.registration
    if registration is not None:
        user, _, domain = trunk.registered_user.partition("@")
        config.idUri = f"sip:{user}@{domain or Uri.parse(registration.registrar).host}"
        config.regConfig.registrarUri = registration.registrar
        config.regConfig.registerOnAdd = False
        config.regConfig.timeoutSec = registration.expires_s
        # Ours alone decides when: bridge/sip/registration.py.
        config.regConfig.retryIntervalSec = config.regConfig.firstRetryIntervalSec = 0
        config.regConfig.delayBeforeRefreshSec = 1
        config.regConfig.unregWaitMsec = 0
        if registration.contact is not None:
            config.sipConfig.contactForced = f"<{registration.contact}>"
    return config


def _loose(uri: str) -> str:
    """Return a proxy's URI as a loose route (RFC 3261 section 19.1.1, ``lr``)."""
    parameters = {name for name, _ in Uri.parse(uri).parameters}
    return f"<{uri}>" if "lr" in parameters else f"<{uri};lr>"
