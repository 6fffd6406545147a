"""Range tests: the test, its record (a sweep), and the learning rates suggested from it."""

from lehr.finder.repeats import Cell as Cell
from lehr.finder.repeats import agree as agree
from lehr.finder.repeats import grid as grid
from lehr.finder.repeats import repeat as repeat
from lehr.finder.rules import RULES as RULES
from lehr.finder.rules import steepest as steepest
from lehr.finder.run import range_test as range_test
from lehr.finder.suggest import Suggestion as Suggestion
from lehr.finder.suggest import minimum as minimum
from lehr.finder.suggest import smoothed as smoothed
from lehr.finder.suggest import suggest as suggest
from lehr.finder.sweep import Sweep as Sweep
