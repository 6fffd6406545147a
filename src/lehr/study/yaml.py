"""Load studies from YAML files, and save them to equivalent YAML."""

from __future__ import annotations

import inspect
import math
import os
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import yaml

from lehr.parser import PRESETS, parse_policy, typed
from lehr.policy import Policy, as_policy
from lehr.schedule.codec import Definition
from lehr.schedule.errors import check_path, fail, one_of, read_text
from lehr.study.arm import Arm
from lehr.study.definition import Study
from lehr.study.jobs import json_data
from lehr.study.yaml_data import LineError, PlainData, compose, shortened

_MOST_ERRORS = 20  # printed for one file

# the use of a tuned preset; default for other presets, which decay to zero: "one-cycle"
_USES = dict.fromkeys(("constant", "inverse-sqrt", "multi-step", "step-decay"), "constant")
_USES |= dict.fromkeys(("cyclical", "exp-range", "triangular", "triangular2"), "cyclical")

# fields with the same name in a definition and a study
_SAME_NAMES = ("options", "backend", "peaks", "metric", "mode", "judge", "patience", "target")

# rules and fixes of fields, and rules of pydantic's types of errors
_FIELD_RULES = {
    "arm": "a policy, or a mapping with policy or preset",
    "arms": "a mapping from names to policies, at least one",
    "policy": "text, a number or the JSON of a policy",
}
_FIXES = {
    "arm": "write for instance one-cycle(0.05)",
    "arms": "write for instance {fixed: 0.05, cosine: one-cycle(0.05)}",
}
_RULES = {
    "string_type": "text",
    "int_type": "an integer",
    "float_type": "a number",
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "greater_than_equal": "an integer >= {ge}",
    "less_than_equal": "an integer <= {le}",
}


class ArmFile(pydantic.BaseModel):
    """One arm: a policy, or a preset with its arguments; ``peak`` may be ``tune``."""

    model_config = pydantic.ConfigDict(extra="allow", strict=True)

    policy: str | float | dict[str, Any] | None = None
    preset: str | None = None
    tune: Literal["constant", "one-cycle", "cyclical"] | None = None
    optimizer: str | None = None


class StudyFile(pydantic.BaseModel):
    """The fields of a study file, equal to the arguments of `Study`."""

    model_config = pydantic.ConfigDict(extra="forbid", strict=True)

    task: str
    arms: dict[str, Any] = pydantic.Field(min_length=1)
    epochs: Any = None  # checked by `Study`
    steps: Any = None
    seeds: int = pydantic.Field(8, ge=1, le=1000)
    tuning_seeds: int = pydantic.Field(3, ge=1)
    peaks: int = pydantic.Field(5, ge=1)
    metric: str = "accuracy"
    mode: Literal["max", "min"] = "max"
    judge: Literal["final", "best"] = "final"
    patience: int | None = pydantic.Field(None, ge=1)
    target: Annotated[float | None, pydantic.BeforeValidator(typed)] = None
    stop_early: bool = False
    options: dict[str, Any] = pydantic.Field(default_factory=dict)
    backend: Literal["jax", "tensorflow", "torch"] | None = None
    storage: str = "runs"


def load_study(path: str | os.PathLike[str]) -> Study:
    """Load a study from a YAML file.

    An arm is a text (``one-cycle(0.05)``), a number, or a mapping. The mapping has either
    ``policy`` (text, number or a policy's JSON) with ``tune`` and ``optimizer`` as in `Arm`, or
    ``preset`` with its arguments by name. With ``peak: tune`` the study chooses the peak (for a
    constant, the value), and other rates are relative to the peak: ``floor: 0.1`` is a tenth of
    it. The file's folder is added to the import path of task modules.

    Args:
        path: path of the file.

    Raises:
        ValueError: if the file is invalid; the message has the line, field and allowed values of
            each error.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
    ...     arms = "{fixed: 0.05, cosine: {preset: cosine, peak: tune}}"
    ...     _ = file.write(f"task: digits-mlp\\narms: {arms}\\nepochs: [2, 4]\\n")
    ...     file.flush()
    ...     study = load_study(file.name)
    >>> study.budgets, study.arms["cosine"]
    ((2, 4), Arm(cosine(1.0), tune='one-cycle'))
    """
    check_path("path", path, "the path of a YAML file")
    text = read_text("study file", path)
    errors = _Errors(os.fspath(path))
    data = errors.read(text)
    if not isinstance(data, dict):
        errors.guard((), partial(fail, "study file", "a mapping with task and arms", data))
        raise errors.error()
    try:
        checked = StudyFile.model_validate(data)
    except pydantic.ValidationError as error:
        errors.add_all(error, ())
        raise errors.error() from None
    if ":" in checked.task:
        sys.path.append(str(Path(path).absolute().parent))
    arms = {
        name: errors.guard(("arms", name), partial(_arm, name, arm, errors))
        for name, arm in checked.arms.items()
    }
    fields = {name: getattr(checked, name) for name in checked.model_fields_set - {"arms"}}
    if not errors.messages:
        study = errors.guard((), partial(Study, **fields, arms=arms))
    if errors.messages:
        raise errors.error()
    return study  # type: ignore[no-any-return]


def dump_study(study: Study) -> str:
    """Return a study as YAML text, from which `load_study` loads an equal study."""
    plain: dict[str, Any] = {"task": study.task, "arms": {}}
    for name, arm in study.arms.items():
        given = {"policy": _plain_policy(arm), "tune": arm.tune, "optimizer": arm.optimizer}
        entry = {field: value for field, value in given.items() if value is not None}
        plain["arms"][name] = entry if len(entry) > 1 else entry["policy"]
    budgets = list(study.budgets)
    plain[study.unit] = budgets[0] if len(budgets) == 1 else budgets
    for name in ("seeds", "tuning_seeds", "peaks", "metric", "mode", "judge", "stop_early"):
        plain[name] = getattr(study, name)
    for name in ("patience", "target", "options", "backend"):
        if (value := getattr(study, name)) not in (None, {}):
            plain[name] = json_data(value)
    text: str = yaml.dump(
        plain, Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=math.inf
    )
    return text


def _plain_policy(arm: Arm) -> float | str:
    """Return an arm's policy as a number, its code or, if the code is too long to parse, JSON."""
    if isinstance(arm.given, float):
        return arm.given
    try:
        parse_policy(repr(arm.given))
    except ValueError:
        return arm.policy.dumps()
    return repr(arm.given)


class _Dumper(yaml.SafeDumper):
    """Dump a text with single quotes, such as a policy, in double quotes on one line."""


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style='"' if "'" in text else None
    ),
)


class _Recorded(Study):
    """A study loaded from a storage; its task may no longer exist, so it is not checked."""

    def _check_task(self) -> None:
        pass


def study_of(definition: dict[str, Any], storage: str | os.PathLike[str]) -> Study:
    """Return the study of a definition made by `Study.to_dict`, to load its results.

    Raises:
        ValueError: if the definition is damaged.
    """
    try:
        return _recorded(definition, storage)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        reason = f"{storage} is damaged: {error}"
        fail("definition of a study", "the data of a study", definition, reason)


def _recorded(definition: dict[str, Any], storage: str | os.PathLike[str]) -> Study:
    arms = {
        name: Arm(Policy.from_dict(arm["policy"]), tune=arm["tune"], optimizer=arm["optimizer"])
        for name, arm in definition["arms"].items()
    }
    unit = "epochs" if "epochs" in definition else "steps"
    return _Recorded(
        definition["task"],
        arms,
        **{unit: definition[unit]},
        seeds=len(definition["judging seeds"]),
        tuning_seeds=len(definition["tuning seeds"]),
        stop_early=definition["stop early"],
        storage=storage,
        **{name: definition[name] for name in _SAME_NAMES if name in definition},
    )


def _arm(name: str, given: Any, errors: _Errors) -> Arm | None:
    if isinstance(given, str | int | float) and not isinstance(given, bool):
        return Arm(parse_policy(str(given)))
    try:
        arm = ArmFile.model_validate(given)
    except pydantic.ValidationError as error:
        errors.add_all(error, ("arms", name))
        return None
    arguments = arm.model_extra or {}
    if (arm.policy is None) == (arm.preset is None):
        fail("arm", "a policy or a preset", given)
    if arm.preset is not None:
        return _preset(arm.preset, arguments, arm)
    for extra in arguments:
        one_of("field of an arm", extra, ["policy", "preset", "tune", "optimizer"])
    if isinstance(arm.policy, dict):
        policy = as_policy(Definition.from_dict(arm.policy))
    else:
        policy = parse_policy(str(arm.policy))
    return Arm(policy, tune=arm.tune, optimizer=arm.optimizer)


def _preset(preset: str, arguments: dict[str, Any], arm: ArmFile) -> Arm:
    """Return the arm of a preset; a tuned preset is created at peak 1."""
    name = one_of("preset", preset.replace("_", "-"), PRESETS)
    make, given = PRESETS[name], dict(arguments)
    known, peak = inspect.signature(make).parameters, "value" if name == "constant" else "peak"
    use: str | None = arm.tune
    if peak in known and given.get("peak") == "tune":
        del given["peak"]
        given[peak] = 1.0
        use = use or _USES.get(name, "one-cycle")
    for key, value in given.items():
        if value == "tune" and key in (*known, "peak"):
            at_1 = f"{name} has no peak: write policy: {name}(...) at peak 1, and tune: one-cycle"
            fail(key, "a number", value, "write peak: tune" if peak in known else at_1)
        one_of(f"argument of {name}", key, known)
    for key, parameter in known.items():
        if parameter.default is parameter.empty and key not in given:
            fix = f"write {key}: 0.05" + (", or peak: tune" if key == peak else "")
            fail(key, f"given for {name}", None, fix if key in ("peak", "value") else "")
    policy = make(**{key: typed(value) for key, value in given.items()})
    return Arm(policy, tune=use, optimizer=arm.optimizer)


def _fail(detail: Any, name: str) -> None:
    """Raise an error of a pydantic validation in lehr's format."""
    kind, given, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        one_of("field of a study", name, StudyFile.model_fields)
    if kind == "missing":
        fail(name, "given", None)
    if kind == "literal_error":
        one_of(name, given, re.findall(r"'([^']*)'", context["expected"]))
    rule = _FIELD_RULES.get(name) or _RULES[kind].format(**context)
    fail(name, rule, given, _FIXES.get(name, ""))


class _Errors:
    """Collects the errors of a file, each with the line of its field."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.node: yaml.Node | None = None
        self.messages: list[str] = []

    def read(self, text: str) -> Any:
        """Return the data of a YAML text, and add an error for each repeated name."""
        data = PlainData()
        try:
            self.node = compose(text)
            found = None if self.node is None else data.of(self.node)
        except LineError as error:
            self._append(error.line, error.place, str(error))
            raise self.error() from None
        for repeated in data.repeated:
            self._append(repeated.line, (), str(repeated))
        return found

    def guard(self, place: tuple[str, ...], make: Callable[[], Any]) -> Any:
        """Call a function and return its result; on an error, add the error and return None."""
        try:
            return make()
        except (ValueError, TypeError) as error:
            named = str(error).partition(" ")[0]
            self._add(place if self._line((named,)) is None else (named,), str(error))
            return None

    def add_all(self, error: pydantic.ValidationError, place: tuple[str, ...]) -> None:
        """Add the errors of a pydantic validation."""
        seen = set()  # a union has an error of each type
        for detail in error.errors():
            at = (*place, *(str(part) for part in detail["loc"][:1]))
            if at in seen:
                continue
            seen.add(at)
            try:
                _fail(detail, at[-1] if detail["loc"] else "arm")
            except (ValueError, TypeError) as translated:
                self._add(at, str(translated))

    def _add(self, place: tuple[str, ...], message: str) -> None:
        self._append(self._line(place), place, message)

    def _append(self, line: int | None, place: tuple[str, ...], message: str) -> None:
        where = f"{self.path}:{line}" if line is not None else self.path
        prefix = f"{'.'.join(map(shortened, place))}: " if len(place) > 1 else ""
        if (text := f"{where}: {prefix}{message}") not in self.messages:  # of an alias, once
            self.messages.append(text)

    def _line(self, place: tuple[str, ...]) -> int | None:
        node, line = self.node, None
        for part in place:
            if not isinstance(node, yaml.MappingNode):
                return line
            for key, value in node.value:
                if key.value == part:
                    line, node = key.start_mark.line + 1, value
                    break
            else:
                return line
        return line

    def error(self) -> ValueError:
        """Return one exception with the first 20 errors."""
        more = len(self.messages) - _MOST_ERRORS
        rest = [f"{self.path}: {more} more errors"] if more > 0 else []
        return ValueError("\n".join(self.messages[:_MOST_ERRORS] + rest))
