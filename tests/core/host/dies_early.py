"""A plugin whose import ends the process."""

import os
import sys

if sys.argv[0].startswith("payengine plugin host"):
    os._exit(5)
