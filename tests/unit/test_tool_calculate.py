"""The calculator: exact where fractions are, bounded before every operation, and never an interpreter."""

import operator
import time
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Context, Decimal, localcontext
from fractions import Fraction

import pytest
from chatbot.core.tools.calculate import Calculate
from chatbot.core.tools.contract import ToolContext, ToolRefused
from chatbot.core.tools.exact_numbers import MAX_BITS, CannotCompute
from chatbot.core.tools.expression import compute
from chatbot.domain.chat import Caller
from hypothesis import given
from hypothesis import strategies as st

CONTEXT = ToolContext(Caller("", "user"), "ko", datetime(2026, 7, 1, tzinfo=UTC), "Asia/Seoul")

HOSTILE = {
    "9**9**9**9": "too_large",
    "9^9^9^9^9^9^9^9^9^9^9": "too_large",
    "2^(2^(2^(2^(2^2))))": "too_large",
    "2^-(2^(2^(2^(2^2))))": "too_large",
    "1e9999": "too_large",
    "1e-9999": "too_large",
    "1e99999999999999999999": "too_large",
    "99999^99999": "too_large",
    "1.0000001^99999999": "too_large",
    "0.1^99999": "too_large",
    "(" * 80 + "1" + ")" * 80: "too_deep",
    "(" * 200: "too_deep",
    "-" * 199 + "1": "-1",
    "√" * 199 + "2": "too_deep",
    "2^" * 99 + "2": "too_deep",
    "1" * 200: None,
    "9" * 40 + "*9" * 80: None,
    "1/3" + "/7" * 98: None,
    "1/7^1000*7^1000": None,
    "sqrt(" * 33 + "2" + ")" * 33: None,
    "min(" + "1," * 97 + "1)": "not_understood",
    "e^1000000": "too_large",
    "__import__('os').system('id')": "not_understood",
    "(lambda: 1)()": "not_understood",
    "'a'*1000000": "not_understood",
    "'%1000000d' % 1": "not_understood",
    "1 if 1 else 2": "not_understood",
    "[1]*1000000": "not_understood",
    "1;2": "not_understood",
    "0x10": "not_understood",
    "1__0": "not_understood",
    "1,23": "not_understood",
    "１／０": "division_by_zero",
    "0^-1": "division_by_zero",
    "5 mod 0": "division_by_zero",
    "sqrt(-1)": "not_real",
    "(-8)^0.5": "not_real",
    "2^0.3": "not_supported",
    "\u202e1+1": "not_understood",
    "1\x00": "not_understood",
    "": "empty",
    "   ": "empty",
    ")(": "not_understood",
    "%5": "not_understood",
    "\ufdfa" * 200: "too_long",  # one character that NFKC makes eighteen of
    "1" * 201: "too_long",
}


def outcome(expression: str) -> str:
    try:
        return compute(expression).shown()[0]
    except CannotCompute as exc:
        return exc.problem


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1+2*3", "7"),
        ("(1+2)*3", "9"),
        ("-2^2", "-4"),
        ("2^-1", "0.5"),
        ("2^3^2", "512"),
        ("0.1+0.2", "0.3"),
        ("1,234,567 * 2", "2469134"),
        ("min(1,234)", "1"),
        ("max(1, 2, (3))", "3"),
        ("１２ × ３ ÷ ４", "9"),
        ("200*10%", "20"),
        ("10 % 3", "1"),
        ("-7 mod 3", "2"),
        ("7//2", "3"),
        ("-7//2", "-4"),
        ("√16+1", "5"),
        ("sqrt(2.25)", "1.5"),
        ("8^1.5", "22.6274169979695"),
        ("round(2.5)", "3"),
        ("round(-2.345, 2)", "-2.35"),
        ("round(1234, -2)", "1200"),
        ("floor(-1.5)+ceil(1.2)+abs(-3)", "3"),
        ("1000000*1.0041667^360", "4467797.70479573"),
        ("2^4000 - 2^4000", "0"),
        ("10/4", "2.5"),
        ("1/3", "0.333333333333333"),
        ("2*pi", "6.28318530717959"),
        ("1e3", "1000"),
    ],
)
def test_an_expression_has_the_value_that_people_expect(expression: str, value: str) -> None:
    assert outcome(expression) == value


def test_hostile_expressions_end_at_once_with_a_word(figures: Callable[..., None]) -> None:
    milliseconds = {}
    for expression, wanted in HOSTILE.items():
        began = time.process_time()
        ended = outcome(expression)
        milliseconds[expression] = (time.process_time() - began) * 1000
        assert wanted is None or ended == wanted, expression

    figures(expressions=len(HOSTILE), worst_cpu_milliseconds=round(max(milliseconds.values()), 2))
    # 5 are the goal, of CPU time; the rest is for a machine that is busy or slow
    assert {expression: each for expression, each in milliseconds.items() if each >= 250} == {}


SIGNS = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}
Tree = tuple[str, Fraction | None]  # an expression and its value; None: it has none


def joined(left: Tree, sign: str, right: Tree) -> Tree:
    text = f"({left[0]}){sign}({right[0]})"
    if left[1] is None or right[1] is None or (sign == "/" and not right[1]):
        return text, None
    return text, SIGNS[sign](left[1], right[1])


leaves: st.SearchStrategy[Tree] = st.decimals(-9999, 9999, places=3).map(lambda d: (f"{d:f}", Fraction(d)))
trees = st.recursive(leaves, lambda some: st.builds(joined, some, st.sampled_from(sorted(SIGNS)), some), max_leaves=8)


@given(trees)
def test_any_arithmetic_is_that_of_exact_fractions(tree: Tree) -> None:
    text, value = tree
    if len(text) > 200:
        return

    if value is None:
        assert outcome(text) == "division_by_zero"
    else:
        assert compute(text).value == value
        assert compute(text).is_exact


@given(st.fractions(Fraction(1, 1000), 1000, max_denominator=1000), st.integers(-400, 400))
def test_a_power_is_the_exact_one_or_near_it(base: Fraction, exponent: int) -> None:
    number = compute(f"({base.numerator}/{base.denominator})^{exponent}")

    if number.is_exact:
        assert number.value == base**exponent
    else:
        with localcontext(Context(prec=60)):
            true = (Decimal(base.numerator) / Decimal(base.denominator)) ** exponent
            near = Decimal(number.value.numerator) / Decimal(number.value.denominator)
            assert abs(near / true - 1) < Decimal("1e-40")
    assert max(part.bit_length() for part in number.value.as_integer_ratio()) <= MAX_BITS + 160


@given(st.fractions())
def test_what_is_shown_as_exact_is_the_number_itself(value: Fraction) -> None:
    shown, is_exact = compute(f"({value.numerator})/{value.denominator}").shown() if len(str(value)) < 190 else ("0", 0)

    if is_exact:
        assert Fraction(shown) == value


@given(st.text(st.characters(codec="utf-8"), max_size=250))
def test_any_text_ends_with_a_value_or_a_known_word(text: str) -> None:
    try:
        assert compute(text).shown()[0]
    except CannotCompute as exc:
        assert exc.problem.isidentifier()


@given(st.text("0123456789.,+-*/^%()√ eπpisqrtmodmaxround", max_size=120))
def test_any_text_of_its_own_letters_ends_with_a_value_or_a_known_word(text: str) -> None:
    test_any_text_ends_with_a_value_or_a_known_word.hypothesis.inner_test(text)  # type: ignore[attr-defined]


async def test_the_tool_says_value_exactness_and_a_short_fraction() -> None:
    third = await Calculate().run({"expression": " 1/3 "}, CONTEXT)
    half = await Calculate().run({"expression": unicodedata.normalize("NFD", "1÷2")}, CONTEXT)

    assert third == {"expression": "1/3", "value": "0.333333333333333", "exact": False, "fraction": "1/3"}
    assert half == {"expression": "1÷2", "value": "0.5", "exact": True}
    assert Calculate().say(third, "ko") == "1/3 ≈ 0.333333333333333"
    assert Calculate().say(half, "ja") == "1÷2 = 0.5"


@pytest.mark.parametrize("arguments", [{}, {"expression": None}, {"expression": 5}, {"expression": "x" * 999}])
async def test_the_tool_refuses_arguments_that_are_no_expression(arguments: dict[str, str]) -> None:
    with pytest.raises(ToolRefused):
        await Calculate().run(arguments, CONTEXT)
