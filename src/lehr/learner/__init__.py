"""The interface between policies and frameworks: training runs, learners and snapshots."""

from lehr.learner.batches import Batches as Batches
from lehr.learner.batches import cycled as cycled
from lehr.learner.learner import Learner as Learner
from lehr.learner.run import TrainingRun as TrainingRun
from lehr.learner.snapshot import Snapshot as Snapshot
from lehr.learner.snapshot import folder_if as folder_if
from lehr.learner.trace import Trace as Trace
from lehr.learner.trace import flat as flat
from lehr.learner.trace import real as real
from lehr.learner.trace import scheduled as scheduled
