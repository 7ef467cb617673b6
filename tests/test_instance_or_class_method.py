"""Methods that work on their class as well as on an instance."""

from __future__ import annotations

import inspect
import pickle

from gatling_sid.instance_or_class_method import InstanceOrClassMethod, instance_for_class_calls


class Counter:
    """A counter that also counts its instances."""

    instances = 0

    def __init__(self, start: int = 0) -> None:
        type(self).instances += 1
        self.count = start

    @InstanceOrClassMethod
    def add(self, number: int, *, twice: bool = False) -> int:
        """The count, with a number added."""
        self.count += number * (2 if twice else 1)
        return self.count


def test_the_class_acts_through_one_instance() -> None:
    """All calls on the class use one instance, which is created at the first; other instances do not share its state."""

    class Own(Counter):
        """A class of its own, with no instance yet."""

    assert Own.instances == 0
    assert (Own.add(1), Own.add(number=2, twice=True), instance_for_class_calls(Own).count) == (1, 5, 5)
    assert Own.instances == 1
    assert Own(10).add(1) == 11
    assert Own.add(0) == 5


def test_a_subclass_has_an_instance_of_its_own() -> None:
    """A class and its subclass share no state, and `super()` works in a decorated method."""

    class Double(Counter):
        """A counter that adds every number twice."""

        @InstanceOrClassMethod
        def add(self, number: int, *, twice: bool = True) -> int:
            """The count, with a number added twice by default."""
            return super().add(number, twice=twice)

    assert (Double.add(1), Double(5).add(1)) == (2, 7)
    assert instance_for_class_calls(Double) is not instance_for_class_calls(Counter)


def test_it_looks_like_a_method() -> None:
    """Name, docstring, signature and pickled copy are those of a bound method."""
    for method in (Counter.add, Counter().add):
        assert (method.__name__, method.__doc__) == ("add", "The count, with a number added.")
        assert str(inspect.signature(method)) == "(number: 'int', *, twice: 'bool' = False) -> 'int'"
        assert pickle.loads(pickle.dumps(method))(3) == instance_for_class_calls(Counter).count + 3  # noqa: S301 - our own bytes
