"""Expressions: formulas over the variables of a film, worked out for all of its frames at once.

Python's parser reads them; what is not a number, a name, an operator or a function from the lists here is
refused, and nothing is ever executed.
"""

from __future__ import annotations

import ast
import difflib
import warnings
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from sound_diffusion.errors import ParameterError
from sound_diffusion.formulas.functions import FUNCTIONS
from sound_diffusion.typing import DoubleArray

LONGEST_EXPRESSION = 10_000  # characters
DEEPEST_EXPRESSION = 100  # operators and functions within each other

OPERATORS = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.FloorDiv: np.floor_divide,
    ast.Mod: np.mod,
    ast.Pow: np.power,
    # As numexpr and NumPy have them for conditions; numbers have no bits here.
    ast.BitAnd: np.logical_and,
    ast.BitOr: np.logical_or,
    ast.USub: np.negative,
    ast.UAdd: np.positive,
    ast.Not: np.logical_not,
    ast.Invert: np.logical_not,
    ast.And: np.logical_and,
    ast.Or: np.logical_or,
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
    ast.Eq: np.equal,
    ast.NotEq: np.not_equal,
}
DIVISIONS = (ast.Div, ast.FloorDiv, ast.Mod)


@dataclass
class Evaluation:
    """What an expression is worked out with, and what was met on the way.

    Attributes
    ----------
    variables : mapping from str to np.ndarray [shape=(n,), dtype=float64]
        One number a frame; looked up only where it is used.
    n_frames : int
    frame_seconds : float
        Duration of a frame.
    divided_by_zero : np.ndarray [shape=(n,), dtype=bool]
        The frames in which a divisor was zero.
    """

    variables: Mapping[str, DoubleArray]
    n_frames: int
    frame_seconds: float
    divided_by_zero: np.ndarray[tuple[int], np.dtype[np.bool]] = field(init=False)

    def __post_init__(self) -> None:
        self.divided_by_zero = np.zeros(self.n_frames, dtype=bool)


@dataclass(frozen=True)
class Expression:
    """A formula that has been read and found to be one.

    Attributes
    ----------
    text : str
    body : ast.expr
    names : frozenset of str
        The variables that it uses.
    size : int
        Operators, functions, names and numbers in it.
    """

    text: str
    body: ast.expr = field(compare=False)
    names: frozenset[str]
    size: int

    @property
    def functions(self) -> frozenset[str]:
        """The functions that it calls."""
        calls = (node for node, _ in _walk(self.body) if isinstance(node, ast.Call))
        return frozenset(call.func.id for call in calls if isinstance(call.func, ast.Name))

    def evaluate(self, evaluation: Evaluation) -> DoubleArray:
        """Work the formula out for every frame.

        Parameters
        ----------
        evaluation : Evaluation

        Returns
        -------
        values : np.ndarray [shape=(n,), dtype=float64]
            They may be infinite or NaN.

        Raises
        ------
        ParameterError
            If there is no such variable, or a function cannot work with what it is given.
        """
        with np.errstate(all="ignore"):
            values = _evaluate(self.body, evaluation)
        return np.broadcast_to(values, evaluation.n_frames).astype(np.float64)


def parse_expression(text: str) -> Expression:
    """Read a formula.

    Parameters
    ----------
    text : str
        Numbers, variables, ``+ - * / // % **``, comparisons, ``& | ~`` or ``and or not``, ``a if c else b``,
        and the functions of :data:`~sound_diffusion.formulas.functions.FUNCTIONS`.

    Returns
    -------
    expression : Expression

    Raises
    ------
    ParameterError
        If it is none, or is too long or too deep to be worked out at once.
    """
    if len(text) > LONGEST_EXPRESSION:
        raise ParameterError(
            f"an expression of {len(text)} characters",
            f"at most {LONGEST_EXPRESSION}",
            "use keyframes or --series",
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about text that would be odd as a program
            body = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else error
        raise ParameterError(f"not a formula ({reason})", "such as 0.2 + 0.5*onset") from None
    except (RecursionError, MemoryError):
        raise _too_deep() from None
    names, size = set(), 0
    for node, depth in _walk(body):
        if depth > DEEPEST_EXPRESSION:
            raise _too_deep()
        _check(node)
        size += 1
        if isinstance(node, ast.Name):
            names.add(node.id)
    return Expression(text.strip(), body, frozenset(names), size)


def _too_deep() -> ParameterError:
    return ParameterError("formulas within formulas", f"at most {DEEPEST_EXPRESSION} deep")


def nearest(name: str, names: Collection[str]) -> str:
    """Say which of the right names a wrong one may have meant; nothing where none is like it."""
    like = difflib.get_close_matches(name[:50], names, n=1, cutoff=0.5)
    return f"did you mean {like[0]}?" if like else ""


def _operands(node: ast.expr) -> list[ast.expr]:
    parts = [part for part in ast.iter_child_nodes(node) if isinstance(part, ast.expr)]
    return parts[1:] if isinstance(node, ast.Call) else parts  # the first is the function's name


def _walk(body: ast.expr) -> Iterator[tuple[ast.expr, int]]:
    """All parts of an expression with their depth; a long text cannot exhaust Python's stack here."""
    waiting = [(body, 1)]
    while waiting:
        node, depth = waiting.pop()
        yield node, depth
        waiting.extend((operand, depth + 1) for operand in _operands(node))


def _check(node: ast.expr) -> None:
    """Raise ParameterError for what is no part of a formula."""
    match node:
        case ast.Name() | ast.BoolOp() | ast.IfExp():
            return
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            try:
                float(number)
            except OverflowError:
                raise ParameterError("a number that is too large", "at most 1.8e308") from None
        case ast.BinOp() | ast.UnaryOp() if type(node.op) in OPERATORS:
            return
        case ast.BinOp(op=ast.BitXor()):
            raise ParameterError(f"{_source(node)} is no part of a formula", "** for a power")
        case ast.Compare() if all(type(op) in OPERATORS for op in node.ops):
            return
        case ast.Call(func=ast.Name(id=name), keywords=[]):
            _check_call(name, len(node.args))
        case _:
            raise ParameterError(
                f"{_source(node)} is no part of a formula", "numbers, variables, operators and functions"
            )


def _check_call(name: str, n_arguments: int) -> None:
    if name not in FUNCTIONS:
        raise ParameterError(
            f"unknown function {name[:50]}()", f"one of {', '.join(FUNCTIONS)}", nearest(name, FUNCTIONS)
        )
    function = FUNCTIONS[name]
    if not function.fewest <= n_arguments <= function.most:
        raise ParameterError(f"{name}() with {n_arguments} arguments", function.signature)


def _source(node: ast.expr) -> str:
    try:
        text = ast.unparse(node)
    except RecursionError:
        text = type(node).__name__
    return text if len(text) <= 40 else f"{text[:37]}..."


def _evaluate(node: ast.expr, evaluation: Evaluation) -> DoubleArray:
    """Work out one part; conditions are 1 where they hold and 0 elsewhere."""
    if isinstance(node, ast.Constant):
        return np.asarray(node.value, dtype=np.float64)
    if isinstance(node, ast.Name):
        check_variable(node.id, evaluation.variables)
        return evaluation.variables[node.id]
    values = [_evaluate(operand, evaluation) for operand in _operands(node)]
    if isinstance(node, ast.Call):
        assert isinstance(node.func, ast.Name)
        function = FUNCTIONS[node.func.id]
        return function(values, evaluation.n_frames, evaluation.frame_seconds)
    if isinstance(node, ast.IfExp):
        return np.where(values[0] != 0, values[1], values[2])
    if isinstance(node, ast.Compare):
        pairs = zip(node.ops, values[:-1], values[1:], strict=True)
        holds = [OPERATORS[type(op)](left, right) for op, left, right in pairs]
        return np.asarray(np.logical_and.reduce(np.broadcast_arrays(*holds)), dtype=np.float64)
    assert isinstance(node, ast.BinOp | ast.UnaryOp | ast.BoolOp)
    if isinstance(node.op, DIVISIONS):
        evaluation.divided_by_zero |= values[1] == 0
    result = OPERATORS[type(node.op)](*values[:2])
    for value in values[2:]:  # a chain of "and" or "or"
        result = OPERATORS[type(node.op)](result, value)
    return np.asarray(result, dtype=np.float64)


def check_variable(name: str, known: Collection[str]) -> None:
    """Raise ParameterError, with the nearest right name, unless a variable is known."""
    if name not in known:
        function = f"{name}() is a function" if name in FUNCTIONS else ""
        raise ParameterError(
            f"unknown variable {name[:50]!r}", f"one of {', '.join(known)}", function or nearest(name, known)
        )
