"""What a server says at `/metrics`, as Prometheus would read it."""

from collections.abc import Mapping
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families


class Scraped:
    """One scrape."""

    def __init__(self, text: str) -> None:
        self.families = {family.name: family for family in text_string_to_metric_families(text)}
        self._samples = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in self.families.values()
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float:
        """0 where there is none: as a counter that nobody has counted with yet."""
        return self._samples.get((name, frozenset(labels.items())), 0.0)

    def total(self, name: str, **labels: str) -> float:
        """The sum over all that have these labels, whatever others they have."""
        wanted: Mapping[Any, Any] = labels
        return sum(
            value for (found, own), value in self._samples.items() if found == name and set(wanted.items()) <= own
        )

    @property
    def names(self) -> set[str]:
        return {name for name, _ in self._samples}


async def scrape(url: str) -> Scraped:
    async with httpx.AsyncClient() as client:
        response = await client.get(f"{url}/metrics")
    assert response.status_code == 200, response.text
    return Scraped(response.text)


class Growth:
    """By how much counters have grown between two scrapes."""

    def __init__(self, before: Scraped, after: Scraped) -> None:
        self._before, self._after = before, after

    def of(self, name: str, **labels: str) -> float:
        return self._after.total(name, **labels) - self._before.total(name, **labels)
