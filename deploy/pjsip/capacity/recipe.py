"""What the capacity build is made of: limits, configure flags, packages."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

OLDEST = (2, 15)
"""Below this, pjsua2 differs from what the bridge uses."""

CONFIG_SITE = """\
/* A call takes three conference ports: its own and a memory port each way. */
#define PJSUA_MAX_CALLS             1024
#define PJSUA_MAX_CONF_PORTS        4096
/* An RTP and an RTCP socket a call. */
#define PJ_IOQUEUE_MAX_HANDLES      4096
/* Hash table sizes, 2^n-1. A transaction stays 32 s after its end. */
#define PJSIP_MAX_TSX_COUNT         (32*1024-1)
#define PJSIP_MAX_DIALOG_COUNT      (8*1024-1)
/* SIP waits here while the loop does something else. */
#define PJSIP_UDP_SO_RCVBUF_SIZE    (4*1024*1024)
/* An INVITE with PASSporTs, a location (PIDF-LO) and a long History-Info passes PJSIP's 4,000. */
#define PJSIP_MAX_PKT_LEN           16000
/* The media thread handles a packet under its socket's lock, as up to 2.15. Without it a stream is
   attached, parted and freed by the loop's thread under a packet that is just handled (2.17:
   pj_sockaddr_get_len asserts in on_rx_rtp; pjproject's pull request 5135: use after free). */
#define PJ_IOQUEUE_CALLBACK_NO_LOCK 0
/* Accounts and media of IPv6: sockets alone have it without this. */
#define PJ_HAS_IPV6                 1
/* None of PJMEDIA's four (1 to 4): our own, resample.c. */
#undef PJMEDIA_RESAMPLE_IMP
#define PJMEDIA_RESAMPLE_IMP        5
"""

WITH_OWN_SRTP = """\
/* AEAD_AES_128_GCM and _256 (RFC 7714), which libsrtp has with OpenSSL; it renamed the symbols. */
#define PJMEDIA_SRTP_HAS_AES_GCM_128 1
#define PJMEDIA_SRTP_HAS_AES_GCM_256 1
#define srtp_aes_gcm_128_openssl     srtp_aes_gcm_128
#define srtp_aes_gcm_256_openssl     srtp_aes_gcm_256
"""


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to compile the same PJSIP.

    Attributes:
        name: part of the wheel's version and of its place in the cache; "" for the one that calls
            run on.
        c_flags: of the C and C++ compiler.
        strip: program that takes what only a debugger reads out of the extension.
        preloaded: shared libraries of the compiler's that must be loaded before all others.
    """

    name: str
    c_flags: str
    strip: str = ":"
    preloaded: tuple[str, ...] = ()


SERVED = Variant("", "-O3 -fPIC -DNDEBUG", strip="strip --strip-unneeded")
"""What calls run on: an assertion of PJSIP's would end all of them at once."""

CHECKED: Mapping[str, Variant] = {
    variant.name: variant
    for variant in (
        Variant("assertions", "-O1 -g -fPIC"),
        Variant(
            "address",
            "-O1 -g -fPIC -fsanitize=address -fno-omit-frame-pointer",
            # The sanitizer looks for the C++ library's throw when it is loaded: Python has none.
            preloaded=("libasan.so", "libstdc++.so.6"),
        ),
    )
}
"""To find faults with, never to serve: PJSIP's assertions abort, the sanitizer (which has them,
too) ends the process at the first use of memory that is not, or is no longer, the user's."""

_WITHOUT = (
    *("sound", "video", "upnp", "resample"),
    *("speex-aec", "libwebrtc", "libyuv"),
    *("gsm-codec", "speex-codec", "ilbc-codec", "g7221-codec"),
    *("bcg729", "lyra", "silk", "opencore-amr"),
    *("sdl", "ffmpeg", "v4l2", "openh264", "vpx"),
)

CONFIGURE_FLAGS = (
    "--enable-epoll",
    "--with-external-srtp",
    *(f"--disable-{name}" for name in _WITHOUT),
)

APT_PACKAGES = (
    *("build-essential", "swig", "xz-utils"),
    *("libsrtp2-dev", "libssl-dev", "libopus-dev", "uuid-dev"),
)
"""Debian's names; all but build tools are linked as shared libraries, so their fixes reach us."""

EXTENSION_MAKEFILE = Path(__file__).resolve().parent.parent / "extension.mak"
RESAMPLER = EXTENSION_MAKEFILE.with_name("resample.c")
"""Compiled by that makefile."""


def fingerprint() -> str:
    """Return ten hex digits that change whenever what is built would."""
    here = Path(__file__).resolve().parent
    ours = (here / name for name in ("recipe.py", "mends.py", "compiling.py", "wheel.py"))
    digest = hashlib.sha256()
    for path in (*ours, EXTENSION_MAKEFILE, RESAMPLER):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:10]
