//! Tensors as text, as NumPy writes them: nested brackets, one format for all numbers, large ones summarised.

use std::fmt::Write as _;

use super::sum::sum_of;

/// Tensors of more numbers are summarised.
const THRESHOLD: usize = 1000;
/// How many entries of a dimension are shown at each end of a summary.
const EDGE: usize = 3;
/// Characters of a line.
const LINE: usize = 75;
/// Digits behind the point at most.
const PRECISION: usize = 8;

/// The text of a tensor: its shape, the range if not all numbers are shown, and the numbers. A tensor without dimensions
/// is just its number.
pub(super) fn text(values: &[f32], shape: &[usize], is_mask: bool) -> String {
    if shape.is_empty() {
        return values.first().map_or_else(String::new, |value| number(*value));
    }
    let mut text = format!("{} {shape:?}", if is_mask { "mask" } else { "tensor" });
    if values.is_empty() {
        return text;
    }
    let is_summary = values.len() > THRESHOLD;
    if is_summary {
        let low = values.iter().copied().fold(f32::INFINITY, f32::min);
        let high = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mean = sum_of(values, f64::from) / values.len() as f64;
        let _ = write!(text, "  min {}  mean {}  max {}", number(low), number(mean as f32), number(high));
    }
    let shown = shown(values, shape, is_summary);
    let format = if is_mask { Format::integers() } else { Format::new(&shown) };
    let nested = Nested { format, is_summary, shape };
    let _ = write!(text, "\n{}", nested.write(values, 0, " ", LINE));
    text
}

/// One number: plain where that is short, else with an exponent.
fn number(value: f32) -> String {
    let magnitude = value.abs();
    if magnitude != 0.0 && magnitude.is_finite() && !(1e-4..1e16).contains(&magnitude) {
        scientific(value, PRECISION, 0).replace(".e", "e")
    } else if value.is_infinite() || value.is_nan() {
        strange(value)
    } else {
        format!("{value}")
    }
}

fn strange(value: f32) -> String {
    (if value.is_nan() {
        "nan"
    } else if value > 0.0 {
        "inf"
    } else {
        "-inf"
    })
    .to_owned()
}

/// The numbers that a summary shows, which decide the format.
fn shown(values: &[f32], shape: &[usize], is_summary: bool) -> Vec<f32> {
    let Some((size, inner)) = shape.split_first() else { return values.to_vec() };
    let length = inner.iter().product::<usize>();
    let is_shown = |i: &usize| !is_summary || *size <= 2 * EDGE || *i < EDGE || *i >= size - EDGE;
    let parts = (0..*size).filter(is_shown).map(|i| &values[i * length..(i + 1) * length]);
    parts.flat_map(|part| shown(part, inner, is_summary)).collect()
}

/// How all numbers of a tensor are written.
struct Format {
    kind: Kind,
    /// Characters before and behind the point.
    left: usize,
    right: usize,
}

enum Kind {
    Integers,
    Positional,
    /// With this many digits behind the point, and this many of the exponent.
    Scientific(usize, usize),
}

impl Format {
    fn integers() -> Self {
        Self { kind: Kind::Integers, left: 1, right: 0 }
    }

    /// NumPy's choice: exponents from 1e8, below 1e-4, and where magnitudes differ by more than a thousand.
    fn new(values: &[f32]) -> Self {
        let finite: Vec<f32> = values.iter().copied().filter(|value| value.is_finite()).collect();
        let magnitudes = finite.iter().map(|value| value.abs()).filter(|magnitude| *magnitude != 0.0);
        let most = magnitudes.clone().fold(0f32, f32::max);
        let least = magnitudes.fold(f32::INFINITY, f32::min);
        let has_exponent = most != 0.0 && (most >= 1e8 || least < 1e-4 || most / least > 1000.0);
        let mut format = if has_exponent { Self::scientific(&finite) } else { Self::positional(&finite) };
        // room for nan and inf, whose last character stands where the last digit does
        let longest = values.iter().filter(|value| !value.is_finite()).map(|value| strange(*value).len()).max();
        if let Some(longest) = longest {
            format.left = format.left.max(longest.saturating_sub(format.right + 1));
        }
        format
    }

    fn positional(finite: &[f32]) -> Self {
        let texts: Vec<String> = finite.iter().map(|value| positional(*value)).collect();
        let (left, right) = widths(&texts);
        Self { kind: Kind::Positional, left, right }
    }

    fn scientific(finite: &[f32]) -> Self {
        let texts: Vec<String> = finite.iter().map(|value| scientific(*value, PRECISION, 0)).collect();
        let parts = texts.iter().filter_map(|text| text.split_once('e'));
        let exponent = parts.clone().map(|(_, exponent)| exponent.len() - 1).max().unwrap_or(2);
        let mantissas: Vec<String> = parts.map(|(mantissa, _)| mantissa.to_owned()).collect();
        let (left, digits) = widths(&mantissas);
        // the exponent's letter and sign
        Self { kind: Kind::Scientific(digits, exponent), left, right: exponent + 2 + digits }
    }

    fn write(&self, value: f32) -> String {
        let width = self.left + self.right + 1;
        if !value.is_finite() {
            return format!("{:>width$}", strange(value));
        }
        match self.kind {
            Kind::Integers => format!("{value}"),
            Kind::Positional => {
                let text = positional(value);
                let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
                format!("{whole:>left$}.{fraction:<right$}", left = self.left, right = self.right)
            }
            Kind::Scientific(digits, exponent) => format!("{:>width$}", scientific_with(value, digits, exponent)),
        }
    }
}

/// The most characters before and behind the point.
fn widths(texts: &[String]) -> (usize, usize) {
    let parts = texts.iter().filter_map(|text| text.split_once('.'));
    parts.fold((0, 0), |(left, right), (whole, fraction)| (left.max(whole.len()), right.max(fraction.len())))
}

/// The fewest digits that tell the number from its neighbours, with a point: "1.", "0.25".
fn positional(value: f32) -> String {
    let text = format!("{value}");
    match text.split_once('.') {
        None => format!("{text}."),
        Some((_, fraction)) if fraction.len() <= PRECISION => text,
        Some(_) => format!("{value:.PRECISION$}").trim_end_matches('0').to_owned(),
    }
}

/// The same with an exponent: "2.5e-07".
fn scientific(value: f32, precision: usize, least: usize) -> String {
    let mut text = format!("{value:e}");
    let digits = |text: &str| text.split_once('e').and_then(|(m, _)| m.split_once('.')).map_or(0, |(_, f)| f.len());
    if digits(&text) > precision {
        text = format!("{value:.precision$e}");
    }
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
    format!("{whole}.{fraction:0<least$}e{sign}{exponent:0>2}")
}

fn scientific_with(value: f32, digits: usize, exponent: usize) -> String {
    let text = scientific(value, digits, digits);
    let (mantissa, power) = text.split_once('e').unwrap_or((&text, "+00"));
    let (sign, power) = power.split_at(1);
    format!("{mantissa}e{sign}{power:0>exponent$}")
}

/// The brackets around the numbers.
struct Nested<'a> {
    format: Format,
    is_summary: bool,
    shape: &'a [usize],
}

impl Nested<'_> {
    /// The text of a part at this depth, whose lines after the first begin with `indent`.
    fn write(&self, values: &[f32], depth: usize, indent: &str, width: usize) -> String {
        let Some(size) = self.shape.get(depth) else {
            return values.first().map_or_else(String::new, |value| self.format.write(*value));
        };
        let length = self.shape[depth + 1..].iter().product::<usize>();
        let is_cut = self.is_summary && *size > 2 * EDGE;
        let inner_indent = format!("{indent} ");
        let part = |i: usize| self.write(&values[i * length..(i + 1) * length], depth + 1, &inner_indent, width - 1);
        let (head, tail) = if is_cut { (EDGE, EDGE) } else { (0, *size) };
        let entries = (0..head).map(part);
        let entries: Vec<String> =
            entries.chain(is_cut.then(|| "...".to_owned())).chain((size - tail..*size).map(part)).collect();
        let levels = self.shape.len() - depth;
        let text = match levels {
            1 => lines(&entries, indent, width - 1),
            _ => entries.join(&format!("{}{indent}", "\n".repeat(levels - 1))),
        };
        format!("[{text}]")
    }
}

/// Words in lines of at most `width` characters.
fn lines(words: &[String], indent: &str, width: usize) -> String {
    let mut text = String::new();
    let mut line = indent.to_owned();
    for (i, word) in words.iter().enumerate() {
        if line.len() + word.len() > width && line.len() > indent.len() {
            text.push_str(line.trim_end());
            text.push('\n');
            line.clear();
            line.push_str(indent);
        }
        line.push_str(word);
        if i + 1 < words.len() {
            line.push(' ');
        }
    }
    text.push_str(&line);
    text[indent.len()..].to_owned()
}
