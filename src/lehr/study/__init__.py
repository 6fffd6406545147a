"""Studies: paired comparisons of policies over seeds, with corrected statistical tests."""

try:
    import filelock as _filelock  # noqa: F401
    import pydantic as _pydantic  # noqa: F401
    import scipy as _scipy  # noqa: F401
    import sqlalchemy as _sqlalchemy  # noqa: F401
    import yaml as _yaml  # noqa: F401
except ImportError as error:
    raise ImportError(f"studies need more packages ({error}); pip install 'lehr[study]'") from error

from lehr.study.arm import Arm as Arm
from lehr.study.definition import Study as Study
from lehr.study.engines.engine import TrialError as TrialError
from lehr.study.results import Results as Results
from lehr.study.yaml import load_study as load_study
