from .corpus import Corpus as Corpus
from .driver import Progress as Progress
from .running import run as run
