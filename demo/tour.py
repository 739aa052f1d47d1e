"""Ask one question in each language of the demo, as `qttrag ask` does, and say how to go on.

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
"""About territories that no model was trained on; only English has their articles.

Chosen among those that are answered rightly, but for the Korean one, whose answer a misspelt translation spoils."""

_NEXT = """
The models are small: they show how it works, and are right about three times in five (demo/README.md has the figures).

How to go on:
  qttrag ask -c demo "우간다의 공용어는 무엇입니까?"          # ask something else about a territory
  qttrag ask -c demo "Mikä on Gabonin valuutta?" -s base   # another strategy: qttrag strategies
  qttrag serve -c demo                                     # the same on a page, strategies side by side
  qttrag eval run demo --sample 40                         # questions with answers, every strategy, a report
  qttrag config show server/laptop.yaml                    # the same with models of real size
  demo/README.md                                           # what these models are, and what they cannot do
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
