//! The line search of Moré and Thuente (Line Search Algorithms with Guaranteed Sufficient Decrease, 1994): a step along
//! a direction that satisfies the strong Wolfe conditions.

/// How much of the decrease that the slope promises a step must bring.
const DECREASE: f64 = 1e-3;
/// How much of the slope may be left.
const CURVATURE: f64 = 0.9;
/// An interval this narrow, relative to its end, is as good as a point.
const WIDTH: f64 = 0.1;
/// How far beyond the best step the next may lie, in lengths of the last, while nothing is bracketed.
const NEARER: f64 = 1.1;
const FURTHER: f64 = 4.0;
/// An interval that does not shrink to this share in two steps is halved.
const SHRINK: f64 = 0.66;

/// A step, and the function and its slope there.
#[derive(Clone, Copy, Debug)]
struct Tried {
    step: f64,
    value: f64,
    slope: f64,
}

impl Tried {
    /// The same for the function less a line of this slope.
    fn below(self, line: f64) -> Self {
        Self { value: self.value - self.step * line, slope: self.slope - line, ..self }
    }
}

/// What comes after a look at the function.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Next {
    /// This step is good, or none is better to the precision of the numbers.
    Accept,
    /// Look at this step.
    Try(f64),
}

/// A search under way. The function falls at the start.
#[derive(Clone, Debug)]
pub(super) struct Search {
    start: Tried,
    /// The largest step.
    most: f64,
    step: f64,
    /// The best step so far, and the other end of the interval that holds a good one, once `bracketed`.
    best: Tried,
    other: Tried,
    bracketed: bool,
    /// Is the search still for a step that decreases enough, or already for one that is flat enough?
    descending: bool,
    /// Where the next step may lie.
    range: [f64; 2],
    /// How wide the interval was, and before that.
    widths: [f64; 2],
}

impl Search {
    /// A search that begins with `step`, above 0 and at most `most`; `slope` is below 0.
    pub(super) fn new(value: f64, slope: f64, step: f64, most: f64) -> Self {
        let start = Tried { step: 0.0, value, slope };
        Self {
            start,
            most,
            step,
            best: start,
            other: start,
            bracketed: false,
            descending: true,
            range: [0.0, step + FURTHER * step],
            widths: [most, 2.0 * most],
        }
    }

    /// Takes in the function and its slope at the step that was asked for, both finite.
    pub(super) fn look(&mut self, value: f64, slope: f64) -> Next {
        let promised = DECREASE * self.start.slope;
        let bound = self.start.value + self.step * promised;
        if self.descending && value <= bound && slope >= 0.0 {
            self.descending = false;
        }
        let [least, most] = self.range;
        let is_exhausted = self.bracketed && (self.step <= least || self.step >= most || most - least <= WIDTH * most);
        let is_at_end = self.step >= self.most && value <= bound && slope <= promised;
        let is_good = value <= bound && slope.abs() <= -CURVATURE * self.start.slope;
        if is_exhausted || is_at_end || is_good {
            return Next::Accept;
        }

        let tried = Tried { step: self.step, value, slope };
        // above the line that promises enough, the function less that line leads to where it is crossed
        let line = if self.descending && value <= self.best.value && value > bound { promised } else { 0.0 };
        let (mut best, mut other) = (self.best.below(line), self.other.below(line));
        self.step = self.narrow(&mut best, &mut other, tried.below(line));
        (self.best, self.other) = (best.below(-line), other.below(-line));

        let width = (self.other.step - self.best.step).abs();
        if self.bracketed {
            if width >= SHRINK * self.widths[1] {
                self.step = self.best.step + 0.5 * (self.other.step - self.best.step);
            }
            self.widths = [width, self.widths[0]];
            self.range = [self.best.step.min(self.other.step), self.best.step.max(self.other.step)];
        } else {
            let gone = self.step - self.best.step;
            self.range = [self.step + NEARER * gone, self.step + FURTHER * gone];
        }
        self.step = self.step.min(self.most).max(0.0);
        let [least, most] = self.range;
        if self.bracketed && (self.step <= least || self.step >= most || most - least <= WIDTH * most) {
            self.step = self.best.step;
        }
        Next::Try(self.step)
    }

    /// The function has no value at the step that was asked for: half way back to the best one, and never again as far.
    pub(super) fn refuse(&mut self) -> f64 {
        self.most = self.step;
        self.step = self.best.step + 0.5 * (self.step - self.best.step);
        self.range = [self.best.step, self.most];
        self.step
    }

    /// Takes a step that was tried into the interval, and finds the next by interpolation: the four cases of the
    /// paper's section 4.
    fn narrow(&mut self, best: &mut Tried, other: &mut Tried, tried: Tried) -> f64 {
        let turned = tried.slope * best.slope.signum() < 0.0;
        let [least, most] = self.range;
        // where a straight line through both slopes crosses 0
        let secant = tried.step + tried.slope / (tried.slope - best.slope) * (best.step - tried.step);
        let next = if tried.value > best.value {
            // higher: a minimum lies between, nearer to the best
            let cubic = Cubic::through(*best, tried).minimum;
            let chord = (best.value - tried.value) / (tried.step - best.step);
            let quadratic = best.step + 0.5 * best.slope / (chord + best.slope) * (tried.step - best.step);
            self.bracketed = true;
            let is_nearer = (cubic - best.step).abs() < (quadratic - best.step).abs();
            if is_nearer { cubic } else { cubic + 0.5 * (quadratic - cubic) }
        } else if turned {
            // lower, and rising on the other side: a minimum lies between
            let cubic = Cubic::through(tried, *best).minimum;
            self.bracketed = true;
            if (cubic - tried.step).abs() > (secant - tried.step).abs() { cubic } else { secant }
        } else if tried.slope.abs() < best.slope.abs() {
            // lower and flatter: the cubic may have no minimum further on
            let Cubic { minimum, is_curved } = Cubic::through(tried, *best);
            let is_further = (minimum - tried.step) * (tried.step - best.step) > 0.0;
            let end = if tried.step > best.step { most } else { least };
            let cubic = if is_curved && is_further { minimum } else { end };
            let is_nearer = (cubic - tried.step).abs() < (secant - tried.step).abs();
            if self.bracketed {
                let next = if is_nearer { cubic } else { secant };
                let limit = tried.step + SHRINK * (other.step - tried.step);
                if tried.step > best.step { next.min(limit) } else { next.max(limit) }
            } else {
                let next = if is_nearer { secant } else { cubic };
                next.min(most).max(least)
            }
        } else if self.bracketed {
            // lower and as steep
            Cubic::through(tried, *other).minimum
        } else if tried.step > best.step {
            most
        } else {
            least
        };
        if tried.value > best.value {
            *other = tried;
        } else {
            if turned {
                *other = *best;
            }
            *best = tried;
        }
        next
    }
}

/// The cubic that has the values and the slopes of two steps.
struct Cubic {
    /// Where it has its minimum.
    minimum: f64,
    /// Has it one? If not, `minimum` lies where it is flattest.
    is_curved: bool,
}

impl Cubic {
    /// Computed from `a`, for precision near it.
    fn through(a: Tried, b: Tried) -> Self {
        let theta = 3.0 * (a.value - b.value) / (b.step - a.step) + a.slope + b.slope;
        let scale = theta.abs().max(a.slope.abs()).max(b.slope.abs());
        let radicand = (theta / scale).powi(2) - (a.slope / scale) * (b.slope / scale);
        let gamma = scale * radicand.max(0.0).sqrt();
        let signed = if b.step < a.step { -gamma } else { gamma };
        let share = ((signed - a.slope) + theta) / ((signed - a.slope) + signed + b.slope);
        Self { minimum: a.step + share * (b.step - a.step), is_curved: gamma > 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps until one is accepted, which is checked to decrease enough, and to be flat enough to the precision of the
    /// search.
    fn search(f: impl Fn(f64) -> (f64, f64), first: f64) -> (f64, usize) {
        let (value, slope) = f(0.0);
        let mut search = Search::new(value, slope, first, 1e10);
        let mut step = first;
        for looks in 1..40 {
            let (at, there) = f(step);
            match search.look(at, there) {
                Next::Try(next) => step = next,
                Next::Accept => {
                    assert!(at <= value + DECREASE * step * slope, "{step} does not decrease enough");
                    let near = (-10..=10).map(|share| f(step * (1.0 + 0.01 * f64::from(share))).1.abs());
                    assert!(near.fold(f64::INFINITY, f64::min) <= -CURVATURE * slope, "{step} is not flat enough");
                    return (step, looks);
                }
            }
        }
        (f64::NAN, 40)
    }

    /// Functions after those of the paper's section 5, from steps far too short to far too long.
    #[test]
    fn steps_satisfy_the_strong_wolfe_conditions() {
        let first = |x: f64| (-x / (x * x + 2.0), (x * x - 2.0) / (x * x + 2.0).powi(2));
        let second = |x: f64| {
            let b = 0.4;
            ((x + b).powi(5) - 2.0 * (x + b).powi(4), 5.0 * (x + b).powi(4) - 8.0 * (x + b).powi(3))
        };
        let steep = |x: f64| ((x - 1.0).powi(4) - x, 4.0 * (x - 1.0).powi(3) - 1.0);
        for start in [1e-3, 1e-1, 1.0, 1e1, 1e3] {
            for f in [&first as &dyn Fn(f64) -> (f64, f64), &second, &steep] {
                let (step, looks) = search(f, start);
                assert!(step > 0.0 && looks < 20, "{step} after {looks} looks from {start}");
            }
        }
    }

    #[test]
    fn where_there_is_no_value_the_step_is_halved() {
        let mut search = Search::new(0.0, -1.0, 1.0, 1.0);
        assert_eq!(search.refuse(), 0.5);
        assert_eq!(search.refuse(), 0.25);
        assert_eq!(search.look(-0.2, -0.5), Next::Accept);
    }
}
