"""Checks that the sentence of a rule names what its constraint binds: its roles, and the values of its axes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gatling_sid.schemas.checks.problems import FileProblem, expressions_in, placeholders
from gatling_sid.schemas.language.wording import plain_words

if TYPE_CHECKING:
    from gatling_sid.schemas.domain import Domain

_EVERYONE = re.compile(r"\b(?:nobody|no one|none|everyone|everybody|anyone|anybody)\b", re.IGNORECASE)
_ALONE = re.compile(r"\b(?:only|alone|except)\b", re.IGNORECASE)
"""With such a word, a sentence may name the roles that the rule does not bind: "is for clinicians alone"."""


def check_rule_sentences(domain: Domain) -> Iterator[FileProblem]:
    """Yields sentences that leave out a role or the value of an axis that their constraint binds."""
    roles_by_last_word = Counter(role.split("_")[-1] for role in domain.file.roles)
    for name, rule in domain.file.policy.rules.items():
        where, stated = f"policy.rules.{name}.says", placeholders(rule.says)
        for axis in dict.fromkeys(_axes_of(rule.parameters)):
            if axis not in stated:
                yield where, f"does not state the value of {axis}, which the rule uses; write {{{axis}}}"
        roles = rule.parameters.get("roles")
        if not isinstance(roles, list) or _EVERYONE.search(rule.says):
            continue
        named = {role for role in domain.file.roles if _names(rule.says, role, roles_by_last_word)}
        if _ALONE.search(rule.says) and {*domain.file.roles} - {*roles} <= named:
            continue
        for role in roles:
            if role in domain.file.roles and role not in named:
                yield where, f"does not name {plain_words(role)}, whom the rule binds; name every role of the rule"


def _axes_of(parameters: Any) -> Iterator[str]:
    """The axes that the parameters of a rule take their values from."""
    for reference in expressions_in(parameters):
        if reference.root == "policy" and reference.path:
            yield str(reference.path[0])


def _names(sentence: str, role: str, roles_by_last_word: Mapping[str, int]) -> bool:
    """Whether a sentence has the plain name of a role, or its last word if no other role ends with it; plurals count."""
    words = role.split("_")
    shortest = words[-1:] if roles_by_last_word[words[-1]] == 1 else words
    return any(re.search(_pattern(each), sentence, re.IGNORECASE) for each in (words, shortest))


def _pattern(words: Sequence[str]) -> str:
    *first, last = map(re.escape, words)
    plural = rf"{last}(?:e?s)?" if not last.endswith("y") else rf"{last[:-1]}(?:y|ies)"
    return r"\b" + r"[\s-]+".join([*first, plural]) + r"\b"
