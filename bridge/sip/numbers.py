"""Telephone numbers as one trunk writes them, read into E.164 and written back. Pure.

In here a number that is known in full is E.164 with its plus: `+`, and at most 15 digits that begin
with the country code (ITU-T E.164 section 6, RFC 3966 section 5.1.4). What may be anything else
stays as the far end wrote it: names, extensions, short codes, emergency numbers, star codes,
callers who don't show a number. A wrong guess there would call somebody else.
"""

import dataclasses
import re
from dataclasses import dataclass
from typing import Literal

from bridge.sip.addresses import Address, AddressError, Parameters, Uri, split_list

_NUMBER = re.compile(r"\+?[0-9*#\s().\-]*[0-9][0-9*#\s().\-]*")
_SEPARATORS = re.compile(r"[\s().\-]")
_DIGITS = re.compile(r"\+?[0-9]+")
_E164 = re.compile(r"\+[1-9][0-9]{1,14}")
_CONTEXT = "phone-context"

BareNumber = Literal["keep", "international", "national"]
WrittenNumber = Literal["keep", "e164", "digits", "international", "national"]

SHORTEST_DIGITS = 7
"""Of a subscriber's number with its area code; 116 117 and its like have six (ITU-T E.164.3)."""


def normalise_user(user: str) -> str:
    """Return a user part (:attr:`bridge.sip.addresses.Uri.user`), a number without separators."""
    return _SEPARATORS.sub("", user) if _NUMBER.fullmatch(user) else user


@dataclass(frozen=True, slots=True)
class NumberFormat:
    """A trunk's way to write numbers; the default leaves all as they are.

    Attributes:
        country_code: of numbers without one, as in ``49``.
        national_prefix: in front of a national number, as in ``0``.
        international_prefix: in front of a country code, as in ``00`` or ``011``.
        bare: what digits with no prefix at all are.
        out: how E.164 numbers are written towards the trunk.
        shortest_digits: numbers with fewer, prefixes not counted, are nobody's E.164.
    """

    country_code: str = ""
    national_prefix: str = ""
    international_prefix: str = ""
    bare: BareNumber = "keep"
    out: WrittenNumber = "keep"
    shortest_digits: int = SHORTEST_DIGITS

    def read(self, user: str, parameters: Parameters = ()) -> str:
        """Return a user part in the one form: E.164, or as it is.

        Args:
            user: as in :class:`~bridge.sip.addresses.Uri`.
            parameters: of the telephone number. A number of another's numbering plan
                (``phone-context``, RFC 3966 section 5.1.5) stays as it is.
        """
        number = normalise_user(user)
        if self == AS_WRITTEN or not _DIGITS.fullmatch(number):
            return user
        whole = self._whole(number, dict(parameters).get(_CONTEXT, ""))
        return whole if _E164.fullmatch(whole) else user

    def read_uri(self, uri: Uri) -> Uri:
        """Return a URI with its number in the one form, which needs no ``phone-context``."""
        given = uri.parameters if uri.scheme == "tel" else uri.user_parameters
        user = self.read(uri.user, given)
        if user == uri.user:
            return uri
        left = tuple(each for each in given if each[0] != _CONTEXT)
        if uri.scheme == "tel":
            return dataclasses.replace(uri, user=user, parameters=left)
        return dataclasses.replace(uri, user=user, user_parameters=left)

    def read_request_uri(self, text: str) -> str:
        """Return a URI's text with its number in the one form; an unreadable one as it is."""
        try:
            uri = Uri.parse(text)
        except AddressError:
            return text
        read = self.read_uri(uri)
        return text if read is uri else str(read)

    def read_address(self, text: str) -> str:
        """Return a name-addr or URI with its number in the one form; an unreadable one as it is.

        The display name stays what it was: it is for people.
        """
        try:
            address = Address.parse(text)
        except AddressError:
            return text
        uri = self.read_uri(address.uri)
        return text if uri is address.uri else str(dataclasses.replace(address, uri=uri))

    def read_header(self, value: str) -> str:
        """Return a header's value that may have several addresses, with the numbers of all."""
        if self == AS_WRITTEN:
            return value
        return ", ".join(self.read_address(each) for each in split_list(value))

    def write(self, user: str) -> str:
        """Return an E.164 number as the trunk wants it; whatever else it is stays as it is."""
        number = normalise_user(user)
        digits = number[1:]
        if not _E164.fullmatch(number) or len(digits) < self.shortest_digits:
            return user
        match self.out:
            case "keep":
                return user
            case "e164":
                return number
            case "digits":
                return digits
            case "international":
                return self.international_prefix + digits
            case "national":
                return self._written_nationally(digits)

    def write_uri(self, uri: Uri) -> Uri:
        """Return a URI with its number as the trunk wants it."""
        return dataclasses.replace(uri, user=self.write(uri.user))

    def _whole(self, number: str, context: str) -> str:
        """Return a number with plus and country code; "" where that isn't known."""
        if number.startswith("+"):
            return self._unless_short(number[1:])
        if context:
            ours = bool(self.country_code) and normalise_user(context) == f"+{self.country_code}"
            return self._of_our_country(number.removeprefix(self.national_prefix)) if ours else ""
        if self.international_prefix and number.startswith(self.international_prefix):
            return self._unless_short(number.removeprefix(self.international_prefix))
        if self.national_prefix and number.startswith(self.national_prefix):
            return self._of_our_country(number.removeprefix(self.national_prefix))
        match self.bare:
            case "keep":
                return ""
            case "international":
                return self._unless_short(number)
            case "national":
                return self._of_our_country(number)

    def _of_our_country(self, national: str) -> str:
        return f"+{self.country_code}{national}" if self._unless_short(national) else ""

    def _unless_short(self, digits: str) -> str:
        return f"+{digits}" if len(digits) >= self.shortest_digits else ""

    def _written_nationally(self, digits: str) -> str:
        national = digits.removeprefix(self.country_code)
        if digits.startswith(self.country_code) and len(national) >= self.shortest_digits:
            return self.national_prefix + national
        return (self.international_prefix or "+") + digits


AS_WRITTEN = NumberFormat()
"""That of a trunk of which nothing is known."""
