"""What units measure and how large they are: each by the powers of a few base kinds, so that `J` is `kg m^2 / s^2`.

A name may mean several units (`pound`, `cent`, `F`). Angles in degrees and in radians are kinds of their own, and so is
each currency: nothing is converted between them.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

Powers = tuple[tuple[str, int], ...]


class Unit(NamedTuple):
    """What a unit measures, as powers of base kinds in order of their names, and its size in the base kinds' units."""

    powers: Powers
    size: Fraction


_SYMBOLS = {
    "length": {"m": "1", "in": "127/5000", "ft": "381/1250", "yd": "1143/1250", "mi": "1609344/1000", "nmi": "1852",
               "ly": "9460730472580800"},
    "length^2": {"ha": "10000", "sqft": "145161/1562500", "sqm": "1"},
    "length^3": {"L l": "1/1000", "gal": "473176473/125000000000", "qt": "473176473/500000000000",
                 "pt": "473176473/1000000000000", "floz": "473176473/16000000000000", "cc": "1/1000000",
                 "tbsp": "473176473/32000000000000", "tsp": "157725491/32000000000000"},
    "time": {"s sec": "1", "min": "60", "h hr": "3600", "wk": "604800", "yr": "31556952"},
    "mass": {"g": "1", "lb": "45359237/100000", "oz": "45359237/1600000"},
    "current": {"A amp": "1"}, "amount": {"mol": "1"}, "amount*length^-3": {"M": "1000"},
    "length*time^-1": {"mph": "0.44704", "kph kmph": "5/18", "fps": "0.3048", "kn kt": "463/900"},
    "time^-1": {"Hz": "1", "rpm": "1/60"},
    "length*mass*time^-2": {"N": "1000"},
    "length^2*mass*time^-2": {"J": "1000", "cal": "4184", "eV": "1.602176634e-16", "Wh": "3600000"},
    "length^2*mass*time^-3": {"W": "1000", "hp": "745700"},
    "length^-1*mass*time^-2": {"Pa": "1000", "atm": "101325000"},
    "current^-1*length^2*mass*time^-3": {"V": "1000"}, "current*time": {"C": "1"},
    "current^2*length^-2*mass^-1*time^4": {"F": "1/1000"}, "current^-2*length^2*mass*time^-2": {"H": "1000"},
    "kelvin": {"K": "1"}, "fahrenheit": {"F": "1"}, "celsius": {"C": "1"},
    "data": {"b": "1", "B": "8"}, "degrees": {"deg": "1"}, "radians": {"rad": "1"},
}  # fmt: skip
"""Written with capitals where they matter."""
_PREFIXED = {"m", "g", "s", "L", "l", "A", "mol", "M", "Hz", "N", "J", "cal", "eV", "Wh", "W", "Pa", "V", "b", "B"}
_DATA = {"b", "B"}
_PREFIXES = {"n": "1e-9", "u": "1e-6", "m": "1e-3", "c": "1e-2", "k": "1e3", "M": "1e6", "G": "1e9", "T": "1e12"}
_WORDS = {
    "length": {"meter metre": "1", "inch inche": "127/5000", "foot feet": "381/1250", "yard": "1143/1250",
               "mile": "1609344/1000", "nauticalmile": "1852", "lightyear": "9460730472580800"},
    "length^2": {"acre": "316160658/78125", "hectare": "10000"},
    "length^3": {"liter litre": "1/1000", "gallon": "473176473/125000000000", "quart": "473176473/500000000000",
                 "pint": "473176473/1000000000000", "cup": "473176473/2000000000000",
                 "tablespoon": "473176473/32000000000000", "teaspoon": "157725491/32000000000000"},
    "time": {"second": "1", "minute": "60", "hour": "3600", "day": "86400", "week": "604800", "fortnight": "1209600",
             "month": "2629746", "year": "31556952", "decade": "315569520", "century centurie": "3155695200",
             "millennium millennia": "31556952000"},
    "mass": {"gram gramme": "1", "pound": "45359237/100000", "ounce": "45359237/1600000",
             "stone": "635029318/100000", "ton": "907184.74", "tonne": "1000000"},
    "current": {"ampere": "1"}, "amount": {"mole": "1"}, "time^-1": {"hertz": "1"},
    "length*time^-1": {"knot": "463/900"},
    "length*mass*time^-2": {"newton": "1000"}, "length^2*mass*time^-2": {"joule": "1000", "calorie": "4184"},
    "length^2*mass*time^-3": {"watt": "1000", "horsepower": "745700"},
    "length^-1*mass*time^-2": {"pascal": "1000", "atmosphere": "101325000"},
    "current^-1*length^2*mass*time^-3": {"volt": "1000"}, "current*time": {"coulomb": "1"},
    "kelvin": {"kelvin": "1"}, "fahrenheit": {"fahrenheit": "1"}, "celsius": {"celsius centigrade": "1"},
    "data": {"bit": "1", "byte": "8"}, "degrees": {"degree circ": "1"}, "radians": {"radian": "1"},
    "unit": {"unit": "1"},
    "dollars": {"cent": "1/100", "dollar usd buck": "1"}, "euros": {"cent": "1/100", "euro eur": "1"},
    "sterling": {"penny pennie pence": "1/100", "pound sterling gbp": "1"}, "yen": {"yen jpy yenoryuan": "1"},
    "yuan": {"yuan cny rmb yenoryuan": "1"}, "rupees": {"rupee inr": "1"}, "won": {"won krw": "1"},
    "Swiss francs": {"franc chf": "1"}, "pesos": {"peso mxn": "1"}, "rubles": {"ruble rouble rub": "1"},
    "Canadian dollars": {"cad": "1", "cent": "1/100"}, "Australian dollars": {"aud": "1", "cent": "1/100"},
    "New Zealand dollars": {"nzd": "1", "cent": "1/100"}, "Hong Kong dollars": {"hkd": "1", "cent": "1/100"},
    "Singapore dollars": {"sgd": "1", "cent": "1/100"}, "kronor": {"krona kronor sek": "1"},
    "Danish kroner": {"krone kroner dkk": "1"}, "Norwegian kroner": {"krone kroner nok": "1"},
    "zloty": {"zloty pln": "1"}, "lira": {"lira try": "1"}, "reais": {"real reai brl": "1"}, "rand": {"rand zar": "1"},
    "baht": {"baht thb": "1"}, "shekels": {"shekel ils": "1"}, "dong": {"dong vnd": "1"}, "forint": {"forint huf": "1"},
    "naira": {"naira ngn": "1"},
    "lei": {"leu lei ron": "1"}, "dinars": {"dinar": "1"}, "dirhams": {"dirham aed": "1"}, "riyals": {"riyal sar": "1"},
    "rupiah": {"rupiah idr": "1"}, "ringgit": {"ringgit myr": "1"}, "shillings": {"shilling": "1"},
    "taka": {"taka bdt": "1"}, "crowns": {"koruna czk": "1"},
    "bitcoin": {"bitcoin btc": "1"}, "currencies at odds": {"atodds": "1"},
}  # fmt: skip
_WORD_PREFIXES = {"nano": "1e-9", "micro": "1e-6", "milli": "1e-3", "centi": "1e-2", "kilo": "1e3", "mega": "1e6",
                  "giga": "1e9", "tera": "1e12"}  # fmt: skip
_PREFIXED_WORDS = {"meter", "metre", "liter", "litre", "second", "gram", "gramme", "ampere", "mole", "hertz", "newton",
                   "joule", "calorie", "watt", "pascal", "volt", "bit", "byte"}  # fmt: skip


def _powers(kind: str) -> Powers:
    """`length^2*mass` in powers."""
    parts = (part.partition("^") for part in kind.split("*"))
    return tuple((name, int(power or 1)) for name, _, power in parts)


def _named() -> tuple[dict[str, list[Unit]], dict[str, list[Unit]]]:
    """Units by their symbols and by their names."""
    symbols: dict[str, list[Unit]] = {}
    words: dict[str, list[Unit]] = {}
    for table, found, prefixes, prefixed in (
        (_SYMBOLS, symbols, _PREFIXES, _PREFIXED), (_WORDS, words, _WORD_PREFIXES, _PREFIXED_WORDS),
    ):  # fmt: skip
        for kind, sizes in table.items():
            for names, size in sizes.items():
                for name in names.split():
                    if name not in _DATA:  # a single `b` is a letter
                        found.setdefault(name, []).append(Unit(_powers(kind), Fraction(size)))
                    for prefix, factor in (prefixes if name in prefixed else {}).items():
                        if name in _DATA and prefix not in "kMGT":
                            continue
                        scaled = Unit(_powers(kind), Fraction(size) * Fraction(factor))
                        found.setdefault(prefix + name, []).append(scaled)
    for letter in "mgslh":  # in capitals: a text that shouts
        symbols[letter.upper()] = [*symbols.get(letter.upper(), []), *symbols[letter]]
    symbols["KB"] = symbols["kB"]
    return symbols, words


_BY_SYMBOL, _BY_NAME = _named()
_BY_CAPITALS: dict[str, list[Unit]] = {}
for _symbol, _units in _BY_SYMBOL.items():
    _BY_CAPITALS.setdefault(_symbol.lower(), []).extend(_units)
_CARELESS = {"hz", "kw", "gb", "mb", "kb", "tb", "kj", "pa"}
"""Symbols of two letters that are read without their capitals; most others are two factors (`mn`)."""


def known_units(word: str) -> list[Unit]:
    """Return every unit that a word may mean; capitals matter where a symbol has them (`mg`, `Mg`)."""
    if len(word) == 1:
        return _BY_SYMBOL.get(word, [])
    name = word.lower()
    one = name.removesuffix("s")
    found = _BY_SYMBOL.get(word) or _BY_NAME.get(name) or _BY_NAME.get(one)
    if found or (word.islower() and len(word) < 3 and word not in _CARELESS):
        return found or []
    return _BY_CAPITALS.get(name) or (_BY_CAPITALS.get(one, []) if len(one) > 1 else [])
