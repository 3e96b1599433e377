"""Tests of the package: ``python3 -m unittest`` from the folder above."""
