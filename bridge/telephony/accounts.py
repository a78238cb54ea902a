"""PJSUA's accounts: the gateway's own, and one for each trunk that needs more than that.

A trunk's account has its credentials, its outbound proxy and its registration, and is used for what
leads to that trunk, and for calls from its addresses: a secret never answers the challenge of
anybody else, so a user's call that counts as the trunk's has no part in it. PJSUA answers the
challenges of REGISTER and of calls, those of OPTIONS are answered here. Trunks that need SRTP alone
share an account for each choice of it. Runs in the loop's thread.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from bridge.config.secure_sip import Srtp
from bridge.config.sip import MOST_TRUNK_ACCOUNTS, SipSettings
from bridge.config.sip_in_force import SipInForce
from bridge.config.trunks import Trunk
from bridge.errors import TelephonyError
from bridge.sip.addresses import Uri
from bridge.sip.digest import DigestChallenge, strongest
from bridge.sip.registration import NO_ANSWER, RegisterAnswer
from bridge.telephony.guarding import guarded
from bridge.telephony.headers import read_headers, request_uri
from bridge.telephony.library import import_pjsua2
from bridge.telephony.pj_settings import account_config
from bridge.telephony.secure_media import secure
from bridge.telephony.trunk_transports import routed

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

LEFT_FOR_S = _ANSWER_WITHIN_S + 10
"""An account that is not in force any more stays as long: PJSIP aborts where one goes before the
last answer to its requests."""

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
        name: of the trunk.
        config: PJSUA's, made for it.
        secret: of its credentials; "" where it has none.

    Attributes:
        trunk: its settings.
    """

    def __init__(
        self, name: str, trunk: Trunk, config: Any, on_invite: OnInvite, secret: str
    ) -> None:
        self._name = name
        self.trunk = trunk
        self._credentials = trunk.credentials
        self._secret = secret
        self._answered: asyncio.Future[RegisterAnswer] | None = None
        super().__init__(config, on_invite)

    def is_for(self, trunk: Trunk, secret: str) -> bool:
        """Return whether it does for these settings of its trunk, too."""
        return (self.trunk.account_terms, self._secret) == (trunk.account_terms, secret)

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
        with guarded(log, "register_failed", trunk=self._name):
            answered = self._answered
            if answered is not None and not answered.done():
                answered.set_result(_answer_of(prm))

    def onSendRequest(self, prm: Any) -> None:
        """Answer the challenge of an OPTIONS, once."""
        with guarded(log, "challenge_not_answered", trunk=self._name):
            change = prm.e.body.tsxState
            code = int(change.tsx.statusCode)
            if code in CHALLENGES and change.type == pj.PJSIP_EVENT_RX_MSG:
                sent = str(change.tsx.lastTx.wholeMsg)
                self._answer(code, sent, str(change.src.rdata.wholeMsg))

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
        self.ask_options(uri, (*self.trunk.probe_headers, (answers, value)))


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


@dataclass(frozen=True, slots=True)
class AccountChange:
    """Accounts of other trunks, made and not used yet.

    Attributes:
        accounts: by trunk, those in force among them that do for the new settings.
        left: trunks whose account in force is among them no more.
        made: those that are new.
    """

    settings: SipSettings
    secrets: Mapping[str, str]
    accounts: Mapping[str, TrunkAccount]
    left: frozenset[str]
    made: Collection[TrunkAccount]

    def give_up(self) -> None:
        """Drop what was made for it: it is not to be."""
        for account in self.made:
            account.shutdown()


class SipAccounts:
    """All accounts of an endpoint, by where requests lead.

    Args:
        sip: the settings in force.
        trunk_secrets: by trunk, for those with credentials.
        on_invite: takes new INVITEs, whichever account PJSUA finds for them.
    """

    def __init__(
        self, sip: SipInForce, trunk_secrets: Mapping[str, str], on_invite: OnInvite
    ) -> None:
        self._sip = sip
        self._port = 0
        self._secrets = trunk_secrets
        self._on_invite = on_invite
        self._own: Account | None = None
        self._secure: dict[Srtp, Account] = {}
        self._of_trunks: Mapping[str, TrunkAccount] = {}
        self._left: list[tuple[float, TrunkAccount]] = []

    def open(self, port: int) -> None:
        """Make them; ``port`` is where SIP is heard."""
        self._port = port
        self._own = Account(account_config(self._sip.settings, port), self._on_invite)
        self._own.setDefault()
        self._of_trunks = self.prepare(self._sip.settings, self._secrets).accounts

    def prepare(self, settings: SipSettings, secrets: Mapping[str, str]) -> AccountChange:
        """Make the accounts of other trunks, beside those in force.

        Raises:
            TelephonyError: PJSUA has no room for them, or refuses one; nothing has changed.
        """
        shared = settings.shared_srtp.union(self._secure)
        wanted = {name: each for name, each in settings.trunks.items() if each.has_account}
        accounts = {
            name: self._of_trunks[name]
            for name, trunk in wanted.items()
            if name in self._of_trunks
            and self._of_trunks[name].is_for(trunk, secrets.get(name, ""))
        }
        new = wanted.keys() - accounts.keys()
        in_use = len(self._of_trunks) + len(self._left) + len(shared)
        if len(new) + in_use > MOST_TRUNK_ACCOUNTS:
            raise TelephonyError(
                f"PJSIP has {MOST_TRUNK_ACCOUNTS} accounts for trunks, and there is no room for new"
                " ones beside those in use",
                remedy=f"try again when their calls are over, or {LEFT_FOR_S:.0f} s later",
            )
        left = frozenset(self._of_trunks.keys() - accounts.keys())
        made: list[TrunkAccount] = []
        change = AccountChange(settings, secrets, accounts, left, made)
        try:
            self._share(shared)
            for name in sorted(new):
                accounts[name] = self._make(settings, name, secrets.get(name, ""))
                made.append(accounts[name])
        except TelephonyError:
            change.give_up()
            raise
        return change

    def _share(self, choices: Collection[Srtp]) -> None:
        """Make the accounts of SRTP alone that are missing: they have no secret, and stay."""
        for srtp in sorted(choices):
            if srtp not in self._secure:
                config = account_config(self._sip.settings, self._port)
                secure(config, srtp)
                self._secure[srtp] = Account(config, self._on_invite)

    def _make(self, settings: SipSettings, name: str, secret: str) -> TrunkAccount:
        trunk = settings.trunks[name]
        try:
            config = _trunk_config(settings, trunk, self._port, secret)
            return TrunkAccount(name, trunk, config, self._on_invite, secret)
        except pj.Error as error:
            raise TelephonyError(
                f"PJSIP refuses an account for the trunk {name}: {error.reason}",
                remedy=f"compare the SIP URIs of sip.trunks.{name}",
            ) from error

    def change(self, change: AccountChange) -> None:
        """Put prepared accounts in force; calls that go on keep those that they have."""
        until_s = time.monotonic() + LEFT_FOR_S
        self._left += [(until_s, self._of_trunks[name]) for name in change.left]
        self._of_trunks, self._secrets = change.accounts, change.secrets
        for name, account in change.accounts.items():
            account.trunk = change.settings.trunks[name]

    def drop_left(self, in_use: Callable[[], Collection[int]]) -> None:
        """Drop accounts that are not in force, when nobody waits for their requests any more.

        Args:
            in_use: returns PJSUA's numbers of the accounts that calls have.
        """
        if not self._left or self._left[0][0] > time.monotonic():
            return
        used, now_s = in_use(), time.monotonic()
        for due in [
            each for each in self._left if each[0] <= now_s and each[1].getId() not in used
        ]:
            self._left.remove(due)
            due[1].shutdown()

    def close(self) -> None:
        """Let go of them, when PJSIP is down."""
        self._own = None
        self._of_trunks = {}
        self._left.clear()
        self._secure.clear()

    @property
    def own(self) -> Account:
        """The gateway's own."""
        if self._own is None:
            raise TelephonyError("the endpoint has not been started")
        return self._own

    @property
    def all(self) -> tuple[Account, ...]:
        """Every one of them."""
        return (self.own, *self._secure.values(), *self._of_trunks.values())

    def towards(self, uri: str) -> Account:
        """Return the account for requests to a URI."""
        trunk = self._sip.settings.trunk_towards(uri)
        return self._of_trunks.get(trunk) or self._without_trunk(trunk)

    def of_sender(self, trunk: str, host: str) -> Account:
        """Return the account for a call from a trunk, "" for none, that came from a host.

        A user who counts as the trunk's calls from elsewhere.
        """
        settings = self._sip.settings.trunks.get(trunk)
        if settings and settings.answers_by_account and self._sip.trunk_of(host) == trunk:
            return self._of_trunks[trunk]
        return self._without_trunk(trunk)

    def _without_trunk(self, trunk: str) -> Account:
        """Return the account with the SRTP of a trunk, and nothing else of it."""
        return self._secure.get(self._sip.settings.media_terms(trunk).srtp) or self.own

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
        config.sipConfig.proxies.append(_loose(routed(trunk.outbound_proxy, trunk)))
    registration = trunk.registration
    if registration is not None:
        user, _, domain = trunk.registered_user.partition("@")
        config.idUri = f"sip:{user}@{domain or Uri.parse(registration.registrar).host}"
        config.regConfig.registrarUri = routed(registration.registrar, trunk)
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
