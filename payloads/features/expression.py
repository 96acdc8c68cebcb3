"""Filter expressions: a small part of Python's syntax, evaluated by Arrow on whole columns.

Comparisons, `and`, `or`, `not`, `in` a list of constants, `is None` and arithmetic. Nothing is ever passed to eval: the
syntax tree is walked, and what is not listed here is refused. A comparison with a missing value is unknown, as in SQL,
and a row is kept only if the whole is true.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from payloads.features.frame import empty_frame

if TYPE_CHECKING:
    from payloads.features.contract import Contract

_COMPARE = {
    ast.Eq: pc.equal,
    ast.NotEq: pc.not_equal,
    ast.Lt: pc.less,
    ast.LtE: pc.less_equal,
    ast.Gt: pc.greater,
    ast.GtE: pc.greater_equal,
}
_ARITHMETIC = {ast.Add: pc.add, ast.Sub: pc.subtract, ast.Mult: pc.multiply}


def check_filter(text: str, contract: Contract) -> None:
    """Raise ValueError, in words for a person, if `text` cannot filter rows of `contract`."""
    evaluate(text, empty_frame(contract))


def evaluate(text: str, table: pa.Table) -> pa.ChunkedArray:
    """One boolean a row, never null. Raises ValueError for unknown columns, other syntax and types that do not fit."""
    try:
        tree = ast.parse(text, mode="eval").body
    except SyntaxError as error:
        raise ValueError(f"{text!r} is not an expression: {error.msg}") from None
    try:
        result = _value(tree, table)
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise ValueError(f"{text!r} compares what cannot be compared: {error}") from None
    if not (isinstance(result, (pa.Array, pa.ChunkedArray)) and pa.types.is_boolean(result.type)):
        raise ValueError(f"{text!r} is not true or false for a row")
    return pc.fill_null(result, False)


def _value(node: ast.expr, table: pa.Table) -> Any:
    if isinstance(node, ast.Name):
        if node.id not in table.column_names:
            raise ValueError(f"{node.id} is not a column of the contract")
        return table[node.id]
    if isinstance(node, ast.Constant) and isinstance(node.value, (str, bool, int, float)):
        return pa.scalar(node.value)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return pc.invert(_value(node.operand, table))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return pc.negate(_value(node.operand, table))
    if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
        return _ARITHMETIC[type(node.op)](_value(node.left, table), _value(node.right, table))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        # As in Python, and without the error that dividing integers by zero is.
        return pc.divide(*(pc.cast(_value(side, table), pa.float64()) for side in (node.left, node.right)))
    if isinstance(node, ast.BoolOp):
        join = pc.and_kleene if isinstance(node.op, ast.And) else pc.or_kleene
        result = _value(node.values[0], table)
        for other in node.values[1:]:
            result = join(result, _value(other, table))
        return result
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        return _compare(node.left, node.ops[0], node.comparators[0], table)
    raise ValueError(
        f"{ast.unparse(node)!r} is not allowed: use columns, constants, comparisons of two, and, or, not, in, is None"
    )


def _compare(left: ast.expr, operator: ast.cmpop, right: ast.expr, table: pa.Table) -> Any:
    value = _value(left, table)
    if type(operator) in _COMPARE:
        return _COMPARE[type(operator)](value, _value(right, table))
    if isinstance(operator, (ast.Is, ast.IsNot)) and isinstance(right, ast.Constant) and right.value is None:
        return pc.is_null(value) if isinstance(operator, ast.Is) else pc.is_valid(value)
    if isinstance(operator, (ast.In, ast.NotIn)) and isinstance(right, (ast.Tuple, ast.List)):
        listed = pa.array([ast.literal_eval(element) for element in right.elts])
        among = pc.is_in(value, value_set=listed.cast(value.type))
        # is_in calls a missing value not among the listed ones; `not in` must not keep it for that.
        found = pc.if_else(pc.is_valid(value), among, pa.scalar(None, pa.bool_()))
        return found if isinstance(operator, ast.In) else pc.invert(found)
    raise ValueError(
        f"{ast.unparse(operator) if hasattr(operator, 'id') else type(operator).__name__} is not allowed here"
    )
