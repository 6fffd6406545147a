"""Matplotlib figures of schedules, policies, range tests, diagnoses and studies."""

try:
    import matplotlib as _matplotlib  # noqa: F401
except ImportError as error:
    raise ImportError(f"figures need matplotlib ({error}); pip install 'lehr[plot]'") from error

from lehr.figures.describe import draw_policy as draw_policy
from lehr.figures.describe import draw_schedules as draw_schedules
from lehr.figures.diagnosis import draw_diagnosis as draw_diagnosis
from lehr.figures.finder import draw_sweep as draw_sweep
from lehr.figures.finder import draw_sweeps as draw_sweeps
from lehr.figures.lines import draw_landscape as draw_landscape
from lehr.figures.lines import draw_lines as draw_lines
from lehr.figures.study import draw_budgets as draw_budgets
from lehr.figures.study import draw_differences as draw_differences
from lehr.figures.study import draw_losses as draw_losses
from lehr.figures.study import draw_metric as draw_metric
from lehr.figures.study import draw_peaks as draw_peaks
from lehr.figures.study import draw_rates as draw_rates
from lehr.figures.style import save as save
from lehr.figures.style import to_svg as to_svg
