"""Presets: functions that return compositions of the classes of ``lehr.schedule``."""

from typing import TYPE_CHECKING

from lehr.schedule.presets.basic import constant as constant
from lehr.schedule.presets.basic import cosine as cosine
from lehr.schedule.presets.basic import exponential as exponential
from lehr.schedule.presets.basic import from_function as from_function
from lehr.schedule.presets.basic import inverse_time as inverse_time
from lehr.schedule.presets.basic import k_decay as k_decay
from lehr.schedule.presets.basic import linear as linear
from lehr.schedule.presets.basic import multi_step as multi_step
from lehr.schedule.presets.basic import piecewise as piecewise
from lehr.schedule.presets.basic import polynomial as polynomial
from lehr.schedule.presets.basic import rex as rex
from lehr.schedule.presets.basic import step_decay as step_decay
from lehr.schedule.presets.basic import table as table
from lehr.schedule.presets.basic import tanh as tanh
from lehr.schedule.presets.basic import warmup as warmup
from lehr.schedule.presets.cycles import cyclical as cyclical
from lehr.schedule.presets.cycles import exp_range as exp_range
from lehr.schedule.presets.cycles import triangular as triangular
from lehr.schedule.presets.cycles import triangular2 as triangular2
from lehr.schedule.presets.plans import flat_cosine as flat_cosine
from lehr.schedule.presets.plans import inverse_sqrt as inverse_sqrt
from lehr.schedule.presets.plans import noam as noam
from lehr.schedule.presets.plans import slanted_triangular as slanted_triangular
from lehr.schedule.presets.plans import wsd as wsd
from lehr.schedule.presets.restarts import cosine_restarts as cosine_restarts
from lehr.schedule.presets.restarts import polynomial_cycles as polynomial_cycles
from lehr.schedule.presets.warmups import warmup_radam as warmup_radam
from lehr.schedule.presets.warmups import warmup_untuned as warmup_untuned

if not TYPE_CHECKING:  # a type checker takes the names from the imports
    __all__ = [name for name, value in sorted(vars().items()) if callable(value)]
