#!/usr/bin/env python3
"""Whether each link of Markdown files to a file or a heading leads somewhere: links.py FOLDER FILE…

A file that is not there, or a heading that its file has not, is printed; the exit code is then 1. Links out of the folder
count as leading nowhere, those into the web are not followed.
"""

import re
import sys
from pathlib import Path


def headings(text):
    """The anchors that a reader on the web has: lower case, spaces as dashes, most else dropped."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)
    for title in re.findall(r"^#+ +(.*?) *$", text, re.M):
        yield re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def main():
    root, found = Path(sys.argv[1]).resolve(), 0
    for name in sys.argv[2:]:
        text = (root / name).read_text()
        for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = target.partition("#")
            place = ((root / name).parent / path).resolve() if path else root / name
            there = place.is_relative_to(root) and place.exists()
            if there and anchor:
                there = anchor in headings(place.read_text())
            if not there:
                found += 1
                print(f"{name}: {target}")
    sys.exit(found > 0)


main()
