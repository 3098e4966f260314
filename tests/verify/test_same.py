r"""Pairs of answers that Math-Verify alone judges wrongly, in both directions, and their kinds."""

# ruff: noqa: RUF001  (characters of full width are among the answers)
from __future__ import annotations

from fractions import Fraction
from unittest.mock import ANY

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from presat.answers.boxes import boxed_answer
from presat.verify.math import compare, same
from presat.verify.refusals import DENIED, FALSE_EQUATION, OTHER_BASE, OTHER_ORDER, OTHER_QUANTITY, OTHER_SIZE

WRONG = [
    (r"\frac{1}{2004!}", r"\frac{1}{2006!}", OTHER_SIZE),
    ("10^{-20}", "10^{-21}", OTHER_SIZE),
    (r"5\text{ ft }6\text{ in}", r"5\text{ ft }7\text{ in}", OTHER_QUANTITY),
    (r"3\text{ hours }30\text{ minutes}", r"3\text{ hours }20\text{ minutes}", OTHER_QUANTITY),
    (r"5\text{ meters}", r"5\text{ feet}", OTHER_QUANTITY),
    ("5 kg", "5 g", OTHER_QUANTITY),
    (r"5\text{ cm}^2", r"5\text{ cm}", OTHER_QUANTITY),
    ("C, A, B", "A, B, C", OTHER_ORDER),
    ("A<B<C", "B<A<C", OTHER_ORDER),
    ("ABCD", "DCBA", OTHER_ORDER),
    ("204_5", "204_7", OTHER_BASE),
    ("42", "41 = 42", FALSE_EQUATION),
    ("42", "definitely not 42", DENIED),
    ("(1,2)", "{2,1}", None),
    *[
        (gold, answer, ANY)
        for gold, answers in {
            "2 x": ["2", "2 y", "2 x^2", "2 apples"],
            "3+4 i": ["7", "3+4", "3+4 x"],
            r"\frac{1}{2} m v^2": [r"\frac{1}{2}", r"\frac{1}{2} k x^2"],
            "y = 2 x": ["2", "y=2", "y = 2 z"],
            r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}": [r"\begin{pmatrix} 2 \\ 1 \end{pmatrix}"],
            "42": [
                "42 million",
                "42 dozen",
                "42 squared",
                "42 factorial",
                "42 minus one",
                "42 wrong",
                r"42\text{ and 43}",
                r"42\text{ million}",
                "> 42",
                r"\ge 42",
                r"\ne 42",
                "2x=42",
                "x^2=42",
                "-x=42",
                "1/x=42",
                r"\log x=42",
                "x=41=42",
                "x = 43 = 42",
                "41=42=42",
                r"1,2,\ldots,42",
                r"1,\ldots,42,\ldots",
                "42_8",
                "42_{16}",
                "isn\u2019t 42",
                r"43 \boxed{42}",
                "42 i",
                "(" * 200 + "42" + ")" * 200,
                "42" + " + 0" * 100,
            ],
            "5": ["5 halves", "5 thirds", "5 plus x", "5:1:1"],
            r"5\text{ m/s}": ["5 km/h", "5 cm/s", "5 s/m"],
            r"100\text{ J}": ["100 kJ", "100 W"],
            r"\$18.90": ["18.90 cents"],
            r"90^\circ": ["90 radians"],
            "3:30": ["0.1", "1/10", "2:20"],
            r"3:30\text{ p.m.}": [r"3:30\text{ a.m.}", "3:30 AM"],
            "1:2:3": ["1:3:2", "1/6"],
            "204_5": [r"204_{seven}", r"204_{(7)}"],
            r"\text{Navin}": ["Vanin"],
            r"\text{yes}": ["sey"],
            "no solution": ["solution no"],
            "B": ["B) or C)", "(B),(C)", "B: or C", "B: wrong", "B) is false; C", "B) 42 C) 43 D) 44"],
            "25": [r"2600\%"],
            "50": ["0.5%"],
            r"\$5": ["€5", "£5", "5 pounds", "¥5", "5 euros", "5 GBP", "5 pounds sterling", "6 dollars", "6", r"4\$"],
            "€5": ["$5", "5 USD", "£5", "5 yen", "5 rupees", "6 €", "€50"],
            r"\frac{1}{2}\text{ euros}": [r"\$\frac{1}{2}", r"£\frac{1}{2}"],
            "€3, €4": ["€3, €5", "$3, $4"],
            "¥5": ["$5", "₹5", "¥6"],
            "3 cm, 4 cm": ["2 cm, 5 cm", "3 m, 4 m", "7 cm"],
            r"\frac{1}{2}\text{ meters}": [r"\frac{1}{2}\text{ feet}"],
            "5 radians": ["6 radians"],
            r"\frac{1}{2}": ["２／１", "１／３"],
            r"\{3,5\}": ["x=3", "x=3 or x=6", r"x=3 \text{ or } x=5 \text{ or } x=7"],
            r"\emptyset": ["0", r"\{0\}", r"\{\emptyset\}", "all real numbers", "no integer solutions", "undefined"],
            "DNE": ["0", r"\infty", "one solution", "infinitely many solutions", "no", "solution"],
        }.items()
        for answer in answers
    ],
    ("3.14159", "3.14", None),
    ("yes", "no", None),
    ("E", "B: a polygenic score", None),
    ("B", "B or C", None),
    ("[0,1)", r"0 \le x \le 1", None),
    (r"(-\infty,2)\cup(3,\infty)", r"x<2 \text{ or } x\ge 3", None),
    (r"\frac13", "0.3", None),
    ("100000", "1e6", None),
    ("2.5", "2 1/3", None),
]
RIGHT = [
    ("34", "34."), ("34.", "34"), (r"10 - 2\sqrt{5}", "10 - 2√5"), (r"30^\circ", "30°"), ("30", r"30^\circ"),
    (r"\infty", "∞"), (r"\frac12", "½"), ("2.5", "2½"), ("x^2", "x²"), ("-5", "−5"), (r"\frac13", r"0.\overline{3}"),
    (r"\frac16", r"0.1\overline{6}"), ("100000", "1e5"), ("0.001", "1E-3"), ("2.5", "2 1/2"), ("2.5", r"2\frac{1}{2}"),
    (r"\frac{\pi}{2}", "pi/2"), ("e^{16}-1", "-1 + exp(16)"), (r"2\sqrt{3}", "2*sqrt(3)"), ("72", "72 dollars"),
    (r"\$18.90", "18.90"), (r"12\text{ apples}", "12"), ("5", "5 meters"), ("6 ft", "72 in"),
    ("5 m", r"500\text{ cm}"), ("5", r"\text{5}"), ("(1,2)", "(1, 2)"), ("[0,1)", r"0 \le x < 1"),
    ("[0,1)", r"1 > x \ge 0"), (r"0 \le x < 1", "[0,1)"), (r"(-\infty,2)\cup(3,\infty)", r"x<2 \text{ or } x>3"),
    (r"x \in [-2,7]", "[-2,7]"), ("E", "E: a polygenic score"), ("B", "B. 42"), ("A", "(A)"), ("B", r"\text{(B)}"),
    ("yes", "Yes."), ("the derivative", "derivative"), ("3, 5, 7", "7, 5, 3"), ("A, B, C", "C, B, A"),
    (r"180^\circ, 540^\circ", r"{180^\circ, 540^\circ}"), ("3 cm, 4 cm", "3, 4"), (r"180^\circ, 540^\circ", "180, 540"),
    (r"\{1,2\}", "{2,1}"), (r"\{1,2\}", "1, 2"),
    *[(gold, answer) for gold, answers in {
        "2 x": ["2x", "x*2"], r"\frac{1}{2} m v^2": [r"\frac{mv^2}{2}"], "x^2 y": ["yx^2"], "y = 2 x": ["2x"],
        r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}": [r"\begin{pmatrix}1\\2\end{pmatrix}"],
        r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}": [r"\begin{bmatrix}1&2\\3&4\end{bmatrix}"],
        "1,000,000": ["1 million", r"1\text{ million}", r"\frac{2 million}{2}"],
        r"50\%": ["50", "50 percent", r"50\text{ percent}", "0.5"],
        "50": ["50%", r"50\%"], r"12.5\%": ["12.5"], r"6.02 \times 10^{23}": ["6.02E+23"],
        r"\binom{10}{3}": [r"{10 \choose 3}"], "x^2": ["x**2"], "10^{-3}": ["10^-3", "0.001"],
        r"\text{Evelyn}": ["EVELYN", '"Evelyn"', "evelyn."], "3:30": ["3:30 p.m.", "03:30"], "1:2:3": ["2:4:6"],
        r"5\text{ m/s}": ["5 m/s", "5", r"5\,\text{m/s}"], r"60\text{ mph}": ["60 miles per hour"],
        r"90^\circ": ["90 degrees", "90"], "42": [r"\approx 42", "a = 42", r"\text{Area} = 42", "41 + 1 = 42"],
        "2x": ["f(x) = 2x"], "B": ["B: a polygenic score", "(B) 42", "B. Mitochondria"],
    }.items() for answer in answers],
    ("204_5", "204_{5}"), ("42", "x = 42"), ("42", "6 * 7 = 42"), ("1000", "1,000"), ("42", "042"), ("0", "-0"),
    (r"50\%", "50%"), ("1/3", "0.3333333333"), ("42", "４２"), ("-5", "－５"), ("1/2", "１／２"),
    ("（１，２）", "(1,2)"),
    ("50%", "５０％"), ("x=3", "ｘ＝３。"), ("42", "٤٢"), ("3 cm, 4 cm", "4 cm, 3 cm"), ("5 ft, 6 in", "66 in"),
    (r"\frac{1}{2}\text{ euros}", r"€\frac12"), ("€2.5 million", "2500000 euros"), ("€3, €4", "4 €, 3 €"),
    (r"\text{east}", r"\displaystyle \text{east}"), ("$3$ or $5$", "3, 5"), ("5 lb", "5 pounds"), ("5", "５ €"),
]  # fmt: skip


@pytest.mark.parametrize(("gold", "answer", "reason"), WRONG)
def test_wrong_answers_are_refused_with_the_reason(gold, answer, reason):
    assert same(gold, answer) == (False, reason)  # ANY: whichever


@pytest.mark.parametrize(("gold", "answer"), RIGHT)
def test_right_answers_are_paid(gold, answer):
    assert same(gold, answer) == (True, None)


@pytest.mark.parametrize("gold", sorted({gold for pairs in (WRONG, RIGHT) for gold, *_ in pairs}))
def test_every_gold_accepts_itself_and_denies_its_denial(gold):
    assert same(gold, gold) == (True, None)
    assert not same(gold, f"not {gold}")[0]


def test_the_papers_own_reading_is_math_verifys_alone():
    assert compare("42", "The answer is definitely not 42.", "any")[0] == 1.0
    assert compare("34", r"\boxed{34.}", "any")[0] == 0.0


NAMED_WRONG = {
    "5": [
        r"5\text{ quadrillion}",
        r"\text{5 K}",
        r"\text{5 pairs}",
        r"5\;\text{bn}",
        "x = 5 bn",
        "5 billionths",
        "5 twentieths",
        "5 quadrillion",
        "5 lakh",
        "5 crore",
        "5 bn",
        "5bn",
        "5 mn",
        "5k",
        "5 K",
        "5K",
        "5M",
        "5 M",
        "5\\text{ score}",
        "5 score",
        "5 gross",
        "5 pairs",
        "5 pair",
        "5 dozen",
        "5B",
        "5\\text{k}",
        "5 mln",
        "5 hundred thousand",
        "5 less",
        "5 more",
        "5 fewer",
        "doubled 5",
        "5 doubled",
        "5 ppm",
        "5\\text{ ppm}",
        "5 ppb",
        "5 per mille",
        "5‰",
        "5 permille",
        "at least 5",
        "more than 5",
        "5 or less",
        "5 or more",
        "twice 5",
        "double 5",
        "half of 5",
        "5 fifths",
        "5 quarters",
        "5 tripled",
        r"\phantom{5}",
        "5'",
        "5''",
        r"\bar 5",
        r"\bar{5}",
        r"\hat 5",
        "5=5",
        "5...",
        "5\\ldots",
        r"\cancel{5}",
        r"5^\prime",
        "5 = 5",
        r"\overline{5}",
        r"\vec 5",
        r"\sout{5}",
        "5…",
        "5:1 odds",
        "5 to 1",
    ],
    "x=x": ["5=5"],
    "7 remainder 2": ["2 remainder 7", "7 remainder 3", "7", "7.2", "2 R 7", "14"],
    "7R2": ["2R7", "7R3", "14", "7 remainder 3"],
    r"7\text{ R }2": ["2 R 7"],
    "3 to 1": ["1 to 3", "1:3", "1/3", "3 to 2", "31"],
    "3:1": ["1 to 3"],
    r"\$5": [
        "5 CHF",
        "CHF 5",
        "5 CAD",
        "5 AUD",
        "5 NZD",
        "5 HKD",
        "5 SGD",
        "5 MXN",
        "5 pesos",
        "5 rubles",
        "5 francs",
        "5 rupees",
        "5 won",
        "5 krona",
        "5 zloty",
        "5 lira",
        "5 reais",
        "5 rand",
        "5 baht",
        "5 yuan",
        r"\$5 per hour",
        "$5 per hour",
        r"\$5\text{ per hour}",
        "$5/hour",
        "$5 an hour",
        "C$5",
        "A$5",
        "5 Canadian dollars",
        "R$5",
        "₽5",
        "5 ₪",
        "₿5",
        "$5 CAD",
    ],
    "5 CHF": ["5 CAD", "5 zloty", "5 rand", "€5"],
    "5 CAD": ["5 AUD", "5 USD"],
    "5 rubles": ["5 francs"],
    "€5": ["£€5", "€£5", "€5 USD", "$€5", "5 € £"],
    "5 square feet": ["5 feet", "5 cubic feet", "5 sq m", "5 square meters", "5 ft", "5 ft^3"],
    "5 ft^2": ["5 sq m", "5 ft", "5\\text{ m}^2"],
    r"5\text{ cm}^2": [r"5\text{ cm}^3", "5 cubic cm", "5 cm", r"5\text{ square meters}"],
    "60 miles per hour": [
        "60 km/h",
        "60 miles",
        "60 feet per second",
        "60 mph per second",
        "60 hours",
        "60 miles per minute",
    ],
    "60 mph": ["60 fps", "60 kph", "60 knots", "60 m/s", "60 miles"],
    "5 per hour": ["5 per day", "5/day", "5 per minute"],
    "5 apples per hour": ["5 apples per day"],
    "5 gallons": ["5 liters", "5 quarts", "5 pints", "5 cups", "5 L"],
    "5 acres": ["5 hectares", "5 square miles"],
    "5 stone": ["5 pounds", "5 kg"],
    "5 bits": ["5 bytes"],
    "5 calories": ["5 joules"],
    "5 years": ["5 decades", "5 centuries"],
    "5 decades": ["5 centuries"],
    "5 units^2": ["5 units^3", "5 units"],
    r"5\text{ units}^2": [r"5\text{ units}^3"],
    "5 square units": ["5 cubic units", "5 units", "5 cm^3"],
    "5 mg": ["5 Mg"],
    "5 MW": ["5 mW"],
    "5 Mb": ["5 MB"],
    r"5\text{ kJ}": [r"5\text{ J}", r"5\text{ kW}"],
    r"30^\circ": [r"30^\circ\text{F}", r"30^\circ F", "30°F", "30 °C", "30 degrees Fahrenheit"],
    r"30^\circ\text{C}": [r"30^\circ\text{F}", "30 K"],
    r"\pi\text{ rad}": [r"\pi^\circ", r"\pi\text{ degrees}"],
    r"\frac{\pi}{2}\text{ radians}": [r"\frac{\pi}{2}^\circ"],
    r"2\sqrt{3}\text{ cm}": [r"2\sqrt{3}\text{ m}", r"2\sqrt{3}\text{ cm}^2"],
    "5 ft tall": ["5 meters tall"],
    "5 liters of water": ["5 gallons of water"],
    "5 light years": ["5 years"],
    "5 minutes": ["5 hours", "5 seconds"],
    r"25\pi\text{ cm}^2": [r"25\pi\text{ cm}", r"25\pi\text{ m}^2"],
    "2.5": ["2.5k"],
    "0.5": ["5 pairs"],
    "300": ["300 thousand"],
    r"25 \pi \text{ square feet}": [r"25\pi\text{ feet}"],
    r"9.8\text{ m/s}^2": [r"9.8\text{ m/s}", "9.8 ft/s^2"],
}
NAMED_RIGHT = {
    "2x": [r"\hat{y} = 2x", "f'(x) = 2x"],
    "(1,2)": [r"\vec{v} = (1,2)"],
    "5 kWh": ["5 kilowatt-hours", "18 MJ"],
    "10 sq. ft.": ["10", "10 ft^2"],
    "30 mpg": ["30 miles per gallon"],
    "5 MB": ["40 Mb", "5 megabytes"],
    "5000": ["5k", "5K", "5 thousand", "5 K", r"5\text{k}", "$5k"],
    "5000000": ["5M", "5 million", "5 mn"],
    "5000000000": ["5bn", "5 billion", "5B"],
    "500000": ["5 lakh", "5 hundred thousand"],
    "50000000": ["5 crore"],
    "500": ["5 hundred"],
    "60": ["5 dozen"],
    "10": ["5 pairs"],
    "100": ["5 score"],
    "5 pairs": ["5", "5 pairs"],
    "5 ppm": ["5", "5 ppm"],
    "0.000005": ["5 ppm"],
    "0.005": ["5‰", "5 per mille"],
    "5k": ["5 k", r"k\cdot 5", "k*5"],
    "2k+1": ["2k + 1", "1+2k"],
    "5mn": ["5nm"],
    "2M": [r"M\cdot 2"],
    r"5k\pi": [r"5\pi k"],
    r"300\text{ K}": ["300 K", "300", "300K", "300 kelvin"],
    r"2\text{ M}": ["2", "2 M"],
    "7 remainder 2": [
        "7 R 2",
        "7r2",
        "7R2",
        r"7\text{ remainder }2",
        "7 rem 2",
        "7 with a remainder of 2",
        "7 R2",
        r"7\text{ R }2",
    ],
    "3 to 1": ["3:1", "3 to 1", "6:2", "3/1", r"\frac{3}{1}", r"3\text{ to }1"],
    "3:1": ["3 to 1", "6:2"],
    r"\$5": ["5 USD", "$5 USD", r"\$5", "5", "$5 each", "$5 per person"],
    "5": ["5 CHF", "CHF 5", "5 rubles", "5 per hour", "5 square feet"],
    "5 CHF": ["CHF 5", "5 francs", "5 Swiss francs"],
    "5 CAD": ["CAD 5", "C$5", "$5 CAD", "5 Canadian dollars"],
    "5 rubles": ["₽5", "5 RUB"],
    "5 square feet": [
        "5 sq ft",
        "5 ft^2",
        "5 ft²",
        r"5\text{ ft}^2",
        "5 sq. ft.",
        "5",
        "5 feet squared",
        "720 square inches",
        "5 square ft",
        r"5\text{ square feet}",
        r"5\text{ ft}^{2}",
        "5 sqft",
    ],
    "5 cubic feet": ["5 ft^3", "5 cu ft"],
    "1 L": ["1000 cm^3", "1000 mL", "1 liter"],
    "60 mph": ["60 miles per hour", "60 mi/h", "60 miles/hour", "60", "88 ft/s", "60 miles an hour"],
    "36 km/h": ["10 m/s", "36 kph", "36 kilometers per hour"],
    "1 gallon": ["4 quarts", "8 pints", "16 cups"],
    "1 byte": ["8 bits"],
    "1 century": ["10 decades", "100 years"],
    "1 stone": ["14 lb"],
    "5 kg": ["5 KG", "5000 g"],
    "5 cm": ["5 CM"],
    "5 units^2": ["5 square units", r"5\text{ units}^2", "5", "5 cm^2"],
    "5 units": ["5 cm", "5"],
    "72": ["72 clips", "72 apples per hour"],
    "72 apples": ["72 oranges", "72"],
    "42": ["a = 42", "6*7=42", "41+1=42", "x=42"],
    r"30^\circ": ["30 degrees", "30", r"30^\circ"],
    r"30^\circ\text{F}": ["30 degrees Fahrenheit", r"30^\circ F", "30°F", "30", r"30^\circ"],
    r"\pi\text{ rad}": [r"\pi\text{ radians}", r"\pi"],
    r"2\sqrt{3}\text{ cm}": [r"2\sqrt{3}", r"2\sqrt3\text{ centimeters}"],
    "5 ft 6 in": ["66 in", "5.5 ft", "5 feet and 6 inches"],
    r"9.8\text{ m/s}^2": [
        "9.8 m/s^2",
        r"9.8\,\text{m}/\text{s}^2",
        "9.8 meters per second squared",
        r"9.8\text{ m s}^{-2}",
    ],
    r"100\text{ J}": ["100 joules", "0.1 kJ", r"100\text{ N}\cdot\text{m}"],
    r"25\pi\text{ cm}^2": [r"25\pi", r"25\pi\text{ square centimeters}", r"25\pi \text{ sq cm}"],
    "f'(x)": ["f'(x)"],
    "0.333...": ["0.333..."],
    "x=x": ["x=x"],
    r"0.\overline{3}": ["1/3"],
    "2 m": ["2"],
    "45 minutes": ["0.75 hours", "45 min"],
    r"\frac{1}{2}\text{ m}": ["50 cm"],
    "5 dollars per hour": ["$5/hr", "$5 per hour"],
    "5 per hour": ["5", "5/hour"],
    "5 more": ["5 more"],
    "5'": ["5'"],
}


@pytest.mark.parametrize("gold", NAMED_WRONG)
def test_what_is_named_beside_a_number_makes_another_answer_of_it(gold):
    assert [answer for answer in NAMED_WRONG[gold] if same(gold, answer)[0]] == []


@pytest.mark.parametrize("gold", NAMED_RIGHT)
def test_what_is_named_beside_a_number_may_be_written_in_many_ways(gold):
    assert [answer for answer in (gold, *NAMED_RIGHT[gold]) if same(gold, answer) != (True, None)] == []


PRICES = {
    "dollars": [r"\$5", "$5", "5 dollars", "5 USD", "USD 5", "US$5", "5 US dollars", r"5\$", r"$\$5$", "$5.00",
                "500 cents"],
    "euros": ["€5", "5€", "5 euros", "5 EUR", r"\euro 5", r"\text{€}5", r"5\text{ euros}", r"\text{€5}", "500 cents"],
    "pounds": ["£5", "5 GBP", r"\pounds5", "5 pounds", "￡5", "5 pounds sterling", "500 pence"],
    "yen": ["¥5", "￥5", "5 yen", "5 JPY"],
    "yuan": ["¥5", "5 yuan", "5 RMB"],
    "rupees": ["₹5", "5 rupees", "Rs. 5"],
}  # fmt: skip
NOTHING = [
    r"\emptyset", r"\varnothing", "∅", r"\{\}", r"x \in \emptyset", "no solution", r"\text{No solution}",
    "no solutions", "no real solutions",
    r"\text{no real solution}", "There is no solution.", "DNE", r"\text{DNE}", "does not exist",
    "the empty set",
]  # fmt: skip


@pytest.mark.parametrize("currency", PRICES)
def test_a_price_is_the_same_price_however_it_is_written_and_another_currency_is_none(currency):
    prices = PRICES[currency]
    assert [(one, other) for one in prices for other in prices if same(one, other) != (True, None)] == []
    plain = [price for price in prices if "500" not in price]
    assert [price for price in plain if not (same("5", price)[0] and same(price, "5")[0])] == []
    assert [price for price in plain if same("6", price)[0] or same(price, "50")[0]] == []
    several = {"500 cents", "¥5", "￥5"}  # of more than one currency
    others = {price for name, found in PRICES.items() if name != currency for price in found} - several
    assert [(one, other) for one in {*plain} - several for other in others if same(one, other)[0]] == []


@pytest.mark.parametrize("gold", NOTHING)
def test_that_there_is_no_answer_is_said_in_many_ways(gold):
    assert [answer for answer in NOTHING if same(gold, answer) != (True, None)] == []


@pytest.mark.parametrize("gold", ["3, 5", r"\{3,5\}", r"x=3 \text{ or } x=5", "3 or 5"])
@pytest.mark.parametrize("between", [" or ", "$ or $", r" \text{ or } ", ", ", " and "])
def test_solutions_in_a_box_each_are_the_set_of_them(gold, between):
    said = boxed_answer(rf"$\boxed{{x=3}}{between}\boxed{{x=5}}$.")
    assert said
    assert same(gold, said) == (True, None)
    wrong = boxed_answer(rf"$\boxed{{x=3}}{between}\boxed{{x=6}}$.")
    assert wrong
    assert not same(gold, wrong)[0]


NUMBERS = st.fractions(-1000, 1000, max_denominator=60)


def written(value: Fraction) -> list[str]:
    """A fraction in the ways people write it."""
    sign, top, bottom = "-" if value < 0 else "", abs(value.numerator), value.denominator
    forms = [f"{sign}{top}/{bottom}", rf"{sign}\frac{{{top}}}{{{bottom}}}", rf"${sign}\dfrac{{{top}}}{{{bottom}}}$."]
    if bottom == 1:
        forms += [f"{sign}{top}", f"{sign}{top}.0", f"{sign}{top:,}", f"\\text{{{sign}{top}}}", f"x = {sign}{top}"]
    if top > bottom > 1 and top % bottom:
        forms += [f"{sign}{top // bottom} {top % bottom}/{bottom}"]
    return [*forms, *(form.replace("-", "−") for form in forms if sign)]


@settings(max_examples=40, deadline=None)
@given(NUMBERS, st.data())
def test_every_way_to_write_a_number_is_that_number_and_no_other(value, data):
    ours = data.draw(st.sampled_from(written(value)))
    theirs = data.draw(st.sampled_from(written(value)))
    other = data.draw(st.sampled_from(written(value + data.draw(NUMBERS.filter(lambda gap: abs(gap) > 0.01)))))
    assert same(ours, theirs)[0]
    assert not same(ours, other)[0]
