"""No framework: a loop over the lines, a dictionary and sets. plain.py HOUR"""

import sys
from collections import Counter, defaultdict

from work import lines, mixed, read, say

counts: Counter[tuple[int, str, int]] = Counter()
people: defaultdict[str, set[int]] = defaultdict(set)
for chunk in lines(sys.argv[1]):
    for line in chunk:
        if (event := read(line)) is not None:
            repository, feature, second, actor = event
            counts[repository, feature, second // 60] += 1
            people[feature].add(actor)
answer = {feature: [0, 0, 0, len(actors)] for feature, actors in people.items()}
for (repository, feature, minute), count in counts.items():
    row = answer[feature]
    row[0] += 1
    row[1] += count
    row[2] += count * count * mixed(repository, minute)
say(answer)
