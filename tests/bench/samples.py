"""What was measured: values by measure and subject, one for each round."""
import collections
import statistics


class Samples:
    def __init__(self):
        self.values = collections.defaultdict(list)

    def add(self, measure, subject, value):
        self.values[measure, subject].append(value)

    def of(self, measure, subject):
        return self.values.get((measure, subject), [])

    def has(self, measure, subject):
        return bool(self.of(measure, subject))

    def median(self, measure, subject):
        return statistics.median(self.of(measure, subject))

    def subjects(self, measure):
        return sorted({subject for known, subject in self.values if known == measure})

    def ratio(self, measure, subject, to_measure, to_subject):
        """The median of the ratios of each round: what disturbs a round disturbs both."""
        pairs = zip(self.of(measure, subject), self.of(to_measure, to_subject))
        return statistics.median(a / b for a, b in pairs)

    @classmethod
    def from_list(cls, listed):
        samples = cls()
        for one in listed:
            samples.values[one["measure"], one["subject"]] = one["rounds"]
        return samples

    def as_list(self):
        return [{"measure": measure, "subject": subject, "median": statistics.median(values), "rounds": values}
                for (measure, subject), values in sorted(self.values.items())]
