"""The kinds of personal data that can be redacted, and the words that announce each. Pure data.

A number alone says little: nine digits are an order, an account or a social security number. The
word before it decides, in the same turn or in the question that the turn answers.
"""

import enum
import re
from dataclasses import dataclass


class Kind(enum.StrEnum):
    """A kind of personal data, as a dialplan names it."""

    CARDS = "cards"
    SSN = "ssn"
    DOB = "dob"
    ACCOUNTS = "accounts"
    PHONES = "phones"
    EMAILS = "emails"


DEFAULT_KINDS = frozenset({Kind.CARDS, Kind.SSN, Kind.DOB, Kind.ACCOUNTS})

PLACEHOLDERS = {
    Kind.CARDS: "[card]",
    Kind.SSN: "[ssn]",
    Kind.DOB: "[date]",
    Kind.ACCOUNTS: "[account]",
    Kind.PHONES: "[phone]",
    Kind.EMAILS: "[email]",
}

PLACEHOLDER = re.compile(r"\[(?:card|ssn|date|account|phone|email)\]")


@dataclass(frozen=True, slots=True)
class Label:
    """Words after which a number of so many digits is of a kind.

    Attributes:
        kind: None for numbers that stay.
    """

    kind: Kind | None
    words: str
    min_digits: int = 1
    max_digits: int = 40


LABELS = (
    # What follows "ending in" is what a caller may hear (PCI DSS 4.0 requirement 3.4.1).
    Label(None, r"ending(?: in| with)?|last (?:four|4)(?: digits)?"),
    Label(Kind.CARDS, r"security code|cvv2?|cvc2?|card verification|prüfziffer", 3, 4),
    Label(
        Kind.CARDS,
        r"(?:credit|debit|payment|bank) card|card(?: number|'s number| details)|kreditkarte\w*"
        r"|kartennummer|carte (?:bancaire|de crédit|bleue)|tarjeta",
        4,
        19,
    ),
    Label(Kind.SSN, r"social(?: security(?: number)?)?|ssn|sozialversicherung\w*", 4, 12),
    Label(
        Kind.DOB,
        r"(?:date of )?birth(?:day|date)?|born|dob|geburts\w*|geboren|naissance|née?|nacimiento"
        r"|nací",
        4,
        8,
    ),
    Label(
        Kind.ACCOUNTS,
        r"(?:bank )?account(?: number)?|acct|routing(?: number)?|sort code|iban|konto\w*"
        r"|bankleitzahl|blz|compte|cuenta",
        5,
        34,
    ),
    Label(
        Kind.PHONES,
        r"(?:tele)?phone(?: number)?|mobile|cell|call(?: me)?(?: back)?(?: on| at)?"
        r"|reach (?:me|you)|telefon\w*|handy\w*|téléphone|teléfono",
        6,
        15,
    ),
    Label(
        None,
        r"order|invoice|bill|reference|ticket|tracking|confirmation|booking|parcel|zip|postcode"
        r"|post code|amount|total|charged|paid|pay|price|costs?|balance|dollars?|euros?|pounds?"
        r"|bestell\w*|rechnung\w*|betrag|commande|facture|pedido|factura",
    ),
)
"""The one that stands nearest before a number decides."""

LABEL = re.compile(
    rf"\b(?:{'|'.join(f'(?P<l{number}>{each.words})' for number, each in enumerate(LABELS))})\b",
    re.IGNORECASE,
)


FEWEST_DIGITS = min(each.min_digits for each in LABELS if each.kind is not None)
"""A shorter number is nobody's."""


def label_of(found: re.Match[str]) -> Label:
    """Return the label of a match of :data:`LABEL`."""
    return LABELS[int((found.lastgroup or "l0")[1:])]
