"""Pickles read without running anything that they ask for: dicts, lists, text, bytes, numbers and NumPy arrays come out.

A pickle is a program. This reader knows the few instructions that plain values need, and three names, all of them
NumPy's, for which it puts classes of its own that only remember what they are given; the arrays are made of that
afterwards, and checked. No code of NumPy's runs on what the file says.
"""

from __future__ import annotations

import io
import math
import pickle
from typing import Any, cast

import numpy as np

_NUMERIC = frozenset("biuf")
# fmt: off
# Not among these: whatever calls classes (INST, OBJ, NEWOBJ), asks the caller (PERSID, EXT) or claims memory before
# it has the bytes (BYTEARRAY8).
_INSTRUCTIONS = (
    pickle.PROTO, pickle.FRAME, pickle.STOP, pickle.MARK, pickle.POP, pickle.POP_MARK, pickle.DUP,
    pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE, pickle.INT, pickle.BININT, pickle.BININT1, pickle.BININT2,
    pickle.LONG, pickle.LONG1, pickle.FLOAT, pickle.BINFLOAT,
    pickle.STRING, pickle.BINSTRING, pickle.SHORT_BINSTRING, pickle.BINBYTES, pickle.SHORT_BINBYTES, pickle.BINBYTES8,
    pickle.UNICODE, pickle.BINUNICODE, pickle.SHORT_BINUNICODE, pickle.BINUNICODE8,
    pickle.TUPLE, pickle.EMPTY_TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3,
    pickle.LIST, pickle.EMPTY_LIST, pickle.APPEND, pickle.APPENDS,
    pickle.DICT, pickle.EMPTY_DICT, pickle.SETITEM, pickle.SETITEMS,
    pickle.PUT, pickle.BINPUT, pickle.LONG_BINPUT, pickle.MEMOIZE, pickle.GET, pickle.BINGET, pickle.LONG_BINGET,
    pickle.GLOBAL, pickle.STACK_GLOBAL, pickle.REDUCE, pickle.BUILD,
)
# fmt: on


class Refused(Exception):
    """The pickle is damaged, or asks for something that data need not; the message is the reason."""


class _Type:
    """What stands for `numpy.dtype`: the code that it was made of, and its byte order."""

    def __init__(self, code: Any, *_: Any):
        self.code, self.order = code, "|"

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) < 5 or state[2:5] != (None, None, None):
            raise Refused("it holds an array of records")
        self.order = _text(state[1])

    def numpy(self) -> np.dtype:
        code = _text(self.code)
        if self.order not in ("<", ">", "|", "=") or not code.isalnum() or len(code) > 3:
            raise Refused("it holds an array of no simple type")
        try:
            found = np.dtype(code)
        except TypeError as error:
            raise Refused(f'it holds an array of type "{code}"') from error
        if found.kind not in _NUMERIC:
            raise Refused(f'it holds an array of type "{code}", which is not of numbers')
        return found.newbyteorder(cast(Any, self.order))


class _Array:
    """What stands for `numpy.ndarray`: its state, until `value` makes an array of it."""

    def __init__(self) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def value(self) -> np.ndarray:
        if not isinstance(self.state, tuple) or len(self.state) != 5:
            raise Refused("it holds an array without content")
        _, shape, kind, fortran, data = self.state
        if isinstance(data, str):
            data = data.encode("latin-1")
        sound = isinstance(shape, tuple) and all(isinstance(n, int) and n >= 0 for n in shape) and len(shape) <= 8
        if not sound or not isinstance(kind, _Type) or not isinstance(data, bytes):
            raise Refused("it holds an array of no sound description")
        dtype = kind.numpy()
        if math.prod(shape) * dtype.itemsize != len(data):
            raise Refused(f"it holds an array of {len(data):,} bytes that claims to be {shape}")
        return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")


def _reconstruct(*_: Any) -> _Array:
    return _Array()


def _encode(text: Any, encoding: Any) -> bytes:
    """What stands for `_codecs.encode`, by which Python 3 writes bytes in old protocols."""
    if not isinstance(text, str) or encoding != "latin1":
        raise Refused("it encodes text in an unusual way")
    return text.encode("latin-1")


_KNOWN = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("_codecs", "encode"): _encode,
}


# The reader in Python, not the one in C: only here can instructions be left out, and places in the memo, which a few
# bytes can put at four billion, take no memory.
class _Reader(pickle._Unpickler):  # type: ignore[attr-defined, name-defined] # pyright: ignore[reportAttributeAccessIssue]
    dispatch = {code[0]: pickle._Unpickler.dispatch[code[0]] for code in _INSTRUCTIONS}  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue] # noqa: RUF012

    def find_class(self, module: str, name: str) -> Any:
        """One of the few names, as our own class; anything else is refused."""
        try:
            return _KNOWN[module, name]
        except KeyError:
            raise Refused(f'it asks for "{module}.{name}"') from None


def read(data: bytes) -> Any:
    """The value that a pickle holds; what Python 2 wrote as text comes out as bytes.

    Raises:
        Refused: it is damaged, or holds more than plain values and arrays of numbers.
    """
    try:
        return _finished(_Reader(io.BytesIO(data), encoding="bytes").load())
    except Refused:
        raise
    except KeyError as error:
        raise Refused("it has an instruction that data do not need") from error
    except RecursionError as error:
        raise Refused("it is nested too deeply") from error
    except Exception as error:  # a damaged pickle raises nearly anything
        raise Refused(f"it can't be read: {' '.join(str(error).split()) or type(error).__name__}") from error


def _finished(value: Any, depth: int = 0) -> Any:
    """The value with arrays in place of what stood for them, at the top and one level down, where data sets have them."""
    if isinstance(value, _Array):
        return value.value()
    if isinstance(value, dict) and depth == 0:
        return {key: _finished(item, 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)) and depth <= 1:
        return type(value)(item.value() if isinstance(item, _Array) else item for item in value)
    return value


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return value if isinstance(value, str) else ""
