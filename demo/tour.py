"""Ask one question in each language of the demo with `qttrag ask`, and print the next commands.

python -m demo.tour    needs the demo's collections (make demo builds them)
"""

from __future__ import annotations

import subprocess
import sys

QUESTIONS = (
    "What was the previous currency of Papua New Guinea?",
    "벨기에의 이전 통화는 무엇입니까?",
    "Mikä oli Montenegron entisen valuutan nimi?",
    "苏里南的法定货币是什么？",
)
"""Questions about territories that no model was trained on; only English has their articles.

All but the Korean one, which a misspelt translation spoils, are answered correctly."""

_NEXT = """
The models are small: they demonstrate the pipeline, and about three answers in five are right (demo/README.md).

Next:
  qttrag ask -c demo "우간다의 공용어는 무엇입니까?"          # another question about a territory
  qttrag ask -c demo "Mikä on Gabonin valuutta?" -s base   # another strategy: qttrag strategies
  qttrag serve -c demo                                     # a web page that compares strategies
  qttrag eval run demo --sample 40                         # a benchmark of every strategy, with a report
  qttrag config show server/laptop.yaml                    # a deployment with full-size models
  demo/README.md                                           # the models and their limits
"""


def main() -> int:
    for question in QUESTIONS:
        print(f"\n$ qttrag ask -c demo {question!r}", flush=True)
        done = subprocess.run([sys.executable, "-m", "qttrag", "ask", "-c", "demo", question], check=False)
        if done.returncode:
            return done.returncode
    print(_NEXT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
