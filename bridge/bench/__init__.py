"""The benchmark: the same load on the gateway, on bare PJSIP, and on a plain pjsua2 gateway."""
