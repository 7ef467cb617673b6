"""Methods that can be called on their class as well as on an instance of it."""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

ObjectT = TypeVar("ObjectT")
P = ParamSpec("P")
R = TypeVar("R")

_SHARED_INSTANCES: dict[type, Any] = {}


def instance_for_class_calls(kind: type[ObjectT]) -> ObjectT:
    """The shared instance of a class; it is created without arguments at the first call."""
    if kind not in _SHARED_INSTANCES:
        _SHARED_INSTANCES[kind] = kind()
    found: ObjectT = _SHARED_INSTANCES[kind]
    return found


class InstanceOrClassMethod(Generic[ObjectT, P, R]):
    """Decorates a method so that a call on the class acts on the shared instance of that class."""

    def __init__(self, method: Callable[Concatenate[ObjectT, P], R]) -> None:
        self._method = method
        self.__doc__ = method.__doc__
        self.__wrapped__ = method

    def __get__(self, instance: ObjectT | None, kind: type[ObjectT]) -> Callable[P, R]:
        """The method, bound to the instance that it is called on or else to the shared instance."""
        return MethodType(self._method, instance_for_class_calls(kind) if instance is None else instance)
