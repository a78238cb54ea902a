"""Serves a local Realtime server's application at an address."""

import ssl

from aiohttp import web

from bridge.errors import InfrastructureError
from bridge.sip.addresses import host_and_port

PATH = "/v1/realtime"
CLOSE_GRACE_S = 2.0


async def listen(
    app: web.Application,
    host: str,
    port: int,
    *,
    path: str = PATH,
    tls: ssl.SSLContext | None = None,
) -> tuple[web.AppRunner, str]:
    """Serve an application; 0 takes a free port.

    Returns:
        What to clean up at the end, and the URL of its WebSocket.

    Raises:
        InfrastructureError: the port is taken.
    """
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=CLOSE_GRACE_S)
    await runner.setup()
    site = web.TCPSite(runner, host, port, ssl_context=tls)
    try:
        await site.start()
    except OSError as error:
        await runner.cleanup()
        raise InfrastructureError(
            f"the simulator cannot listen at {host}:{port}: {error.strerror}",
            remedy="choose another port; 0 takes a free one",
        ) from error
    scheme = "ws" if tls is None else "wss"
    return runner, f"{scheme}://{host_and_port(host, runner.addresses[0][1])}{path}"
