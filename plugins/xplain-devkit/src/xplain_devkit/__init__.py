"""What a plugin is tested with: the contract of its kind, as test classes and as a report.

from xplain_devkit import ExplainerContract    # test classes for pytest, one per kind
from xplain_devkit.check import check           # the same rules, as a report
"""

import lazy_loader

# At first use: the contracts need pytest.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
