"""Explain a corpus: every recording exactly once, on one machine or many, into Parquet."""

import lazy_loader

# At first use: the command's help loads neither torch nor pyarrow.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
