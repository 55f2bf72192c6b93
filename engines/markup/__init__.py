"""Markdown as a person would read it aloud, and inline pauses, taken out of a text that is still growing."""

from engines.markup.filter import Markup
from engines.markup.pauses import Rest

__all__ = ["Markup", "Rest"]
