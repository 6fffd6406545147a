"""Hypothesis strategies: random arms and studies."""

from hypothesis import strategies as st
from strategies import RUN, controllers, policies, values

from lehr import Policy, cosine, one_cycle, triangular2
from lehr.study import Arm, Study

# Policies with largest rate 1, and the `tune` value of each.
_tuned = st.one_of(
    st.tuples(
        st.sampled_from([one_cycle(1.0), one_cycle(1.0, "2 epochs", momentum=None), cosine(1.0)]),
        st.just("one-cycle"),
    ),
    st.tuples(
        st.one_of(st.just(1.0), controllers.map(lambda c: Policy(1.0, control=c))),
        st.just("constant"),
    ),
    st.tuples(st.just(triangular2(0.1, 1.0, "1 epoch")), st.just("cyclical")),
)


@st.composite
def arms(draw):
    """Draw an arm of a study: a policy in steps, epochs or shares of the run, or a tuned policy."""
    optimizer = draw(st.sampled_from([None, None, "adam", "schedule-free adamw"]))
    if draw(st.booleans()):
        policy, tune = draw(_tuned)
        return Arm(policy, tune=tune, optimizer=optimizer)
    policy = draw(policies)
    in_data = any(unit in repr(policy) for unit in ("samples", "tokens"))
    return Arm(policy.resolve(**RUN) if in_data else policy, optimizer=optimizer)


_plain = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(-1e3, 1e3), st.text(max_size=5)),
    lambda part: st.one_of(st.lists(part, max_size=3), st.dictionaries(st.text(max_size=5), part)),
    max_leaves=5,
)


@st.composite
def studies(draw):
    """Draw a study of ``toys:anything``, which accepts all options."""
    names = st.text("ab1 -_.'", min_size=1, max_size=8).filter(lambda n: n.strip() and n[0] != ".")
    unit = draw(st.sampled_from(["epochs", "steps", None]))
    budgets = st.lists(st.integers(1, 9), min_size=1, max_size=3, unique=True).map(sorted)
    optional = {
        "seeds": st.integers(2, 12),
        "tuning_seeds": st.integers(1, 5),
        "peaks": st.sampled_from([1, 3, 5]),
        "metric": st.sampled_from(["accuracy", "loss"]),
        "mode": st.sampled_from(["min", "max"]),
        "judge": st.sampled_from(["final", "best"]),
        "target": st.floats(-10, 10),
        "options": st.dictionaries(st.sampled_from(["size", "net", "layers"]), _plain),
        "backend": st.sampled_from(["jax", "torch"]),
        "storage": st.sampled_from(["runs", "elsewhere/runs"]),
    }
    given = draw(st.fixed_dictionaries({}, optional=optional))
    if unit:
        given[unit] = draw(budgets)
    if unit != "steps" and given.get("judge") == "best":
        given["patience"] = draw(st.integers(1, 4))
    if given.get("seeds", 8) > 7:
        given["stop_early"] = draw(st.booleans())
    entries = st.dictionaries(names, st.one_of(arms(), values), min_size=1, max_size=3)
    return Study("toys:anything", draw(entries), **given)
