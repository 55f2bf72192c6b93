"""The licences of what a lock installs: `python locks/licences.py LOCK PIP_LICENSES PYTHON`.

pip-licenses reads them from the packages that PYTHON has. The report goes to stdout, by licence; status 1 where one is
not in `locks/licences.txt`, 2 where nothing of the lock is there to be looked at.
"""

import json
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Final

LOCKS: Final = Path(__file__).resolve().parent


def main(lock: str, pip_licenses: str, python: str) -> int:
    names = sorted(set(re.findall(r"^([a-z0-9][\w.-]*)==", (LOCKS / f"{lock}.txt").read_text("utf-8"), re.MULTILINE)))
    command = [pip_licenses, "--python", python, "--format", "json", "--packages", *names]
    found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    if not found:
        print(f"licences: nothing that locks/{lock}.txt has is installed in {python}", file=sys.stderr)
        return 2
    allowed = allowed_licences()
    by_licence: dict[str, list[str]] = defaultdict(list)
    refused: list[str] = []
    for package in found:
        licence = one_line(package["License"])
        by_licence[licence].append(f"{package['Name']} {package['Version']}")
        if not is_allowed(licence, allowed):
            refused.append(f"{package['Name']} {package['Version']}: {licence}")
    for licence, packages in sorted(by_licence.items()):
        print(f"{licence}: {', '.join(sorted(packages, key=str.lower))}")
    print_missing(names, {normal(package["Name"]) for package in found})
    for line in refused:
        print(f"licences: not in locks/licences.txt: {line}", file=sys.stderr)
    return 1 if refused else 0


def allowed_licences() -> set[str]:
    lines = (LOCKS / "licences.txt").read_text("utf-8").splitlines()
    return {line for line in lines if line and not line.startswith("#")}


def is_allowed(licence: str, allowed: set[str]) -> bool:
    """Whether everything that a package names is allowed: of several licences it may need each."""
    return all(part.strip(" ()") in allowed or part.strip() in allowed for part in re.split(r"; | AND | OR ", licence))


def one_line(licence: str) -> str:
    """Some packages put the whole text where its name belongs; the name is its first line."""
    return next((line.strip() for line in licence.splitlines() if line.strip()), "UNKNOWN")


def normal(name: str) -> str:
    """Source: PEP 503, normalised names."""
    return re.sub(r"[-_.]+", "-", name).lower()


def print_missing(names: list[str], found: set[str]) -> None:
    missing = [name for name in names if normal(name) not in found]
    if missing:
        print(f"not installed here: {', '.join(missing)}")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
