"""Tests mirror the packages; shared promises are the classes in the ``conformance`` modules."""
