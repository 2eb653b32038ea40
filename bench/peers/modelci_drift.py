"""Run by ``bench/monitoring.py``: how many columns of a window have drifted from a stored profile.

``profile FILE OUT [ID]`` writes a profile; ``window PROFILE FILE`` prints the count.
"""

import json
import sys
from pathlib import Path

from modelci.adapters.scanning import DatasetScanner
from modelci.analysis.drift import compare
from modelci.analysis.profile import build, count
from modelci.documents import codec
from modelci.domain.gates import Outcome
from modelci.domain.profile import Profile
from modelci.domain.watching import DriftRules, judge_drift

scanner = DatasetScanner(Path.cwd())
if sys.argv[1] == "profile":
    _, _, data, out, *ids = sys.argv
    profile = build(scanner.scan(data), id=ids[0] if ids else None)
    codec.write(profile, Path(out))
    print(json.dumps([profile.duplicates]))
else:
    _, _, stored, data = sys.argv
    reference = codec.read(Profile, Path(stored))
    current = count(scanner.scan(data), reference)
    drift = compare(reference, current)
    found = judge_drift(drift.columns, DriftRules(), rows=current.rows)
    print(json.dumps([sum(one.outcome is not Outcome.PASSED for one in found)]))
