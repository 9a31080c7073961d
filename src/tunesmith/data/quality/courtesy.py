"""Greetings, thanks and pleases at the ends of a sentence: they make no other row of one."""

from __future__ import annotations

import re

# In the eight languages that `languages` tells by words, spelled as `plain` spells them.
_OPENERS = (
    "hello hi hey hiya greetings dear please sorry thanks excuse_me pardon_me thank_you "
    "good_morning good_afternoon good_evening good_day "
    "hallo servus moin liebe lieber bitte danke guten_tag guten_morgen guten_abend grüss_gott "
    "bonjour bonsoir salut cher chère merci hola estimado estimada gracias buenos_días "
    "buenas_tardes buenas_noches por_favor ciao salve gentile grazie buongiorno buonasera "
    "olá oi bom_dia boa_tarde boa_noite prezado prezada obrigado obrigada "
    "hoi beste goedemorgen goedemiddag goedendag goedenavond alstublieft bedankt "
    "cześć witam dzień_dobry dobry_wieczór proszę dziękuję"
)
_CLOSERS = (
    "please pls thanks thx cheers thank_you many_thanks bitte danke vielen_dank merci "
    "sil_vous_plaît gracias por_favor grazie per_favore obrigado obrigada bedankt dank_u "
    "alstublieft dziękuję proszę"
)
_REGARDS = (
    "kind_regards best_regards regards sincerely mit_freundlichen_grüssen viele_grüsse "
    "cordialement saludos saluti groeten pozdrawiam"
)
_OPENED = "there all team support everyone everybody folks sir madam sirs guys friends you zusammen"
_CLOSED = "so very much a_lot in_advance for_your_help for_your_time you all team again"
_SAYS_NOTHING = re.compile(
    r"(?:i )?hope (?:you are|youre|this finds you|all is) (?:doing )?(?:well|fine)"
    r"|(?:i have a |just a )?(?:quick |short )?question|i need (?:some |your )?help"
    r"|(?:can|could|would) (?:you|someone|anyone) (?:please )?help(?: me)?(?: out| with this)?"
)


def _phrases(words: str) -> str:
    return "|".join(each.replace("_", " ") for each in words.split())


_OPENING = re.compile(rf"(?:(?:{_phrases(_OPENERS)})(?: (?:{_phrases(_OPENED)}))*(?: |$))+")
_CLOSING = re.compile(rf"(?:(?:^| )(?:{_phrases(_CLOSERS)})(?: (?:{_phrases(_CLOSED)}))*)+$")
_SIGNED = re.compile(rf"(?:^| )(?:{_phrases(_REGARDS)})(?: [^\W\d]+){{0,2}}$")
_FIRST = frozenset(each.partition("_")[0] for each in _OPENERS.split())
_IN_CLOSING = frozenset(
    word for each in f"{_CLOSERS} {_CLOSED}".split() for word in each.split("_")
)


def without_courtesy(sentence: str) -> str:
    """A `plain` sentence without the greeting it begins with and the thanks it ends with.

    "" if it is nothing else.
    """
    sentence = _SIGNED.sub("", sentence)
    if sentence.rpartition(" ")[2] in _IN_CLOSING:
        sentence = _CLOSING.sub("", sentence)
    if sentence.partition(" ")[0] in _FIRST:
        opening = _OPENING.match(sentence)
        sentence = sentence[opening.end() :] if opening else sentence
    return "" if _SAYS_NOTHING.fullmatch(sentence) else sentence
