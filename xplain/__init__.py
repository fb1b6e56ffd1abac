"""xplain explains audio models: listen to, view and verify an explanation.

Names are imported at first use (the stub beside this file lists them), so that ``import xplain``
costs nothing and a plugin's entry point module can import ``hookimpl`` without loading torch.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
