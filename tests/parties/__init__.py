"""Tests of the parties stage."""
