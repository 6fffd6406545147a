"""Compare: arms x seeds on a task, paired, and honest statistics."""

from lehr.study.definition import Arm as Arm
from lehr.study.definition import Study as Study
from lehr.study.engine import TrialError as TrialError
from lehr.study.results import Results as Results
