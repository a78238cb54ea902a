"""A SIP/RTP gateway between phone calls and Realtime voice sessions."""
