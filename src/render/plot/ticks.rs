//! The numbers at an axis: which ones, and how they are written.

/// A number at an axis, in writing.
#[derive(Clone, Debug, PartialEq)]
pub struct Tick {
    pub at: f64,
    pub text: String,
}

/// About `count` round numbers in `[low, high]`, all written alike.
pub fn linear(low: f64, high: f64, count: usize, whole: bool) -> Vec<Tick> {
    let length = high - low;
    if !(length > 0.0 && length.is_finite()) {
        return Vec::new();
    }
    let step = round_step(length / count.max(1) as f64);
    let step = if whole { step.max(1.0) } else { step };
    // the ends count although a sum of roundings may leave them a hair outside
    let (first, last) = ((low / step - 1e-9).ceil(), (high / step + 1e-9).floor());
    if last - first > 1000.0 || !first.is_finite() || !last.is_finite() {
        return Vec::new();
    }
    let write = Writing::of_steps(step, low.abs().max(high.abs()));
    let mut ticks: Vec<Tick> = Vec::new();
    for index in 0..=(last - first) as usize {
        let at = (first + index as f64) * step;
        let text = write.number(at);
        // where doubles are too coarse for the step, two ticks are the same number
        if ticks.last().is_none_or(|tick| tick.at < at && tick.text != text) {
            ticks.push(Tick { at, text });
        }
    }
    ticks
}

/// Powers of ten in `[low, high]`, at most about `count`; between few of them also 2 and 5 times these, and where there
/// are none, round numbers. Both ends are positive.
pub fn logarithmic(low: f64, high: f64, count: usize) -> Vec<Tick> {
    let (first, last) = ((low.log10() - 1e-9).ceil() as i32, (high.log10() + 1e-9).floor() as i32);
    let decades = last - first + 1;
    let inside = |at: &f64| *at >= low * (1.0 - 1e-9) && *at <= high * (1.0 + 1e-9);
    let written = |at: f64| Tick { at, text: number(at) };
    if decades >= 3 {
        let stride = (decades as usize).div_ceil(count.max(2)) as i32;
        // multiples of the stride, so that 1 is among them if it is on the axis
        let from = first.div_euclid(stride) * stride;
        let powers = (from..=last).step_by(stride as usize).filter(|power| *power >= first);
        return powers.map(|power| written(10f64.powi(power))).collect();
    }
    let finer = |multiples: &[f64]| -> Vec<Tick> {
        let powers = first - 1..=last;
        let all = powers.flat_map(|power| multiples.iter().map(move |multiple| multiple * 10f64.powi(power)));
        all.filter(inside).map(written).collect()
    };
    for multiples in [&[1.0, 2.0, 5.0][..], &[1.0, 3.0], &[1.0]] {
        let ticks = finer(multiples);
        if (2..=count.max(2)).contains(&ticks.len()) {
            return ticks;
        }
    }
    linear(low, high, count, false)
}

/// The numbers between the powers of ten of a logarithmic axis, for unwritten ticks.
pub fn minor(low: f64, high: f64) -> Vec<f64> {
    let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    if last - first > 12 {
        return Vec::new();
    }
    let all = (first..=last).flat_map(|power| (2..10).map(move |multiple| f64::from(multiple) * 10f64.powi(power)));
    all.filter(|at| (low..=high).contains(at)).collect()
}

/// 1, 2 or 5 times a power of ten, not below `least`.
fn round_step(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    let multiple = [1.0, 2.0, 5.0].into_iter().find(|m| m * power >= least * (1.0 - 1e-3)).unwrap_or(10.0);
    multiple * power
}

/// How the numbers of an axis are written.
#[derive(Clone, Copy)]
enum Writing {
    /// With so many decimals.
    Decimals(usize),
    /// As `1.2e−5`, with so many decimals.
    Scientific(usize),
}

impl Writing {
    /// The writing in which numbers up to `magnitude`, a `step` apart, differ.
    fn of_steps(step: f64, magnitude: f64) -> Self {
        // 0.2 has one decimal although its logarithm is a hair below −0.7
        let decimals = -(step.log10() + 1e-9).floor();
        if !(1e-3..1e7).contains(&magnitude) {
            let digits = (magnitude.log10() + 1e-9).floor() + decimals;
            return Self::Scientific(digits.clamp(0.0, 15.0) as usize);
        }
        Self::Decimals(decimals.clamp(0.0, 15.0) as usize)
    }

    fn number(self, value: f64) -> String {
        match self {
            Self::Decimals(decimals) => grouped(&format!("{value:.decimals$}")),
            Self::Scientific(_) if value == 0.0 => "0".to_owned(),
            Self::Scientific(decimals) => {
                // each with the decimals it needs: 5e−4 and 1.5e−3, not 5.00e−4
                let text = format!("{value:.decimals$e}");
                let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
                let digits =
                    if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits };
                signed(&format!("{digits}e{power}"))
            }
        }
    }
}

/// A number by itself: `0.001`, `10,000`, `1e−7`, with at most four digits that tell something.
pub fn number(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let magnitude = value.abs();
    if !value.is_finite() {
        return "—".to_owned();
    }
    // the power of ten after rounding to four digits: 999.96 is 1,000
    let rounded = format!("{magnitude:.3e}");
    let power: i32 = rounded.split_once('e').and_then(|(_, power)| power.parse().ok()).unwrap_or(0);
    if !(-3..7).contains(&power) {
        return Writing::Scientific(3).number(value);
    }
    let decimals = (3 - power).max(0) as usize;
    let text = format!("{value:.decimals$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    grouped(text)
}

/// With a comma after each three digits from 10,000 on, and a minus sign.
fn grouped(text: &str) -> String {
    let (sign, text) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    let (whole, decimals) = text.split_once('.').map_or((text, None), |(whole, decimals)| (whole, Some(decimals)));
    let mut found = String::from(sign);
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && whole.len() >= 5 && (whole.len() - index).is_multiple_of(3) {
            found.push(',');
        }
        found.push(digit);
    }
    if let Some(decimals) = decimals {
        found.push('.');
        found += decimals;
    }
    signed(&found)
}

/// A minus sign in place of each hyphen, and none before a zero.
fn signed(text: &str) -> String {
    let zero = text.chars().all(|c| matches!(c, '-' | '0' | '.'));
    if zero { text.trim_start_matches('-').to_owned() } else { text.replace('-', "−") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(ticks: &[Tick]) -> String {
        ticks.iter().map(|tick| tick.text.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn round_numbers() {
        let of = |low, high| texts(&linear(low, high, 5, false));
        assert_eq!(of(0.0, 1.0), "0.0 0.2 0.4 0.6 0.8 1.0");
        assert_eq!(of(-3.0, 7.0), "−2 0 2 4 6");
        assert_eq!(of(0.0, 48_000.0), "0 10,000 20,000 30,000 40,000");
        assert_eq!(of(0.0, 4800.0), "0 1000 2000 3000 4000");
        assert_eq!(of(0.0, 3e9), "0 1e9 2e9 3e9");
        assert_eq!(of(0.0, 2.2e-4), "0 5e−5 1e−4 1.5e−4 2e−4");
        assert_eq!(of(-0.05, 0.05), "−0.04 −0.02 0.00 0.02 0.04");
        assert_eq!(of(17.0, 17.003), "17.000 17.001 17.002 17.003");
        assert_eq!(of(1e9, 1e9 + 4.0), "1e9 1.000000001e9 1.000000002e9 1.000000003e9 1.000000004e9");
        assert_eq!(texts(&linear(0.0, 2.0, 8, true)), "0 1 2");
        assert_eq!(of(1.0, 1.0), "");
        assert!(linear(-1e300, 1e300, 5, false).len() > 2);
        assert!(linear(1e16, 1e16 + 4.0, 50, false).len() < 8);
    }

    #[test]
    fn powers_of_ten() {
        let of = |low, high, count| texts(&logarithmic(low, high, count));
        assert_eq!(of(1e-3, 1e4, 10), "0.001 0.01 0.1 1 10 100 1000 10,000");
        assert_eq!(of(1e-8, 1e8, 5), "1e−8 1e−4 1 10,000 1e8");
        assert_eq!(of(0.9, 60.0, 7), "1 2 5 10 20 50");
        assert_eq!(of(0.9, 60.0, 4), "1 3 10 30");
        assert_eq!(of(2.1, 4.2, 5), "2.5 3.0 3.5 4.0");
        assert_eq!(minor(1.0, 30.0).len(), 8 + 2);
    }

    #[test]
    fn single_numbers() {
        let pairs = [
            (0.0, "0"),
            (0.001, "0.001"),
            (1e-7, "1e−7"),
            (-1.5e-4, "−1.5e−4"),
            (10_000.0, "10,000"),
            (1_234_567.0, "1,234,567"),
            (1e7, "1e7"),
            (999.96, "1000"),
            (12.3456, "12.35"),
            (-0.5, "−0.5"),
            (1000.0, "1000"),
        ];
        for (value, text) in pairs {
            assert_eq!(number(value), text);
        }
    }
}
