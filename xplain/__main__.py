"""``python -m xplain``: the command line."""

from xplain.cli.main import main

main()
