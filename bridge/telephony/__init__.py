"""SIP and RTP on PJSIP: endpoint, legs, media ports, pump, recorder."""
