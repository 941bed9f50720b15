#!/usr/bin/env python3
"""closed.py NUMBERS PROGRAM [ARGUMENT...]: run a program with these descriptors closed."""

import os
import sys

for number in sys.argv[1].split(","):
    os.close(int(number))
os.execv(sys.argv[2], sys.argv[2:])
