"""The timers of one call, by name; starting one that runs replaces it."""

import enum


class Timer(enum.StrEnum):
    """The timers of one call; starting one that runs replaces it."""

    SESSION_READY = "session_ready"
    RESPONSE = "response"
    MAX_DURATION = "max_duration"
    CLOSING = "closing"
    FILLER = "filler"
    RETRY = "retry"
    ROLLOVER = "rollover"
    STALLED = "stalled"
    TRANSFER = "transfer"
    FALSE_STOP = "false_stop"
    OPEN_TURN = "open_turn"
    WORDS = "words"
    UNHEARD = "unheard"
    APOLOGY = "apology"
    OFFER = "offer"
    CALLER_SILENT = "caller_silent"
    CALLER_CAP = "caller_cap"
    MAX_WARNING = "max_warning"
    RESCUE = "rescue"
    KEYPAD = "keypad"
    LAST_TONE = "last_tone"
    GREETING = "greeting"
    CONSENT = "consent"
    SUPERVISOR = "supervisor"
