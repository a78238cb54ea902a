"""Settings of traces: the collector of the spans of calls (OpenTelemetry), and their share."""

from pydantic import BaseModel, ConfigDict, Field

from bridge.config.arm_access import HttpHeaderName
from bridge.config.secret_places import SecretPlace


class TracingSettings(BaseModel):
    """Traces of calls, sent by OTLP over HTTP; needs the extra `otel`.

    Attributes:
        endpoint: full URL of the collector's traces, `http://HOST:4318/v1/traces`; None makes no
            traces.
        headers: name -> `env` or `file` with the value of a header that the collector wants.
        sample: share of calls that are traced, 0 to 1.
        service_name: `service.name` of the spans.
        resource: further attributes of their resource; OTEL_RESOURCE_ATTRIBUTES is honoured, too.
        queue_spans: spans that wait for the collector at most; more are dropped and counted.
        timeout_s: one request to the collector may take so long.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    endpoint: str | None = Field(None, pattern=r"^https?://[^\s/]+/")
    headers: dict[HttpHeaderName, SecretPlace] = Field(default_factory=dict)
    sample: float = Field(1.0, ge=0, le=1)
    service_name: str = Field("telephony-bridge", min_length=1)
    resource: dict[str, str] = Field(default_factory=dict)
    queue_spans: int = Field(4096, ge=128, le=1_000_000)
    timeout_s: float = Field(5.0, gt=0, le=60)
