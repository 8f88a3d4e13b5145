CASES = r""" """
LINES=""
SETUP=""
