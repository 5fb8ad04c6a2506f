"""The tools of the unit tests themselves."""
from tests.unit.support import raises


def _give(value):
    return value


def _fail(error):
    raise error


def test_raises_returns_the_expected_error():
    error = KeyError("place")
    assert raises(KeyError, _fail, error) is error
    assert raises((ValueError, LookupError), _fail, error) is error


def test_raises_refuses_a_call_that_returns():
    error = raises(AssertionError, raises, ValueError, _give, 7)
    assert "7" in str(error)


def test_raises_lets_other_errors_through():
    error = TypeError("other")
    assert raises(TypeError, raises, ValueError, _fail, error) is error
