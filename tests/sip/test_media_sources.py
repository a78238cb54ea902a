"""Whose packets a socket of a call takes, step by step."""

from ipaddress import ip_network

from bridge.sip.media_sources import SourceLock, SourceRule, networks_of

S = 1_000_000_000
FAR, ANOTHER = ip_network("192.0.2.1"), ip_network("198.51.100.7")


def locked() -> SourceLock:
    lock = SourceLock(2 * S)
    lock.open((FAR, ANOTHER), 0)
    assert lock.learn(1, ("192.0.2.1", 4000))
    return lock


def test_addresses_become_networks_and_nobodys_are_left_out() -> None:
    hosts = ["192.0.2.1", "0.0.0.0", "::", "pbx.example", "", "::ffff:192.0.2.1", "2001:db8::1"]
    assert networks_of(hosts) == (FAR, ip_network("2001:db8::1"))


def test_nobody_is_heard_before_a_stream_begins() -> None:
    assert SourceLock(S).rule == SourceRule(())


def test_the_first_packet_that_is_played_locks_on_its_source() -> None:
    assert locked().rule == SourceRule((FAR,), 4000)
    assert locked().source == ("192.0.2.1", 4000)


def test_a_source_of_before_the_opening_is_not_learnt_again() -> None:
    lock = locked()
    lock.open((FAR,), 7)
    assert not lock.learn(7, ("192.0.2.1", 4000))
    assert lock.learn(8, ("192.0.2.1", 4002))


def test_a_source_that_sends_is_kept_whatever_else_comes() -> None:
    lock = locked()
    assert not any(lock.doubt(packets, packets * S) for packets in range(2, 20))
    assert lock.source is not None


def test_a_silent_one_gives_way_to_its_own_address_alone() -> None:
    lock = locked()
    assert not lock.doubt(5, 1 * S)
    assert not lock.doubt(5, 2 * S)
    assert lock.doubt(5, 3 * S)
    assert lock.rule == SourceRule((FAR,))
    assert lock.learn(6, ("192.0.2.1", 4002))
    assert lock.rule == SourceRule((FAR,), 4002)
