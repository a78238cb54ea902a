"""Names of the bridge's Redis keys and of a call's hash fields (`ARCHITECTURE.md` section 5).

Other people's tools read these. Nothing else in the project spells a key out; a call's hash gets no
field that is not listed here. The names carry no
hash tags: one call's keys fall into different slots, so Redis Cluster is not supported.
"""

from dataclasses import dataclass

CALL_FIELDS = frozenset(
    {"call_id", "node", "dialplan", "arm", "dialect", "model", "phase", "from", "to"}
    | {"rollout", "rollout_reason", "rollout_version", "rescued_by"}
    | {"rollout_share", "rollout_caller", "rollout_counted"}
    | {"session_id", "conversation_id", "response_id", "item_id", "last_ack_event_id"}
    | {"last_user_audio_seq", "last_agent_audio_seq", "played_ms"}
    | {"started_at", "answered_at", "ended_at", "updated_at", "outcome", "fault"}
    | {"verstat", "consent", "consent_version"}
    | {"sip_call_id", "dialog"}
    | {"asserted", "privacy", "diversion", "history_info", "user_to_user", "headers"}
    | {"state", "state_since_at", "last_turn_ms", "silent_since_at", "health", "health_reasons"}
    | {"interruptions_caller", "interruptions_agent", "tool_failures"}
    | {"handoff_target", "handoff_summary", "handoff_result", "handoff_wait_ms", "waiting_since_at"}
    | {"watchers", "watched_by", "watched_since", "held_by", "handled_by", "hold", "muted"}
    | {"flagged", "sensitive"}
    | {"wrap_up_code", "wrap_up_note", "wrapped_up_by", "wrapped_up_at"}
)
"""Every field that a call's hash may have. Times are milliseconds since the Unix epoch."""

GROWING_FIELDS = frozenset({"last_user_audio_seq", "last_agent_audio_seq", "updated_at"})
"""Integers that never go back, whatever order writes arrive in. `call_state.lua` names them too."""

ENDING_FIELDS = frozenset({"phase", "ended_at", "outcome", "fault"})
"""How a call ended: the first end decides, later writes leave them. `call_state.lua` names them
too."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Key names below one prefix (`bridge:`)."""

    prefix: str

    def call(self, call_id: str) -> str:
        """Return the hash of a call's state."""
        return f"{self.prefix}call:{call_id}"

    def events(self, call_id: str) -> str:
        """Return the stream of a call's event summaries."""
        return f"{self.prefix}call:{call_id}:events"

    @property
    def alerts(self) -> str:
        """The stream of what supervisors have to know at once, of all calls."""
        return f"{self.prefix}alerts"

    @property
    def flags(self) -> str:
        """The stream of calls that supervisors have marked to be looked at."""
        return f"{self.prefix}flags"

    def control(self, node_id: str) -> str:
        """Return the stream of commands to a node."""
        return f"{self.prefix}control:{node_id}"

    def control_reply(self, command_id: str) -> str:
        """Return the list with the one answer to a command."""
        return f"{self.prefix}control:reply:{command_id}"

    @property
    def presence(self) -> str:
        """The hash of users who say that they are away."""
        return f"{self.prefix}presence"

    @property
    def alerts_acknowledged(self) -> str:
        """The hash of who has seen to which of them."""
        return f"{self.prefix}alerts:acknowledged"

    @property
    def active(self) -> str:
        """The sorted set of calls that have not ended, by start time."""
        return f"{self.prefix}calls:active"

    @property
    def nodes(self) -> str:
        """The sorted set of nodes that have not left, by when their heartbeat was missed first.

        In ms since the Unix epoch by Redis's clock; 0 for a node that beats.
        """
        return f"{self.prefix}nodes"

    @property
    def born(self) -> str:
        """The string that a Redis gets from its first node: another one, and it was emptied."""
        return f"{self.prefix}born"

    def record(self, call_id: str) -> str:
        """Return the hash of a call's record that waits for its node's disk."""
        return f"{self.prefix}record:{call_id}"

    @property
    def records(self) -> str:
        """The sorted set of calls whose records wait for a disk, by when they came."""
        return f"{self.prefix}records"

    @property
    def sweep(self) -> str:
        """The lock of the one node that looks for dead ones now."""
        return f"{self.prefix}nodes:sweep"

    @property
    def ended(self) -> str:
        """The sorted set of calls that have ended and are kept, by the time of their end."""
        return f"{self.prefix}calls:ended"

    def node(self, node_id: str) -> str:
        """Return the hash of a node's heartbeat."""
        return f"{self.prefix}node:{node_id}"

    def rollout(self, flag: str) -> str:
        """Return the hash of what is in force of a rollout."""
        return f"{self.prefix}rollout:{flag}"

    def rollout_history(self, flag: str) -> str:
        """Return the stream of a rollout's changes."""
        return f"{self.prefix}rollout:{flag}:history"

    def rollout_calls(self, flag: str) -> str:
        """Return the stream of the ended calls that a rollout is judged by."""
        return f"{self.prefix}rollout:{flag}:calls"

    def rollout_verdict(self, flag: str) -> str:
        """Return the string with what is held of a rollout's new arm now."""
        return f"{self.prefix}rollout:{flag}:verdict"

    @property
    def rollouts_active(self) -> str:
        """The hash of how many calls each node has on each arm now."""
        return f"{self.prefix}rollouts:active"

    @property
    def rollouts_leader(self) -> str:
        """The lock of the node that decides about rollouts."""
        return f"{self.prefix}rollouts:leader"

    @property
    def audit(self) -> str:
        """The stream of everything that people and the bridge itself decided."""
        return f"{self.prefix}audit"

    @property
    def console_secret(self) -> str:
        """What the nodes' consoles sign short-lived tokens with, the same on all of them."""
        return f"{self.prefix}console:secret"

    def used(self, token_id: str) -> str:
        """Return the mark of a token that was used."""
        return f"{self.prefix}used:{token_id}"

    def tries(self, name: str) -> tuple[str, str]:
        """Return the counter and the lock of what is tried."""
        return f"{self.prefix}tries:{name}", f"{self.prefix}tries:{name}:locked"

    @property
    def users_version(self) -> str:
        """The hash whose ``version`` grows with every change of a user."""
        return f"{self.prefix}users:version"

    @property
    def users(self) -> str:
        """The hash of the console's users, by name."""
        return f"{self.prefix}users"

    def pending(self, kind: str, digest: str) -> str:
        """Return what a token of some kind is good for, by its SHA-256."""
        return f"{self.prefix}pending:{kind}:{digest}"

    def session(self, session_id: str) -> str:
        """Return a sign-in of the console."""
        return f"{self.prefix}session:{session_id}"

    def user_sessions(self, name: str) -> str:
        """Return the set of a user's sign-ins."""
        return f"{self.prefix}user:{name}:sessions"
