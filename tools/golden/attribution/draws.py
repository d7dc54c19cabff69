"""The random numbers of Percept's methods, where no function of the language gives them: ChaCha with 8 rounds, and what the
crate `rand` makes of its words."""

MASK = 0xFFFFFFFF


def key(seed):
    """The key of a seed, as `seed_from_u64` makes it with PCG32."""
    for _ in range(8):
        seed = (seed * 6364136223846793005 + 11634580027462260723) % 2**64
        shifted, turn = (((seed >> 18) ^ seed) >> 27) & MASK, seed >> 59
        yield (shifted >> turn | shifted << (32 - turn)) & MASK


def turned(x, bits):
    return (x << bits | x >> (32 - bits)) & MASK


def block(key, counter, stream):
    start = [0x61707865, 0x3320646E, 0x79622D32, 0x6B206574, *key]
    start += [counter & MASK, counter >> 32, stream & MASK, stream >> 32]
    x = list(start)
    columns = [(i, 4 + i, 8 + i, 12 + i) for i in range(4)]
    diagonals = [(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4) for i in range(4)]
    for _ in range(4):
        for a, b, c, d in columns + diagonals:
            for to, other, at, bits in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
                x[to] = (x[to] + x[other]) & MASK
                x[at] = turned(x[at] ^ x[to], bits)
    return [(end + begin) & MASK for end, begin in zip(x, start)]


class Draws:
    """What one stream of a seed gives."""

    def __init__(self, seed, stream=0):
        self.words = self.stream(list(key(seed)), stream)

    @staticmethod
    def stream(key, stream):
        counter = 0
        while True:
            yield from block(key, counter, stream)
            counter += 1

    def number(self):
        """From 0 up to 1, in single precision."""
        return (next(self.words) >> 8) / 2**24

    def below(self, count):
        """One of so many. The crate's correction of a bias is as rare as 1 in 2³²."""
        return next(self.words) * count >> 32

    def happens(self, probability):
        low, high = next(self.words), next(self.words)
        return low + (high << 32) < int(probability * 2.0**64)
