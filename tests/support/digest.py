"""A digest client of the tests' own (RFC 7616): it shares no code with the product."""

import hashlib
import re
from collections.abc import Mapping

HASHES = {"SHA-256": hashlib.sha256, "MD5": hashlib.md5}


def hashed(algorithm: str, *parts: str) -> str:
    """Return the hexadecimal hash of parts joined by colons."""
    return HASHES[algorithm](":".join(parts).encode()).hexdigest()


def read(value: str) -> Mapping[str, str]:
    """Read the parameters of a challenge, or of credentials."""
    return {
        name: quoted or bare
        for name, quoted, bare in re.findall(r'(\w+)=(?:"([^"]*)"|([^,\s]+))', value)
    }


def authorization(
    challenge: str,
    method: str,
    uri: str,
    *,
    user: str = "alice",
    secret: str = "wonderland",
    nc: int = 1,
    cnonce: str = "0a4f113b",
    **changed: str,
) -> str:
    """Answer a challenge; ``changed`` replaces parameters after the response was computed."""
    given = read(challenge)
    algorithm, realm, nonce = given["algorithm"], given["realm"], given["nonce"]
    count = f"{nc:08x}"
    ha1 = hashed(algorithm, user, realm, secret)
    ha2 = hashed(algorithm, method, uri)
    response = hashed(algorithm, ha1, nonce, count, cnonce, "auth", ha2)
    quoted = {"username": user, "realm": realm, "nonce": nonce, "uri": uri, "response": response}
    quoted |= {"cnonce": cnonce}
    bare = {"algorithm": algorithm, "qop": "auth", "nc": count}
    for name, value in changed.items():
        (quoted if name in quoted else bare)[name] = value
    words = [f'{name}="{value}"' for name, value in quoted.items()]
    words += [f"{name}={value}" for name, value in bare.items()]
    return f"Digest {', '.join(words)}"


def is_right(credentials: str, method: str, *, secret: str) -> bool:
    """Return whether credentials fit a secret, as a server would judge them."""
    given = read(credentials)
    algorithm = given.get("algorithm", "MD5")
    ha1 = hashed(algorithm, given["username"], given["realm"], secret)
    ha2 = hashed(algorithm, method, given["uri"])
    use = (given["nc"], given["cnonce"], given["qop"]) if "qop" in given else ()
    return given["response"] == hashed(algorithm, ha1, given["nonce"], *use, ha2)
