"""Personal data and secrets: patterns, and checksums where the number has one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of personal data: what it looks like, and whether a match is one.

    `needs` is found faster than the pattern is; where it is not, neither is the pattern.
    """

    pattern: re.Pattern[str]
    valid: Callable[[str], bool]
    placeholder: str
    needs: re.Pattern[str]


def _email(found: str) -> bool:
    """Not one of the names that are set aside for examples (RFC 2606)."""
    domain = found.rpartition("@")[2].lower()
    reserved = domain.rpartition(".")[2] in ("example", "invalid", "test", "localhost")
    return not reserved and domain.split(".")[-2] != "example"


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others (ISO/IEC 7812-1, annex B)."""
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(map(int, digits[::-2])) + sum(doubled)) % 10 == 0


def iban(found: str) -> bool:
    """Whether the two check digits are right (ISO 7064, mod 97-10)."""
    code = re.sub(r"\s", "", found)
    number = "".join(str(int(each, 36)) for each in code[4:] + code[:4])
    return 15 <= len(code) <= 34 and int(number) % 97 == 1


_ISSUERS = re.compile(
    r"4\d{12}(?:\d{3}){0,2}|5[1-5]\d{14}|2[2-7]\d{14}|3[47]\d{13}|3[068]\d{12}|6(?:011|5\d\d)\d{12}"
    r"|35\d{14}|62\d{14,17}"
)


def card(found: str) -> bool:
    """Whether it begins as cards of the large issuers do, has their length, and passes Luhn."""
    digits = re.sub(r"\D", "", found)
    return _ISSUERS.fullmatch(digits) is not None and luhn(digits) and len(set(digits)) > 2


def phone(found: str) -> bool:
    """Between 8 and 15 digits (ITU-T E.164)."""
    return 8 <= sum(each.isdigit() for each in found) <= 15


def national_number(found: str) -> bool:
    """A Brazilian CPF or a Spanish DNI by its check digits, or an American social security number
    (which has none) by its form."""
    digits = [int(each) for each in found if each.isdigit()]
    if len(digits) == 11:
        return len(set(digits)) > 1 and all(_cpf(digits, place) for place in (9, 10))
    if len(digits) == 8:
        number = int("".join(map(str, digits)))
        return found[-1] == "TRWAGMYFPDXBNJZSQVHLCKE"[number % 23]
    return True


def _cpf(digits: list[int], place: int) -> bool:
    weighted = sum(digit * (place + 1 - at) for at, digit in enumerate(digits[:place]))
    return weighted * 10 % 11 % 10 == digits[place]


def _any(found: str) -> bool:
    return True


_DIGITS = re.compile(r"\d(?:[ ()./-]{0,3}\d){6}")

KINDS: dict[str, Kind] = {
    "secret_key": Kind(
        re.compile(
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?:[\s\S]*?-----END [A-Z ]*PRIVATE KEY-----)?"
            r"|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"
            r"|\bgh[pousr]_[A-Za-z0-9]{36,}|\bgithub_pat_\w{22,}|\bglpat-[\w-]{20,}"
            r"|\bsk-[\w-]{20,}|\b[rs]k_live_[0-9A-Za-z]{20,}|\bhf_[A-Za-z0-9]{30,}"
            r"|\bxox[abprs]-[\w-]{10,}|\bAIza[\w-]{35}"
            r"|\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}"
        ),
        _any,
        "[KEY]",
        re.compile("-----BEGIN|AKIA|ASIA|gh[pousr]_|github_pat|glpat|sk-|k_live|hf_|xox|AIza|eyJ"),
    ),
    "email": Kind(
        re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,24}\b"),
        _email,
        "[EMAIL]",
        re.compile("@"),
    ),
    "iban": Kind(
        re.compile(
            r"\b[A-Z]{2}\d{2}(?:[A-Z0-9]{11,30}|(?: [A-Z0-9]{4}){2,7}(?: [A-Z0-9]{1,3})?)\b"
        ),
        iban,
        "[IBAN]",
        re.compile(r"[A-Z][A-Z]\d\d"),
    ),
    "card_number": Kind(
        re.compile(r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w-])"), card, "[CARD]", _DIGITS
    ),
    "national_number": Kind(
        re.compile(
            r"(?<![\w.-])(?:\d{3}\.\d{3}\.\d{3}-\d\d|\d{8}-?[A-Z]"
            r"|(?!000|666|9\d\d)\d{3}-(?!00)\d\d-(?!0000)\d{4})(?![\w-])"
        ),
        national_number,
        "[NUMBER]",
        _DIGITS,
    ),
    "phone": Kind(
        re.compile(
            r"(?<![\w.-])(?<!\d )(?:\+\d[\d ().-]{6,18}\d|\(\d{3}\) ?\d{3}[ .-]\d{4}"
            r"|\d{3}([.-])\d{3}\1\d{4}|0\d{2,4}[ /-]\d{3,4}[ -]?\d{3,5})(?![\w-])"
        ),
        phone,
        "[PHONE]",
        _DIGITS,
    ),
}


@lru_cache(maxsize=8)  # each kind has a check of its own, and asks for the same row again
def kinds_in(text: str) -> Counter[str]:
    """How many pieces of each kind stand in the text."""
    return redacted(text)[1]


def redacted(text: str) -> tuple[str, Counter[str]]:
    """The text with each piece replaced by its placeholder, and how many of each kind there were.

    Kinds are looked for in the order of the table, and none in what an earlier one has taken.
    """
    counts: Counter[str] = Counter()
    for name, kind in KINDS.items():
        if kind.needs.search(text):
            text, found = _replaced(text, kind)
            if found:
                counts[name] = found
    return text, counts


def _replaced(text: str, kind: Kind) -> tuple[str, int]:
    found = 0

    def replace(match: re.Match[str]) -> str:
        nonlocal found
        if not kind.valid(match[0]):
            return match[0]
        found += 1
        return kind.placeholder

    return kind.pattern.sub(replace, text), found
