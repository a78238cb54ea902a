"""The file descriptors of this process: their limit, and the errors that show a lack of them.

Every socket, file and pipe takes one (`getrlimit(2)`, RLIMIT_NOFILE). Without one nothing can be
reached, whoever listens there: a failure for that is this process's and never the far end's.
"""

import errno
import os
import resource

_NONE_LEFT = frozenset({errno.EMFILE, errno.ENFILE})
_OF_A_FAR_END = frozenset(
    {errno.ECONNREFUSED, errno.ECONNRESET, errno.EPIPE, errno.ETIMEDOUT}
    | {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN}
)
"""What no lack of descriptors looks like."""


def out_of_descriptors(error: BaseException | None) -> bool:
    """Return whether something failed because no descriptor was to be had.

    The error, its causes and its members say so; a resolver of names says that there is no such
    name, that it can't be asked, or a number left over from a file that it could not read: where
    the number is not a far end's, the table is tried.
    """
    errors = _system_errors(error)
    if any(each.errno in _NONE_LEFT or _names_lack(each) for each in errors):
        return True
    return any(each.errno not in _OF_A_FAR_END for each in errors) and none_left()


def open_now() -> int:
    """Return how many this process has open (`proc(5)`)."""
    return len(os.listdir("/dev/fd"))


def raise_limit(wanted: int) -> int:
    """Raise the soft limit as far as the hard one lets it, to ``wanted`` at most; return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    target = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft == resource.RLIM_INFINITY or soft >= target:
        return wanted if soft == resource.RLIM_INFINITY else soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
    return target


def _names_lack(error: OSError) -> bool:
    """Return whether an error without a number names a lack of descriptors.

    asyncio joins the texts of several failed connections so, and by the time that it does, the
    socket of another one of them may have been given back.
    """
    return error.errno is None and any(f"[Errno {number}]" in str(error) for number in _NONE_LEFT)


def _system_errors(error: BaseException | None) -> list[OSError]:
    """Return the system's errors among an error, its members and its causes."""
    found: list[OSError] = []
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, OSError):
            found.append(each)
        if isinstance(each, BaseExceptionGroup):
            waiting.extend(each.exceptions)
        waiting += [each.__cause__, each.__context__]
    return found


def none_left() -> bool:
    """Return whether nothing more can be opened now; takes microseconds."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno in _NONE_LEFT
    return False
