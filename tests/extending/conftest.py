import pytest

from pyspiga_geo.layouts import registry


@pytest.fixture(autouse=True)
def registered_for_this_test_only(monkeypatch):
    monkeypatch.setattr(registry, "_LAYOUTS", dict(registry._LAYOUTS))
