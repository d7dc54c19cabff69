//! Random plots, in which nothing may overlap or leave the page.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::super::scene::{Mark, Scene};
use super::super::text::Direction;
use super::*;
use crate::plot::{self, Data, Matrix, Series};

const NAMES: [&str; 8] = [
    "a",
    "koala",
    "soft-coated wheaten terrier, Wheaten",
    "fire4/expand3x3",
    "Ag",
    "1,000",
    "a name of many words that nobody would call short by any means",
    "supercalifragilisticexpialidocious_without_a_space",
];

/// Left, top, right and bottom of a line of text.
fn text_box(x: f32, y: f32, line: &Line) -> [f32; 4] {
    let (ascent, descent) = (line.size * 0.75, line.size * 0.2);
    match line.direction {
        Direction::Across => [x, y - ascent, x + line.width(), y + descent],
        Direction::Up => [x - ascent, y - line.width(), x + descent, y],
    }
}

/// What is wrong with a scene.
fn faults(scene: &Scene) -> Vec<String> {
    let mut found = Vec::new();
    let mut texts: Vec<([f32; 4], &str)> = Vec::new();
    for mark in scene.marks() {
        let (bounds, what) = match mark {
            Mark::Text { x, y, line } => (text_box(*x, *y, line), format!("the text {:?}", line.text)),
            Mark::Fill { x, y, width, height, .. } => ([*x, *y, x + width, y + height], "a rectangle".into()),
            Mark::Shape(shape) => (shape.bounds().unwrap(), "a shape".into()),
            Mark::Picture { x, y, raster } => {
                ([*x, *y, x + raster.width() as f32, y + raster.height() as f32], "a picture".into())
            }
        };
        let [left, top, right, bottom] = bounds;
        // points at the edge of the area reach beyond it; around a figure there is a margin
        let slack = if matches!(mark, Mark::Shape(_)) { 13.0 } else { 1.0 };
        if left < -slack || top < -slack || right > scene.width + slack || bottom > scene.height + slack {
            found.push(format!("{what} leaves the page: {bounds:?} of {}×{}", scene.width, scene.height));
        }
        if bounds.iter().any(|value| !value.is_finite()) {
            found.push(format!("{what} is nowhere: {bounds:?}"));
        }
        if let Mark::Text { line, .. } = mark {
            texts.push((bounds, &line.text));
        }
    }
    for (index, (a, first)) in texts.iter().enumerate() {
        for (b, second) in texts.iter().skip(index + 1) {
            if a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3] {
                found.push(format!("{first:?} and {second:?} overlap: {a:?}, {b:?}"));
            }
        }
    }
    found
}

struct Generator(ChaCha8Rng);

impl Generator {
    fn below(&mut self, count: usize) -> usize {
        (self.0.next_u32() as usize) % count
    }

    fn chance(&mut self) -> bool {
        self.below(2) == 0
    }

    fn name(&mut self) -> String {
        let index = self.below(NAMES.len());
        NAMES[index].to_owned()
    }

    fn names(&mut self, count: usize) -> Arc<[String]> {
        (0..count).map(|_| self.name()).collect()
    }

    /// Numbers of some magnitude around some number; all positive if `log`.
    fn numbers(&mut self, count: usize, log: bool) -> Arc<[f64]> {
        let scale = 10f64.powi(self.below(19) as i32 - 9);
        let middle = [0.0, 0.0, 1.0, -1000.0, 1e7][self.below(5)];
        let powers = self.below(8) as f64;
        let number = |random: &mut ChaCha8Rng| {
            let u: f64 = random.random();
            if log { scale * 10f64.powf(u * powers) } else { scale * (middle + u - 0.4) }
        };
        (0..count).map(|_| number(&mut self.0)).collect()
    }

    fn series(&mut self, log: [bool; 2]) -> Series {
        let count = [1, 2, 7, 40, 400][self.below(5)];
        let (x, y) = (self.numbers(count, log[0]), self.numbers(count, log[1]));
        let data = match self.below(4) {
            0 => Data::HorizontalLine(y[0]),
            1 => Data::VerticalBand(x[0], x[0].abs() * 1.5 + x[0].abs().max(1e-9)),
            2 => Data::Line { x, y, error: None },
            _ => Data::Points {
                colors: self.chance().then(|| self.numbers(count, false)),
                color_label: self.chance().then(|| self.name().into()),
                sizes: None,
                names: self.chance().then(|| self.names(count)),
                x,
                y,
            },
        };
        Series { label: self.chance().then(|| self.name().into()), data }
    }

    fn plot(&mut self) -> Plot {
        let log = [self.below(3) == 0, self.below(3) == 0];
        let mut plot = Plot::default();
        match self.below(5) {
            0 => {
                let count = [1, 2, 5, 14, 60, 300][self.below(6)];
                for _ in 0..=self.below(3) {
                    let heights = self.numbers(count, false);
                    let label = self.chance().then(|| self.name().into());
                    plot.series.push(Series { label, data: Data::Bars { heights, error: None } });
                }
                plot.x.names = self.chance().then(|| self.names(count));
            }
            1 => {
                let (rows, columns) = ([1, 3, 20, 700][self.below(4)], [1, 4, 30, 900][self.below(4)]);
                let matrix = Matrix {
                    values: self.numbers(rows * columns, false),
                    rows,
                    columns,
                    row_names: self.chance().then(|| self.names(rows)),
                    column_names: self.chance().then(|| self.names(columns)),
                    colormap: None,
                    range: None,
                    label: self.chance().then(|| self.name().into()),
                    numbers: self.chance(),
                };
                plot.series.push(Series { label: None, data: Data::Matrix(matrix) });
            }
            2 => {
                let edges: Arc<[f64]> = (0..=1 + self.below(60)).map(|i| i as f64 * 0.37 - 3.0).collect();
                let counts = (1..edges.len()).map(|_| self.below(100_000) as f64).collect();
                let label = self.chance().then(|| self.name().into());
                plot.series.push(Series { label, data: Data::Histogram { edges, counts } });
            }
            _ => {
                for _ in 0..=[0, 2, 20][self.below(3)] {
                    plot.series.push(self.series(log));
                }
                (plot.x.log, plot.y.log) = (log[0], log[1]);
                // now and then, ends that cut through what is drawn
                if self.below(4) == 0 && !log[1] {
                    plot.y.range = Some((-0.1, 0.2));
                }
            }
        }
        plot.x.title = self.chance().then(|| self.name().into());
        plot.y.title = self.chance().then(|| self.name().into());
        plot
    }
}

#[test]
fn nothing_overlaps_and_nothing_leaves_the_page() {
    let mut generator = Generator(ChaCha8Rng::seed_from_u64(8));
    for number in 0..400 {
        let plot = generator.plot();
        let room = [LEAST_WIDTH, 500.0, 680.0, 1352.0][generator.below(4)];
        let scene = layout(&plot, room).unwrap();
        assert!(scene.width <= room + 1.0, "plot {number} is {} wide, with room for {room}", scene.width);
        let faults = faults(&scene);
        assert!(faults.is_empty(), "plot {number}, {room} wide: {plot}\n{}", faults.join("\n"));
    }
}

#[test]
fn small_plots_fit_their_characters() {
    let mut generator = Generator(ChaCha8Rng::seed_from_u64(9));
    for number in 0..200 {
        let plot = generator.plot();
        let (columns, rows) = ([40, 79][generator.below(2)], [8, 20][generator.below(2)]);
        let small = small(&plot, columns, rows, super::super::style::Theme::Light).unwrap();
        let side = small.left.iter().map(|(_, text)| text.chars().count()).max().unwrap_or(0);
        assert!(side + 1 + small.picture.width() <= columns, "plot {number}: {plot}");
        assert!(small.picture.height() <= 2 * rows, "plot {number}: {plot}");
        assert!(small.left.iter().all(|(line, _)| *line < rows));
    }
}

fn line(y: &[f64]) -> Plot {
    Plot::new(Data::Line { x: (0..y.len()).map(|i| i as f64).collect(), y: y.into(), error: None }).unwrap()
}

/// The middle of what has a colour, in pixels of the area.
fn points(scene: &Scene) -> Vec<[f32; 2]> {
    use super::super::shape::Outline;
    let of = |mark: &Mark| match mark {
        Mark::Shape(shape) => match &shape.outline {
            Outline::Circle { center, .. } if shape.fill.is_some() => Some(*center),
            _ => None,
        },
        _ => None,
    };
    scene.marks().iter().filter_map(of).collect()
}

#[test]
fn points_lie_where_their_numbers_say() {
    let mut plot = Plot::new(Data::Points {
        x: [1.0, 2.0, 4.0].into(),
        y: [10.0, 100.0, 1000.0].into(),
        colors: None,
        color_label: None,
        sizes: None,
        names: None,
    })
    .unwrap();
    (plot.x.range, plot.y.range, plot.y.log) = (Some((0.0, 5.0)), Some((1.0, 10_000.0)), true);
    let (x, y) = (Axis::x(&plot), Axis::y(&plot));
    let found = points(&draw::draw(&plot, &x, &y, 500.0, 400.0, PAGE).unwrap());
    for (found, expected) in found.iter().zip([[100.0, 300.0], [200.0, 200.0], [400.0, 100.0]]) {
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 0.1), "{found:?}, not {expected:?}");
    }
    assert_eq!(found.len(), 3);
}

#[test]
fn a_legend_goes_where_it_hides_nothing() {
    let legend = |plot: &Plot| {
        let scene = layout(plot, 680.0).unwrap();
        let at = scene.marks().iter().find_map(|mark| match mark {
            Mark::Text { x, y, line } if line.text == "loss" => Some([*x, *y]),
            _ => None,
        });
        at.unwrap()
    };
    let falling: Vec<f64> = (0..50).map(|i| (-f64::from(i) * 0.1).exp()).collect();
    let rising: Vec<f64> = falling.iter().rev().copied().collect();
    let [x, y] = legend(&line(&falling).label("loss"));
    assert!(x > 400.0 && y < 100.0, "right above a falling curve: {x}, {y}");
    let [x, y] = legend(&line(&rising).label("loss"));
    assert!(x < 200.0 && y < 100.0, "left above a rising curve: {x}, {y}");
    // noise fills the whole area: beside it
    let mut generator = Generator(ChaCha8Rng::seed_from_u64(1));
    let noise: Vec<f64> = (0..4000).map(|_| generator.0.random::<f64>()).collect();
    let [x, _] = legend(&line(&noise).label("loss"));
    assert!(x > 600.0, "beside noise: {x}");
}

#[test]
fn bars_that_are_cut_say_nothing_beyond_the_area() {
    let mut plot = Plot::new(Data::Bars { heights: [5.0, 50.0].into(), error: None }).unwrap();
    plot.y.range = Some((2.0, 10.0));
    assert!(faults(&layout(&plot, 680.0).unwrap()).is_empty());
}

#[test]
fn a_matrix_has_the_colours_of_its_bar() {
    let matrix = Matrix {
        values: [0.0, 1.0, f64::NAN, 0.5].into(),
        rows: 2,
        columns: 2,
        row_names: None,
        column_names: None,
        colormap: None,
        range: None,
        label: None,
        numbers: false,
    };
    use super::super::colormap::Colormap;
    let raster = matrix::paint(&matrix, 4, 4).unwrap();
    assert_eq!(raster.pixel(0, 0), Some(Colormap::Viridis.at(0.0)));
    assert_eq!(raster.pixel(3, 0), Some(Colormap::Viridis.at(1.0)));
    assert_eq!(raster.pixel(2, 2), Some(Colormap::Viridis.at(0.5)));
    assert_eq!(raster.pixel(0, 3), Some([200, 204, 210]));
    let signed = Matrix { values: [-1.0, 0.0, 0.25, 0.0].into(), ..matrix };
    assert_eq!(matrix::paint(&signed, 2, 2).unwrap().pixel(1, 0), Some([255; 3]), "zero is white");
}

#[test]
fn a_theme_changes_colours_and_nothing_else() {
    use super::super::figure::{Body, Figure};
    use super::super::style::Theme;
    let figure = |theme| Figure::new(Body::Plot(line(&[1.0, 2.0]).label("loss"))).themed(theme);
    let (light, dark) = (figure(Theme::Light).render().unwrap(), figure(Theme::Dark).render().unwrap());
    assert_eq!((light.width(), light.height()), (dark.width(), dark.height()));
    assert_eq!(light.pixel(0, 0), Some([255; 3]));
    assert!(dark.pixel(0, 0).unwrap().iter().all(|c| *c < 50));
    let auto = figure(Theme::Auto).to_svg().unwrap();
    assert!(auto.contains("prefers-color-scheme:dark") && auto.contains("var(--series-0)"));
    let plain = figure(Theme::Dark).to_svg().unwrap();
    assert!(!plain.contains("var(") && plain.contains("#409cde"), "{plain}");
}

#[test]
fn axis_of_names_shows_each_name() {
    let mut plot = Plot::new(Data::Bars { heights: [1.0, 2.0].into(), error: None }).unwrap();
    plot.x = plot::Axis { names: Some(["cat".to_owned(), "dog".to_owned()].into()), ..plot::Axis::default() };
    let scene = layout(&plot, 680.0).unwrap();
    let texts = scene.marks().iter().filter_map(|mark| match mark {
        Mark::Text { line, .. } => Some(line.text.as_str()),
        _ => None,
    });
    let texts: Vec<&str> = texts.collect();
    assert!(texts.contains(&"cat") && texts.contains(&"dog"), "{texts:?}");
}
