"""Formulas as an LLM writes them, in LaTeX: what stands between dollars, and the commands that have a short name."""

import re
from typing import Final

from engines.reading.rules import before, needing, rule

_COMMANDS: Final = {
    **{"times": "times", "cdot": "times", "div": "divided by", "pm": "plus or minus", "approx": "is about"},
    **{"leq": "is less than or equal to", "le": "is less than or equal to", "neq": "is not equal to"},
    **{"geq": "is greater than or equal to", "ge": "is greater than or equal to", "infty": "infinity"},
    **{"sum": "the sum of", "int": "the integral of", "rightarrow": "to", "to": "to", "ldots": "and so on"},
    **{name: name for name in ("alpha", "beta", "gamma", "delta", "epsilon", "theta", "lambda", "mu", "pi", "rho")},
    **{name: name for name in ("sigma", "tau", "phi", "omega", "Delta", "Sigma", "Omega", "sin", "cos", "tan", "log")},
    **{"ln": "natural log", "left": "", "right": "", "quad": "", "degree": "degrees", "circ": "degrees"},
}
_INNER: Final = r"[^{}$\n]{1,40}"
_OPENED = re.compile(r"(?:^|[^\w$])\$\$?(?=[A-Za-z\\(])[^$]*$")


def _end(match: re.Match[str]) -> str | None:
    """The dollar behind a formula that another began."""
    return "" if _OPENED.search(before(match)) else None


RULES: Final = needing(
    "\\$",
    rule(
        rf"\\[dt]?frac\{{(?P<above>{_INNER})\}}\{{(?P<below>{_INNER})\}}", lambda m: f"{m['above']} over {m['below']}"
    ),
    rule(rf"\\sqrt\{{(?P<inner>{_INNER})\}}", lambda match: f"the square root of {match['inner']}"),
    rule(rf"\\(?:text|mathrm|mathbf)\{{(?P<inner>{_INNER})\}}", lambda match: match["inner"]),
    rule(
        rf"\\(?P<name>{'|'.join(sorted(_COMMANDS, key=len, reverse=True))})(?![A-Za-z])", lambda m: _COMMANDS[m["name"]]
    ),
    rule(r"(?<![\w$])\$\$?(?=[A-Za-z\\(][^$\n]{0,100}\$(?!\d))", ""),
    rule(r"(?<=[\w)}])\$\$?(?![\w$])", _end),
)
