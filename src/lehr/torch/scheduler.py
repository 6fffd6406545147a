"""The Scheduler: sets the hyperparameters of torch optimizers according to a policy."""

from __future__ import annotations

import copy
import io
import pickle
import warnings
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lehr.controllers import State, is_best, reduced
from lehr.learner.driver_state import (
    ON_CHANGE,
    OnChange,
    check_mapping,
    first_state,
    observing_controller,
    read_state,
    saved_state,
)
from lehr.policy import Policy, resolved_policy
from lehr.schedule import scalar
from lehr.schedule.base import Schedule
from lehr.schedule.errors import fail, integer, number, one_of
from lehr.schedule.length import Length
from lehr.torch._private import (
    PrivateNames,
    check_names,
    has_load_hooks,
    has_own_hooks,
    has_torch_scheduler,
    runs_hooks,
    versions,
)
from lehr.torch.groups import (
    Group,
    all_groups,
    check_base_rates,
    check_captured,
    check_distinct,
    check_scale,
    check_values,
    group_name,
    optimizer_list,
    parameters,
    read_value,
    store_base_rates,
    write_rates,
    write_value,
    write_values,
)
from lehr.torch.processes import metric_mean

_attached: weakref.WeakKeyDictionary[Optimizer, weakref.ref[Scheduler]] = (
    weakref.WeakKeyDictionary()
)


class Scheduler(PrivateNames, LRScheduler):
    """Set the hyperparameters of an optimizer according to a policy.

    Update n uses the policy's values at step n. The constructor sets the values of step
    ``start_step``; each `step()` sets the values of the next step. Call `step()` after
    ``optimizer.step()``, once per update: not for each micro-batch, and not after an update that a
    ``GradScaler`` skipped (``scaler.update()`` decreased ``scaler.get_scale()``).

    "momentum" is the ``momentum`` of a parameter group, or the first of its ``betas``; "beta2" is
    the second. Parameter groups added later follow the policy from their first update (compiled
    updates: from the next `step()`). No method of the optimizer is patched. Tensor hyperparameters
    are filled in place, so compiled updates use one graph and CUDA graphs read the new values. The
    capture of an update whose scheduled hyperparameters are numbers raises ValueError.

    Args:
        optimizer: a torch optimizer, or a list of them, such as Muon and AdamW.
        policy: a policy, a schedule or a number.
        steps: length of the run: updates, "90 epochs" or "2T tokens". Required for percentages and
            for schedules without a length.
        steps_per_epoch: number of updates per epoch, a real number. Required for lengths in epochs.
        samples_per_step: number of samples per update, or a schedule (a batch-size ramp). Required
            for lengths in samples.
        tokens_per_step: number of tokens per update, or a schedule. Required for lengths in tokens.
        start_step: step of the policy at the first update.
        factor: initial value of `factor`, at least 0.
        on_change: "refuse" rejects a saved state of a different policy; "continue" accepts it.
        relative: multiply the initial learning rate of each group by the policy's learning rate;
            other hyperparameters are replaced.
        later: names of the policy's groups that are added later; with one optimizer, indices are
            accepted.
        shared: accept an optimizer with another scheduler, as in torch's SequentialLR or
            ChainedScheduler; values are then set in `step()` only.

    Attributes:
        policy: the policy, with all lengths in integer steps.
        last_epoch: the current step (torch's name).

    Raises:
        TypeError: if ``optimizer`` is not a torch optimizer.
        ValueError: if a length is unknown, the policy cannot be saved, the optimizer does not have
            the policy's hyperparameters or groups, the initial rate of a relative policy is 0, or
            another scheduler drives the optimizer.

    >>> import lehr, torch
    >>> weight = torch.nn.Parameter(torch.zeros(1))
    >>> optimizer = torch.optim.SGD([weight], lr=1.0)
    >>> scheduler = lehr.torch.Scheduler(optimizer, lehr.linear(0.5, 0.0), steps=2)
    >>> for _ in range(2):
    ...     weight.grad = torch.ones(1)
    ...     optimizer.step()
    ...     scheduler.step()
    >>> weight.item(), scheduler.get_last_lr()
    (-0.75, [0.0])
    """

    def __init__(
        self,
        optimizer: Optimizer | Sequence[Optimizer],
        policy: Policy | Schedule | float,
        steps: Length = None,
        *,
        steps_per_epoch: float | None = None,
        samples_per_step: float | Schedule | None = None,
        tokens_per_step: float | Schedule | None = None,
        start_step: int = 0,
        factor: float = 1.0,
        on_change: OnChange = "refuse",
        relative: bool = False,
        later: Sequence[str | int] = (),
        shared: bool = False,
    ) -> None:
        check_names()
        self.optimizers = [_inner(each) for each in optimizer_list(optimizer)]
        check_distinct(self.optimizers)
        for name, flag in (("relative", relative), ("shared", shared)):
            if not isinstance(flag, bool):
                fail(name, "True or False", flag, error=TypeError)
        self.optimizer = self.optimizers[0]  # read by trainer libraries
        sizes = steps_per_epoch, samples_per_step, tokens_per_step
        self.policy = resolved_policy(policy, steps, *sizes)
        self.policy.dumps()  # raises for a function without a name now, not at the first checkpoint
        # last_epoch is also set by torch's composed schedulers
        self.last_epoch, self.control = first_state(start_step, factor)
        self.relative, self.shared = relative, shared
        self.on_change: str = one_of("on_change", on_change, ON_CHANGE)
        self.later = self._checked_later(later)
        for driven in self.optimizers:
            if not shared and self._others_drive(driven):
                _refuse_driven(driven)
        self._best: dict[str, Any] | None = None  # weights, for a controller with restore_best
        self._known: list[Group] = []  # refers to the groups, so that no id is reused
        self._known_ids: list[int] = []
        self.base_lrs = [group["initial_lr"] for group in self._groups()]
        # versions of the parameters; None after the first update or step(), or at a later step
        self._untrained: int | None = None
        if self.last_epoch == 0 and not shared:
            self._untrained = versions(p for o in self.optimizers for p in parameters(o))
        self._attach()
        self._write()

    def __repr__(self) -> str:
        """Return the optimizers' classes, the policy and the current step."""
        kinds = ", ".join(type(optimizer).__name__ for optimizer in self.optimizers)
        return f"<Scheduler of {kinds} at step {self.last_epoch}: {self.policy!r}>"

    def step(self, epoch: int | None = None) -> None:
        """Advance to the next step and set its values.

        Args:
            epoch: advance to this step instead of the next one.

        Raises:
            TypeError: if ``epoch`` is not an integer; pass metrics to `observe`.
            ValueError: if ``epoch`` is negative, or another scheduler was attached to the
                optimizer.
        """
        if epoch is not None:
            fix = "pass a metric to scheduler.observe(metric)"
            epoch = integer("epoch", epoch, at_least=0, fix=fix)
        if not self.shared:
            for optimizer in self.optimizers:
                if has_torch_scheduler(optimizer):  # attached after this one
                    _refuse_driven(optimizer)
        if self._untrained is not None and self.last_epoch == 0:
            self._warn_if_untrained(self._untrained, epoch)
        self._advance(epoch)

    def _warn_if_untrained(self, before: int, epoch: int | None) -> None:
        """Warn if no optimizer has made an update since the constructor."""
        self._untrained = None
        params = [p for optimizer in self.optimizers for p in parameters(optimizer)]
        trained = epoch is not None or versions(params) != before
        if trained or not all(map(runs_hooks, self.optimizers)) or _any_not_finite(params):
            return
        text = (
            "scheduler.step() must be called after optimizer.step(), got no update before it: "
            "no update uses the values of step 0; call optimizer.step() first"
        )
        warnings.warn(text, UserWarning, stacklevel=3)

    @property
    def factor(self) -> float:
        """Factor on the scheduled learning rate, at least 0; may be set at any time.

        >>> import lehr, torch
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        >>> scheduler = lehr.torch.Scheduler(optimizer, 0.5)
        >>> scheduler.factor = 0.1
        >>> scheduler.get_last_lr()
        [0.05]
        """
        return self.control.factor

    @factor.setter
    def factor(self, value: float) -> None:
        self._set_control(replace(self.control, factor=number("factor", value, at_least=0)))

    def observe(self, metric: float, model: torch.nn.Module | None = None) -> None:
        """Update the policy's controller with a metric; the next update uses its factor.

        If another scheduler also drives the optimizer, the factor is applied at the next `step()`.
        Under ``torch.distributed`` every process must call this method; the metric is averaged
        over all processes (all-reduce).

        Args:
            metric: value of the metric that the controller monitors.
            model: required by ``restore_best``: its weights are copied at the best metric and
                restored at a reduction.

        Raises:
            TypeError: if ``metric`` is not one number.
            ValueError: if the policy has no controller, or ``restore_best`` has no model.

        >>> import lehr, torch
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        >>> policy = lehr.Policy(lr=0.5, control=lehr.Plateau(patience=1, factor=0.5))
        >>> scheduler = lehr.torch.Scheduler(optimizer, policy)
        >>> for loss in (1.0, 1.0):
        ...     scheduler.observe(loss)
        >>> scheduler.get_last_lr()
        [0.25]
        """
        controller, restores = observing_controller(self.policy, model)
        before, after = self.control, controller.update(self.control, metric_mean(metric))
        if restores and model is not None:
            if is_best(before, after):
                self._best = copy.deepcopy(model.state_dict())
            elif reduced(before, after) and self._best is not None:
                model.load_state_dict(self._best)
        self._set_control(after)

    def _set_control(self, control: State) -> None:
        self.control = control
        if not any(map(self._others_drive, self.optimizers)):
            self._write()  # with another scheduler, the current rate may belong to the other one

    def values(self) -> dict[str, Any]:
        """Return the values of the next update by name, in the format of ``policy(step)``.

        They include ``Policy.values``; the learning rate is multiplied by the factor. With
        ``relative=True`` or groups with "lr_scale", "lr" is a dict with the rate of each group.

        >>> import lehr, torch
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        >>> policy = lehr.Policy(lr=0.5, values={"ema_decay": lehr.linear(0.9, 1.0)})
        >>> scheduler = lehr.torch.Scheduler(optimizer, policy, steps=2)
        >>> scheduler.values()
        {'lr': 0.5, 'ema_decay': 0.9}
        >>> optimizer.step()
        >>> scheduler.step()
        >>> scheduler.values()
        {'lr': 0.5, 'ema_decay': 0.95}
        """
        values = self.policy(max(self.last_epoch, 0), self.factor)
        if self._rate_per_group:
            names = [group_name(i, group) for i, group in enumerate(self._groups())]
            values["lr"] = dict(zip(names, self.get_lr(), strict=True))
        return values

    def get_last_lr(self) -> list[float | Tensor]:
        """Return the learning rates of the next update, one per parameter group, as copies."""
        return [read_value(group, "lr") for group in all_groups(self.optimizers)]

    def get_lr(self) -> list[float | Tensor]:
        """Compute the rate of each group at step ``last_epoch``; called by PyTorch Ignite."""
        groups, rate = self._groups(), self.policy.targets["lr"]
        step = max(self.last_epoch, 0)
        rates = []
        for i, group in enumerate(groups):
            schedule = rate[group_name(i, group)] if isinstance(rate, dict) else rate
            base = group["initial_lr"]
            scheduled = schedule(step) * base if self.relative else schedule(step)
            if "lr_scale" in group:  # layer-wise rates of timm, MAE and open_clip
                scheduled = scheduled * group["lr_scale"]
            rates.append(self.policy.rate(scheduled, self.factor))
        return rates

    def state_dict(self) -> dict[str, Any]:
        """Return the state: step, controller state and policy, as JSON-compatible data.

        With ``restore_best``, the best weights are saved as bytes under the key "best".
        """
        state = saved_state(self.last_epoch, self.control, self.policy)
        if getattr(self.policy.control, "restore_best", False):
            state["best"] = None if self._best is None else _to_bytes(self._best)
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a saved state and set the values of its step.

        If a torch scheduler is attached to the optimizer, no values are set; load the state of the
        optimizer as well.

        Args:
            state_dict: the result of `state_dict`.

        Raises:
            TypeError: if it is not a dict.
            ValueError: if it is not the state of a lehr scheduler, or its policy differs and
                ``on_change`` is "refuse".
        """
        check_mapping(state_dict)
        state = {key: value for key, value in state_dict.items() if key != "best"}
        step, control = read_state(state, self.policy, self.on_change)
        best = state_dict.get("best")
        weights = None if best is None else _from_bytes(best)
        self._groups()  # raises before anything is modified if the groups are invalid
        self.last_epoch, self.control, self._best = step, control, weights
        self._untrained = None
        if not any(has_torch_scheduler(optimizer) for optimizer in self.optimizers):
            self._write()  # with a torch scheduler, the current rate may belong to another part

    def _write(self) -> None:
        if self.last_epoch < 0:  # -1: part of a SequentialLR before its first step
            return
        groups, step, factor = self._groups(), self.last_epoch, self.control.factor
        if not self._separate:  # the most common case, without a dict of values
            for name, schedule in self.policy.targets.items():
                value = schedule.at(step, scalar)  # type: ignore[union-attr]
                if name == "lr":
                    value = self.policy.rate(value, factor)
                for group in groups:
                    write_value(group, name, value)
            return
        values = self.policy.written(step, factor)
        if self._rate_per_group:
            del values["lr"]
            write_rates(groups, self.get_lr())
        write_values(groups, values)

    def _groups(self) -> list[Group]:
        """Return all parameter groups; validate them if groups were added or replaced."""
        groups = all_groups(self.optimizers)
        if [*map(id, groups)] != self._known_ids:
            step = max(self.last_epoch, 0)
            check_values(self.optimizers, self.policy.targets, self.later, step)
            if self.relative:
                check_base_rates(groups)
            for i, group in enumerate(groups):
                check_scale(i, group)
            store_base_rates(groups)
            self._known, self._known_ids = [*groups], [*map(id, groups)]
            self._rate_per_group = self.relative or any("lr_scale" in group for group in groups)
            by_group = any(isinstance(target, dict) for target in self.policy.targets.values())
            self._separate = self._rate_per_group or by_group
        return groups

    def _checked_later(self, later: Sequence[str | int]) -> tuple[str, ...]:
        if isinstance(later, str) or not isinstance(later, Iterable):
            fail("later", "a list of groups", later, error=TypeError)
        names = tuple(map(str, later))
        if len(self.optimizers) > 1 and any(name.isdigit() for name in names):
            rule = "names with several optimizers, because a new group shifts the indices"
            fail("later", rule, list(later), "give the group a 'name'")
        named = {key for t in self.policy.targets.values() if isinstance(t, dict) for key in t}
        if set(names) - named:
            fix = "omit the others: groups without separate schedules are added automatically"
            fail("later", f"groups that the policy names, {sorted(named)}", list(later), fix)
        return names

    def _others_drive(self, optimizer: Optimizer) -> bool:
        known = _attached.get(optimizer, lambda: None)()
        return known not in (None, self) or has_torch_scheduler(optimizer)

    def _attach(self) -> None:
        """Register optimizer hooks that set the values after adding a group or loading a state."""
        ref = weakref.ref(self)

        def before_update(optimizer: Optimizer, *_: Any) -> None:
            if torch.compiler.is_compiling():  # changing values here would cause a recompilation
                return
            scheduler = ref()
            if scheduler is None:
                return
            scheduler._untrained = None
            if _capturing():
                check_captured(optimizer, scheduler.optimizers, scheduler.policy.targets)
            if [*map(id, all_groups(scheduler.optimizers))] == scheduler._known_ids:
                return
            if not any(map(scheduler._others_drive, scheduler.optimizers)):
                scheduler._write()

        def rewrite(optimizer: Optimizer) -> None:
            scheduler = ref()
            if scheduler is not None:
                store_base_rates(optimizer.param_groups)
                if not scheduler._others_drive(optimizer):
                    scheduler._write()

        for optimizer in self.optimizers:
            _attached[optimizer] = ref
            handles = [optimizer.register_step_pre_hook(before_update)]
            if has_load_hooks(optimizer):
                handles.append(optimizer.register_load_state_dict_post_hook(rewrite))
            for handle in handles:
                weakref.finalize(self, handle.remove).atexit = False

    def __setstate__(self, state: dict[str, Any]) -> None:  # copied or unpickled
        self.__dict__.update(state)
        self._attach()


def _capturing() -> bool:
    """Return whether a CUDA graph is captured."""
    initialized = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    return bool(initialized and torch.cuda.is_current_stream_capturing())


def _any_not_finite(parameters: list[Tensor]) -> bool:
    """Return whether a gradient overflowed, so that a `GradScaler` skipped the update."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    dense = [gradient for gradient in gradients if gradient.layout is torch.strided]
    return any(not bool(gradient.isfinite().all()) for gradient in dense)


def _to_bytes(weights: dict[str, Any]) -> bytes:
    """Serialize weights to one value: checkpoint libraries load it without a template."""
    buffer = io.BytesIO()
    torch.save(weights, buffer)
    return buffer.getvalue()


def _from_bytes(saved: bytes) -> dict[str, Any]:
    rule = "bytes written by state_dict"
    if not isinstance(saved, bytes):
        fail("best", rule, saved, error=TypeError)
    try:
        weights: Any = torch.load(io.BytesIO(saved), map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError):
        weights = None
    if not isinstance(weights, dict):
        fail("best", rule, saved)
    return weights


def _refuse_driven(optimizer: Optimizer) -> NoReturn:
    rule, fix = "one without another scheduler", "pass shared=True to combine several schedulers"
    fail("optimizer", rule, f"{type(optimizer).__name__} with another scheduler", fix)


def _inner(optimizer: Optimizer) -> Optimizer:
    """Return the optimizer inside a wrapper without hooks, such as Accelerate's."""
    if has_own_hooks(optimizer):
        return optimizer
    inside = vars(optimizer).get("optimizer")
    if not isinstance(inside, Optimizer):
        rule = "one with hooks, or a wrapper with the inner optimizer as .optimizer"
        fix = "pass the wrapped optimizer"
        fail("optimizer", rule, type(optimizer).__name__, fix, TypeError)
    return _inner(inside)
