"""Arithmetic over named numbers, read by its syntax tree and never evaluated as Python.

Numbers, names, `+ - * / // % **`, `^` as a power, and the functions of FUNCTIONS; nothing else.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

FUNCTIONS: Mapping[str, Callable[..., float]] = {
    "min": min,
    "max": max,
    "abs": abs,
    "floor": math.floor,
    "ceil": math.ceil,
    "exp": math.exp,
    "sqrt": math.sqrt,
    "log": math.log,
}
_OPERATORS: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_SIGNS: Mapping[type[ast.unaryop], Callable[[float], float]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}
_LONGEST = 2000
"""Characters: deeper nesting than these allow is no formula that someone wrote."""


class FormulaError(ValueError):
    """A formula that cannot be read, or that has no finite number; a finished sentence."""


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula that has been read; made by `parse`."""

    text: str
    tree: ast.expr

    @property
    def names(self) -> frozenset[str]:
        """The names whose numbers it needs."""
        called = {id(node.func) for node in ast.walk(self.tree) if isinstance(node, ast.Call)}
        return frozenset(
            node.id
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Name) and id(node) not in called
        )

    def __call__(self, numbers: Mapping[str, float]) -> float:
        """Its value; raises FormulaError where that is no finite number."""
        given = ", ".join(f"{name} = {numbers[name]:g}" for name in sorted(self.names))
        behind = f" with {given}" if given else ""
        try:
            value = _value(self.tree, numbers)
        except (ArithmeticError, ValueError) as error:
            raise FormulaError(
                f"The formula {self.text!r} has no value{behind} ({error})."
            ) from None
        if isinstance(value, complex) or not math.isfinite(value):
            raise FormulaError(f"The formula {self.text!r} gives {value}{behind}.")
        return float(value)


def parse(text: str) -> Formula:
    """A formula read from its text; raises FormulaError naming what is not arithmetic in it."""
    if len(text) > _LONGEST:
        raise FormulaError(f"The formula is {len(text)} characters long; {_LONGEST} are allowed.")
    try:
        tree = ast.parse(text.strip().replace("^", "**"), mode="eval").body
        _require_arithmetic(tree, text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        if isinstance(error, FormulaError):
            raise
        reason = error.msg if isinstance(error, SyntaxError) else "it is nested too deeply"
        raise FormulaError(f"The formula {text!r} cannot be read ({reason}).") from None
    return Formula(text, tree)


def _require_arithmetic(node: ast.expr, text: str) -> None:
    if isinstance(node, ast.Constant):
        if type(node.value) not in (int, float):
            raise FormulaError(f"The formula {text!r} has {node.value!r}, which is no number.")
        return
    if isinstance(node, ast.Name):
        return
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        inner = [node.left, node.right]
    elif isinstance(node, ast.UnaryOp) and type(node.op) in _SIGNS:
        inner = [node.operand]
    elif isinstance(node, ast.Call) and not node.keywords and isinstance(node.func, ast.Name):
        _require_function(node.func.id, len(node.args), text)
        inner = list(node.args)
    else:
        raise FormulaError(
            f"The formula {text!r} has {ast.unparse(node)!r}, which is not allowed: it may hold "
            f"numbers, names, + - * / // % ** and the functions {', '.join(FUNCTIONS)}."
        )
    for each in inner:
        _require_arithmetic(each, text)


def _require_function(name: str, arguments: int, text: str) -> None:
    if name not in FUNCTIONS:
        close = get_close_matches(name, FUNCTIONS, n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        raise FormulaError(
            f"The formula {text!r} calls {name!r}, which it does not know.{hint} It has "
            f"{', '.join(FUNCTIONS)}."
        )
    fits = arguments >= 2 if name in ("min", "max") else arguments == 1
    if not fits:
        wanted = "at least two numbers" if name in ("min", "max") else "one number"
        raise FormulaError(f"The formula {text!r} gives {name} {arguments}; it takes {wanted}.")


def _value(node: ast.expr, numbers: Mapping[str, float]) -> float:
    """Of a tree that is arithmetic. Floats throughout: a power of whole numbers has no end."""
    if isinstance(node, ast.Constant):
        return float(node.value)  # type: ignore[arg-type]  # as was required
    if isinstance(node, ast.Name):
        return float(numbers[node.id])
    if isinstance(node, ast.BinOp):
        left, right = _value(node.left, numbers), _value(node.right, numbers)
        return _real(_OPERATORS[type(node.op)](left, right))
    if isinstance(node, ast.UnaryOp):
        return _SIGNS[type(node.op)](_value(node.operand, numbers))
    assert isinstance(node, ast.Call)
    assert isinstance(node.func, ast.Name)
    return float(FUNCTIONS[node.func.id](*(_value(each, numbers) for each in node.args)))


def _real(value: float) -> float:
    if isinstance(value, complex):
        raise ValueError("a root of a negative number")
    return value
