"""What is mended in PJSIP's source before it is compiled: faults that no setting avoids."""

from dataclasses import dataclass
from pathlib import Path

from capacity.work import BuildError


@dataclass(frozen=True, slots=True)
class Mend:
    """One place of the source, and what stands there afterwards.

    Attributes:
        file: within the tree.
        before: text that the file has once.
        after: text in its place.
    """

    file: str
    before: str
    after: str


_UDP_MEDIA = "pjmedia/src/pjmedia/transport_udp.c"

MENDS = (
    # The media thread reads no further where `started` is not set after a packet. Set behind the
    # first read, it is not yet where packets wait already: the loop's thread asks for that read,
    # the media thread has its packet at once, and the call is deaf until its next re-INVITE.
    Mend(
        _UDP_MEDIA,
        '    TRACE_((udp->base.name, "media_start(): before recvfrom RTP"));\n',
        "    udp->started = PJ_TRUE;\n",
    ),
    Mend(
        _UDP_MEDIA,
        '                      "media_start(): recvfrom RTP failed"));\n',
        '                      "media_start(): recvfrom RTP failed"));\n'
        "        udp->started = PJ_FALSE;\n",
    ),
    Mend(
        _UDP_MEDIA,
        '                      "media_start(): recvfrom RTCP failed"));\n',
        '                      "media_start(): recvfrom RTCP failed"));\n'
        "        udp->started = PJ_FALSE;\n",
    ),
)


def mend(tree: Path) -> None:
    """Mend a clean source tree.

    Raises:
        BuildError: a place is not there, or there twice: this version has it otherwise.
    """
    for each in MENDS:
        path = tree / each.file
        text = path.read_text() if path.exists() else ""
        if text.count(each.before) != 1:
            raise BuildError(
                f"PJSIP's {each.file} is not as deploy/pjsip/capacity/mends.py knows it",
                remedy="build 2.17, or see whether this version still has the fault",
            )
        path.write_text(text.replace(each.before, each.after))
