"""The UDP ports that calls take for RTP and RTCP, as the settings `sip.rtp_port_*` give them."""

PORTS_A_CALL = 4
"""RTP and RTCP with the caller, and with a person whom the call is handed to."""


def rtp_ports(first: int, last: int) -> range:
    """Return the ports that RTP may have, even ones (RFC 3550 section 11); empty: any port.

    Raises:
        ValueError: one end of the range is given and the other isn't, or no pair of ports fits.
    """
    if not first and not last:
        return range(0)
    if not first or not last:
        given, wanted = (
            ("rtp_port_min", "rtp_port_max") if first else ("rtp_port_max", "rtp_port_min")
        )
        raise ValueError(f"has {given} and no {wanted} (set both, or neither)")
    ports = range(first + first % 2, last, 2)
    if not ports:
        raise ValueError(f"has no two ports from rtp_port_min {first} to rtp_port_max {last}")
    return ports


def calls_of(ports: range) -> int | None:
    """Return how many calls have room in a range; None where they may have any port."""
    return 2 * len(ports) // PORTS_A_CALL if ports else None
