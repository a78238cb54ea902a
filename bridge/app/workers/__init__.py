"""Several gateways on one machine behind one SIP address: started, watched, renewed, drained."""
