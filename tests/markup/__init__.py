"""Tests of what is taken out of Markdown before it is spoken."""
